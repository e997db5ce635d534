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
from hashmatch.decode.animation import decode_all
from hashmatch.testing import picture
from icc_profiles import P3, rgb_profile, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def headed(width: int, height: int, bits: int, compression: int, header: int = 40) -> bytes:
    """Return the header of a BMP behind that of its file, cut off or filled up to its length."""
    fields = struct.pack("<iiHHIIiiII", width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return struct.pack("<I", header) + fields[: header - 4].ljust(header - 4, b"\0")


def bitmap(header: bytes, palette: bytes, pixels: bytes) -> bytes:
    offset = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, offset) + header + palette + pixels


COLOURS = np.random.default_rng(5).integers(0, 256, (256, 3), np.uint8)
"""Red, green and blue of the colours of a palette."""
PALETTE = np.pad(COLOURS[:, ::-1], ((0, 0), (0, 1))).tobytes()


def numbers(colours: int, width: int = 97, height: int = 66) -> NDArray[np.uint8]:
    """Return a picture of so many colours, in stripes that make runs of many lengths."""
    made = picture(9, width, height)[..., 0] // 16 * 37 % min(colours, 251)
    return made.astype(np.uint8)


@pytest.fixture(scope="module")
def pool() -> Iterator[hm.DecodePool]:
    with hm.DecodePool(workers=1) as started:
        yield started


def seen(data: bytes, pool: hm.DecodePool) -> hm.Picture:
    """Return a picture decoded here, and assert that it is the same in the pool."""
    there = pool.decode_image(data)
    here = hm.decode_image(data)
    assert (here.pixels == there.pixels).all()
    assert here.damaged == there.damaged
    return here


@pytest.mark.parametrize("top_down", [False, True])
def test_two_bits_of_a_bmp_are_one_of_four_colours(top_down: bool, pool: hm.DecodePool) -> None:
    values = numbers(4)
    height, width = values.shape
    padded = np.pad(values, ((0, 0), (0, -width % 16))).reshape(height, -1, 4)
    packed = (padded << np.array([6, 4, 2, 0], np.uint8)).sum(2).astype(np.uint8)
    rows = packed if top_down else packed[::-1]
    data = bitmap(
        headed(width, -height if top_down else height, 2, 0), PALETTE[:16], rows.tobytes()
    )
    assert (seen(data, pool).pixels == COLOURS[values]).all()
    cut = seen(data[: -len(rows.tobytes()) // 2], pool)
    assert cut.damaged


@pytest.mark.parametrize("header", [16, 20, 24, 36, 42, 44, 46, 48, 60, 64])
def test_headers_of_os2_may_end_after_any_field(header: int, pool: hm.DecodePool) -> None:
    values = numbers(256)
    height, width = values.shape
    rows = np.pad(values, ((0, 0), (0, -width % 4)))[::-1].tobytes()
    data = bitmap(headed(width, height, 8, 0, header), PALETTE, rows)
    assert (seen(data, pool).pixels == COLOURS[values]).all()


@pytest.mark.parametrize("told", [257, 300, 305_402_420, 2**32 - 1])
def test_a_bmp_has_no_more_colours_than_its_bits_tell_apart(told: int, pool: hm.DecodePool) -> None:
    values = numbers(256)
    height, width = values.shape
    rows = np.pad(values, ((0, 0), (0, -width % 4)))[::-1].tobytes()
    data = bytearray(bitmap(headed(width, height, 8, 0), PALETTE + bytes(8), rows))
    data[46:50] = struct.pack("<I", told)
    assert (seen(bytes(data), pool).pixels == COLOURS[values]).all()


def runs(values: NDArray[np.uint8], bits: int) -> bytes:
    """Return numbers, or colours if there are 24 bits, as runs and as they are in turns."""
    made = bytearray()
    for row in values[::-1]:
        column = 0
        while column < len(row):
            ahead = (row[column : column + 255] != row[column]).reshape(-1, row[0].size).any(1)
            same = int(np.argmax(ahead)) if ahead.any() else len(ahead)
            plain = min(5, len(row) - column)
            if same == 1 and plain == 5:
                part = row[column : column + plain]
                if bits == 4:
                    body = (part[::2] << 4 | [*part[1::2], 0]).astype(np.uint8).tobytes()
                else:
                    body = part[..., ::-1].tobytes() if bits == 24 else part.tobytes()
                made += bytes([0, plain]) + body + bytes(len(body) % 2)
                column += plain
            else:
                code = row[column][::-1] if bits == 24 else row[column] * (17 if bits == 4 else 1)
                made += bytes([same]) + code.astype(np.uint8).tobytes()
                column += same
        made += b"\0\0"
    return bytes(made + b"\0\1")


RUNS = [(8, 1, 40), (4, 2, 40), (24, 4, 64), (8, 1, 64), (24, 4, 24)]


def of_runs(bits: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], bytes]:
    """Return a picture's values, its colours, and its palette."""
    if bits == 24:
        return PIXELS // 32 * 32, PIXELS // 32 * 32, b""
    values = numbers(1 << bits)
    return values, COLOURS[values], PALETTE[: 4 << bits]


@pytest.mark.parametrize(("bits", "compression", "header"), RUNS)
def test_runs_of_a_bmp(bits: int, compression: int, header: int, pool: hm.DecodePool) -> None:
    values, colours, palette = of_runs(bits)
    height, width = values.shape[:2]
    head = headed(width, height, bits, compression, header)
    found = seen(bitmap(head, palette, runs(values, bits)), pool)
    assert not found.damaged
    assert (found.pixels == colours).all()


@pytest.mark.parametrize(("bits", "compression", "header"), RUNS)
def test_what_no_run_has_is_black(
    bits: int, compression: int, header: int, pool: hm.DecodePool
) -> None:
    values, colours, palette = of_runs(bits)
    height, width = values.shape[:2]
    head = headed(width, height, bits, compression, header)
    # From five rows up and thirty pixels in; then the picture is left.
    delta = b"\0\2" + bytes([30, 5]) + runs(values[-20:, :50], bits)
    found = seen(bitmap(head, palette, delta), pool)
    expected = np.zeros_like(colours)
    expected[height - 6, 30:80] = colours[-1, :50]
    for row in range(1, 20):
        expected[height - 6 - row, :50] = colours[-1 - row, :50]
    assert not found.damaged
    assert (found.pixels == expected).all()


@pytest.mark.parametrize(("bits", "compression", "header"), RUNS)
def test_runs_that_end_early_are_damaged(
    bits: int, compression: int, header: int, pool: hm.DecodePool
) -> None:
    values, colours, palette = of_runs(bits)
    height, width = values.shape[:2]
    head = headed(width, height, bits, compression, header)
    body = runs(values, bits)
    found = seen(bitmap(head, palette, body[: len(body) // 2]), pool)
    assert found.damaged
    assert (found.pixels[-height // 3 :] == colours[-height // 3 :]).all()
    assert (found.pixels[0] == 0).all()


@pytest.mark.parametrize(("bits", "compression", "header"), RUNS)
def test_runs_beyond_the_row_are_cut_off(
    bits: int, compression: int, header: int, pool: hm.DecodePool
) -> None:
    head = headed(40, 30, bits, compression, header)
    code = b"\xff\x33" + b"\x33\x33" * (bits == 24)
    body = (code * 3 + b"\0\0") * 30 + b"\0\1"
    palette = PALETTE[: 4 << bits] if bits != 24 else b""
    expected = {4: COLOURS[3], 8: COLOURS[0x33], 24: (0x33, 0x33, 0x33)}[bits]
    assert (seen(bitmap(head, palette, body), pool).pixels == expected).all()


@pytest.mark.parametrize("header", [108, 124])
def test_alpha_of_a_later_header_holds_without_masks(header: int, pool: hm.DecodePool) -> None:
    masks = MASKS[11][1]
    data = bytearray(bmp(32, masks, header, alpha=51))
    data[30:34] = bytes(4)
    found = seen(bytes(data), pool).pixels
    assert np.abs(found.astype(int) - (PIXELS * 0.2 + 204)).max() <= 1


def test_a_bmp_is_displayed_by_its_profile(pool: hm.DecodePool) -> None:
    profile = rgb_profile(gamma=1.0)
    plain = bmp(32, MASKS[11][1], 124)
    data = bytearray(plain + profile)
    data[14 + 56 : 14 + 60] = b"DEBM"
    data[14 + 112 : 14 + 120] = struct.pack("<II", len(plain) - 14, len(profile))
    expected = shown(PIXELS / 255 @ np.array(P3))
    for pictures in (decode_all(bytes(data)), pool.pictures(bytes(data), True)):
        found = {one.reading: one.pixels.copy() for one in pictures}
        assert (found[""] == PIXELS).all()
        assert np.abs(found["as_displayed"] - expected).max() <= 3
    for broken in (b"DEBM" + bytes(60), b"KNIL" + bytes(60)):
        data[14 + 56 : 14 + 120] = broken
        assert [one.reading for one in decode_all(bytes(data))] == [""]


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
    "TIFF of complex numbers": tiff(PIXELS[..., 0] + 1j, photometric="minisblack"),
    "TIFF of packed LERC": tiff(PIXELS, photometric="rgb", compression="lerc"),
    "TIFF of floating CIELAB": tiff(PIXELS.astype(np.float32), photometric="cielab"),
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
