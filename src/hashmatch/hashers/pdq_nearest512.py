"""pdq-nearest512: PDQ as the reference's C++ command line makes it, from 512 x 512 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch.hashers._pdq import PdqHasher
from hashmatch.records.hashes import HashSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 512
"""``DOWNSAMPLE_DIMS`` of the reference."""


class PdqNearest512(PdqHasher):
    """PDQ of 512 x 512 pixels picked from the picture: the profile ``nearest512``.

    For lists made by the reference's C++ tools (``pdq-photo-hasher``) or their WebAssembly build,
    which bring any picture with a side above 512 pixels to 512 x 512 by taking the nearest pixel
    (ThreatExchange, ``pdq/cpp/io/pdqio.cpp``; the rule is that of CImg's ``resize``). On 164
    pictures, hash and quality were those of that code, compiled. Hashes at full resolution lie 4 to
    8 bits from these at the median and up to 50. The limits are those of `Pdq`.
    """

    spec = HashSpec("pdq-nearest512", 256)

    def reduced(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return `pixels` (h, w, 3) as (512, 512, 3), unless no side is longer than that.

        Row i is row ``floor(i * h / 512)`` and so are columns, whether that skips or repeats them.
        """
        height, width = pixels.shape[:2]
        if height <= SIDE and width <= SIDE:
            return pixels
        cells = np.arange(SIDE)
        picked: NDArray[np.uint8] = pixels[(cells * height // SIDE)[:, None], cells * width // SIDE]
        return picked
