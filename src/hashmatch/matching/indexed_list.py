"""One list ready to be searched, and the entries of it that are near hashes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import UNSET

from hashmatch.errors import TooManyMatches
from hashmatch.hashing.variants import level_of
from hashmatch.index.hash_index import HashIndex
from hashmatch.records.entries import Entry
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.records.matches import Matches
from hashmatch.records.review import ExpectedFalse, RecordMatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from msgspec import UnsetType
    from numpy.typing import NDArray

    from hashmatch.records.entries import Limit
    from hashmatch.records.enums import Level
    from hashmatch.records.hash_list import HashList


class Hit(NamedTuple):
    """An entry within its limit of a query. The closest sorts first, then by list and entry.

    Closeness is the share of differing bits, which can be compared between kinds of hash. The list
    never is, since no two hits are of one entry.
    """

    share: float
    number: int
    entry: int
    distance: int
    query: int
    known: IndexedList


@dataclass(frozen=True, eq=False, slots=True)
class IndexedList(Opaque):
    """A list ready to be searched.

    `number` is its place among the lists that are searched together, `default` for entries that
    have no limit of their own or of their list, `key` what references to entries without an id are
    made with, `expected` how many harmless pictures match it, if it was calibrated. `wider` are the
    limits of what some levels ask, instead of `default`.
    """

    number: int
    known: HashList
    index: HashIndex
    default: Limit
    key: bytes = field(repr=False)
    expected: ExpectedFalse | UnsetType = UNSET
    wider: Mapping[Level, Limit] = field(default_factory=dict)

    def near(self, hashes: HashBatch, levels: Sequence[Level] | None = None) -> Matches:
        """Return each entry near any of `hashes` once, closest first, by the closest of them.

        Of equally close hashes it is the first. Where `levels` says which level asks each hash,
        those of a level in `wider` have its limit.
        """
        if levels is None:
            found = self._within(hashes, self.default.bits, None)
        else:
            by_limit = self.by_limit(len(hashes), levels)
            found = Matches.concatenate([self._within(hashes, *some) for some in by_limit])
        if not len(found.entry):
            return found
        if len(hashes) > 1:
            found = each_entry_once(found)
        return found.where(np.argsort(found.distance, kind="stable"))

    def by_limit(
        self, count: int, levels: Sequence[Level] | None
    ) -> list[tuple[int, NDArray[np.int64] | None]]:
        """Return each limit in bits, and which of `count` hashes have it; None stands for all."""
        if levels is None:
            return [(self.default.bits, None)]
        bits = np.array([self.wider.get(level, self.default).bits for level in levels])
        return [(int(limit), np.flatnonzero(bits == limit)) for limit in np.unique(bits)]

    def _within(self, hashes: HashBatch, limit: int, some: NDArray[np.int64] | None) -> Matches:
        """Return the entries within `limit` of `some` of `hashes`, or of all."""
        batch = hashes if some is None else HashBatch(hashes.spec, hashes.words[some])
        try:
            found = self.index.search(batch, limit)
        except TooManyMatches:  # pairs, to be held at once; each entry once is fewer
            parts = self.index.stream(batch, limit)
            found = next(parts)
            for part in parts:
                found = Matches.concatenate([each_entry_once(found), part])
        return found if some is None else replace(found, query=some[found.query])

    def hits(self, found: Matches) -> Iterator[Hit]:
        """Yield what a search of `index` found, row by row."""
        bits = self.known.spec.bits
        columns = found.distance.tolist(), found.entry.tolist(), found.query.tolist()
        for distance, entry, query in zip(*columns, strict=True):
            yield Hit(distance / bits, self.number, entry, distance, query, self)

    def match(
        self,
        number: int,
        distance: int,
        variant: str | UnsetType = UNSET,
        frame: int | UnsetType = UNSET,
    ) -> RecordMatch:
        """Return what a record says of an entry, so many bits from a hash."""
        known, entry = self.known, self.known.entries[number]
        default = self.default
        if self.wider and variant is not UNSET:
            default = self.wider.get(level_of(variant), default)
        limit = known.limit_of(entry, default)
        return RecordMatch(
            list=known.name,
            list_version=known.version,
            entry=known.reference(number, self.key, entry),
            algorithm=known.spec.algorithm,
            distance=distance,
            max_distance=limit.bits,
            max_distance_from=limit.set_by,
            labels=entry.labels,
            sources=entry.sources,
            variant=variant,
            frame=frame,
            calibration=self.expected,
        )


def each_entry_once(found: Matches) -> Matches:
    """Return of each entry the closest pair, the first of equal ones, by entry."""
    order = np.lexsort((found.distance, found.entry))
    entry = found.entry[order]
    return found.where(order[np.diff(entry, prepend=-1) > 0])


def index_list(
    number: int,
    known: HashList,
    default: Limit,
    key: bytes | None,
    variants: Level = "none",
    min_quality: int | None = None,
    wider: Mapping[Level, Limit] = MappingProxyType({}),
) -> IndexedList:
    """Return a list with the index that it has, or one that is built; `key` by default its own.

    With limits beyond that of the index it has, another one is built: that one would look at every
    entry for each of a picture's hundreds of hashes.
    """
    most = max([default.bits, *(limit.bits for limit in wider.values())])
    index = known.index
    if not isinstance(index, HashIndex) or (wider and most > (index.max_distance or 0)):
        index = HashIndex.build(known, most)
    found = known.calibration(variants, min_quality)
    limit = known.limit_of(Entry(), default).bits
    expected = None if found is None else found.expected_false(limit)
    return IndexedList(
        number, known, index, default, known.own_key() if key is None else key,
        UNSET if expected is None or wider else expected,  # which is of one limit
        wider,
    )  # fmt: skip
