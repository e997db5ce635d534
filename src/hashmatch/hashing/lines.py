"""Boxes along whose sides a picture steps: collages with seams anywhere, stories, bars, viewers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch.hashing.halves import Box

LEAST = 10.0
"""Levels by which each side has to step more than what is beside it, on average.

Of 48 photographs as a story between their own blurred copies, 94 of 100 are found at 8 and 85 at
12; of plain photographs, 14 and 6 boxes are looked at.
"""
SMALLEST = 0.12
"""Of a side of the picture."""
CELLS = 12
"""Of the rows of a collage; and as many of columns."""
WHOLE_LINES, RUNS = 4, 5
"""Rows, and columns, that are looked at: those that step most in all, and in one run."""


def _quota(sides: int) -> int:
    """Return how many boxes to take that have `sides` within the picture, see `lines.boxes`."""
    within = sides.bit_count()
    if within == 2:
        return 4 if sides in (3, 12) else 3  # stripes, corners
    return {0: 4, 1: 3, 3: 2, 4: 3}[within]


QUOTAS = np.array([_quota(sides) for sides in range(16)])


def boxes(
    grey: NDArray[np.float32], across: NDArray[np.float32], height: float, width: float
) -> dict[str, Box]:
    """Return the boxes that may be pictures in a picture, by name.

    ``box_1``, ``box_2``, ... are boxes of which each side steps, and ``cell_1``, ... those in the
    rows or columns of a collage.

    Parameters
    ----------
    grey, across : ndarray of float32, shape (h, w) and (w, h)
        A small copy of a picture, and it transposed.
    height, width : float
        Of the picture in cells: at most h and w.
    """
    from hashmatch._kernels import lines

    if min(grey.shape) < 2 * lines.FAR:
        return {}
    rows = lines.candidates(across, WHOLE_LINES, RUNS, LEAST)
    columns = lines.candidates(grey, WHOLE_LINES, RUNS, LEAST)
    found = np.empty((int(QUOTAS.sum()) + 2 * CELLS, 4))
    extent = np.array([height, width])
    count = lines.boxes(grey, across, rows, columns, extent, LEAST, SMALLEST, QUOTAS, found)
    known = count
    cells = np.empty((CELLS, 4))
    in_rows = lines.cells(grey, across, rows, extent, LEAST, SMALLEST, cells)
    known += _new(cells[:in_rows], found, known)
    in_columns = lines.cells(across, grey, columns, extent[::-1], LEAST, SMALLEST, cells)
    known += _new(cells[:in_columns, [1, 0, 3, 2]], found, known)
    return {
        f"box_{number + 1}" if number < count else f"cell_{number + 1 - count}": tuple(box)
        for number, box in enumerate(found[:known].tolist())
    }


def _new(boxes: NDArray[np.float64], known: NDArray[np.float64], count: int) -> int:
    """Write boxes behind the first `count` known ones, those that are new; return how many."""
    from hashmatch._kernels.lines import ALIKE

    apart = np.abs(boxes[:, None] - known[None, :count]).max(axis=2)
    new = boxes[(apart >= ALIKE).all(axis=1)]
    known[count : count + len(new)] = new
    return len(new)
