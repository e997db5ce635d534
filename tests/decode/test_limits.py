"""Each limit on files and pictures: where it begins, and what is refused before any decoder."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image

import hashmatch as hm
from conftest import IMAGES, PHOTOGRAPHS, photograph
from hashmatch.decode import color, formats, jpeg, limits
from hostile_pictures import SEEDS, chunk, repeated_scans

JPEG = SEEDS["baseline.jpg"]


def refused(data: bytes) -> str:
    """Return why a picture is refused."""
    with pytest.raises(hm.ImageError) as caught:
        hm.decode_image(data)
    assert caught.value.outcome is hm.Outcome.REFUSED
    return caught.value.reason


@pytest.fixture
def no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every decoder away, so that what is refused is refused before one sees the file."""
    monkeypatch.setattr("hashmatch.decode.policy.open_image", pytest.fail)


@pytest.mark.usefixtures("no_decoder")
def test_scans_are_bounded() -> None:
    assert refused(repeated_scans(64, 101)) == "JPEG: more than 100 scans"
    assert refused(repeated_scans(64, 20_000)) == "JPEG: more than 100 scans"


def test_scans_are_counted_exactly() -> None:
    assert hm.decode_image(repeated_scans(64, 100)).pixels.shape == (64, 64, 3)
    assert hm.decode_image(repeated_scans(64, 99)).pixels.shape == (64, 64, 3)


def test_scans_of_what_is_inside_a_segment_do_not_count() -> None:
    progressive = SEEDS["progressive.jpg"]
    comment = b"\xff\xfe" + (2 + 1000).to_bytes(2) + b"\xff\xda" * 500
    first = progressive.index(b"\xff\xda")
    between = progressive.index(b"\xff\xc4", first)
    for at in (2, between):
        noted = progressive[:at] + comment + progressive[at:]
        limits.check_structure(noted, "JPEG")
        assert np.array_equal(hm.decode_image(noted).pixels, hm.decode_image(progressive).pixels)


@pytest.mark.usefixtures("no_decoder")
@pytest.mark.parametrize("filling", [b"\xff", b"\0", b"\xff\0", b"ab", b"\0\xff\xff"])
def test_padding_is_bounded(filling: bytes) -> None:
    most = limits.JPEG_PADDING_BYTES
    some = JPEG[:20] + filling * (most // len(filling) - 2) + JPEG[20:]
    limits.check_structure(some, "JPEG")
    for size in (most + 2, 4 * most, 2**23):
        many = JPEG[:20] + filling * (size // len(filling) + 1) + JPEG[20:]
        assert refused(many) == "JPEG: more than 65,536 bytes of padding"


@pytest.mark.usefixtures("no_decoder")
def test_segments_are_bounded() -> None:
    for segment in (b"\xff\xe0\0\2", b"\xff\xd0", b"\xff\xfe\0\3a"):
        limits.check_structure(JPEG[:20] + segment * 9_900 + JPEG[20:], "JPEG")
        flood = JPEG[:20] + segment * 10_001 + JPEG[20:]
        assert refused(flood) == "JPEG: more than 10,000 segments"


def test_chunks_are_bounded() -> None:
    png = SEEDS["original.png"]
    flood = chunk(b"teSt", b"") * 65_536
    assert refused(png[:33] + flood + png[33:]) == "PNG: more than 65,536 chunks"
    assert refused(png[:-12] + flood + png[-12:]) == "PNG: more than 65,536 chunks"
    large = png[:33] + chunk(b"teSt", bytes(2**20)) + png[33:]
    for data in (large, png + bytes(2**20)):  # nobody reads what is behind the end
        assert np.array_equal(hm.decode_image(data).pixels, hm.decode_image(png).pixels)


def test_blocks_are_bounded() -> None:
    gif = SEEDS["palette.gif"]
    start = 13 + (3 << (gif[10] & 7) + 1)
    flood = b"\x21\xfe\1a\0" * 40_000
    assert "65,536 blocks" in refused(gif[:start] + flood + gif[start:])
    some = gif[:start] + flood[:50_000] + gif[start:]
    assert np.array_equal(hm.decode_image(some).pixels, hm.decode_image(gif).pixels)


def test_no_ordinary_file_is_a_flood() -> None:
    for data in SEEDS.values():
        limits.check_structure(data, formats.identify(data))
    for key in PHOTOGRAPHS:
        data = photograph(key).read_bytes()
        limits.check_structure(data, formats.identify(data))


def test_cut_and_flipped_files_raise_nothing_else() -> None:
    chance = random.Random(5)
    for name in ("baseline.jpg", "progressive.jpg", "original.png", "palette.gif"):
        whole = SEEDS[name]
        for _ in range(200):
            data = bytearray(whole[: chance.randrange(len(whole))])
            for _ in range(min(4, len(data))):
                data[chance.randrange(len(data))] = chance.randrange(256)
            for kind in ("JPEG", "PNG", "GIF"):
                limits.check_structure(bytes(data), kind)


def test_giants_are_decoded_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WHOLE_JPEG_PIXELS", 10_000)
    monkeypatch.setattr(limits, "SCALED_JPEG_SIDE", 100)
    for size, factor in (((1600, 800), 8), ((1601, 799), 4), ((640, 400), 4), ((333, 150), 2)):
        picture = Image.effect_noise(size, 90).convert("RGB").resize((9, 9)).resize(size)
        for progressive in (False, True):
            file = io.BytesIO()
            picture.save(file, "JPEG", quality=95, progressive=progressive)
            small = hm.decode_image(file.getvalue()).pixels
            assert small.shape == (-(-size[1] // factor), -(-size[0] // factor), 3)
            mean = np.asarray(picture.reduce(factor)).astype(float)
            assert np.abs(small - mean).mean() < 3
    whole = IMAGES / "modes" / "exif-6.jpg"
    assert hm.decode_image(whole).pixels.shape[0] * 2 <= 2 * 330


def test_what_64_megapixels_hold_is_never_scaled() -> None:
    file = io.BytesIO()
    Image.new("L", (8000, 8000)).save(file, "JPEG")
    with Image.open(file) as image:
        jpeg.scale_down(image)
        assert image.size == (8000, 8000)


def test_progressive_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    Image.new("RGB", (1000, 1000)).save(file, "JPEG", progressive=True, subsampling=2)
    with Image.open(file) as image:
        assert jpeg.coefficient_bytes(image) == 3_000_000
    monkeypatch.setattr(limits, "JPEG_COEFFICIENT_BYTES", 2_900_000)
    assert "progressive: 2 MiB of coefficients" in refused(file.getvalue())


@pytest.mark.parametrize("name", sorted(SEEDS))
def test_large_pictures_become_rgb_by_bands_alike(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    at_once = hm.decode_image(SEEDS[name]).pixels
    monkeypatch.setattr(color, "LARGE", 100)
    monkeypatch.setattr(color, "BAND", 1000)
    assert np.array_equal(hm.decode_image(SEEDS[name]).pixels, at_once)
