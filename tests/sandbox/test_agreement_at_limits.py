"""Just below, at and just above each limit a worker and this process say the same of a file."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pillow_heif import from_pillow

import hashmatch as hm
from animations import Frame, apng, gif
from hashmatch.decode import limits
from hashmatch.decode.formats import FORMATS
from hashmatch.testing import picture
from heif_files import coded, grid_file
from hostile_pictures import chunk, repeated_scans
from small_limits import PATIENT, PIXELS, SMALL, SmallPool, agreed, seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def small_pool() -> Iterator[hm.DecodePool]:
    """Make all limits small, here and in the workers of a pool."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in SMALL.items():
            patched.setattr(limits, name, value)
        with SmallPool(1, PATIENT) as pool:
            yield pool


def refused(found: list[Any]) -> bool:
    return bool(found[0][0] == "refused")


def saved(format: str, width: int, height: int, frames: int = 1, **options: Any) -> bytes:
    """Return pictures of `width` x `height` as a file."""
    made = [Image.fromarray(picture(number, width, height)) for number in range(frames)]
    file = io.BytesIO()
    if format == "HEIF":
        container = from_pillow(made[0])
        for other in made[1:]:
            container.add_from_pillow(other)
        container.save(file, quality=50, **options)
    elif format == "JXL":
        from imagecodecs import jpegxl_encode

        arrays = [np.asarray(one) for one in made]
        file.write(jpegxl_encode(np.stack(arrays) if frames > 1 else arrays[0]))
    else:
        if frames > 1:
            options |= {"save_all": True, "append_images": made[1:]}
        made[0].save(file, format, **options)
    return file.getvalue()


@pytest.mark.parametrize("format", FORMATS)
def test_pixels_at_their_limit(small_pool: hm.DecodePool, format: str) -> None:
    most = SMALL["PIXELS"][format]
    for width in (60, 61, 150):
        height = most // width
        at = agreed(small_pool, saved(format, width, height))
        assert not refused(at)
        above = agreed(small_pool, saved(format, width, height + 1))
        assert refused(above)
        assert f"{format} of {width} x {height + 1} = 0 megapixels" in above[0][1]


@given(
    st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"]),
    st.integers(1, 160),
    st.integers(1, 160),
    st.integers(1, 8),
    st.integers(1, 3),
)
def test_any_size_turned_any_way(
    small_pool: hm.DecodePool, format: str, width: int, height: int, orientation: int, frames: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {} if format in {"BMP", "GIF"} else {"exif": exif}
    agreed(
        small_pool,
        saved(format, width, height, 1 if format in {"BMP", "JPEG"} else frames, **options),
    )


@pytest.mark.parametrize(("width", "height"), [(139, 138), (137, 139), (157, 121), (159, 119)])
def test_jpegs_whose_halved_sides_are_rounded_up(
    small_pool: hm.DecodePool, width: int, height: int
) -> None:
    """Half of 139 x 138 is 70 x 69, which is more than a quarter of the pixels there may be."""
    shape = agreed(small_pool, saved("JPEG", width, height))[0][0]
    assert shape == (-(-height // 2), -(-width // 2), 3)
    assert shape[0] * shape[1] <= limits.most_decoded_pixels()
    assert width != 139 or shape[0] * shape[1] > SMALL["PIXELS"]["JPEG"] / 4


def run_length_bmp(width: int, height: int) -> bytes:
    """Return a BMP of one colour, each row as runs of up to 255 pixels."""
    row = b"".join(bytes([min(255, width - at), 1]) for at in range(0, width, 255)) + b"\0\0"
    body, table = row * height + b"\0\1", bytes(4 * 256)
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 256, 0)
    start = 14 + len(head) + len(table)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + table + body


def in_front(data: bytes, extra: bytes, at: int) -> bytes:
    return data[:at] + extra + data[at:]


BASELINE = saved("JPEG", 40, 30)
PNG = saved("PNG", 40, 30)
GIF = saved("GIF", 40, 30)
TILE = Image.fromarray(picture(3, 64, 64))


def in_tiles(rows: int, columns: int, size: tuple[int, int], height: int = 64) -> bytes:
    return grid_file([coded(TILE.resize((64, height)))], rows, columns, size)


GIF_START = 13 + (3 << (GIF[10] & 7) + 1)
#: The limit, and a file with so much more of it than there may be: -1, 0 or 1.
EDGES: dict[str, Callable[[int], bytes]] = {
    "bytes": lambda more: PNG + bytes(SMALL["MAX_BYTES"] + more - len(PNG)),
    "progressive pixels": lambda more: saved(
        "JPEG", 120, 120 + more, progressive=True, subsampling=2
    ),
    "run-length pixels": lambda more: run_length_bmp(40, 25 + more),
    "tiled pixels": lambda more: in_tiles(2, 2, (120, 120 + more)),
    "pixels of a tile": lambda more: in_tiles(2, 2, (120, 100), 64 + more),
    "tiles": lambda more: in_tiles(1, 6 + more, (64 * (6 + more), 30)),
    "coefficients": lambda more: saved("JPEG", 100, 100 + more, progressive=True, subsampling=0),
    "scans": lambda more: repeated_scans(60, 20 + more),
    "segments": lambda more: in_front(
        BASELINE, b"\xff\xe1\0\2" * (50 + more - segments(BASELINE)), 20
    ),
    "padding": lambda more: in_front(BASELINE, bytes(100 + more), 20),
    "chunks": lambda more: in_front(PNG, chunk(b"teSt", b"") * (40 + more - chunks(PNG)), 33),
    "blocks": lambda more: in_front(GIF, b"\x21\xfe\0" * (30 + more), GIF_START),
}


def segments(data: bytes) -> int:
    """Return how many segments a JPEG has up to its first scan, that one included."""
    count, at = 1, 2
    while data[at + 1] != 0xDA:
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
        count += 1
    return count


def chunks(data: bytes) -> int:
    count, at = 0, 8
    while at < len(data):
        at += 12 + struct.unpack_from(">I", data, at)[0]
        count += 1
    return count


@pytest.mark.parametrize("name", EDGES)
def test_just_below_at_and_just_above(small_pool: hm.DecodePool, name: str) -> None:
    verdicts = [refused(agreed(small_pool, EDGES[name](more))) for more in (-1, 0, 1)]
    assert verdicts == [False, False, True]


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "AVIF", "TIFF", "HEIF"])
@pytest.mark.parametrize("most", [1, 2, 4, 5, 2**40])
def test_frames_and_pages(small_pool: hm.DecodePool, format: str, most: int) -> None:
    """A reach of 6,000 pixels is five frames of 1,200; of pages three are looked for."""
    for frames in (1, 2, 4, 5, 6):
        found = agreed(small_pool, saved(format, 40, 30, frames), most)
        there = min(frames, {"TIFF": 3, "HEIF": 99}.get(format, 5))
        assert len(found) == min(there, most)
        assert found[-1][-1] == (there - 1 if most > 1 else 0)


def test_frames_that_are_hardly_anything(small_pool: hm.DecodePool) -> None:
    """They count for 100 pixels each; a PNG of so many has more chunks than it may have."""
    pixels = np.full((5, 5, 4), 255, np.uint8)
    for count in (1, 59, 60, 61, 150):
        made = [Frame(0, 0, pixels * np.uint8(number % 2)) for number in range(count)]
        assert len(agreed(small_pool, gif(5, 5, made), 1000)) == min(count, 60)
        assert refused(agreed(small_pool, apng(5, 5, made), 1000)) == (count > 1)


def test_reasons_are_one_printable_line(
    small_pool: hm.DecodePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("cut\n off \x1b[2J" + "x" * 5000)

    monkeypatch.setitem(Image.OPEN, "PNG", (broken, Image.OPEN["PNG"][1]))
    ((outcome, reason),) = seen(lambda: [hm.decode_image(PNG)])
    assert outcome == "undecodable"
    assert reason.startswith("PNG: cut off \ufffd[2Jxxx")
    assert len(reason) <= 1000


def test_arrays_are_left_as_they_are(small_pool: hm.DecodePool) -> None:
    for height in (60, 61):
        array = np.zeros((height, PIXELS // 60, 3), np.uint8)
        here = seen(lambda array=array: [hm.decode_image(array)])  # type: ignore[misc]
        assert seen(lambda array=array: [small_pool.decode_image(array)]) == here  # type: ignore[misc]
        assert refused(here) == (height == 61)
