"""An open Pillow image gives what its file does, until somebody has loaded, moved or edited it."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageOps

import hashmatch as hm
from conftest import IMAGES
from hashmatch.testing import picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PIXELS = picture(5, 96, 80)
FILES = sorted(
    path
    for folder in ("plain", "modes", "small", "flat", "damaged")
    for path in (IMAGES / folder).iterdir()
)


def saved(format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, format, **options)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image | None:
    """Return an open image; None of a file that Pillow itself does not open."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(data))
    except Exception:
        return None


def told(image: Any) -> list[tuple[object, ...]]:
    """Return all that is said of a picture but where it came from."""
    return [
        (
            each.outcome, each.frame, each.variants, each.quality, each.damaged, each.width,
            each.height, each.media_type, each.hashes.words.tobytes() if each.hashes else b"",
        )
        for each in hm.hash_all(image, ["pdq"], variants="standard")
    ]  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_fixture_is_the_same_in_every_form(path: Path) -> None:
    data = path.read_bytes()
    expected = told(data)
    assert told(path) == expected
    image = opened(data)
    if image is not None:
        with image:
            assert told(image) == expected


def bitfields() -> bytes:
    """Return a BMP whose transparent pixels Pillow shows as nothing, and viewers as they are."""
    height, width = PIXELS.shape[:2]
    header = struct.pack(
        "<IiiHHIIiiII5I", 56, width, height, 1, 32, 3, 0, 0, 0, 0, 0,
        0xFF0000, 0xFF00, 0xFF, 0xFF000000, 0,
    )[:56]  # fmt: skip
    rows = np.dstack([PIXELS[::-1, :, ::-1], np.zeros((height, width), np.uint8)]).tobytes()
    return b"BM" + struct.pack("<IHHI", 70 + len(rows), 0, 0, 70) + header + rows


def runs() -> bytes:
    """Return a BMP most of whose pixels are in no run: black, where Pillow has its first colour."""
    palette = bytes(range(255, -1, -1))
    palette = b"".join(bytes([level, level, level, 0]) for level in palette)
    body = b"".join(b"\0\x50" + PIXELS[y, :80, 0].tobytes() + b"\0\0" for y in range(40)) + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, 96, 80, 1, 8, 1, len(body), 0, 0, 0, 0)
    offset = 54 + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + header + palette + body


def odd_text() -> bytes:
    """Return a PNG with a text behind its pixels whose compression is unknown."""
    data, text = saved("PNG"), b"zTXtComment\0\7rest"
    odd = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return data[:-12] + odd + data[-12:]


ODD: dict[str, Callable[[], bytes]] = {
    "bits of a BMP": bitfields,
    "runs of a BMP": runs,
    "text of a PNG": odd_text,
    "end of a JPEG": lambda: saved("JPEG")[:-2],
    "half of a JPEG": lambda: saved("JPEG", quality=95)[:6000],
    "end of a GIF": lambda: saved("GIF")[:-40],
}


@pytest.mark.parametrize("name", ODD)
def test_what_pillow_reads_otherwise_is_read_as_its_file(name: str) -> None:
    data = ODD[name]()
    image = opened(data)
    assert image is not None
    with image:
        assert told(image) == told(data)
        assert hm.hash_image(image).outcome is hm.Outcome.HASHED


def test_a_version_is_that_of_the_file() -> None:
    data = saved("PNG")
    with Image.open(io.BytesIO(data)) as image:
        assert hm.decode.inputs.load(image).version == hm.decode.inputs.load(data).version


def edited(image: Image.Image) -> None:
    image.putpixel((0, 0), (1, 2, 3))


def reduced(image: Image.Image) -> None:
    image.draft("RGB", (48, 40))


def turned(image: Image.Image) -> None:
    image.getexif()[0x0112] = 6


CHANGES: dict[str, Callable[[Image.Image], object]] = {
    "loaded": lambda image: image.load(),
    "edited": edited,
    "reduced": reduced,
    "turned": turned,
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_done_to_an_image_holds(name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(io.BytesIO(saved("JPEG", exif=exif))) as image:
        CHANGES[name](image)
        found = hm.decode_image(image).pixels
        assert (found == np.asarray(ImageOps.exif_transpose(image))).all()


def test_a_frame_that_was_chosen_is_the_one_that_is_hashed() -> None:
    pages = [Image.fromarray(PIXELS), Image.fromarray(PIXELS[::-1].copy())]
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    with Image.open(file) as image:
        image.seek(1)
        assert (hm.decode_image(image).pixels == PIXELS[::-1]).all()
        image.seek(0)
        assert (hm.decode_image(image).pixels == PIXELS).all()
