"""PDQ of a small picture as its large original has it.

PDQ's windows and places are whole pixels, so that its samples lie up to a pixel and a half beside
the middle of their cells: 0.3 % of a side of 512 pixels, and next to nothing of 4,000. A copy of
512 pixels is therefore 10 bits from its original at the median, and up to 42, for no loss of
detail. Here the small picture is a function of continuous places, linear between its pixels, and
a sample is its mean under a tent over the cell, which is what PDQ's samples of an ever larger
picture come to::

    samples[i, j] = sum(rows[i, y] * luma[y, x] * columns[j, x] for y, x)

where rows[i, y] is the integral of tent i times the hat over pixel y, a function that is 1 at its
middle and 0 at those of its neighbours (`tents`). The picture is never enlarged.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel
from hashmatch._kernels.pdq import hash_samples
from hashmatch._kernels.pdq_numpy import SAMPLES
from hashmatch._kernels.pdq_reduce import luma

if TYPE_CHECKING:
    from numpy.typing import NDArray

ASIDE = 0.0005
"""Of a side: how far right and down originals have their samples, those of 640 to 4,000 pixels.

With it their hashes are 0.2 to 1.2 bits nearer on average than without.
"""


@lru_cache(maxsize=64)
def tents(pixels: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return what each of 64 samples along `pixels` is made of, its weights adding up to 1.

    A tent is two boxes of half a cell convolved, a hat two boxes of a pixel. Such a product's
    integral is the second difference by each of the two of the fourth antiderivative of a point,
    ``abs(x) ** 3 / 12``. What lies beyond the first and the last pixel is like them.

    Returns
    -------
    firsts : ndarray of int64, shape (64,)
        The first pixel of each.
    weights : ndarray of float32, shape (64, n)
        Of it and the pixels after it.
    """
    half = pixels / (2 * SAMPLES)
    centres = ((np.arange(SAMPLES) + 0.5) / SAMPLES + ASIDE) * pixels - 0.5
    count = 2 * int(half + 2) + 1
    places = np.rint(centres)[:, None].astype(np.int64) + np.arange(count) - count // 2
    apart = places - centres[:, None]
    exact = np.zeros(apart.shape)
    for i, of_tent in ((-1, 1), (0, -2), (1, 1)):
        for j, of_hat in ((-1, 1), (0, -2), (1, 1)):
            exact += of_tent * of_hat * np.abs(apart + i * half + j) ** 3
    exact /= 12 * half * half
    count = min(count, pixels)
    firsts = places[:, 0].clip(0, pixels - count)
    weights = np.zeros((SAMPLES, count))
    within = places.clip(0, pixels - 1) - firsts[:, None]
    np.add.at(weights, (np.arange(SAMPLES)[:, None], within), exact)
    return firsts, np.ascontiguousarray(weights, np.float32)


@kernel
def reduce_enlarged(
    pixels: NDArray[np.uint8],
    row_firsts: NDArray[np.int64],
    row_weights: NDArray[np.float32],
    column_firsts: NDArray[np.int64],
    column_weights: NDArray[np.float32],
    samples: NDArray[np.float32],
) -> None:
    """Write the 64 x 64 `samples` of (h, w, 3) `pixels`, contiguous.

    The weights are those that `tents` has for the height and for the width. Each row of pixels is
    read once, and added to the bands of those samples that it belongs to.
    """
    height, width = pixels.shape[0], pixels.shape[1]
    bands = np.zeros((SAMPLES, width), np.float32)
    line = np.empty((1, width), np.float32)
    count, begun = row_weights.shape[1], 0
    for y in range(height):
        luma(pixels, y, 1, line)
        grey = line[0]
        while begun < SAMPLES and row_firsts[begun] + count <= y:
            begun += 1
        for i in range(begun, SAMPLES):
            if row_firsts[i] > y:
                break
            weight, band = row_weights[i, y - row_firsts[i]], bands[i]
            for x in range(width):
                band[x] += weight * grey[x]
    for i in range(SAMPLES):
        band, line_of_samples = bands[i], samples[i]
        for j in range(SAMPLES):
            total, first = np.float32(0.0), np.uint64(column_firsts[j])
            for k in range(column_weights.shape[1]):
                total += column_weights[j, k] * band[first + np.uint64(k)]
            line_of_samples[j] = total


@kernel
def pdq_enlarged(
    pixels: NDArray[np.uint8],
    row_firsts: NDArray[np.int64],
    row_weights: NDArray[np.float32],
    column_firsts: NDArray[np.int64],
    column_weights: NDArray[np.float32],
    dct: NDArray[np.float32],
    out: NDArray[np.uint64],
) -> None:
    """Hash `pixels` into the rows of `out`, as `pdq` has them; see `reduce_enlarged`."""
    samples = np.empty((SAMPLES, SAMPLES), np.float32)
    reduce_enlarged(pixels, row_firsts, row_weights, column_firsts, column_weights, samples)
    hash_samples(samples, dct, out)
