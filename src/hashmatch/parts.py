"""The parts of an index: entries that were added together, and those with a wider limit apart."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch.answers import MOST, in_blocks
from hashmatch.pairs import Pairs
from hashmatch.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hashmatch.index_file.room import FileRoom

MERGED = 2**18
"""Entries of a part at most that is made of smaller ones: it takes some tenths of a second."""
NO_LIMIT = -1
"""In the place of an own limit."""


class Part(NamedTuple):
    """A segment, and what entries its rows are.

    Parameters
    ----------
    segment : Segment
    numbers : ndarray of uint32, shape (n,), optional
        The number of each row's entry, ascending; without it, the row itself.
    own : int
        The widest own limit of its entries, or `NO_LIMIT`.
    every : bool
        Whether every entry has one, so that it does not matter what a search asks for.
    """

    segment: Segment
    numbers: NDArray[np.uint32] | None
    own: int
    every: bool = False

    def reach(self, limit: int) -> int:
        """Return how far any of its entries may be from a query, if `limit` bits are asked for."""
        return self.own if self.every else max(limit, self.own)

    def entries(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of the entries that some rows are."""
        return rows if self.numbers is None else self.numbers[rows].astype(np.int64)

    def numbered(self, pairs: Pairs) -> Pairs:
        """Return pairs with rows of the segment as pairs with numbers of entries."""
        return pairs if self.numbers is None else pairs._replace(entry=self.entries(pairs.entry))

    def live(self, gone: NDArray[np.bool_] | None) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return the hashes of entries that were not removed, and their numbers."""
        numbers = self.entries(np.arange(len(self.segment.words)))
        if gone is None:
            return self.segment.words, numbers
        kept = np.flatnonzero(~gone[numbers])
        words = self.segment.words[kept]
        words.flags.writeable = False
        return words, numbers[kept]


def divide(
    words: NDArray[np.uint64],
    first: int,
    own: NDArray[np.int16] | None,
    bits: int,
    limit: int | None,
    room: FileRoom | None = None,
) -> Iterator[Part]:
    """Yield the parts of hashes whose numbers begin at `first`.

    One with all entries whose own limit is no wider than usual, and one for each wider limit. One
    entry with a limit of 256 bits would otherwise have every question answered with all entries, of
    which all but one are then too far.

    Parameters
    ----------
    words : ndarray of uint64, shape (n, w)
    first : int
    own : ndarray of int16, shape (n,), optional
        Own limits, `NO_LIMIT` where there is none.
    bits : int
        Of a hash.
    limit : int, optional
        For entries without their own.
    room : FileRoom, optional
        Where the arrays of each part are to be written, in its turn.
    """
    if own is None or not len(words) or own.max() == NO_LIMIT:
        numbers = None if first == 0 else np.arange(first, first + len(words), dtype=np.uint32)
        yield Part(Segment.build(words, bits, limit, room), numbers, NO_LIMIT)
        return
    limits = np.where(own == NO_LIMIT, NO_LIMIT if limit is None else limit, own)
    usual = int(np.sort(limits)[len(limits) // 2])
    for wider in (usual, *np.unique(limits[limits > usual]).tolist()):
        rows = np.flatnonzero(limits <= usual if wider == usual else limits == wider)
        of_part = words[rows]
        of_part.flags.writeable = False
        built_for = None if wider == NO_LIMIT else wider
        numbers = (first + rows).astype(np.uint32)
        segment = Segment.build(of_part, bits, built_for, room)
        if room is not None:
            room.hold(numbers)
        yield Part(segment, numbers, int(own[rows].max()), bool((own[rows] != NO_LIMIT).all()))


def merge(
    parts: Sequence[Part], gone: NDArray[np.bool_] | None, bits: int, limit: int | None
) -> list[Part]:
    """Return fewer parts: of those that reach equally far, the last ones made one.

    While each is no larger than what follows it. So a list that grows by little and little keeps a
    number of parts like the logarithm of that. Large parts stay as they are, so that this takes
    time like the change.
    """
    by_reach: dict[int, list[Part]] = {}
    for part in parts:
        reach = part.reach(NO_LIMIT if limit is None else limit)
        alike = by_reach.setdefault(reach, [])
        alike.append(part)
        while len(alike) > 1 and _is_small(alike[-2], alike[-1]):
            other, one = alike.pop(), alike.pop()
            alike.append(_merged(one, other, gone, bits, None if reach == NO_LIMIT else reach))
    return [part for alike in by_reach.values() for part in alike]


def _is_small(one: Part, other: Part) -> bool:
    sizes = len(one.segment.words), len(other.segment.words)
    return sizes[0] <= sizes[1] and sum(sizes) <= MERGED


def _merged(
    one: Part, other: Part, gone: NDArray[np.bool_] | None, bits: int, limit: int | None
) -> Part:
    kept = [part.live(gone) for part in (one, other)]
    words = np.concatenate([words for words, _ in kept])
    words.flags.writeable = False
    numbers = np.concatenate([numbers for _, numbers in kept]).astype(np.uint32)
    segment = Segment.build(words, bits, limit)
    return Part(segment, numbers, max(one.own, other.own), one.every and other.every)


def joined(found: Sequence[Pairs]) -> Pairs:
    """Return the pairs that parts found as one, by query, then by entry."""
    if len(found) == 1:
        return found[0]
    return Pairs(*(np.concatenate(columns) for columns in zip(*found, strict=True))).in_order()


def pairs_among(
    parts: Sequence[Part], gone: NDArray[np.bool_] | None, limit: int
) -> Iterator[Pairs]:
    """Yield every two entries within `limit` bits, in parts that fit in memory.

    The lower number comes as the query.
    """
    for place, part in enumerate(parts):
        words, numbers = part.live(gone)
        for other in parts[place:]:
            search = partial(other.segment.search, limit=limit, room=MOST)
            for first, pairs in in_blocks(words, search):
                one, two = numbers[first + pairs.query], other.entries(pairs.entry)
                kept = one < two if other is part else np.ones(len(one), np.bool_)
                if gone is not None:
                    kept &= ~gone[two]
                lower, higher = np.minimum(one, two), np.maximum(one, two)
                yield Pairs(lower, higher, pairs.distance).where(kept).in_order()
