"""Pairs of rows that a search found, before they are matches."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
