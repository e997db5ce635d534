"""Writes a block file: whole from arrays, from arrays made in it, or in pieces for encryption.

It is in its place whole, or what was there before still is.
"""

from __future__ import annotations

import mmap
import os
from math import prod
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np
import xxhash

from hashmatch._files.atomic import writing
from hashmatch._files.block_format import (
    DTYPES,
    PAGE,
    Block,
    Description,
    encode,
    end_of,
    padded,
    refuse_big_endian,
)
from hashmatch._files.huge_pages import in_huge_pages
from hashmatch.errors import IndexFileError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import DTypeLike, NDArray

    from hashmatch._files.block_format import Dtype

    Blocks = Sequence[tuple[str, NDArray[Any]]]
    Kind = tuple[str, np.dtype[Any], tuple[int, ...], str]

CHUNK = 1 << 24
"""Bytes read or written at once; so many are in memory more than once."""


class FileArena:
    """The part of a new file where arrays are made, behind one page for its header.

    The file, a descriptor open for reading and writing, is empty at first. What was written to
    arrays is forgotten by this process with `rest`, and stays in the file: so that one part after
    the other is in memory, and never all. ``kinds`` are their dtypes and shapes, in the order in
    which they lie.
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
        in_huge_pages(mapping)
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
        if size:  # a page that the disk turns out to have no space for would end the process
            os.posix_fallocate(self._file, begin, size)
        self._end += size
        return begin


def write_at(file: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of some bytes, at most as many at once as Ctrl-C can wait for."""
    view, done = memoryview(data), 0
    while done < len(view):
        done += os.pwrite(file, view[done : done + 4 * CHUNK], offset + done)


def write(
    path: str | os.PathLike[str],
    description: Description,
    blocks: Blocks,
    check: Callable[[], None] | None = None,
) -> None:
    """Write an index file, or leave the one that is there as it is.

    See `hashmatch._files.atomic`. It is readable by its owner only, since it holds a list's hashes.
    The description's own ``blocks`` are not looked at. Arrays are of whole numbers, with one or two
    dimensions, contiguous in C order. `check` is called when all was written and nothing is in its
    place yet: what it raises keeps it so. If the arrays are those of an open file, it is its
    `check_unchanged`.

    Raises UsageError for an array or a description that a file cannot hold, and IndexFileError if
    it cannot be written.
    """
    refuse_big_endian()
    _check(blocks)
    kinds = [(name, array.dtype, array.shape, _checksum(array)) for name, array in blocks]
    head, described, end = _header(description, kinds)
    with writing(os.fspath(path), error=IndexFileError) as file:
        write_at(file, head, 0)
        for block, (_, array) in zip(described, blocks, strict=True):
            write_at(file, _bytes(array), block.offset)
        # The filling after the last block; the zeros of the others are where nothing was put.
        os.ftruncate(file, end)
        if check is not None:
            check()


def write_built(
    path: str | os.PathLike[str], build: Callable[[FileArena], tuple[Description, Sequence[str]]]
) -> None:
    """Write an index file as `write` does, its arrays being made where they are to lie.

    `build` is given the arena of the file and makes the arrays there; it returns what the file
    holds and the names of the arrays, in their order. What it raises leaves what was at `path`.
    """
    refuse_big_endian()
    with writing(os.fspath(path), error=IndexFileError) as file:
        arena = FileArena(file)
        description, names = build(arena)
        arena.rest()
        of_all = zip(names, arena.kinds, arena.checksums(), strict=True)
        kinds = [(name, *kind, checksum) for name, kind, checksum in of_all]
        head, _, end = _header(description, kinds)
        arena.make_way(len(head))
        write_at(file, head, 0)
        os.ftruncate(file, end)


def _check(blocks: Blocks) -> None:
    """Raise UsageError unless a file can hold these arrays."""
    for name, array in blocks:
        fits = array.dtype.name in DTYPES and array.dtype.isnative
        if not fits or array.ndim not in {1, 2} or not array.flags.c_contiguous:
            raise UsageError(
                f"cannot write block {name}: it is {array.dtype} {array.shape}. Give "
                "contiguous arrays of whole numbers with one or two dimensions"
            )


def _header(
    description: Description, kinds: Sequence[Kind]
) -> tuple[bytes, tuple[Block, ...], int]:
    """Return the first bytes of a file, where its blocks go, and where it ends."""
    length = PAGE
    while True:  # the header is longer if its offsets are, and they are if it is
        described, offset = [], length
        for name, dtype, shape, checksum in kinds:
            size = prod(shape) * dtype.itemsize
            of_array = cast("Dtype", dtype.name)
            described.append(Block(name, of_array, shape, offset, size, checksum))
            offset += padded(size)
        whole = msgspec.structs.replace(description, blocks=tuple(described))
        try:
            head, end = encode(whole), end_of(whole, length)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
            raise UsageError(f"cannot write that description into an index file: {error}") from None
        if len(head) == length:
            return head, whole.blocks, end
        length = len(head)


def _bytes(array: NDArray[Any]) -> memoryview:
    return memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def _checksum(array: NDArray[Any]) -> str:
    total = xxhash.xxh3_64(_bytes(array))
    total.update(bytes(padded(array.nbytes) - array.nbytes))
    return total.hexdigest()


def in_pieces(description: Description, blocks: Blocks) -> Iterator[bytes | memoryview]:
    """Yield the bytes that `write` would write, one after the other."""
    _check(blocks)
    kinds = [(name, array.dtype, array.shape, _checksum(array)) for name, array in blocks]
    head, _, _ = _header(description, kinds)
    yield head
    for _, array in blocks:
        yield _bytes(array)
        yield bytes(padded(array.nbytes) - array.nbytes)
