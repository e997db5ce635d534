"""The EXIF tags of a picture's file, as names and text for a person to read."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags

from hashmatch.decode import limits
from hashmatch.decode.formats import identify, open_image
from hashmatch.decode.policy import Picture, as_outcomes
from hashmatch.records.controls import escape_controls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

MAX_TAGS = 200
MAX_CHARACTERS = 300
"""Of the text of one tag."""
BELOW = {
    ExifTags.IFD.Exif: ExifTags.TAGS,
    ExifTags.IFD.GPSInfo: ExifTags.GPSTAGS,
}
"""Directories below the first one, and the names of their tags. That of the thumbnail is not among
them: a small picture is one too."""


def exif_tags(data: bytes) -> str:
    """Return the EXIF tags of a file, a line each: ``Model: a camera``; empty if it has none.

    ImageError as of `decode_image`.
    """
    name = identify(data)
    limits.check_structure(data, name)
    with as_outcomes(name), closing(open_image(data, name)) as image:
        lines = [f"{tag}: {_text(value)}" for tag, value in _tags(image)]
    return "\n".join(lines[:MAX_TAGS])


def packed(text: str) -> Picture:
    """Return text in the place of pixels, as which a worker hands it over; see `unpacked`."""
    data = text.encode()
    row = np.zeros((1, max(1, -(-len(data) // 3)), 3), np.uint8)
    row.reshape(-1)[: len(data)] = np.frombuffer(data, np.uint8)
    return Picture(row)


def unpacked(picture: Picture) -> str:
    """Return the text that `packed` put in the place of pixels; a worker may say anything."""
    text = picture.pixels.tobytes().rstrip(b"\0").decode(errors="replace")
    most = MAX_TAGS * (2 * MAX_CHARACTERS)
    return escape_controls(text[:most], keep="\n")


def _tags(image: Image.Image) -> Iterator[tuple[str, object]]:
    exif = image.getexif()
    pointers = {int(pointer) for pointer in ExifTags.IFD}
    for number, value in exif.items():
        if number not in pointers:
            yield ExifTags.TAGS.get(number, f"tag {number}"), value
    for directory, names in BELOW.items():
        for number, value in exif.get_ifd(directory).items():
            yield names.get(number, f"tag {number}"), value


def _text(value: object) -> str:
    if isinstance(value, bytes):
        text = f"{len(value)} bytes"
    elif isinstance(value, tuple | list):
        text = ", ".join(str(one) for one in value[:MAX_CHARACTERS])
    else:
        text = str(value)
    return " ".join(text.strip("\0").split())[:MAX_CHARACTERS]
