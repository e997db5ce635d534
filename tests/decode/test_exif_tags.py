"""EXIF tags as text: names, values, and nothing that steers what shows them."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from PIL import ExifTags, Image

from conftest import IMAGES
from hashmatch.decode.exif_tags import MAX_CHARACTERS, MAX_TAGS, exif_tags, packed, unpacked
from hashmatch.errors import HashmatchError, UsageError
from hashmatch.sandbox.pool import DecodePool

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(workers=1) as made:
        yield made


def photograph(kind: str = "JPEG", model: str = "a camera") -> bytes:
    """Return a drawn picture with tags in each directory that is read."""
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = model
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2026:01:02 03:04:05"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = bytes(1000)
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(out, kind, exif=exif)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_tags_of_each_directory_are_named(pool: DecodePool, kind: str) -> None:
    data = photograph(kind)
    lines = set(exif_tags(data).splitlines())
    assert {
        "Model: a camera", "Orientation: 6", "DateTimeOriginal: 2026:01:02 03:04:05",
        "MakerNote: 1000 bytes", "GPSLatitudeRef: N",
    } <= lines  # fmt: skip
    assert pool.exif_tags(data) == exif_tags(data)


def test_a_file_without_any(pool: DecodePool) -> None:
    for path in sorted((IMAGES / "plain").glob("*.png"))[:2]:
        assert pool.exif_tags(path.read_bytes()) == ""


def test_text_is_short_and_steers_nothing(pool: DecodePool) -> None:
    text = pool.exif_tags(photograph(model="\x1b[2J\u202e" + "x" * 5000))
    assert not {"\x1b", "\u202e"} & set(text)
    (model,) = [line for line in text.splitlines() if line.startswith("Model")]
    assert len(model) < 2 * MAX_CHARACTERS


def test_a_worker_may_say_anything() -> None:
    said = unpacked(packed("a: b\x1b\n" * 10**6))
    assert "\x1b" not in said
    assert len(said) <= 8 * MAX_TAGS * MAX_CHARACTERS
    assert unpacked(packed("")) == ""
    assert unpacked(packed(json.dumps("é"))) == json.dumps("é")


def test_what_is_no_file_is_refused(pool: DecodePool) -> None:
    with pytest.raises(HashmatchError):
        pool.exif_tags(b"no picture")
    with pytest.raises(UsageError, match="cannot read EXIF tags of pixels"):
        pool.exif_tags(Image.new("RGB", (4, 4)))
