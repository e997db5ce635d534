"""PDQ on an array of pixels, bit for bit what the reference implementation computes.

The algorithm (Davis and Rosen, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing
algorithm", 2019; reference in C++: ThreatExchange ``pdq/cpp``): 64 x 64 samples of the blurred luma
(`hashmatch._kernels.pdq_reduce`), the lowest 16 x 16 coefficients of their DCT without its
constant row and column, and one bit a coefficient: whether it is above their median.

All of it is float32 with sums in the reference's order, since a coefficient that lies on the
median falls on either side of it by the last bit of a sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel
from hashmatch._kernels.pdq_bits import above_median, in_all_orientations
from hashmatch._kernels.pdq_numpy import COEFFICIENTS, SAMPLES, SMALLEST
from hashmatch._kernels.pdq_reduce import luma, reduce

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch._kernels.pdq_reduce import Pixels


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
def hash_samples(
    samples: NDArray[np.float32], dct: NDArray[np.float32], out: NDArray[np.uint64]
) -> None:
    """Hash 64 x 64 `samples` into the rows of `out`; it and `dct` are those of `pdq`."""
    coefficients = np.empty((COEFFICIENTS, COEFFICIENTS), np.float32)
    low_frequencies(samples, dct, coefficients)
    if out.shape[0] == 8:
        in_all_orientations(coefficients.reshape(-1), out)
    else:
        above_median(coefficients.reshape(-1), out[0])


@kernel
def pdq(pixels: Pixels, dct: NDArray[np.float32], out: NDArray[np.uint64]) -> int:
    """Hash `pixels` into the rows of `out`, one for each orientation; return the quality.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width, 3), or of float32, shape (height, width)
        Contiguous; RGB, or its luma.
    dct : ndarray of float32, shape (16, 64)
        That of `hashmatch._kernels.pdq_numpy`: a compiled kernel would freeze a global.
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
        luma(pixels, height - SAMPLES, height, samples)  # as of others, so that it is compiled once
    else:
        reduce(pixels, samples)
    hash_samples(samples, dct, out)
    return gradient_quality(samples)
