"""Pillow's settings of the whole process, set for one thread and one file only.

Pillow has one switch for files that are cut off, ``ImageFile.LOAD_TRUNCATED_IMAGES``, and it warns
of broken tags, where the host's filters may make a warning an error. Setting either would change
what every other thread decodes, ours and the host's. So each is replaced, once, by an object that
asks which thread it is in; everywhere else it is as the host has it.
"""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

if TYPE_CHECKING:
    from collections.abc import Iterator

_WARNING = (Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin)
"""The modules that warn while a file is opened and decoded."""

_install = threading.Lock()
"""Two threads that came first at once would else each ask a switch of their own."""


class _Truncated(threading.local):
    """True or false as the thread has set it; elsewhere, what the host had set before."""

    def __init__(self, otherwise: bool) -> None:
        self.otherwise = otherwise
        self.ours: bool | None = None

    def __bool__(self) -> bool:
        return self.otherwise if self.ours is None else self.ours


class _Warnings(threading.local):
    """The module ``warnings``, whose `warn` does nothing while the thread decodes for us."""

    silent = False

    def __getattr__(self, name: str) -> Any:
        return _nothing if name == "warn" and self.silent else getattr(warnings, name)


_quiet = _Warnings()


@contextmanager
def pillow_settings(*, truncated: bool) -> Iterator[None]:
    """Decode in this thread without a warning, whatever the host has set.

    A file that is cut off is an error, or if `truncated` is decoded as far as it goes.
    """
    with _install:
        switch: object = ImageFile.LOAD_TRUNCATED_IMAGES
        if not isinstance(switch, _Truncated):  # the first time, or the host has set its own since
            switch = _Truncated(bool(switch))
            ImageFile.LOAD_TRUNCATED_IMAGES = switch  # type: ignore[assignment]
        for module in _WARNING:
            module.warnings = _quiet  # type: ignore[attr-defined]
    before = switch.ours, _quiet.silent
    switch.ours, _quiet.silent = truncated, True
    try:
        yield
    finally:
        switch.ours, _quiet.silent = before


def _nothing(*args: object, **options: object) -> None:
    pass
