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
from hashmatch._kernels.products import ROWS as AT_ONCE
from hashmatch._kernels.products import times, times_in_order

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

    The disc lies in a rectangle of cells, of which ``inside`` (h, w) is 1 for those within it, else
    0. ``ring`` (p, 2) are the points around it, from its centre; ``waves`` (p, v) gives the
    strength of each wave from the values at these points, a few being none; and ``fill`` (v, h * w)
    is a wave's values in the cells, 0 in those that are not within the disc.
    """

    inside: NDArray[np.float32]
    ring: NDArray[np.float32]
    waves: NDArray[np.float32]
    fill: NDArray[np.float32]


@lru_cache(maxsize=64)
def membrane(down: float, across: float) -> Membrane:
    """Return the membrane of discs whose radius is so many cells down and across."""
    height, width = (4 * math.ceil(radius / 2) for radius in (down, across))  # as `times` takes it
    places = [np.arange(side) + 0.5 - side / 2 for side in (height, width)]
    y, x = (each.ravel() for each in np.meshgrid(*places, indexing="ij"))
    inside = np.hypot(y / down, x / across) < 1
    to_ring = down + BEYOND, across + BEYOND
    y, x = y / to_ring[0], x / to_ring[1]
    angles = 2 * math.pi * np.arange(POINTS) / POINTS
    number = np.arange(1, WAVES + 1)[:, None]
    none = np.zeros((-(1 + 2 * WAVES) % AT_ONCE, 1))  # `times` takes a multiple of so many waves
    waves = [
        np.full((1, POINTS), 0.5),
        np.cos(number * angles),
        np.sin(number * angles),
        none.repeat(POINTS, 1),
    ]
    fading, turn = np.hypot(y, x) ** number, number * np.arctan2(y, x)
    fill = [
        np.ones((1, len(y))),
        fading * np.cos(turn),
        fading * np.sin(turn),
        none.repeat(len(y), 1),
    ]
    return Membrane(
        inside.reshape(height, width).astype(np.float32),
        np.ascontiguousarray(np.stack([np.sin(angles), np.cos(angles)], 1) * to_ring, np.float32),
        np.ascontiguousarray(np.concatenate(waves).T * (2 / POINTS), np.float32),
        np.ascontiguousarray(np.concatenate(fill) * inside, np.float32),
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
    inside: NDArray[np.float32],
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
    inside, ring, waves, fill
        A `Membrane`.
    out : ndarray of uint64, shape (q, 4)
    """
    height, width = inside.shape
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
    strengths = strengths_of(picture, centres, ring, waves)
    filled = np.empty((AT_ONCE, height * width), np.float32)
    narrow = np.empty((COEFFICIENTS, width), np.float32)
    beside = np.empty((COEFFICIENTS, height), np.float32)
    before = -1
    for disc in range(centres.shape[0]):
        if disc % AT_ONCE == 0:
            times_in_order(strengths[disc : disc + AT_ONCE], fill, filled)
        change = filled[disc % AT_ONCE].reshape(height, width)
        top = centres[disc, 0] - height // 2 + around
        left = centres[disc, 1] - width // 2 + around
        for i in range(height):
            row, within, line = change[i], inside[i], padded[top + i][left:]
            for j in range(width):
                row[j] -= within[j] * line[j]
        if top != before:  # discs of one row come one after the other
            for k in range(COEFFICIENTS):
                beside[k] = rows[k, top : top + height]
            before = top
        times(beside, change, narrow)
        times(narrow, columns[left : left + width], block)
        above_median(block.reshape(-1) + known, out[disc])


@kernel
def strengths_of(
    picture: NDArray[np.float32],
    centres: NDArray[np.int64],
    ring: NDArray[np.float32],
    waves: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return how strong each wave is in each disc, from the values around it.

    The shape is (n, v), n being the number of discs or, for a multiple of `AT_ONCE`, a few more.
    """
    there = np.zeros((-(-centres.shape[0] // AT_ONCE) * AT_ONCE, ring.shape[0]), np.float32)
    out = np.empty((there.shape[0], waves.shape[1]), np.float32)
    for point in range(ring.shape[0]):
        for disc in range(centres.shape[0]):
            there[disc, point] = sample(
                picture,
                np.float32(centres[disc, 0]) + ring[point, 0],
                np.float32(centres[disc, 1]) + ring[point, 1],
            )
    times_in_order(there, waves, out)
    return out
