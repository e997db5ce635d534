"""PDQ of one picture in many frames: what the kernels need, worked out once for each set."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch._kernels import alternatives, extrapolate, framings, membrane
from hashmatch._kernels.extrapolate import CELLS, MARGIN
from hashmatch._kernels.pdq_bits import above_median
from hashmatch._kernels.pdq_numpy import COEFFICIENTS
from hashmatch.interfaces import GUESSES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from hashmatch.interfaces import Disc, Framing


FINE = 2 * CELLS
"""Side of the picture for frames that turn within it: its cells mix less with black corners."""
WHOLE = framings.axis(0.0, 1.0, CELLS, 0)
WHOLE_ACROSS = np.ascontiguousarray(WHOLE.T)
"""The rows of a frame that has been sampled, and its columns, transposed."""


LONGEST = 3.0
"""Ratio of sides to which a disc of a picture is one; of longer pictures it is an ellipse."""


class Plan(NamedTuple):
    """A set of framings in the form that the kernels take.

    ``rows``, ``columns``, ``starts`` and ``sides`` are `framings.framed`'s arguments for those that
    are not turned; ``upright``, ``within`` and ``around`` are the numbers of these, and of the
    turned ones without and with a part beyond the picture; ``framings`` are all, shape (n, 5), and
    ``places`` and ``oriented`` as the kernels take them; ``total`` is how many hashes they make.
    """

    rows: NDArray[np.float32]
    columns: NDArray[np.float32]
    starts: NDArray[np.int64]
    sides: NDArray[np.int64]
    upright: NDArray[np.int64]
    within: NDArray[np.int64]
    around: NDArray[np.int64]
    framings: NDArray[np.float64]
    places: NDArray[np.int64]
    oriented: NDArray[np.bool_]
    total: int


def words(
    pixels: NDArray[np.uint8],
    wanted: tuple[Framing, ...],
    oriented: tuple[Framing, ...] = (),
    hidden: tuple[Disc, ...] = (),
    unsure: tuple[Framing, ...] = (),
) -> NDArray[np.uint64]:
    """Return the hashes of (h, w, 3) `pixels`, shape (n, 4): see `FramedHasher.hash_framings`."""
    # The first may be of this picture alone; the others are the same of many.
    plans = _plan(wanted[:1]), _plan(wanted[1:], oriented)
    pixels = pixels.view()
    pixels.flags.writeable = False  # compiled once, whether the caller's array is or is not
    height, width = pixels.shape[:2]
    fine = np.empty((FINE, FINE), np.float32)
    extrapolate.shrunk(pixels, fine)
    pairs = fine[::2] + fine[1::2]
    small = (pairs[:, ::2] + pairs[:, 1::2]) * np.float32(0.25)
    guessed = np.zeros((CELLS + 2 * MARGIN, CELLS + 2 * MARGIN), np.float32)
    if unsure or any(plan.framings.any() for plan in plans):
        edges = np.empty((4, CELLS), np.float32)
        extrapolate.edges(pixels, edges)
        extrapolate.extrapolated(small, edges, extrapolate.BLUR, extrapolate.BLUR_TALL, guessed)
    else:  # nothing is asked beyond the picture
        guessed[MARGIN : MARGIN + CELLS, MARGIN : MARGIN + CELLS] = small

    ends = np.cumsum([plan.total for plan in plans])
    guesses = int(ends[-1]) + len(hidden)
    out = np.empty((guesses + len(unsure) * (1 + GUESSES), 4), np.uint64)
    for plan, end in zip(plans, ends, strict=True):
        _frame(plan, fine, guessed, (width, height), out[end - plan.total : end])
    _hide(small, width / height, hidden, out[ends[-1] : guesses])
    _guess(guessed, unsure, out[guesses:])
    out.flags.writeable = False
    return out


def _guess(
    picture: NDArray[np.float32], unsure: tuple[Framing, ...], out: NDArray[np.uint64]
) -> None:
    """Write the likeliest hash of each framing of `picture`, and others around it, to `out`."""
    block = np.empty((COEFFICIENTS, COEFFICIENTS), np.float32)
    for number, framing in enumerate(unsure):
        rows, columns, fields = _unsure(framing)
        framings.coefficients(picture, rows, columns, block)
        hashes = out[number * (1 + GUESSES) : (number + 1) * (1 + GUESSES)]
        above_median(block.reshape(-1), hashes[0])
        alternatives.around(block.reshape(-1), fields, False, hashes[1:])


def _frame(
    plan: Plan,
    fine: NDArray[np.float32],
    guessed: NDArray[np.float32],
    size: tuple[int, int],
    out: NDArray[np.uint64],
) -> None:
    """Write the hashes of a plan to `out`: `size` is width and height in pixels."""
    goes = plan.places[plan.upright], plan.oriented[plan.upright]
    framings.framed(guessed, *plan[:4], *goes, out)
    # A turned frame that keeps to the picture has no use for guesses, which black corners spoil.
    for numbers, picture, margin in ((plan.within, fine, 0), (plan.around, guessed, MARGIN)):
        if len(numbers):
            corners = _corners(plan.framings[numbers], *size)
            scaled = corners * (picture.shape[0] - 2 * margin)
            scaled[:, 0] += margin
            goes = plan.places[numbers], plan.oriented[numbers]
            framings.turned(picture, scaled, WHOLE, *goes, out)


def _hide(
    picture: NDArray[np.float32],
    ratio: float,
    hidden: tuple[Disc, ...],
    out: NDArray[np.uint64],
) -> None:
    """Write the hashes of the small `picture` without each of the discs to `out`.

    Its cells are `ratio` times as wide as high.
    """
    ratio = round(min(max(ratio, 1 / LONGEST), LONGEST), 1)  # few kinds of cells are kept
    for radius, (numbers, centres) in _discs(hidden).items():
        hashes = np.empty((len(numbers), 4), np.uint64)
        down, across = radius * CELLS * math.sqrt(ratio), radius * CELLS / math.sqrt(ratio)
        filled = membrane.membrane(down, across)
        membrane.without_discs(picture, WHOLE, centres, *filled, hashes)
        out[numbers] = hashes


@lru_cache(maxsize=16)
def _discs(hidden: tuple[Disc, ...]) -> dict[float, tuple[list[int], NDArray[np.int64]]]:
    """Return the numbers and centres, in cells, of the discs of each radius."""
    found: dict[float, list[int]] = {}
    for number, disc in enumerate(hidden):
        found.setdefault(disc.radius, []).append(number)
    return {
        radius: (
            numbers,
            np.array([[round(hidden[n].y * CELLS), round(hidden[n].x * CELLS)] for n in numbers]),
        )
        for radius, numbers in found.items()
    }


@lru_cache(maxsize=64)
def _plan(wanted: tuple[Framing, ...], oriented: tuple[Framing, ...] = ()) -> Plan:
    """Return framings as a plan, those that are not turned sorted by their rows."""
    both = wanted + oriented
    upright = [number for number, framing in enumerate(both) if not framing.turn]
    upright.sort(key=lambda number: (both[number].top, both[number].bottom))
    rows: dict[tuple[float, float], int] = {}
    columns: dict[tuple[float, float], int] = {}
    sides = np.empty(len(upright), np.int64)
    for number, place in enumerate(upright):
        left, top, right, bottom, _ = both[place]
        rows[top, bottom] = rows.get((top, bottom), 0) + 1
        sides[number] = columns.setdefault((left, right), len(columns))
    all_of_them = np.array(both, np.float64).reshape(-1, 5)
    turned, beyond = all_of_them[:, 4] != 0, all_of_them[:, :4].any(axis=1)
    in_all = np.arange(len(both)) >= len(wanted)
    ends = np.cumsum(np.where(in_all, 8, 1))
    return Plan(
        _axes(rows),
        np.ascontiguousarray(_axes(columns).transpose(0, 2, 1)),
        np.cumsum([0, *rows.values()]),
        sides,
        np.array(upright, np.int64),
        np.flatnonzero(turned & ~beyond),
        np.flatnonzero(turned & beyond),
        all_of_them,
        np.array([0, *ends[:-1]], np.int64),
        in_all,
        int(ends[-1]) if both else 0,
    )


@lru_cache(maxsize=128)
def _unsure(
    framing: Framing,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the rows, the columns, transposed, and the fields of what lies beyond the picture."""
    left, top, right, bottom, _ = framing
    middles = (np.arange(alternatives.SIDE) + 0.5) / alternatives.SIDE
    beside = (middles < left) | (middles > 1 - right)
    above = (middles < top) | (middles > 1 - bottom)
    fields = alternatives.fields(above[:, None] | beside, GUESSES)
    return _axis(top, bottom), _axis(left, right).T.copy(), fields


def _axes(ends: Iterable[tuple[float, float]]) -> NDArray[np.float32]:
    """Return the `_axis` of each of some pairs of ends."""
    nothing = np.empty((0, COEFFICIENTS, CELLS + 2 * MARGIN), np.float32)
    return np.concatenate([nothing, *(_axis(*each)[None] for each in ends)])


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
