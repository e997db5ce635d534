"""The pages of a TIFF, found from its directories (TIFF 6.0, section 2; BigTIFF in 64 bits).

A page is opened by a copy of the file whose header names that page's directory as the first, so
that it is held to the limits and read in the way of any other file.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def page_offsets(data: bytes, most: int) -> list[int]:
    """Return where the directories of the first `most` pages lie, in bytes, each once."""
    layout = _layout(data)
    offset_format, at, count_format, entry = layout
    found: dict[int, None] = {}  # in order; a chain may be a ring
    try:
        (offset,) = struct.unpack_from(offset_format, data, at)
        while offset and offset not in found and len(found) < most:
            (entries,) = struct.unpack_from(count_format, data, offset)
            found[offset] = None
            behind = offset + struct.calcsize(count_format) + entry * entries
            (offset,) = struct.unpack_from(offset_format, data, behind)
    except (struct.error, OverflowError):  # it points beyond the file
        pass
    return list(found)


def page_file(data: bytes, offset: int) -> bytes:
    """Return `data` with the directory at `offset` as its first."""
    offset_format, at, _, _ = _layout(data)
    first = struct.pack(offset_format, offset)
    return b"".join((data[:at], first, memoryview(data)[at + len(first) :]))


def with_tags(data: bytes, kept: Collection[int]) -> bytes:
    """Return `data` with a first directory that has only the `kept` of its tags.

    It takes the old one's place, so that nothing stands where pixels are missing. Raises
    struct.error if there is none, or a part of it.
    """
    offset_format, at, count_format, entry = _layout(data)
    (offset,) = struct.unpack_from(offset_format, data, at)
    (count,) = struct.unpack_from(count_format, data, offset)
    first = offset + struct.calcsize(count_format)
    entries = [data[begin : begin + entry] for begin in range(first, first + entry * count, entry)]
    tag = offset_format[0] + "H"
    entries = [each for each in entries if struct.unpack_from(tag, each)[0] in kept]
    if entries and len(entries[-1]) < entry:
        raise struct.error
    last_page = bytes(struct.calcsize(offset_format))
    directory = struct.pack(count_format, len(entries)) + b"".join(entries) + last_page
    return b"".join((data[:offset], directory, memoryview(data)[offset + len(directory) :]))


def _layout(data: bytes) -> tuple[str, int, str, int]:
    """Return how an offset is written, where the first one is, how a count is, an entry's bytes."""
    order = "<" if data[:1] == b"I" else ">"
    if 43 in data[2:4]:  # BigTIFF
        return f"{order}Q", 8, f"{order}Q", 20
    return f"{order}I", 4, f"{order}H", 12
