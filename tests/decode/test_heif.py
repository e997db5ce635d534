"""HEIF through its extra: turned once, limited before pixels exist, named where it is missing."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pillow_heif import HeifImageFile, from_bytes, from_pillow

import hashmatch as hm
from conftest import IMAGES
from hashmatch.decode import formats
from hashmatch.errors import install
from hashmatch.testing import picture

HEIC = (IMAGES / "modes/picture.heic").read_bytes()


def encoded(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    from_pillow(image).save(buffer, quality=90, chroma="444", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(orientation: int) -> None:
    plain = Image.new("RGB", (96, 80), "white")
    plain.paste("black", (0, 0, 30, 20))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(plain, exif=exif.tobytes())  # becomes irot and imir; the EXIF stays beside them
    with HeifImageFile(io.BytesIO(data)) as image:
        for way in (data, image):
            pixels = hm.decode_image(way).pixels
            assert pixels.shape[:2] == ((96, 80) if orientation >= 5 else (80, 96))
            dark = [bool(pixels[y, x].max() < 128) for y, x in ((8, 8), (8, -9), (-9, 8), (-9, -9))]
            corner = {1: 0, 2: 1, 3: 3, 4: 2, 5: 0, 6: 1, 7: 3, 8: 2}[orientation]
            assert dark == [place == corner for place in range(4)]


def test_only_the_files_own_transformation_counts() -> None:
    """The EXIF orientation of a HEIF is a copy of it, and readers do not apply it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = bytearray(encoded(Image.new("RGB", (96, 80)), exif=exif.tobytes()))
    turn = data.index(b"irot") + 4
    assert data[turn] == 3
    data[turn] = 0
    assert hm.decode_image(bytes(data)).pixels.shape[:2] == (80, 96)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "RGBa"])
def test_layouts(mode: str) -> None:
    image = Image.fromarray(picture(5, 96, 80)).convert("RGBA")
    image.putalpha(128)
    if mode[-1] not in "Aa":
        image.putalpha(255)
    colour = hm.decode_image(image).pixels.astype(int)
    image = image.convert(mode)
    decoded = hm.decode_image(encoded(image)).pixels
    if mode[0] == "L":
        colour = hm.decode_image(image).pixels.astype(int)
    assert np.abs(decoded - colour).mean() < 6


@pytest.mark.parametrize("mode", ["L;16", "RGB;16", "RGBA;16"])
def test_ten_bits_come_down_by_value(mode: str) -> None:
    ramp = np.linspace(0, 65535, 96 * 80).astype(np.uint16).reshape(80, 96)
    bands = {"L": 1, "RGB": 3, "RGBA": 4}[mode[:-3]]
    samples = ramp if bands == 1 else np.repeat(ramp[:, :, None], bands, 2)
    if bands == 4:
        samples[..., 3] = 65535
    buffer = io.BytesIO()
    from_bytes(mode, (96, 80), samples.tobytes()).save(buffer, quality=-1, chroma="444")
    pixels = hm.decode_image(buffer.getvalue()).pixels
    assert np.abs(pixels - (ramp >> 8)[..., None].astype(int)).max() <= 3


def test_too_many_pixels_are_refused_from_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    huge = bytearray(HEIC)
    size = huge.index(b"ispe") + 8
    huge[size : size + 8] = (9000).to_bytes(4, "big") * 2
    monkeypatch.setattr(HeifImageFile, "load", None)  # so that no pixel can be asked for
    hashed = hm.hash_image(bytes(huge))
    assert hashed.outcome is hm.Outcome.REFUSED
    assert "81 megapixels, the limit is 64" in hashed.reason


def test_pixels_beyond_the_headers_word_are_refused() -> None:
    """The picture inside may be larger than the header says, which the decoder must not follow."""
    sly = bytearray(HEIC)
    size = sly.index(b"ispe") + 8
    sly[size : size + 8] = (100).to_bytes(4, "big") * 2
    assert hm.hash_image(bytes(sly)).outcome is hm.Outcome.UNDECODABLE


def test_a_format_cut_off_anywhere_ends_in_an_outcome() -> None:
    """No black picture is made of what is missing."""
    for tenth in range(10):
        data = HEIC[: len(HEIC) * tenth // 10]
        assert hm.hash_image(data).outcome is hm.Outcome.UNDECODABLE
    rng = np.random.default_rng(3)
    for _ in range(40):
        broken = bytearray(HEIC)
        for position in rng.integers(0, len(broken), 3):
            broken[position] ^= 1 << int(rng.integers(0, 8))
        assert isinstance(hm.hash_image(bytes(broken), "dhash").outcome, hm.Outcome)


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_the_extra_is_named_where_it_is_missing(
    brand: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(formats.FORMATS, "HEIF")
    hashed = hm.hash_image(HEIC[:8] + brand + HEIC[12:])
    assert hashed.outcome is hm.Outcome.UNSUPPORTED
    assert install("heif") in hashed.reason


def test_brands_tell_it_from_its_siblings() -> None:
    assert formats.is_heif(HEIC)
    assert formats.is_heif(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic")
    for other in (
        b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif",
        b"\0\0\0\x18ftypisom\0\0\0\0isommp42",
        b"",
    ):
        assert not formats.is_heif(other)
    assert formats.brands(b"\0\0\0\x14ftypheic\0\0\0\0mif1avif") == {b"heic", b"mif1"}


def test_nothing_is_registered_with_the_hosts_pillow() -> None:
    code = (
        "import hashmatch, PIL.Image as I\n"
        "assert hashmatch.hash_image('fixtures/images/modes/picture.heic').hex\n"
        "print('HEIF' in I.OPEN, 'HEIF' in I.ID, '.heic' in I.registered_extensions())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False"] * 3
