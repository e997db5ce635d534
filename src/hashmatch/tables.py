"""Lays out and fills the tables of a multi-index; `hashmatch._kernels.tables` says what is in."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels import tables as kernels
from hashmatch._kernels.room import BETWEEN
from hashmatch._kernels.signatures import LINE
from hashmatch.bands import CANDIDATE, PAIR, signature_limits
from hashmatch.records.hashes import Opaque

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch.bands import Band
    from hashmatch.index_file.room import FileRoom

CACHE_LINE = 64
"""Bytes; every part of the tables begins at a multiple."""


class Tables(Opaque):
    """The tables of a list of hashes, and where everything is in them.

    Parameters
    ----------
    bands : tuple of Band
    lines : tuple of int
        How many lines the entries of each band take.
    head : ndarray of int64
    tables : ndarray of uint64
    """

    # Not a dataclass: dataclasses.asdict would lay the tables open.
    __slots__ = ("bands", "between", "head", "lines", "tables")

    def __init__(
        self,
        bands: tuple[Band, ...],
        lines: tuple[int, ...],
        head: NDArray[np.int64],
        tables: NDArray[np.uint64],
    ) -> None:
        self.bands, self.lines, self.head, self.tables = bands, lines, head, tables
        self.between = BETWEEN + int(head[kernels.WIDEST])  # rows a search needs meanwhile

    @classmethod
    def build(
        cls, words: NDArray[np.uint64], bands: tuple[Band, ...], room: FileRoom | None = None
    ) -> Tables:
        """Return the tables of hashes, (n, w), n below 2**32; those of the same list are equal.

        They are in memory, or in the `room` of a file.
        """
        count = len(words)
        starts = [np.empty(2**band.address + 1, np.uint32) for band in bands]
        each = [band.lines(count) for band in bands]
        lines = tuple(
            2**band.address * own + kernels.count_band(words, band.offset, band.address, own, begin)
            for band, own, begin in zip(bands, each, starts, strict=True)
        )
        head, size = lay_head(bands, lines, count)
        if room is None:
            tables = _aligned(size)
            tables[:] = 0
        else:
            tables = room.new((size,), np.uint64)
        singles, halves = tables.view(np.uint32), tables.view(np.uint16)
        for b, band in enumerate(bands):
            row = head[kernels.HEAD + kernels.BAND * b :][: kernels.BAND].tolist()
            begin, far, rows = row[kernels.STARTS], row[kernels.FAR], row[kernels.ROWS]
            own_starts = singles[begin : begin + len(starts[b])]
            own_starts[:] = starts[b]
            kernels.fill_band(
                words,
                band.offset,
                band.address,
                each[b],
                own_starts,
                halves[far : far + count],
                singles[rows : rows + count],
                halves[row[kernels.LINES] : row[kernels.LINES_END]],
            )
            if room is not None:
                room.rest()
        tables.flags.writeable = False
        return cls(bands, lines, head, tables)


def lay_head(
    bands: tuple[Band, ...], lines: tuple[int, ...], count: int
) -> tuple[NDArray[np.int64], int]:
    """Return the head for tables of `count` entries, and how many 64-bit words they take."""
    groups_at = kernels.HEAD + kernels.BAND * len(bands)
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
            groups.append([at, at + len(own), *signature_limits(bands, b, changed)])
            masks += own
        last_group = groups_at + kernels.GROUP * len(groups)
        starts, far, own_rows = place(4, 2**band.address + 1), place(2, count), place(4, count)
        rows.append([band.offset, band.address, first_group, last_group, starts, far, own_rows])
    for b, band in enumerate(bands):
        first_line = place(2, lines[b] * LINE)
        rows[b] += [first_line, first_line + lines[b] * LINE, band.lines(count) * LINE]
    widest = max(sum(map(len, band.masks)) * band.lines(count) for band in bands)
    most = int(PAIR / CANDIDATE * count)  # looking closer at more takes as long as at every entry
    beginning = [len(bands), widest, most, *[0] * (kernels.HEAD - 3)]
    head = np.array([*beginning, *chain(*rows, *groups), *masks], np.int64)
    head.flags.writeable = False
    return head, end // 8


def _aligned(size: int) -> NDArray[np.uint64]:
    spare = np.empty(size + CACHE_LINE // 8, np.uint64)
    first = -spare.ctypes.data % CACHE_LINE // 8
    return spare[first : first + size]
