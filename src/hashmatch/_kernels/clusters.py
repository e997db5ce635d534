"""Near-duplicates that lie together: looked at in a row, if the query is near them at all.

The naive loop (``tests/naive.py`` has the search in pure Python)::

    for q in queries:
        for center, radius, members in clusters:
            if popcount(q ^ center) <= radius + limit:
                for e in members:
                    if popcount(q ^ e) <= limit:
                        yield q, e

Nothing is missed: what is within the limit of a member is within radius + limit of its center.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import inlined, kernel
from hashmatch._kernels.linear import distance
from hashmatch._kernels.simd import (
    GROUP,
    MASK,
    any_near,
    near_mask,
    popcount,
    signed,
    trailing_zeros,
)
from hashmatch._kernels.tables import ring_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch._kernels.simd import Columns

BEGIN, END, RADIUS = range(3)
"""Columns of bounds: where the members of a cluster begin and end, and how far one is from the
center at most."""


@inlined
def words_distance(
    one: NDArray[np.uint64], row: int, other: NDArray[np.uint64], other_row: int
) -> int:
    """Return the differing bits of two hashes, rows of (n, w) and (m, w)."""
    total = 0
    for word in range(one.shape[1]):
        total += popcount(one[row, word] ^ other[other_row, word])
    return total


@kernel
def is_near_any(
    centers: NDArray[np.uint64],
    bounds: NDArray[np.int64],
    queries: NDArray[np.uint64],
    limit: int,
) -> bool:
    """Say whether any query may have a member of any cluster within the limit.

    Parameters
    ----------
    centers, bounds, queries, limit
        As for `within_clusters`.
    """
    for q in range(queries.shape[0]):
        for k in range(centers.shape[0]):
            if words_distance(queries, q, centers, k) <= bounds[k, RADIUS] + limit:
                return True
    return False


@kernel
def within_clusters(
    centers: NDArray[np.uint64],
    bounds: NDArray[np.int64],
    entries: NDArray[np.uint64],
    entry_heads: Columns,
    rows: NDArray[np.uint32],
    count: int,
    queries: NDArray[np.uint64],
    query_heads: Columns,
    limit: int,
    query_out: NDArray[np.int64],
    entry_out: NDArray[np.int64],
    distance_out: NDArray[np.int64],
) -> int:
    """Write every pair of a query and a member within `limit` bits, in no order; return how many.

    Counting continues past the end of the outputs: the caller comes back with larger ones.

    Parameters
    ----------
    centers : ndarray of uint64, shape (k, w)
    bounds : ndarray of int64, shape (k, 3)
        `BEGIN`, a multiple of `GROUP`, `END` and `RADIUS` of each cluster; none ends beyond m.
    entries, entry_heads : ndarray of uint64, shape (w, m), and a tuple of its columns
        Members, cluster by cluster, as `hashmatch._kernels.linear.columns` lays them; m is a
        multiple of `GROUP`.
    rows : ndarray of uint32, shape (m,)
        Which entry of the list each is.
    count : int
        Entries of the list, at least 1: whatever `rows` says, no other is written.
    queries : ndarray of uint64, shape (n, w)
    query_heads : tuple of ndarray of uint64
        All of `queries` in one row, from the first, the second ... word on.
    limit : int
        Inclusive, in bits.
    query_out, entry_out, distance_out : ndarray of int64, shape (capacity,)
    """
    found, width = 0, queries.shape[1]
    for q in range(queries.shape[0]):
        for k in range(centers.shape[0]):
            if words_distance(queries, q, centers, k) > bounds[k, RADIUS] + limit:
                continue
            end = bounds[k, END]
            for group in range(bounds[k, BEGIN], end, GROUP):
                if not any_near(entry_heads, group, query_heads, q * width, limit):
                    continue
                for first in range(group, group + GROUP, MASK):
                    mask = near_mask(entry_heads, first, query_heads, q * width, limit)
                    while mask != np.uint64(0):
                        e = first + trailing_zeros(mask)
                        mask &= mask - np.uint64(1)
                        if e >= end:
                            continue
                        bits = 0
                        for word in range(width):
                            bits += popcount(entries[word, e] ^ queries[q, word])
                        if bits > limit:  # who shares the file may have written to it meanwhile
                            continue
                        if found < query_out.shape[0]:
                            query_out[found] = q
                            entry_out[found] = min(signed(rows[e]), count - 1)
                            distance_out[found] = bits
                        found += 1
    return found


@kernel
def join_centers(
    entries: NDArray[np.uint64],
    entry_heads: Columns,
    count: int,
    centers: NDArray[np.uint64],
    center_heads: Columns,
    radius: int,
    which: NDArray[np.int16],
    apart: NDArray[np.int16],
) -> None:
    """Write which center is the nearest of each entry, and how far, if one is within `radius` bits.

    Parameters
    ----------
    entries, entry_heads, count
        As for `hashmatch._kernels.linear.within`, all columns.
    centers, center_heads : ndarray of uint64, shape (w, k), and a tuple of its columns
    radius : int
    which, apart : ndarray of int16, shape (count,)
        For entries without a center they stay what they are; `apart` is more than `radius` at
        first.
    """
    for k in range(centers.shape[1]):
        for group in range(0, count, GROUP):
            if not any_near(entry_heads, group, center_heads, k, radius):
                continue
            for e in range(group, min(group + GROUP, count)):
                bits = distance(entries, e, centers, k)
                if bits <= radius and bits < apart[e]:
                    which[e], apart[e] = k, bits


@kernel
def sample_addresses(
    words: NDArray[np.uint64],
    offset: int,
    address: int,
    slots: NDArray[np.int16],
    counts: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> None:
    """Write the first rows of some addresses of a band.

    Parameters
    ----------
    words : ndarray of uint64, shape (n, w)
    offset, address : int
        The band's first bit, and bits of its address.
    slots : ndarray of int16, shape (2**address,)
        Which line of `rows` an address has; -1 for those that are not asked for.
    counts : ndarray of int64, shape (k,)
        How many rows each of them has; 0 at first.
    rows : ndarray of int64, shape (k, most)
        Written to, up to the counts.
    """
    left = rows.shape[0]
    for e in range(words.shape[0]):
        k = slots[ring_bits(words, e, offset, address)]
        if k < 0 or counts[k] == rows.shape[1]:
            continue
        rows[k, counts[k]] = e
        counts[k] += 1
        if counts[k] == rows.shape[1]:
            left -= 1
            if left == 0:
                break
