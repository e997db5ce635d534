"""PDQ on an array of pixels, bit for bit what the reference implementation computes.

The algorithm (Davis and Rosen, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing
algorithm", 2019; reference in C++: ThreatExchange ``pdq/cpp``): 64 x 64 samples of the blurred luma
(`hashmatch._kernels.pdq_reduce`), the lowest 16 x 16 coefficients of their DCT without its
constant row and column, and one bit a coefficient: whether it is above their median.

All of it is float32 with sums in the reference's order, since a coefficient that lies on the
median falls on either side of it by the last bit of a sum.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel
from hashmatch._kernels.pdq_reduce import SAMPLES, luma, reduce

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch._kernels.pdq_reduce import Pixels

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
def gradient_quality(samples: NDArray[np.float32]) -> int:
    """Return the reference's quality, 0 to 100: the sum of noticeable steps, scaled.

    A step is a difference of neighbours in hundredths of the full range, cut to an integer so
    that noise does not count. 90 is the reference's scale, chosen by its authors by eye.
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
    """Write ``dct @ samples @ dct.T``, (16, 16), each sum taken from its first term on.

    The terms are the outer loops, so that many sums advance side by side, each in its own order.
    """
    half = np.zeros((COEFFICIENTS, SAMPLES), np.float32)
    for i in range(COEFFICIENTS):
        for k in range(SAMPLES):
            factor = dct[i, k]
            for j in range(SAMPLES):
                half[i, j] += factor * samples[k, j]
    for i in range(COEFFICIENTS):
        for j in range(COEFFICIENTS):
            out[i, j] = np.float32(0.0)
        for k in range(SAMPLES):
            value = half[i, k]
            for j in range(COEFFICIENTS):
                out[i, j] += value * dct[j, k]


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
def turned(coefficients: NDArray[np.float32], orientation: int, out: NDArray[np.float32]) -> None:
    """Write the coefficients of the picture in one of eight orientations.

    They are numbered as in the reference: upright; rotated by 90, 180 and 270 degrees; flipped top
    to bottom and left to right; transposed; transposed along the other diagonal.

    A mirrored picture has the odd frequencies of that direction negated, and coefficient 0 is
    frequency 1; a transposed one has them transposed; a rotation is both. No pixel is touched.
    """
    swap = orientation in (1, 3, 6, 7)  # rotations by 90 degrees, and the two diagonals
    negate_rows = orientation in (1, 2, 4, 7)
    negate_columns = orientation in (2, 3, 5, 7)
    for i in range(COEFFICIENTS):
        for j in range(COEFFICIENTS):
            value = coefficients[j, i] if swap else coefficients[i, j]
            if negate_rows and i % 2 == 0:
                value = -value
            if negate_columns and j % 2 == 0:
                value = -value
            out[i, j] = value


@kernel
def hash_samples(
    samples: NDArray[np.float32], dct: NDArray[np.float32], out: NDArray[np.uint64]
) -> None:
    """Hash 64 x 64 `samples` into the rows of `out`; it and `dct` are those of `pdq`."""
    coefficients = np.empty((COEFFICIENTS, COEFFICIENTS), np.float32)
    low_frequencies(samples, dct, coefficients)
    oriented = np.empty((COEFFICIENTS, COEFFICIENTS), np.float32)
    for orientation in range(out.shape[0]):
        turned(coefficients, orientation, oriented)
        bits_above_median(oriented, out[orientation])


@kernel
def pdq(pixels: Pixels, dct: NDArray[np.float32], out: NDArray[np.uint64]) -> int:
    """Hash `pixels` into the rows of `out`, one for each orientation; return the quality.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width, 3), or of float32, shape (height, width)
        Contiguous; RGB, or its luma.
    dct : ndarray of float32, shape (16, 64)
        `DCT`. An argument, since a compiled kernel would freeze a global.
    out : ndarray of uint64, shape (1, 4) or (8, 4)
        The upright hash, or those of all eight orientations.
    """
    height, width = pixels.shape[0], pixels.shape[1]
    out[:] = np.uint64(0)
    if height < SMALLEST or width < SMALLEST:
        return 0
    samples = np.empty((SAMPLES, SAMPLES), np.float32)
    if height == SAMPLES and width == SAMPLES and out.shape[0] == 1:
        # The reference takes such a picture as reduced already, but not for all orientations.
        luma(pixels, 0, SAMPLES, samples)
    else:
        reduce(pixels, samples)
    hash_samples(samples, dct, out)
    return gradient_quality(samples)
