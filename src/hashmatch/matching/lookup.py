"""Hashes against several lists at once, of one kind of hash or of several.

Lists of one spec, ready to be searched: whose limit counts, how a match names its entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from hashmatch import registry
from hashmatch.errors import SpecMismatch, UsageError
from hashmatch.index.hash_index import HashIndex
from hashmatch.records.enums import Outcome
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.records.matches import Matches
from hashmatch.records.review import RecordMatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from hashmatch.records.hashes import HashSpec
    from hashmatch.records.images import HashedImage


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
    index = known.index if isinstance(known.index, HashIndex) else HashIndex.build(known, default)
    limit = None if index.max_distance == default else default
    return _Searched(known, index, limit, own_key)


SHORTEST_KEY = 16
"""Bytes; a shorter key could be tried out."""
LONGEST_KEY = 64
"""Bytes; the longest that BLAKE2b takes."""


class Question(NamedTuple):
    """One hash of an image: one row of a batch."""

    image: HashedImage
    row: int

    @property
    def variant(self) -> str:
        """What it is a hash of."""
        return str(self.image.variants[self.row])

    @property
    def hash(self) -> HashBatch:
        """The hash, a batch of one."""
        return self.image.hashes[self.row : self.row + 1]


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """What a hash, or any hash of an image, is near: the closest entries, and how many in all.

    Parameters
    ----------
    matches : tuple of RecordMatch
        Closest first.
    match_count : int
        All of them, named or not.
    closest : Question, optional
        The hash that came closest, if it is known which image it is of.
    """

    matches: tuple[RecordMatch, ...]
    match_count: int
    closest: Question | None = None


class Lookup(Opaque):
    """Lists ready to be searched together, of one kind of hash or of several.

    Parameters
    ----------
    lists : sequence of HashList
        At least one.
    max_distance : int or mapping of str to int or None
        Inclusive limit in bits, instead of the algorithm's recommendation; see `Matcher`.
    max_matches : int
        The most entries that are named at once.
    reference_key : bytes or None
        The secret for references to entries without an id.

    Raises
    ------
    UsageError
        If there is no list, or a limit is out of its range.
    """

    def __init__(
        self,
        lists: Sequence[HashList],
        max_distance: int | Mapping[str, int] | None,
        max_matches: int,
        reference_key: bytes | None,
    ) -> None:
        in_range("max_matches", max_matches, 1, 2**31)
        if reference_key is not None and not (
            isinstance(reference_key, bytes) and SHORTEST_KEY <= len(reference_key) <= LONGEST_KEY
        ):
            raise UsageError(f"a reference key is {SHORTEST_KEY} to {LONGEST_KEY} bytes")
        by_spec = _by_spec(lists)
        limits = _limits(max_distance, by_spec)
        self._max_matches = max_matches
        self._of = {
            spec: SearchedLists(of_spec, limits.get(spec.algorithm), reference_key)
            for spec, of_spec in by_spec.items()
        }

    @property
    def specs(self) -> tuple[HashSpec, ...]:
        """The kinds of hash in the lists, in their order."""
        return tuple(self._of)

    def _searched(self, hashes: HashBatch) -> SearchedLists:
        """Return the lists of the kind of `hashes`."""
        if not isinstance(hashes, HashBatch):
            raise UsageError(f"hashes to look up are a HashBatch, not {type(hashes).__name__}")
        of_spec = self._of.get(hashes.spec)
        if of_spec is None:
            held = ", ".join(map(str, self._of))
            raise SpecMismatch(f"the hashes are {hashes.spec}, the lists {held}")
        return of_spec

    def rows_that_match(self, hashes: HashBatch) -> NDArray[np.int64]:
        """Return which of `hashes` are near any entry; see `Matcher.rows_that_match`."""
        return self._searched(hashes).rows_that_match(hashes)

    def find_each(self, hashes: HashBatch) -> list[Found]:
        """Return what each of `hashes` is near, in order; see `Matcher.look_up`."""
        of_spec = self._searched(hashes)
        closest, counts = of_spec.hits_of_each(hashes, self._max_matches)
        return [
            Found(tuple(map(of_spec.match, hits)), count)
            for hits, count in zip(closest, counts, strict=True)
        ]

    def find_any(self, hashed: Sequence[HashedImage], most: int | None = None) -> Found:
        """Return what any hash of an image is near: each entry once, by the hash closest to it.

        Only hashes that are good enough to be searched are. At most `most` entries are named,
        instead of the number that is always.
        """
        most = self._max_matches if most is None else most
        found: list[tuple[float, RecordMatch, Question]] = []
        count = 0
        for spec, of_spec in self._of.items():
            searched = [one for one in hashed if one.spec == spec and one.outcome is Outcome.HASHED]
            if not searched:
                continue
            questions = [Question(one, row) for one in searched for row in range(len(one.hashes))]
            hashes = HashBatch.concatenate([one.hashes for one in searched])
            closest, in_all = of_spec.hits_of_any(hashes, most)
            count += in_all
            for hit in closest:
                by = questions[hit.query]
                match = replace(of_spec.match(hit), variant=by.variant, frame=by.image.frame)
                found.append((hit.distance / spec.bits, match, by))
        found.sort(key=itemgetter(0))  # stable: within a kind they are in order already
        matches = tuple(match for _, match, _ in found[:most])
        return Found(matches, count, found[0][2] if found else None)


def _by_spec(lists: Sequence[HashList]) -> dict[HashSpec, list[HashList]]:
    """Return the lists of each kind of hash."""
    if not lists:
        raise UsageError("a matcher needs at least one hash list")
    by_spec: dict[HashSpec, list[HashList]] = {}
    for known in lists:
        if not isinstance(known, HashList):
            raise UsageError(
                f"a matcher takes hash lists, hashmatch.read_list makes one; "
                f"not {type(known).__name__}"
            )
        by_spec.setdefault(known.spec, []).append(known)
    return by_spec


def _limits(
    max_distance: int | Mapping[str, int] | None, specs: Iterable[HashSpec]
) -> Mapping[str, int]:
    """Return the caller's limit for each algorithm that one was given for."""
    if max_distance is None:
        return {}
    algorithms = [spec.algorithm for spec in specs]
    if isinstance(max_distance, Mapping):
        for algorithm in max_distance:
            if algorithm not in algorithms:
                raise UsageError(f"a max_distance for {algorithm}, of which there is no list")
        return max_distance
    if len(algorithms) > 1:  # one that is equal or not has no use for a limit that others need
        algorithms = [name for name in algorithms if registry.hasher(name).max_distance > 0]
    if len(algorithms) != 1:
        names = ", ".join(spec.algorithm for spec in specs)
        raise UsageError(
            f"one max_distance for {names}: give one by algorithm ({{'pdq': 31}}, -d pdq=31)"
        )
    return {algorithms[0]: max_distance}
