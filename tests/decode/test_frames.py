"""Animations and pages: put together as browsers do, sampled, bounded, by every way in."""

from __future__ import annotations

import io
import struct
import tracemalloc
from contextlib import suppress
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pillow_heif import HeifImageFile, from_pillow

import hashmatch as hm
from animations import Frame, apng, gif, played
from conftest import IMAGES
from hashmatch.decode import formats, limits
from hashmatch.decode.animation import decode_frames, sample_indices
from hashmatch.decode.gif import frame_rects
from hashmatch.testing import picture

SIZE = (40, 30)


def solid(shade: int, width: int = 40, height: int = 30, alpha: int = 255) -> Any:
    return np.full((height, width, 4), (shade, shade, shade, alpha), np.uint8)


def shades(count: int, after: int = 0) -> list[Frame]:
    return [Frame(0, 0, solid(10 + 5 * number), after=after) for number in range(count)]


def animated(format: str, count: int = 5, **options: Any) -> bytes:
    """Return an animation or document of as many turned pictures."""
    pictures = [Image.fromarray(np.rot90(picture(4, 64, 64), n)) for n in range(count)]
    buffer = io.BytesIO()
    if format == "HEIF":
        file = from_pillow(pictures[0])
        for other in pictures[1:]:
            file.add_from_pillow(other)
        file.save(buffer, quality=90, **options)
    else:
        pictures[0].save(buffer, format, save_all=True, append_images=pictures[1:], **options)
    return buffer.getvalue()


ANIMATED = {
    "GIF": animated("GIF"),
    "PNG": animated("PNG"),
    "WEBP": animated("WEBP", lossless=True),
    "AVIF": animated("AVIF", quality=90),
    "TIFF": animated("TIFF"),
    "HEIF": animated("HEIF"),
}


def opened(format: str, data: bytes) -> Any:
    return (HeifImageFile if format == "HEIF" else Image.open)(io.BytesIO(data))


@st.composite
def patches(draw: st.DrawFn, binary: bool) -> list[Frame]:
    """Draw some frames: the first one covers the canvas of a PNG, all others lie anywhere."""
    made = []
    for number in range(draw(st.integers(1, 5))):
        whole = number == 0 and not binary
        width, height = SIZE if whole else (draw(st.integers(1, 40)), draw(st.integers(1, 30)))
        left = 0 if whole else draw(st.integers(0, 40 - width))
        top = 0 if whole else draw(st.integers(0, 30 - height))
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        pixels = rng.integers(0, 5, (height, width, 4), np.uint8) * np.uint8(63)
        alphas = (0, 255, 255) if binary else (0, 100, 255)
        pixels[..., 3] = rng.choice(np.array(alphas, np.uint8), (height, width))
        over = binary or draw(st.booleans())
        made.append(Frame(left, top, pixels, over, draw(st.integers(0, 2))))
    return made


@given(patches(binary=True))
def test_gif_frames_are_what_a_browser_shows(made: list[Frame]) -> None:
    pictures = list(decode_frames(gif(*SIZE, made)))
    assert [picture.frame for picture in pictures] == list(range(len(made)))
    for decoded, expected in zip(pictures, played(*SIZE, made), strict=True):
        assert np.array_equal(decoded.pixels, expected)
        assert not decoded.damaged


@given(patches(binary=False))
def test_png_frames_are_what_a_browser_shows(made: list[Frame]) -> None:
    pictures = list(decode_frames(apng(*SIZE, made)))
    for decoded, expected in zip(pictures, played(*SIZE, made), strict=True):
        assert np.abs(decoded.pixels - expected).max() <= 2  # rounded after each of five frames


@pytest.mark.parametrize("format", list(ANIMATED))
def test_the_first_frame_is_the_decoded_image_by_every_way_in(format: str) -> None:
    data = ANIMATED[format]
    decoded = list(decode_frames(data))
    assert [each.frame for each in decoded] == [0, 1, 2, 3, 4]
    first = hm.decode_image(data)
    assert np.array_equal(decoded[0].pixels, first.pixels)
    for turns, each in enumerate(decoded):
        assert each.media_type == first.media_type == formats.FORMATS[format]
        assert not each.damaged
        assert each.pixels.flags.c_contiguous
        difference = each.pixels.astype(int) - np.rot90(picture(4, 64, 64), turns)
        assert np.abs(difference).mean() < (30 if format == "GIF" else 10)
    with opened(format, data) as image:
        for way in (io.BytesIO(data), memoryview(data), image):
            again = list(decode_frames(way))
            assert [each.frame for each in again] == [0, 1, 2, 3, 4]
            for one, other in zip(decoded, again, strict=True):
                assert np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("ends_early", [False, True])
@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("format", list(ANIMATED))
def test_an_open_image_is_left_as_it_was(
    format: str, place: int, loaded: bool, ends_early: bool
) -> None:
    with opened(format, ANIMATED[format]) as image, opened(format, ANIMATED[format]) as twin:
        for each in (image, twin):
            each.seek(place)
            if loaded:
                each.load()
                each.paste(0, (0, 0, 9, 9))
        pictures = decode_frames(image)
        first = next(pictures)
        assert first.frame == 0
        if place:
            expected = hm.decode_image(ANIMATED[format]).pixels
            assert np.array_equal(first.pixels, expected)
        if ends_early:
            next(pictures)
            pictures.close()  # type: ignore[attr-defined]
        else:
            assert len(list(pictures)) == 4
        assert image.tell() == place
        assert image.mode == twin.mode
        assert image.tobytes() == twin.tobytes()
        image.seek(place + 1)
        twin.seek(place + 1)
        assert image.convert("RGB").tobytes() == twin.convert("RGB").tobytes()


@given(st.integers(1, 300), st.integers(1, 40))
def test_samples_are_even_and_hold_both_ends(count: int, most: int) -> None:
    numbers = list(sample_indices(count, most))
    assert len(numbers) == min(count, most)
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 0
    assert most == 1 or numbers[-1] == count - 1
    steps = {after - before for before, after in pairwise(numbers)}
    assert not steps or max(steps) - min(steps) <= 1


def test_a_long_animation_is_sampled() -> None:
    made = [Frame(0, 0, solid(number)) for number in range(100)]
    for data in (gif(*SIZE, made), apng(*SIZE, made)):
        pictures = list(decode_frames(data))
        assert [each.frame for each in pictures] == [0, 14, 28, 42, 56, 70, 84, 99]
        assert [int(each.pixels[0, 0, 0]) for each in pictures] == [
            0, 14, 28, 42, 56, 70, 84, 99,
        ]  # fmt: skip
        assert len(list(decode_frames(data, most=1000))) == 100
        assert [each.frame for each in decode_frames(data, most=1)] == [0]
    with pytest.raises(hm.UsageError, match="Ask for 1 at least"):
        decode_frames(data, most=0)


@pytest.mark.parametrize(
    "image",
    [IMAGES / "modes/baseline.jpg", IMAGES / "modes/picture.heic", picture(1)],
    ids=["jpeg", "heic", "array"],
)
def test_a_still_picture_is_one(image: Any) -> None:
    (only,) = decode_frames(image)
    assert np.array_equal(only.pixels, hm.decode_image(image).pixels)


def test_of_a_jpeg_with_more_pictures_the_first_is_given() -> None:
    data = animated("MPO")
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "MPO"
        for way in (data, image):
            (only,) = decode_frames(way)
            assert only.media_type == "image/jpeg"


def test_an_image_whose_file_is_closed_gives_what_it_holds() -> None:
    file = io.BytesIO(ANIMATED["GIF"])
    image = Image.open(file)
    image.load()
    file.close()
    assert [each.frame for each in decode_frames(image)] == [0]


def test_a_default_image_apart_from_the_animation() -> None:
    """Viewers without animation show it, the others never do: both sides are to be seen."""
    made = shades(3)
    data = apng(*SIZE, made, default=solid(200))
    for way in (data, Image.open(io.BytesIO(data))):
        decoded = list(decode_frames(way))
        assert [each.frame for each in decoded] == [0, 1, 2, 3]
        assert [int(each.pixels[3, 3, 0]) for each in decoded] == [200, 10, 15, 20]


def test_nobody_plays_frames_without_the_control_chunk() -> None:
    data = apng(*SIZE, shades(3)).replace(b"acTL", b"abCD")
    assert len(list(decode_frames(data))) == 1


def test_an_orientation_turns_every_frame() -> None:
    from animations import chunk

    exif = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0112, 3, 1, 6) + b"\0\0\0\0"
    made = [*shades(2), Frame(0, 0, solid(0, 10, 5))]
    decoded = list(decode_frames(apng(*SIZE, made, extra=chunk(b"eXIf", exif))))
    assert [each.pixels.shape for each in decoded] == [(40, 30, 3)] * 3
    assert (decoded[2].pixels[:10, -5:] == 0).all()
    assert (decoded[2].pixels[:, :-5] == 15).all()


def test_pages_may_differ_in_size_and_mode() -> None:
    buffer = io.BytesIO()
    gray, deep = np.arange(1200, dtype=np.uint8).reshape(30, 40), picture(2, 50, 20)
    with tifffile.TiffWriter(buffer, bigtiff=True) as writer:
        writer.write(gray, metadata=None)
        writer.write(deep.astype(np.uint16) * 257, photometric="rgb", metadata=None)
        writer.write(gray > 99, photometric="miniswhite", metadata=None)
    decoded = [each.pixels for each in decode_frames(buffer.getvalue())]
    assert np.array_equal(decoded[0][..., 0], gray)
    assert np.array_equal(decoded[1], deep)
    assert np.array_equal(decoded[2][..., 0] == 0, gray > 99)


def test_a_page_that_cannot_be_read_hides_none_behind_it() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for level, kind in ((50, np.uint8), (70, np.complex64), (90, np.uint8)):
            writer.write(np.full((9, 9), level, kind), photometric="minisblack", metadata=None)
    decoded = list(decode_frames(buffer.getvalue()))
    assert [int(each.pixels[0, 0, 0]) for each in decoded] == [50, 50, 90]
    assert [each.damaged for each in decoded] == [False, True, False]


def test_pages_in_a_ring_end() -> None:
    data = bytearray(animated("TIFF", 3))
    order = "<" if data[:1] == b"I" else ">"
    places = []
    (place,) = struct.unpack_from(f"{order}I", data, 4)
    while place:
        places.append(place)
        (entries,) = struct.unpack_from(f"{order}H", data, place)
        behind = place + 2 + 12 * entries
        (place,) = struct.unpack_from(f"{order}I", data, behind)
    struct.pack_into(f"{order}I", data, behind, places[1])
    assert [each.frame for each in decode_frames(bytes(data))] == [0, 1, 2]


def test_the_primary_picture_of_a_heif_comes_first() -> None:
    file = from_pillow(Image.fromarray(picture(1, 64, 64)))
    file.add_from_pillow(Image.fromarray(picture(2, 80, 48)))
    file.add_from_pillow(Image.fromarray(picture(3, 96, 32)))
    buffer = io.BytesIO()
    file.save(buffer, primary_index=1)
    data = buffer.getvalue()
    with HeifImageFile(io.BytesIO(data)) as image:
        assert image.tell() == 1
        for way in (data, image):
            assert [(each.frame, each.pixels.shape[1]) for each in decode_frames(way)] == [
                (0, 80), (1, 64), (2, 96),
            ]  # fmt: skip
        assert hm.decode_image(image).frame == hm.decode_image(data).frame == 0


@pytest.mark.parametrize("format", ["GIF", "PNG", "TIFF"])
def test_a_file_cut_off_keeps_the_frames_before(format: str) -> None:
    whole = ANIMATED[format]
    sound = list(decode_frames(whole))
    cut = whole[: len(whole) * 7 // 10]
    decoded = list(decode_frames(cut))
    assert 3 <= len(decoded) <= 5
    assert not decoded[0].damaged
    assert decoded[-1].damaged
    for one, other in zip(sound, decoded, strict=False):
        assert other.damaged or np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("format", list(ANIMATED))
def test_flipped_bits_end_in_pictures_or_an_outcome(format: str) -> None:
    rng = np.random.default_rng(11)
    for _ in range(25):
        broken = bytearray(ANIMATED[format])
        for position in rng.integers(0, len(broken), 3):
            broken[position] ^= 1 << int(rng.integers(0, 8))
        with suppress(hm.ImageError):
            assert 1 <= len(list(decode_frames(bytes(broken)))) <= 8


def test_a_frame_that_cannot_be_read_repeats_what_was_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from PIL.WebPImagePlugin import WebPImageFile

    load = WebPImageFile.load

    def broken(self: Any) -> Any:
        if self.tell() == 2:
            raise EOFError("failed to decode next frame")
        return load(self)

    monkeypatch.setattr(WebPImageFile, "load", broken)
    decoded = list(decode_frames(ANIMATED["WEBP"]))
    assert [each.damaged for each in decoded] == [False, False, True]
    assert np.array_equal(decoded[1].pixels, decoded[2].pixels)


@pytest.mark.parametrize("format", list(ANIMATED))
def test_memory_that_runs_out_is_not_taken_for_damage(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame that is as it should be must not be told as a broken one by a small machine."""
    pictures = decode_frames(ANIMATED[format])
    assert not next(pictures).damaged

    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "load", exhausted)
    with pytest.raises(hm.ImageError, match="not enough memory") as caught:
        next(pictures)
    assert caught.value.outcome is hm.Outcome.REFUSED


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "AVIF"])
def test_no_more_is_decoded_than_the_reach(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FRAME_REACH_PIXELS", 3 * limits.FRAME_LEAST_PIXELS)
    assert [each.frame for each in decode_frames(ANIMATED[format])] == [0, 1, 2]


def test_frames_beyond_counting_are_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    one = gif(1, 1, [Frame(0, 0, solid(9, 1, 1))])
    many = one[:13] + one[13:-1] * 100_000
    monkeypatch.setattr(limits, "FRAME_REACH_PIXELS", 50 * limits.FRAME_LEAST_PIXELS)
    assert [each.frame for each in decode_frames(many)][-1] == 49
    assert len(list(frame_rects(many, most_blocks=20))) <= 20
    monkeypatch.setattr(limits, "TIFF_PAGES", 2)
    assert [each.frame for each in decode_frames(ANIMATED["TIFF"])] == [0, 1]


def test_one_frame_is_held_at_a_time() -> None:
    made = [Frame(0, 0, solid(number, 500, 400)) for number in range(20)]
    data = apng(500, 400, made)
    next(decode_frames(data))
    tracemalloc.start()
    for each in decode_frames(data, most=20):
        del each
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 500 * 400 * 3  # of twenty


def test_a_gif_is_refused_before_its_canvas_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow fills it when it opens the file, as far as the host's own limit allows."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    data = bytearray(gif(9, 9, [Frame(0, 0, solid(9, 9, 9), after=1)]))
    place = data.index(b"\x2c\0\0\0\0") + 5
    data[place : place + 4] = b"\xff" * 4
    hashed = hm.hash_image(bytes(data))
    assert hashed.outcome is hm.Outcome.REFUSED
    assert "the limit is 64" in hashed.reason
