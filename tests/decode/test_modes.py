"""Pixel layouts that Pillow alone would misread, each against the values it was made of."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import hashmatch as hm
from hashmatch.testing import picture

COLOUR = picture(3, 97, 66)
GRAY = np.asarray(Image.fromarray(COLOUR).convert("L")).copy()
GRAY[0, :2] = 0, 255  # the stretched layouts need the full range


def tiff(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, metadata=None, **options)
    return buffer.getvalue()


def png(array: Any, depth: int, colour: int, transparent: bytes = b"") -> bytes:
    """Return a PNG of samples that fill whole bytes, one row after the other."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    height, width = array.shape[:2]
    header = struct.pack(
        ">IIBBBBB", width * 8 // depth if depth < 8 else width, height, depth, colour, 0, 0, 0
    )
    rows = b"".join(b"\0" + row.tobytes() for row in array)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    if transparent:
        chunks.insert(1, (b"tRNS", transparent))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def both_ways(data: bytes) -> Any:
    """Return the pixels of a file, once it is sure that Pillow's image of it gives the same."""
    pixels = hm.decode_image(data).pixels
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(hm.decode_image(image).pixels, pixels)
    return pixels


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (GRAY.astype(np.uint32) * 16_843_009, {}),
        (GRAY.astype(np.int32) * 8_000_000 - 2**30, {}),
        ((GRAY.astype(np.int32) * 257 - 2**15).astype(np.int16), {}),
        (GRAY.view(np.int8) ^ np.int8(-128), {}),
        (GRAY / np.float32(255), {"byteorder": ">"}),
        (1 - GRAY / np.float32(255), {"photometric": "miniswhite"}),
        (65535 - GRAY.astype(np.uint16) * 257, {"photometric": "miniswhite"}),
        (GRAY.astype(np.uint16) * 257, {"tile": (32, 32)}),
        (GRAY.astype(np.uint16) * 257, {"byteorder": ">", "compression": "zlib"}),
    ],
    ids=["u4", "i4", "i2", "i1", "f4", "f4-inverted", "u2-inverted", "u2-tiled", "u2-deflated"],
)
def test_numbers_of_a_tiff_are_signed_and_inverted_as_it_says(values: Any, options: Any) -> None:
    assert np.array_equal(both_ways(tiff(values, **options))[..., 0], GRAY)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_deep_samples_in_separate_planes_are_not_taken_for_pixels(compression: str | None) -> None:
    planes = np.moveaxis(COLOUR.astype(np.uint16) * 257, 2, 0).copy()
    data = tiff(planes, photometric="rgb", planarconfig="separate", compression=compression)
    assert np.array_equal(both_ways(data), COLOUR)
    plain = np.moveaxis(COLOUR, 2, 0).copy()
    data = tiff(plain, photometric="rgb", planarconfig="separate", compression=compression)
    assert np.array_equal(both_ways(data), COLOUR)


@pytest.mark.parametrize("depth", [2, 4])
def test_the_transparent_value_of_few_bits(depth: int) -> None:
    packed = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pixels = both_ways(png(packed, depth, 0, struct.pack(">H", 1)))[..., 0]
    samples = np.unpackbits(packed, axis=1).reshape(16, -1, depth)
    values = samples @ (2 ** np.arange(depth)[::-1])
    assert np.array_equal(pixels, np.where(values == 1, 255, values * 255 // (2**depth - 1)))


@pytest.mark.parametrize(
    ("widen", "transparent"), [(257, 257), (256, 256), (257, 1), (257, 258)], ids=str
)
def test_the_transparent_colour_of_16_bits(widen: int, transparent: int) -> None:
    """A colour that the decoded high bytes cannot tell from its neighbours blanks nothing."""
    colour = COLOUR[5, 7].astype(np.uint16)
    chosen = struct.pack(">HHH", *(colour * transparent))
    pixels = both_ways(png((COLOUR.astype(np.uint16) * widen).astype(">u2"), 16, 2, chosen))
    expected = COLOUR.copy()
    if transparent == widen:
        expected[(COLOUR[5, 7] == COLOUR).all(axis=2)] = 255
    assert np.array_equal(pixels, expected)


def test_inks_without_a_marker_are_inverted_too() -> None:
    """Browsers take every CMYK JPEG for Adobe's, marked or not, and so does Pillow."""
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).convert("CMYK").save(buffer, "JPEG", quality=95)
    marked = buffer.getvalue()
    start = marked.index(b"\xff\xee")
    (length,) = struct.unpack_from(">H", marked, start + 2)
    bare = marked[:start] + marked[start + 2 + length :]
    assert b"Adobe" not in bare
    assert np.array_equal(both_ways(bare), both_ways(marked))
