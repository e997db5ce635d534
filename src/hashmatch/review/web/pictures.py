"""Fetches a picture when somebody asks to see it, blurs it here, and keeps none of it."""

from __future__ import annotations

import io
import os
import threading
from enum import IntEnum
from typing import TYPE_CHECKING

from PIL import Image

from hashmatch import registry
from hashmatch.errors import HashmatchError
from hashmatch.records.images import ImageError, ImageItem, unescape_name
from hashmatch.retry import Limits, Tries, read_item
from hashmatch.review.web.places import BUCKETS, below, is_below, is_key_below
from hashmatch.sandbox.pool import DecodePool

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hashmatch.interfaces import Source
    from hashmatch.records.cases import CaseItem
    from hashmatch.records.enums import Surface
    from hashmatch.records.review import RecordItem

LONGEST_SIDE = 800
"""Pixels of what is sent."""
BLURRED_SIDES = (16, 60)
"""Pixels of the longer side that the first two steps are made of: a blur cannot be sharpened again
beyond them, whatever a browser does with it."""
JPEG_QUALITY = 85
DEADLINE = 8.0
"""Seconds until whoever waits for a picture gets an error instead."""
BY_LISTING = frozenset({"tar", "parquet"})
"""Sources whose items are read by more than their key and location: size, or number of the row."""
MAX_OPEN = 16
"""Sources that are open at a time."""


class NoPicture(HashmatchError):
    """There is nothing to show; the message says why, in one line and for a person."""


class Pictures:
    """Pictures of cases, blurred. Used by many threads.

    Nothing of a picture is kept or written here: it is fetched, decoded in a worker that is closed
    in, blurred and forgotten, every time. Nothing is fetched but from below `places`, locations of
    sources, whatever a record says; the first is that of records that do not say theirs. A `pool`
    that is given is left open by `close`. `allow_private` names hosts and networks that are not
    public, where a place leads to one.
    """

    def __init__(
        self,
        places: Sequence[str] = (),
        pool: DecodePool | None = None,
        allow_private: Collection[str] = (),
    ) -> None:
        self._places = tuple(places)
        self._allow_private = tuple(allow_private)
        self._own = pool is None
        self._pool = pool or DecodePool(workers=2)
        self._sources: dict[tuple[str, Surface], Source] = {}
        self._lock = threading.Lock()

    def jpeg(self, item: CaseItem, step: BlurStep) -> bytes:
        """Return the picture of a record as JPEG, blurred as `step` says.

        NoPicture says why it cannot be fetched or decoded, or that it is no longer the picture that
        was matched.
        """
        try:
            return self._decode(self._content(item), item.record.item.frame, step)
        except NoPicture:
            raise
        except ImageError as error:
            self._forget()
            raise NoPicture(f"The picture cannot be shown: {error.reason}.") from None
        except HashmatchError:
            self._forget()
            # Its message names places that are no business of whoever looks at pictures.
            raise NoPicture("The source of the picture cannot be read now.") from None

    def close(self) -> None:
        """Let go of every source, and of the workers."""
        self._forget()
        if self._own:
            self._pool.close()

    def _forget(self) -> None:
        """Open every source anew next time: a list of pictures may have been replaced."""
        with self._lock:
            self._sources.clear()  # each ends with the last who reads from it

    def _content(self, item: CaseItem) -> bytes:
        wanted = item.record.item
        named = item.origin.source or (self._places[0] if self._places else "")
        if not named:
            raise NoPicture("Nobody said where this picture is.")
        where = below(named, self._places)
        if not where:
            raise NoPicture("This picture is not below a source that --pictures names.")
        source = self._open(where, wanted.surface)
        listed = _listed(source, where, wanted, item.origin.location)
        read, content = read_item(source, listed, Tries(Limits(deadline=DEADLINE)))
        if isinstance(content, ImageError):
            raise content
        if read.version != wanted.version:
            raise NoPicture(
                "What is there now is not the picture that was matched: it has changed since. "
                "It is not shown."
            )
        return content

    def _open(self, where: str, surface: Surface) -> Source:
        """Return a source, kept open: a bucket's connections are worth keeping."""
        with self._lock:
            source = self._sources.get((where, surface))
        if source is None:
            source = registry.open_source(where, surface, allow_private=self._allow_private)
            with self._lock:
                if len(self._sources) >= MAX_OPEN:
                    self._sources.pop(next(iter(self._sources)))  # may be in use: it ends with that
                self._sources[where, surface] = source
        return source

    def _decode(self, content: bytes, frame: int, step: BlurStep) -> bytes:
        pictures = self._pool.pictures(content, frames=frame > 0)
        try:
            for picture in pictures:
                if picture.frame == frame or not frame:
                    return blurred(picture.pixels, step)
        finally:
            pictures.close()
        raise NoPicture(f"The picture has no frame {frame}, which is the one that was matched.")


class BlurStep(IntEnum):
    """How far a picture is uncovered."""

    STRONG = 0
    """Gray, and so blurred that little more than light and dark is left."""
    LIGHT = 1
    """Gray and blurred: shapes, no details."""
    GRAY = 2
    """Sharp and gray."""
    COLOUR = 3
    """As it is."""


def blurred(pixels: NDArray[np.uint8], step: BlurStep) -> bytes:
    r"""Return upright RGB, shape (height, width, 3), as JPEG, blurred as `step` says.

    It has at most `LONGEST_SIDE` pixels a side, and no metadata. Steps 0 and 1 are made of as few
    pixels as `BLURRED_SIDES` says, enlarged again.

    Examples
    --------
    >>> import numpy as np
    >>> picture = np.random.default_rng(1).integers(0, 256, (90, 160, 3)).astype(np.uint8)
    >>> blurred(picture, BlurStep.STRONG)[:2]
    b'\xff\xd8'
    """
    # A picture of 64 megapixels would take Pillow 256 MB; every n-th pixel is enough to look at.
    every = max(1, max(pixels.shape[:2]) // (2 * LONGEST_SIDE))
    image = Image.fromarray(pixels[::every, ::every].copy())
    size = _fitted(image.size, LONGEST_SIDE)
    if step is not BlurStep.COLOUR:
        image = image.convert("L")
    if step < len(BLURRED_SIDES):
        image = image.resize(_fitted(size, BLURRED_SIDES[step]), Image.Resampling.BOX)
        image = image.resize(size, Image.Resampling.BICUBIC)
    elif image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()


def _fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return `size`, made smaller until its longer side is `longest`."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _listed(source: Source, where: str, record: RecordItem, location: str) -> ImageItem:
    """Return the item of a record as its source listed it."""
    scheme, separator, rest = where.partition("://")
    if not separator:
        # A relative one is from where the scan ran, and we may be elsewhere.
        name = os.fsdecode(unescape_name(record.key))
        place = os.path.join(where, name) if os.path.isdir(where) else where
        place = os.path.realpath(location if os.path.isabs(location) else place)
        if not is_below(place, where):
            raise NoPicture(_OUTSIDE)
        return ImageItem(record.key, record.version, record.surface, place)
    if scheme in BUCKETS:
        key = location or unescape_name(record.key).decode(errors="surrogateescape")
        if not is_key_below(key, rest.partition("/")[2]):
            raise NoPicture(_OUTSIDE)
        return ImageItem(record.key, record.version, record.surface, key)
    if location and scheme not in BY_LISTING:
        return ImageItem(record.key, record.version, record.surface, location)
    for listed in source.items():
        if listed.key == record.key:
            return listed
    raise NoPicture("The picture is no longer in its source.")


_OUTSIDE = "The record names a place outside of its source."
"""It must not point at any file at all."""
