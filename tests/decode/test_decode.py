"""Decode policy rgb/2: every mode, every way in, every way a file can be broken."""

from __future__ import annotations

import io
import struct
import sys
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from pillow_heif import HeifImageFile

import hashmatch as hm
import processes
from conftest import IMAGES, PHOTOGRAPHS, photograph
from hashmatch.decode import formats, limits
from hashmatch.decode.jpeg import fast_pixels
from hashmatch.testing import picture

if TYPE_CHECKING:
    from pathlib import Path


def listed(name: str) -> list[dict[str, Any]]:
    import json

    rows: list[dict[str, Any]] = json.loads((IMAGES / f"{name}.json").read_text())
    return rows


def bits_apart(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def encoded(format: str, image: Image.Image | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image or Image.fromarray(picture(1, 96, 80))).save(buffer, format, **options)
    return buffer.getvalue()


def opened(path: Path) -> Image.Image:
    """Open a file as a host would, without registering HEIF with its Pillow."""
    return HeifImageFile(path) if path.suffix == ".heic" else Image.open(path)


@pytest.mark.parametrize("row", listed("modes"), ids=lambda row: row["file"])
def test_every_mode_decodes_as_its_original_by_every_way_in(row: dict[str, Any]) -> None:
    path = IMAGES / row["file"]
    original = hm.decode_image(IMAGES / row["original"])
    with opened(path) as pillow, opened(path) as loaded, path.open("rb") as file:
        loaded.load()
        ways: dict[str, Any] = {
            "path": path,
            "string": str(path),
            "bytes": path.read_bytes(),
            "memoryview": memoryview(path.read_bytes()),
            "file object": file,
            "Pillow image": pillow,
            "loaded Pillow image": loaded,
            "array": hm.decode_image(path).pixels,
        }
        pictures = {way: hm.decode_image(image) for way, image in ways.items()}
    pixels = pictures["path"].pixels
    for way, decoded in pictures.items():
        assert np.array_equal(decoded.pixels, pixels), way
        assert not decoded.damaged
        assert decoded.frame == 0
        assert decoded.media_type == (None if way == "array" else pictures["path"].media_type)
    assert pixels.shape == original.pixels.shape
    assert not row.get("exact") or np.array_equal(pixels, original.pixels)
    hashes = [hm.hash_image(array).hex for array in (pixels, original.pixels)]
    assert bits_apart(*hashes) <= row["max_bits"]


@pytest.mark.parametrize("row", listed("damaged"), ids=lambda row: row["file"])
def test_damaged_files(row: dict[str, Any]) -> None:
    hashed = hm.hash_image(IMAGES / row["file"])
    if row["max_bits"] is None:
        assert hashed.outcome in {hm.Outcome.UNDECODABLE, hm.Outcome.UNSUPPORTED}
        assert hashed.reason
    else:
        assert (
            bits_apart(hashed.hex, hm.hash_image(IMAGES / row["original"]).hex) <= row["max_bits"]
        )
        assert hashed.damaged == ("truncated" in row["file"])


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_each_format_is_read_and_named(format: str) -> None:
    decoded = hm.decode_image(encoded(format))
    assert decoded.media_type == formats.FORMATS[format]
    assert decoded.pixels.shape == (80, 96, 3)
    assert decoded.pixels.flags.c_contiguous


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_format_cut_off_anywhere_ends_in_an_outcome(format: str) -> None:
    whole = encoded(format)
    for tenth in range(10):
        hashed = hm.hash_image(whole[: len(whole) * tenth // 10], "dhash")
        assert hashed.outcome in {
            hm.Outcome.HASHED, hm.Outcome.LOW_QUALITY, hm.Outcome.UNDECODABLE,
            hm.Outcome.UNSUPPORTED,
        }  # fmt: skip
        assert hashed.reason or hashed.damaged
        assert "\n" not in hashed.reason


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_flipped_bits_end_in_an_outcome(format: str) -> None:
    whole = encoded(format)
    rng = np.random.default_rng(7)
    for _ in range(30):
        broken = bytearray(whole)
        for position in rng.integers(0, len(broken), 3):
            broken[position] ^= 1 << int(rng.integers(0, 8))
        assert isinstance(hm.hash_image(bytes(broken), "dhash").outcome, hm.Outcome)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_applied_once(format: str, orientation: int) -> None:
    plain = Image.new("RGB", (96, 80), "white")
    plain.paste("black", (0, 0, 30, 20))
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = hm.decode_image(encoded(format, plain, exif=exif)).pixels
    assert pixels.shape[:2] == ((96, 80) if orientation >= 5 else (80, 96))
    dark = [bool(pixels[y, x].max() < 128) for y, x in ((8, 8), (8, -9), (-9, 8), (-9, -9))]
    corner = {1: 0, 2: 1, 3: 3, 4: 2, 5: 0, 6: 1, 7: 3, 8: 2}[orientation]
    assert dark == [place == corner for place in range(4)]


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_the_fast_jpeg_decoder_gives_pillows_pixels(subsampling: int, progressive: bool) -> None:
    sizes = [(640, 480), (97, 131), (16, 16), (1, 1), (7, 300)]
    pictures = [picture(n, *size) for n, size in enumerate(sizes)]
    pictures += [hm.decode_image(photograph(key)).pixels for key in PHOTOGRAPHS[:8]]
    for number, pixels in enumerate(pictures):
        image = Image.fromarray(pixels).convert("RGB" if number % 4 else "L")
        for quality in (30, 80, 97):
            data = encoded(
                "JPEG", image, quality=quality, subsampling=subsampling, progressive=progressive
            )
            with Image.open(io.BytesIO(data)) as opened:
                fast = fast_pixels(data, opened)
                assert fast is not None
                assert np.array_equal(fast, np.asarray(opened.convert("RGB")))


def test_the_fast_decoder_leaves_the_rest_to_pillow() -> None:
    damaged = (IMAGES / "damaged/truncated.jpg").read_bytes()
    cmyk = (IMAGES / "modes/cmyk.jpg").read_bytes()
    for data in (damaged, cmyk, encoded("PNG")):
        with Image.open(io.BytesIO(data)) as image:
            assert fast_pixels(data, image) is None


def test_transparent_16_bit_gray_is_white() -> None:
    values = np.array([[0, 40000, 65535]], np.uint16)
    image = Image.fromarray(values)
    image.info["transparency"] = 0
    assert hm.decode_image(image).pixels[0, :, 0].tolist() == [255, 156, 255]


def gray_png(depth: int, samples: list[int], transparent: int) -> bytes:
    """Return one row of `samples` as gray of so many bits, one value of it transparent."""
    bits = "".join(f"{sample:0{depth}b}" for sample in samples)
    row = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))
    header = struct.pack(">IIBBBBB", len(samples), 1, depth, 0, 0, 0, 0)
    chunks = [
        (b"IHDR", header),
        (b"tRNS", struct.pack(">H", transparent)),
        (b"IDAT", zlib.compress(b"\0" + row)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_one_transparent_value_of_gray(depth: int) -> None:
    """A chunk of 14 bytes must not blank a picture: the other values stay."""
    largest = 2**depth - 1
    samples = [0, largest, largest // 3, 0]
    pixels = hm.decode_image(gray_png(depth, samples, 0)).pixels[0, :, 0].tolist()
    scaled = [sample >> 8 if depth == 16 else sample * 255 // largest for sample in samples]
    expected = [value if raw else 255 for raw, value in zip(samples, scaled, strict=True)]
    assert pixels == expected
    absent = hm.decode_image(gray_png(16, [0, 65535], 77)).pixels[0, :, 0].tolist()
    assert absent == [0, 255]


def test_an_orientation_in_xmp_is_not_heeded() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"/>'
    for format in ("JPEG", "PNG", "WEBP"):
        assert hm.decode_image(encoded(format, xmp=xmp)).pixels.shape[:2] == (80, 96)


HOST_WARNS = """
import io, sys, warnings
import hashmatch as hm
from PIL import Image
data = sys.stdin.buffer.read()
hm.decode_image(data)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    Image.open(io.BytesIO(data)).close()
assert any("Corrupt EXIF" in str(one.message) for one in said), said
"""


def test_damage_that_pillow_warns_of_is_no_error_where_warnings_are() -> None:
    """In the suite every warning is an error; a host may run so too."""
    data = bytearray((IMAGES / "modes/exif-8.jpg").read_bytes())
    at = data.index(b"Exif\0\0") + 10
    data[at : at + 4] = b"\xff\xff\xff\x7f"  # the directory is nowhere
    decoded = hm.decode_image(bytes(data))
    assert decoded.pixels.shape == (330, 250, 3)
    assert not decoded.damaged
    # The host's own decoding warns as before: in a process where no other thread changes filters.
    processes.run([sys.executable, "-c", HOST_WARNS], input=bytes(data))


@pytest.mark.parametrize("action", ["ignore", "error"])
def test_the_hosts_warnings_change_no_pixel(action: Any) -> None:
    entry = struct.pack("<HHIHH", 0x0112, 3, 2, 6, 6)  # a count of two, which Pillow warns of
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + b"\0\0\0\0"
    data = encoded("JPEG", exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        assert hm.decode_image(data).pixels.shape[:2] == (80, 96)


def test_tiff_says_how_its_gray_is_meant() -> None:
    values = np.linspace(0, 65535, 96 * 80).astype(np.uint16).reshape(80, 96)
    plain = hm.decode_image(encoded("TIFF", Image.fromarray(values))).pixels
    inverted = hm.decode_image(
        encoded("TIFF", Image.fromarray(65535 - values), tiffinfo={262: 0})
    ).pixels
    assert np.array_equal(plain, inverted)


def test_what_the_first_frame_of_a_gif_leaves_uncovered_is_white() -> None:
    data = bytearray(encoded("GIF", Image.new("L", (6, 4), 90)))
    place = data.index(b"\x2c")  # the image descriptor: left, top, width, height
    assert struct.unpack_from("<HHHH", data, place + 1) == (0, 0, 6, 4)
    struct.pack_into("<HH", data, 6, 9, 8)  # a larger canvas
    struct.pack_into("<HH", data, place + 1, 2, 3)
    expected = np.full((8, 9), 255)
    expected[3:7, 2:8] = 90
    assert np.array_equal(hm.decode_image(bytes(data)).pixels[..., 0], expected)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(hm.decode_image(image).pixels[..., 0], expected)


def test_files_are_known_by_more_than_their_first_letters() -> None:
    avif = bytearray(encoded("AVIF"))
    avif[8:12] = b"mif1"  # a brand of HEIF and AVIF alike; the others tell them apart
    assert hm.decode_image(bytes(avif)).media_type == "image/avif"
    assert hm.hash_image(b"BMW is a maker of cars").outcome is hm.Outcome.UNSUPPORTED


def test_memory_that_runs_out_while_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr("hashmatch.hashers.pdq.Pdq.hash", exhausted)
    assert hm.hash_image(picture(1)).outcome is hm.Outcome.REFUSED


def test_the_side_that_is_too_short_is_either() -> None:
    for size in ((23, 400), (400, 23)):
        assert hm.hash_image(picture(1, *size)).outcome is hm.Outcome.TOO_SMALL
    assert hm.hash_image(picture(1, 24, 24)).width == 24


def test_broken_exif_leaves_the_picture() -> None:
    data = encoded("PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert hm.decode_image(data).pixels.shape == (80, 96, 3)


@pytest.mark.parametrize(
    ("mode", "white", "gray"),
    [("I;16", 65535, 32768), ("I", 10**6, 500_000), ("F", 1.0, 0.5)],
)
def test_deep_pixels_come_down_by_value(mode: str, white: float, gray: float) -> None:
    dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
    values = np.array([[0, gray, white]], dtype)
    assert hm.decode_image(Image.fromarray(values)).pixels[0, :, 0].tolist() == [0, 128, 255]


def test_flat_and_boundless_float_pictures() -> None:
    flat = Image.fromarray(np.full((2, 2), 7, np.float32))
    assert not hm.decode_image(flat).pixels.any()
    wild = Image.fromarray(np.array([[np.nan, np.inf, 1.0, -1.0]], np.float32))
    assert hm.decode_image(wild).pixels[0, :, 0].tolist() == [0, 0, 255, 0]
    other = Image.fromarray(np.array([[-300.0, 0.0, 300.0]], np.float32))
    assert hm.decode_image(other).pixels[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "La", "RGBa"])
def test_transparency_goes_over_white(mode: str) -> None:
    clear = Image.new("LA" if mode in {"LA", "La", "PA"} else "RGBA", (4, 4), 0)
    if mode == "PA":
        clear = clear.convert("RGBA").quantize(4).convert("PA")
        clear.putalpha(0)
    elif mode in {"La", "RGBa"}:
        clear = clear.convert(mode)
    assert (hm.decode_image(clear).pixels == 255).all()


def test_a_pixel_layout_without_a_way_to_rgb() -> None:
    image = Image.new("RGB", (96, 96))
    image._mode = "XYZ"  # which Pillow may have one day
    hashed = hm.hash_image(image)
    assert hashed.outcome is hm.Outcome.UNSUPPORTED
    assert "XYZ" in hashed.reason


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def webp_header(width: int, height: int) -> bytes:
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + sizes
    return b"RIFF" + struct.pack("<I", len(body)) + body


def lossless_header(width: int, height: int) -> bytes:
    bits = (width - 1) | (height - 1) << 14
    body = b"WEBPVP8L" + struct.pack("<IBI", 5, 0x2F, bits) + b"\0" * 8
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (png_header(9000, 9000), 64),
        (webp_header(16000, 16000), 36),
        (lossless_header(16000, 16000), 36),
        (lossless_header(9, 16384), 0),
    ],
    ids=["png", "webp", "lossless", "narrow"],
)
def test_too_many_pixels_are_refused_from_the_header(data: bytes, limit: int) -> None:
    hashed = hm.hash_image(data)
    assert (hashed.outcome is hm.Outcome.REFUSED) == (limit > 0)
    assert limit == 0 or f"the limit is {limit}" in hashed.reason


def test_jpeg_limits_are_larger_and_progressive_ones_smaller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(limits.PIXELS, "JPEG", 8000)
    monkeypatch.setattr(limits, "PROGRESSIVE_JPEG_PIXELS", 7000)
    assert hm.hash_image(encoded("JPEG")).outcome is not hm.Outcome.REFUSED
    assert hm.hash_image(encoded("JPEG", progressive=True)).outcome is hm.Outcome.REFUSED


def test_run_lengths_have_a_limit_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RUN_LENGTH_BMP_PIXELS", 1000)
    assert hm.hash_image(IMAGES / "modes/runs.bmp").outcome is hm.Outcome.REFUSED
    assert hm.hash_image(IMAGES / "modes/rgb565.bmp").outcome is not hm.Outcome.REFUSED


def test_a_decoder_may_raise_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    for error, outcome in ((KeyError("x"), "undecodable"), (MemoryError(), "refused")):

        def broken(*args: object, raised: BaseException = error) -> None:
            raise raised

        monkeypatch.setitem(Image.OPEN, "PNG", (broken, Image.OPEN["PNG"][1]))
        assert hm.hash_image(encoded("PNG")).outcome == outcome
