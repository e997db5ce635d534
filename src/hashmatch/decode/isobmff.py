"""What an AVIF says of its picture besides its pixels: the properties of its primary item.

Boxes within boxes, ISO/IEC 14496-12; items and their properties, ISO/IEC 23008-12. Pillow hands on
turns and mirrors of an AVIF as an EXIF orientation, and keeps the clean aperture to itself.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CLEAN_APERTURE, ROTATION, MIRROR = b"clap", b"irot", b"imir"
MOST_BOXES = 4096
"""Looked at in one box; a file has some ten."""
SAMPLE_ENTRY = 8 + 78
"""Bytes of a sample entry of pictures before the boxes in it, with the count of entries."""

PICTURE_BOXES = {
    b"hdlr", b"pitm", b"iloc", b"iinf", b"iref", b"iprp", b"idat", b"dinf", b"ipro", b"free",
}  # fmt: skip
"""Boxes of items that a picture is made from."""
NOTES = {b"Exif", b"mime", b"uri "}
"""Types of items that say something about it."""
NO_ITEM = b"skip"
"""A type that readers pass over."""

Property = tuple[bytes, bytes]


def properties(data: bytes) -> list[Property]:
    """Return kind and body of each property of the picture, in the order in which they apply.

    Of a sequence (``avis``) those of its first track of pictures. None at all if a box is broken.
    """
    try:
        if data[8:12] == b"avis":
            return _of_track(data)
        return _of_primary_item(data)
    except (struct.error, IndexError, KeyError, StopIteration):
        return []


def has_clean_aperture(found: list[Property]) -> bool:
    """Return whether there is a clean aperture among some properties."""
    return any(kind == CLEAN_APERTURE for kind, _ in found)


def transformed(pixels: NDArray[np.uint8], found: list[Property]) -> NDArray[np.uint8]:
    """Return decoded `pixels` (h, w, 3) cropped, turned and mirrored as properties say; contiguous.

    A clean aperture that does not lie within the picture, on whole pixels, is passed over, as
    libavif does. Chromium 156 passes over those that do not begin in its upper left corner, too.
    """
    for kind, body in found:
        if kind == CLEAN_APERTURE:
            pixels = _cropped(pixels, body)
        elif kind == ROTATION and body:
            pixels = np.rot90(pixels, body[0] & 3)  # anti-clockwise
        elif kind == MIRROR and body:
            pixels = pixels[:, ::-1] if body[0] & 1 else pixels[::-1]
    return np.ascontiguousarray(pixels)


def without_metadata(data: bytes) -> bytes:
    """Return a file with free space for all boxes and items that do not make its picture.

    It is as long, so that what its parts point at stays in its place. Raises struct.error or
    StopIteration if its boxes are broken.
    """
    bare = bytearray(data)
    begin, end = _inside(data, (b"meta",), 0, len(data))
    for kind, at, last in _boxes(data, begin + 4, end):
        if kind not in PICTURE_BOXES:
            name = data.rindex(kind, 0, at)  # before the long form of its size, if it has that
            bare[name : name + 4] = b"free"
        elif kind == b"iinf":
            first = at + (6 if data[at] == 0 else 8)
            for _, entry, _ in _boxes(data, first, last):
                number = entry + (8 if data[entry] < 3 else 10)
                if data[number : number + 4] in NOTES:
                    bare[number : number + 4] = NO_ITEM
    return bytes(bare)


def _cropped(pixels: NDArray[np.uint8], body: bytes) -> NDArray[np.uint8]:
    sides = []
    if len(body) < 32:
        return pixels
    values = struct.unpack_from(">IIIIiIiI", body)
    for side, size, offset in (
        (pixels.shape[1], values[0:2], values[4:6]),
        (pixels.shape[0], values[2:4], values[6:8]),
    ):
        if not size[1] or not offset[1] or size[0] % size[1]:
            return pixels
        length = size[0] // size[1]
        # Of the middle of what is kept from the middle of all, in halves of a pixel.
        begin, remainder = divmod((side - length) * offset[1] + 2 * offset[0], 2 * offset[1])
        if remainder or begin < 0 or not length or begin + length > side:
            return pixels
        sides.append(slice(begin, begin + length))
    return pixels[sides[1], sides[0]]


def _boxes(data: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each box, and where its body begins and ends."""
    for _ in range(MOST_BOXES):
        if begin + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, begin)
        body = begin + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        last = end if size == 0 else min(end, begin + size)
        if last < body:
            return
        yield kind, body, last
        begin = last


def _inside(data: bytes, path: tuple[bytes, ...], begin: int, end: int) -> tuple[int, int]:
    """Return where the body of the first box at `path` begins and ends."""
    for wanted in path:
        begin, end = next((a, b) for kind, a, b in _boxes(data, begin, end) if kind == wanted)
    return begin, end


def _of_primary_item(data: bytes) -> list[Property]:
    begin, end = _inside(data, (b"meta",), 0, len(data))
    begin += 4  # version and flags
    at, _ = _inside(data, (b"pitm",), begin, end)
    (primary,) = struct.unpack_from(">H" if data[at] == 0 else ">I", data, at + 4)
    begin, end = _inside(data, (b"iprp",), begin, end)
    known = [
        (kind, data[a:b]) for kind, a, b in _boxes(data, *_inside(data, (b"ipco",), begin, end))
    ]
    found = []
    for kind, at, _ in _boxes(data, begin, end):
        if kind == b"ipma":
            found += [known[number - 1] for number in _associated(data, at, primary) if number]
    return found


def _associated(data: bytes, at: int, primary: int) -> list[int]:
    """Return the numbers of properties, from 1, that the box ``ipma`` at `at` gives an item."""
    item, number = ">H" if data[at] == 0 else ">I", ">H" if data[at + 3] & 1 else ">B"
    (entries,) = struct.unpack_from(">I", data, at + 4)
    at += 8
    for _ in range(min(entries, MOST_BOXES)):
        (named,) = struct.unpack_from(item, data, at)
        at += struct.calcsize(item)
        count = data[at]
        step = struct.calcsize(number)
        values = [struct.unpack_from(number, data, at + 1 + step * i)[0] for i in range(count)]
        if named == primary:
            essential = 1 << (8 * step - 1)  # not part of the number
            return [value & (essential - 1) for value in values]
        at += 1 + step * count
    return []


def _of_track(data: bytes) -> list[Property]:
    begin, end = _inside(data, (b"moov",), 0, len(data))
    for kind, a, b in _boxes(data, begin, end):
        if kind != b"trak":
            continue
        at, _ = _inside(data, (b"mdia", b"hdlr"), a, b)
        if data[at + 8 : at + 12] != b"pict":
            continue
        at, last = _inside(data, (b"mdia", b"minf", b"stbl", b"stsd"), a, b)
        at, last = _inside(data, (b"av01",), at + 8, last)
        return [(name, data[c:d]) for name, c, d in _boxes(data, at + SAMPLE_ENTRY - 8, last)]
    return []
