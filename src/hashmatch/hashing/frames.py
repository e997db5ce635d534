"""The frames that a picture may have been cut or turned from, and what may lie over it, by name.

How fine the steps of crops and turns have to be follows from how PDQ's distance grows with
misalignment. Put a crop back with an error of e of a side at one end and of f at the other: the
points of that side are off by the root of (e^2 + ef + f^2) / 3 on average. With that of both
directions added in squares, the median distance on 75 photographs is 4 bits at 0.2 %, 12 at 0.5 %,
22 at 1 % and 36 at 1.5 %. A crop of 5 % that is put back exactly is 16 to 24 bits away already,
for want of what was cut off, so that little is left for being off: half a step of 1.25 % at every
end is 0.9 % at worst, 0.4 % on average. Steps of 1 % would find 2 % more of the crops, with 1.7
times as many questions.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from hashmatch.interfaces import GUESSES, Disc, Framing
from hashmatch.records.enums import Orientation

MOST_CUT = 0.1
"""Of a side. Of what lost more, most cannot be found even where it was cut is known."""
MOST_CUT_ORIENTED = 0.05
"""Of a side of a picture that was mirrored or turned as well."""
STEPS = 8
"""From nothing cut off to `MOST_CUT`."""
TURNS = (1, 2, 3, 4, 5, 6)
"""Degrees, each way. Half a degree moves the points of a square by 0.35 % of its side."""
DISCS = ((7, 0.15), (10, 0.21))
"""How many discs lie side by side, and their radius, see `Disc`: stickers of 5 and of 10 %."""
CUT_TO = ((9, 16), (3, 4), (4, 5), (1, 1), (5, 4), (4, 3), (16, 9))
"""Shapes, width to height, to which people and platforms cut pictures."""
CUT_FROM = ((9, 16), (2, 3), (3, 4), (1, 1), (4, 3), (3, 2), (16, 9))
"""Shapes of cameras and screens."""
NEAR_SHAPE = 0.01
"""By how much of it a picture's shape differs from one of these, at most."""
MOST_CUT_TO_SHAPE = 0.48
"""Of a side: 3:2 cut to 4:5 loses 0.467, and one in ten is found."""
MOST_CUT_ASIDE = 0.34
"""Of a side of a picture that was cut to a square at one end: 3:2 loses a third."""


SOFT = 80
"""Quality below which a picture is too soft for hundreds of frames.

Of a cloud or calm water, what a frame repeats at its edges is much of the hash. In 12 million pairs
of photographs and their tiles one was matched by all the frames, at 24 bits: a sky of quality 58,
turned, and water. No whole photograph of 129 is as soft as this, and five of 100 tiles are.
"""


class Frames(NamedTuple):
    """What `FramedHasher.hash_framings` is asked, and ``names`` for the hashes that it returns."""

    names: tuple[str, ...]
    framings: tuple[Framing, ...]
    oriented: tuple[Framing, ...] = ()
    hidden: tuple[Disc, ...] = ()
    unsure: tuple[Framing, ...] = ()


SMOOTH = Frames(("smooth",), (Framing(),))
"""The picture as it is, low-passed."""


def every_frame(ratio: float, quality: int | None = None) -> Frames:
    """Return all frames to try for a picture of `ratio`, width to height, `SMOOTH` first.

    Crops took the same part of width and height (``pad:`` and what part of the frame lies beyond
    the picture at its left, top, right and bottom), or lie along one direction only. Turned
    pictures had their corners filled (``turn:2``, degrees counter-clockwise), or were cut to the
    largest rectangle of their shape that shows no corner (``turn:2/inside``). Turned and small
    crops are tried in all eight orientations (``turn:2/flip_left_right``). Pictures of a usual
    shape may have been cut to it (``from:3:2``; with a number, a less likely guess of what was cut
    off), and any part of a picture may be covered (``hide:`` and the disc's centre and radius).
    Pictures of a `quality` below `SOFT` are asked for as crops and turned, in their own
    orientation.
    """
    long = round(max(ratio, 1 / ratio), 1)
    if quality is not None and quality < SOFT:
        return _of_soft(long)
    return _every_frame(long, _near_shape(ratio))


def _near_shape(ratio: float) -> float | None:
    """Return the one of `CUT_TO` that `ratio` is, as a ratio."""
    ratios = [width / height for width, height in CUT_TO]
    nearest = min(ratios, key=lambda shape: abs(shape / ratio - 1))
    return nearest if abs(nearest / ratio - 1) <= NEAR_SHAPE else None


@lru_cache(maxsize=64)
def _every_frame(long: float, shape: float | None) -> Frames:
    crops = _crops()
    small = small_crops()
    oriented = dict(zip(small.names, small.framings, strict=True)) | turns(long)
    as_they_are = {"smooth": Framing()}
    as_they_are |= {name: crop for name, crop in crops.items() if name not in oriented}
    hidden = discs()
    unsure = {} if shape is None else shapes(shape)
    names = [*as_they_are, *(each for name in oriented for each in in_all_orientations(name))]
    return Frames(
        (*names, *hidden, *(each for name in unsure for each in guesses(name))),
        tuple(as_they_are.values()),
        tuple(oriented.values()),
        tuple(hidden.values()),
        tuple(unsure.values()),
    )


@lru_cache(maxsize=64)
def _of_soft(long: float) -> Frames:
    found = {"smooth": Framing()} | _crops() | turns(long)
    return Frames(tuple(found), tuple(found.values()))


@lru_cache(maxsize=1)
def small_crops() -> Frames:
    """Return the frames to try for what is left of a picture within a border."""
    crops = {name: crop for name, crop in _crops().items() if _cut(crop) < MOST_CUT_ORIENTED + 1e-9}
    return Frames(tuple(crops), tuple(crops.values()))


TURNED = ("", *(f"/{orientation}" for orientation in list(Orientation)[1:]))
"""What is added to the name of a view for each orientation."""


def in_all_orientations(name: str) -> list[str]:
    """Return the names of the eight orientations of what is called `name`."""
    return [f"{name}{turn}" for turn in TURNED]


def guesses(name: str) -> list[str]:
    """Return the names of the likeliest guess of what is called `name`, and of those around it."""
    return [name, *(f"{name}/{number}" for number in range(1, GUESSES + 1))]


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


def _cut(crop: Framing) -> float:
    """Return what part of its longer side a crop lost."""
    return max(crop.left + crop.right, crop.top + crop.bottom)


def turns(ratio: float) -> dict[str, Framing]:
    """Return turned frames for a picture whose longer side is `ratio` times the other, by name."""
    found = {}
    for degrees in (sign * turn for turn in TURNS for sign in (1, -1)):
        angle = math.radians(abs(degrees))
        beyond = (1 - 1 / (math.cos(angle) + ratio * math.sin(angle))) / 2
        found[f"turn:{degrees}"] = Framing(turn=degrees)
        found[f"turn:{degrees}/inside"] = Framing(beyond, beyond, beyond, beyond, degrees)
    return found


def shapes(shape: float) -> dict[str, Framing]:
    """Return the frames of other shapes from which a picture of `shape` was cut, by name.

    From the centre, and a square also from either end, as ``from:3:2/left`` is from the left one.
    """
    found = {}
    for width, height in CUT_FROM:
        whole = width / height
        lost = 1 - min(shape / whole, whole / shape)
        if not 0 < lost <= MOST_CUT_TO_SHAPE:
            continue
        name, is_wider = f"from:{width}:{height}", whole > shape
        half = lost / 2
        found[name] = Framing(half, 0.0, half) if is_wider else Framing(0.0, half, 0.0, half)
        if shape == 1 and lost <= MOST_CUT_ASIDE:
            first, last = ("left", "right") if is_wider else ("top", "bottom")
            found[f"{name}/{first}"] = Framing(**{last: lost})
            found[f"{name}/{last}"] = Framing(**{first: lost})
    return found


def discs() -> dict[str, Disc]:
    """Return the discs of which any may cover a part of a picture, by name."""
    found = [
        Disc((column + 0.5) / count, (row + 0.5) / count, radius)
        for count, radius in DISCS
        for row in range(count)
        for column in range(count)
    ]
    return {"hide:" + ",".join(f"{part:.4g}" for part in disc): disc for disc in found}
