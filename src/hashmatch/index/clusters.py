"""Clusters of near-duplicates: found when an index is built, and searched each for itself.

Entries near each other share their bands, so that a query among them meets all of them in nearly
every band. They are kept out of the tables, cluster by cluster, and compared one after the other by
queries that are near the center of theirs. See `hashmatch._kernels.clusters`.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch._kernels.clusters import (
    BEGIN,
    END,
    RADIUS,
    is_near_any,
    join_centers,
    sample_addresses,
    within_clusters,
)
from hashmatch._kernels.linear import columns
from hashmatch._kernels.simd import GROUP
from hashmatch.records.hashes import Opaque
from hashmatch.records.matches import NOTHING, Pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hashmatch._files.block_writer import FileArena
    from hashmatch.index.tables import Band

MEMBERS = 256
"""Entries of a cluster, at least: a query looks at fewer as soon by the tables."""
MOST = 256
"""Clusters of a list, at most: each query is compared with every center."""
CROWDED = 64
"""Entries that an address has more than others, at least, where a cluster is looked for."""
HOTTEST = 16
"""Addresses of a band where one is looked for."""
SAMPLE = 512
"""Entries of an address that a center is made from."""
WIDEST_SHARE = 3 / 16
"""Of all bits, how many a member may differ from its center in, at most."""


class Found(NamedTuple):
    """Clusters of a list: their centers, shape (k, w), and of each the rows and the radius."""

    centers: NDArray[np.uint64]
    rows: list[NDArray[np.int64]]
    radii: list[int]


def find(
    words: NDArray[np.uint64],
    laid: NDArray[np.uint64],
    bands: Sequence[Band],
    starts: Sequence[NDArray[np.uint32]],
    limit: int,
) -> Found | None:
    """Return the clusters of a list, the same for the same list; None if there are none.

    A center is what most entries say of some address that has far more of them than others. Random
    queries are farther from it than from any member within reach.

    Parameters
    ----------
    words, laid : ndarray of uint64, shape (n, w) and (w, n and more)
        The hashes, and the same as `hashmatch._kernels.linear.columns` lays them.
    bands : sequence of Band
    starts : sequence of ndarray of uint32
        Of each band, where the entries of each address start.
    limit : int
        Of the searches to come, in bits.
    """
    bits = 64 * words.shape[1]
    radius = min(int(WIDEST_SHARE * bits), bits // 2 - isqrt(bits) - limit)
    if radius < 0 or len(words) < MEMBERS:
        return None
    centers: list[NDArray[np.uint64]] = []
    for band, first in zip(bands, starts, strict=True):
        for sample in _crowds(words, band, first):
            center = _center(sample, radius)
            if center is not None and all(_apart(center, one) > radius // 2 for one in centers):
                centers.append(center)
    if not centers:
        return None
    which = np.full(len(words), -1, np.int16)
    apart = np.full(len(words), radius + 1, np.int16)
    of_centers = columns(np.stack(centers[:MOST]), 64)
    join_centers(laid, tuple(laid), len(words), of_centers, tuple(of_centers), radius, which, apart)
    sizes = np.bincount(which[which >= 0], minlength=of_centers.shape[1])
    kept = np.flatnonzero(sizes >= MEMBERS)
    if not len(kept):
        return None
    rows = [np.flatnonzero(which == k) for k in kept]
    radii = [int(apart[of_cluster].max()) for of_cluster in rows]
    return Found(np.stack([centers[k] for k in kept]), rows, radii)


def _crowds(
    words: NDArray[np.uint64], band: Band, starts: NDArray[np.uint32]
) -> list[NDArray[np.uint64]]:
    """Return some entries of each address that has far more than others, the most crowded first."""
    sizes = np.diff(starts.astype(np.int64))
    usual = len(words) / len(sizes)
    hot = np.flatnonzero(sizes > usual + 6 * usual**0.5 + CROWDED)
    if not len(hot):
        return []
    hot = hot[np.argsort(-sizes[hot], kind="stable")][:HOTTEST]
    slots = np.full(len(sizes), -1, np.int16)
    slots[hot] = np.arange(len(hot))
    counts, rows = np.zeros(len(hot), np.int64), np.empty((len(hot), SAMPLE), np.int64)
    sample_addresses(words, band.offset, band.address, slots, counts, rows)
    return [words[own[:count]] for own, count in zip(rows, counts, strict=True)]


def _center(sample: NDArray[np.uint64], radius: int) -> NDArray[np.uint64] | None:
    """Return what most of a sample say of each bit, if many of them are near that."""
    for least in (0.25, 0.9):  # then without those that are there by chance
        set_bits = np.unpackbits(sample.view(np.uint8), axis=1)
        center = np.packbits(set_bits.mean(0) > 0.5).view(np.uint64)
        near = np.bitwise_count(sample ^ center).sum(1) <= radius
        if near.mean() < least:
            return None
        sample = sample[near]
    return center


def _apart(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> int:
    return int(np.bitwise_count(one ^ other).sum())


class Clusters(Opaque):
    """The members of all clusters of a list, laid cluster by cluster, and where each begins.

    `centers`, shape (k, w), and `bounds`, shape (k, 3), are of clusters; `columns`, shape (w, m),
    are their members, and `rows`, shape (m,), which entries of the list these are.
    """

    # Not a dataclass: dataclasses.asdict would lay the hashes open.
    __slots__ = ("bounds", "centers", "columns", "heads", "rows")

    def __init__(
        self,
        centers: NDArray[np.uint64],
        bounds: NDArray[np.int64],
        columns: NDArray[np.uint64],
        rows: NDArray[np.uint32],
    ) -> None:
        self.centers, self.bounds, self.columns, self.rows = centers, bounds, columns, rows
        self.heads = tuple(columns)

    @classmethod
    def build(
        cls, words: NDArray[np.uint64], found: Found, arena: FileArena | None = None
    ) -> Clusters:
        """Return the clusters of a list of hashes, (n, w), in memory or also in an `arena`."""
        bounds, end = np.empty((len(found.rows), 3), np.int64), 0
        for k, of_cluster in enumerate(found.rows):
            bounds[k, BEGIN], bounds[k, END] = end, end + len(of_cluster)
            bounds[k, RADIUS] = found.radii[k]
            end += -(-len(of_cluster) // GROUP) * GROUP
        rows = np.zeros(end, np.uint32)
        for (begin, stop, _), of_cluster in zip(bounds.tolist(), found.rows, strict=True):
            rows[begin:stop] = of_cluster
        arrays = found.centers, columns(words[rows], 64), rows
        for array in arrays:
            array.flags.writeable = False  # as in a file: kernels are compiled for either kind
            if arena is not None:
                arena.hold(array)
        return cls(arrays[0], bounds, *arrays[1:])

    def search(
        self, queries: NDArray[np.uint64], limit: int, count: int, out: NDArray[np.int64]
    ) -> Pairs | int:
        """Return every pair within `limit` bits, in no order; or how many, if not in `out`.

        Parameters
        ----------
        queries : ndarray of uint64, shape (n, w)
        limit : int
        count : int
            Entries of the list.
        out : ndarray of int64, shape (3, capacity)
            Written to.
        """
        if not is_near_any(self.centers, self.bounds, queries, limit):
            return NOTHING
        flat = np.ascontiguousarray(queries).reshape(-1)
        heads = tuple(flat[word:] for word in range(queries.shape[1]))
        found = within_clusters(
            self.centers, self.bounds, self.columns, self.heads, self.rows, count, queries, heads,
            limit, *out,
        )  # fmt: skip
        if found > out.shape[1]:
            return found
        return Pairs(*out[:, :found].copy()) if found else NOTHING

    @property
    def nbytes(self) -> int:
        """Bytes of all its arrays."""
        return self.centers.nbytes + self.bounds.nbytes + self.columns.nbytes + self.rows.nbytes
