"""HashIndex: every entry of a list within a distance of a query, and no other."""

from __future__ import annotations

from dataclasses import replace
from operator import index
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.answers import AT_ONCE, MOST, closest, collected, in_blocks
from hashmatch.errors import SpecMismatch, UsageError
from hashmatch.records.hashes import HashBatch, HashSpec, Opaque
from hashmatch.records.lists import HashList
from hashmatch.records.matches import Matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

    from hashmatch.segment import Pairs
    from hashmatch.snapshot import Snapshot


class HashIndex(Opaque):
    """An exact Hamming index over the hashes of a list. Safe to search from several threads.

    Built with `build`; immutable, and never pickled. It looks at every entry or, in longer lists
    and up to the limit that they were built for, at those that nearly share some bits with the
    query; `explain` says which. Entries are numbered from 0 in the order in which they came, and
    keep their number when others come and go.

    Examples
    --------
    >>> spec = HashSpec("phash", 64)
    >>> known = HashIndex.build(HashBatch.from_hex(spec, ["00" * 8, "ff" * 8]), max_distance=3)
    >>> hits = known.search(HashBatch.from_hex(spec, ["00" * 7 + "07"]))
    >>> hits.entry.tolist(), hits.distance.tolist()
    ([0], [3])
    >>> later = known.with_changes(removed=[0])
    >>> len(later), len(later.search(HashBatch.from_hex(spec, ["00" * 8])))
    (1, 0)
    """

    __slots__ = ("_nothing", "_plain", "_state", "snapshot", "spec")

    def __init__(self, state: Snapshot) -> None:
        self.spec = state.spec
        self.snapshot = state.name
        self._state = state
        part = state.parts[0]
        unchanged = state.own is None and state.gone is None and part.numbers is None
        self._plain = part.segment if unchanged and len(state.parts) == 1 else None
        nothing = np.empty(0, np.int64)
        nothing.flags.writeable = False
        self._nothing = Matches(nothing, nothing, nothing, nothing, state.name)

    @classmethod
    def build(
        cls,
        hashes: HashList | HashBatch,
        max_distance: int | None = None,
        snapshot: str | None = None,
    ) -> HashIndex:
        """Return an index over the hashes of a list or batch.

        Parameters
        ----------
        hashes : HashList or HashBatch
            Of any size, 0 included. Limits of a list or of its entries outrank every other.
        max_distance : int, optional
            The limit that searches usually ask for, in bits. Up to it they are then the faster the
            longer the list is; beyond it, and without it, every entry is looked at.
        snapshot : str, optional
            A name for this state of the list, that each answer then bears. Else the list's own name
            and version, or something random.

        Raises
        ------
        UsageError
            If a limit is out of its range.
        """
        from hashmatch.snapshot import Snapshot

        limit = None if max_distance is None else in_bits(hashes.spec, max_distance)
        return cls(Snapshot.build(hashes, limit, snapshot))

    def with_changes(
        self,
        added: HashList | HashBatch | None = None,
        removed: ArrayLike = (),
        snapshot: str | None = None,
    ) -> HashIndex:
        """Return the next state of this index, in time like that of the change; this one stays.

        Whoever is searching this index goes on doing so undisturbed, and its answers name its
        snapshot.

        Parameters
        ----------
        added : HashList or HashBatch, optional
            New entries, numbered from `next_entry` on.
        removed : array_like of int
            Numbers of entries that are no longer to be found.
        snapshot : str, optional
            As for `build`.

        Raises
        ------
        SpecMismatch
            If the new entries are hashes of another kind.
        UsageError
            If there is no entry of a number, or it was removed before.
        """
        if added is None:
            added = HashBatch(self.spec, np.empty((0, self.spec.words), np.uint64))
        if added.spec != self.spec:
            raise SpecMismatch(f"this index holds {self.spec}, {added.spec} cannot be added to it")
        return HashIndex(self._state.changed(added, removed, snapshot))

    def search(
        self, batch: HashBatch, max_distance: int | None = None, most: int | None = None
    ) -> Matches:
        """Return every pair of a query in `batch` and an entry near enough.

        Parameters
        ----------
        batch : HashBatch
            The queries, of the index's own spec.
        max_distance : int, optional
            Inclusive, from 0 to ``spec.bits``, for entries without a limit of their own or of their
            list; else the one that the index was built for.
        most : int, optional
            Leave out all but the closest `most` entries of each query, and count them.

        Returns
        -------
        Matches
            By query, then by entry.

        Raises
        ------
        SpecMismatch
            If the queries are hashes of another kind.
        UsageError
            If a number is out of its range.
        TooManyMatches
            If there are more than fit in memory; see `stream`.
        """
        limit = self._limit_for(max_distance, batch)
        if most is not None:
            if index(most) < 1:
                raise UsageError(f"the most matches of a query are 1 at least, not {most}")
            return closest(self.stream(batch, limit), len(batch), most, self._nothing)
        if self._plain is not None and len(batch) <= AT_ONCE:
            pairs = self._plain.search(batch.words, limit, MOST)
            if pairs is not None:
                return self._matches(pairs, limit)
        return collected(self.stream(batch, limit), self._nothing, "use stream, or most=...")

    def stream(self, batch: HashBatch, max_distance: int | None = None) -> Iterator[Matches]:
        """Yield what `search` returns in parts that fit in memory: of some queries, then of others.

        Parameters
        ----------
        batch : HashBatch
            The queries.
        max_distance : int, optional
            As for `search`.
        """
        limit = self._limit_for(max_distance, batch)
        for first, pairs in in_blocks(batch.words, lambda words: self._state.find(words, limit)):
            yield self._matches(pairs._replace(query=pairs.query + first), limit)

    def join(
        self, other: HashIndex | HashList | HashBatch, max_distance: int | None = None
    ) -> Matches:
        """Return every pair of a hash of `other`, say of stored pictures, and an entry near enough.

        Parameters
        ----------
        other : HashIndex, HashList or HashBatch
            The queries; of an index, its entries.
        max_distance : int, optional
            As for `search`.

        Raises
        ------
        TooManyMatches
            If there are more than fit in memory; see `stream_join`.
        """
        return collected(self.stream_join(other, max_distance), self._nothing, "use stream_join")

    def stream_join(
        self, other: HashIndex | HashList | HashBatch, max_distance: int | None = None
    ) -> Iterator[Matches]:
        """Yield what `join` returns in parts that fit in memory.

        Parameters
        ----------
        other : HashIndex, HashList or HashBatch
            The queries.
        max_distance : int, optional
            As for `search`.
        """
        if not isinstance(other, HashIndex):
            batch = other.hashes if isinstance(other, HashList) else other
            yield from self.stream(batch, max_distance)
            return
        for part in other._state.parts:
            words, numbers = part.live(other._state.gone)
            for found in self.stream(HashBatch(other.spec, words), max_distance):
                yield replace(found, query=numbers[found.query])

    def self_join(self, max_distance: int | None = None) -> Matches:
        """Return every two entries near each other: the lower number as query, the other as entry.

        Parameters
        ----------
        max_distance : int, optional
            Inclusive; else the limit that the index was built for. Limits of entries and lists are
            for pictures, and do not count here.

        Raises
        ------
        TooManyMatches
            If there are more than fit in memory; see `stream_self_join`.
        """
        return collected(self.stream_self_join(max_distance), self._nothing, "use stream_self_join")

    def stream_self_join(self, max_distance: int | None = None) -> Iterator[Matches]:
        """Yield what `self_join` returns in parts that fit in memory.

        Parameters
        ----------
        max_distance : int, optional
            As for `self_join`.
        """
        from hashmatch.parts import pairs_among

        limit = self._limit_for(max_distance)
        for pairs in pairs_among(self._state.parts, self._state.gone, limit):
            yield Matches(*pairs, np.full(len(pairs.query), limit), self.snapshot)

    def explain(self) -> str:
        """Return how this index searches, and why."""
        parts = "; ".join(part.segment.explain() for part in self._state.parts)
        removed = self.next_entry - len(self)
        return parts + (f"; {removed:,} were removed and are passed over" if removed else "")

    @property
    def next_entry(self) -> int:
        """The number that the next entry added gets."""
        return self._state.following

    def _matches(self, pairs: Pairs, limit: int) -> Matches:
        if not len(pairs.query):
            return self._nothing
        return Matches(*pairs, self._state.limits(pairs.entry, limit), self.snapshot)

    def _limit_for(self, max_distance: int | None, batch: HashBatch | None = None) -> int:
        if batch is not None and batch.spec is not self.spec and batch.spec != self.spec:
            raise SpecMismatch(f"this index holds {self.spec}, it cannot be asked for {batch.spec}")
        if max_distance is not None:
            return in_bits(self.spec, max_distance)
        if self._state.limit is None:
            raise UsageError("a max_distance is needed: the index was built without one")
        return self._state.limit

    def __len__(self) -> int:
        return len(self._state)

    def __repr__(self) -> str:
        return f"<HashIndex {self.spec}, n={len(self)}>"


def in_bits(spec: HashSpec, max_distance: int) -> int:
    """Return `max_distance` as an int; raise UsageError unless it is 0 to ``spec.bits``."""
    try:
        limit = index(max_distance)  # int would cut 31.9, and take text
    except TypeError:
        raise UsageError(f"a maximum distance is a whole number, not {max_distance!r}") from None
    if not 0 <= limit <= spec.bits:
        raise UsageError(f"a maximum distance of {limit}; for {spec} it is 0 to {spec.bits}")
    return limit
