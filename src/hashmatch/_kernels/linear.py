"""Exact Hamming search by looking at every entry.

The naive loop (``tests/naive.py`` has it in pure Python)::

    for q in queries:
        for e in entries:
            if popcount(q ^ e) <= limit:
                yield q, e

Most entries differ from a query by half of their bits, and by more than the limit in their first
128 bits already. So the hashes are laid in columns of 32 bits, and the first few columns, an
entry's head, are compared 128 entries at a time in vector registers (`hashmatch._kernels.simd`);
only entries whose head is near enough have the rest looked at.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import inlined, kernel
from hashmatch._kernels.simd import GROUP, MASK, any_near, near_mask, popcount, trailing_zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch._kernels.simd import Columns

BLOCK = 2048
"""Entries that all queries are asked of before the next: 32 KiB of heads stay in the near cache."""
CACHE_LINE = 64
"""Bytes, as many as a vector has."""
PASSING_GROUPS = 0.05
"""Groups that need a closer look, at most, if bits are random: more, and a longer head pays."""


def columns(words: NDArray[np.uint64], multiple: int = 1) -> NDArray[np.uint32]:
    """Return hashes (n, words) as columns (2 * words, m) of 32 bits, most significant first.

    m is n brought up to a `multiple`; what is added is zero.
    """
    count = -(-len(words) // multiple) * multiple
    rows = 2 * words.shape[1]
    # A vector that begins anywhere lies across two cache lines, and takes two loads.
    spare = np.zeros(rows * count + CACHE_LINE // 4, np.uint32)
    first = -spare.ctypes.data % CACHE_LINE // 4
    laid = spare[first : first + rows * count].reshape(rows, count)
    laid[0::2, : len(words)] = (words >> np.uint64(32)).T
    laid[1::2, : len(words)] = (words & np.uint64(0xFFFFFFFF)).T
    return laid


@cache
def head_length(count: int, limit: int) -> int:
    """Return how many of `count` columns make the head: the shorter, the more entries pass it.

    Doubled until hardly a group has an entry that passes: of b random bits at most `limit` are
    set with probability ``sum(comb(b, i) for i in range(limit + 1)) / 2**b``. Doubled, since each
    length is compiled for itself.
    """
    length = 1
    while length < count:
        bits = 32 * length
        passing = sum(math.comb(bits, i) for i in range(min(limit, bits) + 1)) / 2**bits
        if GROUP * passing <= PASSING_GROUPS:
            return length
        length = min(2 * length, count)
    return count


@inlined
def distance(
    entries: NDArray[np.uint32], entry: int, queries: NDArray[np.uint32], query: int
) -> int:
    """Return the differing bits of an entry and a query, both laid by `columns`."""
    total = 0
    for column in range(entries.shape[0]):
        total += popcount(np.uint64(entries[column, entry] ^ queries[column, query]))
    return total


@kernel
def within(
    entries: NDArray[np.uint32],
    entry_heads: Columns,
    count: int,
    queries: NDArray[np.uint32],
    query_heads: Columns,
    limit: int,
    query_out: NDArray[np.int64],
    entry_out: NDArray[np.int64],
    distance_out: NDArray[np.int64],
) -> int:
    """Write every pair within `limit` bits, in no order; return how many there are.

    Counting continues past the end of the outputs, which then hold some of the pairs: the caller
    comes back with larger ones.

    Parameters
    ----------
    entries : ndarray of uint32, shape (columns, n)
        As `columns` lays them; n is a multiple of `GROUP`, and the first `count` are entries.
    entry_heads : tuple of ndarray of uint32, each of shape (n,)
        The first columns of `entries`.
    queries, query_heads : ndarray of uint32, shape (columns, m), and a tuple of its first columns
    limit : int
        Inclusive, in bits.
    query_out, entry_out, distance_out : ndarray of int64, shape (capacity,)
    """
    found = 0
    for block in range(0, count, BLOCK):
        end = min(block + BLOCK, count)
        for q in range(queries.shape[1]):
            for group in range(block, end, GROUP):
                if not any_near(entry_heads, group, query_heads, q, limit):
                    continue
                for first in range(group, group + GROUP, MASK):
                    mask = near_mask(entry_heads, first, query_heads, q, limit)
                    while mask != np.uint64(0):
                        e = first + trailing_zeros(mask)
                        mask &= mask - np.uint64(1)
                        bits = distance(entries, e, queries, q)
                        if bits <= limit and e < count:
                            if found < query_out.shape[0]:
                                query_out[found] = q
                                entry_out[found] = e
                                distance_out[found] = bits
                            found += 1
    return found
