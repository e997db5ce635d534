"""phash: the signs of the low DCT coefficients, 64 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from hashmatch.hashers._imagehash import hash_with
from hashmatch.records.hashes import HashBatch, HashSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PerceptualHash:
    """phash as ``imagehash.phash`` computes it, bit for bit.

    It is the signs, about their median, of the 8 x 8 lowest DCT coefficients of a 32 x 32 gray
    picture.
    Source of `max_distance`: our own measurement; 8 covers what re-encoding and
    resizing did to 88 photographs (at most 6, WebP at quality 30 aside), and chance comes as near
    in 2.8 of 10^10 comparisons.
    `min_side` 32: smaller pictures would be enlarged rather than reduced.
    """

    spec: ClassVar = HashSpec("phash", 64)
    reads: ClassVar[Literal["pixels"]] = "pixels"
    max_distance: ClassVar = 8
    min_quality: ClassVar = 0
    min_side: ClassVar = 32

    def hash(self, data: NDArray[np.uint8]) -> tuple[HashBatch, None]:
        """Return the hash of RGB pixels (h, w, 3); no quality is measured."""
        import imagehash

        return hash_with(imagehash.phash, self.spec, data)
