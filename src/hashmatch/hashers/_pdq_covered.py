"""PDQ of a picture a part of which is covered, and filled from what is around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels import alternatives, extrapolate, framings, overlays
from hashmatch._kernels.extrapolate import CELLS
from hashmatch._kernels.pdq_bits import above_median
from hashmatch._kernels.pdq_numpy import COEFFICIENTS
from hashmatch.hashers._pdq_framings import WHOLE, WHOLE_ACROSS
from hashmatch.interfaces import GUESSES

if TYPE_CHECKING:
    from numpy.typing import NDArray


def words(pixels: NDArray[np.uint8], covered: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Return the hashes of (h, w, 3) `pixels`: see `CoveredHasher.hash_covered`."""
    pixels = pixels.view()
    pixels.flags.writeable = False  # compiled once, whether the caller's array is or is not
    small, filled = np.empty((2, CELLS, CELLS), np.float32)
    extrapolate.shrunk(pixels, small)
    out = np.empty((len(covered), 1 + GUESSES, 4), np.uint64)
    block = np.empty((COEFFICIENTS, COEFFICIENTS), np.float32)
    fold = CELLS // alternatives.SIDE
    for cells, hashes in zip(covered, out, strict=True):
        overlays.filled(small, cells, filled)
        framings.coefficients(filled, WHOLE, WHOLE_ACROSS, block)
        above_median(block.reshape(-1), hashes[0])
        unknown = cells.reshape(alternatives.SIDE, fold, alternatives.SIDE, fold).any(axis=(1, 3))
        fields = alternatives.fields(unknown, GUESSES)
        alternatives.around(block.reshape(-1), fields, False, hashes[1:])
    return out.reshape(-1, 4)
