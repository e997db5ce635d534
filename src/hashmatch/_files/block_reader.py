"""Open an index file: its arrays, mapped, with their pages shared by all who open it."""

from __future__ import annotations

import mmap
import os
import stat
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from hashmatch._files.block_format import Description, damaged, decode, padded, refuse_big_endian
from hashmatch._files.huge_pages import in_huge_pages
from hashmatch.errors import IndexFileError
from hashmatch.records.hashes import Opaque

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

TICK = 20_000_000
"""Nanoseconds; file times are as coarse as the kernel's clock, which ticks 100 times a second at
the slowest. Waiting out a tick shows whether a file changed twice within it."""


class MappedFile(Opaque):
    """An open index file. Never pickled; it is closed when it and its arrays are no longer used.

    It maps the whole file, and takes over its descriptor; `status` is what fstat(2) said of it when
    it was opened. ``blocks`` has every array by its name, read-only, its first element at a
    multiple of 4096 bytes.
    """

    __slots__ = ("_file", "_mapping", "_stamp", "blocks", "description", "path")

    blocks: Mapping[str, NDArray[Any]]

    def __init__(
        self,
        path: str,
        description: Description,
        mapping: mmap.mmap,
        file: int,
        status: os.stat_result,
    ) -> None:
        self.path = path
        self._mapping = mapping
        self._file, self._stamp = file, (status.st_size, status.st_mtime_ns)
        self.description = description
        self.blocks = MappingProxyType(
            {
                block.name: np.ndarray(block.shape, block.dtype, mapping, block.offset)
                for block in description.blocks
            }
        )

    def check_unchanged(self) -> None:
        """Raise IndexFileError if the file is no longer what was opened.

        To be called after everything that reads the arrays, before its result is used. A file that
        was written over reads as anything at all, so who reads must stay inside of the arrays
        whatever is in them. A file that was replaced by renaming, or deleted, is still whole and
        raises nothing.

        A write is seen by the time of change that it leaves, before any byte of it is. Somebody who
        writes through a mapping of his own, or sets that time back, goes unnoticed, and somebody on
        another machine may for as long as a network file system keeps such times in its cache.

        Nothing helps who reads what is no longer there: a page beyond the end of a file that was
        cut off in place, or one that its disk cannot read, raises SIGBUS, which ends the process.
        """
        status = os.fstat(self._file)
        if (status.st_size, status.st_mtime_ns) != self._stamp:
            raise IndexFileError(
                f"cannot read {self.path}: it was truncated or written over while it was open. "
                "Open it again, and replace index files by renaming, as save does"
            )

    def verify(self) -> None:
        """Raise IndexFileError unless every block is as it was written; reads the whole file."""
        for block in self.description.blocks:
            stop = block.offset + padded(block.length)
            sound = _checksum(self._mapping, block.offset, stop) == block.checksum
            self.check_unchanged()
            if not sound:
                raise damaged(self.path, f"block {block.name}")

    def __repr__(self) -> str:
        spec, count = self.description.spec, len(self.blocks)
        return f"<MappedFile {spec}, {count} blocks, {len(self._mapping):,} bytes>"

    def __del__(self) -> None:
        os.close(self._file)


def _checksum(mapping: mmap.mmap, start: int, stop: int) -> str:
    with memoryview(mapping) as whole, whole[start:stop] as part:
        return xxhash.xxh3_64_hexdigest(part)


def open_blocks(path: str | os.PathLike[str], *, check: bool = True) -> MappedFile:
    """Open an index file.

    Parameters
    ----------
    path : str or path
        The file. It may be replaced by renaming, or deleted, while it is open.
    check : bool
        Whether to read all of it and compare it with its checksums. Without, only the header is
        compared with its own, and the blocks are known to be inside of the file: what is in them
        may be anything, and those who read them must not believe it.

    Raises
    ------
    IndexFileError
        If it cannot be read, or is not a whole and sound index file of this version.

    Examples
    --------
    >>> import tempfile
    >>> from hashmatch._files.block_writer import write
    >>> from hashmatch.records.hashes import HashSpec
    >>> description = Description(HashSpec("phash", 64), "demo/17", None, "0.1.0")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(folder + "/demo", description, [("rows", np.array([2, 0, 1], np.uint32))])
    ...     opened = open_blocks(folder + "/demo")
    >>> opened.blocks["rows"], opened.description.snapshot
    (array([2, 0, 1], dtype=uint32), 'demo/17')
    >>> opened.check_unchanged()  # it was deleted, and is still whole
    """
    refuse_big_endian()
    name = os.fspath(path)
    try:
        # A pipe would wait for its writer.
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise IndexFileError(
            f"cannot open {name}: it does not exist. Give the path of an index file"
        ) from None
    except OSError as error:
        raise IndexFileError(f"cannot read {name}: {error.strerror}") from None
    except ValueError as error:  # a null in the path
        raise IndexFileError(f"cannot read {name!r}: {error}") from None
    try:
        mapped = _mapped(name, file)
    except OSError as error:
        raise IndexFileError(f"cannot read {name}: {error.strerror}") from None
    if check:
        mapped.verify()
    return mapped


def _mapped(path: str, file: int) -> MappedFile:
    """Return the open file; `file` is closed with it, or before an error is raised."""
    try:
        status = _settled(path, file)
        description = decode(path, status.st_size, lambda count, at: os.pread(file, count, at))
        try:
            mapping = mmap.mmap(file, status.st_size, mmap.MAP_SHARED, mmap.PROT_READ)
        except ValueError:  # shorter than it was a moment ago
            raise _being_written(path) from None
        in_huge_pages(mapping)
    except BaseException:
        os.close(file)
        raise
    return MappedFile(path, description, mapping, file, status)


def _settled(path: str, file: int) -> os.stat_result:
    """Return what fstat says once any later change of the file would change that."""
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no ordinary file"
        raise IndexFileError(f"cannot open {path}: it is {kind}. Give the path of an index file")
    age = time.time_ns() - status.st_mtime_ns
    if 0 <= age < TICK:
        time.sleep((TICK - age) / 1e9)
        again = os.fstat(file)
        if (again.st_size, again.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
            raise _being_written(path)
    return status


def _being_written(path: str) -> IndexFileError:
    return IndexFileError(
        f"cannot open {path}: it is being written at this moment. Replace index files by "
        "renaming, as save does"
    )
