"""PDQ on an array of pixels, bit for bit what the reference implementation computes.

The algorithm (Davis and Rosen, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing
algorithm", 2019; reference in C++: ThreatExchange ``pdq/cpp``): luma, two box filters in each
direction (together a tent), 64 x 64 samples, the lowest 16 x 16 coefficients of a DCT without its
constant row and column, and one bit a coefficient: whether it is above their median.

All of it is float32 with sums in the reference's order, since a coefficient that lies on the
median falls on either side of it by the last bit of a sum.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLES = 64
"""Side of the reduced picture."""
COEFFICIENTS = 16
"""Side of the block of DCT coefficients; 16 x 16 bits are the hash."""
SMALLEST = 5
"""The reference hashes nothing with a shorter side: all bits zero, quality 0."""


def _dct_matrix() -> NDArray[np.float32]:
    """Return rows 1 to 16 of the 64-point DCT-II, in the reference's precision."""
    scale = float(np.float32(math.sqrt(2.0 / SAMPLES)))
    step = math.pi / 2.0 / SAMPLES
    rows = [
        [scale * math.cos(step * (i + 1) * (2 * j + 1)) for j in range(SAMPLES)]
        for i in range(COEFFICIENTS)
    ]
    return np.array(rows, np.float32)


DCT = _dct_matrix()


@kernel
def luma(pixels: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Write the luma of (h, w, 3) `pixels` (ITU-R BT.601 weights, summed in float64)."""
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            red_green = np.float64(pixels[y, x, 0]) * 0.299 + np.float64(pixels[y, x, 1]) * 0.587
            out[y, x] = np.float32(red_green + np.float64(pixels[y, x, 2]) * 0.114)


@kernel
def box_along_rows(source: NDArray[np.float32], out: NDArray[np.float32], window: int) -> None:
    """Write the running mean of `window` neighbours in each row, narrower at both ends.

    Naively ``out[y, x] = mean(source[y, x - window // 2 : x - window // 2 + window])``; the
    reference carries one sum along the row instead, and so do we, in its order: the entering
    value is added before the leaving one is taken off.
    """
    height, width = source.shape
    ahead = (window + 2) // 2 - 1
    for y in range(height):
        total = np.float32(0.0)
        count = 0
        for x in range(ahead):
            total += source[y, x]
            count += 1
        for x in range(width):
            if x + ahead < width:
                total += source[y, x + ahead]
                count += 1
            if x + ahead >= window:
                total -= source[y, x + ahead - window]
                count -= 1
            out[y, x] = total / np.float32(count)


@kernel
def box_along_columns(source: NDArray[np.float32], out: NDArray[np.float32], window: int) -> None:
    """Write the running mean of `window` neighbours in each column; see `box_along_rows`.

    All columns advance together, one row at a time, since rows are what memory holds.
    """
    height, width = source.shape
    ahead = (window + 2) // 2 - 1
    total = np.zeros(width, np.float32)
    count = 0
    for y in range(ahead):
        for x in range(width):
            total[x] += source[y, x]
        count += 1
    for y in range(height):
        if y + ahead < height:
            for x in range(width):
                total[x] += source[y + ahead, x]
            count += 1
        if y + ahead >= window:
            for x in range(width):
                total[x] -= source[y + ahead - window, x]
            count -= 1
        for x in range(width):
            out[y, x] = total[x] / np.float32(count)


@kernel
def sample(source: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Write the value at the centre of each of the 64 x 64 cells of `source`."""
    height, width = source.shape
    for i in range(SAMPLES):
        y = int(((i + 0.5) * height) / SAMPLES)
        for j in range(SAMPLES):
            out[i, j] = source[y, int(((j + 0.5) * width) / SAMPLES)]


@kernel
def gradient_quality(samples: NDArray[np.float32]) -> int:
    """Return the reference's quality, 0 to 100: the sum of noticeable steps, scaled.

    A step is a difference of neighbours in hundredths of the full range, cut to an integer so
    that noise counts for nothing. 90 is the reference's scale, chosen by its authors by eye.
    """
    total = 0
    for i in range(SAMPLES):
        for j in range(SAMPLES):
            if i + 1 < SAMPLES:
                step = (samples[i, j] - samples[i + 1, j]) * np.float32(100.0) / np.float32(255.0)
                total += abs(int(step))
            if j + 1 < SAMPLES:
                step = (samples[i, j] - samples[i, j + 1]) * np.float32(100.0) / np.float32(255.0)
                total += abs(int(step))
    return min(total // 90, 100)


@kernel
def low_frequencies(
    samples: NDArray[np.float32], dct: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Write ``dct @ samples @ dct.T``, (16, 16), each sum taken from its first term on."""
    half = np.empty((COEFFICIENTS, SAMPLES), np.float32)
    for i in range(COEFFICIENTS):
        for j in range(SAMPLES):
            total = np.float32(0.0)
            for k in range(SAMPLES):
                total += dct[i, k] * samples[k, j]
            half[i, j] = total
    for i in range(COEFFICIENTS):
        for j in range(COEFFICIENTS):
            total = np.float32(0.0)
            for k in range(SAMPLES):
                total += half[i, k] * dct[j, k]
            out[i, j] = total


@kernel
def bits_above_median(coefficients: NDArray[np.float32], out: NDArray[np.uint64]) -> None:
    """Set bit ``16 * i + j``, counted from the least significant, where (i, j) is above median.

    The reference finds the median with Torben's method, which on an even count is the lower of
    the two middle values. `out` is four words, most significant first.
    """
    flat = coefficients.ravel()
    median = np.sort(flat)[flat.size // 2 - 1]
    for word in range(4):
        bits = np.uint64(0)
        for k in range(64):
            if flat[64 * (3 - word) + k] > median:
                bits |= np.uint64(1) << np.uint64(k)
        out[word] = bits


@kernel
def pdq(pixels: NDArray[np.uint8], dct: NDArray[np.float32], out: NDArray[np.uint64]) -> int:
    """Hash `pixels` into `out`, four words; return the quality.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width, 3)
    dct : ndarray of float32, shape (16, 64)
        `DCT`. An argument, since a compiled kernel would freeze a global.
    out : ndarray of uint64, shape (4,)
    """
    height, width = pixels.shape[0], pixels.shape[1]
    out[:] = np.uint64(0)
    if height < SMALLEST or width < SMALLEST:
        return 0
    plane = np.empty((height, width), np.float32)
    luma(pixels, plane)
    if height == SAMPLES and width == SAMPLES:
        samples = plane  # the reference takes such a picture as reduced already
    else:
        # Two windows of 1/128 of a side add up to one cell of 1/64.
        across, down = (width + 127) // 128, (height + 127) // 128
        spare = np.empty((height, width), np.float32)
        for _ in range(2):
            box_along_rows(plane, spare, across)
            box_along_columns(spare, plane, down)
        samples = np.empty((SAMPLES, SAMPLES), np.float32)
        sample(plane, samples)
    coefficients = np.empty((COEFFICIENTS, COEFFICIENTS), np.float32)
    low_frequencies(samples, dct, coefficients)
    bits_above_median(coefficients, out)
    return gradient_quality(samples)
