"""What an index can be asked: searches, the nearest entries, joins; at once or in parts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from hashmatch.errors import SpecMismatch, UsageError
from hashmatch.index.arguments import at_least_one, hashes_in, in_bits, no_hashes
from hashmatch.index.chunking import AT_ONCE, MOST, USUAL, closest, collected, in_blocks
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.records.matches import NOTHING, Matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hashmatch._files.block_reader import MappedFile
    from hashmatch.index.segment import Segment
    from hashmatch.index.snapshot import Snapshot
    from hashmatch.records.hashes import HashSpec
    from hashmatch.records.matches import Pairs


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

    _file: MappedFile | None
    _state: Snapshot
    _plain: Segment | None
    _nothing: Matches
    spec: HashSpec
    snapshot: str

    def __init__(self, state: Snapshot, file: MappedFile | None = None) -> None:
        if not hasattr(state, "parts"):  # somebody took the class for what makes one
            raise UsageError("HashIndex.build makes an index of hashes, HashIndex.open of a file")
        part = state.parts[0]
        unchanged = state.own is None and state.gone is None and part.numbers is None
        nothing = np.empty(0, np.int64)
        nothing.flags.writeable = False
        for name, value in (
            ("_file", file),
            ("_state", state),
            ("_plain", part.segment if unchanged and len(state.parts) == 1 else None),
            ("_nothing", Matches(nothing, nothing, nothing, nothing, state.name)),
            ("spec", state.spec),
            ("snapshot", state.name),
        ):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} is immutable")

    @property
    def max_distance(self) -> int | None:
        """The limit that it was built for, in bits; what searches without one of their own take."""
        return self._state.limit

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
            If `batch` is no batch, or a number is out of its range; or if neither the call nor the
            index has a limit.
        IndexFileError
            If the index is in a file that was cut off or written over.
        TooManyMatches
            If there are more than fit in memory; see `stream`.
        """
        plain = self._plain
        if (  # what a service asks: looking closer at it would take as long as the answer
            plain is not None
            and most is None
            and batch.__class__ is HashBatch
            and batch.spec is self.spec
            and max_distance.__class__ is int
            and 0 <= max_distance <= plain.limit
        ):
            limit = max_distance
        else:
            limit = self._limit_of(batch, max_distance)
            if most is not None:
                count = at_least_one("most", most)
                return closest(self.stream(batch, limit), len(batch), count, self._nothing)
        if plain is not None and len(batch.words) <= AT_ONCE:
            pairs = plain.search(batch.words, limit, MOST)
            if pairs is NOTHING and self._file is None:
                return self._nothing
            if pairs is not None and len(pairs.query) <= MOST:
                return self._matches(pairs, limit)
        return collected(self.stream(batch, limit), self._nothing, "use stream, or most=...")

    def stream(self, batch: HashBatch, max_distance: int | None = None) -> Iterator[Matches]:
        """Yield what `search` returns in parts that fit in memory: of some queries, then of others.

        Parameters
        ----------
        batch : HashBatch
            The queries.
        max_distance : int, optional
            As for `search`, as are the errors.
        """
        limit = self._limit_of(batch, max_distance)  # here: a generator would raise at its first
        return self._stream(batch.words, limit)

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
            If there are more than fit in memory. Other errors are those of `search`.
        """
        limit = self._limit_of(batch, self.spec.bits if max_distance is None else max_distance)
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
            If there are more than fit in memory; see `stream_join`. Others are those of `search`.
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
            batch = hashes_in("what is joined is a HashIndex,", other)
            return self.stream(batch.hashes if isinstance(batch, HashList) else batch, max_distance)
        if other.spec != self.spec:
            raise self._mismatch(other.spec)
        return self._stream_index(other, self._limit_for(max_distance))

    def _stream_index(self, other: Searchable, limit: int) -> Iterator[Matches]:
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
            If there are more than fit in memory; see `stream_self_join`. Others as of `search`.
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
        return self._stream_pairs(self._limit_for(max_distance))

    def _stream_pairs(self, limit: int) -> Iterator[Matches]:
        from hashmatch.index.snapshot import pairs_among

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

    def _limit_of(self, batch: HashBatch, max_distance: int | None) -> int:
        """Return the limit of a search in bits, once it is sure that `batch` can be searched."""
        if not isinstance(batch, HashBatch):
            raise no_hashes("queries are a HashBatch", batch)
        if batch.spec is not self.spec and batch.spec != self.spec:
            raise self._mismatch(batch.spec)
        return self._limit_for(max_distance)

    def _mismatch(self, spec: HashSpec) -> SpecMismatch:
        return SpecMismatch(f"this index holds {self.spec}, it cannot be asked for {spec}")

    def _limit_for(self, max_distance: int | None) -> int:
        if max_distance is not None:
            return in_bits(self.spec, max_distance)
        if self._state.limit is None:
            raise UsageError("a max_distance is needed: the index was built without one")
        return self._state.limit
