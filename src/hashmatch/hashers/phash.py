"""phash: the signs of the low DCT coefficients, 64 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch.hashers._imagehash import (
    ImageHash,
    above_median,
    detail_quality,
    hash_of,
    imagehash_bits,
)
from hashmatch.records.hashes import HashBatch, HashSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 32
"""Side of the reduced picture."""
DCT = 2 * np.cos(np.pi / (2 * SIDE) * np.outer(np.arange(8), 2 * np.arange(SIDE) + 1))
"""Rows 0 to 7 of the 32-point DCT-II, unscaled, as scipy's."""
DOUBT = 1e-6
"""Our coefficients and scipy's differ by less. Each is a sum of 1024 products of at most 4 * 255,
so below 2^20. On the way to it are 64 sums and products, and two cosines of an argument up to 22,
whose own rounding counts 50 times each: an error below 200 * 2^-53 * 2^20 < 3e-8, and scipy's FFT
takes fewer steps. Four such errors, of two sums on two sides, are an eighth of this."""


class PerceptualHash(ImageHash):
    """phash as ``imagehash.phash`` computes it, bit for bit.

    It is the signs, about their median, of the 8 x 8 lowest DCT coefficients of a 32 x 32 gray
    picture.
    Source of the algorithm: imagehash 4.3.2, which follows N. Krawetz, "Looks Like It", The Hacker
    Factor Blog, 2011, but takes the median of all 64 coefficients, the constant one included.
    Source of `max_distance`: our own measurement; 8 covers what re-encoding and
    resizing did to 88 photographs (at most 6, WebP at quality 30 aside), and chance comes as near
    in 2.8 of 10^10 comparisons.
    """

    spec = HashSpec("phash", 64)
    max_distance = 8

    def hash(self, data: NDArray[np.uint8]) -> tuple[HashBatch, int]:
        """Return the hash of RGB pixels (h, w, 3), and its quality."""
        from hashmatch._kernels.resample import grey_picture

        small = grey_picture(data, SIDE, SIDE)
        coefficients = DCT @ small.astype(np.float64) @ DCT.T
        bits = above_median(coefficients, DOUBT, lambda: imagehash_bits("phash", small))
        # What rows and columns alone do not tell, in levels: unscaled, each cosine counts 8 times.
        both_ways = np.sqrt(np.square(coefficients[1:, 1:]).sum()) / (64 * SIDE)
        return hash_of(self.spec, bits, detail_quality(float(both_ways)))
