"""PDQ's reduction of a picture to 64 x 64 samples, a few rows at a time.

The reference makes a float plane of the luma, runs a box filter over its rows and then its columns,
does both once more (two boxes are a tent), and takes the value at the centre of each of 64 x 64
cells::

    plane = luma(pixels)
    for _ in range(2):
        plane = box_along_rows(plane, across)
        plane = box_along_columns(plane, down)
    samples = plane[rows, columns]

Each box is a running sum: add the entering value, take off the leaving one, divide by how many are
in. Here the four filters are chained: eight rows of luma go through the first, the sums of the
columns advance a row at a time, and the last two are carried out for the sampled columns and rows
only. No plane is ever in memory, only a window of rows.

Every addition and division is the reference's, in its order and precision (float32), since the
hash depends on the last bit of a sum. `tests/naive.py` has the filters one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from benchmarks.frozen.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]
    Eight: TypeAlias = tuple[
        np.float32, np.float32, np.float32, np.float32,
        np.float32, np.float32, np.float32, np.float32,
    ]  # fmt: skip

SAMPLES = 64
"""Side of the reduced picture."""
LANES = 8
"""Rows whose sums advance together: one sum waits for itself, eight keep the processor busy."""


@kernel
def luma(pixels: NDArray[np.uint8], first: int, count: int, out: Floats) -> None:
    """Write the luma of `count` rows of (h, w, 3) `pixels` from row `first` on (ITU-R BT.601).

    The reference sums 0.299 R + 0.587 G + 0.114 B in float64 and rounds to float32. Summing
    thousandths as integers and dividing once gives the same float32 for all 2^24 colours.
    """
    for k in range(count):
        # Flat and unsigned, so that the compiler sees neither strides nor negative indices.
        row = pixels[first + k].reshape(-1)
        line = out[k]
        for x in range(line.shape[0]):
            red = np.uint64(3) * np.uint64(x)
            green, blue = red + np.uint64(1), red + np.uint64(2)
            thousandths = (
                np.int32(299) * np.int32(row[red])
                + np.int32(587) * np.int32(row[green])
                + np.int32(114) * np.int32(row[blue])
            )
            line[x] = np.float32(thousandths) / np.float32(1000.0)


@kernel
def ahead_of(window: int) -> int:
    """Return how many values a running sum has taken in before its first output."""
    return (window + 2) // 2 - 1


@kernel
def in_window(output: int, length: int, window: int) -> np.float32:
    """Return how many values make output number `output` of a box filter over `length` values."""
    newest = output + ahead_of(window)
    return np.float32(min(newest, length - 1) - max(newest - window + 1, 0) + 1)


@kernel
def plus(sums: Eight, rows: Floats, x: int) -> Eight:
    """Return `sums` with column `x` of the eight `rows` added. A tuple stays in registers."""
    return (
        sums[0] + rows[0, x],
        sums[1] + rows[1, x],
        sums[2] + rows[2, x],
        sums[3] + rows[3, x],
        sums[4] + rows[4, x],
        sums[5] + rows[5, x],
        sums[6] + rows[6, x],
        sums[7] + rows[7, x],
    )


@kernel
def minus(sums: Eight, rows: Floats, x: int) -> Eight:
    """Return `sums` with column `x` of the eight `rows` taken off."""
    return (
        sums[0] - rows[0, x],
        sums[1] - rows[1, x],
        sums[2] - rows[2, x],
        sums[3] - rows[3, x],
        sums[4] - rows[4, x],
        sums[5] - rows[5, x],
        sums[6] - rows[6, x],
        sums[7] - rows[7, x],
    )


@kernel
def put(sums: Eight, out: Floats, x: int) -> None:
    """Write `sums` to column `x` of the eight rows of `out`."""
    out[0, x] = sums[0]
    out[1, x] = sums[1]
    out[2, x] = sums[2]
    out[3, x] = sums[3]
    out[4, x] = sums[4]
    out[5, x] = sums[5]
    out[6, x] = sums[6]
    out[7, x] = sums[7]


@kernel
def begun(rows: Floats, ahead: int) -> Eight:
    """Return the sums of the first `ahead` columns of the eight `rows`."""
    zero = np.float32(0.0)
    sums = (zero, zero, zero, zero, zero, zero, zero, zero)
    for x in range(ahead):
        sums = plus(sums, rows, x)
    return sums


@kernel
def sums_along_rows(rows: Floats, window: int, out: Floats) -> None:
    """Write the running sums of the eight `rows`, undivided, to `out` of the same shape."""
    width = rows.shape[1]
    ahead = ahead_of(window)
    sums = begun(rows, ahead)
    for x in range(window - ahead):  # the window fills
        sums = plus(sums, rows, x + ahead)
        put(sums, out, x)
    for x in range(window - ahead, width - ahead):  # it slides
        sums = minus(plus(sums, rows, x + ahead), rows, x + ahead - window)
        put(sums, out, x)
    for x in range(width - ahead, width):  # it empties
        sums = minus(sums, rows, x + ahead - window)
        put(sums, out, x)


@kernel
def sums_at_columns(rows: Floats, window: int, columns: NDArray[np.int64], out: Floats) -> None:
    """Write the running sums of the eight `rows` at the ascending `columns` only."""
    width = rows.shape[1]
    ahead = ahead_of(window)
    sums = begun(rows, ahead)
    found = 0
    for x in range(width):
        if x + ahead < width:
            sums = plus(sums, rows, x + ahead)
        if x + ahead >= window:
            sums = minus(sums, rows, x + ahead - window)
        while found < columns.shape[0] and columns[found] == x:  # narrow ones are taken twice
            put(sums, out, found)
            found += 1


@kernel
def down_one_row(
    y: int, height: int, entering: Floats, divisors: Floats, ring: Floats, sums: Floats, out: Floats
) -> None:
    """Take row `y` into the running sums of the columns and write their means to `out`.

    Parameters
    ----------
    y : int
        From 0 to ``height - 1``, and on while the window empties, when `entering` is not read.
    entering, divisors : ndarray of float32, shape (n,)
        Sums along the row, and what to divide each by.
    ring : ndarray of float32, shape (window, n)
        The rows in the window, each in the place of the one that it pushes out.
    sums, out : ndarray of float32, shape (n,)
        `out` is output number ``y - ahead_of(window)``, and of no meaning before the first.
    """
    window = ring.shape[0]
    place = ring[y % window]
    count = np.float32(min(y, height - 1) - max(y - window + 1, 0) + 1)
    if y < window:
        for x in range(sums.shape[0]):
            value = entering[x] / divisors[x]
            total = sums[x] + value
            place[x] = value
            sums[x] = total
            out[x] = total / count
    elif y < height:
        for x in range(sums.shape[0]):
            value = entering[x] / divisors[x]
            total = (sums[x] + value) - place[x]
            place[x] = value
            sums[x] = total
            out[x] = total / count
    else:
        for x in range(sums.shape[0]):
            total = sums[x] - place[x]
            sums[x] = total
            out[x] = total / count


@kernel
def centres(length: int) -> NDArray[np.int64]:
    """Return the position of the centre of each of 64 cells along `length` pixels."""
    positions = np.empty(SAMPLES, np.int64)
    for i in range(SAMPLES):
        positions[i] = int(((i + 0.5) * length) / SAMPLES)
    return positions


@kernel
def reduce(pixels: NDArray[np.uint8], samples: Floats) -> None:
    """Write the 64 x 64 `samples` of (h, w, 3) `pixels`; h and w are at least 1."""
    height, width = pixels.shape[0], pixels.shape[1]
    # Two windows of 1/128 of a side add up to one cell of 1/64.
    across, down = (width + 127) // 128, (height + 127) // 128
    ahead = ahead_of(down)
    rows, columns = centres(height), centres(width)

    divisors = np.empty(width, np.float32)
    for x in range(width):
        divisors[x] = in_window(x, width, across)
    sampled_divisors = divisors[columns]

    lines = np.zeros((LANES, width), np.float32)
    line_sums = np.empty((LANES, width), np.float32)
    ring, sums = np.empty((down, width), np.float32), np.zeros(width, np.float32)
    # What the first two filters have made, in eights for the third.
    half_way = np.zeros((LANES, width), np.float32)
    half_sums = np.empty((LANES, SAMPLES), np.float32)
    last_ring, last_sums = np.empty((down, SAMPLES), np.float32), np.zeros(SAMPLES, np.float32)
    last = np.empty(SAMPLES, np.float32)

    made = 0  # rows that have left the first two filters
    taken = 0  # samples written
    for y in range(height + ahead):
        if y < height and y % LANES == 0:
            luma(pixels, y, min(LANES, height - y), lines)
            sums_along_rows(lines, across, line_sums)
        down_one_row(y, height, line_sums[y % LANES], divisors, ring, sums, half_way[made % LANES])
        if y < ahead:
            continue
        made += 1
        if made % LANES == 0 or made == height:
            sums_at_columns(half_way, across, columns, half_sums)
            first = (made - 1) // LANES * LANES
            for k in range(made - first):
                down_one_row(
                    first + k, height, half_sums[k], sampled_divisors, last_ring, last_sums, last
                )
                while taken < SAMPLES and rows[taken] == first + k - ahead:
                    samples[taken] = last
                    taken += 1
    for y in range(height, height + ahead):
        down_one_row(y, height, half_sums[0], sampled_divisors, last_ring, last_sums, last)
        while taken < SAMPLES and rows[taken] == y - ahead:
            samples[taken] = last
            taken += 1
