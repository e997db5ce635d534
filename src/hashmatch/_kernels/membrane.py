"""PDQ's bits of a small picture a disc of which is unknown, and filled from what is around it.

The fill is a membrane: the harmonic function that has the picture's values on a ring around the
disc. In the disc it is a sum of waves around its centre, of which wave k falls as the k-th power of
the radius, so that the few waves that PDQ's frequencies resolve are enough. As the DCT is linear,
only what the fill changes goes through it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch._kernels.jit import kernel
from hashmatch._kernels.pdq_bits import above_median
from hashmatch._kernels.pdq_numpy import COEFFICIENTS
from hashmatch._kernels.products import times

if TYPE_CHECKING:
    from numpy.typing import NDArray

WAVES = 8
"""Around the disc. PDQ's finest period is an eighth of a side: a disc of 0.2 has 10 around it."""
POINTS = 32
"""On the ring."""
BEYOND = 0.75
"""Cells from the disc to the ring, so that no sample mixes with what is within."""


class Membrane(NamedTuple):
    """What fills a disc of one radius, wherever it is, in cells, which need not be square.

    The disc lies in a rectangle of ``height`` and ``width`` cells: of its row i the ``lengths[i]``
    cells from ``firsts[i]`` on, n in all. ``ring`` (p, 2) are the points around it, from its
    centre; ``waves`` (p, w) gives the strength of each wave from the values at these points, and
    ``fill`` (w, n) a wave's values in the cells.
    """

    height: int
    width: int
    firsts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    ring: NDArray[np.float32]
    waves: NDArray[np.float32]
    fill: NDArray[np.float32]


@lru_cache(maxsize=64)
def membrane(down: float, across: float) -> Membrane:
    """Return the membrane of discs whose radius is so many cells down and across."""
    height, width = (4 * math.ceil(radius / 2) for radius in (down, across))  # as `times` takes it
    places = [np.arange(side) + 0.5 - side / 2 for side in (height, width)]
    y, x = (each.ravel() for each in np.meshgrid(*places, indexing="ij"))
    within = np.hypot(y / down, x / across) < 1
    to_ring = down + BEYOND, across + BEYOND
    y, x = y[within] / to_ring[0], x[within] / to_ring[1]
    angles = 2 * math.pi * np.arange(POINTS) / POINTS
    number = np.arange(1, WAVES + 1)[:, None]
    waves = [np.full((1, POINTS), 0.5), np.cos(number * angles), np.sin(number * angles)]
    fading, turn = np.hypot(y, x) ** number, number * np.arctan2(y, x)
    fill = [np.ones((1, len(y))), fading * np.cos(turn), fading * np.sin(turn)]
    return Membrane(
        height,
        width,
        within.reshape(height, width).argmax(axis=1),
        within.reshape(height, width).sum(axis=1),
        np.ascontiguousarray(np.stack([np.sin(angles), np.cos(angles)], 1) * to_ring, np.float32),
        np.ascontiguousarray(np.concatenate(waves).T * (2 / POINTS), np.float32),
        np.ascontiguousarray(np.concatenate(fill), np.float32),
    )


@kernel
def sample(picture: NDArray[np.float32], y: np.float32, x: np.float32) -> np.float32:
    """Return `picture` at a point in cells, bilinearly; outside of it, its nearest cell."""
    y = min(max(y - np.float32(0.5), np.float32(0.0)), np.float32(picture.shape[0] - 1.001))
    x = min(max(x - np.float32(0.5), np.float32(0.0)), np.float32(picture.shape[1] - 1.001))
    top, left = int(y), int(x)
    down, beside = y - np.float32(top), x - np.float32(left)
    upper = picture[top, left] + beside * (picture[top, left + 1] - picture[top, left])
    top += 1
    lower = picture[top, left] + beside * (picture[top, left + 1] - picture[top, left])
    return np.float32(upper + down * (lower - upper))


@kernel
def without_discs(
    picture: NDArray[np.float32],
    whole: NDArray[np.float32],
    centres: NDArray[np.int64],
    height: int,
    width: int,
    firsts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    ring: NDArray[np.float32],
    waves: NDArray[np.float32],
    fill: NDArray[np.float32],
    out: NDArray[np.uint64],
) -> None:
    """Hash `picture` into `out`, once for each disc that is filled.

    Parameters
    ----------
    picture : ndarray of float32, shape (n, n)
    whole : ndarray of float32, shape (16, n)
        `hashmatch._kernels.framings.axis` of the picture without a margin.
    centres : ndarray of int64, shape (q, 2)
        Of the discs, in the picture: the corner between cells, (down, across).
    height, width, firsts, lengths, ring, waves, fill
        A `Membrane`.
    out : ndarray of uint64, shape (q, 4)
    """
    n, around = picture.shape[0], max(height, width) // 2
    half, block = np.empty((COEFFICIENTS, n), np.float32), np.empty((16, 16), np.float32)
    times(whole, picture, half)
    times(half, np.ascontiguousarray(whole.T), block)
    known = block.reshape(-1).copy()
    # Around the picture there is nothing, so that discs may reach beyond it.
    padded = np.zeros((n + 2 * around, n + 2 * around), np.float32)
    padded[around : around + n, around : around + n] = picture
    columns = np.zeros((n + 2 * around, COEFFICIENTS), np.float32)
    columns[around : around + n] = whole.T
    rows = np.zeros((COEFFICIENTS, n + 2 * around), np.float32)
    rows[:, around : around + n] = whole
    values = np.empty(fill.shape[1], np.float32)
    strength = np.empty(fill.shape[0], np.float32)
    change = np.zeros((height, width), np.float32)
    narrow = np.empty((COEFFICIENTS, width), np.float32)
    beside = np.empty((COEFFICIENTS, height), np.float32)
    for disc in range(centres.shape[0]):
        values[:] = np.float32(0.0)
        strength[:] = np.float32(0.0)
        for point in range(ring.shape[0]):
            there = sample(
                picture,
                np.float32(centres[disc, 0]) + ring[point, 0],
                np.float32(centres[disc, 1]) + ring[point, 1],
            )
            weights = waves[point]
            for wave in range(weights.shape[0]):
                strength[wave] += weights[wave] * there
        for wave in range(fill.shape[0]):
            line, value = fill[wave], strength[wave]
            for cell in range(values.shape[0]):
                values[cell] += value * line[cell]
        top = centres[disc, 0] - height // 2 + around
        left = centres[disc, 1] - width // 2 + around
        cell = 0
        for i in range(height):
            line, first = padded[top + i][left:], firsts[i]
            for j in range(lengths[i]):
                change[i, first + j] = values[cell + j] - line[first + j]
            cell += lengths[i]
        for k in range(COEFFICIENTS):
            beside[k] = rows[k, top : top + height]
        times(beside, change, narrow)
        times(narrow, columns[left : left + width], block)
        above_median(block.reshape(-1) + known, out[disc])
