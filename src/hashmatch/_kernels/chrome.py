"""Which small squares of a picture are of one flat colour.

The naive loop (``tests/naive.py`` has it in pure Python)::

    for square in squares:
        its colour is that of the pixel in its middle
        look at `SAMPLES` x `SAMPLES` of its pixels, evenly spaced, its corners included
        if a channel of any differs from that colour by more than `tolerance`: it has none
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLES = 4
"""Pixels looked at in each direction of a square, whatever its side."""
NONE = -1
"""Stands for the colour of a square that is not flat."""


@kernel
def flat_squares(
    pixels: NDArray[np.uint8], side: int, tolerance: int, out: NDArray[np.int32]
) -> None:
    """Write the colour of each square, red << 16 | green << 8 | blue, or `NONE`.

    A photograph costs little: a pixel or two tell that most of its squares are not flat.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (h, w, 3)
        Read-only.
    side : int
        Of a square in pixels, at least 2; what is left at the right and below is not looked at.
    tolerance : int
        By how many levels the pixels of a flat square may differ from the one in its middle.
    out : ndarray of int32, shape (h // side, w // side)
    """
    offsets = np.empty(SAMPLES, np.uint32)
    for i in range(SAMPLES):
        offsets[i] = i * (side - 1) // (SAMPLES - 1)
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            top, left = np.uint32(row * side), np.uint32(column * side)
            middle = pixels[top + np.uint32(side // 2), left + np.uint32(side // 2)]
            red, green, blue = np.int32(middle[0]), np.int32(middle[1]), np.int32(middle[2])
            is_flat = True
            for i in range(SAMPLES):
                for j in range(SAMPLES):
                    y, x = top + offsets[i], left + offsets[j]
                    if (
                        abs(np.int32(pixels[y, x, 0]) - red) > tolerance
                        or abs(np.int32(pixels[y, x, 1]) - green) > tolerance
                        or abs(np.int32(pixels[y, x, 2]) - blue) > tolerance
                    ):
                        is_flat = False
                        break
                if not is_flat:
                    break
            out[row, column] = (red << 16) | (green << 8) | blue if is_flat else NONE
