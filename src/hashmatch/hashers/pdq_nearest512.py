"""pdq-nearest512: PDQ as the reference's C++ command line makes it, from 512 x 512 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from hashmatch.hashers._pdq import hash_pixels
from hashmatch.records.hashes import HashBatch, HashSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 512
"""``DOWNSAMPLE_DIMS`` of the reference."""


class PdqNearest512:
    """PDQ of 512 x 512 pixels picked from the picture: the profile ``nearest512``.

    For lists made by the reference's C++ tools (``pdq-photo-hasher``) or their WebAssembly build,
    which bring any picture with a side above 512 pixels to 512 x 512 by taking the nearest pixel
    (ThreatExchange, ``pdq/cpp/io/pdqio.cpp``; the rule is that of CImg's ``resize``). On 164
    pictures, hash and quality were those of that code, compiled. Hashes at full resolution lie 4 to
    8 bits from these at the median and up to 50. The limits are those of `Pdq`.
    """

    spec: ClassVar = HashSpec("pdq-nearest512", 256)
    reads: ClassVar[Literal["pixels"]] = "pixels"
    max_distance: ClassVar = 31
    min_quality: ClassVar = 50
    min_side: ClassVar = 64

    def hash(self, data: NDArray[np.uint8]) -> tuple[HashBatch, int]:
        """Return the hash of RGB pixels (h, w, 3) and its quality, 0 to 100."""
        return hash_pixels(self.spec, nearest(data), 1)

    def hash_orientations(self, data: NDArray[np.uint8]) -> tuple[HashBatch, int]:
        """Return the hashes in all eight orientations, from one DCT, and the quality."""
        return hash_pixels(self.spec, nearest(data), 8)


def nearest(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `pixels` (h, w, 3) as (512, 512, 3), unless no side is longer than that.

    Row i is row ``floor(i * h / 512)`` and so are columns, whether that skips or repeats them.
    """
    height, width = pixels.shape[:2]
    if height <= SIDE and width <= SIDE:
        return pixels
    cells = np.arange(SIDE)
    picked: NDArray[np.uint8] = pixels[(cells * height // SIDE)[:, None], cells * width // SIDE]
    return picked
