"""PDQ of one picture in many frames: what the kernels need, worked out once for each set."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch._kernels import continued, framings
from hashmatch._kernels.continued import CELLS, MARGIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch.interfaces import Framing

FINE = 2 * CELLS
"""Side of the picture in which frames are turned: black corners reach half as far into it."""


class Plan(NamedTuple):
    """The upright framings of a set, in the form that `framings.framed` takes, and their places."""

    rows: NDArray[np.float32]
    columns: NDArray[np.float32]
    starts: NDArray[np.int64]
    upright: NDArray[np.int64]


def words(pixels: NDArray[np.uint8], wanted: tuple[Framing, ...]) -> NDArray[np.uint64]:
    """Return the hashes of (h, w, 3) `pixels` in the `wanted` framings, shape (n, 4)."""
    height, width = pixels.shape[:2]
    fine = np.empty((FINE, FINE), np.float32)
    continued.shrunk(pixels, fine)
    pairs = fine[::2] + fine[1::2]
    small = (pairs[:, ::2] + pairs[:, 1::2]) * np.float32(0.25)
    guessed = np.empty((CELLS + 2 * MARGIN, CELLS + 2 * MARGIN), np.float32)
    continued.continued(small, continued.BLUR, continued.BLUR_TALL, guessed)

    out = np.empty((len(wanted), 4), np.uint64)
    plan = _plan(wanted)
    if len(plan.upright):
        hashes = np.empty((len(plan.upright), 4), np.uint64)
        framings.framed(guessed, plan.rows, plan.columns, plan.starts, hashes)
        out[plan.upright] = hashes
    # A turned frame that keeps to the picture has no use for guesses, which black corners spoil.
    for within, picture, margin in ((True, fine, 0), (False, guessed, MARGIN)):
        turned = [i for i, f in enumerate(wanted) if f.turn and within is not any(f[:4])]
        if turned:
            cells = picture.shape[0] - 2 * margin
            corners = [_corners(wanted[i], width, height, cells, margin) for i in turned]
            hashes = np.empty((len(turned), 4), np.uint64)
            framings.turned(picture, np.array(corners), _whole(), hashes)
            out[turned] = hashes
    out.flags.writeable = False
    return out


@lru_cache(maxsize=1)
def _whole() -> NDArray[np.float32]:
    return framings.axis(0.0, 1.0, CELLS, 0)


@lru_cache(maxsize=16)
def _plan(wanted: tuple[Framing, ...]) -> Plan:
    """Return what `wanted`, sorted by their upper and lower edges, come to."""
    upright = [i for i, framing in enumerate(wanted) if not framing.turn]
    upright.sort(key=lambda i: (wanted[i].top, wanted[i].bottom))
    rows: dict[tuple[float, float], int] = {}
    for i in upright:
        edges = wanted[i].top, wanted[i].bottom
        rows[edges] = rows.get(edges, 0) + 1
    side = CELLS + 2 * MARGIN
    columns = np.empty((side, 16 * len(upright)), np.float32)
    for place, i in enumerate(upright):
        columns[:, 16 * place : 16 * place + 16] = _axis(wanted[i].left, wanted[i].right).T
    return Plan(
        np.array([_axis(*edges) for edges in rows], np.float32).reshape(-1, 16, side),
        columns,
        np.cumsum([0, *rows.values()]),
        np.array(upright, np.int64),
    )


def _axis(before: float, after: float) -> NDArray[np.float32]:
    """Return `framings.axis` of a frame of which `before` and `after` lie beyond the picture."""
    side = 1.0 / (1.0 - before - after)  # of the frame, the picture's being 1
    return framings.axis(-before * side, 1.0 + after * side, CELLS, MARGIN)


def _corners(
    framing: Framing, width: int, height: int, cells: int, margin: int
) -> list[tuple[float, float]]:
    """Return `framing` as `framings.turned_samples` takes it.

    It is turned in pixels, since cells are not square where the picture is not.
    """
    across = width / (1.0 - framing.left - framing.right)
    down = height / (1.0 - framing.top - framing.bottom)
    left = -framing.left * across - width / 2
    top = -framing.top * down - height / 2
    cos, sin = math.cos(math.radians(framing.turn)), math.sin(math.radians(framing.turn))

    def place(x: float, y: float) -> tuple[float, float]:
        """Return (y, x) in cells of a point in pixels from the centre, y downwards, turned."""
        turned_x, turned_y = x * cos + y * sin, y * cos - x * sin
        return (
            (turned_y / height + 0.5) * cells + margin,
            (turned_x / width + 0.5) * cells + margin,
        )

    corner = place(left, top)
    right, low = place(left + across, top), place(left, top + down)
    return [
        corner,
        (right[0] - corner[0], right[1] - corner[1]),
        (low[0] - corner[0], low[1] - corner[1]),
    ]
