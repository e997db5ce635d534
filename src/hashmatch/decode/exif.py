"""The EXIF orientation of a picture: read, and applied to its pixels."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

ORIENTATION = 0x0112
SHORT = 3


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or it is broken.

    Read here rather than by Pillow, which falls back on an XMP tag that browsers and phones do not
    heed. But where somebody has set or deleted it by ``getexif()``, that is what holds: the bytes
    beside the image stay those of its file.
    """
    held = image._exif  # asking for it by getexif() would make it
    if held is not None and held._loaded:
        untouched, before = Image.new("1", (1, 1)), None
        untouched.info = image.info
        with suppress(Exception):  # of bytes that Pillow does not read
            before = untouched.getexif().get(ORIENTATION)
        value = held.get(ORIENTATION)
        if value != before:
            return value if isinstance(value, int) and 1 <= value <= 8 else 1
    exif = image.info.get("exif", b"") or next(_exif_segments(image), b"")
    return orientation_of(exif) if exif and isinstance(exif, bytes) else 1


def _exif_segments(image: Image.Image) -> Iterator[bytes]:
    """Yield the EXIF of a JPEG that Pillow passes over: behind "Exif" and 0, any byte may follow.

    The standard has a second 0 there, some writers have 0xFF, and browsers read either.
    """
    for kind, body in getattr(image, "applist", ()):
        if kind == "APP1" and body.startswith(b"Exif\0"):
            yield body[6:]


def orientation_of(exif: bytes) -> int:
    """Return the orientation that the bytes of some EXIF say, as `orientation` does."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(count):
            tag, kind, number, value = struct.unpack_from(
                f"{order}HHIH", exif, start + 2 + 12 * entry
            )
            if tag == ORIENTATION:
                return value if kind == SHORT and number == 1 and 1 <= value <= 8 else 1
    except struct.error:  # the directory is cut off
        return 1
    return 1


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return `pixels` (h, w, c) of an EXIF orientation, 1 to 8, turned upright; contiguous.

    EXIF orientations (Exif 2.32, tag 0x0112) from 5 on have rows and columns exchanged; what
    remains is to mirror one direction or both.
    """
    pixels = np.ascontiguousarray(pixels)
    if orientation == 1:
        return pixels
    # The bytes of a pixel moved together: twice as fast.
    whole = pixels.view(f"V{pixels.shape[2]}")[..., 0]
    if orientation in {5, 6, 7, 8}:
        whole = whole.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        whole = whole[::-1]
    if orientation in {2, 3, 6, 7}:
        whole = whole[:, ::-1]
    return np.ascontiguousarray(whole).view(np.uint8).reshape(*whole.shape, -1)
