"""Giants in tiles: decoded tile by tile and smaller, to the means of what a whole decode gives."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from pillow_heif import HeifImageFile, from_bytes

import hashmatch as hm
from hashmatch.decode import limits
from hashmatch.testing import picture
from heif_files import Coded, box, coded, grid_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMATS = ["HEIF", "AVIF"]
SIDE = 96
WIDE = 460, 250
"""Width and height of most grids here, which end within their last tiles."""
ROWS, COLUMNS = 3, 5
IROT, IMIR = (
    [box(b"irot", bytes([n])) for n in range(4)],
    [box(b"imir", bytes([n])) for n in (0, 1)],
)
SMALL = limits.PIXELS | {"HEIF": 9_000, "AVIF": 9_000}


def clap(width: int, height: int, across: int, down: int) -> bytes:
    """Return a clean aperture, its middle so many half pixels from the picture's."""
    return box(b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, across, 2, down, 2))


def tiles(format: str, mode: str = "RGB", side: int = SIDE, **options: Any) -> list[Coded]:
    whole = Image.fromarray(picture(7, COLUMNS * side, ROWS * side)).convert(mode)
    return [
        coded(whole.crop((x, y, x + side, y + side)), format, **options)
        for y in range(0, whole.height, side)
        for x in range(0, whole.width, side)
    ]


def means(pixels: NDArray[np.uint8], by: int) -> NDArray[np.float64]:
    """Return the naive mean of each square of `by` pixels a side."""
    made = [
        [pixels[y : y + by, x : x + by].mean(axis=(0, 1)) for x in range(0, pixels.shape[1], by)]
        for y in range(0, pixels.shape[0], by)
    ]
    return np.array(made)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PIXELS", SMALL)


def compared(
    monkeypatch: pytest.MonkeyPatch, data: bytes, side: int = 60, most: float = 0.51
) -> NDArray[np.uint8]:
    """Return what a giant becomes, whose means it must be, at no less than `side`."""
    whole = hm.decode_image(data).pixels
    monkeypatch.setattr(limits, "PIXELS", SMALL)
    monkeypatch.setattr(limits, "SCALED_JPEG_SIDE", side)
    found = hm.decode_image(data)
    assert not found.damaged
    shortest = min(whole.shape[:2])
    by = next((by for by in (8, 4) if shortest // by >= side), 2)
    assert found.pixels.shape[:2] == tuple(-(-length // by) for length in whole.shape[:2])
    difference = np.abs(found.pixels - means(whole, by))
    assert difference.max() <= most
    return found.pixels


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("side", [31, 60, 200])
def test_each_pixel_is_the_mean_of_those_it_stands_for(
    format: str, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = grid_file(tiles(format), ROWS, COLUMNS, WIDE)
    compared(monkeypatch, data, side)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("length", [70, 100])
def test_tiles_that_no_factor_divides(
    format: str, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = grid_file(tiles(format, side=length), ROWS, COLUMNS, (5 * length - 9, 3 * length - 7))
    compared(monkeypatch, data, 25)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_gray_and_transparent(format: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alpha = []
    if mode == "RGBA":
        levels = [Image.new("L", (SIDE, SIDE), 255 - 30 * n) for n in range(8)]
        alpha = [coded(each, format) for each in levels]
    data = grid_file(tiles(format, "L" if mode == "L" else "RGB"), ROWS, COLUMNS, WIDE, alpha=alpha)
    compared(monkeypatch, data, most=1.2)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "done",
    [
        (IROT[1],),
        (IROT[2],),
        (IROT[3], IMIR[0]),
        (IMIR[1],),
        (clap(300, 200, 2, -4),),
        (clap(304, 200, -42, 34), IROT[1], IMIR[1]),
        (clap(104, 96, -40, 20), IROT[3]),
    ],
)
def test_cropped_turned_and_mirrored(
    format: str, done: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = grid_file(tiles(format), ROWS, COLUMNS, (464, 256), done)
    compared(monkeypatch, data, side=60)


def test_turns_of_a_tile_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    turned = [each._replace(properties=[*each.properties, IROT[1]]) for each in tiles("HEIF")]
    plain = compared(monkeypatch, grid_file(tiles("HEIF"), ROWS, COLUMNS, WIDE))
    found = hm.decode_image(grid_file(turned, ROWS, COLUMNS, WIDE)).pixels
    assert np.array_equal(found, plain)


def test_ten_bits_of_hdr(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each tile 10 bits; brought to SDR once they are smaller."""
    ramp = np.linspace(9_000, 40_000, SIDE * SIDE).astype("<u2").reshape(SIDE, SIDE)
    deep = from_bytes("RGB;16", (SIDE, SIDE), np.repeat(ramp[..., None], 3, 2).tobytes())
    tile = coded(deep)
    nclx = box(b"colr", b"nclx", struct.pack(">HHHB", 9, 16, 9, 0x80))
    data = grid_file([tile], ROWS, COLUMNS, WIDE, [nclx])
    plain = grid_file([tile], ROWS, COLUMNS, WIDE)
    found = compared(monkeypatch, data, most=2)
    assert np.abs(found - hm.decode_image(plain).pixels.astype(int)).mean() > 10


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("format", FORMATS)
def test_a_giant_whose_tile_is_missing_is_undecodable(format: str) -> None:
    made = tiles(format)
    made[7] = made[7]._replace(data=b"")
    broken = tiles(format)
    broken[7] = broken[7]._replace(data=b"\xff" * len(broken[7].data))
    data = grid_file(tiles(format), ROWS, COLUMNS, WIDE)
    for cut in (grid_file(made, ROWS, COLUMNS, WIDE), data[: len(data) * 2 // 3]):
        with pytest.raises(hm.ImageError) as error:
            hm.decode_image(cut)
        assert error.value.outcome is hm.Outcome.UNDECODABLE
    with pytest.raises(hm.ImageError) as error:
        hm.decode_image(grid_file(broken, ROWS, COLUMNS, WIDE))
    assert error.value.outcome is hm.Outcome.UNDECODABLE


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("format", FORMATS)
def test_what_tiles_may_not_be(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tiles(format)

    def outcome(data: bytes) -> str:
        with pytest.raises(hm.ImageError) as error:
            hm.decode_image(data)
        return error.value.outcome

    whole = grid_file(made, ROWS, COLUMNS, WIDE)
    assert outcome(grid_file(made, ROWS, COLUMNS, (COLUMNS * SIDE + 1, 250))) == "undecodable"
    odd = [*made[:9], tiles(format, side=64)[0], *made[10:]]
    assert outcome(grid_file(odd, ROWS, COLUMNS, WIDE)) == "undecodable"
    many = whole.replace(struct.pack(">BBBB", 0, 1, ROWS - 1, COLUMNS - 1), b"\0\1\2\5")
    assert outcome(many) == "undecodable"
    assert outcome(grid_file(made, ROWS, COLUMNS, WIDE, kind=b"iovl")) in {"refused", "undecodable"}
    for name in ("TILED_PIXELS", "TILE_PIXELS", "TILES"):
        with monkeypatch.context() as patch:
            patch.setattr(limits, name, 10)
            assert outcome(whole) == "refused"


def test_what_may_be_held_at_once_is_decoded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    data = grid_file(tiles("HEIF"), ROWS, COLUMNS, WIDE)
    with HeifImageFile(io.BytesIO(data)) as image:
        whole = np.asarray(image)
    assert np.array_equal(hm.decode_image(data).pixels, whole)
    monkeypatch.setattr(limits, "PIXELS", limits.PIXELS | {"HEIF": WIDE[0] * WIDE[1]})
    assert np.array_equal(hm.decode_image(data).pixels, whole)
