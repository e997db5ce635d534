"""What the PDQ hashers share: the kernel's answer as our words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch.records.hashes import HashBatch, HashSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


def hash_pixels(spec: HashSpec, pixels: NDArray[np.uint8], count: int) -> tuple[HashBatch, int]:
    """Return the PDQ hashes of RGB `pixels`, of one orientation or all eight, and the quality."""
    from hashmatch._kernels import pdq

    pixels = pixels.view()
    pixels.flags.writeable = False  # compiled once, whether the caller's array is or is not
    words = np.empty((count, spec.words), np.uint64)
    quality = pdq.pdq(pixels, pdq.DCT, words)
    words.flags.writeable = False
    return HashBatch(spec, words), quality
