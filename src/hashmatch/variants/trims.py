"""What to take off a picture's sides: borders, letterboxes and bars with captions."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Cut: TypeAlias = tuple[int, int, int, int]
"""Lines to take off at the top, at the bottom, at the left and at the right."""

LEAST_KEPT = 0.25
"""Of a side: a wide picture letterboxed on an upright screen keeps 0.31."""
PLAIN = 0.95
"""The part of a border's line that has its colour; JPEG's ringing spoils the rest."""
CAPTION = 0.3
"""The part of a captioned line that has the bar's colour, if its letters are large and bold."""
SHARP = 3.0
"""Levels by which a border's last line differs from the picture's first, on its sharpest side.

Less, and it is a sky or a dark corner: of 75 photographs 16 seem to have a border, 5 a sharp one,
and of 1,016 borders drawn around photographs 97 % are as sharp on each single side.
"""
ALIKE = 0.005
"""Of a side: cuts that differ by no more are one."""


def borders(pixels: NDArray[np.uint8]) -> dict[str, Cut]:
    """Return what to take off (h, w, 3) `pixels` that seem to have a border, by name.

    A picture may go on in its border's colour, so that several cuts are tried: all that looks like
    border; its rows alone, or its columns; as much on opposite sides; as much on all.
    """
    found, sharpness = _sides(pixels, PLAIN, PLAIN)
    if sharpness < SHARP:
        return {}
    top, bottom, left, right = found
    down, across = min(top, bottom), min(left, right)
    frame = min(down, across)
    wanted = {
        "trim": found,
        "trim_rows": (top, bottom, 0, 0),
        "trim_columns": (0, 0, left, right),
        "trim_even": (down, down, across, across),
        "trim_frame": (frame, frame, frame, frame),
    }
    return _distinct(pixels, wanted)


def captions(pixels: NDArray[np.uint8]) -> dict[str, Cut]:
    """Return what to take off (h, w, 3) `pixels` that have a bar with a caption, by name.

    Above or below, with whatever border the other sides have.
    """
    wanted: dict[str, Cut] = {}
    for name, above, below in (
        ("caption_below", PLAIN, CAPTION),
        ("caption_above", CAPTION, PLAIN),
    ):
        cut, sharpness = _sides(pixels, above, below)
        if sharpness >= SHARP:
            wanted[name] = cut
    plain, _ = _sides(pixels, PLAIN, PLAIN)
    return {n: cut for n, cut in _distinct(pixels, wanted).items() if cut != plain}


def _distinct(pixels: NDArray[np.uint8], wanted: dict[str, Cut]) -> dict[str, Cut]:
    """Return `wanted` without what cuts nothing off, or hardly more or less than another."""
    height, width = pixels.shape[:2]
    slack = np.array([height, height, width, width]) * ALIKE
    kept: dict[str, Cut] = {}
    for name, cut in wanted.items():
        others = [(0, 0, 0, 0), *kept.values()]
        if not any(np.all(np.abs(np.subtract(cut, other)) <= slack) for other in others):
            kept[name] = cut
    return kept


def _sides(pixels: NDArray[np.uint8], above: float, below: float) -> tuple[Cut, float]:
    """Return how many lines the bars on each side have, and how sharp the sharpest ends.

    `above` and `below` are the parts of their lines that have their colour.
    """
    (top, bottom), sharpness = _pair(pixels, above, below)
    rows = pixels[top : len(pixels) - bottom]
    (left, right), beside = _pair(rows.swapaxes(0, 1), PLAIN, PLAIN)
    if (left or right) and not (top or bottom):  # bars beside the picture hid those above it
        (top, bottom), sharpness = _pair(pixels[:, left : pixels.shape[1] - right], above, below)
    return (top, bottom, left, right), max(sharpness, beside)


def _pair(lines: NDArray[np.uint8], first: float, last: float) -> tuple[tuple[int, int], float]:
    """Return the same of two opposite sides: the first and the last of `lines`."""
    from hashmatch._kernels.borders import bar

    most = int(len(lines) * (1 - LEAST_KEPT))
    begin, sharp_begin = bar(lines, PLAIN, first, most)
    end, sharp_end = bar(lines[::-1], PLAIN, last, most)
    if begin + end > most:
        return (0, 0), 0.0
    return (begin, end), max(sharp_begin, sharp_end)
