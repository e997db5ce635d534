"""Lists of a store, ready to be searched: all that they hold stays on the disk until needed."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, overload

import numpy as np

from hashmatch._redact import unseen
from hashmatch.records.entries import Limit
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray

    from hashmatch.index.hash_index import HashIndex
    from hashmatch.records.entries import Entry
    from hashmatch.store.contents import Kind, StoredStatements


class StoredEntries(Sequence["Entry"]):
    """The entries of all segments of a list, by the numbers that its index gives them.

    Those that count no more, or are in quarantine, are among them: numbers do not change.
    """

    def __init__(self, segments: Sequence[StoredStatements]) -> None:
        self._segments = segments
        self._ends = list(accumulate(segment.rows for segment in segments))

    def place(self, row: int) -> tuple[StoredStatements, int]:
        """Return which segment has a row, and which of its own it is."""
        row = range(len(self))[row]  # counts from the end, and raises IndexError
        number = bisect_right(self._ends, row)
        return self._segments[number], row - (self._ends[number - 1] if number else 0)

    @overload
    def __getitem__(self, row: int) -> Entry: ...
    @overload
    def __getitem__(self, row: slice) -> tuple[Entry, ...]: ...
    def __getitem__(self, row: int | slice) -> Entry | tuple[Entry, ...]:
        if isinstance(row, slice):
            return tuple(self[r] for r in range(*row.indices(len(self))))
        segment, own = self.place(row)
        return segment.entries[own]

    def labels(self, without: NDArray[np.int64]) -> Counter[str]:
        """Return how many entries have each label; those of the rows `without` are not counted."""
        counts: Counter[str] = Counter()
        first = 0
        for segment in self._segments:
            own = without[(without >= first) & (without < first + segment.rows)] - first
            counts += segment.entries.labels(own)
            first += segment.rows
        return counts

    def rows_named(self, names: Collection[str]) -> list[int]:
        """Return the numbers of entries with such external ids."""
        firsts = [0, *self._ends]
        return [
            first + row
            for first, segment in zip(firsts, self._segments, strict=False)
            for row in segment.entries.rows_named(names)
        ]

    def __len__(self) -> int:
        return self._ends[-1]

    def __repr__(self) -> str:
        return f"<StoredEntries n={len(self)}>"


class StoredList(HashList):
    """A `HashList` of a list store. Its length is the number of entries that are matched.

    Attributes
    ----------
    problems : tuple of str
        What was found wrong while it was opened, and did not keep it from serving: tell somebody.
    """

    __slots__ = ("_kind", "_secret", "problems")

    entries: StoredEntries
    index: HashIndex
    problems: tuple[str, ...]
    _kind: Kind
    _secret: bytes

    def __init__(
        self,
        name: str,
        version: str,
        kind: Kind,
        index: HashIndex,
        limit: int | None,
        secret: bytes,
        problems: tuple[str, ...] = (),
        left_out: tuple[int, ...] = (),
    ) -> None:
        facts = {
            "name": name,
            "version": version,
            "spec": kind.segments[0].spec,
            "entries": StoredEntries(kind.segments),
            "rejected": (),
            "max_distance": limit,
            "index": index,
            "left_out": left_out,
            "problems": problems,
            "_kind": kind,
            "_secret": secret,
        }
        for field, value in facts.items():
            object.__setattr__(self, field, value)

    @property
    @unseen
    def hashes(self) -> HashBatch:
        """All hashes, read from the disk now; those that count no more are among them."""
        words = np.concatenate([segment.words() for segment in self._kind.segments])
        words.flags.writeable = False
        return HashBatch(self.spec, words)

    @property
    def unmatched(self) -> NDArray[np.int64]:
        """Numbers of entries that count no more, or are in quarantine."""
        return self._kind.unmatched()

    def leaving_out(self, rows: Iterable[int]) -> StoredList:
        """Return the same list, of which a matcher does not match some entries."""
        # What is in quarantine, or counts no more, is out already.
        more = set(rows) - set(self.unmatched.tolist())
        return StoredList(
            self.name,
            self.version,
            self._kind,
            self.index,
            self.max_distance,
            self._secret,
            self.problems,
            tuple(sorted({*self.left_out, *more})),
        )

    def __len__(self) -> int:
        return len(self.index)

    def limits(self, default: int) -> NDArray[np.int64]:
        """Return each entry's inclusive limit in bits; see `HashList.limits`."""
        fallback = Limit(default, "algorithm")
        limits = []
        for segment in self._kind.segments:
            own = [self.limit_of(kind, fallback).bits for kind in segment.entries.kinds]
            limits.append(np.array(own or [0], np.int64)[np.asarray(segment.entries.kind[:])])
        return np.concatenate(limits)

    def own_key(self) -> bytes:
        """Return the secret of the store, which references are made with."""
        return self._secret

    def _rows_with_ids(self, names: Collection[str]) -> list[int]:
        return self.entries.rows_named(names)

    def _value(self, row: int) -> bytes:
        segment, own = self.entries.place(row)
        return bytes(segment.words(own, own + 1).tobytes())
