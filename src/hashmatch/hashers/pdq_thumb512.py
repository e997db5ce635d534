"""pdq-thumb512: PDQ as the reference's pure Python makes it, from a thumbnail of 512 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from PIL import Image

from hashmatch.hashers._pdq import hash_pixels
from hashmatch.records.hashes import HashBatch, HashSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 512
"""The longest side that the reference leaves alone."""


class PdqThumb512:
    """PDQ of a thumbnail whose longer side is 512 pixels: the profile ``thumb512``.

    For lists made by the reference's pure Python (ThreatExchange, ``pdq/python/pdqhashing``), which
    takes Pillow's ``thumbnail((512, 512))`` first. Hashes at full resolution lie 8 to 12 bits from
    these at the median and up to 58. Pillow's thumbnail of a JPEG file of four times that size or
    more starts from a coarser decoding of the file, and the reference sums in float64: so these are
    near its hashes, mostly equal to them, and not promised to be. The limits are those of `Pdq`.
    """

    spec: ClassVar = HashSpec("pdq-thumb512", 256)
    reads: ClassVar[Literal["pixels"]] = "pixels"
    max_distance: ClassVar = 31
    min_quality: ClassVar = 50
    min_side: ClassVar = 64

    def hash(self, data: NDArray[np.uint8]) -> tuple[HashBatch, int]:
        """Return the hash of RGB pixels (h, w, 3) and its quality, 0 to 100."""
        return hash_pixels(self.spec, thumbnail(data), 1)

    def hash_orientations(self, data: NDArray[np.uint8]) -> tuple[HashBatch, int]:
        """Return the hashes in all eight orientations, from one DCT, and the quality."""
        return hash_pixels(self.spec, thumbnail(data), 8)


def thumbnail(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `pixels` (h, w, 3) scaled so that neither side is longer than 512, as Pillow does."""
    if max(pixels.shape[:2]) <= SIDE:
        return pixels
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE))
    return np.asarray(image)
