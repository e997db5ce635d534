"""What lies over a picture and is of one flat colour: stickers, bars, logos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch.hashing.chrome import ACROSS, LEAST_SIDE, flat_squares

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELLS = 64
"""Cells along a side of what is covered."""
COARSE = 3
"""Bits of a channel that are left out when squares of one colour are counted."""
ALIKE = 6
"""Levels by which squares of one colour differ."""
LEAST_DRAWN = 0.01
"""Of all squares, with which a colour counts: much of an overlay is its outline and its edges."""
LEAST, MOST = 0.02, 0.3
"""Of the picture: how much an overlay covers."""
AROUND = 3
"""Squares around those of one colour in which others of it are of the same thing."""
TOLERANCE = 32
"""Levels by which pixels of one colour differ, in JPEG, where they hang together."""
RINGS, RING_ALIKE = 6, 25.0
"""Rings of pixels in which an outline is looked for, and levels by which it strays from its colour.

Of 60 stickers of 10 %, 41 are found with what is covered known exactly, about as many like this,
and 32 with all squares nearer than `AROUND` taken as covered.
"""
COUNT, TRIED = 2, 3
"""Overlays of a picture, those with the most squares of one colour first, and colours looked at."""
TOGETHER = 0.9
"""Of the squares of an overlay's colour, how many are in it: a sky's are in several parts."""
DRAWN = 0.2
"""Of an overlay and what is near it, how much is of its colour."""
AT_EDGE = 0.3
"""Of the root of its squares, how many lie at the picture's edge: most plain parts of photographs
lie there.

Of 100 photographs 9 have something that passes for an overlay; of 100 stickers of 10 % 89 do.
"""


def overlays(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which cells of a picture each thing that may lie over it covers, (n, 64, 64).

    Parameters
    ----------
    pixels : ndarray of uint8, shape (h, w, 3)
    """
    from hashmatch._kernels.overlays import commonest_colour, covered, largest_group

    pixels = pixels.view()
    pixels.flags.writeable = False  # compiled once, whether the caller's array is or is not
    side = max(LEAST_SIDE, -(-max(pixels.shape[:2]) // ACROSS))
    step = max(1, side // 2)
    squares = flat_squares(pixels, side)
    least = max(1, round(LEAST_DRAWN * squares.size))
    marked, group = np.empty((2, *squares.shape), np.bool_)
    cells = np.empty((CELLS, CELLS), np.bool_)
    found: list[NDArray[np.bool_]] = []
    for _ in range(TRIED):
        count = commonest_colour(squares, COARSE, ALIKE, marked)
        if count < least:
            break
        drawn, around, at_edge = largest_group(marked, AROUND, group)
        if drawn >= max(TOGETHER * count, DRAWN * around) and at_edge <= AT_EDGE * around**0.5:
            covered(pixels, step, side, marked, group, TOLERANCE, RING_ALIKE, RINGS, cells)
            if LEAST <= cells.mean() <= MOST:
                found.append(cells.copy())
        squares[marked] = -1
    return np.array(found[:COUNT], np.bool_).reshape(-1, CELLS, CELLS)
