"""Pictures on screens: what has none of the plain colours that a chat or a page is drawn in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch.hashing.chrome import ACROSS, LEAST_SIDE, flat_squares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch.hashing.borders import Cut

LEAST_ALIKE = 0.12
"""Of the cells of a small copy, those that are as the one beside them, for a screen's sake.

Of photographs, 1 in 20 has as many.
"""
LETTERS = 5
"""Squares: text is less high than so many, and has gaps."""
FULL = 0.85
"""Of ``LETTERS`` x ``LETTERS`` squares, how much is of no plain colour within a picture."""
SMALLEST = 0.15
"""Of the shorter side of the screen: avatars are smaller."""
AROUND = 0.05
"""Of a region's sides: how much around it is looked at for where the picture ends."""
MOST = 2
"""Regions of a screen, the largest first."""


def is_screen(grey: NDArray[np.float32]) -> bool:
    """Return whether a small copy of a picture has as much of one colour as screens have."""
    if min(grey.shape) < 2 * LETTERS:
        return False
    alike = np.abs(grey[:, 1:] - grey[:, :-1]) < 0.5
    return bool(np.count_nonzero(alike) >= LEAST_ALIKE * alike.size)


def pictures_on_screen(pixels: NDArray[np.uint8]) -> list[Cut]:
    """Return what to take off a screen so that about a picture on it is left, the largest first.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (h, w, 3)
    """
    from hashmatch._kernels.regions import regions

    height, width = pixels.shape[:2]
    side = max(LEAST_SIDE, -(-max(height, width) // ACROSS))
    is_drawn = flat_squares(pixels, side) < 0
    if min(is_drawn.shape) < LETTERS:
        return []
    counts = np.zeros((is_drawn.shape[0] + 1, is_drawn.shape[1] + 1), np.int64)
    counts[1:, 1:] = is_drawn.cumsum(axis=0).cumsum(axis=1)
    k = LETTERS
    around = counts[k:, k:] - counts[:-k, k:] - counts[k:, :-k] + counts[:-k, :-k]
    found = np.empty((64, 5), np.int64)
    count = min(regions(around >= FULL * k * k, found), len(found))
    found = found[:count]
    # A square here stands for itself and those after it.
    tall, wide = found[:, 2] - found[:, 0] + k - 1, found[:, 3] - found[:, 1] + k - 1
    least = SMALLEST * min(is_drawn.shape)
    large = np.flatnonzero((tall >= least) & (wide >= least))
    cuts = []
    for at in large[np.argsort(-(tall * wide)[large], kind="stable")][:MOST]:
        top, left = found[at, :2] * side
        bottom, right = top + tall[at] * side, left + wide[at] * side
        down = round(AROUND * (bottom - top)) + side
        across = round(AROUND * (right - left)) + side
        cuts.append((
            max(0, int(top) - down),
            max(0, height - int(bottom) - down),
            max(0, int(left) - across),
            max(0, width - int(right) - across),
        ))  # fmt: skip
    return cuts
