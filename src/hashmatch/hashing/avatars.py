"""Where a picture shows a disc on a plain ground, as round avatars are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch.hashing.borders import FLAT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch.hashing.borders import Cut

LOOKED_AT = 160
"""Lines and columns of a picture that are looked at, at most: enough to tell a disc."""
STRAYS = 40
"""Levels by which the ground strays from its colour next to the disc, in JPEG."""
SQUARE = 0.03
"""Of a side: by how much the box around a disc may be longer than wide."""
GROUND = 0.98
"""The part of what is outside of the disc that is ground."""
SHOWN = 0.7
"""The part of the disc's rim that is not: photographs may have the colour of the ground there."""
RIM = (0.9, 0.97)
"""Of the radius: where the rim is."""
LEAST = 0.2
"""Of the picture's shorter side: the least diameter that is looked for."""


def avatar(pixels: NDArray[np.uint8]) -> Cut | None:
    """Return what to take off (h, w, 3) `pixels` that show a disc on a plain ground, else None.

    What is left is the square around the disc, whose corners are ground.
    """
    height, width = pixels.shape[:2]
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]].astype(np.int16)
    if np.ptp(corners, axis=0).max() > FLAT:
        return None
    ground = np.median(corners, axis=0).astype(np.int16)
    step = max(1, -(-max(height, width) // LOOKED_AT))
    first = step // 2
    shown = _differs(pixels[first::step, first::step], ground)
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    if not len(rows):
        return None
    tall, wide = (int(np.ptp(lines) + 1) * step for lines in (rows, columns))
    if abs(tall - wide) > SQUARE * max(tall, wide) + 3 * step:
        return None
    # Which lines are the first and the last is seen in those about the middle, none left out.
    down = (int(rows[0] + rows[-1]) * step // 2 + first, height // 16 + 1)
    across = (int(columns[0] + columns[-1]) * step // 2 + first, width // 16 + 1)
    middle = pixels[max(0, down[0] - down[1]) : down[0] + down[1]]
    upright = pixels[:, max(0, across[0] - across[1]) : across[0] + across[1]]
    columns_shown = np.flatnonzero(_differs(middle, ground).any(axis=0))
    rows_shown = np.flatnonzero(_differs(upright, ground).any(axis=1))
    if not len(columns_shown) or not len(rows_shown):
        return None
    top, bottom = int(rows_shown[0]), int(rows_shown[-1]) + 1
    left, right = int(columns_shown[0]), int(columns_shown[-1]) + 1
    side = max(bottom - top, right - left)
    if abs((bottom - top) - (right - left)) > SQUARE * side or side < LEAST * min(height, width):
        return None
    y = (np.arange(first, height, step) + 0.5 - (top + bottom) / 2) / ((bottom - top) / 2)
    x = (np.arange(first, width, step) + 0.5 - (left + right) / 2) / ((right - left) / 2)
    radius = np.hypot(y[:, None], x)
    outside, rim = radius > 1 + 2 / side, (radius > RIM[0]) & (radius < RIM[1])
    is_disc = np.mean(~shown[outside]) >= GROUND and np.mean(shown[rim]) >= SHOWN
    # A square's corners are outside of the disc, and little of a whole picture in a margin is.
    corner = outside & (np.abs(y)[:, None] < 1) & (np.abs(x) < 1)
    if not is_disc or np.mean(~shown[corner]) < GROUND:
        return None
    return top, height - bottom, left, width - right


def _differs(pixels: NDArray[np.uint8], ground: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Return which of (h, w, 3) `pixels` do not have the colour of the ground."""
    far: NDArray[np.bool_] = np.abs(pixels.astype(np.int16) - ground) > STRAYS
    return far[:, :, 0] | far[:, :, 1] | far[:, :, 2]  # any(axis=2) takes ten times as long
