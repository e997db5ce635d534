"""Parts of a picture that may be pictures of their own: collages, stories, screens.

All finders look at one small grey copy of the picture, and what they find is hashed from it: a view
more costs some 20 us, whatever the picture's size. Where each is found, the finders say:
`hashmatch.hashing.halves`, `hashmatch.hashing.lines`.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch.hashing.halves import halves_and_quarters
from hashmatch.hashing.lines import boxes
from hashmatch.hashing.screens import is_screen, pictures_on_screen
from hashmatch.records.hashes import HashBatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch.hashing.borders import Cut
    from hashmatch.hashing.halves import Box
    from hashmatch.interfaces import PartsHasher

SIDE = 256
"""Cells of the longer side of the small copy, at most. With 320, as much is found; it takes 1.6
times as long."""


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
    copy = small_copy(pixels)
    found = halves_and_quarters(copy.height, copy.width)
    found |= boxes(copy.grey, copy.across, copy.height, copy.width)
    cuts, batches = _hashed(hasher, copy, found, floor)
    if is_screen(copy.grey):
        for number, around in enumerate(pictures_on_screen(pixels), 1):
            top, bottom, left, right = around
            region = pixels[top : len(pixels) - bottom, left : pixels.shape[1] - right]
            near = small_copy(np.ascontiguousarray(region))
            inner = boxes(near.grey, near.across, near.height, near.width)
            named = {f"screen_{number}_{name}": box for name, box in inner.items()}
            named[f"screen_{number}"] = (0.0, 0.0, near.height, near.width)
            more, hashes = _hashed(hasher, near, named, floor)
            for name, cut in more.items():
                cuts[name] = (
                    cut[0] + top, cut[1] + bottom, cut[2] + left, cut[3] + right,
                )  # fmt: skip
            batches = HashBatch.concatenate([batches, hashes])
    return cuts, batches


def _hashed(
    hasher: PartsHasher, copy: SmallCopy, found: dict[str, Box], floor: int
) -> tuple[dict[str, Cut], HashBatch]:
    """Return the boxes that are good enough, as cuts, and the hashes of each."""
    least = hasher.min_side / copy.factor
    kept = {
        name: (top, left, bottom, right)
        for name, (top, left, bottom, right) in found.items()
        if min(bottom - top, right - left) >= least
    }
    corners = np.array([_corners(*box) for box in kept.values()], np.float64).reshape(-1, 4, 2)
    hashes, quality = hasher.hash_parts(copy.grey, corners)
    good = quality >= floor
    words = hashes.words[np.repeat(good, 8)]
    cuts = {name: _cut(box, copy) for name, box in itertools.compress(kept.items(), good)}
    return cuts, HashBatch(hashes.spec, words, owned=True)


def _corners(top: float, left: float, bottom: float, right: float) -> list[tuple[float, float]]:
    return [(top, left), (top, right), (bottom, right), (bottom, left)]


def _cut(box: Box, copy: SmallCopy) -> Cut:
    """Return what to take off the picture so that a box is left, in pixels."""
    top, left, bottom, right = (side * copy.factor for side in box)
    return (
        round(top),
        round(copy.height * copy.factor - bottom),
        round(left),
        round(copy.width * copy.factor - right),
    )
