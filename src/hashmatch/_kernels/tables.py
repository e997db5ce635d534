"""The tables of a multi-index: for each band of bits, the entries in the order of its address.

One array of numbers, the head, says where everything is, and one of 64-bit words holds the rest, so
that a search has two things to be given and an index file one thing to hold. The head is made anew
for every process and believed; what lies in the tables is not, since the file that they are read
from may be written over at any moment: nothing in them may lead out of them, or to no end.

The head has int64:

beginning
    `BANDS`: how many there are; `WIDEST`: the most lines that a query looks at in one band;
    `CANDIDATE_LIMIT`: the most candidates of a query that are looked at.
bands
    From `HEAD` on, `BAND` for each: see there.
groups
    `GROUP` for each band and number of bits, 0, 1 ... tolerance, that an address is changed by: the
    first and the last + 1 of its masks, how far half a signature may be then, and a whole one.
masks
    What to change in an address.

The tables have, each place counted in elements of its type:

starts, uint32
    For each band 2**address + 1: where the entries of an address begin in far and rows.
far, uint16, and rows, uint32
    For each band and entry in the order of addresses: half of its signature, and which it is.
lines, uint16
    For each address of each band as many lines of the cache as its entries are likely to need, with
    the other half of their signatures: a single load shows whether any of `FULL` is near. The first
    element says how many follow, `COUNT_TAG` + 0 to `FULL`. In the last line of an address that has
    yet more entries it is `CONTINUED`. Then `SHORT` follow, and the number, in two elements, of the
    line of the same band where they continue, again `FULL` to a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel
from hashmatch._kernels.simd import LINE, load, signed

if TYPE_CHECKING:
    from numpy.typing import NDArray


BANDS, WIDEST, CANDIDATE_LIMIT, HEAD = 0, 1, 2, 8
OFFSET, ADDRESS, GROUPS, GROUPS_END, STARTS, FAR, ROWS, LINES, LINES_END, EACH, BAND = range(11)
"""Of a band: its first bit, bits of its address, its groups, where its other parts begin, where its
lines end, and how many elements in lines each address has."""
FIRST, LAST, NEAR, WHOLE, GROUP = range(5)
"""Of a group; see above."""
FULL, SHORT = LINE - 1, LINE - 3
SORT_BITS = 8
"""Of an address, by which entries are sorted before they are put in their place."""
COUNT_TAG, CONTINUED = 0xFFE0, 0
"""A search sees the first element as 16 or 11 bits or more away from what it looks for, so that it
need not care; and as 0 bits away, so that it has to."""


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
def further_lines(count: int, each: int) -> int:
    """Return how many lines `count` entries of an address take beyond its own `each`."""
    beyond = count - each * FULL
    return 0 if beyond <= 0 else (beyond + FULL - SHORT + FULL - 1) // FULL


@kernel
def count_band(
    words: NDArray[np.uint64], offset: int, address: int, each: int, starts: NDArray[np.uint32]
) -> int:
    """Write where each address' entries start; return how many lines they take beyond their own.

    Parameters
    ----------
    words : ndarray of uint64, shape (n, w)
    offset, address : int
        The band's first bit, and bits of its address.
    each : int
        Lines that each address has.
    starts : ndarray of uint32, shape (2**address + 1,)
    """
    starts[:] = 0
    for e in range(words.shape[0]):
        starts[ring_bits(words, e, offset, address) + 1] += np.uint32(1)
    lines = 0
    for a in range(starts.shape[0] - 1):
        lines += further_lines(signed(starts[a + 1]), each)
        starts[a + 1] += starts[a]
    return lines


@kernel
def line_beyond(lines: NDArray[np.uint16], line: int) -> int:
    """Return where the signatures that do not fit into an address' own lines continue."""
    low, high = load(lines, line + LINE - 2), load(lines, line + LINE - 1)
    return LINE * (signed(low) | (signed(high) << 16))


@kernel
def clear_lines(starts: NDArray[np.uint32], each: int, lines: NDArray[np.uint16]) -> None:
    """Write how many signatures each line is to have, and where they continue; see `fill_band`."""
    beyond = (starts.shape[0] - 1) * each
    lines[:] = 0
    for a in range(starts.shape[0] - 1):
        left = signed(starts[a + 1]) - signed(starts[a])
        further = further_lines(left, each)
        for line in range(a * each * LINE, (a + 1) * each * LINE, LINE):
            lines[line] = COUNT_TAG + min(FULL, left)
            left -= min(FULL, left)
        if further:
            last = ((a + 1) * each - 1) * LINE
            lines[last] = CONTINUED
            lines[last + LINE - 2] = beyond & 0xFFFF
            lines[last + LINE - 1] = beyond >> 16
            left += FULL - SHORT
        for line in range(beyond * LINE, (beyond + further) * LINE, LINE):
            lines[line] = COUNT_TAG + min(FULL, left)
            left -= min(FULL, left)
        beyond += further


@kernel
def fill_band(
    words: NDArray[np.uint64],
    offset: int,
    address: int,
    each: int,
    starts: NDArray[np.uint32],
    far: NDArray[np.uint16],
    rows: NDArray[np.uint32],
    lines: NDArray[np.uint16],
) -> None:
    """Write the other parts of a band whose `starts` are counted.

    Parameters
    ----------
    words, offset, address, each, starts
        As `count_band` had and made them.
    far : ndarray of uint16, shape (n,)
    rows : ndarray of uint32, shape (n,)
    lines : ndarray of uint16, shape (LINE * (each * 2**address + lines beyond),)
    """
    clear_lines(starts, each, lines)
    keys = np.empty(words.shape[0], np.uint64)
    sorted_rows = np.empty(words.shape[0], np.uint32)
    sort_by_prefix(words, offset, address, starts, keys, sorted_rows)
    place = starts[:-1].copy()
    for i in range(words.shape[0]):
        a, signature = signed(keys[i] >> np.uint64(32)), signed(keys[i] & np.uint64(0xFFFFFFFF))
        at = signed(place[a])
        place[a] += np.uint32(1)
        far[at] = signature & 0xFFFF
        rows[at] = sorted_rows[i]
        slot = at - signed(starts[a])
        nth = min(slot // FULL, each - 1)
        line, slot = (a * each + nth) * LINE, slot - nth * FULL
        if lines[line] == CONTINUED and slot >= SHORT:
            line = line_beyond(lines, line) + (slot - SHORT) // FULL * LINE
            slot = (slot - SHORT) % FULL
        lines[line + 1 + slot] = signature >> 16


@kernel
def sort_by_prefix(
    words: NDArray[np.uint64],
    offset: int,
    address: int,
    starts: NDArray[np.uint32],
    keys: NDArray[np.uint64],
    rows: NDArray[np.uint32],
) -> None:
    """Write address and signature of each entry, and its row, by the first bits of the address.

    Entries of one part of the addresses are then put where they belong before those of the next,
    and each part of the tables is near while it is written: twice as fast with ten million.

    Parameters
    ----------
    words, offset, address, starts
        As for `fill_band`.
    keys : ndarray of uint64, shape (n,)
        Written; the address above 32 bits of signature.
    rows : ndarray of uint32, shape (n,)
        Written.
    """
    shift = max(0, address - SORT_BITS)
    place = np.empty(1 << (address - shift), np.int64)
    for part in range(place.shape[0]):
        place[part] = starts[part << shift]
    for e in range(words.shape[0]):
        a = ring_bits(words, e, offset, address)
        at = place[a >> shift]
        place[a >> shift] += 1
        keys[at] = (np.uint64(a) << np.uint64(32)) | np.uint64(
            ring_bits(words, e, offset + address, 32)
        )
        rows[at] = e
