"""Room for the arrays of an index in the file that is to hold them, taken one after the other."""

from __future__ import annotations

import mmap
import os
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from hashmatch.index_file.layout import PAGE, padded

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

CHUNK = 1 << 24
"""Bytes read or written at once; so many are in memory more than once."""


class FileRoom:
    """Where arrays lie that are made in a new file, behind one page for its header.

    What was written to them is forgotten by this process with `rest`, and stays in the file: so
    that one part after the other is in memory, and never all.

    Parameters
    ----------
    file : int
        The descriptor of an empty file, open for reading and writing.

    Attributes
    ----------
    kinds : list of (dtype, shape)
        Of the arrays, in the order in which they lie.
    """

    def __init__(self, file: int) -> None:
        self._file, self._end = file, PAGE
        self._begins: list[int] = []
        self._mapped: list[mmap.mmap] = []
        self.kinds: list[tuple[np.dtype[Any], tuple[int, ...]]] = []

    def hold(self, array: NDArray[Any]) -> NDArray[Any]:
        """Write an array that is there already, and return it as it is."""
        begin = self._take(array.dtype, array.shape)
        data = memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        for at in range(0, len(data), CHUNK):
            write_at(self._file, data[at : at + CHUNK], begin + at)
        return array

    def new(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return zeros that lie in the file, to be written to."""
        kind = np.dtype(dtype)
        begin, size = self._take(kind, shape), prod(shape) * kind.itemsize
        if not size:
            return np.zeros(shape, kind)
        mapping = mmap.mmap(self._file, size, mmap.MAP_SHARED, offset=begin)
        self._mapped.append(mapping)
        return np.ndarray(shape, kind, mapping)

    def rest(self) -> None:
        """Let go of the memory of what was written so far; the file keeps it."""
        for mapping in self._mapped:
            if hasattr(mmap, "MADV_DONTNEED"):
                mapping.madvise(mmap.MADV_DONTNEED)  # of a shared mapping nothing is lost

    def checksums(self) -> list[str]:
        """Return the checksum of each array with its filling, as the file has it."""
        ends = [*self._begins[1:], self._end]
        sums = []
        for begin, end in zip(self._begins, ends, strict=True):
            total = xxhash.xxh3_64()
            for at in range(begin, end, CHUNK):
                total.update(os.pread(self._file, min(CHUNK, end - at), at))
            sums.append(total.hexdigest())
        return sums

    def make_way(self, header: int) -> None:
        """Move the arrays to where a header of so many bytes ends."""
        further = header - PAGE
        if not further:
            return
        for end in range(self._end, PAGE, -CHUNK):
            begin = max(PAGE, end - CHUNK)
            write_at(self._file, os.pread(self._file, end - begin, begin), begin + further)

    def _take(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
        begin, size = self._end, padded(prod(shape) * dtype.itemsize)
        self._begins.append(begin)
        self.kinds.append((dtype, shape))
        if size:  # a page that the disk turns out to have no room for would end the process
            os.posix_fallocate(self._file, begin, size)
        self._end += size
        return begin


def write_at(file: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of some bytes, at most as many at once as Ctrl-C can wait for."""
    view, done = memoryview(data), 0
    while done < len(view):
        done += os.pwrite(file, view[done : done + 4 * CHUNK], offset + done)
