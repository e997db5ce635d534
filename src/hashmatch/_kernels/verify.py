"""From lines that hold something near to pairs: whole signatures, whole hashes, each pair once.

Each step asks memory for what the next one reads, for many at a time: they lie anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel, popcount
from hashmatch._kernels.simd import LINE, item, lowest, near_signatures, number, prefetch
from hashmatch._kernels.tables import (
    ADDRESS,
    BAND,
    FAR,
    FULL,
    GROUP,
    GROUPS,
    GROUPS_END,
    HEAD,
    LINES,
    LINES_END,
    MORE,
    MOST,
    NEAR,
    OFFSET,
    ROWS,
    SHORT,
    WHOLE,
    line_beyond,
    ring_bits,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOM = 256
"""Lines and candidates that wait to be looked at more closely."""
FURTHER = 4
"""Lines beyond the first of an address that are asked for at once."""
LINE_AT, NEAR_ONES, QUERY, OF_BAND, OF_GROUP, OF_START, BEFORE, SIGNATURE, HIT = range(9)
"""Columns of hits: the place of a line, which are near in it, and what was asked there: the place
of the address in starts, the entries of it in lines before, and half of the query's signature."""
START, LANE, ASKED, BY, LEFT = range(5)
"""Columns of candidates: the place of their address in starts, the place from there, the query, the
band, and how far the other half of the signature may be."""


@kernel
def found_before(
    head: NDArray[np.int64],
    entries: NDArray[np.uint64],
    e: int,
    queries: NDArray[np.uint64],
    q: int,
    band: int,
) -> bool:
    """Say whether an earlier band finds the same pair: each is reported by the first that does."""
    for b in range(HEAD, band, BAND):
        offset, address = item(head, b + OFFSET), item(head, b + ADDRESS)
        ours, theirs = (
            ring_bits(entries, e, offset, address),
            ring_bits(queries, q, offset, address),
        )
        group = item(head, b + GROUPS) + GROUP * popcount(np.uint64(ours ^ theirs))
        if group >= item(head, b + GROUPS_END):
            continue
        offset += address
        unlike = ring_bits(entries, e, offset, 32) ^ ring_bits(queries, q, offset, 32)
        if popcount(np.uint64(unlike >> 16)) <= item(head, group + NEAR) and popcount(
            np.uint64(unlike)
        ) <= item(head, group + WHOLE):
            return True
    return False


@kernel
def look_closer(
    head: NDArray[np.int64],
    halves: NDArray[np.uint16],
    singles: NDArray[np.uint32],
    entries: NDArray[np.uint64],
    queries: NDArray[np.uint64],
    limit: int,
    candidates: NDArray[np.int64],
    count: int,
    found: int,
    out: NDArray[np.int64],
) -> int:
    """Compare whole signatures of `count` candidates, then whole hashes; return how many are found.

    Parameters
    ----------
    head, halves, singles : ndarray of int64, of uint16, and of uint32
        The latter are the same tables. See `hashmatch._kernels.tables`.
    entries, queries, limit, out
        See `hashmatch._kernels.multi_index`.
    candidates : ndarray of int64, shape (ROOM, HIT)
        Written over.
    """
    last = entries.shape[0] - 1
    for i in range(count):
        band = candidates[i, BY]
        at = min(number(item(singles, candidates[i, START])) + candidates[i, LANE], last)
        prefetch(halves, item(head, band + FAR) + at)
        prefetch(singles, item(head, band + ROWS) + at)
        candidates[i, START] = at
    left = 0
    for i in range(count):
        at, q, band = candidates[i, START], candidates[i, ASKED], candidates[i, BY]
        far = number(item(halves, item(head, band + FAR) + at))
        end = item(head, band + OFFSET) + item(head, band + ADDRESS)
        if popcount(np.uint64(far ^ ring_bits(queries, q, end + 16, 16))) <= candidates[i, LEFT]:
            candidates[left, START] = min(number(item(singles, item(head, band + ROWS) + at)), last)
            candidates[left, ASKED], candidates[left, BY] = q, band
            left += 1
    for i in range(left):
        e, q = candidates[i, START], candidates[i, ASKED]
        distance = 0
        for word in range(entries.shape[1]):
            distance += popcount(entries[e, word] ^ queries[q, word])
        if distance > limit:
            continue
        if found_before(head, entries, e, queries, q, candidates[i, BY]):
            continue
        if found < out.shape[0]:
            out[found, 0], out[found, 1], out[found, 2] = q, e, distance
        found += 1
    return found


@kernel
def sift(
    head: NDArray[np.int64],
    halves: NDArray[np.uint16],
    singles: NDArray[np.uint32],
    entries: NDArray[np.uint64],
    queries: NDArray[np.uint64],
    limit: int,
    hits: NDArray[np.int64],
    count: int,
    candidates: NDArray[np.int64],
    found: int,
    work: NDArray[np.int64],
    out: NDArray[np.int64],
) -> int:
    """Look at what is near in `count` lines; return how many pairs are found by now.

    Parameters
    ----------
    hits : ndarray of int64, shape (ROOM + most lines of a band, HIT)
    work : ndarray of int64, shape (m,)
        For each query, how many candidates and further lines there were; beyond `MOST` it is given
        up: what is written of it is not all.
    """
    most = item(head, MOST)
    for i in range(count):
        prefetch(singles, hits[i, OF_START])
        if item(halves, hits[i, LINE_AT]) == MORE:
            further = item(head, hits[i, OF_BAND] + LINES) + line_beyond(halves, hits[i, LINE_AT])
            for k in range(FURTHER):
                prefetch(halves, further + k * LINE)
    waiting = 0
    for i in range(count):
        line, near, q = hits[i, LINE_AT], np.uint64(hits[i, NEAR_ONES]), hits[i, QUERY]
        band, group = hits[i, OF_BAND], hits[i, OF_GROUP]
        if work[q] > most:
            continue
        start, lane, signature = hits[i, OF_START], hits[i, BEFORE], hits[i, SIGNATURE]
        whole = item(head, group + WHOLE)
        in_line, left, is_last = number(item(halves, line)) & FULL, 0, False
        if item(halves, line) == MORE:
            in_line, is_last = SHORT, True
            count_here = number(item(singles, start + 1)) - number(item(singles, start))
            left = min(count_here, entries.shape[0]) - lane - SHORT
        while True:
            near = (near >> np.uint64(1)) & ((np.uint64(1) << np.uint64(in_line)) - np.uint64(1))
            while near != np.uint64(0):
                k = lowest(near)
                near &= near - np.uint64(1)
                if waiting == ROOM:
                    found = look_closer(
                        head,
                        halves,
                        singles,
                        entries,
                        queries,
                        limit,
                        candidates,
                        waiting,
                        found,
                        out,
                    )
                    waiting = 0
                unlike = number(item(halves, line + 1 + k)) ^ signature
                candidates[waiting, START], candidates[waiting, LANE] = start, lane + k
                candidates[waiting, ASKED], candidates[waiting, BY] = q, band
                candidates[waiting, LEFT] = whole - popcount(np.uint64(unlike))
                waiting += 1
                work[q] += 1
            if left <= 0 or work[q] > most:
                break
            lane += in_line
            line = item(head, band + LINES) + line_beyond(halves, line) if is_last else line + LINE
            line = min(line, item(head, band + LINES_END) - LINE)
            is_last = False
            near = near_signatures(halves, line, signature, item(head, group + NEAR))
            in_line = min(FULL, left)
            left -= in_line
            work[q] += 1
    return look_closer(
        head, halves, singles, entries, queries, limit, candidates, waiting, found, out
    )
