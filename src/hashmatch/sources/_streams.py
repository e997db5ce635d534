"""Items that come with their content; and listings sorted that are larger than memory."""

from __future__ import annotations

import heapq
import tempfile
from base64 import b64decode
from binascii import unhexlify
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import msgspec

from hashmatch.decode import limits
from hashmatch.records.images import ImageItem
from hashmatch.records.typed import json_decoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class HeldItem(ImageItem):
    """An item whose content was read when it was listed, and is let go of with it.

    `content` is None if it is larger than `hashmatch.decode.limits.MAX_BYTES`.
    """

    content: bytes | None = field(default=None, repr=False, compare=False)


def held(item: ImageItem) -> bytes | None:
    """Return the content that comes with `item`; None if it has to be read once more.

    ImageError, ``refused``, if it is too large to be read at all.
    """
    limits.check_bytes(item.size or 0)
    return item.content if isinstance(item, HeldItem) else None


_HEXADECIMAL = (rb"\x", b"0x", b"x'")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def written_picture(text: bytes) -> bytes | None:
    r"""Return the picture that is written as text in a list; None if `text` is no such thing.

    That is base64 (RFC 4648) of either alphabet, with padding and line breaks or without; a data
    URL (RFC 2397); or hexadecimal, as it is or as databases print it.

    Examples
    --------
    >>> [written_picture(text) for text in (b"R0l_ Rg==", b"data:;base64,R0l%2FRg", rb"\x4749")]
    [b'GI\x7fF', b'GI\x7fF', b'GI']
    >>> written_picture(b"photos/a.jpg") is None
    True
    """
    is_url = text.lstrip()[:5].lower() == b"data:"
    if is_url:
        head, comma, rest = text.partition(b",")
        text = unquote_to_bytes(rest)
        if not comma or not head.rstrip().lower().endswith(b"base64"):
            return text if comma else None
    text = b"".join(text.split())
    if not is_url:
        digits = text[2:].rstrip(b"'") if text[:2].lower() in _HEXADECIMAL else text
        with suppress(ValueError):
            return unhexlify(digits)
    text = text.translate(_URL_SAFE).rstrip(b"=")
    with suppress(ValueError):
        return b64decode(text + b"=" * (-len(text) % 4), validate=True)
    return None


#: How many are sorted in memory at a time: of objects of a bucket, about 30 MB.
RUN = 100_000

Row = tuple[str, str, int]
"""A key, by which rows are sorted, a version and a size."""


def in_order(rows: Iterable[Row], run: int = RUN) -> Iterator[Row]:
    """Yield `rows` in the order of their keys.

    No more than `run` of them are in memory; the others lie in a file that has no name, readable
    by nobody else, and gone when this ends.

    Examples
    --------
    >>> [key for key, _, _ in in_order([("c", "", 0), ("a", "", 0), ("b", "", 0)], run=2)]
    ['a', 'b', 'c']
    """
    remaining = iter(rows)
    first = sorted(islice(remaining, run))
    starts: list[int] = []
    with tempfile.TemporaryFile() as file:
        while more := sorted(islice(remaining, run)):
            starts.append(file.tell())
            file.writelines(msgspec.json.encode(row) + b"\n" for row in more)
        ends = [*starts[1:], file.tell()]
        runs = [_rows(file, start, end) for start, end in zip(starts, ends, strict=False)]
        yield from heapq.merge(first, *runs)


def _rows(file: IO[bytes], start: int, end: int) -> Iterator[Row]:
    """Yield the rows that lie between two places, some thousands read at a time."""
    decoder = json_decoder(Row)
    while start < end:
        file.seek(start)
        # Less by one: `readlines` goes on to the next line unless it is past what it is told.
        lines = file.readlines(min(2**18, end - start) - 1)
        start = file.tell()
        yield from map(decoder.decode, lines)
