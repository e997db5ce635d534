"""What an AVIF or a HEIF says of its picture besides its pixels: its items and their properties.

Boxes within boxes, ISO/IEC 14496-12; items and their properties, ISO/IEC 23008-12. Pillow hands on
turns and mirrors of an AVIF as an EXIF orientation, and keeps the clean aperture to itself.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CLEAN_APERTURE, ROTATION, MIRROR = b"clap", b"irot", b"imir"
IN_FILE, IN_META = 0, 1
"""Where the data of an item may lie: in the file, or in the box ``idat`` beside it."""
MOST_BOXES = 4096
"""Looked at in one box; a file has some ten."""
SAMPLE_ENTRY = 8 + 78
"""Bytes of a sample entry of pictures before the boxes in it, with the count of entries."""

BROKEN = (struct.error, IndexError, KeyError, StopIteration)
"""What is raised where a box is broken."""
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
    except BROKEN:
        return []


@dataclass(frozen=True, slots=True)
class Items:
    """The items of a file; see `items`.

    Parameters
    ----------
    primary : int
        The number of the picture.
    kinds : dict of int to bytes
        What each item is, such as ``grid``.
    properties : dict of int to list of Property
        Of each item, in their order.
    references : dict of (bytes, int) to tuple of int
        Which items one refers to, by the kind of reference and the item that refers.
    content : dict of int to list of memoryview
        The parts of each item's data, of those that are all there.
    """

    primary: int
    kinds: dict[int, bytes]
    properties: dict[int, list[Property]]
    references: dict[tuple[bytes, int], tuple[int, ...]]
    content: dict[int, list[memoryview]]


def items(data: bytes) -> Items:
    """Return the items of a file. Raises one of `BROKEN` if a box is broken or missing."""
    begin, end = _meta(data)
    found = {kind: (a, b) for kind, a, b in _boxes(data, begin, end)}
    return Items(
        _primary(data, found[b"pitm"][0]),
        _kinds(data, *found[b"iinf"]),
        _all_properties(data, *found[b"iprp"]),
        _references(data, *found[b"iref"]),
        _contents(data, found[b"iloc"][0], found.get(b"idat", (0, 0))),
    )


def has_clean_aperture(found: list[Property]) -> bool:
    """Return whether there is a clean aperture among some properties."""
    return any(kind == CLEAN_APERTURE for kind, _ in found)


def transformed(pixels: NDArray[np.uint8], found: list[Property]) -> NDArray[np.uint8]:
    """Return decoded `pixels` (h, w, 3) cropped, turned and mirrored as properties say; contiguous.

    A clean aperture that does not lie within the picture, on whole pixels, is passed over, as
    libavif does. Chromium 156 passes over those that do not begin in its upper left corner, too.
    """
    return np.ascontiguousarray(_viewed(pixels, found))


def shown(width: int, height: int, found: list[Property]) -> tuple[slice, slice]:
    """Return the rows and columns of a picture that are left once it is cropped as properties say.

    They are those of the picture before it is turned or mirrored.
    """
    sides = []
    for numbers in (np.arange(height)[:, None], np.arange(width)):
        left = _viewed(np.broadcast_to(numbers, (height, width)), found)
        ends = int(left[0, 0]), int(left[-1, -1])
        sides.append(slice(min(ends), max(ends) + 1))
    return sides[0], sides[1]


def _viewed(pixels: NDArray[Any], found: list[Property]) -> NDArray[Any]:
    for kind, body in found:
        if kind == CLEAN_APERTURE:
            pixels = _cropped(pixels, body)
        elif kind == ROTATION and body:
            pixels = np.rot90(pixels, body[0] & 3)  # anti-clockwise
        elif kind == MIRROR and body:
            pixels = pixels[:, ::-1] if body[0] & 1 else pixels[::-1]
    return pixels


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


def _cropped(pixels: NDArray[Any], body: bytes) -> NDArray[Any]:
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


def _meta(data: bytes) -> tuple[int, int]:
    begin, end = _inside(data, (b"meta",), 0, len(data))
    return begin + 4, end  # behind version and flags


def _of_primary_item(data: bytes) -> list[Property]:
    begin, end = _meta(data)
    at, _ = _inside(data, (b"pitm",), begin, end)
    known = _all_properties(data, *_inside(data, (b"iprp",), begin, end))
    return known.get(_primary(data, at), [])


def _primary(data: bytes, at: int) -> int:
    number: int = struct.unpack_from(">H" if data[at] == 0 else ">I", data, at + 4)[0]
    return number


def _all_properties(data: bytes, begin: int, end: int) -> dict[int, list[Property]]:
    """Return the properties of each item, from the box ``iprp``."""
    known = [
        (kind, data[a:b]) for kind, a, b in _boxes(data, *_inside(data, (b"ipco",), begin, end))
    ]
    found: dict[int, list[Property]] = {}
    for kind, at, _ in _boxes(data, begin, end):
        if kind == b"ipma":
            for item, numbers in _associated(data, at):
                found.setdefault(item, []).extend(known[each - 1] for each in numbers if each)
    return found


def _associated(data: bytes, at: int) -> Iterator[tuple[int, list[int]]]:
    """Yield each item and the numbers of its properties, from 1, in the box ``ipma`` at `at`."""
    item, number = ">H" if data[at] == 0 else ">I", ">H" if data[at + 3] & 1 else ">B"
    step = struct.calcsize(number)
    essential = 1 << (8 * step - 1)  # not part of the number
    (entries,) = struct.unpack_from(">I", data, at + 4)
    at += 8
    for _ in range(min(entries, MOST_BOXES)):
        (named,) = struct.unpack_from(item, data, at)
        at += struct.calcsize(item)
        count = data[at]
        values = [struct.unpack_from(number, data, at + 1 + step * i)[0] for i in range(count)]
        yield named, [value & (essential - 1) for value in values]
        at += 1 + step * count


def _kinds(data: bytes, begin: int, end: int) -> dict[int, bytes]:
    """Return what each item is, from the box ``iinf``."""
    found = {}
    first = begin + (6 if data[begin] == 0 else 8)  # behind their count
    for kind, at, _ in _boxes(data, first, end):
        if kind == b"infe" and data[at] >= 2:
            item, _, what = struct.unpack_from(">HH4s" if data[at] == 2 else ">IH4s", data, at + 4)
            found[item] = what
    return found


def _references(data: bytes, begin: int, end: int) -> dict[tuple[bytes, int], tuple[int, ...]]:
    """Return what each item refers to, from the box ``iref``."""
    item = "H" if data[begin] == 0 else "I"
    found = {}
    for kind, at, _ in _boxes(data, begin + 4, end):
        source, count = struct.unpack_from(f">{item}H", data, at)
        found[kind, source] = struct.unpack_from(
            f">{count}{item}", data, at + struct.calcsize(f">{item}H")
        )
    return found


def _contents(data: bytes, at: int, beside: tuple[int, int]) -> dict[int, list[memoryview]]:
    """Return the parts of each item's data, from the box ``iloc`` at `at` and the box ``idat``."""
    version, sizes = data[at], int.from_bytes(data[at + 4 : at + 6])
    of_offset, of_length, of_base, of_index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    at += 6

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > len(data):
            raise IndexError
        return int.from_bytes(data[at - size : at])

    found = {}
    wide = 4 if version == 2 else 2
    for _ in range(min(number(wide), MOST_BOXES)):
        item = number(wide)
        place = number(2) & 15 if version else IN_FILE
        number(2)
        base = number(of_base)
        begin, end = (0, len(data)) if place == IN_FILE else beside
        parts = []
        count = number(2)
        for _ in range(min(count, MOST_BOXES)):
            number(of_index if version else 0)
            start = begin + base + number(of_offset)
            length = number(of_length) or end - start  # none stands for all
            if 0 <= length <= end - start:
                parts.append(memoryview(data)[start : start + length])
        if place in {IN_FILE, IN_META} and len(parts) == count:
            found[item] = parts
    return found


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
