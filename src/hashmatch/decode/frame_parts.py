"""One frame of an animation as its file stores it: a part of the canvas, and what follows it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class After(Enum):
    """What becomes of a patch's place before the next patch is drawn."""

    STAYS = 0
    CLEARED = 1
    RESTORED = 2


@dataclass(frozen=True, slots=True)
class Patch:
    """One frame as it is stored.

    Parameters
    ----------
    left, top, width, height : int
        Its place on the canvas, in pixels; what lies outside is not shown.
    after : After
        What becomes of its place.
    over : bool
        Drawn over what is there; else in its stead.
    file : function
        Makes the bytes of a file that holds this patch alone.
    """

    left: int
    top: int
    width: int
    height: int
    after: After
    over: bool
    file: Callable[[], bytes]
