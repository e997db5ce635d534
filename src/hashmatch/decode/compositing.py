"""Frames that are each drawn over the one before, put together as browsers show them.

An animated GIF or PNG is a list of patches. A patch is small, may be see-through, and says what
becomes of its place afterwards. Pillow puts them together too, but leaves a background colour
where browsers show the page, and blends half-transparent patches so that opaque ones turn
see-through; so each patch is decoded as a still picture of its own and laid down here.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.decode.color import rgb
from hashmatch.decode.exif import orientation, upright
from hashmatch.decode.formats import open_image
from hashmatch.decode.frame_parts import After
from hashmatch.decode.pillow_settings import pillow_settings
from hashmatch.decode.policy import undecodable
from hashmatch.records.images import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hashmatch.decode.frame_parts import Patch


class Canvas:
    """The patches of one animation, drawn one after the other.

    Transparency is over white throughout the policy, so the canvas is plain RGB and white where
    nothing is: laying each patch over it in turn gives what laying all of them over white would.

    Parameters
    ----------
    name : str
        The format of the patches.
    height, width : int
        Of the canvas as stored, in pixels.
    patches : sequence of Patch
        All that may be asked for.
    """

    def __init__(self, name: str, height: int, width: int, patches: Sequence[Patch]) -> None:
        self.damaged = False
        self._name = name
        self._patches = patches
        self._drawn = 0
        self._orientation = 1
        self._pixels = np.full((height, width, 3), 255, np.uint8)
        self._kept: NDArray[np.uint8] | None = None  # what the last patch has hidden

    def show(self, number: int) -> NDArray[np.uint8]:
        """Return what is seen once patch `number` is drawn, upright, shape (h, w, 3).

        Numbers are asked for in increasing order.
        """
        while self._drawn <= number:
            self._clear_away()
            self._draw(self._patches[self._drawn])
            self._drawn += 1
        return upright(self._pixels, self._orientation).copy()

    def _clear_away(self) -> None:
        if self._drawn == 0:
            return
        last = self._patches[self._drawn - 1]
        if last.after is After.CLEARED:
            self._place(last)[:] = 255
        elif last.after is After.RESTORED and self._kept is not None:
            self._place(last)[:] = self._kept

    def _draw(self, patch: Patch) -> None:
        place = self._place(patch)
        self._kept = place.copy() if patch.after is After.RESTORED else None
        if place.size == 0:
            return
        for truncated in (False, True):
            try:
                with undecodable(self._name), pillow_settings(truncated=truncated):
                    self._lay_down(patch, place)
                return
            except ImageError:
                self.damaged = True  # and what cannot be read at all leaves the canvas as it was

    def _lay_down(self, patch: Patch, place: NDArray[np.uint8]) -> None:
        with closing(open_image(patch.file(), self._name)) as image:
            image.load()
            if self._drawn == 0:
                self._orientation = orientation(image)
            height, width = place.shape[:2]
            seen = image if image.size == (width, height) else image.crop((0, 0, width, height))
            rgb(seen, place if patch.over else None, out=place)

    def _place(self, patch: Patch) -> NDArray[np.uint8]:
        """Return the part of the canvas that `patch` covers: a view, not a copy."""
        right, bottom = patch.left + patch.width, patch.top + patch.height
        return self._pixels[patch.top : bottom, patch.left : right]
