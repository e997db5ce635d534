"""HashIndex: every entry of a list within a distance of a query, and no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hashmatch._redact import unseen
from hashmatch.errors import SpecMismatch, UsageError
from hashmatch.index import queries
from hashmatch.index.arguments import at_least_one, hashes_in, in_bits, path_of
from hashmatch.index.chunking import AT_ONCE, MOST, closest, collected
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.records.matches import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from numpy.typing import ArrayLike

    from hashmatch.index.snapshot import Snapshot
    from hashmatch.records.hashes import HashSpec
    from hashmatch.records.matches import Matches


@dataclass(frozen=True, eq=False, repr=False)
class HashIndex(Opaque):
    """An exact Hamming index over the hashes of a list. Safe to search from several threads.

    Built with `build`; immutable, and never pickled. It looks at every entry or, in longer lists
    and up to the limit that they were built for, at those that nearly share some bits with the
    query; `explain` says which. Entries are numbered from 0 in the order in which they came, and
    keep their number when others come and go.

    Examples
    --------
    >>> from hashmatch import HashSpec
    >>> spec = HashSpec("phash", 64)
    >>> known = HashIndex.build(HashBatch.from_hex(spec, ["00" * 8, "ff" * 8]), max_distance=3)
    >>> hits = known.search(HashBatch.from_hex(spec, ["00" * 7 + "07"]))
    >>> hits.entry.tolist(), hits.distance.tolist()
    ([0], [3])
    >>> later = known.with_changes(removed=[0])
    >>> len(later), len(later.search(HashBatch.from_hex(spec, ["00" * 8])))
    (1, 0)
    """

    _state: Snapshot

    def __post_init__(self) -> None:
        if not hasattr(self._state, "parts"):  # somebody took the class for what makes one
            raise UsageError(
                "cannot make a HashIndex directly. Call HashIndex.build with hashes, or "
                "HashIndex.open with a file"
            )

    @classmethod
    @unseen
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
            If `hashes` are none of these, or a limit is out of its range.
        """
        from hashmatch.index.snapshot import Snapshot

        hashes = hashes_in("build an index over", hashes)
        limit = None if max_distance is None else in_bits(hashes.spec, max_distance)
        return cls(Snapshot.build(hashes, limit, snapshot))

    @classmethod
    @unseen
    def open(cls, path: str | PathLike[str], check: bool = True) -> HashIndex:
        """Return the index in a file that `save` made, without reading it in.

        Its pages are mapped, and shared by all processes that open it. A process that has it open
        continues with what it was when it is replaced by `save` or deleted. One that is written
        over in place instead is found out: searches then raise IndexFileError, and open it again.
        One that is cut off in place while it is searched ends the process (SIGBUS), as every mapped
        file does.

        Parameters
        ----------
        path : str or path
            The file.
        check : bool
            Whether to read all of it once and compare it with its checksums. Without, a bit that
            has changed on the disk goes unnoticed, and so may matches: leave it out only where
            somebody else has checked the file, as the parent of a process.

        Raises
        ------
        IndexFileError
            If it cannot be read, or is not a whole and sound index file of this version.
        """
        from hashmatch.index.files import read

        return cls(read(path_of(path), check))

    @classmethod
    @unseen
    def build_file(
        cls,
        path: str | PathLike[str],
        hashes: HashList | HashBatch,
        max_distance: int | None = None,
        snapshot: str | None = None,
    ) -> None:
        """Write what ``build(hashes, max_distance, snapshot).save(path)`` would, in little memory.

        The index is made in its file, a part at a time, and put in its place at once and whole. So
        it needs the memory of the hashes and of one of its bands instead of that of all.

        Parameters
        ----------
        path : str or path
            The file; as for `save`.
        hashes : HashList or HashBatch
            As for `build`. Those that are mapped from a file are not copied as a whole.
        max_distance : int, optional
            As for `build`.
        snapshot : str, optional
            As for `build`.

        Raises
        ------
        UsageError
            As `build`.
        IndexFileError
            As `save`; what was at `path` is then still there.

        Examples
        --------
        >>> import tempfile
        >>> from hashmatch import HashSpec
        >>> known = HashBatch.from_hex(HashSpec("phash", 64), ["00" * 8, "ff" * 8])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     HashIndex.build_file(folder + "/known.index", known, max_distance=3)
        ...     index = HashIndex.open(folder + "/known.index")
        >>> len(index), index.max_distance
        (2, 3)
        """
        from hashmatch.index.files import build

        hashes = hashes_in("build an index over", hashes)
        limit = None if max_distance is None else in_bits(hashes.spec, max_distance)
        build(path_of(path), hashes, limit, snapshot)

    @unseen
    def save(self, path: str | PathLike[str]) -> None:
        """Write the index to a file, in the place of the one that is there, at once and whole.

        It holds a list's hashes, so only its owner may read it.

        Parameters
        ----------
        path : str or path
            The file; `hashmatch._files.block_format` says what each byte of it is.

        Raises
        ------
        IndexFileError
            If it cannot be written, or this index is in a file that was cut off or written over;
            what was at `path` is then still there.
        """
        from hashmatch.index.files import write

        write(path_of(path), self._state)

    @unseen
    def with_changes(
        self,
        added: HashList | HashBatch | None = None,
        removed: ArrayLike = (),
        snapshot: str | None = None,
    ) -> HashIndex:
        """Return the next state of this index, in time like that of the change; this one stays.

        Searches of this index that are running are not disturbed, and their answers name its
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
            If there is no entry of a number, or it is removed twice.
        """
        if added is None:
            added = HashBatch(self.spec, np.empty((0, self.spec.words), np.uint64))
        added = hashes_in("add", added)
        if added.spec != self.spec:
            raise SpecMismatch(f"cannot add {added.spec} to this index: it holds {self.spec}")
        state = self._state.changed(added, removed, snapshot)
        self._state.check()
        return HashIndex(state)

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
        state = self._state
        plain = state.plain
        if (  # what a service asks: looking closer at it would take as long as the answer
            plain is not None
            and batch.__class__ is HashBatch
            and (batch.spec is state.spec or batch.spec == state.spec)
            and max_distance.__class__ is int
            and 0 <= max_distance <= state.spec.bits
        ):
            words, limit = batch.words, max_distance
        else:
            words, limit = queries.words_of(state, batch), queries.limit_of(state, max_distance)
        count = None if most is None else at_least_one("most", most)
        if plain is not None and len(words) <= AT_ONCE:
            pairs = plain.search(words, limit, MOST)
            if pairs is NOTHING and state.file is None and count is None:
                return state.nothing
            if pairs is not None and len(pairs.query) <= MOST:
                found = queries.as_matches(state, pairs, limit)
                if count is None:
                    return found
                return closest([found], len(words), count, state.nothing)
        parts = queries.stream(state, words, limit)
        if count is not None:
            return closest(parts, len(words), count, state.nothing)
        return collected(parts, state.nothing, "Use stream, or most=...")

    def stream(self, batch: HashBatch, max_distance: int | None = None) -> Iterator[Matches]:
        """Yield what `search` returns in parts that fit in memory: of some queries, then of others.

        Parameters
        ----------
        batch : HashBatch
            The queries.
        max_distance : int, optional
            As for `search`, as are the errors.
        """
        words = queries.words_of(self._state, batch)  # here: a generator would raise at its first
        return queries.stream(self._state, words, queries.limit_of(self._state, max_distance))

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
        state = self._state
        words = queries.words_of(state, batch)
        limit = queries.limit_of(state, state.spec.bits if max_distance is None else max_distance)
        found = queries.nearest(state, words, at_least_one("k", k), limit)
        return collected(found, state.nothing, "Ask for fewer").sorted_by_distance()

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
            If there are more than fit in memory; see `stream_join`. Others are those of `search`.
        """
        parts = self.stream_join(other, max_distance)
        return collected(parts, self._state.nothing, "Use stream_join").in_order()

    def stream_join(
        self, other: HashIndex | HashList | HashBatch, max_distance: int | None = None
    ) -> Iterator[Matches]:
        """Yield what `join` returns in parts that fit in memory, each in order.

        Parameters
        ----------
        other : HashIndex, HashList or HashBatch
            The queries.
        max_distance : int, optional
            As for `search`.
        """
        if not isinstance(other, HashIndex):
            batch = hashes_in("join with", other)
            return self.stream(batch.hashes if isinstance(batch, HashList) else batch, max_distance)
        if other.spec != self.spec:
            raise queries.mismatch(self._state, other.spec)
        limit = queries.limit_of(self._state, max_distance)
        return queries.join(self._state, other._state, limit)

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
        return collected(parts, self._state.nothing, "Use stream_self_join").in_order()

    def stream_self_join(self, max_distance: int | None = None) -> Iterator[Matches]:
        """Yield what `self_join` returns in parts that fit in memory, each in order.

        Parameters
        ----------
        max_distance : int, optional
            As for `self_join`.
        """
        return queries.self_join(self._state, queries.limit_of(self._state, max_distance))

    @unseen
    def without(self, entries: ArrayLike) -> HashIndex:
        """Return the index of the other entries, numbered anew from 0 in their order.

        In time and memory like that of one number for each entry; its snapshot keeps its name.

        Parameters
        ----------
        entries : array_like of int
            Numbers of entries that are no longer to be found.

        Raises
        ------
        UsageError
            As `with_changes`.

        Examples
        --------
        >>> from hashmatch import HashSpec
        >>> batch = HashBatch.from_hex(HashSpec("phash", 64), ["00" * 8, "0f" * 8, "ff" * 8])
        >>> HashIndex.build(batch).without([1]).search(batch, 0).entry.tolist()
        [0, 1]
        """
        state = self._state.without(entries)
        self._state.check()
        return HashIndex(state)

    def explain(self) -> str:
        """Return how this index searches, and why."""
        parts = "; ".join(part.segment.explain() for part in self._state.parts)
        removed = self.next_entry - len(self)
        return parts + (f"; {removed:,} were removed and are passed over" if removed else "")

    @property
    def spec(self) -> HashSpec:
        """What hashes it holds."""
        return self._state.spec

    @property
    def snapshot(self) -> str:
        """The name of the state that it answers from."""
        return self._state.name

    @property
    def max_distance(self) -> int | None:
        """The limit that it was built for, in bits; what searches without one of their own take."""
        return self._state.limit

    @property
    def next_entry(self) -> int:
        """The number that the next entry added gets."""
        return self._state.following

    @property
    def nbytes(self) -> int:
        """Bytes that it takes; of an opened file, in pages that all its processes share."""
        return self._state.nbytes

    @property
    def path(self) -> str | None:
        """The file that it was opened from, or what it was made from with `with_changes`."""
        return None if self._state.file is None else self._state.file.path

    def __len__(self) -> int:
        return len(self._state)

    def __repr__(self) -> str:
        return f"<HashIndex {self.snapshot}, {self.spec}, n={len(self)}>"
