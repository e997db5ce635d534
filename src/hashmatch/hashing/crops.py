"""The frames from which a picture may have been cropped or turned.

How fine the steps have to be follows from how PDQ's distance grows with misalignment. Put a crop
back with an error of e of a side at one end and of f at the other: the points of that side are off
by the root of (e^2 + ef + f^2) / 3 on average. With that of both directions added in squares, the
median distance on 75 photographs is 4 bits at 0.2 %, 12 at 0.5 %, 22 at 1 % and 36 at 1.5 %. A
crop of 5 % that is put back exactly is 16 to 24 bits away already, for want of what was cut off, so
that little is left for being off: half a step of 1.25 % at every end is 0.9 % at worst, 0.4 % on
average. Steps of 1 % would find 2 % more of the crops, with 1.7 times as many questions.
"""

from __future__ import annotations

import math
from functools import lru_cache

from hashmatch.interfaces import Framing

MOST_CUT = 0.1
"""Of a side. Of what lost more, most cannot be found even where it was cut is known."""
STEPS = 8
"""From nothing cut off to `MOST_CUT`."""
TURNS = (1, 2, 3, 4, 5, 6)
"""Degrees, each way. Half a degree moves the points of a square by 0.35 % of its side."""


def crops_and_turns(ratio: float) -> dict[str, Framing]:
    """Return the frames to try for a picture of `ratio`, width to height, by name.

    Crops took the same part of width and height (``pad:`` and what part of the frame lies beyond
    the picture at its left, top, right and bottom), or lie along one direction only. Turned
    pictures had their corners filled (``turn:2``, degrees counter-clockwise), or were cut to the
    largest rectangle of their shape that shows no corner (``turn:2/inside``).
    """
    return _crops() | _turns(round(max(ratio, 1 / ratio), 1))


@lru_cache(maxsize=1)
def _crops() -> dict[str, Framing]:
    found = []
    for count in range(1, STEPS + 1):
        cuts = [(MOST_CUT / STEPS * i, MOST_CUT / STEPS * (count - i)) for i in range(count + 1)]
        for left, right in cuts:
            found += [Framing(left, top, right, bottom) for top, bottom in cuts]
            found.append(Framing(left=left, right=right))
        found += [Framing(top=top, bottom=bottom) for top, bottom in cuts]
    return {"pad:" + ",".join(f"{part:.4g}" for part in crop[:4]): crop for crop in found}


@lru_cache(maxsize=64)
def _turns(ratio: float) -> dict[str, Framing]:
    """Return turned frames for a picture whose longer side is `ratio` times the other."""
    found = {}
    for degrees in (sign * turn for turn in TURNS for sign in (1, -1)):
        angle = math.radians(abs(degrees))
        beyond = (1 - 1 / (math.cos(angle) + ratio * math.sin(angle))) / 2
        found[f"turn:{degrees}"] = Framing(turn=degrees)
        found[f"turn:{degrees}/inside"] = Framing(beyond, beyond, beyond, beyond, degrees)
    return found
