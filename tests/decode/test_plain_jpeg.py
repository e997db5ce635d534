"""JPEGs whose headers are not read by Pillow give what they give when Pillow reads them."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from hashmatch.decode import limits, policy
from hashmatch.decode.jpeg import plain_size
from hashmatch.records.images import ImageError
from hashmatch.testing import picture

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = Image.fromarray(picture(5, 61, 45))
PROFILE = b"any profile" * 9


def encoded(image: Image.Image = SOURCE, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = orientation
    return made


def with_segment(marker: int, body: bytes) -> bytes:
    """A JPEG with one more segment, behind that of JFIF."""
    data = encoded()
    return b"".join([
        data[:20], bytes([0xFF, marker]), (len(body) + 2).to_bytes(2, "big"), body, data[20:]
    ])  # fmt: skip


PLAIN = {
    "colour": encoded(),
    "gray": encoded(SOURCE.convert("L")),
    "not subsampled": encoded(subsampling=0, quality=95),
    "optimized": encoded(optimize=True),
    "with restarts": encoded(restart_marker_blocks=2),
    "with a profile": encoded(icc_profile=PROFILE),
    "with a comment": encoded(comment=b"made for a test"),
    "with XMP": encoded(xmp=b"<x:xmpmeta/>"),
    "with EXIF, upright": encoded(exif=exif(1)),
    "with more behind it": encoded() + b"trailer",
}
OTHERS = {
    "progressive": encoded(progressive=True),
    "CMYK": encoded(SOURCE.convert("CMYK")),
    "turned": encoded(exif=exif(6)),
    "of RGB": encoded(keep_rgb=True),
    "JFXX": with_segment(0xE0, b"JFXX\0\x13" + bytes(20)),
    "Photoshop": with_segment(0xED, b"Photoshop 3.0\0" + bytes(20)),
    "short XMP": with_segment(0xE1, b"http://ns.adobe.com/xap/1.0/"),
    "short profile": with_segment(0xE2, b"ICC_PROFILE\0"),
    "padded": encoded()[:20] + b"\xff" + encoded()[20:],
    "cut off": encoded()[:-200],
    "cut off in its header": encoded()[:300],
    "empty": b"\xff\xd8\xff",
}


def result(data: bytes) -> object:
    """All that decoding says of a file."""
    try:
        found = policy.decode_file(data)
    except ImageError as error:
        return error.outcome, error.reason
    pixels = found.pixels
    return pixels.tobytes(), pixels.shape, found.media_type, found.damaged, found.frame


@pytest.fixture
def by_pillow(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], object]:
    """`result`, but with headers read by Pillow alone."""

    def read(data: bytes) -> object:
        with monkeypatch.context() as patch:
            patch.setattr(policy, "plain_pixels", lambda *_: None)
            return result(data)

    return read


@pytest.mark.parametrize("name", PLAIN)
def test_most_headers_are_not_read_by_pillow(
    name: str, by_pillow: Callable[[bytes], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = PLAIN[name]
    assert plain_size(data) == (SOURCE.height, SOURCE.width)
    wanted = by_pillow(data)
    monkeypatch.setattr(policy, "decode_as", None)
    assert result(data) == wanted


@pytest.mark.parametrize("name", OTHERS)
def test_pillow_reads_the_others(name: str, by_pillow: Callable[[bytes], object]) -> None:
    data = OTHERS[name]
    if name != "cut off":
        assert plain_size(data) is None
    assert result(data) == by_pillow(data)


def test_two_exifs_are_read_by_pillow() -> None:
    data = PLAIN["with EXIF, upright"]
    size = 2 + int.from_bytes(data[22:24], "big")
    assert data[20:22] == b"\xff\xe1"
    assert plain_size(data[:20] + data[20 : 20 + size] + data[20:]) is None


@pytest.mark.parametrize("name", PLAIN)
def test_a_broken_header_gives_what_it_gave(
    name: str, by_pillow: Callable[[bytes], object]
) -> None:
    data = PLAIN[name]
    head = data.index(b"\xff\xda") + 14
    chance = random.Random(name)
    for _ in range(60):
        broken = bytearray(data)
        for _ in range(chance.choice((1, 1, 2))):
            at = chance.randrange(2, head)
            broken[at] = chance.choice((0, 1, 3, 0xFF, broken[at] ^ 1 << chance.randrange(8)))
        assert result(bytes(broken)) == by_pillow(bytes(broken))


def test_the_limits_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    data = PLAIN["colour"]
    monkeypatch.setitem(limits.PIXELS, "JPEG", 61 * 45)
    assert plain_size(data) == (45, 61)
    monkeypatch.setitem(limits.PIXELS, "JPEG", 61 * 45 - 1)
    assert plain_size(data) is None
    with pytest.raises(ImageError, match="pixels"):
        policy.decode_file(data)
