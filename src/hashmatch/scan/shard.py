"""Splits a source among jobs that know nothing of each other: a part of it, chosen by its keys."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING

from hashmatch.errors import UsageError
from hashmatch.interfaces import passed_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.interfaces import Source
    from hashmatch.records.images import ImageItem


def parse_shard(text: str) -> tuple[int, int]:
    """Return the number of a shard, from 0, and how many there are.

    Raises UsageError if `text` is not like ``0/7``, or names a shard that there is not.

    Examples
    --------
    >>> parse_shard("2/7")
    (2, 7)
    """
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
    if found is None or not int(found[1]) < int(found[2]):
        raise UsageError(f"cannot use {text!r} as a shard. Give i/n with i from 0 to n-1, as 0/7")
    return int(found[1]), int(found[2])


def shard_of(key: str, count: int) -> int:
    """Return in which of `count` shards the item called `key` is: always, everywhere the same.

    The remainder of the first 8 bytes of BLAKE2b (RFC 7693) of the key in UTF-8, big end first.

    Examples
    --------
    >>> shard_of("profiles/000123.jpg", 7)
    1
    """
    digest = blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count


class Shard:
    """One part of a source; all of them together are the source, and no two have an item in common.

    A source in itself, in the same order and with the same positions. Each shard lists the whole
    source, and reads its own part of it.

    Parameters
    ----------
    source : Source
        What is split.
    index, count : int
        Which part it is, from 0, and of how many.

    Attributes
    ----------
    whole : Source
        What is split.
    parts : int
        Of how many this is one.

    Examples
    --------
    >>> from hashmatch.testing import MemorySource
    >>> whole = MemorySource({f"{name}.jpg": b"" for name in "abcd"}, "public_post")
    >>> [[item.key for item in Shard(whole, index, 2).items()] for index in range(2)]
    [['b.jpg', 'c.jpg'], ['a.jpg', 'd.jpg']]
    """

    def __init__(self, source: Source, index: int, count: int) -> None:
        self._index, self.parts = parse_shard(f"{index}/{count}")
        self.whole = source

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        """Yield the items of this part; see `hashmatch.interfaces.Source.items`.

        Parameters
        ----------
        after : str, optional
            The position of an item; those behind it are listed.
        """
        for item in self.whole.items(after):
            if shard_of(item.key, self.parts) == self._index:
                yield item

    def identity(self) -> str:
        """Return that of the whole source, and which part this is."""
        return f"{self.whole.identity()} shard={self._index}/{self.parts}"

    def read(self, item: ImageItem) -> bytes:
        """Return the content of an item; see `hashmatch.interfaces.Source.read`.

        Parameters
        ----------
        item : ImageItem
            Of this part.
        """
        return self.whole.read(item)

    @property
    def passed_over(self) -> dict[str, int]:
        """What the whole source has passed over: no shard's own."""
        return passed_over(self.whole)

    def count(self) -> None:
        """Return None: only listing would tell."""

    def close(self) -> None:
        """Close the whole source."""
        self.whole.close()
