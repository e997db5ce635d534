"""The weights of Pillow's Lanczos resize, digit for digit.

Source: ``precompute_coeffs`` and what follows it in Pillow 13's ``libImaging/Resample.c``; of the
filter, a sinc under the middle lobe of a sinc three times as wide: C. E. Duchon, "Lanczos Filtering
in One and Two Dimensions", 1979.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hashmatch._kernels.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Spans: TypeAlias = NDArray[np.int64]
    Weights: TypeAlias = NDArray[np.int32]

LOBES = 3.0
"""Pixels on each side that a new pixel is made of, in the larger of old and new pixels."""
ONE = 1 << 22
"""The weight 1. Sums of 8-bit pixels then fill 30 bits; two are left for what overshoots."""
LARGEST_KEPT = 1 << 14
"""Pixels of the largest size whose weights are kept. They take 24 bytes a pixel, so 64 of them, one
for each size and new size seen last, 25 MB at the very most."""


@kernel
def sinc(x: float) -> float:
    """Return sin(pi x) / (pi x), by the C library's ``sin``, which is Pillow's too."""
    if x == 0.0:
        return 1.0
    x = x * math.pi
    return math.sin(x) / x


@kernel
def fill_weights(size: int, spans: Spans, weights: Weights) -> None:
    """Write what each new pixel is made of, for `size` pixels resized to ``len(spans)``.

    Double precision and Pillow's order of operations, since the last bit decides how a weight next
    to a half is rounded. A Pillow built with fused multiplications, as compilers make them for
    ARM, may round one in a great many otherwise.

    Parameters
    ----------
    size : int
    spans : ndarray of int64, shape (reduced, 2)
        First old pixel, and the one after the last.
    weights : ndarray of int32, shape (reduced, at least the longest span)
        In units of 1 / `ONE`.
    """
    reduced = spans.shape[0]
    scale = size / reduced
    filter_scale = max(scale, 1.0)  # enlarged, the filter is as wide as old pixels
    support = LOBES * filter_scale
    per_pixel = 1.0 / filter_scale
    exact = np.empty(weights.shape[1], np.float64)
    for o in range(reduced):
        centre = (o + 0.5) * scale
        first = max(int(centre - support + 0.5), 0)
        end = min(int(centre + support + 0.5), size)
        total = 0.0
        for t in range(end - first):
            x = (t + first - centre + 0.5) * per_pixel
            value = sinc(x) * sinc(x / 3) if -LOBES <= x < LOBES else 0.0
            exact[t] = value
            total += value
        for t in range(end - first):
            value = exact[t] / total * ONE
            weights[o, t] = int(value - 0.5) if value < 0.0 else int(value + 0.5)
        spans[o, 0], spans[o, 1] = first, end


def lanczos(size: int, reduced: int) -> tuple[Spans, Weights]:
    """Return spans and weights of `size` pixels resized to `reduced`, see `fill_weights`.

    If `reduced` equals `size`, each weight is 1 for the pixel itself and 0 for others, so that the
    pass that Pillow leaves out changes nothing.
    """
    return _kept(size, reduced) if size <= LARGEST_KEPT else _made(size, reduced)


def _made(size: int, reduced: int) -> tuple[Spans, Weights]:
    spans = np.empty((reduced, 2), np.int64)
    longest = 2 * math.ceil(LOBES * max(size / reduced, 1.0)) + 1
    weights = np.zeros((reduced, longest), np.int32)
    fill_weights(size, spans, weights)
    return spans, weights


_kept = lru_cache(maxsize=64)(_made)
