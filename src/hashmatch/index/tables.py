"""The tables of a multi-index: how many bands, how tolerant and how long, and how they are filled.

`hashmatch._kernels.tables` says what the tables hold.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import chain, combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch._kernels import tables as kernels
from hashmatch._kernels.simd import LINE
from hashmatch._kernels.tables import SIGNATURE
from hashmatch._kernels.verify import SCRATCH
from hashmatch.records.hashes import Opaque

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch._files.block_writer import FileArena

# Costs in nanoseconds, measured on one core.
COST_LINE_NS = 3.0
"""One bucket probe, that is reading the cache line of an address, when all lines fit in 1 MiB."""
COST_LINE_NS_PER_DOUBLING = 1.2
"""Added for each doubling of that size: more probes miss the near caches."""
COST_BAND_NS = 12.0
"""Starting with a band: reading its layout, computing the address of the query."""
COST_OVERFLOW_NS = 30.0
"""Following an address whose entries do not all fit in its own lines to the next lines."""
COST_NEXT_LINE_NS = 4.5
"""Each further line of an address: it lies beside the first."""
COST_CANDIDATE_NS = 15.0
"""Verifying an entry whose signature is near enough: which one it is, then its hash."""
COST_LINEAR_NS = 0.08
"""One entry of a linear search."""
WORD = 64
"""Bits."""
LEAST_ENTRIES = 12
"""Entries for each address, at least: its line takes 64 bytes even when it has one."""
LONGEST_ADDRESS = 24
"""Bits; the lines of a band then take 1 GiB."""


class Band(NamedTuple):
    """Consecutive bits of the hash, of which the first are its address."""

    offset: int
    width: int
    address: int
    tolerance: int

    def lines(self, count: int) -> int:
        """Return how many lines of the cache the entries of an address are likely to need.

        Of `count` random entries, an address has ``count / 2**address``, give or take the root of
        that (Poisson); some addresses may need more, and get it elsewhere.
        """
        met = count / (1 << self.address)
        spare = kernels.FULL - kernels.FULL_FIRST
        return max(1, math.ceil((met + 1.5 * math.sqrt(met) + spare) / kernels.FULL))

    @property
    def masks(self) -> tuple[tuple[int, ...], ...]:
        """What to change in an address: nothing, each bit, each two ... as many as tolerated."""
        return tuple(
            tuple(sum(1 << bit for bit in bits) for bits in combinations(range(self.address), n))
            for n in range(self.tolerance + 1)
        )


class Plan(NamedTuple):
    """Bands for lists of some size and a limit, and the nanoseconds that a query may take."""

    bands: tuple[Band, ...]
    cost: float


@lru_cache(maxsize=64)
def plan(bits: int, limit: int, count: int) -> Plan | None:
    """Return the bands that should cost least; None if none would cost less than every entry.

    The sum of all tolerances + 1 is limit + 1, see `hashmatch._kernels.multi_index`. The cost is
    for random bits: what lines cost to look at, and the entries met there by chance.
    """
    near = sum(math.comb(bits, i) for i in range(limit + 1)) / 2**bits
    if COST_CANDIDATE_NS * near >= COST_LINEAR_NS:  # so many are near: a linear search is as fast
        return None
    best = Plan((), COST_LINEAR_NS * count)
    most = min(LONGEST_ADDRESS, bits - SIGNATURE, int(math.log2(max(8, count / LEAST_ENTRIES))))
    for number in range(1, min(limit + 1, bits // 3) + 1):
        for longest in range(3, min(most, -(-bits // number)) + 1):
            if _least_cost(number, longest, limit, count) >= best.cost:
                continue
            bands = _equal_bands(bits, limit, number, longest)
            if all(band.tolerance <= band.address for band in bands):
                cost = _cost(bands, count)
                best = min(best, Plan(bands, cost), key=lambda one: one.cost)
    return best if best.bands else None


def _equal_bands(bits: int, limit: int, number: int, longest: int) -> tuple[Band, ...]:
    """Return `number` bands as equal as can be, with addresses no longer than `longest`."""
    width, wider = divmod(bits, number)
    tolerance, more = divmod(limit + 1, number)
    bands: list[Band] = []
    for b in range(number):
        offset = bands[-1].offset + bands[-1].width if bands else 0
        own = width + (b < wider)
        bands.append(Band(offset, own, min(own, longest), tolerance - 1 + (b < more)))
    return tuple(bands)


def _least_cost(number: int, longest: int, limit: int, count: int) -> float:
    """Return less than `_cost` of `number` bands, sooner: most need no closer look."""
    tolerance = (limit + 1) // number - 1
    met = count / (1 << longest)
    line = COST_LINE_NS + COST_NEXT_LINE_NS * max(0.0, met / kernels.FULL - 1)
    return number * COST_BAND_NS + number * sum(
        math.comb(longest, changed)
        * (line + COST_CANDIDATE_NS * met * _passing(2 * tolerance + 1 - changed))
        for changed in range(tolerance + 1)
    )


@lru_cache
def _passing(limit: int) -> float:
    """Return which part of random signatures are within `limit` bits."""
    return float(sum(math.comb(SIGNATURE, i) for i in range(limit + 1)) / 2**SIGNATURE)


def _cost(bands: tuple[Band, ...], count: int) -> float:
    size = sum(64 * band.lines(count) << band.address for band in bands) / 2**20
    line = COST_LINE_NS + COST_LINE_NS_PER_DOUBLING * max(0.0, math.log2(size))
    cost = COST_BAND_NS * len(bands)
    for b, band in enumerate(bands):
        met = count / (1 << band.address)
        lines = band.lines(count)
        overflowing = math.erfc((kernels.FULL * lines - 1.5 - met) / math.sqrt(2 * met)) / 2
        place = line + overflowing * COST_OVERFLOW_NS + COST_NEXT_LINE_NS * (lines - 1)
        for changed in range(band.tolerance + 1):
            candidates = COST_CANDIDATE_NS * met * _passing(signature_limit(bands, b, changed))
            cost += math.comb(band.address, changed) * (place + candidates)
    return cost


def signature_limit(bands: tuple[Band, ...], b: int, changed: int) -> int:
    """Return how far the signature of an entry may be for it to be looked at.

    `changed` bits of its address in band `b` differ.
    """
    ring = _ring_limit(bands, b, bands[b].address + SIGNATURE)
    return min(ring - changed, SIGNATURE)


def word_limit(bands: tuple[Band, ...], b: int, changed: int, bits: int) -> int:
    """Return how far the word after that in which band `b` begins may be, of a hash of `bits`."""
    offset = bands[b].offset
    if bits == WORD:
        return bits
    is_beside = offset % WORD + bands[b].address <= WORD  # the address is no part of it
    ring = _ring_limit(bands, b, 2 * WORD - offset % WORD)
    return ring - changed if is_beside else ring


def _ring_limit(bands: tuple[Band, ...], b: int, length: int) -> int:
    """Return how many of `length` bits from the beginning of a band on may differ.

    From the band by which an entry is found, here `b`, every sum of differences along the ring is
    less than that of the tolerances + 1 of the bands that it reaches into.
    """
    reached, allowed, i = 0, 0, b
    while reached < length:
        reached += bands[i].width
        allowed += bands[i].tolerance + 1
        i = (i + 1) % len(bands)
    return allowed - 1


def row_bytes(count: int) -> int:
    """Return how many bytes number one of `count` entries."""
    return max(1, -(-(count - 1).bit_length() // 8))


CACHE_LINE = 64
"""Bytes; every part of the tables begins at a multiple."""


class Counted(NamedTuple):
    """Of a band, where the entries of each address start, and the lines they take beyond theirs."""

    starts: NDArray[np.uint32]
    beyond: int


def count_bands(words: NDArray[np.uint64], bands: tuple[Band, ...]) -> list[Counted]:
    """Return how many of the hashes, (n, w), each address of each band has."""
    counted = []
    for band in bands:
        starts, own = np.empty(2**band.address + 1, np.uint32), band.lines(len(words))
        beyond = kernels.count_band(words, band.offset, band.address, own, starts)
        counted.append(Counted(starts, beyond))
    return counted


class Tables(Opaque):
    """The tables of a list of hashes, and where everything is in them.

    `lines` is how many the entries of each band take.
    """

    # Not a dataclass: dataclasses.asdict would lay the tables open.
    __slots__ = ("bands", "head", "lines", "scratch", "tables")

    def __init__(
        self,
        bands: tuple[Band, ...],
        lines: tuple[int, ...],
        head: NDArray[np.int64],
        tables: NDArray[np.uint64],
    ) -> None:
        self.bands, self.lines, self.head, self.tables = bands, lines, head, tables
        self.scratch = SCRATCH + int(head[kernels.WIDEST])  # rows of a search

    @classmethod
    def build(
        cls,
        words: NDArray[np.uint64],
        bands: tuple[Band, ...],
        arena: FileArena | None = None,
        counted: list[Counted] | None = None,
        entries: NDArray[np.uint32] | None = None,
        count: int | None = None,
    ) -> Tables:
        """Return the tables of hashes, (n, w), n below 2**32; those of the same list are equal.

        They are in memory, or in the `arena` of a file. `counted` is what `count_bands` says of
        them, if that is known. Where the hashes are only some of a list of `count` entries,
        `entries`, shape (n,), says which ones.
        """
        if counted is None:
            counted = count_bands(words, bands)
        if entries is None or count is None:
            entries, count = np.empty(0, np.uint32), len(words)
        lines = tuple(
            2**band.address * band.lines(len(words)) + of_band.beyond
            for band, of_band in zip(bands, counted, strict=True)
        )
        head, size = lay_head(bands, lines, count, len(words))
        if arena is None:
            tables = _aligned(size)
            tables[:] = 0
        else:
            tables = arena.new((size,), np.uint64)
        numbers, halves, each_row = tables.view(np.uint8), tables.view(np.uint16), row_bytes(count)
        for b, band in enumerate(bands):
            row = head[kernels.HEAD + kernels.BAND * b :][: kernels.BAND].tolist()
            first = row[kernels.ROWS]
            kernels.fill_band(
                words,
                band.offset,
                band.address,
                band.lines(len(words)),
                each_row,
                counted[b].starts,
                entries,
                numbers[first : first + each_row * len(words)],
                halves[row[kernels.LINES] : row[kernels.LINES_END]],
            )
            if arena is not None:
                arena.rest()
        tables.flags.writeable = False
        return cls(bands, lines, head, tables)


def lay_head(
    bands: tuple[Band, ...], lines: tuple[int, ...], count: int, placed: int
) -> tuple[NDArray[np.int64], int]:
    """Return the head for tables of a list, and how many 64-bit words they take.

    It has `count` entries, of which `placed` are in the tables.
    """
    groups_at = kernels.HEAD + kernels.BAND * len(bands)
    bits = sum(band.width for band in bands)
    masks_at = groups_at + kernels.GROUP * sum(band.tolerance + 1 for band in bands)
    rows: list[list[int]] = []
    groups: list[list[int]] = []
    masks: list[int] = []
    end = 0

    def place(size: int, number: int) -> int:
        nonlocal end
        begin = end
        end += -(-size * number // CACHE_LINE) * CACHE_LINE
        return begin // size

    for b, band in enumerate(bands):
        first_group = groups_at + kernels.GROUP * len(groups)
        for changed, own in enumerate(band.masks):
            at = masks_at + len(masks)
            limits = signature_limit(bands, b, changed), word_limit(bands, b, changed, bits)
            groups.append([at, at + len(own), *limits])
            masks += own
        last_group = groups_at + kernels.GROUP * len(groups)
        own_rows = place(1, row_bytes(count) * placed + kernels.LONGEST_ROW)
        rows.append([band.offset, band.address, first_group, last_group, own_rows])
    for b, band in enumerate(bands):
        word = (band.offset // WORD + 1) % (bits // WORD)
        first_line = place(2, lines[b] * LINE)
        rows[b] += [first_line, first_line + lines[b] * LINE, band.lines(placed) * LINE, word]
    widest = max(sum(map(len, band.masks)) * band.lines(placed) for band in bands)
    # Verifying more candidates takes as long as a linear search.
    most = int(COST_LINEAR_NS / COST_CANDIDATE_NS * count)
    beginning = [len(bands), widest, most, count, row_bytes(count)]
    beginning += [0] * (kernels.HEAD - len(beginning))
    head = np.array([*beginning, *chain(*rows, *groups), *masks], np.int64)
    head.flags.writeable = False
    return head, end // 8


def _aligned(size: int) -> NDArray[np.uint64]:
    spare = np.empty(size + CACHE_LINE // 8, np.uint64)
    first = -spare.ctypes.data % CACHE_LINE // 8
    return spare[first : first + size]
