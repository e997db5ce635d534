"""Frames that are each drawn over the one before, put together as browsers show them.

An animated GIF or PNG is a list of rectangles. One is smaller than the canvas, may be see-through,
and says what becomes of its place afterwards. Pillow puts them together too, but leaves a
background colour where browsers show the page, and blends half-transparent frames so that opaque
ones turn see-through; so each is decoded as a still picture of its own and laid down here.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.decode.color import rgb
from hashmatch.decode.exif import orientation, upright
from hashmatch.decode.formats import open_image
from hashmatch.decode.frame_parts import Disposal
from hashmatch.decode.pillow_settings import pillow_settings
from hashmatch.decode.policy import undecodable
from hashmatch.records.images import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hashmatch.decode.frame_parts import FrameRect


class Compositor:
    """The frames of one animation, drawn one after the other.

    Transparency is over white throughout the policy, so the canvas is plain RGB and white where
    nothing is: laying each frame over it in turn gives what laying all of them over white would.
    The canvas is as stored, in pixels; `rects` are all that may be asked for, and `name` is their
    format.
    """

    def __init__(self, name: str, height: int, width: int, rects: Sequence[FrameRect]) -> None:
        self.damaged = False
        self._name = name
        self._rects = rects
        self._drawn = 0
        self._orientation = 1
        self._canvas = np.full((height, width, 3), 255, np.uint8)
        self._hidden: NDArray[np.uint8] | None = None  # by the last frame, to be restored

    def show(self, number: int) -> NDArray[np.uint8]:
        """Return what is seen once frame `number` is drawn, upright, shape (h, w, 3).

        Numbers are asked for in increasing order.
        """
        while self._drawn <= number:
            if self._drawn:
                self._dispose(self._rects[self._drawn - 1])
            self._draw(self._rects[self._drawn])
            self._drawn += 1
        return upright(self._canvas, self._orientation).copy()

    def _dispose(self, rect: FrameRect) -> None:
        if rect.disposal is Disposal.CLEAR:
            self._covered(rect)[:] = 255
        elif self._hidden is not None:
            self._covered(rect)[:] = self._hidden

    def _draw(self, rect: FrameRect) -> None:
        covered = self._covered(rect)
        self._hidden = covered.copy() if rect.disposal is Disposal.RESTORE else None
        if covered.size == 0:
            return
        for truncated in (False, True):
            try:
                with undecodable(self._name), pillow_settings(truncated=truncated):
                    self._lay_down(rect, covered)
                return
            except ImageError:
                self.damaged = True  # and what cannot be read at all leaves the canvas as it was

    def _lay_down(self, rect: FrameRect, covered: NDArray[np.uint8]) -> None:
        with closing(open_image(rect.file(), self._name)) as image:
            image.load()
            if self._drawn == 0:
                self._orientation = orientation(image)
            height, width = covered.shape[:2]
            seen = image if image.size == (width, height) else image.crop((0, 0, width, height))
            rgb(seen, covered if rect.blend else None, out=covered)

    def _covered(self, rect: FrameRect) -> NDArray[np.uint8]:
        """Return the part of the canvas that a frame covers: a view, not a copy."""
        right, bottom = rect.left + rect.width, rect.top + rect.height
        return self._canvas[rect.top : bottom, rect.left : right]
