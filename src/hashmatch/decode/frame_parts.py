"""One frame of an animation as its file stores it: a part of the canvas, and what follows it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Disposal(Enum):
    """What becomes of a frame's rectangle before the next frame is drawn."""

    KEEP = 0
    CLEAR = 1
    RESTORE = 2
    """It is again as it was before the frame."""


@dataclass(frozen=True, slots=True)
class FrameRect:
    """One frame as it is stored.

    Parameters
    ----------
    left, top, width, height : int
        Its rectangle on the canvas, in pixels; what lies outside is not shown.
    disposal : Disposal
        What becomes of the rectangle afterwards.
    blend : bool
        Drawn over what is there; else in its stead.
    file : callable
        Returns the bytes of a file that holds this frame alone.
    """

    left: int
    top: int
    width: int
    height: int
    disposal: Disposal
    blend: bool
    file: Callable[[], bytes]
