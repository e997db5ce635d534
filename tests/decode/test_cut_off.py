"""Files cut off anywhere: whole, ``damaged`` where pixels are missing, or ``undecodable``."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import hashmatch as hm
from hashmatch.testing import picture

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH, HEIGHT = 96, 66
PICTURE = Image.fromarray(picture(3, WIDTH, HEIGHT).clip(2, 250))
FILES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "JPEG": ("JPEG", "RGB", {}),
    "progressive JPEG": ("JPEG", "RGB", {"progressive": True}),
    "gray JPEG": ("JPEG", "L", {}),
    "JPEG of inks": ("JPEG", "CMYK", {}),
    "PNG": ("PNG", "RGB", {}),
    "PNG with a palette": ("PNG", "P", {}),
    "transparent PNG": ("PNG", "RGBA", {}),
    "GIF": ("GIF", "RGB", {}),
    "BMP": ("BMP", "RGB", {}),
    "TIFF": ("TIFF", "RGB", {}),
    "TIFF of inks": ("TIFF", "CMYK", {}),
    "TIFF by LZW": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "WebP": ("WEBP", "RGB", {}),
}
JPEGS = [name for name in FILES if "JPEG" in name]


@pytest.fixture(scope="module")
def pool() -> Iterator[hm.DecodePool]:
    with hm.DecodePool(1) as pool:
        yield pool


def saved(name: str) -> bytes:
    format, mode, options = FILES[name]
    buffer = io.BytesIO()
    PICTURE.convert(mode).save(buffer, format, **options)
    return buffer.getvalue()


def scans(jpeg: bytes) -> list[int]:
    """Return where the data of each scan begin."""
    found, at = [], 0
    while (at := jpeg.find(b"\xff\xda", at) + 2) > 1:
        at += struct.unpack_from(">H", jpeg, at)[0]
        found.append(at)
    return found


def first_pixels(name: str, data: bytes) -> int:
    """Return where the data of pixels begin in a file of `saved`."""
    if "JPEG" in name:
        return scans(data)[0]
    if "PNG" in name:
        return data.index(b"IDAT") + 4
    if name == "WebP":
        return data.index(b"VP8 ") + 8
    if name == "BMP":
        (offset,) = struct.unpack_from("<I", data, 10)
        return int(offset)
    with Image.open(io.BytesIO(data)) as image:
        tags = getattr(image, "tag_v2", None)
        return int(tags[273][0] if tags else image.tile[0].offset)


def seen(data: bytes, pool: hm.DecodePool) -> tuple[hm.Outcome, bool]:
    """Return the outcome of `data` and whether it is damaged, here and in the pool."""
    here = hm.hash_image(data, min_quality=0)
    there = hm.hash_image(data, min_quality=0, decode=pool)
    assert (here.outcome, here.damaged) == (there.outcome, there.damaged)
    assert here.outcome is not hm.Outcome.HASHED or here.hex == there.hex
    return here.outcome, here.damaged


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_a_pixel_is_undecodable(name: str, pool: hm.DecodePool) -> None:
    data = saved(name)
    assert seen(data, pool) == (hm.Outcome.HASHED, False)
    for cut in (first_pixels(name, data), first_pixels(name, data) + 1):
        assert seen(data[:cut], pool) == (hm.Outcome.UNDECODABLE, False), cut


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_is_never_taken_for_whole(name: str) -> None:
    data = saved(name)
    whole = hm.decode_image(data).pixels
    outcomes = set()
    for cut in (*range(30, len(data), max(1, len(data) // 80)), *range(len(data) - 30, len(data))):
        hashed = hm.hash_image(data[:cut], min_quality=0)
        if hashed.outcome is hm.Outcome.UNDECODABLE:
            continue
        found = hm.decode_image(data[:cut])
        assert found.damaged or np.array_equal(found.pixels, whole), cut
        assert np.ptp(found.pixels) > 0, cut  # gray or black would be a picture of nothing
        outcomes.add(found.damaged)
    if name not in {"WebP", "TIFF by LZW"}:
        assert True in outcomes


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("kept", [0, 1])
def test_a_jpeg_that_lacks_its_end_alone_is_whole(
    name: str, kept: int, pool: hm.DecodePool
) -> None:
    data = saved(name)
    assert seen(data[: len(data) - 2 + kept], pool) == (hm.Outcome.HASHED, False)
    assert seen(data[:-5], pool) == (hm.Outcome.HASHED, True)


def test_a_progressive_jpeg_that_lacks_scans_is_damaged_and_seen(pool: hm.DecodePool) -> None:
    data = saved("progressive JPEG")
    first = data.index(b"\xff\xc4", scans(data)[0])
    (length,) = struct.unpack_from(">H", data, first + 2)
    coarse = np.asarray(PICTURE.resize((12, 8), Image.Resampling.BOX), np.int16)
    for cut in (first, first + 1, first + 3, first + 10, first + 2 + length):
        assert seen(data[:cut], pool) == (hm.Outcome.HASHED, True), cut
        shown = Image.fromarray(hm.decode_image(data[:cut]).pixels)
        small = np.asarray(shown.resize((12, 8), Image.Resampling.BOX), np.int16)
        assert np.abs(small - coarse).mean() < 16, cut


def of_runs(body: bytes) -> bytes:
    """Return a BMP of `WIDTH` x `HEIGHT` in runs of 8 bits."""
    palette = bytes(range(256)) * 4
    offset = 54 + len(palette)
    head = struct.pack(
        "<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 8, 1, len(body), 0, 0, 256, 0
    )  # fmt: skip
    return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + head + palette + body


def test_runs_of_a_bmp_that_are_broken_at_once_are_undecodable(pool: hm.DecodePool) -> None:
    for body in (b"", b"\0", b"\0\0" * 5, b"\0\2"):
        assert seen(of_runs(body), pool)[0] is hm.Outcome.UNDECODABLE, body


def test_strips_beyond_the_end_are_undecodable(pool: hm.DecodePool) -> None:
    for name in ("TIFF", "TIFF of inks", "TIFF by LZW"):
        data = bytearray(saved(name))
        with Image.open(io.BytesIO(data)) as image:
            offsets: tuple[int, ...] = image.tag_v2[273]  # type: ignore[attr-defined]
        at = data.index(struct.pack("<HHI", 273, 4, len(offsets)))
        if len(offsets) > 1:
            (at,) = struct.unpack_from("<I", data, at + 8)
        else:
            at += 8
        for number in range(len(offsets)):
            struct.pack_into("<I", data, at + 4 * number, 2 * len(data))
        assert seen(bytes(data), pool) == (hm.Outcome.UNDECODABLE, False), name


def test_a_gif_whose_first_block_is_broken_is_undecodable(pool: hm.DecodePool) -> None:
    data = saved("GIF")
    begin = first_pixels("GIF", data)
    for body in (b"\0;", b"\1\xff\0;", b"\4\xff\xff\xff\xff\0;"):
        assert seen(data[:begin] + body, pool) == (hm.Outcome.UNDECODABLE, False), body


def test_a_png_with_a_broken_stream_is_undecodable(pool: hm.DecodePool) -> None:
    data = bytearray(saved("PNG"))
    begin = first_pixels("PNG", bytes(data))
    data[begin : begin + 40] = b"\xff" * 40
    assert seen(bytes(data), pool) == (hm.Outcome.UNDECODABLE, False)


def test_an_open_image_of_which_nothing_is_seen_is_undecodable() -> None:
    for name in ("JPEG", "PNG", "BMP", "GIF"):
        data = saved(name)
        with Image.open(io.BytesIO(data[: first_pixels(name, data) + 1])) as image:
            hashed = hm.hash_image(image, min_quality=0)
        assert hashed.outcome is hm.Outcome.UNDECODABLE, name
