"""Huge pages for mapped files: a search looks at places all over a file, and has to find each page.

A list of ten million takes 500,000 pages of 4 KiB, more than a processor remembers the places of,
and about 1,000 of 2 MiB: a search takes a quarter less. Linux has them for files of some file
systems, where they are asked for before a page of the file is written or read: ext4 has from 6.16
on. Elsewhere nothing changes.
"""

from __future__ import annotations

import mmap
from contextlib import suppress

SIZE = 2**21
"""Bytes of a huge page, of most processors."""


def in_huge_pages(mapping: mmap.mmap) -> None:
    """Have a mapping of a file kept in huge pages, where the system can."""
    if len(mapping) >= SIZE and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            mapping.madvise(mmap.MADV_HUGEPAGE)
