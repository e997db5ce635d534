"""Exact Hamming search by looking at every entry.

The naive loop (``tests/naive.py`` has it in pure Python)::

    for q in queries:
        for e in entries:
            if popcount(q ^ e) <= limit:
                yield q, e
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.frozen.jit import kernel, popcount

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@kernel
def within(
    queries: NDArray[np.uint64],
    entries: NDArray[np.uint64],
    limit: int,
    query_out: NDArray[np.int64],
    entry_out: NDArray[np.int64],
    distance_out: NDArray[np.int64],
) -> int:
    """Write every pair within `limit` bits, by query and then entry; return how many there are.

    The count goes on past the end of the outputs, which then hold the first of the pairs: the
    caller comes back with larger ones.

    Parameters
    ----------
    queries : ndarray of uint64, shape (n, words)
    entries : ndarray of uint64, shape (m, words)
    limit : int
        Inclusive, in bits.
    query_out, entry_out, distance_out : ndarray of int64, shape (capacity,)
    """
    found = 0
    capacity = query_out.shape[0]
    for q in range(queries.shape[0]):
        for e in range(entries.shape[0]):
            distance = 0
            for word in range(queries.shape[1]):
                # No early end past the limit: the branch is taken at random, and each one the
                # processor guesses wrong costs more than the words it would save (4x, measured).
                distance += popcount(queries[q, word] ^ entries[e, word])
            if distance <= limit:
                if found < capacity:
                    query_out[found] = q
                    entry_out[found] = e
                    distance_out[found] = distance
                found += 1
    return found
