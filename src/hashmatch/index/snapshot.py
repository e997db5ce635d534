"""One state of an index: its parts, the limits of entries, which were removed, and its name.

A part has entries that were added together; those with a wider limit are apart.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hashmatch.errors import UsageError
from hashmatch.index.arguments import text_of
from hashmatch.index.chunking import MOST, in_blocks
from hashmatch.index.segment import Segment
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import Opaque
from hashmatch.records.matches import NOTHING, Matches, Pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from hashmatch._files.block_reader import MappedFile
    from hashmatch._files.block_writer import FileArena
    from hashmatch.records.hashes import HashBatch, HashSpec

MERGED = 2**18
"""Entries of a part at most that is made of smaller ones: it takes some tenths of a second."""
NO_LIMIT = -1
"""In the place of an own limit."""


class Part(NamedTuple):
    """A segment, and what entries its rows are.

    `numbers`, shape (n,), has the number of each row's entry, ascending but for entries that were
    removed; without it, that is the row itself. `own` is the widest own limit of its entries, or
    `NO_LIMIT`; `every` is whether every entry has one, so that it does not matter what a search
    asks for.
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
        numbers = self.entries(np.arange(self.segment.count))
        if gone is None:
            return self.segment.words(), numbers
        kept = np.flatnonzero(~gone[numbers])
        return self.segment.words(kept), numbers[kept]


def divide(
    words: NDArray[np.uint64],
    first: int,
    own: NDArray[np.int16] | None,
    bits: int,
    limit: int | None,
    arena: FileArena | None = None,
) -> Iterator[Part]:
    """Yield the parts of hashes whose numbers begin at `first`.

    One with all entries whose own limit is no wider than usual, and one for each wider limit. One
    entry with a limit of 256 bits would otherwise have every question answered with all entries, of
    which all but one are then too far.

    `words` has shape (n, w); `own`, shape (n,), has own limits, `NO_LIMIT` where there is none, and
    `limit` is for entries without. The arrays of each part are written to the `arena`, in its turn.
    """
    if own is None or not len(words) or own.max() == NO_LIMIT:
        numbers = None if first == 0 else np.arange(first, first + len(words), dtype=np.uint32)
        yield Part(Segment.build(words, bits, limit, arena), numbers, NO_LIMIT)
        return
    limits = np.where(own == NO_LIMIT, NO_LIMIT if limit is None else limit, own)
    usual = int(np.sort(limits)[len(limits) // 2])
    for wider in (usual, *np.unique(limits[limits > usual]).tolist()):
        rows = np.flatnonzero(limits <= usual if wider == usual else limits == wider)
        of_part = words[rows]
        of_part.flags.writeable = False
        built_for = None if wider == NO_LIMIT else wider
        numbers = (first + rows).astype(np.uint32)
        segment = Segment.build(of_part, bits, built_for, arena)
        if arena is not None:
            arena.hold(numbers)
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
    sizes = one.segment.count, other.segment.count
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
            search = partial(other.segment.search, limit=limit, max_pairs=MOST)
            for first, pairs in in_blocks(words, search):
                one, two = numbers[first + pairs.query], other.entries(pairs.entry)
                kept = one < two if other is part else np.ones(len(one), np.bool_)
                if gone is not None:
                    kept &= ~gone[two]
                lower, higher = np.minimum(one, two), np.maximum(one, two)
                yield Pairs(lower, higher, pairs.distance).where(kept).in_order()


LONGEST = 2**15 - 8
"""Bits of a hash that can be indexed, so that limits take two bytes each."""
MOST_NUMBERS = 2**32
"""Of entries, those removed included: a number takes four bytes."""


@dataclass(frozen=True, eq=False, repr=False)
class Snapshot(Opaque):
    """What an index holds at some time.

    `limit`, for entries without their own, is what the parts were built for, in bits. By number of
    entry, shape (following,): `own` has limits of entries or of their list, `NO_LIMIT` where there
    is none; `gone` says which were removed. The next entry gets the number `following`. `file` is
    where its arrays are, or those of the state that it was made from.

    ``plain`` is the one segment whose rows are its entries, if all are there and have the same
    limit; ``nothing`` the answer without a match.
    """

    spec: HashSpec
    name: str
    parts: tuple[Part, ...]
    limit: int | None
    own: NDArray[np.int16] | None
    gone: NDArray[np.bool_] | None
    following: int
    file: MappedFile | None = None
    plain: Segment | None = field(init=False)
    nothing: Matches = field(init=False)

    def __post_init__(self) -> None:
        part = self.parts[0]
        whole = self.own is None and self.gone is None and part.numbers is None
        # Cached properties would take a twentieth of a search to be looked up.
        plain = part.segment if whole and len(self.parts) == 1 else None
        object.__setattr__(self, "plain", plain)
        object.__setattr__(self, "nothing", Matches(*NOTHING, NOTHING.query, self.name))

    def check(self) -> None:
        """Raise IndexFileError if what was searched is no longer what was opened."""
        if self.file is not None:
            self.file.check_unchanged()

    @classmethod
    def build(
        cls,
        hashes: HashList | HashBatch,
        limit: int | None,
        name: str | None,
        arena: FileArena | None = None,
    ) -> Snapshot:
        """Return the first state of an index; see `HashIndex.build` and `build_file`."""
        if hashes.spec.bits > LONGEST:
            raise UsageError(f"cannot build an index of {hashes.spec}: its hashes are too long")
        words, own = words_and_limits(hashes)
        parts = tuple(divide(words, 0, own, hashes.spec.bits, limit, arena))
        if arena is not None and own is not None:
            arena.hold(own)
        return cls(hashes.spec, name_of(hashes, name), parts, limit, own, None, len(words))

    def changed(
        self, added: HashList | HashBatch, removed: ArrayLike, name: str | None
    ) -> Snapshot:
        """Return the next state; see `HashIndex.with_changes`."""
        words, own = words_and_limits(added)
        following = self.following + len(words)
        if following > MOST_NUMBERS:
            raise UsageError(
                "cannot add these entries: there are no numbers left for them. Build the index "
                "again"
            )
        if own is not None or self.own is not None:
            of_all = np.full(following, NO_LIMIT, np.int16)
            of_all[: self.following] = NO_LIMIT if self.own is None else self.own
            of_all[self.following :] = NO_LIMIT if own is None else own
            own_of_all: NDArray[np.int16] | None = of_all
        else:
            own_of_all = None
        gone = self._without(removed, following)
        parts = list(self.parts)
        if len(words):
            parts += divide(words, self.following, own, self.spec.bits, self.limit)
            parts = merge(parts, gone, self.spec.bits, self.limit)
        return Snapshot(
            self.spec, name_of(added, name), tuple(parts), self.limit, own_of_all, gone, following,
            self.file,
        )  # fmt: skip

    def without(self, removed: ArrayLike) -> Snapshot:
        """Return the state without some entries, numbered anew; see `HashIndex.without`."""
        gone = self._without(removed, self.following)
        if gone is None:
            return self
        # What is gone is numbered after all that are there, and so asked for by nobody.
        order = np.argsort(gone, kind="stable")
        numbers = np.empty(len(order), np.uint32)
        numbers[order] = np.arange(len(order), dtype=np.uint32)
        parts = tuple(
            part._replace(
                numbers=numbers[: part.segment.count]
                if part.numbers is None
                else numbers[part.numbers]
            )
            for part in self.parts
        )
        own = None if self.own is None else self.own[order]
        return replace(self, parts=parts, own=own, gone=gone[order])

    def find(self, words: NDArray[np.uint64], limit: int) -> Pairs | None:
        """Return every pair near enough, by query, then by entry; None if they are too many."""
        found = []
        for part in self.parts:
            pairs = part.segment.search(words, part.reach(limit), MOST)
            if pairs is None:
                return None
            found.append(self._kept(part.numbered(pairs), limit))
        return joined(found)

    def _kept(self, pairs: Pairs, limit: int) -> Pairs:
        """Return the pairs whose entry is there still, and within its own limit."""
        if self.gone is not None:
            pairs = pairs.where(~self.gone[pairs.entry])
        if self.own is not None:
            pairs = pairs.where(pairs.distance <= self.limits(pairs.entry, limit))
        return pairs

    def nearest(self, words: NDArray[np.uint64], count: int, limit: int) -> Pairs:
        """Return the `count` entries nearest to each query, and more of each part maybe."""
        found = []
        for part in self.parts:
            gone = np.empty(0, np.bool_)
            if self.gone is not None:
                rows = slice(part.segment.count) if part.numbers is None else part.numbers
                gone = self.gone[rows]
            found.append(part.numbered(part.segment.nearest(words, count, limit, gone)))
        return joined(found)

    def limits(self, entries: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
        """Return the limit of each of some entries."""
        if self.own is None:
            limits = np.empty_like(entries)  # np.full takes as long as a search
            limits.fill(limit)
            return limits
        own = self.own[entries].astype(np.int64)
        return np.where(own == NO_LIMIT, limit, own)

    def _without(self, removed: ArrayLike, following: int) -> NDArray[np.bool_] | None:
        """Return which of the entries there are to be are gone."""
        try:
            rows = np.asarray(removed)
        except ValueError:  # rows of different lengths
            rows = np.empty(1, object)
        if not rows.size and self.gone is None:
            return None
        gone = np.zeros(following, np.bool_)
        if self.gone is not None:
            gone[: self.following] = self.gone
        if rows.size:
            if rows.ndim != 1 or rows.dtype.kind not in "iu":
                raise UsageError(
                    f"cannot remove a {type(removed).__name__}. Give the numbers of entries, "
                    "as [3, 17]"
                )
            for row in rows[(rows < 0) | (rows >= self.following)][:1].tolist():
                raise UsageError(
                    f"cannot remove entry {row}: there are only 0 to {self.following - 1}"
                )
            for row in rows[gone[rows]][:1].tolist():
                raise UsageError(f"cannot remove entry {row}: it was removed before")
            numbers, times = np.unique(rows, return_counts=True)
            for row in numbers[times > 1][:1].tolist():
                raise UsageError(f"cannot remove entry {row} twice. Give each number once")
            gone[rows] = True
        return gone

    @property
    def nbytes(self) -> int:
        """Bytes of all its arrays."""
        arrays: list[NDArray[Any] | None] = [self.own, self.gone]
        for part in self.parts:
            arrays += [part.segment.columns, part.numbers]
            if part.segment.tables is not None:
                arrays += [part.segment.tables.head, part.segment.tables.tables]
        clusters = [part.segment.clusters for part in self.parts]
        return sum(one.nbytes for one in [*arrays, *clusters] if one is not None)

    def __len__(self) -> int:
        return self.following - (0 if self.gone is None else int(self.gone.sum()))


def name_of(hashes: HashList | HashBatch, name: str | None) -> str:
    """Return `name`; without one, what a list calls itself, or something random.

    Not a digest of the hashes: anyone who reads that could test what a short list holds.
    """
    if name is not None:
        return text_of(name)
    if isinstance(hashes, HashList):
        return f"{hashes.name} {hashes.version}"
    return secrets.token_hex(8)


def words_and_limits(
    hashes: HashList | HashBatch,
) -> tuple[NDArray[np.uint64], NDArray[np.int16] | None]:
    """Return hashes, and the limits that they or their list have, if any has."""
    if not isinstance(hashes, HashList):
        return hashes.words, None
    unlimited = int(np.iinfo(np.int64).min)  # NO_LIMIT might be a limit that a list has in error
    limits, bits = hashes.limits(unlimited), hashes.spec.bits
    own = limits[limits != unlimited]
    if not len(own):
        return hashes.hashes.words, None
    if own.min() < 0 or own.max() > bits:
        raise UsageError(
            f"cannot use list {hashes.name}: its max_distance is not within 0 to {bits}"
        )
    return hashes.hashes.words, np.where(limits == unlimited, NO_LIMIT, limits).astype(np.int16)
