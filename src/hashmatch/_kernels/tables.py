"""The tables of a multi-index: for each band of bits, the entries in the order of its address.

One array of numbers, the head, says where everything is, and one of 64-bit words holds the rest, so
that a search has two things to be given and an index file one thing to hold. The head is made anew
for every process and believed; what lies in the tables is not, since the file that they are read
from may be written over at any moment: nothing in them may lead out of them, or to no end.

The head has int64:

beginning
    `BANDS`: how many there are; `WIDEST`: the most lines that a query looks at in one band;
    `CANDIDATE_LIMIT`: the most candidates of a query that are looked at; `COUNT`: how many entries
    there are; `ROW_BYTES`: bytes that number one of them.
bands
    From `HEAD` on, `BAND` for each: see there.
groups
    `GROUP` for each band and number of bits, 0, 1 ... tolerance, that an address is changed by: the
    first and the last + 1 of its masks, and how far a signature may be then, and the band's word.
masks
    What to change in an address.

The tables have, each place counted in elements of its type:

rows, uint8
    For each band and entry in the order of addresses which entry it is, in `ROW_BYTES`, the lowest
    first.
lines, uint16
    For each address of each band as many lines of the cache as its entries are likely to need, with
    their signatures, the 16 bits that follow the address: a single load shows whether any of a line
    is near. The first element of a line says how many signatures it has, `COUNT_TAG` + 0 to `FULL`.
    In the first line of an address two more elements come before them, the number of its first
    entry's place in rows. In its last line, if there are yet more entries, the first element is
    `CONTINUED`, and the last two are the number of the line of the same band where they continue,
    in lines that begin as the first one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import inlined, kernel
from hashmatch._kernels.simd import LINE, load, signed

if TYPE_CHECKING:
    from numpy.typing import NDArray


BANDS, WIDEST, CANDIDATE_LIMIT, COUNT, ROW_BYTES, HEAD = 0, 1, 2, 3, 4, 8
OFFSET, ADDRESS, GROUPS, GROUPS_END, ROWS, LINES, LINES_END, EACH, WORD, BAND = range(10)
"""Of a band: its first bit, bits of its address, its groups, where its other parts begin, where its
lines end, how many elements in lines each address has, and the word of a hash after that in which
the band begins."""
FIRST, LAST, NEAR, NEAR_WORD, GROUP = range(5)
"""Of a group; see above."""
SIGNATURE = 16
"""Bits."""
FULL, FULL_FIRST, POINTER = LINE - 1, LINE - 3, 2
"""Signatures of a line, and of one that also says where its rows are; elements that say where the
signatures continue."""
LONGEST_ROW = 4
"""Bytes that number an entry, at most."""
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
def capacity(lines: int) -> int:
    """Return how many signatures the lines of an address hold."""
    return FULL_FIRST + (lines - 1) * FULL


@kernel
def further_lines(count: int, each: int) -> int:
    """Return how many lines `count` entries of an address take beyond its own `each`."""
    beyond = count - capacity(each)
    return 0 if beyond <= 0 else (beyond + POINTER + FULL_FIRST - 1) // FULL_FIRST


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
def first_in_line(lines: NDArray[np.uint16], line: int) -> int:
    """Return the number of the place in rows of the first signature of a line."""
    low, high = load(lines, line + 1), load(lines, line + 2)
    return signed(low) | (signed(high) << 16)


@inlined
def row_at(rows: NDArray[np.uint8], place: int, size: int) -> int:
    """Return the number of an entry, of `size` bytes from a place on; `LONGEST_ROW` can be read."""
    low = signed(load(rows, place)) | signed(load(rows, place + 1)) << 8
    high = signed(load(rows, place + 2)) | signed(load(rows, place + 3)) << 8
    return (low | high << 16) & ((1 << (8 * size)) - 1)


@kernel
def begin_first_line(lines: NDArray[np.uint16], line: int, count: int, first: int) -> None:
    """Write how many signatures a line has, and where its rows begin."""
    lines[line] = COUNT_TAG + min(FULL_FIRST, count)
    lines[line + 1], lines[line + 2] = first & 0xFFFF, first >> 16


@kernel
def clear_lines(starts: NDArray[np.uint32], each: int, lines: NDArray[np.uint16]) -> None:
    """Write how many signatures each line is to have, and where they continue; see `fill_band`."""
    beyond = (starts.shape[0] - 1) * each
    lines[:] = 0
    for a in range(starts.shape[0] - 1):
        first, end = signed(starts[a]), signed(starts[a + 1])
        further = further_lines(end - first, each)
        line = a * each * LINE
        begin_first_line(lines, line, end - first, first)
        for nth in range(1, each):
            lines[line + nth * LINE] = COUNT_TAG + max(0, min(FULL, end - first - capacity(nth)))
        if not further:
            continue
        last = line + (each - 1) * LINE
        lines[last] = CONTINUED
        lines[last + LINE - 2], lines[last + LINE - 1] = beyond & 0xFFFF, beyond >> 16
        first += capacity(each) - POINTER
        for line in range(beyond * LINE, (beyond + further) * LINE, LINE):
            begin_first_line(lines, line, end - first, first)
            first += FULL_FIRST
        beyond += further


@kernel
def place_of(lines: NDArray[np.uint16], first: int, each: int, slot: int) -> int:
    """Return where the signature of an address' entry belongs.

    `first` is where the address' lines begin, and `slot` the number of the entry among its own.
    """
    if slot < FULL_FIRST and each > 1:
        return first + LINE - FULL_FIRST + slot
    nth = min(1 + (slot - FULL_FIRST) // FULL, each - 1) if each > 1 else 0
    last = first + nth * LINE
    if lines[last] == CONTINUED and slot >= capacity(each) - POINTER:
        beyond = slot - capacity(each) + POINTER
        line = line_beyond(lines, last) + beyond // FULL_FIRST * LINE
        return line + LINE - FULL_FIRST + beyond % FULL_FIRST
    if nth == 0:
        return first + LINE - FULL_FIRST + slot
    return last + LINE - FULL + slot - capacity(nth)


@kernel
def fill_band(
    words: NDArray[np.uint64],
    offset: int,
    address: int,
    each: int,
    row_bytes: int,
    starts: NDArray[np.uint32],
    numbers: NDArray[np.uint32],
    rows: NDArray[np.uint8],
    lines: NDArray[np.uint16],
) -> None:
    """Write rows and lines of a band whose `starts` are counted.

    Parameters
    ----------
    words, offset, address, each, starts
        As `count_band` had and made them.
    row_bytes : int
        Bytes that number an entry.
    numbers : ndarray of uint32, shape (n,) or (0,)
        Which entry of the list each hash is; if empty, hash 0 is entry 0, and so on.
    rows : ndarray of uint8, shape (row_bytes * n,)
    lines : ndarray of uint16, shape (LINE * (each * 2**address + lines beyond),)
    """
    clear_lines(starts, each, lines)
    keys = np.empty(words.shape[0], np.uint64)
    sorted_rows = np.empty(words.shape[0], np.uint32)
    sort_by_prefix(words, offset, address, starts, keys, sorted_rows)
    place = starts[:-1].copy()
    for i in range(words.shape[0]):
        a, signature = signed(keys[i] >> np.uint64(SIGNATURE)), signed(keys[i] & np.uint64(0xFFFF))
        at = signed(place[a])
        place[a] += np.uint32(1)
        row = signed(sorted_rows[i])
        if numbers.shape[0]:
            row = signed(numbers[row])
        for byte in range(row_bytes):
            rows[row_bytes * at + byte] = (row >> (8 * byte)) & 0xFF
        slot = at - signed(starts[a])
        lines[place_of(lines, a * each * LINE, each, slot)] = signature


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
        Written; the address above the signature.
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
        keys[at] = (a << SIGNATURE) | ring_bits(words, e, offset + address, SIGNATURE)
        rows[at] = e
