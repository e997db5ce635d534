"""Exact Hamming search among the entries that nearly share a band of bits with the query.

The naive loop (``tests/naive.py`` has it in pure Python)::

    for q in queries:
        for e in entries:
            if popcount(q ^ e) <= limit:
                yield q, e

Multi-index hashing (Norouzi, Punjani, Fleet, CVPR 2012) in its general form (GPH: Qin et al., ICDE
2018): the bits are cut into bands, and band b is given a tolerance t[b] so that the sum of all
t[b] + 1 is limit + 1. A pair that differed by more than t[b] in each band would differ by limit + 1
bits at least; so every entry within the limit is found by looking, band by band, at the entries
whose band differs from the query's by t[b] bits or fewer.

Pigeonring (Qin and Xiao, VLDB 2018): lay the bands in a ring. The differences d[b] - (t[b] + 1) add
up to less than 0, so from some band on every sum along the ring is less than 0. It is enough to
find an entry by that band, and there not only its own bits are bounded, but with the bits that
follow it in the ring too. 16 of those are kept with each entry, its signature, and tell nearly all
entries apart that are met by chance.

For each band, entries are grouped by its first bits, the address (`hashmatch._kernels.tables`).
Both searches look at the same lines. One takes query after query through all bands, and answers
soonest; the other takes band after band, queries in the order of their addresses, so that what they
look at lies close together, and answers most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import inlined, kernel
from hashmatch._kernels.simd import LINE, load, near_signatures, prefetch
from hashmatch._kernels.tables import (
    ADDRESS,
    BAND,
    BANDS,
    CANDIDATE_LIMIT,
    COUNT,
    EACH,
    FIRST,
    GROUP,
    GROUPS,
    GROUPS_END,
    HEAD,
    LAST,
    LINES,
    NEAR,
    OFFSET,
    SIGNATURE,
    WIDEST,
    ring_bits,
)
from hashmatch._kernels.verify import (
    ASKED,
    BATCH,
    FIRST_AT,
    LINE_AT,
    NEAR_MASK,
    OF_BAND,
    OF_GROUP,
    QUERY,
    hits_in,
    pairs_in,
    sift,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

GIVEN_UP = -1
"""Stands for the entry in the one row of a query that was given up."""
AHEAD = 64
"""Lines that are asked for before the first is looked at, at least: of one band or several."""
NO_BAND = 0
"""Stands for the band after the last one."""
QUERY_BITS = 14
"""2**14 queries at a time go through a band."""
SORTED_BITS = 10
"""Of an address, by which queries are sorted: lines of equal ones lie within a few pages."""
SIGNIFICANT = np.uint64(2**LINE - 1 - 0b110)
"""Of what is near in the first line of an address: what is no number of a place in rows."""
AHEAD_OF_QUERY = 2
"""Queries of a band whose lines are asked for before those of the first are looked at."""


@inlined
def zeroed(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return zeros, one for each of `count` queries: in the first row, if they fit."""
    work: NDArray[np.int64] = rows[0]
    if count > work.shape[0]:
        work = np.zeros(count, np.int64)
    work[:] = 0
    return work


@kernel
def add_hit(
    hits: NDArray[np.int64],
    at: int,
    line: int,
    first: int,
    near: np.uint64,
    q: int,
    band: int,
    group: int,
    signature: int,
) -> None:
    """Write a row of `hits`."""
    hits[at, LINE_AT], hits[at, FIRST_AT], hits[at, NEAR_MASK] = line, first, np.int64(near)
    hits[at, QUERY], hits[at, ASKED] = q, signature
    hits[at, OF_BAND], hits[at, OF_GROUP] = band, group


@kernel
def without_given_up(
    head: NDArray[np.int64], rows: NDArray[np.int64], work: NDArray[np.int64], found: int
) -> int:
    """Put one row in the place of all of a query that was given up; return how many are left.

    Or minus that, if there is such a query.
    """
    out, most = pairs_in(rows, head), head[CANDIDATE_LIMIT]
    given_up = 0
    for q in range(work.shape[0]):
        given_up += work[q] > most
    if given_up == 0:
        return found
    if found + given_up > out.shape[0]:
        return -(found + given_up)
    left = 0
    for i in range(found):
        if work[out[i, 0]] <= most:
            out[left, 0], out[left, 1], out[left, 2] = out[i, 0], out[i, 1], out[i, 2]
            left += 1
    for q in range(work.shape[0]):
        if work[q] > most:
            out[left, 0], out[left, 1], out[left, 2] = q, GIVEN_UP, 0
            left += 1
    return -left


@kernel
def key_of(queries: NDArray[np.uint64], q: int, head: NDArray[np.int64], band: int) -> int:
    """Return the query's address in a band, and after it the signature that follows."""
    offset, address = load(head, band + OFFSET), load(head, band + ADDRESS)
    own, signature = (
        ring_bits(queries, q, offset, address),
        ring_bits(queries, q, offset + address, SIGNATURE),
    )
    return (own << SIGNATURE) | signature


@kernel
def masks_of(head: NDArray[np.int64], band: int) -> tuple[int, int]:
    """Return where the masks of a band begin and end."""
    groups_end = load(head, band + GROUPS_END)
    return load(head, load(head, band + GROUPS) + FIRST), load(head, groups_end - GROUP + LAST)


@inlined
def ask_for(
    halves: NDArray[np.uint16], head: NDArray[np.int64], lines: int, each: int, address: int, m: int
) -> None:
    """Have the lines of an address, changed by mask `m`, brought near."""
    first = lines + (address ^ load(head, m)) * each
    for line in range(first, first + each, LINE):
        prefetch(halves, line)


@kernel
def ask_for_all(
    head: NDArray[np.int64], halves: NDArray[np.uint16], band: int, address: int
) -> None:
    """Have all lines brought near that `probe` is going to look at."""
    first, last = masks_of(head, band)
    for m in range(first, last):
        ask_for(halves, head, load(head, band + LINES), load(head, band + EACH), address, m)


@kernel
def probe(
    head: NDArray[np.int64],
    halves: NDArray[np.uint16],
    band: int,
    q: int,
    key: int,
    hits: NDArray[np.int64],
    count: int,
    next_band: int,
    next_address: int,
) -> int:
    """Look at all lines of a query in a band; add those with something near to `hits`.

    Between them, those are asked for that are looked at next, in `next_band`, unless that is
    `NO_BAND`: all at once they are more than a processor fetches at a time, and it would wait.
    """
    lines, each = load(head, band + LINES), load(head, band + EACH)
    address, signature = key >> SIGNATURE, key & ((1 << SIGNATURE) - 1)
    asked, asked_last, next_lines, next_each = 0, 0, 0, 0
    if next_band != NO_BAND:
        asked, asked_last = masks_of(head, next_band)
        next_lines, next_each = load(head, next_band + LINES), load(head, next_band + EACH)
    for group in range(load(head, band + GROUPS), load(head, band + GROUPS_END), GROUP):
        limit = load(head, group + NEAR)
        for m in range(load(head, group + FIRST), load(head, group + LAST)):
            if asked < asked_last:
                ask_for(halves, head, next_lines, next_each, next_address, asked)
                asked += 1
            own = address ^ load(head, m)
            if each == LINE:  # as in the loop below, which would take a tenth longer
                line = lines + own * LINE
                near = near_signatures(halves, line, signature, limit) & SIGNIFICANT
                if near != np.uint64(0):
                    add_hit(hits, count, line, line, near, q, band, group, signature)
                    count += 1
                continue
            first = lines + own * each
            for line in range(first, first + each, LINE):
                near = near_signatures(halves, line, signature, limit)
                if line == first:
                    near &= SIGNIFICANT
                if near != np.uint64(0):
                    add_hit(hits, count, line, first, near, q, band, group, signature)
                    count += 1
    for m in range(asked, asked_last):
        ask_for(halves, head, next_lines, next_each, next_address, m)
    return count


@inlined
def following(q: int, band: int, last: int) -> tuple[int, int]:
    """Return the query and the band after a band of a query, of which `last` is the end."""
    return (q + 1, HEAD) if band + BAND == last else (q, band + BAND)


@kernel
def one_by_one(
    head: NDArray[np.int64],
    tables: NDArray[np.uint64],
    entries: NDArray[np.uint64],
    queries: NDArray[np.uint64],
    limit: int,
    rows: NDArray[np.int64],
) -> int:
    """Write every pair within `limit` bits, in no order; return how many rows there are.

    Counting continues past the end of the rows, which then hold some of the pairs: the caller comes
    back with more.

    Parameters
    ----------
    head, tables : ndarray of int64 and of uint64
        See `hashmatch._kernels.tables`.
    entries : ndarray of uint64, shape (w, n and more)
        As `hashmatch._kernels.linear.columns` lays them.
    queries : ndarray of uint64, shape (m, w)
    limit : int
        Inclusive, in bits; no more than the bands were cut for.
    rows : ndarray of int64, shape (r, COLUMNS)
        ``SCRATCH + head[WIDEST]`` are for use in between, see `hashmatch._kernels.verify`.
        In the others, three columns are written: query, entry and distance of each pair. A query
        with more than `CANDIDATE_LIMIT` candidates is given up, and has one row with entry
        `GIVEN_UP`; then minus the number of rows is returned.
    """
    if load(head, COUNT) == 0:
        return 0
    halves, last = tables.view(np.uint16), HEAD + head[BANDS] * BAND
    hits, work = hits_in(rows, head), zeroed(rows, queries.shape[0])
    found, count = 0, 0
    next_q, next_band = 0, HEAD
    for _ in range(max(1, AHEAD // load(head, WIDEST))):
        if next_q < queries.shape[0]:
            ask_for_all(
                head, halves, next_band, key_of(queries, next_q, head, next_band) >> SIGNATURE
            )
        next_q, next_band = following(next_q, next_band, last)
    for q in range(queries.shape[0]):
        for band in range(HEAD, last, BAND):
            key, next_key, asked_band = key_of(queries, q, head, band), 0, NO_BAND
            if next_q < queries.shape[0]:
                next_key, asked_band = key_of(queries, next_q, head, next_band), next_band
            count = probe(
                head, halves, band, q, key, hits, count, asked_band, next_key >> SIGNATURE
            )
            next_q, next_band = following(next_q, next_band, last)
            if count >= BATCH:
                found = sift(head, tables, entries, queries, limit, rows, work, count, found)
                count = 0
    found = sift(head, tables, entries, queries, limit, rows, work, count, found)
    return without_given_up(head, rows, work, found)


@kernel
def sort_queries(
    queries: NDArray[np.uint64],
    first: int,
    head: NDArray[np.int64],
    band: int,
    keys: NDArray[np.int64],
    place: NDArray[np.int64],
    ordered: NDArray[np.int64],
) -> None:
    """Write keys, and which query they are of, in the order of the first bits of the address.

    Parameters
    ----------
    keys, ordered : ndarray of int64, shape (queries from `first` on)
        The former is for use in between.
    place : ndarray of int64, shape (2**SORTED_BITS + 1,)
        For use in between.
    """
    shift = max(0, load(head, band + ADDRESS) - SORTED_BITS) + SIGNATURE + QUERY_BITS
    place[:] = 0
    for i in range(keys.shape[0]):
        keys[i] = (key_of(queries, first + i, head, band) << QUERY_BITS) | i
        place[(keys[i] >> shift) + 1] += 1
    for k in range(1, place.shape[0]):
        place[k] += place[k - 1]
    for i in range(keys.shape[0]):
        k = load(keys, i) >> shift
        ordered[load(place, k)] = load(keys, i)
        place[k] += 1


@kernel
def together(
    head: NDArray[np.int64],
    tables: NDArray[np.uint64],
    entries: NDArray[np.uint64],
    queries: NDArray[np.uint64],
    limit: int,
    rows: NDArray[np.int64],
) -> int:
    """Do what `one_by_one` does; sooner, if queries are many."""
    if load(head, COUNT) == 0:
        return 0
    halves, last = tables.view(np.uint16), HEAD + head[BANDS] * BAND
    hits, work = hits_in(rows, head), zeroed(rows, queries.shape[0])
    at_once = min(queries.shape[0], 1 << QUERY_BITS)
    all_keys, all_ordered = np.empty(at_once, np.int64), np.empty(at_once, np.int64)
    place = np.empty((1 << SORTED_BITS) + 1, np.int64)
    found, count = 0, 0
    for first in range(0, queries.shape[0], 1 << QUERY_BITS):
        size = min(1 << QUERY_BITS, queries.shape[0] - first)
        keys, ordered = all_keys[:size], all_ordered[:size]
        for band in range(HEAD, last, BAND):
            sort_queries(queries, first, head, band, keys, place, ordered)
            for i in range(min(AHEAD_OF_QUERY, size)):
                ask_for_all(head, halves, band, load(ordered, i) >> (QUERY_BITS + SIGNATURE))
            for i in range(size):
                q = first + (load(ordered, i) & ((1 << QUERY_BITS) - 1))
                key, next_band, next_key = load(ordered, i) >> QUERY_BITS, NO_BAND, 0
                if i + AHEAD_OF_QUERY < size:
                    next_band = band
                    next_key = load(ordered, i + AHEAD_OF_QUERY) >> QUERY_BITS
                count = probe(
                    head, halves, band, q, key, hits, count, next_band, next_key >> SIGNATURE
                )
                if count >= BATCH:
                    found = sift(head, tables, entries, queries, limit, rows, work, count, found)
                    count = 0
    found = sift(head, tables, entries, queries, limit, rows, work, count, found)
    return without_given_up(head, rows, work, found)
