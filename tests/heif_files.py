"""HEIF and AVIF in tiles, as cameras write them: a grid item over tiles that are coded alone."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

ESSENTIAL = {b"hvcC", b"av1C", b"irot", b"imir", b"clap"}
ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"


class Coded(NamedTuple):
    """A picture as one coded item: its kind, data and properties, each a box."""

    kind: bytes
    data: bytes
    properties: list[bytes]


def box(kind: bytes, *parts: bytes, version: int | None = None, flags: int = 0) -> bytes:
    body = b"".join(parts)
    if version is not None:
        body = struct.pack(">I", version << 24 | flags) + body
    return struct.pack(">I", len(body) + 8) + kind + body


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return kind and body of each box in `data`."""
    found, at = [], 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        size = size or len(data) - at
        found.append((kind, data[at + 8 : at + size]))
        at += size
    return found


def coded(tile: Any, format: str = "HEIF", **options: Any) -> Coded:
    """Return a tile, a Pillow image or a `pillow_heif.HeifFile`, as an encoder codes it."""
    from pillow_heif import from_pillow

    file = io.BytesIO()
    if format == "AVIF":
        tile.save(file, "AVIF", **{"speed": 10, "quality": 90, "subsampling": "4:4:4"} | options)
    else:
        made = from_pillow(tile) if isinstance(tile, Image.Image) else tile
        made.save(file, **{"quality": 90, "chroma": "444"} | options)
    data = file.getvalue()
    meta = dict(boxes(dict(boxes(data))[b"meta"][4:]))
    iloc = meta[b"iloc"]
    assert iloc[4] == 0x44, "offsets and lengths of four bytes"
    at = 8 + 4 + (iloc[5] >> 4)
    base = int.from_bytes(iloc[12:at])
    count, offset, length = struct.unpack_from(">HII", iloc, at)
    assert count == 1
    named = boxes(dict(boxes(meta[b"iprp"]))[b"ipco"])
    named.sort(key=lambda each: each[0] not in {b"hvcC", b"av1C"})
    kept = [box(*each) for each in named if each[0] in {b"hvcC", b"av1C", b"ispe", b"pixi"}]
    kind = b"av01" if format == "AVIF" else b"hvc1"
    return Coded(kind, data[base + offset : base + offset + length], kept)


def grid_file(
    tiles: Sequence[Coded],
    rows: int,
    columns: int,
    size: tuple[int, int],
    properties: Sequence[bytes] = (),
    alpha: Sequence[Coded] = (),
    kind: bytes = b"grid",
) -> bytes:
    """Return a file whose picture of `size`, width and height, is a grid of `tiles`, row by row.

    Tiles are all of one size, and used again from the first if there are fewer than places.
    `properties` are boxes of further ones of the grid, such as ``irot``; `alpha` are tiles of a
    second grid, which is the first one's transparency.
    """
    places = rows * columns
    grid = struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, *size)
    ispe = box(b"ispe", struct.pack(">II", *size), version=0)
    known: list[bytes] = []
    items: list[tuple[bytes, tuple[int, int], list[int]]] = []  # kind, place in data, properties
    references, data = b"", b""

    def number(property: bytes) -> int:
        if property not in known:
            known.append(property)
        return known.index(property) + 1

    def add(used: Sequence[Coded], others: Sequence[bytes]) -> int:
        nonlocal references, data
        begins = []
        for each in used:
            begins.append(len(data))
            data += each.data
        first = len(items) + 1
        for place in range(places):
            one = used[place % len(used)]
            numbers = [number(each) for each in one.properties]
            items.append((one.kind, (begins[place % len(used)], len(one.data)), numbers))
        items.append((kind, (len(data), len(grid)), [number(each) for each in (ispe, *others)]))
        data += grid
        of = struct.pack(f">HH{places}H", len(items), places, *range(first, first + places))
        references += box(b"dimg", of)
        return len(items)

    primary = add(tiles, properties)
    if alpha:
        second = add(alpha, [box(b"auxC", ALPHA, version=0)])
        references += box(b"auxl", struct.pack(">HHH", second, 1, primary))
    ipma = b"".join(
        struct.pack(">HB", item, len(numbers))
        + bytes(each | (0x80 if known[each - 1][4:8] in ESSENTIAL else 0) for each in numbers)
        for item, (_, _, numbers) in enumerate(items, 1)
    )

    def meta(first: int) -> bytes:
        iloc = b"".join(
            struct.pack(">HHHII", item, 0, 1, first + begin, length)
            for item, (_, (begin, length), _) in enumerate(items, 1)
        )
        infos = [
            box(b"infe", struct.pack(">HH4sB", item, 0, what, 0), version=2, flags=item != primary)
            for item, (what, _, _) in enumerate(items, 1)
        ]
        return box(
            b"meta",
            box(b"hdlr", struct.pack(">I4s12xB", 0, b"pict", 0), version=0),
            box(b"pitm", struct.pack(">H", primary), version=0),
            box(b"iloc", b"\x44\x00", struct.pack(">H", len(items)), iloc, version=0),
            box(b"iinf", struct.pack(">H", len(items)), *infos, version=0),
            box(b"iref", references, version=0),
            box(
                b"iprp",
                box(b"ipco", *known),
                box(b"ipma", struct.pack(">I", len(items)), ipma, version=0),
            ),
            version=0,
        )

    brand = b"avif" if tiles[0].kind == b"av01" else b"heic"
    start = box(b"ftyp", brand, bytes(4), b"mif1miaf", brand)
    first = len(start) + len(meta(0)) + 8
    return start + meta(first) + box(b"mdat", data)
