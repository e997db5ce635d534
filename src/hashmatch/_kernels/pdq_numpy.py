"""PDQ with NumPy alone: for the first pictures of a process, which need not wait for a compiler.

To import numba and load its compiled code takes a process half a second of CPU; this hashes a
picture of 640 x 640 in a hundredth of one. It is what `hashmatch._kernels.pdq` computes, bit for
bit, as every sum and every division is done in float32 and in the same order. Sums that run along a
side wait for themselves at every step, so a step is taken by all rows, or all columns, at once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

SMALLEST = 5
"""The reference hashes nothing with a shorter side: all bits zero, quality 0."""
SAMPLES = 64
"""Side of the reduced picture."""
COEFFICIENTS = 16
"""Side of PDQ's block of coefficients: frequencies 1 to 16, in half periods a side."""
WEIGHTS = np.array([299, 587, 114], np.float32)
"""Thousandths of red, green and blue in the luma (ITU-R BT.601)."""


def _dct_matrix() -> Floats:
    """Return rows 1 to 16 of the 64-point DCT-II, in the reference's precision."""
    scale = float(np.float32(math.sqrt(2.0 / SAMPLES)))
    step = math.pi / 2.0 / SAMPLES
    rows = [
        [scale * math.cos(step * (i + 1) * (2 * j + 1)) for j in range(SAMPLES)]
        for i in range(COEFFICIENTS)
    ]
    return np.array(rows, np.float32)


DCT = _dct_matrix()
DCT_ACROSS = np.ascontiguousarray(DCT.T)


def pdq(pixels: NDArray[np.uint8], out: NDArray[np.uint64]) -> int:
    """Hash RGB pixels into the rows of `out`, one for each orientation; return the quality.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width, 3)
        The picture.
    out : ndarray of uint64, shape (1, 4) or (8, 4)
        The upright hash, or those of all eight orientations.
    """
    height, width = pixels.shape[:2]
    out[:] = 0
    if min(height, width) < SMALLEST:
        return 0
    # Whole numbers below 2^24: the order of the sum is of no matter.
    luma = (pixels.reshape(-1, 3).astype(np.float32) @ WEIGHTS).reshape(height, width)
    luma /= np.float32(1000)
    # The reference takes 64 x 64 pixels as reduced already, but not for all orientations.
    samples = luma if (height, width, len(out)) == (SAMPLES, SAMPLES, 1) else _reduced(luma)
    coefficients = _low_frequencies(samples)
    if len(out) == 1:
        out[0] = _above_median(coefficients)
    else:
        _in_all_orientations(coefficients, out)
    return _quality(samples)


def _reduced(luma: Floats) -> Floats:
    """Return the 64 x 64 samples of a picture's luma: see `hashmatch._kernels.pdq_reduce`."""
    height, width = luma.shape
    rows, columns = (
        ((np.arange(SAMPLES) + 0.5) * n / SAMPLES).astype(int) for n in (height, width)
    )
    plane = _means(luma.T, np.arange(width)).T
    plane = _means(plane, np.arange(height))
    return _means(_means(plane.T, columns).T, rows)


def _means(values: Floats, wanted: NDArray[np.int64]) -> Floats:
    """Return some of the means along the first axis, each of a window of a 128th of it."""
    count = len(values)
    window = (count + 127) // 128
    ahead = (window + 2) // 2 - 1
    # Values lie in zeros, and each sum takes the place of the value that leaves it.
    padded = np.zeros((1 + window + count + ahead, values.shape[1]), np.float32)
    padded[1 + window : 1 + window + count] = values
    total = np.empty(values.shape[1], np.float32)
    steps = ahead + count
    sums = zip(padded[:steps], padded[1 + window :], padded[1 : 1 + steps], strict=True)
    for before, entering, leaving in sums:
        np.add(before, entering, total)
        np.subtract(total, leaving, leaving)
    newest = wanted + ahead
    inside = np.minimum(newest, count - 1) - np.maximum(newest - window + 1, 0) + 1
    return padded[1 + newest] / inside.astype(np.float32)[:, None]


def _low_frequencies(samples: Floats) -> Floats:
    """Return ``DCT @ samples @ DCT.T``, each sum taken from its first term on."""
    half = np.zeros((COEFFICIENTS, SAMPLES), np.float32)
    for k in range(SAMPLES):
        half += DCT[:, k, None] * samples[k]
    out = np.zeros((COEFFICIENTS, COEFFICIENTS), np.float32)
    for k in range(SAMPLES):
        out += half[:, k, None] * DCT[:, k]
    return out


def _quality(samples: Floats) -> int:
    """Return the reference's quality, 0 to 100: the sum of noticeable steps, scaled."""
    total = 0
    for axis in (0, 1):
        steps = -np.diff(samples, axis=axis) * np.float32(100) / np.float32(255)
        total += int(np.abs(steps.astype(np.int64)).sum())
    return min(total // 90, 100)


def _above_median(coefficients: Floats) -> NDArray[np.uint64]:
    """Return the hash, most significant word first; of an even count, the lower median counts."""
    flat = coefficients.reshape(-1)
    above = flat > np.sort(flat)[flat.size // 2 - 1]
    return np.packbits(above, bitorder="little").view("<u8")[::-1].astype(np.uint64)


def _in_all_orientations(coefficients: Floats, out: NDArray[np.uint64]) -> None:
    """Write the hashes of all orientations: see `hashmatch._kernels.pdq_bits`."""
    odd = np.where(np.arange(COEFFICIENTS) % 2, np.float32(1), np.float32(-1))
    for down, beside, upright, across in ((0, 0, 0, 6), (1, 0, 4, 3), (0, 1, 5, 1), (1, 1, 2, 7)):
        signed = coefficients * (odd[:, None] if down else 1) * (odd if beside else 1)
        out[upright], out[across] = _above_median(signed), _above_median(signed.T)
