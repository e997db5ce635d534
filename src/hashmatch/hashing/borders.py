"""What to take off a picture's sides: borders, letterboxes and bars with captions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Cut: TypeAlias = tuple[int, int, int, int]
"""Lines to take off at the top, at the bottom, at the left and at the right."""


class Bar(NamedTuple):
    """Lines of one colour at a side of a picture, and how sharply they end, in levels."""

    lines: int
    sharpness: float


Bars: TypeAlias = tuple[Bar, Bar, Bar, Bar]
"""At the top, at the bottom, at the left and at the right."""

LEAST_KEPT = 0.25
"""Of a side: a wide picture letterboxed on an upright screen keeps 0.31."""
PLAIN = 0.95
"""The part of a border's line that has its colour; JPEG's ringing spoils the rest."""
CAPTION = 0.3
"""The part of a captioned line that has the bar's colour, if its letters are large and bold."""
FLAT = 16
"""Levels by which a border strays from its colour in JPEG, away from what it borders on."""
SHARP = 2.5
"""Levels by which a border's last line differs from the picture's first, on its sharpest side.

Less, and it is a sky or a dark corner: of 75 photographs 16 seem to have a border, 7 a sharp one,
and of 1,016 sides of borders drawn around photographs 98 % are as sharp.
"""
ALIKE = 0.005
"""Of a side: cuts that differ by no more are one."""


class Sides:
    """The bars at the sides of a picture, each looked for once however often it is asked for.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (h, w, 3)
        Upright RGB.
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels.view()
        self.pixels.flags.writeable = False  # compiled once, whether the caller's array is or not
        self._found: dict[tuple[object, ...], Bar] = {}

    def bars(self, above: float, below: float) -> Bars:
        """Return the bars at the top, at the bottom, at the left and at the right.

        Parameters
        ----------
        above, below : float
            The parts of their lines that have their colour.
        """
        top, bottom = self._pair(False, (0, 0), above, below)
        left, right = self._pair(True, (top.lines, bottom.lines), PLAIN, PLAIN)
        if (left.lines or right.lines) and not (top.lines or bottom.lines):
            # Bars beside the picture may have hidden those above and below it.
            top, bottom = self._pair(False, (left.lines, right.lines), above, below)
        return top, bottom, left, right

    def _pair(
        self, across: bool, cut: tuple[int, int], first: float, last: float
    ) -> tuple[Bar, Bar]:
        """Return the bars at two opposite sides, where something is cut off at the others."""
        most = int(self.pixels.shape[1 if across else 0] * (1 - LEAST_KEPT))
        begin = self._bar(across, cut, False, first, most)
        end = self._bar(across, cut, True, last, most)
        return (begin, end) if begin.lines + end.lines <= most else (Bar(0, 0.0), Bar(0, 0.0))

    def _bar(
        self, across: bool, cut: tuple[int, int], is_last: bool, share: float, most: int
    ) -> Bar:
        asked = across, cut, is_last, share
        if asked not in self._found:
            from hashmatch._kernels.borders import bar

            lines = self.pixels if across else self.pixels.swapaxes(0, 1)
            lines = lines[cut[0] : len(lines) - cut[1]].swapaxes(0, 1)
            lines = lines[::-1] if is_last else lines
            self._found[asked] = Bar(*bar(lines, FLAT, PLAIN, share, most))
        return self._found[asked]


def cuts(pixels: NDArray[np.uint8], *, captioned: bool) -> dict[str, Cut]:
    """Return the `borders` of (h, w, 3) `pixels`, and where `captioned` the `captions` too."""
    sides = Sides(pixels)
    found = borders(sides)
    if captioned:
        captions_found = captions(sides)
        if "caption_both" in captions_found:
            found.pop("trim_even", None)  # what is plain at both ends is in the captions' bars
        found |= captions_found
    return found


def borders(sides: Sides) -> dict[str, Cut]:
    """Return what to take off a picture that seems to have a border, by name.

    A picture may continue in its border's colour, so that several cuts are tried: what ends
    sharply; all that looks like border; as much on opposite sides; as much on all; and rows alone,
    or columns, if the others are not as wide on both sides, as borders mostly are.
    """
    pixels, bars = sides.pixels, sides.bars(PLAIN, PLAIN)
    if max(bar.sharpness for bar in bars) < SHARP:
        return {}
    top, bottom, left, right = (bar.lines for bar in bars)
    down, across = min(top, bottom), min(left, right)
    frame = min(down, across)
    wanted = {
        "trim": _sharp(bars),
        "trim_soft": (top, bottom, left, right),
        "trim_even": (down, down, across, across),
        "trim_frame": (frame, frame, frame, frame),
    }
    if abs(left - right) > ALIKE * pixels.shape[1]:
        wanted["trim_rows"] = top, bottom, 0, 0
    if abs(top - bottom) > ALIKE * pixels.shape[0]:
        wanted["trim_columns"] = 0, 0, left, right
    return _distinct(pixels, wanted)


def captions(sides: Sides) -> dict[str, Cut]:
    """Return what to take off a picture that has a bar with a caption, by name.

    Bars are above, below or both; they are taken off alone, and with the borders of the other
    sides. Of two bars, what is plain is at the edge of the other one, and is no border.
    """
    plain = [bar.lines for bar in sides.bars(PLAIN, PLAIN)]
    below, above = sides.bars(PLAIN, CAPTION), sides.bars(CAPTION, PLAIN)
    both = sides.bars(CAPTION, CAPTION)
    are_two = both[0].lines > plain[0] and both[1].lines > plain[1]
    wanted: dict[str, Cut] = {}
    if below[1].lines > plain[1] and below[1].sharpness >= SHARP:
        wanted["caption_below"] = 0, below[1].lines, 0, 0
        if not are_two:
            wanted["caption_below_trim"] = _sharp(below)
    if above[0].lines > plain[0] and above[0].sharpness >= SHARP:
        wanted["caption_above"] = above[0].lines, 0, 0, 0
        if not are_two:
            wanted["caption_above_trim"] = _sharp(above)
    if are_two:
        wanted |= {
            "caption_both": (both[0].lines, both[1].lines, 0, 0),
            "caption_both_trim": (both[0].lines, both[1].lines, both[2].lines, both[3].lines),
        }
    return _distinct(sides.pixels, wanted)


def _sharp(bars: Bars) -> Cut:
    """Return the cut of those `bars` that end sharply."""
    top, bottom, left, right = (bar.lines if bar.sharpness >= SHARP else 0 for bar in bars)
    return top, bottom, left, right


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
