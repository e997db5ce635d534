"""What the PDQ hashers share: limits, and the kernel's answer as our words."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from hashmatch._kernels import pdq_numpy
from hashmatch.records.hashes import HashBatch, HashSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIXELS_BY_NUMPY = 2**23
"""Pixels that NumPy alone hashes after `first_by_numpy`: about as long as importing numba takes."""
LEAST_BY_NUMPY = 2**17
"""Pixels that a smaller picture counts as: calls of NumPy cost the same for few values."""
LARGEST_BY_NUMPY = 2**22
"""Pixels of a picture that is: it takes twelve bytes of memory for each."""


def hash_pixels(spec: HashSpec, pixels: NDArray[np.uint8], count: int) -> tuple[HashBatch, int]:
    """Return the PDQ hashes of RGB `pixels`, of one orientation or all eight, and the quality."""
    words = np.empty((count, spec.words), np.uint64)
    if _pixels_left > 0 and _without_compiler(pixels):
        quality = pdq_numpy.pdq(pixels, words)
    else:
        from hashmatch._kernels import pdq

        pixels = pixels.view()
        pixels.flags.writeable = False  # compiled once, whether the caller's array is or is not
        quality = pdq.pdq(pixels, pdq_numpy.DCT, words)
    return HashBatch(spec, words, owned=True), quality


_pixels_left = 0


def first_by_numpy() -> None:
    """Have NumPy alone hash the first pictures of this process: for one that may have few.

    A process that hashes many is not to be twenty times slower at first.
    """
    global _pixels_left  # noqa: PLW0603
    _pixels_left = PIXELS_BY_NUMPY


def _without_compiler(pixels: NDArray[np.uint8]) -> bool:
    """Return whether NumPy alone hashes a picture sooner: one of the first, and no numba yet."""
    global _pixels_left  # noqa: PLW0603  (two threads at once may take too little off)
    if "numba" in sys.modules or pixels.size > 3 * LARGEST_BY_NUMPY:
        return False
    _pixels_left -= max(pixels.size // 3, LEAST_BY_NUMPY)
    return _pixels_left >= 0


class PdqHasher:
    """PDQ of a picture, once `reduced`.

    `max_distance` 31 and `min_quality` 50 are the recommendations of the ThreatExchange ``pdq``
    folder's README. `min_side` 24 is our own measurement, on 1,182 squares cut from 76 photographs.
    Reduced, those whose quality is 50 or more found again, as they are and enlarged, 96 and 97 of
    100 at 64 pixels, 86 and 96 at 48, 90 and 91 at 32, 51 and 62 at 24, and one at 16, where the
    sixteen frequencies of a hash are no longer in the picture. At no size was one within the limit
    of another photograph, in 1.2 million pairs.
    """

    spec: ClassVar[HashSpec]
    reads: ClassVar[Literal["pixels"]] = "pixels"
    max_distance: ClassVar = 31
    min_quality: ClassVar = 50
    min_side: ClassVar = 24

    def reduced(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return RGB `pixels` (h, w, 3) at the resolution of which the hash is taken: all of it."""
        return pixels

    def hash(self, data: NDArray[np.uint8]) -> tuple[HashBatch, int]:
        """Return the hash of RGB pixels (h, w, 3) and its quality, 0 to 100."""
        return hash_pixels(self.spec, self.reduced(data), 1)

    def hash_orientations(self, data: NDArray[np.uint8]) -> tuple[HashBatch, int]:
        """Return the hashes of RGB pixels (h, w, 3) in all eight orientations, and the quality.

        They come from one DCT, as in the reference (``pdqhash.compute_dihedral``), so they cost
        next to nothing; the hash of the turned pixels themselves differs from them by some bits.
        """
        return hash_pixels(self.spec, self.reduced(data), 8)

    def inverted(self, hashes: HashBatch) -> HashBatch:
        """Return the hashes of the negatives of the pictures that have `hashes`: the complements.

        A negative has the coefficients of its picture with their signs changed, so that those above
        the median are those that were below it.
        """
        return HashBatch(self.spec, ~hashes.words, owned=True)
