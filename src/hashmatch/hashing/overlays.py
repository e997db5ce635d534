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
"""Squares around those of one colour that are taken as covered: outlines, and what JPEG mixes."""
COUNT, TRIED = 2, 4
"""Overlays of a picture, those with the most squares of one colour first, and colours looked at."""
TOGETHER = 0.9
"""Of the squares of an overlay's colour, how many are in it: a sky's are in several parts."""
DRAWN = 0.2
"""Of what it covers, how much is of its colour."""
AT_EDGE = 0.3
"""Of the root of its squares, how many lie at the picture's edge: most plain parts of photographs
lie there.

Of 100 photographs 6 have something that passes for an overlay; of 100 stickers of 10 % 90 do.
"""


def overlays(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which cells of a picture each thing that may lie over it covers, (n, 64, 64).

    Parameters
    ----------
    pixels : ndarray of uint8, shape (h, w, 3)
    """
    from hashmatch._kernels.overlays import covered

    side = max(LEAST_SIDE, -(-max(pixels.shape[:2]) // ACROSS))
    squares = flat_squares(pixels, side)
    least = max(1, round(LEAST_DRAWN * squares.size))
    flat = squares[squares >= 0]  # those whose colours were not looked at yet
    found: list[NDArray[np.bool_]] = []
    for _ in range(TRIED):
        if len(flat) < least or len(found) == COUNT:
            break
        colour, count = _commonest(flat)
        if count < least:
            break
        cells = np.empty((CELLS, CELLS), np.bool_)
        near = _is_near(squares, colour) & (squares >= 0)
        drawn, covers, at_edge = covered(near, AROUND, cells)
        is_one = drawn >= max(TOGETHER * count, DRAWN * covers) and at_edge <= AT_EDGE * covers**0.5
        if is_one and LEAST <= cells.mean() <= MOST:
            found.append(cells)
        flat = flat[~_is_near(flat, colour)]
    return np.array(found, np.bool_).reshape(-1, CELLS, CELLS)


def _channels(colours: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.stack([colours >> 16, (colours >> 8) & 255, colours & 255])


def _commonest(colours: NDArray[np.int32]) -> tuple[NDArray[np.int32], int]:
    """Return the colour, red, green and blue, that the most of `colours` have, and how many."""
    red, green, blue = _channels(colours) >> COARSE
    bits = 8 - COARSE
    coarse = (red << 2 * bits) | (green << bits) | blue
    counts = np.bincount(coarse)
    common = coarse == counts.argmax()
    middle = np.median(_channels(colours[common]), axis=1).astype(np.int32)
    return middle, int(np.count_nonzero(_is_near(colours, middle)))


def _is_near(colours: NDArray[np.int32], colour: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return which of `colours` are the colour."""
    away = np.abs(_channels(colours) - colour.reshape(3, *[1] * colours.ndim))
    near: NDArray[np.bool_] = away.max(axis=0) <= ALIKE
    return near
