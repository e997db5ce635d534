"""A block file of which arrays are read when they are asked for, from the disk or from memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from hashmatch.errors import StoreError
from hashmatch.index_file.layout import Description, decode
from hashmatch.records.hashes import Opaque

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Read = Callable[[int, int], bytes | memoryview]

LOADED = 1 << 26
"""Bytes that are read at once."""


class OpenFile(Opaque):
    """An open file that is closed with its last user. It must not change while it is open.

    Parameters
    ----------
    path : str
        For messages.
    file : int
        Its descriptor, which is taken over.
    """

    def __init__(self, path: str, file: int) -> None:
        self.path, self.file = path, file
        self._found = self._stamp()
        self.size = os.fstat(file).st_size

    def _stamp(self) -> tuple[int, ...]:
        found = os.fstat(self.file)
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def __call__(self, count: int, offset: int) -> bytes:
        """Return some bytes, fewer at the end of the file; StoreError if it was changed."""
        try:
            data = os.pread(self.file, count, offset)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}") from None
        size, modified, _ = self._stamp()
        if (size, modified) != self._found[:2]:
            raise StoreError(f"{self.path} was written over while it was in use; open it again")
        return data

    def __del__(self) -> None:
        os.close(self.file)


class BlockFile(Opaque):
    """The arrays of a file.

    Parameters
    ----------
    path : str
        For messages.
    size : int
        Of the file, in bytes.
    read : callable
        Given how many bytes and where, returns them.

    Raises
    ------
    IndexFileError
        If it is no block file, or not all there.
    """

    def __init__(self, path: str, size: int, read: Read) -> None:
        self.path = path
        self.description: Description = decode(path, size, lambda n, at: bytes(read(n, at)))
        self._read = read
        self._blocks = {block.name: block for block in self.description.blocks}

    def load(self, name: str, first: int = 0, last: int | None = None) -> NDArray[Any]:
        """Return the rows of an array from `first` to before `last`."""
        block = self._blocks[name]
        dtype = np.dtype(block.dtype)
        first, last, _ = slice(first, last).indices(block.shape[0])
        array = np.empty((max(0, last - first), *block.shape[1:]), dtype)
        width = dtype.itemsize * (block.shape[1] if len(block.shape) > 1 else 1)
        if not array.nbytes:
            return array
        view = memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        offset = block.offset + first * width
        done = 0
        while done < len(view):
            data = self._read(min(LOADED, len(view) - done), offset + done)
            if not data:
                raise StoreError(f"{self.path} ends too early; restore it")
            view[done : done + len(data)] = data
            done += len(data)
        return array

    def column(self, name: str) -> StoredColumn:
        """Return an array of one dimension, of which only slices are read."""
        return StoredColumn(self, name, self._blocks[name].shape[0])


class StoredColumn(Opaque):
    """An array of one dimension in a file."""

    def __init__(self, file: BlockFile, name: str, length: int) -> None:
        self._file, self._name, self._length = file, name, length

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        first, last, step = rows.indices(self._length)
        return self._file.load(self._name, first, last)[::step]

    def __len__(self) -> int:
        return self._length
