"""pdq-thumb512: PDQ as the reference's pure Python makes it, from a thumbnail of 512 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from hashmatch.hashers._pdq import PdqHasher
from hashmatch.records.hashes import HashSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 512
"""The longest side that the reference leaves alone."""


class PdqThumb512(PdqHasher):
    """PDQ of a thumbnail whose longer side is 512 pixels: the profile ``thumb512``.

    For lists made by the reference's pure Python (ThreatExchange, ``pdq/python/pdqhashing``), which
    takes Pillow's ``thumbnail((512, 512))`` first. Hashes at full resolution lie 8 to 12 bits from
    these at the median and up to 58. Pillow's thumbnail of a JPEG file of four times that size or
    more starts from a coarser decoding of the file, and the reference sums in float64: so these are
    near its hashes, mostly equal to them, and not promised to be. The limits are those of `Pdq`.
    """

    spec = HashSpec("pdq-thumb512", 256)

    def reduced(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return `pixels` (h, w, 3), neither side longer than 512, scaled as Pillow does."""
        if max(pixels.shape[:2]) <= SIDE:
            return pixels
        image = Image.fromarray(pixels)
        image.thumbnail((SIDE, SIDE))
        return np.asarray(image)
