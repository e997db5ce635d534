"""Giant pictures in tiles: a HEIF or AVIF of more pixels than its decoder may hold at once.

Cameras write a picture of many megapixels as a grid of tiles that are coded alone (ISO/IEC
23008-12, 6.6.2.3). Each becomes a file of its own, for the same decoder, and what it shows is made
smaller and put in its place; so the memory is that of a tile and of the smaller picture.
"""

from __future__ import annotations

import io
import struct
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageFile

from hashmatch.decode import cicp, isobmff, limits
from hashmatch.decode.exif import orientation_of
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch.decode.isobmff import Items, Property

TILED = "TILED"
"""What such a picture calls its format."""
ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
"""What the property ``auxC`` calls transparency (ISO/IEC 23000-22 and 23008-12)."""
MOST = 16
"""To make sides smaller by: sums of so many pixels a side fit into 16 bits."""
OF_THE_WHOLE = {isobmff.CLEAN_APERTURE, isobmff.ROTATION, isobmff.MIRROR, b"auxC"}
"""Properties of a tile that do not count in a grid, or mean nothing without it."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A picture of `width` x `height` pixels, and the numbers of its tiles, row by row."""

    rows: int
    columns: int
    width: int
    height: int
    tiles: tuple[int, ...]


def grid(found: Items, item: int) -> Grid | None:
    """Return the grid that an item is; None if it is none. Raises one of `isobmff.BROKEN`."""
    parts = found.content.get(item)
    if found.kinds.get(item) != b"grid" or not parts:
        return None
    body = b"".join(parts)
    width, height = struct.unpack_from(">II" if body[1] & 1 else ">HH", body, 4)
    return Grid(body[2] + 1, body[3] + 1, width, height, found.references[b"dimg", item])


def of_giant(data: bytes, most: int) -> Items | None:
    """Return the items of a file whose picture is a grid of more than `most` pixels; else None."""
    try:
        found = isobmff.items(data)
        picture = grid(found, found.primary)
    except isobmff.BROKEN:
        return None
    return found if picture and picture.width * picture.height > most else None


class TiledImageFile(ImageFile.ImageFile):
    """A grid as Pillow has other files, cropped, turned and mirrored as it is shown.

    `found` are the items of the file `data`, and `reader` is what opens it and each of its tiles.
    """

    format = TILED
    format_description = "HEIF or AVIF in tiles"

    def __init__(self, data: bytes, found: Items, reader: Any) -> None:
        self._data, self._found, self._reader = data, found, reader
        super().__init__(io.BytesIO(data), "")

    def _open(self) -> None:
        with closing(self._reader(io.BytesIO(self._data), "")) as whole:
            cicp.put_beside(whole, self._data)
            self._mode, self.info = whole.mode, whole.info
            raw = getattr(whole, "_decoder", None)  # of an AVIF
        if raw is not None:
            exif = self.info.pop("exif", b"")  # in which Pillow puts the file's own turn
            self.info["original_orientation"] = orientation_of(raw.get_info()[4] or exif)
        found = self._found
        self._grid = _checked_grid(found, found.primary)
        done = found.properties.get(found.primary, [])
        self._shown = isobmff.shown(self._grid.width, self._grid.height, done)
        self._turns = [each for each in done if each[0] in {isobmff.ROTATION, isobmff.MIRROR}]
        self._by = 1
        self._size = self._sides()
        self.tile = [ImageFile._Tile("tiles", (0, 0, *self._size), 0, None)]

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> None:
        """Have it made smaller, by a whole number, to no less than `size`."""
        if size is not None:
            by = min(self.width // max(size[0], 1), self.height // max(size[1], 1))
            self._by = max(1, min(by, MOST))
            self._size = self._sides()

    def load(self) -> Any:
        """Decode it tile by tile."""
        if self.tile:
            pixels = self._reduced(self._grid, self._found.primary)
            if self.mode in {"LA", "RGBA"}:
                pixels = np.dstack([pixels, self._alpha()])
            elif self.mode not in {"L", "RGB"}:
                raise ImageError(Outcome.UNSUPPORTED, f"a grid of mode {self.mode} is not read")
            decoded = Image.fromarray(isobmff.transformed(pixels, self._turns))
            self.im, self._mode, self.tile = decoded.im, decoded.mode, []
        return Image.Image.load(self)

    def _sides(self) -> tuple[int, int]:
        height, width = (-(-(side.stop - side.start) // self._by) for side in self._shown)
        turned = sum(body[0] & 1 for kind, body in self._turns if kind == isobmff.ROTATION) % 2
        return (height, width) if turned else (width, height)

    def _alpha(self) -> NDArray[np.uint8]:
        found = self._found
        for (kind, item), of in found.references.items():
            names = [body[4:] for name, body in found.properties.get(item, []) if name == b"auxC"]
            if kind == b"auxl" and found.primary in of and names and names[0].startswith(ALPHA):
                alpha = _checked_grid(found, item)
                if (alpha.width, alpha.height) == (self._grid.width, self._grid.height):
                    return self._reduced(alpha, item)[..., 0]
        raise ImageError(Outcome.UNSUPPORTED, "a grid with transparency of another size")

    def _reduced(self, tiles: Grid, item: int) -> NDArray[np.uint8]:
        """Return the part of a grid that is shown, each pixel the mean of those it stands for."""
        by, (rows, columns) = self._by, self._shown
        sides = (-(-(side.stop - side.start) // by) for side in self._shown)
        sums = np.zeros((*sides, 3), np.uint16)
        colours = [each for each in self._found.properties.get(item, []) if _is_nclx(each)]
        width, height = _tile_size(self._found, tiles)
        for place, tile in enumerate(tiles.tiles):
            top, left = place // tiles.columns * height, place % tiles.columns * width
            inside = _overlap(rows, top, height), _overlap(columns, left, width)
            if inside[0] is None or inside[1] is None:
                continue
            with closing(self._reader(io.BytesIO(self._file_of(tile, colours)), "")) as image:
                if image.size != (width, height):
                    raise ValueError("tiles are not all of one size")
                image.load()
                pixels = np.asarray(image.convert("RGB"))[inside]
            above, before = max(top - rows.start, 0), max(left - columns.start, 0)
            part = _sums(pixels, above, before, by)
            into = sums[above // by :, before // by :][: part.shape[0], : part.shape[1]]
            into += part
        counts = [np.bincount(np.arange(side.stop - side.start) // by) for side in self._shown]
        each = np.multiply.outer(*counts)[..., None].astype(np.uint16)
        sums += each // 2
        sums //= each
        return sums.astype(np.uint8)

    def _file_of(self, tile: int, colours: list[Property]) -> bytes:
        """Return a file whose only picture is a tile; `colours` hold instead of its own."""
        found = self._found
        own = [each for each in found.properties[tile] if each[0] not in OF_THE_WHOLE]
        known = [each for each in own if each[0] != b"colr"]
        known += colours or [each for each in own if _is_nclx(each)]
        return single_item_file(self._data, found.kinds[tile], known, found.content[tile])


def single_item_file(
    data: bytes, kind: bytes, known: list[Property], parts: list[memoryview]
) -> bytes:
    """Return a file of the type of `data` with one item, of a kind, properties and content."""
    length = sum(map(len, parts))
    start = data[: struct.unpack_from(">I", data)[0]]
    essential = bytes(
        number | (0x80 if name[2:] == b"vcC" or name == b"av1C" else 0)
        for number, (name, _) in enumerate(known, 1)
    )

    def meta(offset: int) -> bytes:
        return _box(
            b"meta",
            bytes(4),
            _box(b"hdlr", bytes(8), b"pict", bytes(13)),
            _box(b"pitm", struct.pack(">IH", 0, 1)),
            _box(b"iloc", struct.pack(">I2B4H2I", 0, 0x44, 0, 1, 1, 0, 1, offset, length)),
            _box(
                b"iinf",
                struct.pack(">IH", 0, 1),
                _box(b"infe", struct.pack(">B3x2H4sx", 2, 1, 0, kind)),
            ),
            _box(
                b"iprp",
                _box(b"ipco", *(_box(*each) for each in known)),
                _box(b"ipma", struct.pack(">2IHB", 0, 1, 1, len(known)), essential),
            ),
        )

    offset = len(start) + len(meta(0)) + 8
    return b"".join([start, meta(offset), _box(b"mdat", *parts)])


def _box(kind: bytes, *parts: bytes | memoryview) -> bytes:
    return b"".join([struct.pack(">I4s", 8 + sum(map(len, parts)), kind), *parts])


def _is_nclx(each: Property) -> bool:
    return each[0] == b"colr" and each[1][:4] == b"nclx"


def _tile_size(found: Items, tiles: Grid) -> tuple[int, int]:
    """Return the width and height that the first tile says it has."""
    body = next(body for name, body in found.properties[tiles.tiles[0]] if name == b"ispe")
    width, height = struct.unpack_from(">II", body, 4)
    return width, height


def _checked_grid(found: Items, item: int) -> Grid:
    """Return the grid that an item is, if its tiles are all there and cover it.

    Raises ImageError, ``unsupported`` if it is none, ``refused`` if it is more than may be decoded;
    ValueError if it is broken.
    """
    tiles = grid(found, item)
    if tiles is None:
        raise ImageError(Outcome.UNSUPPORTED, "a grid with transparency that is none")
    if len(tiles.tiles) != tiles.rows * tiles.columns:
        raise ValueError("there are not as many tiles as places for them")
    if len(tiles.tiles) > limits.TILES:
        raise ImageError(Outcome.REFUSED, f"a picture in more than {limits.TILES:,} tiles")
    if not all(found.content.get(tile) for tile in tiles.tiles):
        raise ValueError("the data of a tile are missing")
    width, height = _tile_size(found, tiles)
    if width * height > limits.TILE_PIXELS:
        raise ImageError(Outcome.REFUSED, f"tiles of {width} x {height} pixels")
    if width * tiles.columns < tiles.width or height * tiles.rows < tiles.height:
        raise ValueError("tiles do not cover their picture")
    return tiles


def _overlap(kept: slice, begin: int, length: int) -> slice | None:
    """Return which of `length` rows or columns from `begin` on are kept; None if none are."""
    first, last = max(kept.start - begin, 0), min(kept.stop - begin, length)
    return slice(first, last) if first < last else None


def _sums(pixels: NDArray[np.uint8], top: int, left: int, by: int) -> NDArray[np.uint16]:
    """Return the sums of squares of `by` pixels a side, of which the first may begin before."""
    height, width = pixels.shape[:2]
    rows = np.maximum(np.arange(top // by, (top + height - 1) // by + 1) * by - top, 0)
    columns = np.maximum(np.arange(left // by, (left + width - 1) // by + 1) * by - left, 0)
    summed = np.add.reduceat(pixels, rows, axis=0, dtype=np.uint16)
    return np.add.reduceat(summed, columns, axis=1, dtype=np.uint16)
