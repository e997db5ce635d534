"""Runs of frames that two videos have in common, in the same order.

The naive way (``tests/naive.py`` has it in pure Python)::

    for pair in pairs:                            # of a query's frame and an entry's, in order
        pair.length = 1 + longest of those that it may follow, 0 if there is none
    for pair in pairs, the longest first:         # as minimap2 chains its seeds (Li 2018)
        walk back along what each followed, until a frame of the query that is taken

A pair may follow one that is before it in the query, and not behind it in the entry; in neither
video more than `gap` seconds or `reach` frames away. Of each frame of the entry, the last time that
it was seen counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


@kernel
def longest_chains(
    query: NDArray[np.int64],
    entry: NDArray[np.int64],
    query_times: NDArray[np.float64],
    entry_times: NDArray[np.float64],
    gap: float,
    reach: int,
    length: NDArray[np.int64],
    before: NDArray[np.int64],
) -> None:
    """Write for each pair how long the longest chain that ends with it is, and what it follows.

    Of equally long ones it follows the later in the query, then the later in the entry.

    Parameters
    ----------
    query, entry : ndarray of int64, shape (n,)
        Numbers of the frames of each pair, by query, then by entry.
    query_times, entry_times : ndarray of float64
        Seconds, of each frame.
    gap : float
    reach : int
    length, before : ndarray of int64, shape (n,)
        Written: pairs in the chain, and the pair before, or -1.
    """
    last = np.full(len(entry_times), -1, np.int64)
    first = 0
    while first < len(query):
        end = first
        while end < len(query) and query[end] == query[first]:
            j = entry[end]
            best, followed = 0, -1
            k = j
            while k >= 0 and (entry_times[j] - entry_times[k] <= gap or j - k <= reach):
                a = last[k]
                if a >= 0:
                    i = query[a]
                    near = query_times[query[end]] - query_times[i] <= gap
                    near = near or query[end] - i <= reach
                    longer = length[a] > best
                    if length[a] == best and followed >= 0 and i > query[followed]:
                        longer = True
                    if near and longer:
                        best, followed = length[a], a
                k -= 1
            length[end], before[end] = best + 1, followed
            end += 1
        for pair in range(first, end):
            last[entry[pair]] = pair
        first = end


@kernel
def assign_chains(
    order: NDArray[np.int64],
    query: NDArray[np.int64],
    before: NDArray[np.int64],
    frames: int,
    chain: NDArray[np.int64],
) -> int:
    """Write which chain each pair is of, or -1, and return how many chains there are.

    Parameters
    ----------
    order : ndarray of int64, shape (n,)
        The pairs, those that end the longest chains first.
    query, before : ndarray of int64, shape (n,)
        As `longest_chains` has them.
    frames : int
        Of the query.
    chain : ndarray of int64, shape (n,)
        Written.
    """
    taken = np.zeros(frames, np.bool_)
    chain[:] = -1
    count = 0
    for place in range(len(order)):
        pair = order[place]
        if taken[query[pair]]:
            continue
        while pair >= 0 and not taken[query[pair]]:
            taken[query[pair]] = True
            chain[pair] = count
            pair = before[pair]
        count += 1
    return count
