"""The k nearest entries of a list, exactly, by looking at every entry.

The naive loop (``tests/naive.py`` has it in pure Python)::

    for q in queries:
        yield sorted((popcount(q ^ e), row) for row, e in enumerate(entries))[:k]

Once k entries are known, only one that is nearer than the farthest of them matters, and soon hardly
any is. So entries are compared 128 at a time in vector registers (`hashmatch._kernels.simd`) with
that distance, which falls as entries are found, and those that are nearer are kept in a heap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel
from hashmatch._kernels.linear import distance
from hashmatch._kernels.simd import GROUP, MASK, any_near, near_mask, trailing_zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch._kernels.simd import Column, Columns

BLOCK_GROUPS = 64
"""Groups of entries of one column, 32 KiB, that all queries are asked of before the next."""
ROW_BITS = 40
"""Bits of a row in a key; its distance is above them, so that keys sort by distance, then row."""


@kernel
def sift_up(heap: NDArray[np.int64], count: int) -> None:
    """Bring the last of `count` keys to its place in a heap whose first is the largest."""
    at = count - 1
    while at > 0 and heap[(at - 1) // 2] < heap[at]:
        above = (at - 1) // 2
        heap[above], heap[at] = heap[at], heap[above]
        at = above


@kernel
def sift_down(heap: NDArray[np.int64], count: int) -> None:
    """Bring the first of `count` keys to its place in a heap whose first is the largest."""
    at = 0
    while 2 * at + 1 < count:
        below = 2 * at + 1
        if below + 1 < count and heap[below + 1] > heap[below]:
            below += 1
        if heap[below] <= heap[at]:
            break
        heap[below], heap[at] = heap[at], heap[below]
        at = below


@kernel
def nearest(
    entries: Column,
    entry_heads: Columns,
    count: int,
    queries: Column,
    query_heads: Columns,
    limits: NDArray[np.int64],
    removed: NDArray[np.bool_],
    found: NDArray[np.int64],
    entry_out: NDArray[np.int64],
    distance_out: NDArray[np.int64],
) -> None:
    """Write the k nearest entries of each query, nearest first, equally near ones by their row.

    Parameters
    ----------
    entries : ndarray of uint32 or of uint64, shape (columns, n)
        As `hashmatch._kernels.linear.columns` lays them; n is a multiple of `GROUP`, and the first
        `count` are entries, fewer than 2**40.
    entry_heads : tuple of ndarray of the same, each of shape (n,)
        The first columns of `entries`: all of them, unless the limits are so small that few entries
        are within them in fewer columns (`hashmatch._kernels.linear.head_length`).
    queries, query_heads : ndarray of the same, shape (columns, m), and a tuple of its first columns
    limits : ndarray of int64, shape (m,)
        Of each query, how far an entry may be at most, inclusive, in bits.
    removed : ndarray of bool, shape (count,) or (0,)
        Entries that are not to be found; none, if it is empty.
    found : ndarray of int64, shape (m,)
        Where to write how many entries each query has: k, or all within its limit if these are
        fewer.
    entry_out, distance_out : ndarray of int64, shape (m, k)
        Where to write them; what is beyond `found` is left undefined.
    """
    k = entry_out.shape[1]
    found[:] = 0
    if k == 0:
        return
    block_entries = max(BLOCK_GROUPS // len(entry_heads), 1) * GROUP
    for block in range(0, count, block_entries):
        end = min(block + block_entries, count)
        for q in range(queries.shape[1]):
            heap = entry_out[q]  # of keys, until all entries are seen
            kept = found[q]
            limit = limits[q]
            if kept == k:
                limit = min(limit, (heap[0] >> ROW_BITS) - 1)  # rows rise: equally far is too far
            for group in range(block, end, GROUP):
                if limit < 0:
                    break
                if not any_near(entry_heads, group, query_heads, q, limit):
                    continue
                for first in range(group, group + GROUP, MASK):
                    mask = near_mask(entry_heads, first, query_heads, q, limit)
                    while mask != np.uint64(0):
                        e = first + trailing_zeros(mask)
                        mask &= mask - np.uint64(1)
                        bits = distance(entries, e, queries, q)
                        if bits > limit or e >= count:
                            continue
                        if removed.shape[0] and removed[e]:
                            continue
                        key = (bits << ROW_BITS) | e
                        if kept < k:
                            heap[kept] = key
                            kept += 1
                            sift_up(heap, kept)
                        else:
                            heap[0] = key
                            sift_down(heap, kept)
                        if kept == k:
                            limit = min(limit, (heap[0] >> ROW_BITS) - 1)
            found[q] = kept
    for q in range(queries.shape[1]):
        heap = entry_out[q]
        for last in range(found[q] - 1, 0, -1):
            heap[0], heap[last] = heap[last], heap[0]
            sift_down(heap, last)
        for i in range(found[q]):
            distance_out[q, i] = heap[i] >> ROW_BITS
            heap[i] &= (1 << ROW_BITS) - 1
