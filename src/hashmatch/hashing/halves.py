"""Places that pictures usually have: halves and quarters of collages, the middle of a story."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Box: TypeAlias = tuple[float, float, float, float]
"""Top, left, bottom and right, in cells of a small copy."""


SHAPES = ((1, 1), (5, 4), (4, 3), (3, 2), (16, 9), (4, 5), (3, 4), (2, 3))
"""Of photographs, width to height; a story or a telephone's screen is higher than any of them."""
LONG = 1.7
"""From which ratio of its sides on a picture may be a story, or a telephone's screen."""


def middles(height: float, width: float) -> dict[str, Box]:
    """Return where pictures of the usual shapes lie in the middle of a long one, by name.

    A story, or a viewer, shows them as wide as it is. Its ends may be blurred, or as dark as the
    picture's, so that no line is seen between them.

    Parameters
    ----------
    height, width : float
        Of the picture.
    """
    longer, shorter = max(height, width), min(height, width)
    if longer < LONG * shorter:
        return {}
    found = {}
    for across, down in SHAPES:
        ratio = down / across if height > width else across / down
        if shorter * ratio < longer:
            before, after = (longer - shorter * ratio) / 2, (longer + shorter * ratio) / 2
            found[f"middle:{across}:{down}"] = (
                (before, 0.0, after, width) if height > width else (0.0, before, height, after)
            )
    return found


def completed(boxes: Iterable[Box], height: float, width: float) -> dict[str, Box]:
    """Return pictures of the usual shapes of which only the top or the bottom is seen, by name.

    A white ground, or a sky, may be of the colour of what a picture lies on.

    Parameters
    ----------
    boxes : iterable of Box
        In a region; of some, both lateral sides and one of the ends are within it.
    height, width : float
        Of the region. What is returned may reach beyond its ends.
    """
    found = {}
    for number, (top, left, bottom, right) in enumerate(boxes, 1):
        if left > 0 and right < width and (top > 0) != (bottom < height):
            for across, down in SHAPES:
                tall = (right - left) * down / across
                first, last = (top, top + tall) if top > 0 else (bottom - tall, bottom)
                found[f"shape_{number}:{across}:{down}"] = (first, left, last, right)
    return found


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
