"""A faster decoder for most JPEGs, and reduced decoding of very large pictures in any format."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

import simplejpeg

from hashmatch.decode import limits
from hashmatch.decode.exif import orientation_of
from hashmatch.decode.tiles import TILED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import ImageFile


MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""What begins a segment: neither data of a scan nor padding."""
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
SCAN, END = 0xDA, b"\xff\xd9"
ALONE = {0x01, 0xD8}
"""Markers without a length."""
MOST_SEGMENTS = 4096
PROFILE = b"ICC_PROFILE\0"
BASELINE, QUANTIZATION, EXIF = 0xC0, 0xDB, 0xE1
TABLES = {0xC4, 0xDD, 0xFE}
"""Huffman tables, restart intervals and comments, which libjpeg alone reads."""
METADATA = (
    (0xE0, b"JFIF\0", 16),
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0", 31),
    (0xE2, PROFILE, 16),
)
"""Application segments that are not looked at: marker, how they begin, and their least length."""
_SEGMENT, _FRAME = struct.Struct(">BBH"), struct.Struct(">BHHB")
FREQUENCIES = 64


def coefficient_bytes(image: Any) -> int:
    """Return the bytes that an open progressive JPEG's frequencies take: two for each sample."""
    width, height = image.size
    layers: list[tuple[int, int, int, int]] = image.layer
    samples = sum(across * down for _, across, down, _ in layers)
    most = max(across for _, across, _, _ in layers) * max(down for _, _, down, _ in layers)
    bytes_taken: int = 2 * width * height * samples // most
    return bytes_taken


def scattered_profile(image: Any) -> bytes | None:
    """Return the ICC profile of an open JPEG whose parts Pillow does not put together.

    It gives none if there are more parts than are declared, as where all are there twice; the first
    of each number count then, as in browsers (ICC.1:2022, annex B.4).
    """
    parts: dict[int, bytes] = {}
    total = 0
    for kind, body in getattr(image, "applist", ()):
        if kind == "APP2" and body.startswith(PROFILE) and len(body) > len(PROFILE) + 2:
            number, total = body[len(PROFILE) : len(PROFILE) + 2]
            parts.setdefault(number, body[len(PROFILE) + 2 :])
    numbers = range(1, total + 1)
    return b"".join(parts[n] for n in numbers) if total and parts.keys() == {*numbers} else None


SCALED = frozenset({"JPEG", "MPO", TILED})
"""Formats, as Pillow's images name them, of which a giant is scaled down."""


def scale_down(image: ImageFile.ImageFile) -> None:
    """Have a giant decoded at an eighth, a quarter or half its sides, each pixel a mean.

    That is a JPEG of more than 64 megapixels, done where its frequencies become pixels (a
    progressive one saves memory by it and hardly time), or a giant in tiles. Its header has been
    read, and no pixel decoded.
    """
    width, height = image.size
    is_large = image.format in {"JPEG", "MPO"} and width * height > limits.WHOLE_JPEG_PIXELS
    if not is_large and image.format != TILED:
        return
    side = min(width, height)
    factor = next((by for by in (8, 4) if side // by >= limits.SCALED_JPEG_SIDE), 2)
    image.draft(None, (width // factor, height // factor))


def fast_pixels(
    data: bytes, image: ImageFile.ImageFile, into: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8] | None:
    """Return the RGB pixels of a sound JPEG of colour or gray; None where Pillow has to decode.

    Both are libjpeg-turbo with its slow DCT and fancy upsampling, so the pixels are the same, which
    `tests/decode/test_decode.py` pins; this one skips Pillow's copies. CMYK is left to Pillow, and
    so is every file that gives as much as a warning: what damage means is decided in one place.
    `image` is the same file, its header read by Pillow; the pixels are made in `into`, shape
    (bytes,).
    """
    if image.format not in {"JPEG", "MPO"} or image.mode not in {"RGB", "L"}:
        return None
    if image.decoderconfig:  # it is to be scaled down
        return None
    return _pixels(data, (image.height, image.width), into)


def plain_pixels(data: bytes, into: NDArray[np.uint8] | None = None) -> NDArray[np.uint8] | None:
    """Return what `fast_pixels` does of a JPEG as most are, without Pillow reading its header.

    That takes Pillow a tenth of the time that decoding takes. None of any other file.
    """
    size = plain_size(data)
    return None if size is None else _pixels(data, size, into)


def _pixels(
    data: bytes, size: tuple[int, int], into: NDArray[np.uint8] | None
) -> NDArray[np.uint8] | None:
    """Return the RGB pixels of a sound JPEG; None if it is not, or not of that height and width."""
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, "RGB", fastdct=False, fastupsample=False, buffer=into, strict=True
        )
    except ValueError:
        return None
    return pixels if pixels.shape[:2] == size else None


def plain_size(data: bytes) -> tuple[int, int] | None:
    """Return height and width of a baseline JPEG whose header has nothing but what most have.

    That is one scan of gray or colour, upright, small enough to be decoded whole, with tables of
    eight bits, no padding, and as metadata only JFIF, EXIF, XMP, colour profiles and comments, none
    of which changes a pixel. None of any other file, sound or not.
    """
    position, size, components, exif = 2, (0, 0), 0, False
    try:
        for _ in range(limits.JPEG_SEGMENTS):
            start, marker, length = _SEGMENT.unpack_from(data, position)
            body, position = position + 4, position + 2 + length
            if start != 0xFF or length < 2:
                return None
            if marker == QUANTIZATION:
                if (length - 2) % 65 or any(data[at] > 3 for at in range(body, position, 65)):
                    return None
            elif marker == BASELINE:
                precision, *size_, components_ = _FRAME.unpack_from(data, body)
                if components or precision != 8 or length != 8 + 3 * components_:
                    return None
                size, components = (size_[0], size_[1]), components_
            elif marker == SCAN:
                is_whole = data[body] == components and components in {1, 3}
                most = min(limits.PIXELS["JPEG"], limits.WHOLE_JPEG_PIXELS)
                return size if is_whole and 0 < size[0] * size[1] <= most else None
            elif marker == EXIF and data.startswith(b"Exif\0\0", body):
                if exif or orientation_of(data[body:position]) != 1:
                    return None
                exif = True
            elif marker not in TABLES and not any(
                marker == at and length >= least and data.startswith(name, body)
                for at, name, least in METADATA
            ):
                return None
    except (IndexError, struct.error):  # it is cut off
        pass
    return None


def ended(data: bytes) -> tuple[bytes, bool] | None:
    """Return a JPEG that is cut off with an end behind its last whole segment.

    The second says whether that is all it lacked: each scan has all its data, and each frequency
    all its bits. None of a file that has an end, or no order in its segments.
    """
    left: dict[int, set[int]] = {}  # by component, the frequencies that are not there in full
    position = 2
    try:
        for _ in range(MOST_SEGMENTS):
            found = MARKER.search(data, position)
            if found is None:
                whole = data + END
                return whole, not any(left.values()) and _is_sound(whole)
            at = found.end()
            marker = data[at - 1]
            if marker == END[1]:
                return None
            if marker in ALONE:
                position = at
                continue
            if at + 2 > len(data) or (position := at + _length(data, at)) > len(data):
                return data[: found.start()] + END, False
            if marker in FRAMES:
                left = {data[at + 8 + 3 * n]: set(range(FREQUENCIES)) for n in range(data[at + 7])}
            elif marker == SCAN:
                components = data[at + 3 : at + 3 + 2 * data[at + 2] : 2]
                at += 3 + 2 * data[at + 2]
                first, last, bits = data[at : at + 3]
                if not bits & 15:
                    for component in components:
                        left[component] -= set(range(first, last + 1))
    except (IndexError, KeyError, ValueError):
        pass
    return None


def _length(data: bytes, at: int) -> int:
    (length,) = struct.unpack_from(">H", data, at)
    return int(length)


def _is_sound(data: bytes) -> bool:
    """Return whether a JPEG can be decoded without a warning; at an eighth of its sides."""
    try:
        *_, colours, _ = simplejpeg.decode_jpeg_header(data)
        colours = "CMYK" if colours in {"CMYK", "YCCK"} else "GRAY"
        simplejpeg.decode_jpeg(data, colours, min_height=1, min_width=1, min_factor=8, strict=True)
    except ValueError:
        return False
    return True
