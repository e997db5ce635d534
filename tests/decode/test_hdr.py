"""PQ and HLG are decoded to what a browser shows of them, not to their code values."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from pillow_heif import HeifImageFile

import hashmatch as hm
from hashmatch.decode import cicp
from hashmatch.testing import picture
from hdr_pictures import HLG, PQ, avif, brightest, chunk, codes, heic, png

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

#: What Chromium 156 shows of grey code values 0, 16, ... 240 in BT.2020, on an SDR display.
SHOWN = {
    PQ: (0, 1, 5, 15, 30, 48, 70, 98, 132, 175, 213, 237, 255, 255, 255, 255),
    HLG: (0, 3, 14, 29, 43, 57, 71, 85, 99, 115, 135, 160, 189, 212, 228, 243),
}
WRITERS = [avif, heic, png]


def off(one: hm.HashedImage, other: hm.HashedImage) -> int:
    """Return how many bits two hashes are apart."""
    return int(np.bitwise_count(one.hashes.words[0] ^ other.hashes.words[0]).sum())


@pytest.fixture(scope="module")
def pool() -> Any:
    with hm.DecodePool(workers=1) as started:
        yield started


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("write", WRITERS)
def test_grey_is_shown_as_browsers_do(write: Callable[..., bytes], transfer: int) -> None:
    grey = np.repeat(np.arange(0, 256, 16, dtype=np.uint8), 16)
    ramp = Image.fromarray(np.tile(grey[None, :, None], (64, 1, 3)))
    pixels = hm.decode_image(write(ramp, transfer)).pixels.astype(int)
    middles = pixels[32, 8::16]
    assert np.abs(middles - np.array(SHOWN[transfer])[:, None]).max() <= 3


#: The same of pictures that say how bright they are, in cd/m2.
SHOWN_OF = {
    (PQ, 100): (0, 2, 10, 25, 44, 69, 98, 135, 181, 238, 255, 255, 255, 255, 255, 255),
    (PQ, 470): (0, 1, 7, 21, 37, 59, 85, 117, 158, 208, 245, 255, 255, 255, 255, 255),
    (PQ, 4000): (0, 1, 5, 15, 30, 48, 70, 98, 132, 175, 202, 214, 226, 238, 250, 255),
    (HLG, 470): (0, 4, 19, 36, 53, 69, 86, 103, 119, 138, 161, 190, 225, 243, 254, 255),
    (HLG, 4000): (0, 3, 14, 29, 43, 57, 71, 85, 99, 115, 135, 160, 189, 201, 210, 218),
}


@pytest.mark.parametrize(("transfer", "nits"), SHOWN_OF)
@pytest.mark.parametrize("write", WRITERS)
def test_how_bright_a_picture_is_says_how_it_is_dimmed(
    write: Callable[..., bytes], transfer: int, nits: int, pool: hm.DecodePool
) -> None:
    grey = np.repeat(np.arange(0, 256, 16, dtype=np.uint8), 16)
    ramp = Image.fromarray(np.tile(grey[None, :, None], (64, 1, 3)))
    data = write(ramp, transfer)
    if write is png:
        files = [with_chunk(data, b"cLLI", nits), with_chunk(data, b"mDCV", nits)]
    else:
        files = [brightest(data, nits)]
    for file in files:
        there = pool.decode_image(file)
        for pixels in (hm.decode_image(file).pixels, there.pixels):
            difference = pixels[32, 8::16].astype(int) - np.array(SHOWN_OF[transfer, nits])[:, None]
            assert np.abs(difference).max() <= 4


def with_chunk(data: bytes, kind: bytes, nits: int) -> bytes:
    """Return a PNG that says so of its picture, or of the display that it was made on."""
    most = struct.pack(">I", nits * 10_000)
    body = most * 2 if kind == b"cLLI" else bytes(16) + most + bytes(4)
    return data[:33] + chunk(kind, body) + data[33:]


@pytest.mark.parametrize("write", WRITERS)
def test_light_beyond_the_peak_keeps_its_colour(write: Callable[..., bytes]) -> None:
    """Chromium 156 shows such a blue as that; cut off, it would be white."""
    blue = np.tile(np.array([220, 235, 250], np.uint8), (64, 64, 1))
    shown = hm.decode_image(write(Image.fromarray(blue), PQ)).pixels[32, 32]
    assert np.abs(shown.astype(int) - (106, 204, 255)).max() <= 8


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("write", WRITERS)
def test_a_picture_is_found_by_its_sdr_self(
    write: Callable[..., bytes], transfer: int, pool: hm.DecodePool
) -> None:
    distances = []
    for seed in range(6):
        pixels = picture(seed, 320, 240)
        data = write(codes(pixels, transfer), transfer)
        here, there = hm.hash_image(data), hm.hash_image(data, decode=pool)
        assert here.outcome is hm.Outcome.HASHED
        assert here.hex == there.hex
        assert here.quality == there.quality
        distances.append(off(here, hm.hash_image(pixels)))
    assert np.median(distances) <= 4
    assert max(distances) <= 16


def test_colours_come_out_as_they_went_in() -> None:
    """Half as bright, and in BT.2020 no more: below white the mapping only dims."""
    colours = np.array([[200, 40, 40], [40, 160, 60], [50, 60, 190], [180, 170, 40]], np.uint8)
    pixels = np.repeat(np.repeat(colours[None], 32, 1), 64, 0)
    for transfer in (PQ, HLG):
        shown = hm.decode_image(png(codes(pixels, transfer), transfer)).pixels[32, 16::32]
        linear = (colours / 255) ** 2.2 / 2
        assert np.abs(shown - 255 * linear ** (1 / 2.2)).max() <= 8


def test_dark_pictures_are_judged_by_what_is_seen() -> None:
    """Raw code values are so flat that their hash would count as one of low quality."""
    pixels = (picture(3, 320, 240)).astype(np.uint8)
    image = codes(pixels, PQ)
    assert hm.hash_image(avif(image, 13)).outcome is hm.Outcome.LOW_QUALITY
    assert hm.hash_image(avif(image, PQ)).outcome is hm.Outcome.HASHED


@pytest.mark.parametrize("write", WRITERS)
def test_every_way_in_gives_the_same_pixels(write: Callable[..., bytes], tmp_path: Any) -> None:
    data = write(codes(picture(5, 160, 120), PQ), PQ)
    path = tmp_path / "picture"
    path.write_bytes(data)
    expected = hm.decode_image(data).pixels
    opened = HeifImageFile(io.BytesIO(data)) if write is heic else Image.open(io.BytesIO(data))
    with opened:
        for way in (path, io.BytesIO(data), opened):
            assert (hm.decode_image(way).pixels == expected).all()


def test_transparency_is_laid_over_white_as_it_is_shown() -> None:
    image = codes(picture(4, 160, 120), PQ)
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, 80, 120))
    image.putalpha(alpha)
    pixels = hm.decode_image(png(image, PQ)).pixels
    assert (pixels[:, :80] == 255).all()
    opaque = hm.decode_image(png(image.convert("RGB"), PQ)).pixels
    assert (pixels[:, 80:] == opaque[:, 80:]).all()


def test_frames_of_an_animation_are_shown_alike() -> None:
    frames = [codes(picture(seed, 96, 80), PQ) for seed in (1, 2, 3)]
    for data in (
        png(frames[0], PQ, save_all=True, append_images=frames[1:]),
        avif(frames[0], PQ, save_all=True, append_images=frames[1:]),
    ):
        for seen, frame in zip(hm.decode_frames(data), frames, strict=True):
            expected = np.asarray(cicp.to_sdr(frame, cicp.Cicp(9, PQ))).astype(int)
            assert np.abs(seen.pixels - expected).mean() < 6


def test_other_primaries_and_grey() -> None:
    grey = np.repeat(picture(7, 160, 120)[..., :1], 3, 2)
    shown = [
        hm.decode_image(png(codes(grey, PQ), PQ, primaries)).pixels.astype(int)
        for primaries in (9, 12, 1, 250)
    ]
    assert all(np.abs(one - shown[0]).max() <= 2 for one in shown)
    image = codes(grey, PQ).convert("L")
    assert np.abs(hm.decode_image(png(image, PQ)).pixels - shown[0]).max() <= 2
    deep = Image.fromarray(np.asarray(image).astype(np.uint16) << 8)
    assert np.abs(hm.decode_image(png(deep, PQ)).pixels - shown[0]).max() <= 2


@pytest.mark.parametrize("transfer", [1, 2, 13, 99])
def test_other_transfers_stay_as_they_are(transfer: int) -> None:
    image = Image.fromarray(picture(8, 160, 120))
    expected: NDArray[np.uint8] = np.asarray(image)
    assert (hm.decode_image(png(image, transfer)).pixels == expected).all()


def test_what_is_broken_says_nothing_of_colour() -> None:
    image = Image.fromarray(picture(8, 160, 120))
    data = png(image, PQ)
    at = data.index(b"cICP")
    for broken in (
        data[:at] + b"cIcP" + data[at + 4 :],
        avif(image, PQ).replace(b"colr", b"free"),
        avif(image, PQ).replace(b"nclx", b"nclc"),
    ):
        assert hm.hash_image(broken).outcome in {hm.Outcome.HASHED, hm.Outcome.UNDECODABLE}
