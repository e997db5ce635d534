"""PDQ of one picture in many frames: what the kernels need, worked out once for each set."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch._kernels import extrapolate, framings
from hashmatch._kernels.extrapolate import CELLS, MARGIN
from hashmatch._kernels.pdq_bits import COEFFICIENTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch.interfaces import Framing


FINE = 2 * CELLS
"""Side of the picture for frames that turn within it: its cells mix less with black corners."""
WHOLE = framings.axis(0.0, 1.0, CELLS, 0)
"""The rows, and the columns, of a frame that has been sampled."""


class Plan(NamedTuple):
    """A set of n framings in the form that the kernels take.

    ``rows``, ``columns`` and ``starts`` are `framings.framed`'s arguments for those that are not
    turned; ``upright``, ``within`` and ``around`` are the places in the set of these, and of the
    turned ones without and with a part beyond the picture; ``framings`` are all, shape (n, 5).
    """

    rows: NDArray[np.float32]
    columns: NDArray[np.float32]
    starts: NDArray[np.int64]
    upright: NDArray[np.int64]
    within: NDArray[np.int64]
    around: NDArray[np.int64]
    framings: NDArray[np.float64]


def words(pixels: NDArray[np.uint8], wanted: tuple[Framing, ...]) -> NDArray[np.uint64]:
    """Return the hashes of (h, w, 3) `pixels` in the `wanted` framings, shape (n, 4)."""
    plan = _plan(wanted)
    pixels = pixels.view()
    pixels.flags.writeable = False  # compiled once, whether the caller's array is or is not
    fine = np.empty((FINE, FINE), np.float32)
    extrapolate.shrunk(pixels, fine)
    pairs = fine[::2] + fine[1::2]
    small = (pairs[:, ::2] + pairs[:, 1::2]) * np.float32(0.25)
    guessed = np.zeros((CELLS + 2 * MARGIN, CELLS + 2 * MARGIN), np.float32)
    if plan.framings.any():
        edges = np.empty((4, CELLS), np.float32)
        extrapolate.edges(pixels, edges)
        extrapolate.extrapolated(small, edges, extrapolate.BLUR, extrapolate.BLUR_TALL, guessed)
    else:  # nothing is asked beyond the picture
        guessed[MARGIN : MARGIN + CELLS, MARGIN : MARGIN + CELLS] = small

    out = np.empty((len(wanted), 4), np.uint64)
    hashes = np.empty((len(plan.upright), 4), np.uint64)
    framings.framed(guessed, plan.rows, plan.columns, plan.starts, hashes)
    out[plan.upright] = hashes
    # A turned frame that keeps to the picture has no use for guesses, which black corners spoil.
    for places, picture, margin in ((plan.within, fine, 0), (plan.around, guessed, MARGIN)):
        if len(places):
            corners = _corners(plan.framings[places], pixels.shape[1], pixels.shape[0])
            scaled = corners * (picture.shape[0] - 2 * margin)
            scaled[:, 0] += margin
            hashes = np.empty((len(places), 4), np.uint64)
            framings.turned(picture, scaled, WHOLE, hashes)
            out[places] = hashes
    out.flags.writeable = False
    return out


@lru_cache(maxsize=64)
def _plan(wanted: tuple[Framing, ...]) -> Plan:
    """Return `wanted` as a plan, those that are not turned sorted by their rows."""
    upright = [place for place, framing in enumerate(wanted) if not framing.turn]
    upright.sort(key=lambda place: (wanted[place].top, wanted[place].bottom))
    rows: dict[tuple[float, float], int] = {}
    side = CELLS + 2 * MARGIN
    columns = np.empty((side, COEFFICIENTS * len(upright)), np.float32)
    for number, place in enumerate(upright):
        left, top, right, bottom, _ = wanted[place]
        rows[top, bottom] = rows.get((top, bottom), 0) + 1
        first = COEFFICIENTS * number
        columns[:, first : first + COEFFICIENTS] = _axis(left, right).T
    all_of_them = np.array(wanted, np.float64).reshape(-1, 5)
    turned, beyond = all_of_them[:, 4] != 0, all_of_them[:, :4].any(axis=1)
    axes = np.empty((len(rows), COEFFICIENTS, side), np.float32)
    for number, edges in enumerate(rows):
        axes[number] = _axis(*edges)
    return Plan(
        axes,
        columns,
        np.cumsum([0, *rows.values()]),
        np.array(upright, np.int64),
        np.flatnonzero(turned & ~beyond),
        np.flatnonzero(turned & beyond),
        all_of_them,
    )


@lru_cache(maxsize=1024)
def _axis(before: float, after: float) -> NDArray[np.float32]:
    """Return `framings.axis` of a frame of which `before` and `after` lie beyond the picture."""
    side = 1.0 / (1.0 - before - after)  # of the frame, the picture's being 1
    return framings.axis(-before * side, 1.0 + after * side, CELLS, MARGIN)


def _corners(wanted: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
    """Return framings (n, 5) as `framings.turned_samples` takes them, the picture being 1 x 1.

    They are turned in pixels, since a picture is seldom square.
    """
    left, top, right, bottom, turn = wanted.T
    across, down = width / (1 - left - right), height / (1 - top - bottom)
    x, y = -left * across - width / 2, -top * down - height / 2  # from the centre, y downwards
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    corner = [(y * cos - x * sin) / height + 0.5, (x * cos + y * sin) / width + 0.5]
    to_right = [-across * sin / height, across * cos / width]
    to_lower = [down * cos / height, down * sin / width]
    return np.ascontiguousarray(np.array([corner, to_right, to_lower]).transpose(2, 0, 1))
