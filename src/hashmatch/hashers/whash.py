"""whash: Haar wavelet approximation above its median, 64 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch.hashers._imagehash import (
    ImageHash,
    above_median,
    detail,
    detail_quality,
    hash_of,
    imagehash_bits,
)
from hashmatch.records.hashes import HashBatch, HashSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


class WaveletHash(ImageHash):
    """whash as ``imagehash.whash`` computes it, bit for bit.

    It is which coefficients of the 8 x 8 Haar approximation, its mean removed, are above their
    median. Such a coefficient is the sum of a block of pixels, less that mean and scaled, so the
    sums as integers are in the same order.
    Source of the algorithm: imagehash 4.3.2; of the wavelet: A. Haar, "Zur Theorie der
    orthogonalen Funktionensysteme", 1910.
    Source of `max_distance`: our own measurement; 4 is what re-encoding and
    resizing did at most to 88 photographs. Different photographs are within 5 in 3 of a thousand
    pairs: use it only to confirm another hash.
    """

    spec = HashSpec("whash", 64)
    max_distance = 4

    def hash(self, data: NDArray[np.uint8]) -> tuple[HashBatch, int]:
        """Return the hash of RGB pixels (h, w, 3), and its quality."""
        from hashmatch._kernels.resample import grey_picture

        # The largest power of two within the picture, and not below the 8 of the hash.
        side = max(1 << (min(data.shape[:2]).bit_length() - 1), 8)
        small = grey_picture(data, side, side)
        # Rows first: sums of whole rows vectorise. A block's 2^22 pixels, at most, fit 32 bits.
        rows = small.reshape(8, side // 8, side).sum(axis=1, dtype=np.uint32)
        blocks = rows.reshape(8, 8, side // 8).sum(axis=2, dtype=np.int64)
        # Sums that differ do so by 1 / 255 in imagehash's unit, a coefficient of blocks of b * b
        # pixels by 1 / (255 * b). Its errors stay below b * 2^-42: some 2,000 roundings, down and
        # up and down again through 14 levels at most. For b up to 2^11, two of them are below a
        # thousandth of the difference, so only equal sums are in doubt.
        bits = above_median(blocks, 0, lambda: imagehash_bits("whash", small))
        return hash_of(self.spec, bits, detail_quality(detail(blocks) / (side // 8) ** 2))
