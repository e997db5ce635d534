"""Quadrilaterals whose sides are edges: screens and prints that were photographed from a slant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST = 0.3
"""Of the picture's height, and of its width."""
LEAST = 0.5
"""The part of each side that is an edge."""
MOST = 3
"""Quadrilaterals that are lighter inside than around them; and as many that are darker."""


def quadrilaterals(
    grey: NDArray[np.float32], across: NDArray[np.float32]
) -> dict[str, NDArray[np.float64]]:
    """Return the quadrilaterals that may be pictures, by name: ``slant_1``, ``slant_2``, ...

    Parameters
    ----------
    grey, across : ndarray of float32, shape (h, w) and (w, h)
        A small copy of a picture, and it transposed.

    Returns
    -------
    dict of str to ndarray of float64, shape (4, 2)
        (y, x) of the upper left, upper right, lower right and lower left corners, in cells.
    """
    from hashmatch._kernels import quadrilaterals as kernels

    if min(grey.shape) < 16:
        return {}
    found = np.empty((3 * MOST, 4, 2))
    count = kernels.quadrilaterals(grey, across, SMALLEST, LEAST, found)
    return {f"slant_{number}": corners for number, corners in enumerate(found[:count], 1)}
