"""What each byte of an index file is.

Whole numbers are little-endian, everything begins at a multiple of 4096 bytes, and nothing is
executable. A checksum is the XXH3 of 64 bits, without seed (github.com/Cyan4973/xxHash,
doc/xxhash_spec.md); it finds accidents, and is no signature.

=========  ==========================================================================
bytes      what is there
=========  ==========================================================================
0 to 7     ``89 48 4d 49 4e 44 45 58``: no ASCII, then "HMINDEX"
8 to 11    uint32, the format version: 1. Other versions may differ in all that follows
12 to 15   uint32, n: how long the header is
16 to 15+n the header: JSON in UTF-8, filled up with spaces
16+n, 8    uint64, checksum of all bytes before it; 24+n is a multiple of 4096
24+n       the blocks, in the header's order, each filled up with zeros to a multiple of
           4096 bytes; nothing follows the last
=========  ==========================================================================

The header is an object of the members of `Description`. Of each block it has the ``name``; the
``dtype`` of its elements, as numpy names it; the ``shape``, one or two numbers, the last dimension
varying fastest; ``offset``, its first byte in the file; ``length`` in bytes without the filling;
and ``checksum``, 16 hexadecimal digits, of its bytes with the filling.
"""

from __future__ import annotations

import struct
import sys
from math import prod
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import numpy as np
import xxhash

from hashmatch.errors import IndexFileError
from hashmatch.records.hashes import HashSpec  # noqa: TC001 - msgspec reads the annotation
from hashmatch.records.typed import from_json

if TYPE_CHECKING:
    from collections.abc import Callable

MAGIC = b"\x89HMINDEX"
FORMAT = 1
PAGE = 4096
PREFIX = struct.Struct("<8sII")
CHECKSUM = struct.Struct("<Q")
LONGEST_HEADER = 1 << 24
"""Bytes; upper bound on the header, read before any field is validated. A block takes about 150."""

DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
Dtype = Literal["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]


class Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One array of the file."""

    name: Name
    dtype: Dtype
    shape: Annotated[tuple[Size, ...], msgspec.Meta(min_length=1, max_length=2)]
    offset: Size
    length: Size
    checksum: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]


class Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of an index: which blocks it is made of, and what else its kernels want to know.

    ``limit`` is the largest distance in bits that its tables answer, None for any. ``blocks`` maps
    what a block is to the segment, ``"words"`` say, to the block's name in the file.
    """

    limit: int | None
    blocks: dict[str, Name]
    facts: dict[str, int | float | str] = {}


class Description(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an index file holds, without the arrays.

    ``snapshot`` names the state of the list, ``decode_policy`` how the pictures behind it were
    read, where that is known, and ``hashmatch`` is the version that made the file. ``blocks`` is
    filled in when it is written.
    """

    spec: HashSpec
    snapshot: str
    decode_policy: str | None
    hashmatch: str
    segments: tuple[Segment, ...] = ()
    facts: dict[str, int | float | str] = {}
    blocks: tuple[Block, ...] = ()


def padded(length: int) -> int:
    """Return the next multiple of 4096 bytes."""
    return -(-length // PAGE) * PAGE


def refuse_big_endian() -> None:
    """Raise IndexFileError where the arrays of a file are no arrays of the machine."""
    if sys.byteorder != "little":
        raise IndexFileError(
            "cannot use index files: they are little-endian, and this machine is big-endian"
        )


def encode(description: Description) -> bytes:
    """Return the first bytes of a file, up to its first block.

    Raises MsgspecError, TypeError or ValueError if `decode` would refuse the description, or read
    it otherwise.
    """
    text = msgspec.json.encode(description)
    fixed = PREFIX.size + CHECKSUM.size
    text = text.ljust(padded(len(text) + fixed) - fixed)
    if len(text) > LONGEST_HEADER:
        raise ValueError(f"a header of {len(text)} bytes")
    if from_json(text, Description) != description:
        raise ValueError("JSON does not keep it as it is")
    head = PREFIX.pack(MAGIC, FORMAT, len(text)) + text
    return head + CHECKSUM.pack(xxhash.xxh3_64_intdigest(head))


def decode(path: str, size: int, read: Callable[[int, int], bytes]) -> Description:
    """Return what a file says that it holds, once all of that is found to fit together.

    `path` is for the messages, `size` the bytes of the whole file. `read` is given how many bytes
    and where, and returns them; fewer at the end of the file. Raises IndexFileError if it is no
    index file, or not all there, or not as it was written.
    """
    if size == 0:
        raise IndexFileError(
            f"cannot open {path}: it is empty. Build the index file again, or copy it again"
        )
    start = read(PREFIX.size, 0)
    if start[: len(MAGIC)] != MAGIC[: len(start)]:
        raise IndexFileError(
            f"cannot open {path}: it is not an index file of hashmatch. Give the path of one that "
            "HashIndex.save wrote"
        )
    if len(start) < PREFIX.size:
        raise truncated(path, f"at least {PAGE}", size)
    _, version, length = PREFIX.unpack(start)
    if version != FORMAT:
        raise IndexFileError(
            f"cannot open {path}: it is an index file of format {version}, and this version of "
            f"hashmatch reads format {FORMAT}. Build the file again with this version"
        )
    end = PREFIX.size + length + CHECKSUM.size
    if end % PAGE or length > LONGEST_HEADER:
        raise damaged(path, "its header")
    head = read(end, 0)
    if len(head) < end:
        raise truncated(path, f"at least {end}", size)
    if CHECKSUM.pack(xxhash.xxh3_64_intdigest(head[: -CHECKSUM.size])) != head[-CHECKSUM.size :]:
        raise damaged(path, "its header")
    try:
        description = from_json(head[PREFIX.size : -CHECKSUM.size], Description)
        expected = end_of(description, end)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise IndexFileError(
            f"cannot open {path}: its header makes no sense ({reason}). Build the index file again"
        ) from None
    if size < expected:
        raise truncated(path, str(expected), size)
    if size > expected:
        raise IndexFileError(
            f"cannot open {path}: it is damaged: it has {size} bytes, and {expected} belong to "
            "it. Build it again, or copy it again"
        )
    return description


def end_of(description: Description, start: int) -> int:
    """Return how long a file is whose blocks begin at `start`; ValueError if they do not fit."""
    names = [block.name for block in description.blocks]
    if len(set(names)) < len(names):
        raise ValueError("two blocks of one name")
    for segment in description.segments:
        if not set(segment.blocks.values()) <= set(names):
            raise ValueError("a segment of blocks that are not there")
    starts = [start]
    for block in description.blocks:
        if block.length != prod(block.shape) * np.dtype(block.dtype).itemsize:
            raise ValueError("a block that is not as long as its shape")
        starts.append(starts[-1] + padded(block.length))
    if [block.offset for block in description.blocks] != starts[:-1]:
        raise ValueError("a block that is not where the one before it ends")
    return starts[-1]


def truncated(path: str, expected: str, size: int) -> IndexFileError:
    """Return the error for a file that ends too early."""
    return IndexFileError(
        f"cannot open {path}: it is truncated: it has {size} bytes of {expected}. Build it "
        "again, or copy it again"
    )


def damaged(path: str, what: str) -> IndexFileError:
    """Return the error for a file that is not as it was written."""
    return IndexFileError(
        f"cannot open {path}: it is damaged in {what}: a bit changed on the disk, or it was "
        "written over. Build it again, or copy it again"
    )
