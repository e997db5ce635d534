"""PDQ: 256 bits, with a quality; the hash that most lists of pictures carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from hashmatch.hashers._pdq import hash_pixels
from hashmatch.records.hashes import HashBatch, HashSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hashmatch.interfaces import Framing


class Pdq:
    """PDQ at full resolution, bit-identical to the reference (``pdqhash``) on the same pixels.

    Source: the ThreatExchange ``pdq`` folder, and its paper of 2019. `max_distance` 31 and
    `min_quality` 50 are its README's recommendations. `min_side` 64: a picture of 64 pixels stays
    within 20 bits of its 800-pixel original, one of 32 drifts to 24, one of 8 to 104, while the
    quality of all of them looks fine.
    """

    spec: ClassVar = HashSpec("pdq", 256)
    reads: ClassVar[Literal["pixels"]] = "pixels"
    max_distance: ClassVar = 31
    min_quality: ClassVar = 50
    min_side: ClassVar = 64

    def hash(self, data: NDArray[np.uint8]) -> tuple[HashBatch, int]:
        """Return the hash of RGB pixels (h, w, 3) and its quality, 0 to 100."""
        return hash_pixels(self.spec, data, 1)

    def hash_orientations(self, data: NDArray[np.uint8]) -> tuple[HashBatch, int]:
        """Return the hashes of RGB pixels (h, w, 3) in all eight orientations, and the quality.

        They come from one DCT, as in the reference (``pdqhash.compute_dihedral``), so they cost
        next to nothing; the hash of the turned pixels themselves differs from them by some bits.
        """
        return hash_pixels(self.spec, data, 8)

    def hash_framings(self, data: NDArray[np.uint8], framings: tuple[Framing, ...]) -> HashBatch:
        """Return the hashes of RGB pixels (h, w, 3) in other frames, in their order.

        All come from one small grey picture, so that a hundred cost about as much as one hash.
        """
        from hashmatch.hashers import _pdq_framings

        return HashBatch(self.spec, _pdq_framings.words(data, framings))
