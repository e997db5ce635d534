"""One state of an index: its parts, the limits of entries, which were removed, and its name."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hashmatch.answers import MOST as ROOM
from hashmatch.arguments import text_of
from hashmatch.errors import UsageError
from hashmatch.parts import NO_LIMIT, Part, divide, joined, merge
from hashmatch.records.hashes import Opaque
from hashmatch.records.lists import HashList

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from hashmatch.index_file.room import FileRoom
    from hashmatch.pairs import Pairs
    from hashmatch.records.hashes import HashBatch, HashSpec

LONGEST = 2**15 - 8
"""Bits of a hash that can be indexed, so that limits take two bytes each."""
MOST_NUMBERS = 2**32
"""Of entries, those removed included: a number takes four bytes."""


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Snapshot(Opaque):
    """What an index holds at some time.

    Parameters
    ----------
    spec : HashSpec
    name : str
    parts : tuple of Part
    limit : int, optional
        For entries without their own, in bits; what the parts were built for.
    own : ndarray of int16, shape (following,), optional
        Limits of entries or of their list, by number; `NO_LIMIT` where there is none.
    gone : ndarray of bool, shape (following,), optional
        Which entries were removed, by number.
    following : int
        The number that the next entry gets.
    """

    spec: HashSpec
    name: str
    parts: tuple[Part, ...]
    limit: int | None
    own: NDArray[np.int16] | None
    gone: NDArray[np.bool_] | None
    following: int

    @classmethod
    def build(
        cls,
        hashes: HashList | HashBatch,
        limit: int | None,
        name: str | None,
        room: FileRoom | None = None,
    ) -> Snapshot:
        """Return the first state of an index; see `HashIndex.build` and `build_file`."""
        if hashes.spec.bits > LONGEST:
            raise UsageError(f"hashes of {hashes.spec} are too long for an index")
        words, own = words_and_limits(hashes)
        parts = tuple(divide(words, 0, own, hashes.spec.bits, limit, room))
        if room is not None and own is not None:
            room.hold(own)
        return cls(hashes.spec, name_of(hashes, name), parts, limit, own, None, len(words))

    def changed(
        self, added: HashList | HashBatch, removed: ArrayLike, name: str | None
    ) -> Snapshot:
        """Return the next state; see `HashIndex.with_changes`."""
        words, own = words_and_limits(added)
        following = self.following + len(words)
        if following > MOST_NUMBERS:
            raise UsageError("there are no numbers left for these entries; build the index again")
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
            self.spec, name_of(added, name), tuple(parts), self.limit, own_of_all, gone, following
        )

    def find(self, words: NDArray[np.uint64], limit: int) -> Pairs | None:
        """Return every pair near enough, by query, then by entry; None if they are too many."""
        found = []
        for part in self.parts:
            pairs = part.segment.search(words, part.reach(limit), ROOM)
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
                rows = slice(len(part.segment.words)) if part.numbers is None else part.numbers
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
                    "removed entries are a sequence of their numbers, as [3, 17], not a "
                    f"{type(removed).__name__} of anything else"
                )
            for row in rows[(rows < 0) | (rows >= self.following)][:1].tolist():
                raise UsageError(
                    f"there is no entry {row} to remove, only 0 to {self.following - 1}"
                )
            for row in rows[gone[rows]][:1].tolist():
                raise UsageError(f"entry {row} was removed before")
            numbers, times = np.unique(rows, return_counts=True)
            for row in numbers[times > 1][:1].tolist():
                raise UsageError(f"entry {row} is to be removed twice")
            gone[rows] = True
        return gone

    @property
    def nbytes(self) -> int:
        """Bytes of all its arrays."""
        arrays: list[NDArray[Any] | None] = [self.own, self.gone]
        for part in self.parts:
            arrays += [part.segment.words, part.segment.columns, part.numbers]
            if part.segment.tables is not None:
                arrays += [part.segment.tables.head, part.segment.tables.tables]
        return sum(array.nbytes for array in arrays if array is not None)

    def __len__(self) -> int:
        return self.following - (0 if self.gone is None else int(self.gone.sum()))


def name_of(hashes: HashList | HashBatch, name: str | None) -> str:
    """Return `name`; without one, what a list calls itself, or something random.

    Not a digest of the hashes: whoever reads that could test what a short list holds.
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
        raise UsageError(f"list {hashes.name} has a max_distance outside of 0 to {bits}")
    return hashes.hashes.words, np.where(limits == unlimited, NO_LIMIT, limits).astype(np.int16)
