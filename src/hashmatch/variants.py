"""The other questions to ask about one picture: orientations, trims, frames it was cut from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.errors import UsageError
from hashmatch.interfaces import FramedHasher, Framing, Hasher, OrientedHasher
from hashmatch.records.enums import Orientation
from hashmatch.records.hashes import HashBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

LEVELS = ("none", "orientations", "standard", "thorough")
"""How much is asked about one picture. Each level asks what the one before it asks, and more."""

SMALL = 256
"""Pictures with a shorter side are also asked for with a low pass before PDQ's sampling."""
LEAST_KEPT = 0.25
"""Of a side that is trimmed: a wide picture letterboxed on an upright screen keeps 0.31."""
PLAIN = 0.95
"""The part of a plain line's pixels that have its colour; JPEG's ringing takes some."""
CAPTION = 0.5
"""The part of a captioned line's pixels that have the bar's colour: letters cover less."""
ALIKE = 0.005
"""Trims that differ by no more than this part of each side are one question."""

STEP = 0.01
"""Of a side, between the places asked for: see `_positions`."""
MOST_CUT = 0.1
"""Of a side. Of what lost more, the part that nobody can guess keeps most from being found."""
TURNS = (1, 2, 3, 4, 5, 6)
"""Degrees, each way. Half a degree off is 0.25 % of a side on average, as little as `STEP` is."""


@dataclass(frozen=True, slots=True)
class Questions:
    """What to look up for one picture: hashes of one spec, a name for each, the quality.

    ``names[0]`` is ``"upright"``. ``quality`` is that of the upright hash, 0 to 100, or None where
    none is measured.
    """

    names: tuple[str, ...]
    hashes: HashBatch
    quality: int | None


def ask(hasher: Hasher, pixels: NDArray[np.uint8], level: str) -> Questions:
    """Return the questions of one level about a picture.

    Parameters
    ----------
    hasher : Hasher
        One of pixels.
    pixels : ndarray of uint8, shape (height, width, 3)
        Upright RGB, contiguous.
    level : {"none", "orientations", "standard", "thorough"}
        Each asks what the one before it asks, and more: the picture as it is; in eight
        orientations; without borders; in frames from which it may have been cut or turned.

    Raises
    ------
    UsageError
        If there is no such level.

    Examples
    --------
    >>> from hashmatch.hashers.pdq import Pdq
    >>> from hashmatch.testing import picture
    >>> ask(Pdq(), picture(1), "orientations").names[:3]
    ('upright', 'rotate_90', 'rotate_180')
    """
    if level not in LEVELS:
        raise UsageError(f"variants {level!r} is not one of {', '.join(LEVELS)}")
    if level == "none" or hasher.reads == "bytes":
        hashes, quality = hasher.hash(pixels)
        return Questions(("upright",), hashes, quality)
    hashes, quality = oriented(hasher, pixels)
    names, batches = [str(orientation) for orientation in Orientation], [hashes]
    if level != "orientations":
        for name, hashes in _more(hasher, pixels, level):
            names += name
            batches.append(hashes)
    return Questions(tuple(names), HashBatch.concatenate(batches), quality)


def oriented(hasher: Hasher, pixels: NDArray[np.uint8]) -> tuple[HashBatch, int | None]:
    """Return the hashes of `pixels` in the order of `Orientation`, and the upright one's quality.

    Parameters
    ----------
    hasher : Hasher
        One of pixels.
    pixels : ndarray of uint8, shape (height, width, 3)
        Upright RGB, contiguous.
    """
    if isinstance(hasher, OrientedHasher):
        return hasher.hash_orientations(pixels)
    across = pixels.swapaxes(0, 1)
    turned = [np.rot90(pixels, turns) for turns in range(4)]
    turned += [pixels[::-1], pixels[:, ::-1], across, across[::-1, ::-1]]
    hashed = [hasher.hash(np.ascontiguousarray(array)) for array in turned]
    return HashBatch.concatenate([hashes for hashes, _ in hashed]), hashed[0][1]


def _more(
    hasher: Hasher, pixels: NDArray[np.uint8], level: str
) -> Iterator[tuple[list[str], HashBatch]]:
    """Yield the names and hashes of what is asked beyond the orientations."""
    framed = hasher if isinstance(hasher, FramedHasher) else None
    if framed and min(pixels.shape[:2]) < SMALL:
        yield ["smooth"], framed.hash_framings(pixels, (Framing(),))
    views = _trims(pixels, captions=False)
    if level == "thorough":
        views |= _trims(pixels, captions=True)
    for name, (top, bottom, left, right) in views.items():
        height, width = pixels.shape[:2]
        view = np.ascontiguousarray(pixels[top : height - bottom, left : width - right])
        if min(view.shape[:2]) < hasher.min_side:
            continue
        hashes, quality = oriented(hasher, view)
        if quality is not None and quality < hasher.min_quality:
            continue
        names = [name, *(f"{name}/{o}" for o in list(Orientation)[1:])]
        yield names, hashes
        if framed and level == "thorough":
            whole = Framing(left / width, top / height, right / width, bottom / height)
            yield [f"{name}/whole"], framed.hash_framings(view, (whole,))
    if framed and level == "thorough":
        framings = frames()
        yield list(framings), framed.hash_framings(pixels, tuple(framings.values()))


Cut = tuple[int, int, int, int]


def _trims(pixels: NDArray[np.uint8], captions: bool) -> dict[str, Cut]:
    """Return how many lines to take off at the top, bottom, left and right, by name.

    A plain picture may seem to have a border, or a border go on into it, so that several are
    asked for: all that was found; rows or columns alone; opposite sides alike; all sides alike.
    """
    found = _sides(pixels, CAPTION if captions else PLAIN)
    top, bottom, left, right = found
    if captions:
        return {"caption": found} if found != _sides(pixels, PLAIN) else {}
    down, across = min(top, bottom), min(left, right)
    frame = min(down, across)
    wanted: dict[str, Cut] = {
        "trim": found,
        "trim_rows": (top, bottom, 0, 0),
        "trim_columns": (0, 0, left, right),
        "trim_even": (down, down, across, across),
        "trim_frame": (frame, frame, frame, frame),
    }
    height, width = pixels.shape[:2]
    slack = np.array([height, height, width, width]) * ALIKE
    kept: dict[str, Cut] = {}
    for name, cut in wanted.items():
        others = [(0, 0, 0, 0), *kept.values()]
        if not any(np.all(np.abs(np.subtract(cut, other)) <= slack) for other in others):
            kept[name] = cut
    return kept


def _sides(pixels: NDArray[np.uint8], least: float) -> Cut:
    """Return how wide the bars at the top, bottom, left and right are, in lines."""
    from hashmatch._kernels.borders import bar

    def pair(lines: NDArray[np.uint8], least: float) -> tuple[int, int]:
        most = int(len(lines) * (1 - LEAST_KEPT))
        if most < 1:
            return 0, 0
        first, last = bar(lines, PLAIN, least, most), bar(lines[::-1], PLAIN, least, most)
        return (first, last) if first + last <= most else (0, 0)

    top, bottom = pair(pixels, least)
    rows = pixels[top : len(pixels) - bottom]
    left, right = pair(rows.swapaxes(0, 1), PLAIN)
    if (left or right) and not (top or bottom):  # bars beside the picture hid those above it
        top, bottom = pair(pixels[:, left : pixels.shape[1] - right], least)
    return top, bottom, left, right


@lru_cache(maxsize=1)
def frames() -> dict[str, Framing]:
    """Return the frames of level ``thorough`` by name.

    Crops take the same part of both sides, or of one side only; what a frame has beyond the
    picture is named from left to right and top to bottom. Turns leave the corners in the picture
    filled (``turn:2``), or were cropped until no corner shows (``turn:2/inside``).
    """
    named: dict[str, Framing] = {}
    for cut in _cuts(2 * math.sqrt(1.5) * STEP):
        for left in _positions(cut):
            for top in _positions(cut):
                _add(named, Framing(left, top, cut - left, cut - top))
    for cut in _cuts(2 * math.sqrt(3) * STEP):
        for first in _positions(cut):
            _add(named, Framing(left=first, right=cut - first))
            _add(named, Framing(top=first, bottom=cut - first))
    for degrees in TURNS:
        for turn in (degrees, -degrees):
            named[f"turn:{turn}"] = Framing(turn=turn)
    return named


def _add(named: dict[str, Framing], framing: Framing) -> None:
    parts = ",".join(f"{part:.4g}" for part in framing[:4])
    named[f"pad:{parts}"] = framing


def _cuts(most: float) -> list[float]:
    """Return how much of a side to suppose cut off, at steps of at most `most`."""
    count = math.ceil(MOST_CUT / most)
    return [MOST_CUT * (i + 1) / count for i in range(count)]


def _positions(cut: float) -> list[float]:
    """Return how much of a `cut` to suppose cut off before the picture, at most `STEP` apart."""
    count = max(1, math.ceil(cut / STEP - 1e-9))
    return [min(cut, cut * i / count) for i in range(count + 1)]
