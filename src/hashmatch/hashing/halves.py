"""Halves and quarters: collages of two and of four pictures of one size."""

from __future__ import annotations

from typing import TypeAlias

Box: TypeAlias = tuple[float, float, float, float]
"""Top, left, bottom and right, in cells of a small copy."""


def halves_and_quarters(height: float, width: float) -> dict[str, Box]:
    """Return the halves and the quarters of a picture, by name.

    A gap between the pictures, of 2 % of a side or less, is shared by both sides; where it is
    wider, or the seam is not in the middle, `hashmatch.hashing.lines` finds it.

    Parameters
    ----------
    height, width : float
        Of the picture.
    """
    y, x = height / 2, width / 2
    return {
        "half_left": (0.0, 0.0, height, x),
        "half_right": (0.0, x, height, width),
        "half_top": (0.0, 0.0, y, width),
        "half_bottom": (y, 0.0, height, width),
        "quarter_top_left": (0.0, 0.0, y, x),
        "quarter_top_right": (0.0, x, y, width),
        "quarter_bottom_left": (y, 0.0, height, x),
        "quarter_bottom_right": (y, x, height, width),
    }
