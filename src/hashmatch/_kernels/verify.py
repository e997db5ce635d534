"""From lines that hold something near to pairs: whole signatures, whole hashes, each pair once.

Each step asks memory for what the next one reads, for many at a time: they lie anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import inlined, kernel
from hashmatch._kernels.simd import (
    LINE,
    load,
    near_signatures,
    popcount,
    prefetch,
    signed,
    trailing_zeros,
)
from hashmatch._kernels.tables import (
    ADDRESS,
    BAND,
    CANDIDATE_LIMIT,
    CONTINUED,
    FAR,
    FULL,
    GROUP,
    GROUPS,
    GROUPS_END,
    HEAD,
    LINES,
    LINES_END,
    NEAR,
    OFFSET,
    ROWS,
    SHORT,
    WHOLE,
    WIDEST,
    line_beyond,
    ring_bits,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 256
"""Lines and candidates that wait to be looked at more closely."""
FURTHER = 4
"""Lines beyond the first of an address that are asked for at once."""
LINE_AT, NEAR_MASK, QUERY, OF_BAND, OF_GROUP, OF_START, BEFORE, SIGNATURE, COLUMNS = range(9)
"""Columns of hits: the place of a line, which are near in it, and what was asked there: the place
of the address in starts, the entries of it in lines before, and half of the query's signature."""
START, SLOT, FOR_QUERY, BY_BAND, LEFT = range(5)
"""Columns of candidates: the place of their address in starts, the place from there, the query, the
band, and how far the other half of the signature may be."""


SCRATCH = 1 + 2 * BATCH
"""Rows for use in between, besides the most lines that a query looks at in a band."""


# The rows that a search is given: one for the work of each query, candidates, hits, pairs found.
@inlined
def candidates_in(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows for candidates, as many as `BATCH`."""
    return rows[1 : 1 + BATCH]


@inlined
def hits_in(rows: NDArray[np.int64], head: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows for lines with something near: `BATCH`, and the most lines of a band."""
    return rows[1 + BATCH : SCRATCH + head[WIDEST]]


@inlined
def pairs_in(rows: NDArray[np.int64], head: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows for what is found."""
    return rows[SCRATCH + head[WIDEST] :]


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
        offset, address = load(head, b + OFFSET), load(head, b + ADDRESS)
        ours, theirs = (
            ring_bits(entries, e, offset, address),
            ring_bits(queries, q, offset, address),
        )
        group = load(head, b + GROUPS) + GROUP * popcount(np.uint64(ours ^ theirs))
        if group >= load(head, b + GROUPS_END):
            continue
        offset += address
        unlike = ring_bits(entries, e, offset, 32) ^ ring_bits(queries, q, offset, 32)
        if popcount(np.uint64(unlike >> 16)) <= load(head, group + NEAR) and popcount(
            np.uint64(unlike)
        ) <= load(head, group + WHOLE):
            return True
    return False


@kernel
def look_closer(
    head: NDArray[np.int64],
    tables: NDArray[np.uint64],
    entries: NDArray[np.uint64],
    queries: NDArray[np.uint64],
    limit: int,
    rows: NDArray[np.int64],
    count: int,
    found: int,
) -> int:
    """Compare whole signatures of `count` candidates, then whole hashes; return how many are found.

    Parameters
    ----------
    head, tables, entries, queries, limit, rows
        See `hashmatch._kernels.multi_index.one_by_one`. Candidates are written over; pairs beyond
        the end of the rows are only counted.
    """
    halves, singles = tables.view(np.uint16), tables.view(np.uint32)
    candidates, out = candidates_in(rows), pairs_in(rows, head)
    last = entries.shape[0] - 1
    for i in range(count):
        band = candidates[i, BY_BAND]
        at = min(signed(load(singles, candidates[i, START])) + candidates[i, SLOT], last)
        prefetch(halves, load(head, band + FAR) + at)
        prefetch(singles, load(head, band + ROWS) + at)
        candidates[i, START] = at
    left = 0
    for i in range(count):
        at, q, band = candidates[i, START], candidates[i, FOR_QUERY], candidates[i, BY_BAND]
        far = signed(load(halves, load(head, band + FAR) + at))
        end = load(head, band + OFFSET) + load(head, band + ADDRESS)
        if popcount(np.uint64(far ^ ring_bits(queries, q, end + 16, 16))) <= candidates[i, LEFT]:
            candidates[left, START] = min(signed(load(singles, load(head, band + ROWS) + at)), last)
            candidates[left, FOR_QUERY], candidates[left, BY_BAND] = q, band
            left += 1
    for i in range(left):
        e, q = candidates[i, START], candidates[i, FOR_QUERY]
        distance = 0
        for word in range(entries.shape[1]):
            distance += popcount(entries[e, word] ^ queries[q, word])
        if distance > limit:
            continue
        if found_before(head, entries, e, queries, q, candidates[i, BY_BAND]):
            continue
        if found < out.shape[0]:
            out[found, 0], out[found, 1], out[found, 2] = q, e, distance
        found += 1
    return found


@kernel
def sift(
    head: NDArray[np.int64],
    tables: NDArray[np.uint64],
    entries: NDArray[np.uint64],
    queries: NDArray[np.uint64],
    limit: int,
    rows: NDArray[np.int64],
    work: NDArray[np.int64],
    count: int,
    found: int,
) -> int:
    """Look at what is near in `count` lines; return how many pairs are found by now.

    Parameters
    ----------
    head, tables, entries, queries, limit, rows
        See `hashmatch._kernels.multi_index.one_by_one`.
    work : ndarray of int64, shape (m,)
        For each query, how many candidates and further lines there were; beyond `CANDIDATE_LIMIT`
        it is given up: what is written of it is not all.
    """
    halves, singles = tables.view(np.uint16), tables.view(np.uint32)
    hits, candidates = hits_in(rows, head), candidates_in(rows)
    most = load(head, CANDIDATE_LIMIT)
    for i in range(count):
        prefetch(singles, hits[i, OF_START])
        if load(halves, hits[i, LINE_AT]) == CONTINUED:
            further = load(head, hits[i, OF_BAND] + LINES) + line_beyond(halves, hits[i, LINE_AT])
            for k in range(FURTHER):
                prefetch(halves, further + k * LINE)
    waiting = 0
    for i in range(count):
        line, near, q = hits[i, LINE_AT], np.uint64(hits[i, NEAR_MASK]), hits[i, QUERY]
        band, group = hits[i, OF_BAND], hits[i, OF_GROUP]
        if work[q] > most:
            continue
        start, slot, signature = hits[i, OF_START], hits[i, BEFORE], hits[i, SIGNATURE]
        whole = load(head, group + WHOLE)
        in_line, left, is_last = signed(load(halves, line)) & FULL, 0, False
        if load(halves, line) == CONTINUED:
            in_line, is_last = SHORT, True
            count_here = signed(load(singles, start + 1)) - signed(load(singles, start))
            left = min(count_here, entries.shape[0]) - slot - SHORT
        while True:
            near = (near >> np.uint64(1)) & ((np.uint64(1) << np.uint64(in_line)) - np.uint64(1))
            while near != np.uint64(0):
                k = trailing_zeros(near)
                near &= near - np.uint64(1)
                if waiting == BATCH:
                    found = look_closer(head, tables, entries, queries, limit, rows, waiting, found)
                    waiting = 0
                unlike = signed(load(halves, line + 1 + k)) ^ signature
                candidates[waiting, START], candidates[waiting, SLOT] = start, slot + k
                candidates[waiting, FOR_QUERY], candidates[waiting, BY_BAND] = q, band
                candidates[waiting, LEFT] = whole - popcount(np.uint64(unlike))
                waiting += 1
                work[q] += 1
            if left <= 0 or work[q] > most:
                break
            slot += in_line
            line = load(head, band + LINES) + line_beyond(halves, line) if is_last else line + LINE
            line = min(line, load(head, band + LINES_END) - LINE)
            is_last = False
            near = near_signatures(halves, line, signature, load(head, group + NEAR))
            in_line = min(FULL, left)
            left -= in_line
            work[q] += 1
    return look_closer(head, tables, entries, queries, limit, rows, waiting, found)
