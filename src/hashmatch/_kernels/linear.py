"""Exact Hamming search by looking at every entry.

The naive loop (``tests/naive.py`` has it in pure Python)::

    for q in queries:
        for e in entries:
            if popcount(q ^ e) <= limit:
                yield q, e

Most entries differ from a query by half of their bits, and by more than the limit in their first
96 bits already. So the hashes are laid in columns of 32 bits, and the first few columns, an entry's
head, are compared 128 entries at a time in vector registers (`hashmatch._kernels.simd`); only
entries whose head is near enough have the rest looked at. Where tables say what to look at, columns
are of 64 bits: of an entry that lies anywhere, a column is one wait for memory.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hashmatch._kernels.jit import inlined, kernel
from hashmatch._kernels.simd import GROUP, MASK, any_near, near_mask, popcount, trailing_zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch._kernels.simd import Column, Columns

BLOCK = 2048
"""Entries that all queries are asked of before the next: 32 KiB of heads stay in the near cache."""
CACHE_LINE = 64
"""Bytes, as many as a vector has."""
PASSING_GROUPS = 0.05
"""Groups that need a closer look, at most, if bits are random: more, and a longer head pays."""


def column_type(bits: int) -> np.dtype[np.unsignedinteger[Any]]:
    """Return the type of a column of so many bits, 32 or 64."""
    return np.dtype(f"uint{bits}")


def columns(words: NDArray[np.uint64], bits: int, multiple: int = 1) -> Column:
    """Return hashes (n, w) as columns (k, m) of 32 or 64 bits, most significant first.

    m is n brought up to a `multiple`; what is added is zero.
    """
    count, width = -(-len(words) // multiple) * multiple, words.shape[1]
    # A vector that begins anywhere lies across two cache lines, and takes two loads.
    # Not np.zeros: NumPy asks for huge pages only where it does not have to clear them.
    spare = np.empty(width * count + CACHE_LINE // 8, np.uint64)
    first = -spare.ctypes.data % CACHE_LINE // 8
    flat = spare[first : first + width * count]
    laid: Column = flat.view(column_type(bits)).reshape(width * 64 // bits, count)
    lay(words, laid)
    return laid


def lay(words: NDArray[np.uint64], laid: Column) -> None:
    """Write hashes (n, w) to the columns (k, m) that they are laid in, and zeros after them."""
    if laid.dtype == np.uint64:
        laid[:, : len(words)] = words.T
    else:
        laid[0::2, : len(words)] = (words >> np.uint64(32)).T
        laid[1::2, : len(words)] = (words & np.uint64(0xFFFFFFFF)).T
    laid[:, len(words) :] = 0


def words_of(laid: Column, rows: slice | NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return some of the hashes that `columns` laid, shape (n, w)."""
    some = laid[:, rows]
    if laid.dtype == np.uint64:
        return np.ascontiguousarray(some.T, np.uint64)
    words = np.empty((some.shape[1], len(some) // 2), np.uint64)
    words[:] = some[0::2].T
    words <<= np.uint64(32)
    words |= some[1::2].T
    return words


@cache
def head_length(count: int, bits: int, limit: int) -> int:
    """Return how many of `count` columns of `bits` make the head: the fewer, the more pass it.

    As few as leave hardly a group with an entry that passes: of b random bits at most `limit` are
    set with probability ``sum(comb(b, i) for i in range(limit + 1)) / 2**b``. Beyond four, doubled:
    each length is compiled for itself.
    """
    length = 1
    while length < count:
        head = bits * length
        passing = sum(math.comb(head, i) for i in range(min(limit, head) + 1)) / 2**head
        if GROUP * passing <= PASSING_GROUPS:
            return length
        length = min(length + 1 if length < 4 else 2 * length, count)
    return count


@inlined
def distance(
    entries: Column,
    entry: int,
    queries: Column,
    query: int,
) -> int:
    """Return the differing bits of an entry and a query, both laid by `columns` alike."""
    total = 0
    for column in range(entries.shape[0]):
        total += popcount(np.uint64(entries[column, entry] ^ queries[column, query]))
    return total


@kernel
def within(
    entries: Column,
    entry_heads: Columns,
    count: int,
    queries: Column,
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
    entries : ndarray of uint32 or of uint64, shape (columns, n)
        As `columns` lays them; n is a multiple of `GROUP`, and the first `count` are entries.
    entry_heads : tuple of ndarray of the same, each of shape (n,)
        The first columns of `entries`.
    queries, query_heads : ndarray of the same, shape (columns, m), and a tuple of its first columns
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
