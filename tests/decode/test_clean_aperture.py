"""The clean aperture of an AVIF, cut out in its order with turns and mirrors."""

from __future__ import annotations

import io
import itertools
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, features

import hashmatch as hm
from hashmatch.decode.animation import decode_all
from hashmatch.sandbox.pool import DecodePool
from hashmatch.testing import picture
from icc_profiles import P3, rgb_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

pytestmark = pytest.mark.skipif(not features.check("avif"), reason="Pillow has no AVIF")

WIDTH, HEIGHT = 96, 64
PIXELS = picture(5, WIDTH, HEIGHT)
NESTED = {b"meta", b"iprp", b"ipco", b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"av01"}
BEFORE = {b"meta": 4, b"stsd": 8, b"av01": 78}
"""Bytes of a box before the boxes in it."""


def saved(**options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "AVIF", quality=100, subsampling="4:4:4", **options)
    return file.getvalue()


def changed(data: bytes, change: Callable[[bytes, bytes], bytes]) -> bytes:
    """Return boxes with each body as `change`, given kind and body, makes it."""
    made, at = [], 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + (size or len(data))]
        if kind in NESTED:
            first = BEFORE.get(kind, 0)
            body = body[:first] + changed(body[first:], change)
        body = change(kind, body)
        made.append(struct.pack(">I", len(body) + 8) + kind + body)
        at += size or len(data)
    return b"".join(made)


def with_properties(data: bytes, *added: tuple[bytes, bytes]) -> bytes:
    """Return an AVIF whose first item has further properties, in this order."""
    boxes = [struct.pack(">I", len(body) + 8) + kind + body for kind, body in added]
    known = 0

    def add(kind: bytes, body: bytes) -> bytes:
        nonlocal known
        if kind == b"ipco":
            at = 0
            while at < len(body):
                at += struct.unpack_from(">I", body, at)[0]
                known += 1
            return body + b"".join(boxes)
        if kind == b"ipma":
            numbers = bytes(0x80 | known + 1 + number for number in range(len(boxes)))
            end = 11 + body[10]
            count = bytes([body[10] + len(boxes)])
            return body[:10] + count + body[11:end] + numbers + body[end:]
        return body

    longer = changed(data, add)
    moved = len(longer) - len(data)

    def shift(kind: bytes, body: bytes) -> bytes:
        if kind != b"iloc":
            return body
        shifted = bytearray(body)
        for at in range(14, len(body), 14):
            (offset,) = struct.unpack_from(">I", body, at)
            struct.pack_into(">I", shifted, at, offset + moved)
        return bytes(shifted)

    return changed(longer, shift)


def aperture(left: int, top: int, width: int, height: int, within: tuple[int, int]) -> bytes:
    across = width - within[0] + 2 * left
    down = height - within[1] + 2 * top
    return struct.pack(">IIIIiIiI", width, 1, height, 1, across, 2, down, 2)


OPERATIONS = {
    "clap": lambda p: p[3 : 3 + p.shape[0] - 10, 5 : 5 + p.shape[1] - 21],
    "irot": lambda p: np.rot90(p, 1),
    "imir": lambda p: p[:, ::-1],
}


def in_order(order: tuple[str, ...]) -> tuple[list[tuple[bytes, bytes]], NDArray[np.uint8]]:
    """Return the properties, and the pixels that they come to."""
    expected, added = hm.decode_image(saved()).pixels, []
    for name in order:
        height, width = expected.shape[:2]
        body = {
            "clap": aperture(5, 3, width - 21, height - 10, (width, height)),
            "irot": b"\1",
            "imir": b"\1",
        }[name]
        added.append((name.encode(), body))
        expected = OPERATIONS[name](expected)
    return added, expected


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(1) as pool:
        yield pool


@pytest.mark.parametrize(
    "order",
    [
        each
        for count in (1, 2, 3)
        for each in itertools.permutations(OPERATIONS, count)
        if "clap" in each
    ],
)
def test_it_is_cut_out_in_its_order(order: tuple[str, ...], pool: DecodePool) -> None:
    added, expected = in_order(order)
    data = with_properties(saved(), *added)
    with Image.open(io.BytesIO(data)) as image:
        found = [hm.decode_image(data), pool.decode_image(data), hm.decode_image(image)]
    assert all(np.array_equal(each.pixels, expected) for each in found)


def test_a_transparent_one_is_cut_as_displayed_too(pool: DecodePool) -> None:
    file = io.BytesIO()
    image = Image.fromarray(PIXELS)
    image.putalpha(128)
    image.save(file, "AVIF", quality=100, subsampling="4:4:4", icc_profile=rgb_profile(P3))
    box = (b"clap", aperture(5, 3, WIDTH - 21, HEIGHT - 10, (WIDTH, HEIGHT)))
    data = with_properties(file.getvalue(), box, (b"irot", b"\1"))
    (whole,) = (one.pixels for one in decode_all(file.getvalue()) if one.reading == "as_displayed")
    expected = np.rot90(whole[3 : HEIGHT - 7, 5 : WIDTH - 16])
    for pictures in (decode_all(data), pool.pictures(data, frames=True)):
        (found,) = (one.pixels.copy() for one in pictures if one.reading == "as_displayed")
        assert np.array_equal(found, expected)


def test_padding_to_64_pixels_is_no_part_of_the_hash() -> None:
    """As encoders pad that work in blocks of 64."""
    padded = np.zeros((128, 128, 3), np.uint8)
    padded[:100, :70] = picture(6, 70, 100)
    file = io.BytesIO()
    Image.fromarray(padded).save(file, "AVIF", quality=95, subsampling="4:4:4")
    data = with_properties(file.getvalue(), (b"clap", aperture(0, 0, 70, 100, (128, 128))))
    found = hm.hash_image(data).hashes.words[0]
    original = hm.hash_image(padded[:100, :70]).hashes.words[0]
    assert int(np.bitwise_count(found ^ original).sum()) <= 8


@pytest.mark.parametrize(
    "body",
    [
        bytes(32),
        aperture(0, 0, WIDTH + 2, HEIGHT, (WIDTH, HEIGHT)),
        aperture(-1, 0, WIDTH, HEIGHT, (WIDTH, HEIGHT)),
        struct.pack(">IIIIiIiI", 10, 1, 10, 1, 1, 4, 0, 1),
        struct.pack(">IIIIiIiI", 21, 2, 10, 1, 0, 1, 0, 1),
    ],
)
def test_one_that_cannot_be_is_passed_over(body: bytes) -> None:
    found = hm.decode_image(with_properties(saved(), (b"clap", body)))
    assert np.array_equal(found.pixels, hm.decode_image(saved()).pixels)


def test_boxes_cut_off_anywhere_are_an_outcome() -> None:
    data = with_properties(saved(), (b"clap", aperture(5, 3, 75, 54, (WIDTH, HEIGHT))))
    for end in range(32, 420, 7):
        with pytest.raises(hm.ImageError):
            hm.decode_image(data[:end])


def test_frames_of_a_sequence_are_cut_too() -> None:
    file = io.BytesIO()
    frames = [Image.fromarray(picture(seed, WIDTH, HEIGHT)) for seed in (1, 2, 3)]
    frames[0].save(file, "AVIF", save_all=True, append_images=frames[1:], quality=100)
    box = aperture(5, 3, 75, 54, (WIDTH, HEIGHT))
    box = struct.pack(">I", len(box) + 8) + b"clap" + box
    grown = 0

    def add(kind: bytes, body: bytes) -> bytes:
        return body + box if kind == b"av01" else body

    longer = changed(file.getvalue(), add)
    grown = len(longer) - len(file.getvalue())

    def shift(kind: bytes, body: bytes) -> bytes:
        if kind == b"stco":
            (count,) = struct.unpack_from(">I", body, 4)
            offsets = struct.unpack_from(f">{count}I", body, 8)
            return body[:8] + struct.pack(f">{count}I", *(each + grown for each in offsets))
        if kind == b"iloc":
            (count,) = struct.unpack_from(">H", body, 6)
            moved = bytearray(body)
            for number in range(count):
                (offset,) = struct.unpack_from(">I", body, 14 + 14 * number)
                struct.pack_into(">I", moved, 14 + 14 * number, offset + grown)
            return bytes(moved)
        return body

    whole = list(hm.decode_frames(file.getvalue()))
    found = list(hm.decode_frames(changed(longer, shift)))
    assert [each.pixels.shape for each in found] == [(54, 75, 3)] * 3
    for cut, uncut in zip(found, whole, strict=True):
        assert np.array_equal(cut.pixels, uncut.pixels[3:57, 5:80])
