"""The frames from which a picture may have been cropped or turned.

How fine the steps are follows from how PDQ's distance grows with misalignment. If each point of a
side lies some part of it away from where it should, the root of the mean square of that, over both
directions, tells the distance: 0.6 % is about 16 bits of 256, 0.8 % about 22, 1.2 % about 32 (the
medians of 75 photographs). A frame whose two ends are off by e and f has (e^2 + ef + f^2) / 3 in
one direction: shifting costs the square root of three as much as scaling.
"""

from __future__ import annotations

import math
from functools import lru_cache

from hashmatch.interfaces import Framing

STEP = 0.01
"""Of a side, between shifts: half of it is the most that a shift is off, 0.3 % on average."""
MOST_CUT = 0.1
"""Of a side. Of what lost more, the part that has to be guessed is too large for most pictures."""
TURNS = (1, 2, 3, 4, 5, 6)
"""Degrees, each way. A degree moves the points of a square by 0.7 % of its side."""


def crops_and_turns(ratio: float) -> dict[str, Framing]:
    """Return the frames to try for a picture of `ratio`, width to height, by name.

    Crops take the same part of width and height (``pad:`` and what part of the frame lies beyond
    the picture at its left, top, right and bottom), or lie along one direction only. Turned
    pictures had their corners filled (``turn:2``, degrees counter-clockwise), or were cut to the
    largest rectangle of their shape that shows no corner (``turn:2/inside``).
    """
    return _frames(round(max(ratio, 1 / ratio), 1))


@lru_cache(maxsize=64)
def _frames(ratio: float) -> dict[str, Framing]:
    found: list[Framing] = []
    for cut in _cuts(math.sqrt(1.5)):
        for left in _shifts(cut):
            found += [Framing(left, top, cut - left, cut - top) for top in _shifts(cut)]
    for cut in _cuts(math.sqrt(3)):
        found += [Framing(left=first, right=cut - first) for first in _shifts(cut)]
        found += [Framing(top=first, bottom=cut - first) for first in _shifts(cut)]
    named = {"pad:" + ",".join(f"{part:.4g}" for part in f[:4]): f for f in found}
    for degrees in (sign * turn for turn in TURNS for sign in (1, -1)):
        angle = math.radians(abs(degrees))
        beyond = (1 - 1 / (math.cos(angle) + ratio * math.sin(angle))) / 2
        named[f"turn:{degrees}"] = Framing(turn=degrees)
        named[f"turn:{degrees}/inside"] = Framing(beyond, beyond, beyond, beyond, degrees)
    return named


def _cuts(stretch: float) -> list[float]:
    """Return how much of a side to suppose cut off; `stretch` is what scaling costs less."""
    count = math.ceil(MOST_CUT / (2 * stretch * STEP))
    return [MOST_CUT * (i + 1) / count for i in range(count)]


def _shifts(cut: float) -> list[float]:
    """Return how much of a `cut` to suppose cut off before the picture."""
    count = math.ceil(cut / STEP - 1e-9)
    return [min(cut, cut * i / count) for i in range(count + 1)]
