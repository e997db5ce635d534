"""The bits of PDQ's 16 x 16 coefficients, as they are and in all eight orientations.

Bit ``16 * i + j``, counted from the least significant, says whether coefficient (i, j) is above the
median; a hash is four words, most significant first. The reference finds the median with Torben's
method, which on an even count is the lower of the two middle values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel
from hashmatch._kernels.pdq_numpy import COEFFICIENTS
from hashmatch._kernels.simd import MASK, above, popcount

if TYPE_CHECKING:
    from numpy.typing import NDArray


@kernel
def count_above(coefficients: NDArray[np.float32], threshold: np.float32) -> int:
    """Return how many of 256 `coefficients` are above `threshold`."""
    count = 0
    for first in range(0, 256, MASK):
        count += popcount(above(coefficients, first, threshold))
    return count


@kernel
def middle(coefficients: NDArray[np.float32]) -> np.float32:
    """Return what the upper half of 256 finite `coefficients` is above, and the median is not.

    Any threshold from the median up to the next value gives the bits that the median gives, so one
    is found by halving: half a dozen counts of 256 values cost less than sorting them. It begins
    at 0, near which the median of coefficients is. Equal middle values are never separated; then
    fewer than half of the values are above.
    """
    step = np.float32(1e-30)
    for k in range(0, 256, 17):
        step += abs(coefficients[k]) * np.float32(1 / 128)
    low, high = np.float32(0.0), np.float32(0.0)
    count = count_above(coefficients, low)
    if count == 128:
        return low
    if count > 128:
        while count > 128 and step < np.inf:
            low, high = high, high + step
            step *= np.float32(4.0)
            count = count_above(coefficients, high)
            if count == 128:
                return high
    else:
        while count < 128 and step < np.inf:
            low, high = low - step, low
            step *= np.float32(4.0)
            count = count_above(coefficients, low)
            if count == 128:
                return low
    while True:  # more than 128 are above `low`, less than 128 above `high`
        threshold = np.float32(0.5) * (low + high)
        if threshold <= low or threshold >= high:
            return high
        count = count_above(coefficients, threshold)
        if count == 128:
            return threshold
        if count > 128:
            low = threshold
        else:
            high = threshold


@kernel
def pack(coefficients: NDArray[np.float32], threshold: np.float32, out: NDArray[np.uint64]) -> None:
    """Set the bits of `out` whose coefficients, of 256, are above `threshold`."""
    for word in range(4):
        out[word] = above(coefficients, MASK * (3 - word), threshold)


@kernel
def above_median(coefficients: NDArray[np.float32], out: NDArray[np.uint64]) -> None:
    """Write the hash that 256 `coefficients` make to `out` (4,)."""
    pack(coefficients, middle(coefficients), out)


@kernel
def transposed(words: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    """Write the hash whose bit (i, j) is bit (j, i) of another, both of shape (4,).

    A square of four squares is transposed by exchanging the two off the diagonal and transposing
    each of the four: here from the smallest squares on, all of a size at once. A word is four rows.
    """
    for word in range(4):
        bits = words[word]
        swap = (bits ^ (bits >> np.uint64(15))) & np.uint64(0x0000_AAAA_0000_AAAA)
        bits ^= swap ^ (swap << np.uint64(15))
        swap = (bits ^ (bits >> np.uint64(30))) & np.uint64(0x0000_0000_CCCC_CCCC)
        out[word] = bits ^ swap ^ (swap << np.uint64(30))
    for upper, lower in ((3, 2), (1, 0)):
        swap = ((out[upper] >> np.uint64(4)) ^ out[lower]) & np.uint64(0x0F0F_0F0F_0F0F_0F0F)
        out[upper] ^= swap << np.uint64(4)
        out[lower] ^= swap
    for upper, lower in ((3, 1), (2, 0)):
        swap = ((out[upper] >> np.uint64(8)) ^ out[lower]) & np.uint64(0x00FF_00FF_00FF_00FF)
        out[upper] ^= swap << np.uint64(8)
        out[lower] ^= swap


@kernel
def in_all_orientations(coefficients: NDArray[np.float32], out: NDArray[np.uint64]) -> None:
    """Write the hashes of the picture with 256 `coefficients` in all orientations to `out` (8, 4).

    They are numbered as in the reference: upright; rotated by 90, 180 and 270 degrees; flipped top
    to bottom and left to right; transposed; transposed along the other diagonal.

    A mirrored picture has the odd frequencies of that direction negated, and coefficient 0 is
    frequency 1; a transposed one has them transposed; a rotation is both. No pixel is touched, and
    a median is that of the transposed values as well, so that only bits are transposed.
    """
    signed = coefficients.copy()
    # As it is, flipped left to right, rotated by 180 degrees, flipped top to bottom ...
    for flips, plain, across in ((0, 0, 6), (1, 5, 1), (2, 2, 7), (3, 4, 3)):
        if flips % 2 == 1:
            for k in range(0, 256, 2):
                signed[k] = -signed[k]
        elif flips == 2:
            for i in range(0, COEFFICIENTS, 2):
                row = signed[COEFFICIENTS * i : COEFFICIENTS * (i + 1)]
                for j in range(COEFFICIENTS):
                    row[j] = -row[j]
        above_median(signed, out[plain])
        transposed(out[plain], out[across])  # ... and each of these transposed.
