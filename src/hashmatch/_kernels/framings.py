"""PDQ's bits for many framings of one small picture, without hashing it many times.

A framing is a rectangle around, inside or across the picture. PDQ's coefficients of what it shows
are, but for the sampling, its integrals against products of two cosines, which separate::

    coefficients[k, l] = sum(rows[k, y] * picture[y, x] * columns[l, x] for y, x)

where rows[k, y] is the integral of cos(pi k u) over cell y, u being 0 at the upper edge of the
framing and 1 at the lower (`axis`). Framings that share their rows share half of the work. Framings
that are turned do not separate: they are sampled (`turned_samples`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel
from hashmatch._kernels.pdq_bits import above_median, in_all_orientations
from hashmatch._kernels.pdq_numpy import COEFFICIENTS
from hashmatch._kernels.products import times

if TYPE_CHECKING:
    from numpy.typing import NDArray


def axis(first: float, last: float, cells: int, margin: int) -> NDArray[np.float32]:
    """Return the integrals of 16 cosines over each cell, shape (16, cells + 2 * margin).

    Parameters
    ----------
    first, last : float
        Where the framing begins and ends; the picture does at 0 and 1.
    cells, margin : int
        Cells of the picture, and beyond each of its ends.
    """
    k = np.arange(1, COEFFICIENTS + 1)[:, None]
    edges = (np.arange(cells + 2 * margin + 1) - margin) / cells
    edges[0], edges[-1] = min(edges[0], first), max(edges[-1], last)  # the last cells go on
    sines = np.sin(math.pi * k * ((edges - first) / (last - first)).clip(0, 1)) / (math.pi * k)
    return np.ascontiguousarray(np.diff(sines), np.float32)


@kernel
def coefficients(
    picture: NDArray[np.float32],
    rows: NDArray[np.float32],
    columns: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Write ``rows @ picture @ columns`` to `out` (16, 16).

    Parameters
    ----------
    picture : ndarray of float32, shape (n, n)
    rows, columns : ndarray of float32, shape (16, n) and (n, 16)
        `axis` of a framing, of its columns transposed.
    out : ndarray of float32
    """
    half = np.empty((COEFFICIENTS, picture.shape[1]), np.float32)
    times(rows, picture, half)
    times(half, columns, out)


@kernel
def framed(
    picture: NDArray[np.float32],
    rows: NDArray[np.float32],
    columns: NDArray[np.float32],
    starts: NDArray[np.int64],
    sides: NDArray[np.int64],
    places: NDArray[np.int64],
    oriented: NDArray[np.bool_],
    out: NDArray[np.uint64],
) -> None:
    """Hash framings of `picture` into `out`, those of one pair of `rows` after the other.

    Parameters
    ----------
    picture : ndarray of float32, shape (n, n)
        With its margins.
    rows : ndarray of float32, shape (r, 16, n)
        `axis` of each pair of upper and lower edges.
    columns : ndarray of float32, shape (c, n, 16)
        `axis` of each pair of left and right edges, transposed.
    starts : ndarray of int64, shape (r + 1,)
        Framings ``starts[i]`` to ``starts[i + 1]`` have ``rows[i]``.
    sides : ndarray of int64, shape (q,)
        Which of `columns` each of the q framings has.
    places, oriented : ndarray of int64 and bool, shape (q,)
        Where each one's hash goes, and whether it is the first of those in all eight orientations.
    out : ndarray of uint64, shape (n, 4)
    """
    half = np.empty((COEFFICIENTS, picture.shape[1]), np.float32)
    block = np.empty((COEFFICIENTS, COEFFICIENTS), np.float32)
    for i in range(rows.shape[0]):
        times(rows[i], picture, half)
        for framing in range(starts[i], starts[i + 1]):
            times(half, columns[sides[framing]], block)
            place = places[framing]
            if oriented[framing]:
                in_all_orientations(block.reshape(-1), out[place : place + 8])
            else:
                above_median(block.reshape(-1), out[place])


@kernel
def turned_samples(
    picture: NDArray[np.float32], corner: NDArray[np.float64], out: NDArray[np.float32]
) -> None:
    """Write `picture` within a turned framing to (n, n) `out`, bilinearly.

    Parameters
    ----------
    picture : ndarray of float32, shape (m, m)
    corner : ndarray of float64, shape (3, 2)
        Upper left corner, and the ways from it to the upper right and to the lower left one, each
        (y, x) in cells. What is outside of the picture is its nearest cell.
    out : ndarray of float32
        Nearer to the framing's edge than a cell and a half it repeats what is there. In a picture
        that was turned, the black of its corners begins at that edge, and reaches as far in.
    """
    cells, side = out.shape[0], np.uint64(picture.shape[0])
    flat = picture.reshape(-1)
    zero, last = np.float32(0.0), np.float32(picture.shape[0] - 1.001)
    inset = 1.5 / picture.shape[0]
    steps = np.empty(cells, np.float32)
    for j in range(cells):
        steps[j] = min(max((j + 0.5) / cells, inset), 1.0 - inset)
    down, right = np.float32(corner[1, 0]), np.float32(corner[1, 1])
    places = np.empty(cells, np.uint64)
    below, beside = np.empty(cells, np.float32), np.empty(cells, np.float32)
    for i in range(cells):
        y0 = np.float32(corner[0, 0] + steps[i] * corner[2, 0] - 0.5)
        x0 = np.float32(corner[0, 1] + steps[i] * corner[2, 1] - 0.5)
        for j in range(cells):  # apart from the next loop, so that it runs eight at a time
            y, x = y0 + steps[j] * down, x0 + steps[j] * right
            y = zero if y < zero else (last if y > last else y)
            x = zero if x < zero else (last if x > last else x)
            top, left = np.int32(y), np.int32(x)
            below[j], beside[j] = y - np.float32(top), x - np.float32(left)
            places[j] = np.uint64(top) * side + np.uint64(left)
        line = out[i]
        for j in range(cells):
            place = places[j]
            a, b = flat[place], flat[place + np.uint64(1)]
            c, d = flat[place + side], flat[place + side + np.uint64(1)]
            upper, lower = a + beside[j] * (b - a), c + beside[j] * (d - c)
            line[j] = upper + below[j] * (lower - upper)


@kernel
def turned(
    picture: NDArray[np.float32],
    corners: NDArray[np.float64],
    whole: NDArray[np.float32],
    places: NDArray[np.int64],
    oriented: NDArray[np.bool_],
    out: NDArray[np.uint64],
) -> None:
    """Hash turned framings of `picture` into `out`.

    Parameters
    ----------
    picture : ndarray of float32, shape (m, m)
    corners : ndarray of float64, shape (q, 3, 2)
        As for `turned_samples`.
    whole : ndarray of float32, shape (16, n)
        `axis` of n samples without a margin.
    places, oriented, out
        As for `framed`.
    """
    cells = whole.shape[1]
    samples = np.empty((cells, cells), np.float32)
    half = np.empty((COEFFICIENTS, cells), np.float32)
    block = np.empty((COEFFICIENTS, COEFFICIENTS), np.float32)
    across = np.ascontiguousarray(whole.T)
    for framing in range(corners.shape[0]):
        turned_samples(picture, corners[framing], samples)
        times(whole, samples, half)
        times(half, across, block)
        place = places[framing]
        if oriented[framing]:
            in_all_orientations(block.reshape(-1), out[place : place + 8])
        else:
            above_median(block.reshape(-1), out[place])
