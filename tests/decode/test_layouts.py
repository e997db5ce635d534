"""Layouts of pixels that Pillow does not read by itself: read as viewers do, or ``unsupported``."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import hashmatch as hm
from hashmatch.decode import limits
from hashmatch.testing import picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIXELS = picture(3, 97, 66)
BITFIELDS, ALPHA_BITFIELDS = 3, 6


def bmp(
    bits: int, masks: tuple[int, ...], header: int, alpha: int = 255, *, top_down: bool = False
) -> bytes:
    """Return a BMP of `PIXELS` whose colours lie in the bits of `masks`."""
    height, width = PIXELS.shape[:2]
    channels = np.dstack([PIXELS, np.full((height, width), alpha, np.uint8)])
    values = np.zeros((height, width), np.uint64)
    for number, mask in enumerate(masks):
        if mask:
            shift = (mask & -mask).bit_length() - 1
            stored = np.rint(channels[..., number] * ((mask >> shift) / 255)).astype(np.uint64)
            values |= stored << np.uint64(shift)
    packed = values.astype(f"<u{bits // 8}")
    stride = (width * bits + 31) // 32 * 4
    rows = b"".join(
        row.tobytes().ljust(stride, b"\0") for row in (packed if top_down else packed[::-1])
    )
    compression = ALPHA_BITFIELDS if header == 40 and len(masks) == 4 else BITFIELDS
    head = struct.pack(
        "<IiiHHIIiiII",
        header, width, -height if top_down else height, 1, bits, compression, len(rows), 0, 0, 0, 0,
    )  # fmt: skip
    named = struct.pack(f"<{len(masks)}I", *masks)
    head = head + named if header == 40 else (head + named).ljust(header, b"\0")
    offset = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + head + rows


def largest_step(masks: tuple[int, ...]) -> int:
    """Return what the channel of the fewest bits is off by at most."""
    fewest = min(mask.bit_count() for mask in masks[:3])
    return -(-255 // (2 * ((1 << fewest) - 1)))


MASKS = [
    (16, (0xF00, 0xF0, 0xF)),
    (16, (0xF000, 0xF00, 0xF0)),
    (16, (0x1F, 0x7E0, 0xF800)),
    (16, (0xF800, 0x7E0, 0x1F)),
    (16, (0xF00, 0xF0, 0xF, 0xF000)),
    (16, (0x7C00, 0x3E0, 0x1F, 0x8000)),
    (32, (0xFF, 0xFF00, 0xFF0000)),
    (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
    (32, (0xFF0000, 0xFF, 0xFF00)),
    (32, (0x3FF00000, 0xFFC00, 0x3FF)),
    (32, (0xFF00, 0xFF0000, 0xFF000000)),
    (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
    (32, (0xFF000000, 0xFF0000, 0xFF00, 0xFF)),
]


@pytest.mark.parametrize("header", [40, 56, 108, 124])
@pytest.mark.parametrize(("bits", "masks"), MASKS)
@pytest.mark.parametrize("top_down", [False, True])
def test_colours_of_a_bmp_lie_wherever_it_says(
    bits: int, masks: tuple[int, ...], header: int, top_down: bool
) -> None:
    found = hm.decode_image(bmp(bits, masks, header, top_down=top_down))
    assert not found.damaged
    difference = np.abs(found.pixels.astype(int) - PIXELS)
    # Pillow cuts five and six bits off rather than rounding them.
    assert difference.max() <= largest_step(masks) + 4


@pytest.mark.parametrize("masks", [MASKS[4][1], MASKS[9][1]])
def test_a_bmp_of_other_masks_that_is_cut_off_is_damaged(masks: tuple[int, ...]) -> None:
    bits = 16 if max(masks) < 2**16 else 32
    data = bmp(bits, masks, 124, top_down=True)
    found = hm.decode_image(data[: len(data) // 2])
    assert found.damaged
    assert np.abs(found.pixels[:20].astype(int) - PIXELS[:20]).max() <= largest_step(masks)


@pytest.mark.parametrize(("bits", "masks"), [MASKS[4], MASKS[5], MASKS[11], MASKS[12]])
def test_alpha_that_nothing_has_set_hides_nothing(bits: int, masks: tuple[int, ...]) -> None:
    found = hm.decode_image(bmp(bits, masks, 124, alpha=0))
    assert np.abs(found.pixels.astype(int) - PIXELS).max() <= largest_step(masks)


def test_half_transparent_bmp_lies_over_white() -> None:
    found = hm.decode_image(bmp(32, MASKS[11][1], 124, alpha=51)).pixels
    assert np.abs(found.astype(int) - (PIXELS * 0.2 + 204)).max() <= 1


def test_unusual_masks_of_many_pixels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNUSUAL_BMP_PIXELS", 1000)
    with pytest.raises(hm.ImageError, match="unusual bits") as refused:
        hm.decode_image(bmp(16, MASKS[0][1], 40))
    assert refused.value.outcome == "refused"


def tiff(array: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, metadata=None, **options)
    return file.getvalue()


def jpeg_of_12_bits() -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "JPEG")
    data = bytearray(file.getvalue())
    data[data.index(b"\xff\xc0") + 4] = 12
    return bytes(data)


UNREAD = {
    "TIFF of 32-bit colour": tiff(PIXELS.astype(np.uint32) << 24, photometric="rgb"),
    "TIFF of floating colour": tiff(PIXELS.astype(np.float32) / 255, photometric="rgb"),
    "TIFF of doubles": tiff(PIXELS[..., 0].astype(np.float64), photometric="minisblack"),
    "TIFF of deep gray and alpha": tiff(
        PIXELS[..., :2].astype(np.uint16) * 257, photometric="minisblack", extrasamples=[2]
    ),
    "TIFF of gray and alpha in planes": tiff(
        np.moveaxis(PIXELS[..., :2], 2, 0).copy(),
        photometric="minisblack",
        planarconfig="separate",
        extrasamples=[2],
    ),
    "TIFF of inks and alpha": tiff(
        np.dstack([PIXELS, PIXELS[..., :2]]), photometric="separated", extrasamples=[2]
    ),
    "JPEG of 12 bits": jpeg_of_12_bits(),
    "BMP of another compression": bmp(32, MASKS[11][1], 40)[:30]
    + struct.pack("<I", 4)
    + bmp(32, MASKS[11][1], 40)[34:],
}


@pytest.mark.parametrize("name", UNREAD)
def test_a_sound_file_that_is_not_read_is_unsupported(name: str) -> None:
    with pytest.raises(hm.ImageError) as error:
        hm.decode_image(UNREAD[name])
    assert error.value.outcome == "unsupported", error.value.reason
