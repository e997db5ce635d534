"""Regions of squares that hang together, as the boxes around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


@kernel
def regions(marked: NDArray[np.bool_], out: NDArray[np.int64]) -> int:
    """Write the boxes around the regions of marked squares; return how many regions there are.

    Squares hang together that share a side. Only the first boxes are written where there are more
    than `out` has room for.

    Parameters
    ----------
    marked : ndarray of bool, shape (h, w)
    out : ndarray of int64, shape (n, 5)
        Top, left, bottom and right, the latter two exclusive, and how many squares; in the order
        of their first squares.
    """
    height, width = marked.shape
    seen = np.zeros((height, width), np.bool_)
    stack = np.empty(height * width, np.int64)
    count = 0
    for first in range(height * width):
        if seen[first // width, first % width] or not marked[first // width, first % width]:
            continue
        top, left, bottom, right, squares = height, width, 0, 0, 0
        seen[first // width, first % width] = True
        stack[0] = first
        depth = 1
        while depth > 0:
            depth -= 1
            y, x = stack[depth] // width, stack[depth] % width
            squares += 1
            top, left, bottom, right = min(top, y), min(left, x), max(bottom, y), max(right, x)
            for k in range(4):
                row, column = y + (k == 0) - (k == 1), x + (k == 2) - (k == 3)
                if (
                    0 <= row < height
                    and 0 <= column < width
                    and marked[row, column]
                    and not seen[row, column]
                ):
                    seen[row, column] = True
                    stack[depth] = row * width + column
                    depth += 1
        if count < out.shape[0]:
            out[count, 0], out[count, 1] = top, left
            out[count, 2], out[count, 3], out[count, 4] = bottom + 1, right + 1, squares
        count += 1
    return count
