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
    COUNT,
    FULL,
    FULL_FIRST,
    GROUP,
    GROUPS,
    GROUPS_END,
    HEAD,
    LINES,
    LINES_END,
    NEAR,
    NEAR_WORD,
    OFFSET,
    POINTER,
    ROW_BYTES,
    ROWS,
    SIGNATURE,
    WIDEST,
    WORD,
    capacity,
    first_in_line,
    line_beyond,
    ring_bits,
    row_at,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 256
"""Lines and candidates that wait to be looked at more closely."""
FURTHER = 4
"""Lines beyond the first of an address that are asked for at once."""
LINE_AT, FIRST_AT, NEAR_MASK, QUERY, OF_BAND, OF_GROUP, ASKED = range(7)
"""Columns of hits: the place of a line, that of the first one of its address, which are near in it,
and what was asked there: the query, the band, the group, and the query's signature."""
PLACE, FOR_QUERY, BY_BAND, BY_GROUP = range(4)
"""Columns of candidates: where in rows it is said which entry it is, the query, the band, and the
group."""
COLUMNS = 8
"""Of all rows that a search is given."""
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
def found_before(head: NDArray[np.int64], unlike: NDArray[np.uint64], band: int) -> bool:
    """Say whether an earlier band finds the same pair: each is reported by the first that does.

    `unlike`, shape (1, w), has the bits that differ.
    """
    for b in range(HEAD, band, BAND):
        offset, address = load(head, b + OFFSET), load(head, b + ADDRESS)
        changed = popcount(np.uint64(ring_bits(unlike, 0, offset, address)))
        group = load(head, b + GROUPS) + GROUP * changed
        if group >= load(head, b + GROUPS_END):
            continue
        signature = ring_bits(unlike, 0, offset + address, SIGNATURE)
        if popcount(np.uint64(signature)) > load(head, group + NEAR):
            continue
        if popcount(unlike[0, load(head, b + WORD)]) <= load(head, group + NEAR_WORD):
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
    """Compare a word of `count` candidates, then the whole hash; return how many are found.

    Parameters
    ----------
    head, tables, entries, queries, limit, rows
        See `hashmatch._kernels.multi_index.one_by_one`. Candidates are written over; pairs beyond
        the end of the rows are only counted.
    """
    numbers, flat, stride = tables.view(np.uint8), entries.reshape(-1), entries.shape[1]
    candidates, out = candidates_in(rows), pairs_in(rows, head)
    last, size = load(head, COUNT) - 1, load(head, ROW_BYTES)
    for i in range(count):
        e = min(row_at(numbers, candidates[i, PLACE], size), last)
        prefetch(flat, load(head, candidates[i, BY_BAND] + WORD) * stride + e)
        candidates[i, PLACE] = e
    left = 0
    for i in range(count):
        e, q, band = candidates[i, PLACE], candidates[i, FOR_QUERY], candidates[i, BY_BAND]
        word = load(head, band + WORD)
        unlike_word = load(flat, word * stride + e) ^ queries[q, word]
        if popcount(unlike_word) > load(head, candidates[i, BY_GROUP] + NEAR_WORD):
            continue
        for other in range(queries.shape[1]):
            prefetch(flat, other * stride + e)
        candidates[left, PLACE], candidates[left, FOR_QUERY] = e, q
        candidates[left, BY_BAND] = band
        left += 1
    unlike = np.empty((1, queries.shape[1]), np.uint64)
    for i in range(left):
        e, q = candidates[i, PLACE], candidates[i, FOR_QUERY]
        distance = 0
        for word in range(queries.shape[1]):
            unlike[0, word] = load(flat, word * stride + e) ^ queries[q, word]
            distance += popcount(unlike[0, word])
        if distance > limit or found_before(head, unlike, candidates[i, BY_BAND]):
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
    numbers, halves = tables.view(np.uint8), tables.view(np.uint16)
    hits, candidates = hits_in(rows, head), candidates_in(rows)
    most, last, size = load(head, CANDIDATE_LIMIT), load(head, COUNT) - 1, load(head, ROW_BYTES)
    for i in range(count):
        if load(halves, hits[i, LINE_AT]) == CONTINUED:
            further = load(head, hits[i, OF_BAND] + LINES) + line_beyond(halves, hits[i, LINE_AT])
            for k in range(FURTHER):
                prefetch(halves, further + k * LINE)
    waiting = 0
    for i in range(count):
        line, near, q = hits[i, LINE_AT], np.uint64(hits[i, NEAR_MASK]), hits[i, QUERY]
        band, group, signature = hits[i, OF_BAND], hits[i, OF_GROUP], hits[i, ASKED]
        if work[q] > most:
            continue
        first_row, further, in_line = load(head, band + ROWS), 0, signed(load(halves, line))
        first, before = first_in_line(halves, hits[i, FIRST_AT]), LINE - FULL_FIRST
        if line != hits[i, FIRST_AT]:
            first += capacity((line - hits[i, FIRST_AT]) // LINE)
            before = LINE - FULL
        if in_line == CONTINUED:
            in_line = LINE - before - POINTER
            further = load(head, band + LINES) + line_beyond(halves, line)
        while True:
            in_line = min(in_line & FULL, LINE - before)
            near = (near >> np.uint64(before)) & (
                (np.uint64(1) << np.uint64(in_line)) - np.uint64(1)
            )
            while near != np.uint64(0):
                k = trailing_zeros(near)
                near &= near - np.uint64(1)
                if waiting == BATCH:
                    found = look_closer(head, tables, entries, queries, limit, rows, waiting, found)
                    waiting = 0
                place = first_row + size * min(first + k, last)
                prefetch(numbers, place)
                candidates[waiting, PLACE], candidates[waiting, FOR_QUERY] = place, q
                candidates[waiting, BY_BAND], candidates[waiting, BY_GROUP] = band, group
                waiting += 1
                work[q] += 1
            if further == 0 or further >= load(head, band + LINES_END) or work[q] > most:
                break
            line, first, before = further, first + in_line, LINE - FULL_FIRST
            if first_in_line(halves, line) != first:
                break  # these are of another address
            in_line = signed(load(halves, line))
            further = further + LINE if in_line & FULL == FULL_FIRST else 0  # not full: the last
            prefetch(halves, line + (1 + FURTHER) * LINE)
            near = near_signatures(halves, line, signature, load(head, group + NEAR))
            work[q] += 1
    return look_closer(head, tables, entries, queries, limit, rows, waiting, found)
