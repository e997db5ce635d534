"""Parts of a picture that may be pictures of their own: collages, stories, screens.

All finders look at one small grey copy of the picture, and what they find is hashed from it: a view
more costs some 20 us, whatever the picture's size. Where to look, the finders say: `halves`,
`lines`, `screens` and `quadrilaterals`, all of `hashmatch.hashing`.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from hashmatch.hashing.halves import completed, halves_and_quarters, middles
from hashmatch.hashing.lines import boxes
from hashmatch.hashing.quadrilaterals import quadrilaterals
from hashmatch.hashing.screens import is_screen, pictures_on_screen
from hashmatch.records.enums import Orientation
from hashmatch.records.hashes import HashBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hashmatch.hashing.borders import Cut
    from hashmatch.interfaces import PartsHasher

    Point: TypeAlias = tuple[float, float]
    Corners: TypeAlias = tuple[Point, Point, Point, Point] | NDArray[np.float64]

SIDE = 256
"""Cells of the longer side of the small copy, at most. With 320, as much is found; it takes 1.6
times as long."""

FADING = 36 / 256
"""Of a hash's bits: what differs by no more from itself turned over a diagonal fades from corner to
corner, and is like all else that does. Of 3,009 photographs and quarters of them one does, which is
within 16 bits of parts of three others; the next differ by 40, 50 and 52 of 256 bits."""
ORIENTATIONS = list(Orientation)
LYING = [
    ORIENTATIONS.index(Orientation(name))
    for name in ("rotate_90", "rotate_270", "transpose", "transverse")
]
"""Those that exchange the sides of a picture."""


class SmallCopy(NamedTuple):
    """A grey picture at a fraction of its size.

    Parameters
    ----------
    grey : ndarray of float32, shape (h, w)
        The mean luma of each cell of ``factor`` x ``factor`` pixels, 0 to 255.
    across : ndarray of float32, shape (w, h)
        It transposed, contiguous.
    factor : int
        Pixels along a side of a cell.
    height, width : float
        Of the picture, in cells; the last row and column may be less than whole.
    """

    grey: NDArray[np.float32]
    across: NDArray[np.float32]
    factor: int
    height: float
    width: float


def small_copy(pixels: NDArray[np.uint8]) -> SmallCopy:
    """Return a small grey copy of RGB `pixels` (h, w, 3)."""
    from hashmatch._kernels.views import grey_of

    pixels = pixels.view()
    pixels.flags.writeable = False  # compiled once, whether the caller's array is or is not
    height, width = pixels.shape[:2]
    factor = -(-max(height, width) // SIDE)
    grey = np.empty((-(-height // factor), -(-width // factor)), np.float32)
    grey_of(pixels, factor, grey)
    across = np.ascontiguousarray(grey.T)
    return SmallCopy(grey, across, factor, height / factor, width / factor)


def parts(
    hasher: PartsHasher, pixels: NDArray[np.uint8], floor: int
) -> tuple[dict[str, Cut], HashBatch]:
    """Return the parts of a picture that may be pictures of their own, and their hashes.

    Parameters
    ----------
    hasher : PartsHasher
    pixels : ndarray of uint8, shape (h, w, 3)
        Upright RGB, contiguous.
    floor : int
        Parts of a lower quality are left out: there is too little to them.

    Returns
    -------
    cuts : dict of str to Cut
        By name, in whole pixels.
    hashes : HashBatch
        Eight of each, in the order of `Orientation`.
    """
    cuts: dict[str, Cut] = {}
    batches = []
    for around, copy, found in _found(pixels):
        corners = np.array([*found.values()], np.float64).reshape(-1, 4, 2)
        least = hasher.min_side / copy.factor
        large = ((corners.max(axis=1) - corners.min(axis=1)) >= least).all(axis=1)
        names, corners = [*itertools.compress(found, large)], corners[large]
        hashes, quality = hasher.hash_parts(copy.grey, corners)
        good = (quality >= floor) & ~_fades(hashes)
        batches.append(HashBatch(hashes.spec, hashes.words[np.repeat(good, 8)], owned=True))
        kept = _cuts(corners[good], around, copy)
        cuts.update(zip(itertools.compress(names, good), kept, strict=True))
    return cuts, HashBatch.concatenate(batches)


def _fades(hashes: HashBatch) -> NDArray[np.bool_]:
    """Return which parts fade from corner to corner; there are eight `hashes` of each."""
    words = hashes.words.reshape(-1, len(ORIENTATIONS), hashes.spec.words)
    lying = words[:, LYING]
    upright = np.delete(words, LYING, axis=1)
    away = np.bitwise_count(upright[:, :, None] ^ lying[:, None]).sum(axis=3, dtype=np.int64)
    fades: NDArray[np.bool_] = away.min(axis=(1, 2)) <= FADING * hashes.spec.bits
    return fades


def _found(pixels: NDArray[np.uint8]) -> Iterator[tuple[Cut, SmallCopy, dict[str, Corners]]]:
    """Yield parts of a picture by name, in the small copy of it, or of a region of it.

    With a region is said what is cut off around it.
    """
    copy = small_copy(pixels)
    rectangles = halves_and_quarters(copy.height, copy.width)
    rectangles |= middles(copy.height, copy.width)
    rectangles |= boxes(copy.grey, copy.across, copy.height, copy.width)
    found: dict[str, Corners] = {name: _corners(*box) for name, box in rectangles.items()}
    found |= quadrilaterals(copy.grey, copy.across)
    yield (0, 0, 0, 0), copy, found
    if not is_screen(copy.grey):
        return
    for number, around in enumerate(pictures_on_screen(pixels), 1):
        top, bottom, left, right = around
        region = pixels[top : len(pixels) - bottom, left : pixels.shape[1] - right]
        near = small_copy(np.ascontiguousarray(region))
        inner = boxes(near.grey, near.across, near.height, near.width)
        named = {f"screen_{number}_{name}": _corners(*box) for name, box in inner.items()}
        named[f"screen_{number}"] = _corners(0.0, 0.0, near.height, near.width)
        yield around, near, named
        shaped = completed(inner.values(), near.height, near.width)
        shift = np.array([around[0], around[2], around[0], around[2]])
        on_screen = {
            f"screen_{number}_{name}": (np.array(box) * near.factor + shift) / copy.factor
            for name, box in shaped.items()
        }
        yield (
            (0, 0, 0, 0),
            copy,
            {
                name: _corners(*box.tolist())
                for name, box in on_screen.items()
                if box[0] >= 0 and box[2] <= copy.height
            },
        )


def _corners(top: float, left: float, bottom: float, right: float) -> Corners:
    return (top, left), (top, right), (bottom, right), (bottom, left)


def _cuts(corners: NDArray[np.float64], around: Cut, copy: SmallCopy) -> list[Cut]:
    """Return what to take off so that the rectangle around each part is left, in pixels."""
    size = np.array([copy.height, copy.width])
    before = corners.min(axis=1).clip(0) * copy.factor
    behind = (size - corners.max(axis=1)).clip(0) * copy.factor
    edges = np.rint(np.stack([before, behind], axis=2)).astype(np.int64).reshape(-1, 4)
    return [tuple(cut) for cut in (edges + around).tolist()]
