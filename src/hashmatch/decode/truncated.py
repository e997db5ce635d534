"""Let Pillow read on past damage, in one thread and for one file only.

Pillow has one switch for the whole process, ``ImageFile.LOAD_TRUNCATED_IMAGES``. Setting it would
make every other thread's strict decode silently tolerant, ours and the host's, so it is replaced
by an object whose truth depends on the thread that asks.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from PIL import ImageFile

if TYPE_CHECKING:
    from collections.abc import Iterator


_install = threading.Lock()
"""Two threads that came first at once would else each ask a switch of their own."""


class _PerThread(threading.local):
    """True or false as the thread has set it; elsewhere, what the host had set before."""

    def __init__(self, otherwise: bool) -> None:
        self.otherwise = otherwise
        self.ours: bool | None = None

    def __bool__(self) -> bool:
        return self.otherwise if self.ours is None else self.ours


@contextmanager
def tolerant(allowed: bool) -> Iterator[None]:
    """Decode in this thread with damage `allowed` or refused, whatever the host has set."""
    with _install:
        switch: object = ImageFile.LOAD_TRUNCATED_IMAGES
        if not isinstance(switch, _PerThread):  # the first time, or the host has set its own since
            switch = _PerThread(bool(switch))
            ImageFile.LOAD_TRUNCATED_IMAGES = switch  # type: ignore[assignment]
    before, switch.ours = switch.ours, allowed
    try:
        yield
    finally:
        switch.ours = before
