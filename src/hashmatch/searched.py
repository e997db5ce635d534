"""Lists of one spec, ready to be searched: whose limit counts, how a match names its entry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from hashmatch import registry
from hashmatch.errors import UsageError
from hashmatch.index import HashIndex
from hashmatch.records.hashes import Opaque
from hashmatch.records.matches import Matches
from hashmatch.records.review import RecordMatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hashmatch.records.hashes import HashBatch
    from hashmatch.records.lists import HashList


class Hit(NamedTuple):
    """An entry within its limit of a query; the closest sorts first, then by list and entry."""

    distance: int
    list: int
    entry: int
    query: int
    max_distance: int


@dataclass(frozen=True, eq=False, slots=True)
class _Searched:
    """A list ready to be searched."""

    known: HashList
    entries: HashIndex
    limit: int | None  # where it is not what the index was built for
    key: bytes = field(repr=False)


class SearchedLists(Opaque):
    """Lists of one spec, ready to be searched together.

    Parameters
    ----------
    lists : sequence of HashList
        At least one; all of one spec.
    max_distance : int or None
        Inclusive limit in bits, instead of the algorithm's recommendation.
    reference_key : bytes or None
        The secret for references to entries without an id.

    Raises
    ------
    UsageError
        If a limit is out of its range.
    """

    def __init__(
        self,
        lists: Sequence[HashList],
        max_distance: int | None,
        reference_key: bytes | None,
    ) -> None:
        spec = lists[0].spec
        in_range("a maximum distance", max_distance, 0, spec.bits)
        self._from_caller = max_distance is not None
        if max_distance is None:
            max_distance = registry.hasher(spec.algorithm).max_distance
        self._searched = [_searched(known, max_distance, reference_key) for known in lists]

    def hits_of_each(self, hashes: HashBatch, most: int) -> tuple[list[list[Hit]], list[int]]:
        """Return the closest `most` hits of each of `hashes`, and how many each has in all."""
        closest: list[list[Hit]] = [[] for _ in range(len(hashes))]
        counts = np.zeros(len(hashes), np.int64)
        for number, searched in enumerate(self._searched):
            found = searched.entries.search(hashes, searched.limit, most=most)
            if found.counts is not None:
                counts += found.counts
            for hit in _as_hits(found, number):
                closest[hit.query].append(hit)
        return [sorted(hits)[:most] for hits in closest], counts.tolist()

    def rows_that_match(self, hashes: HashBatch) -> NDArray[np.int64]:
        """Return which of `hashes` are within some limit of some entry, in order."""
        found = [np.empty(0, np.int64)]
        for searched in self._searched:
            found += [part.query for part in searched.entries.stream(hashes, searched.limit)]
        return np.unique(np.concatenate(found))

    def hits_of_any(self, hashes: HashBatch, most: int) -> tuple[list[Hit], int]:
        """Return the closest `most` entries that any of `hashes` hits, and how many do in all.

        Each once, by the hash closest to it, of equally close ones the first.
        """
        closest: list[Hit] = []
        count = 0
        for number, searched in enumerate(self._searched):
            found: Matches | None = None
            for part in searched.entries.stream(hashes, searched.limit):
                if len(part):
                    both = part if found is None else Matches.concatenate([found, part])
                    found = both if len(hashes) == 1 else _each_entry_once(both)
            if found is not None:
                count += len(found)
                nearest = np.argsort(found.distance, kind="stable")[:most]
                closest += _as_hits(found.where(nearest), number)
        return sorted(closest)[:most], count

    def match(self, hit: Hit) -> RecordMatch:
        """Return what a record says of `hit`."""
        searched = self._searched[hit.list]
        known, entry = searched.known, searched.known.entries[hit.entry]
        decided_by: Literal["entry", "list", "caller", "algorithm"] = (
            "entry"
            if entry.max_distance is not None
            else "list"
            if known.max_distance is not None
            else "caller"
            if self._from_caller
            else "algorithm"
        )
        return RecordMatch(
            list=known.name,
            list_version=known.version,
            entry=known.reference(hit.entry, searched.key),
            algorithm=known.spec.algorithm,
            distance=hit.distance,
            max_distance=hit.max_distance,
            max_distance_from=decided_by,
            labels=entry.labels,
            sources=entry.sources,
        )


def _as_hits(found: Matches, number: int) -> list[Hit]:
    columns = found.distance, found.entry, found.query, found.max_distance
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [Hit(distance, number, entry, query, limit) for distance, entry, query, limit in rows]


def _each_entry_once(found: Matches) -> Matches:
    """Return of each entry the closest pair, the first of equal ones, by entry."""
    order = np.lexsort((found.distance, found.entry))
    entry = found.entry[order]
    return found.where(order[np.diff(entry, prepend=-1) > 0])


def in_range(what: str, value: int | None, least: int, most: int) -> None:
    """Raise UsageError unless `value` is None or a whole number from `least` to `most`."""
    if value is not None and not (isinstance(value, int) and least <= value <= most):
        raise UsageError(f"{what} is a whole number from {least} to {most}, not {value!r}")


def _searched(known: HashList, default: int, key: bytes | None) -> _Searched:
    own_key = known.own_key() if key is None else key
    index = HashIndex.build(known, default) if known.index is None else known.index
    if known.left_out:
        index = index.with_changes(removed=known.left_out, snapshot=index.snapshot)
    limit = None if index.max_distance == default else default
    return _Searched(known, index, limit, own_key)
