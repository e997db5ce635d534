"""The bands of a multi-index: how many, how tolerant, with what addresses; and their tables."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch.records.hashes import Opaque

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hits = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

PLACE, RUN, CANDIDATE, PAIR = 9.0, 3.0, 30.0, 0.13
"""Nanoseconds, measured on one core: finding the entries of an address, comparing 32 signatures,
looking closer at one entry, and an entry of a linear search."""
SHARE = 200
"""Of the entries, the part of which a query may make candidates: looking closer at more takes as
long as looking at every entry. It is a query among near-duplicates that does."""
NO_LIMIT = 2**62
SIGNATURE = 32
LONGEST_ADDRESS = 20
"""Bits; a band's table of starts is then 4 MiB."""


class Band(NamedTuple):
    """Consecutive bits of the hash."""

    offset: int
    width: int
    address: int
    tolerance: int


class Plan(NamedTuple):
    """Bands for lists of some size and a limit, and the nanoseconds that a query may take."""

    bands: tuple[Band, ...]
    cost: float


@lru_cache(maxsize=64)
def plan(bits: int, limit: int, count: int) -> Plan | None:
    """Return the bands that should cost least; None if no bands can be cut.

    The sum of all tolerances + 1 is limit + 1, see `hashmatch._kernels.bands`. The cost is for
    random bits: what an address costs to look up, and the entries met there.
    """
    plans = [_equal_bands(bits, limit, count, number) for number in range(1, limit + 2)]
    return min((one for one in plans if one is not None), key=lambda one: one.cost, default=None)


def _equal_bands(bits: int, limit: int, count: int, number: int) -> Plan | None:
    width, wider = divmod(bits, number)
    tolerance, more = divmod(limit + 1, number)
    bands: list[Band] = []
    cost, offset = 0.0, 0
    for b in range(number):
        own_width, own = width + (b < wider), tolerance - 1 + (b < more)
        longest = min(own_width, LONGEST_ADDRESS, bits - SIGNATURE)
        costs = {
            address: _band_cost(address, own, count) for address in range(max(3, own), longest + 1)
        }
        if not costs:
            return None
        address = min(costs, key=costs.__getitem__)
        cost += costs[address]
        bands.append(Band(offset, own_width, address, own))
        offset += own_width
    return Plan(tuple(bands), cost)


def _band_cost(address: int, tolerance: int, count: int) -> float:
    places = sum(math.comb(address, i) for i in range(tolerance + 1))
    met = count / (1 << address)
    bound = 2 * tolerance + 1  # of the 16 bits that follow, about
    passing = sum(math.comb(16, i) for i in range(min(bound, 16) + 1)) / (1 << 16)
    return places * (PLACE + RUN * (1 + met / 32) + CANDIDATE * met * passing)


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Banded(Opaque):
    """The tables of one list; see `hashmatch._kernels.bands.within` for each."""

    words: NDArray[np.uint64]
    limit: int
    bands: NDArray[np.int64]
    limits: NDArray[np.int64]
    masks: NDArray[np.int64]
    of_band: NDArray[np.int64]
    begin: NDArray[np.int64]
    starts: NDArray[np.uint32]
    near: NDArray[np.uint16]
    far: NDArray[np.uint16]
    rows: NDArray[np.uint32]

    @classmethod
    def build(cls, words: NDArray[np.uint64], limit: int, bands: tuple[Band, ...]) -> Banded:
        """Return the tables for hashes (n, w) and any limit up to `limit`."""
        from hashmatch._kernels import bands as kernels
        from hashmatch._kernels.signatures import RUN as SPARE

        count, number = len(words), len(bands)
        masks = [_masks(band.address, band.tolerance) for band in bands]
        sizes = [2**band.address + 1 for band in bands]
        begin = np.cumsum([0, *sizes[:-1]])
        starts = np.empty(sum(sizes), np.uint32)
        near = np.zeros(number * count + SPARE, np.uint16)
        far = np.empty(number * count, np.uint16)
        rows = np.empty(number * count, np.uint32)
        for b, band in enumerate(bands):
            own = slice(b * count, (b + 1) * count)
            kernels.sort_band(
                words,
                band.offset,
                band.address,
                starts[begin[b] : begin[b] + sizes[b]],
                near[own],
                far[own],
                rows[own],
            )
        return cls(
            words=words,
            limit=limit,
            bands=np.array([(b.offset, b.address, b.tolerance) for b in bands], np.int64),
            limits=_limits(bands),
            masks=np.concatenate(masks),
            of_band=np.cumsum([0, *map(len, masks)]),
            begin=begin,
            starts=starts,
            near=near,
            far=far,
            rows=rows,
        )

    def within(
        self, queries: NDArray[np.uint64], limit: int, out: Hits, most: int = NO_LIMIT
    ) -> int:
        """Write the pairs within `limit`, at most the limit of these tables; return how many.

        Or -1, if more than `most` candidates had to be looked at.
        """
        from hashmatch._kernels import bands as kernels

        return kernels.within(
            self.words, queries, limit, self.bands, self.limits, self.masks, self.of_band,
            self.begin, self.starts, self.near, self.far, self.rows, most, *out,
        )  # fmt: skip


def _masks(address: int, tolerance: int) -> NDArray[np.int64]:
    """Return every change of up to `tolerance` bits of an address, and how many bits it has."""
    return np.array(
        [
            (sum(1 << bit for bit in bits), changed)
            for changed in range(tolerance + 1)
            for bits in combinations(range(address), changed)
        ],
        np.int64,
    )


def _limits(bands: tuple[Band, ...]) -> NDArray[np.int64]:
    """Return how far the first 16 bits after an address may be, and the first 32.

    From the band by which an entry is found, every sum of differences along the ring is less than
    that of the tolerances + 1 of the bands that it reaches into.
    """
    most = max(band.tolerance for band in bands)
    limits = np.zeros((len(bands), most + 1, 2), np.int64)
    for b, band in enumerate(bands):
        for half, length in enumerate((SIGNATURE // 2, SIGNATURE)):
            reached, allowed, i = 0, 0, b
            while reached < band.address + length:
                reached += bands[i].width
                allowed += bands[i].tolerance + 1
                i = (i + 1) % len(bands)
            for d in range(band.tolerance + 1):
                limits[b, d, half] = min(allowed - 1 - d, length)
    return limits
