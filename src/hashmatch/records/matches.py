"""What a search found: parallel arrays, every hit, no padding; and raw pairs of rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class Matches:
    """Pairs of a query and an entry that are near enough, by query, then by entry.

    Parameters
    ----------
    query, entry : ndarray of int64, shape (n,)
        Row of the query, and number of the entry, of each pair.
    distance : ndarray of int64, shape (n,)
        Differing bits.
    max_distance : ndarray of int64, shape (n,)
        The inclusive limit that applied: the entry's own or its list's, else the one asked for.
    snapshot : str
        Of the index that answered; see `HashIndex.with_changes`.
    counts : ndarray of int64, shape (queries,), optional
        If some pairs were left out, as was asked for: how many each query has in all.

    Examples
    --------
    >>> rows = np.array([0, 0]), np.array([3, 8]), np.array([12, 0]), np.array([31, 31])
    >>> Matches(*rows, snapshot="demo 1").sorted_by_distance().entry.tolist()
    [8, 3]
    """

    query: NDArray[np.int64]
    entry: NDArray[np.int64]
    distance: NDArray[np.int64]
    max_distance: NDArray[np.int64]
    snapshot: str
    counts: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        query, entry, distance = self.query.shape, self.entry.shape, self.distance.shape
        if not query == entry == distance == self.max_distance.shape or len(query) != 1:
            raise UsageError(
                "cannot use these arrays as matches: query, entry, distance and max_distance "
                "are one-dimensional and equally long"
            )

    def __len__(self) -> int:
        return len(self.query)

    @property
    def total(self) -> int:
        """How many pairs there are, those left out included."""
        return len(self) if self.counts is None else int(self.counts.sum())

    @classmethod
    def concatenate(cls, parts: Sequence[Matches]) -> Matches:
        """Return one of all parts of one answer, in their order.

        Parameters
        ----------
        parts : sequence of Matches
            At least one; all of one snapshot. Nothing was left out of any.
        """
        if not parts or any(part.counts is not None for part in parts):
            raise UsageError(
                "cannot concatenate these matches. Give one part or more, with nothing left out"
            )
        if len({part.snapshot for part in parts}) > 1:
            raise UsageError(
                "cannot concatenate matches of several snapshots: they would be indistinguishable"
            )
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.query for part in parts]),
            np.concatenate([part.entry for part in parts]),
            np.concatenate([part.distance for part in parts]),
            np.concatenate([part.max_distance for part in parts]),
            parts[0].snapshot,
        )

    def where(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> Matches:
        """Return some of the pairs.

        Parameters
        ----------
        keep : ndarray of bool, shape (n,), or of int64
            Which.
        """
        return Matches(
            self.query[keep],
            self.entry[keep],
            self.distance[keep],
            self.max_distance[keep],
            self.snapshot,
            self.counts,
        )

    def in_order(self) -> Matches:
        """Return the pairs by query, then by entry."""
        steps = np.diff(self.query)
        if ((steps > 0) | ((steps == 0) & (np.diff(self.entry) > 0))).all():
            return self
        return self.where(np.lexsort((self.entry, self.query)))

    def sorted_by_distance(self) -> Matches:
        """Return the pairs by query, then closest first, then by entry."""
        return self.where(np.lexsort((self.entry, self.distance, self.query)))

    def closest(self, most: int) -> Matches:
        """Return at most `most` pairs of each query: the closest, of equal ones the lower entries.

        Parameters
        ----------
        most : int
            How many.
        """
        if len(self) <= most:
            return self
        order = np.lexsort((self.entry, self.distance, self.query))
        query = self.query[order]
        begins = np.searchsorted(query, query)  # where the pairs of the same query begin
        return self.where(np.sort(order[np.arange(len(self)) - begins < most]))

    def counting(self, counts: NDArray[np.int64]) -> Matches:
        """Return the same pairs, with how many there are of each query in all.

        Parameters
        ----------
        counts : ndarray of int64, shape (queries,)
        """
        return replace(self, counts=counts)


class Pairs(NamedTuple):
    """Found pairs: rows of queries, rows of entries, their distances; each int64 of shape (n,)."""

    query: NDArray[np.int64]
    entry: NDArray[np.int64]
    distance: NDArray[np.int64]

    def where(self, keep: NDArray[np.bool_]) -> Pairs:
        """Return some of them."""
        return Pairs(self.query[keep], self.entry[keep], self.distance[keep])

    def in_order(self) -> Pairs:
        """Return them by query, then by entry."""
        if len(self.query) < 2:
            return self
        order = np.argsort((self.query << 32) | self.entry)  # rows are below 2**31 and 2**32
        return Pairs(self.query[order], self.entry[order], self.distance[order])


NOTHING = Pairs(*(np.empty(0, np.int64) for _ in range(3)))
for _column in NOTHING:
    _column.flags.writeable = False
