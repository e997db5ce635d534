"""What an index can be asked: searches, the nearest entries, joins; at once or in parts."""

from __future__ import annotations

from dataclasses import replace
from operator import index
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.answers import AT_ONCE, MOST, USUAL, closest, collected, in_blocks
from hashmatch.errors import SpecMismatch, UsageError
from hashmatch.records.hashes import Opaque
from hashmatch.records.lists import HashList
from hashmatch.records.matches import Matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hashmatch.index_file.mapped import MappedFile
    from hashmatch.records.hashes import HashBatch, HashSpec
    from hashmatch.segment import Pairs
    from hashmatch.snapshot import Snapshot


class Searchable(Opaque):
    """Answers from one snapshot; see `hashmatch.HashIndex`, which is what people use.

    Parameters
    ----------
    state : Snapshot
        What is searched.
    file : MappedFile, optional
        Where its arrays are.

    Attributes
    ----------
    spec : HashSpec
        What hashes it holds.
    snapshot : str
        The name of the state that it answers from.
    """

    __slots__ = ("_file", "_nothing", "_plain", "_state", "snapshot", "spec")

    def __init__(self, state: Snapshot, file: MappedFile | None = None) -> None:
        self._file = file
        self.spec = state.spec
        self.snapshot = state.name
        self._state = state
        part = state.parts[0]
        unchanged = state.own is None and state.gone is None and part.numbers is None
        self._plain = part.segment if unchanged and len(state.parts) == 1 else None
        nothing = np.empty(0, np.int64)
        nothing.flags.writeable = False
        self._nothing = Matches(nothing, nothing, nothing, nothing, state.name)

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
        count = None if most is None else at_least_one("most", most)
        whole = self._at_once(batch.words, limit)
        if count is not None:
            parts = self._stream(batch.words, limit) if whole is None else [whole]
            return closest(parts, len(batch), count, self._nothing)
        if whole is not None and len(whole) <= MOST:
            return whole
        return collected(self._stream(batch.words, limit), self._nothing, "use stream, or most=...")

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
        whole = self._at_once(batch.words, limit)
        if whole is not None:
            yield whole
        else:
            yield from self._stream(batch.words, limit)

    def _at_once(self, words: NDArray[np.uint64], limit: int) -> Matches | None:
        """Return the whole answer, if it is had as easily as that."""
        if self._plain is None or len(words) > AT_ONCE:
            return None
        pairs = self._plain.search(words, limit, MOST)
        return pairs and self._matches(pairs, limit)

    def _stream(self, words: NDArray[np.uint64], limit: int) -> Iterator[Matches]:
        for first, pairs in in_blocks(words, lambda some: self._state.find(some, limit)):
            yield self._matches(pairs._replace(query=pairs.query + first), limit)

    def nearest(self, batch: HashBatch, k: int, max_distance: int | None = None) -> Matches:
        """Return the `k` entries nearest to each query, of equally near ones the lower numbers.

        Parameters
        ----------
        batch : HashBatch
            The queries.
        k : int
            How many, at least 1; all entries, if there are fewer.
        max_distance : int, optional
            Inclusive; farther entries are none. Limits of entries and lists do not count here.

        Returns
        -------
        Matches
            By query, nearest first.

        Raises
        ------
        TooManyMatches
            If there are more than fit in memory.
        """
        limit = self._limit_for(self.spec.bits if max_distance is None else max_distance, batch)
        count = min(at_least_one("k", k), max(1, len(self._state)))
        found = self._nearest(batch.words, count, limit)
        return collected(found, self._nothing, "ask for fewer").sorted_by_distance()

    def _nearest(self, words: NDArray[np.uint64], count: int, limit: int) -> Iterator[Matches]:
        at_once = max(1, min(AT_ONCE, USUAL // count))
        for first in range(0, len(words), at_once):
            pairs = self._state.nearest(words[first : first + at_once], count, limit)
            limits = np.full(len(pairs.query), limit)
            query = pairs.query + first
            part = Matches(query, pairs.entry, pairs.distance, limits, self.snapshot)
            self._check()
            yield part.closest(count)

    def join(
        self, other: Searchable | HashList | HashBatch, max_distance: int | None = None
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
        parts = self.stream_join(other, max_distance)
        return collected(parts, self._nothing, "use stream_join").in_order()

    def stream_join(
        self, other: Searchable | HashList | HashBatch, max_distance: int | None = None
    ) -> Iterator[Matches]:
        """Yield what `join` returns in parts that fit in memory, each in order.

        Parameters
        ----------
        other : HashIndex, HashList or HashBatch
            The queries.
        max_distance : int, optional
            As for `search`.
        """
        if not isinstance(other, Searchable):
            batch = other.hashes if isinstance(other, HashList) else other
            yield from self.stream(batch, max_distance)
            return
        limit = self._limit_for(max_distance, other)
        for part in other._state.parts:
            words, numbers = part.live(other._state.gone)
            for found in self._stream(words, limit):
                other._check()
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
        parts = self.stream_self_join(max_distance)
        return collected(parts, self._nothing, "use stream_self_join").in_order()

    def stream_self_join(self, max_distance: int | None = None) -> Iterator[Matches]:
        """Yield what `self_join` returns in parts that fit in memory, each in order.

        Parameters
        ----------
        max_distance : int, optional
            As for `self_join`.
        """
        from hashmatch.parts import pairs_among

        limit = self._limit_for(max_distance)
        for pairs in pairs_among(self._state.parts, self._state.gone, limit):
            self._check()
            yield Matches(*pairs, np.full(len(pairs.query), limit), self.snapshot)

    def _check(self) -> None:
        """Raise IndexFileError if what was searched is no longer what was opened."""
        if self._file is not None:
            self._file.check_unchanged()

    def _matches(self, pairs: Pairs, limit: int) -> Matches:
        self._check()
        if not len(pairs.query):
            return self._nothing
        return Matches(*pairs, self._state.limits(pairs.entry, limit), self.snapshot)

    def _limit_for(
        self, max_distance: int | None, asked: HashBatch | Searchable | None = None
    ) -> int:
        if asked is not None and asked.spec is not self.spec and asked.spec != self.spec:
            raise SpecMismatch(f"this index holds {self.spec}, it cannot be asked for {asked.spec}")
        if max_distance is not None:
            return in_bits(self.spec, max_distance)
        if self._state.limit is None:
            raise UsageError("a max_distance is needed: the index was built without one")
        return self._state.limit


def at_least_one(name: str, value: int) -> int:
    """Return `value` as an int; raise UsageError unless it is a whole number from 1 on."""
    try:
        number = index(value)
    except TypeError:
        raise UsageError(f"{name} is a whole number, not {value!r}") from None
    if number < 1:
        raise UsageError(f"{name} is 1 at least, not {number}")
    return number


def in_bits(spec: HashSpec, max_distance: int) -> int:
    """Return `max_distance` as an int; raise UsageError unless it is 0 to ``spec.bits``."""
    try:
        limit = index(max_distance)  # int would cut 31.9, and take text
    except TypeError:
        raise UsageError(f"a maximum distance is a whole number, not {max_distance!r}") from None
    if not 0 <= limit <= spec.bits:
        raise UsageError(f"a maximum distance of {limit}; for {spec} it is 0 to {spec.bits}")
    return limit
