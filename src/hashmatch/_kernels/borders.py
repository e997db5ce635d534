"""Where a picture's border ends: bars of one colour, and captions in them, counted in lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

RINGING = 40
"""Levels by which lines stray that share JPEG's blocks of 8 x 8 with what the border borders on."""
BLOCK = 8


@kernel
def share_near(line: NDArray[np.uint8], colour: NDArray[np.float32], levels: float) -> float:
    """Return what part of the pixels (n, 3) of `line` is within `levels` of `colour`."""
    near: int = 0
    for x in range(line.shape[0]):
        if (
            abs(np.float32(line[x, 0]) - colour[0]) <= levels
            and abs(np.float32(line[x, 1]) - colour[1]) <= levels
            and abs(np.float32(line[x, 2]) - colour[2]) <= levels
        ):
            near += 1
    share: float = near / line.shape[0]
    return share


@kernel
def step(line: NDArray[np.uint8], other: NDArray[np.uint8]) -> np.int64:
    """Return the sum of the differences of two lines."""
    total = np.int64(0)
    for x in range(line.shape[0]):
        for channel in range(3):
            total += abs(np.int64(line[x, channel]) - np.int64(other[x, channel]))
    return total


@kernel
def bar(
    lines: NDArray[np.uint8], flat: float, plain: float, least: float, most: int
) -> tuple[int, float]:
    """Return of how many of `lines`, from the first, a bar consists, and how sharply it ends.

    0 and 0.0 if there is none; sharpness is the mean step in levels to the line after it.

    It begins with a plain line, ends with one, and all between have its colour in a part `least`
    of their pixels: a border if that is `plain`, a caption if it is less. Where it ends is not
    clear to a line once JPEG has smeared it: of the next lines to which it may extend, it
    ends at the greatest step.

    Parameters
    ----------
    lines : ndarray of uint8, shape (h, w, 3)
        Rows from the top on, or any other side turned to be the top.
    flat : float
        By how many levels a pixel of that colour may differ from it.
    plain : float
        The part of a plain line's pixels that have its colour.
    least : float
        At most `plain`.
    most : int
        Where to stop looking, less than h.
    """
    colour = np.zeros(3, np.float32)
    for channel in range(3):
        total = np.int64(0)
        for x in range(lines.shape[1]):
            total += np.int64(lines[0, x, channel])
        colour[channel] = np.float32(total / lines.shape[1])
    end = 0
    for y in range(most):
        share = share_near(lines[y], colour, flat)
        if share >= plain:
            end = y + 1
        elif share < least or y == 0:
            break
    if end == 0:
        return 0, 0.0
    found, greatest = end, step(lines[end], lines[end - 1])
    for y in range(end, min(end + BLOCK - 1, most)):
        if share_near(lines[y], colour, RINGING) < plain:
            break
        size = step(lines[y + 1], lines[y])
        if size > greatest:
            found, greatest = y + 1, size
    return found, greatest / (3 * lines.shape[1])
