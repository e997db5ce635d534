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
follow it in the ring too. 32 of those are kept with each entry, its signature, and tell nearly all
entries apart that are met by chance.

For each band, entries are sorted by its first bits, the address. ``starts`` says where the entries
of an address begin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.frozen.jit import kernel, popcount
from benchmarks.frozen.lanes import lowest
from benchmarks.frozen.signatures import RUN, near_signatures, prefetch

if TYPE_CHECKING:
    from numpy.typing import NDArray

OFFSET, ADDRESS, TOLERANCE = 0, 1, 2
"""Columns of ``bands``: its first bit, how many bits its address has, its tolerance."""
BLOCK = 4096
"""Queries that are taken through a band before the next: what they touch of it stays near."""
AHEAD = 16
"""Bands of queries whose places are asked for before the first is looked at: memory takes as long
to answer as looking at some hundred places."""
ROOM = 8192
"""Candidates that wait to be looked at more closely."""


@kernel
def ring_bits(words: NDArray[np.uint64], row: int, first: int, count: int) -> int:
    """Return `count` bits, 1 to 32, of a row of hashes from bit `first` on, as in a ring.

    `first` may lie beyond the end, by less than once around.
    """
    width = words.shape[1]
    word = first >> 6
    if word >= width:
        word -= width
    after = word + 1
    if after == width:
        after = 0
    shift = np.uint64(first & 63)
    window = (words[row, word] << shift) | (
        (words[row, after] >> np.uint64(1)) >> (np.uint64(63) - shift)
    )
    return np.int64(window >> np.uint64(64 - count))  # type: ignore[return-value]


@kernel
def sort_band(
    words: NDArray[np.uint64],
    offset: int,
    address: int,
    starts: NDArray[np.uint32],
    near: NDArray[np.uint16],
    far: NDArray[np.uint16],
    rows: NDArray[np.uint32],
) -> None:
    """Sort the entries of one band by their address; write where each address starts.

    Parameters
    ----------
    words : ndarray of uint64, shape (n, w)
    offset, address : int
        The band's first bit, and bits of its address.
    starts : ndarray of uint32, shape (2**address + 1,)
    near, far : ndarray of uint16, shape (n,)
        The two halves of the signatures, in the order of addresses.
    rows : ndarray of uint32, shape (n,)
        The entries, in the same order.
    """
    starts[:] = 0
    for e in range(words.shape[0]):
        starts[ring_bits(words, e, offset, address) + 1] += np.uint32(1)
    for a in range(starts.shape[0] - 1):
        starts[a + 1] += starts[a]
    place = starts[:-1].copy()
    for e in range(words.shape[0]):
        a = ring_bits(words, e, offset, address)
        signature = ring_bits(words, e, offset + address, 32)
        near[place[a]] = np.uint16(signature >> 16)
        far[place[a]] = np.uint16(signature & 0xFFFF)
        rows[place[a]] = np.uint32(e)
        place[a] += np.uint32(1)


@kernel
def found_before(
    entries: NDArray[np.uint64],
    e: int,
    queries: NDArray[np.uint64],
    q: int,
    band: int,
    bands: NDArray[np.int64],
    limits: NDArray[np.int64],
) -> bool:
    """Say whether an earlier band finds the same pair: each is reported by the first that does."""
    for b in range(band):
        offset, address = bands[b, OFFSET], bands[b, ADDRESS]
        d = popcount(
            np.uint64(
                ring_bits(entries, e, offset, address) ^ ring_bits(queries, q, offset, address)
            )
        )
        if d > bands[b, TOLERANCE]:
            continue
        unlike = ring_bits(entries, e, offset + address, 32) ^ ring_bits(
            queries, q, offset + address, 32
        )
        if (
            popcount(np.uint64(unlike >> 16)) <= limits[b, d, 0]
            and popcount(np.uint64(unlike)) <= limits[b, d, 1]
        ):
            return True
    return False


@kernel
def look_closer(
    entries: NDArray[np.uint64],
    queries: NDArray[np.uint64],
    limit: int,
    bands: NDArray[np.int64],
    limits: NDArray[np.int64],
    near: NDArray[np.uint16],
    far: NDArray[np.uint16],
    rows: NDArray[np.uint32],
    candidates: NDArray[np.int64],
    count: int,
    found: int,
    query_out: NDArray[np.int64],
    entry_out: NDArray[np.int64],
    distance_out: NDArray[np.int64],
) -> int:
    """Compare whole signatures of `count` candidates, then whole hashes; return how many are found.

    `candidates` has the place, query, band and address distance of each.
    """
    left = 0
    for i in range(count):
        place, q = candidates[i, 0], candidates[i, 1]
        b, d = candidates[i, 2], candidates[i, 3]
        signature = ring_bits(queries, q, bands[b, OFFSET] + bands[b, ADDRESS], 32)
        own = (np.int64(near[place]) << 16) | np.int64(far[place])
        if popcount(np.uint64(own ^ signature)) <= limits[b, d, 1]:
            prefetch(rows, place)
            candidates[left, 0], candidates[left, 1], candidates[left, 2] = place, q, b
            left += 1
    for i in range(left):
        e: int = np.int64(rows[candidates[i, 0]])  # type: ignore[assignment]
        q = candidates[i, 1]
        distance = 0
        for word in range(entries.shape[1]):
            distance += popcount(entries[e, word] ^ queries[q, word])
        if distance > limit:
            continue
        if found_before(entries, e, queries, q, candidates[i, 2], bands, limits):
            continue
        if found < query_out.shape[0]:
            query_out[found], entry_out[found], distance_out[found] = q, e, distance
        found += 1
    return found


@kernel
def within(
    entries: NDArray[np.uint64],
    queries: NDArray[np.uint64],
    limit: int,
    bands: NDArray[np.int64],
    limits: NDArray[np.int64],
    masks: NDArray[np.int64],
    of_band: NDArray[np.int64],
    begin: NDArray[np.int64],
    starts: NDArray[np.uint32],
    near: NDArray[np.uint16],
    far: NDArray[np.uint16],
    rows: NDArray[np.uint32],
    most: int,
    query_out: NDArray[np.int64],
    entry_out: NDArray[np.int64],
    distance_out: NDArray[np.int64],
) -> int:
    """Write every pair within `limit` bits, in no order; return how many there are.

    The number goes on past the end of the outputs, which then hold some of the pairs. It is -1 if
    more than `most` candidates were looked at: then what was written is not all.

    Parameters
    ----------
    entries, queries : ndarray of uint64, shapes (n, w) and (m, w)
    limit : int
        Inclusive, in bits; no more than the bands were cut for.
    bands : ndarray of int64, shape (b, 3)
        `OFFSET`, `ADDRESS` and `TOLERANCE` of each.
    limits : ndarray of int64, shape (b, tolerances, 2)
        Of each band and distance of addresses, how far half a signature may be, and a whole one.
    masks : ndarray of int64, shape (addresses, 2)
        What to change in a query's address, and how many bits that is, band after band.
    of_band : ndarray of int64, shape (b + 1,)
        Where the masks of each band begin.
    begin : ndarray of int64, shape (b,)
        Where the starts of each band begin.
    starts, near, far, rows
        As `sort_band` makes them, band after band; `near` has `RUN` to spare at its end.
    most : int
        Candidates that may be looked at; it is looked after once in `ROOM` of them.
    """
    total = entries.shape[0]
    widest = np.max(of_band[1:] - of_band[:-1])
    first_place = np.empty(AHEAD * widest, np.int64)
    last_place = np.empty(AHEAD * widest, np.int64)
    candidates = np.empty((ROOM, 4), np.int64)
    waiting, looked_at = 0, 0
    found = 0
    for block in range(0, queries.shape[0], BLOCK):
        count = min(BLOCK, queries.shape[0] - block)
        for unit in range(0, count * bands.shape[0], AHEAD):
            last_unit = min(unit + AHEAD, count * bands.shape[0])
            b, q = unit // count, block + unit % count
            k = 0
            for _ in range(unit, last_unit):
                address = ring_bits(queries, q, bands[b, OFFSET], bands[b, ADDRESS])
                for m in range(of_band[b], of_band[b + 1]):
                    at = begin[b] + (address ^ masks[m, 0])
                    first_place[k] = b * total + np.int64(starts[at])
                    last_place[k] = b * total + np.int64(starts[at + 1])
                    prefetch(near, first_place[k])
                    prefetch(near, last_place[k])
                    k += 1
                q += 1
                if q == block + count:
                    b, q = b + 1, block
            b, q = unit // count, block + unit % count
            k = 0
            for _ in range(unit, last_unit):
                signature = ring_bits(queries, q, bands[b, OFFSET] + bands[b, ADDRESS], 16)
                for m in range(of_band[b], of_band[b + 1]):
                    d = masks[m, 1]
                    for place in range(first_place[k], last_place[k], RUN):
                        mask = near_signatures(near, place, signature, limits[b, d, 0])
                        if mask == np.uint64(0):
                            continue
                        if waiting > ROOM - RUN:
                            found = look_closer(
                                entries, queries, limit, bands, limits, near, far, rows,
                                candidates, waiting, found, query_out, entry_out, distance_out,
                            )  # fmt: skip
                            looked_at += waiting
                            waiting = 0
                            if looked_at > most:
                                return -1
                        while mask != np.uint64(0):
                            at = place + lowest(mask)
                            mask &= mask - np.uint64(1)
                            if at < last_place[k]:
                                prefetch(far, at)
                                candidates[waiting, 0], candidates[waiting, 1] = at, q
                                candidates[waiting, 2], candidates[waiting, 3] = b, d
                                waiting += 1
                    k += 1
                q += 1
                if q == block + count:
                    b, q = b + 1, block
    return look_closer(
        entries, queries, limit, bands, limits, near, far, rows,
        candidates, waiting, found, query_out, entry_out, distance_out,
    )  # fmt: skip
