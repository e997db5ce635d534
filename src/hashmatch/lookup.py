"""Hashes against several lists at once: whose limit counts, and how a match names its entry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hashmatch import registry
from hashmatch.errors import SpecMismatch, UsageError
from hashmatch.index import HashIndex
from hashmatch.records.hashes import Opaque
from hashmatch.records.lists import HashList
from hashmatch.records.review import RecordMatch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hashmatch.records.hashes import HashBatch

SHORTEST_KEY = 16
"""Bytes; a shorter key could be tried out."""
LONGEST_KEY = 64
"""Bytes; the longest that BLAKE2b takes."""


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """What one hash is near: the closest entries, and how many there are in all."""

    matches: tuple[RecordMatch, ...]
    match_count: int


@dataclass(frozen=True, eq=False, slots=True)
class _Searched:
    """A list ready to be searched: its index, and each entry's limit."""

    known: HashList
    index: HashIndex
    limits: NDArray[np.int64]
    widest: int
    key: bytes = field(repr=False)


class Lookup(Opaque):
    """Lists ready to be searched together.

    Parameters
    ----------
    lists : tuple of HashList
        At least one; all of one spec.
    max_distance : int or None
        Inclusive limit in bits, instead of the algorithm's recommendation.
    max_matches : int
        The most entries that are named for one hash.
    reference_key : bytes or None
        The secret for references to entries without an id.

    Raises
    ------
    SpecMismatch
        If the lists hold different kinds of hash.
    UsageError
        If there is no list, or a limit is out of its range.
    """

    def __init__(
        self,
        lists: tuple[HashList, ...],
        max_distance: int | None,
        max_matches: int,
        reference_key: bytes | None,
    ) -> None:
        if not lists:
            raise UsageError("a matcher needs at least one hash list")
        for known in lists:
            if not isinstance(known, HashList):
                raise UsageError(
                    f"a matcher takes hash lists, hashmatch.read_list makes one; "
                    f"not {type(known).__name__}"
                )
        self.spec = lists[0].spec
        for known in lists:
            if known.spec != self.spec:
                raise SpecMismatch(
                    f"list {known.name} holds {known.spec} and list {lists[0].name} {self.spec}; "
                    "use a matcher for each"
                )
        in_range("a maximum distance", max_distance, 0, self.spec.bits)
        in_range("max_matches", max_matches, 1, 2**31)
        if reference_key is not None and not (
            isinstance(reference_key, bytes) and SHORTEST_KEY <= len(reference_key) <= LONGEST_KEY
        ):
            raise UsageError(f"a reference key is {SHORTEST_KEY} to {LONGEST_KEY} bytes")
        self._from_caller = max_distance is not None
        if max_distance is None:
            max_distance = registry.hasher(self.spec.algorithm).max_distance
        self.max_distance = max_distance
        self._max_matches = max_matches
        self._searched = [_searched(known, max_distance, reference_key) for known in lists]

    def find(self, hashes: HashBatch) -> list[Found]:
        """Return what each of `hashes` is near, in order; see `Matcher.look_up`."""
        per_query: list[list[tuple[int, int, int]]] = [[] for _ in range(len(hashes))]
        for number, searched in enumerate(self._searched):
            hits = searched.index.search(hashes, searched.widest)
            hits = hits.where(hits.distance <= searched.limits[hits.entry])
            for query, entry, distance in zip(
                hits.query.tolist(), hits.entry.tolist(), hits.distance.tolist(), strict=True
            ):
                per_query[query].append((distance, number, entry))
        return [
            Found(tuple(self._match(*hit) for hit in sorted(hits)[: self._max_matches]), len(hits))
            for hits in per_query
        ]

    def _match(self, distance: int, number: int, row: int) -> RecordMatch:
        searched = self._searched[number]
        known, entry = searched.known, searched.known.entries[row]
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
            entry=known.reference(row, searched.key),
            distance=distance,
            max_distance=int(searched.limits[row]),
            max_distance_from=decided_by,
            labels=entry.labels,
            sources=entry.sources,
        )


def in_range(what: str, value: int | None, least: int, most: int) -> None:
    """Raise UsageError unless `value` is None or a whole number from `least` to `most`."""
    if value is not None and not (isinstance(value, int) and least <= value <= most):
        raise UsageError(f"{what} is a whole number from {least} to {most}, not {value!r}")


def _searched(known: HashList, default: int, key: bytes | None) -> _Searched:
    limits = known.limits(default)
    if len(limits) and not 0 <= limits.min() <= limits.max() <= known.spec.bits:
        raise UsageError(f"list {known.name} has a max_distance outside of 0 to {known.spec.bits}")
    widest = int(limits.max(initial=0))
    own_key = known.own_key() if key is None else key
    return _Searched(known, HashIndex.build(known), limits, widest, own_key)
