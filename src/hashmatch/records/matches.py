"""What a search returns: parallel arrays, every hit, no padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class Matches:
    """Every pair of a query and an entry within the distance, by query, then by entry.

    Parameters
    ----------
    query : ndarray of int64, shape (n,)
        Row of the query in the batch that was searched for.
    entry : ndarray of int64, shape (n,)
        Row of the entry in the list or batch that the index was built from.
    distance : ndarray of int64, shape (n,)
        Differing bits between the two.

    Examples
    --------
    >>> rows = np.array([0, 0]), np.array([3, 8]), np.array([12, 0])
    >>> Matches(*rows).sorted_by_distance().entry.tolist()
    [8, 3]
    """

    query: NDArray[np.int64]
    entry: NDArray[np.int64]
    distance: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not self.query.shape == self.entry.shape == self.distance.shape == (len(self.query),):
            raise UsageError("query, entry and distance are one-dimensional and equally long")

    def __len__(self) -> int:
        return len(self.query)

    def where(self, keep: NDArray[np.bool_]) -> Matches:
        """Return some of the pairs.

        Parameters
        ----------
        keep : ndarray of bool, shape (n,)
            Which.
        """
        return Matches(self.query[keep], self.entry[keep], self.distance[keep])

    def sorted_by_distance(self) -> Matches:
        """Return the pairs by query, then closest first, then by entry."""
        order = np.lexsort((self.entry, self.distance, self.query))
        return Matches(self.query[order], self.entry[order], self.distance[order])
