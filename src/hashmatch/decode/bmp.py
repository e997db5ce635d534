"""BMP that Pillow does not read as viewers do, brought to one that it does.

The masks of a bitmap's header may place red, green, blue and alpha anywhere in its 16 or 32 bits
(BITMAPV4HEADER, BI_BITFIELDS and BI_ALPHABITFIELDS). OS/2 has headers of other lengths, and runs of
24 bits; Windows CE has 2 bits a pixel.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

RLE8, RLE4, BITFIELDS, RLE24, ALPHA_BITFIELDS = 1, 2, 3, 4, 6
RUNS = {(RLE8, 8), (RLE4, 4), (RLE24, 24)}
"""Compressions by runs, each with its bits of a pixel; 4 is RLE24 with a header of OS/2 only."""
FEW_BITS = 2
INFO, OS2, V4, V5 = 40, 64, 108, 124
"""Bytes of the plain header, with which masks follow it; of OS/2's longest, and of later ones."""
OS2_SIZES = {*range(16, OS2, 4), 42, 46} - {INFO, 52, 56}
"""Bytes that OS/2's second header may have besides; Windows has others of 52 and 56."""
USUAL = {
    16: {(0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0)},
    32: {
        (0, 0, 0, 0), (0xFF0000, 0xFF00, 0xFF, 0), (0xFF000000, 0xFF0000, 0xFF00, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0xFF), (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
    },
}  # fmt: skip
"""Masks of red, green, blue and alpha that Pillow reads, by bits of a pixel."""
HEADER = 14 + V4
"""Bytes of the headers that are written: of the file, and BITMAPV4HEADER."""
ROWS = 64
"""Converted at once, where each step makes a copy."""


def usual(data: bytes, most: int, most_runs: int) -> bytes:
    """Return `data`, or a BMP of the same picture that Pillow reads.

    A file that ends early gives one that ends early. One with a broken header is returned as it is.
    Raises ImageError, ``refused``, if more than `most` pixels are to be changed, or more than
    `most_runs` are to be made from runs.
    """
    try:
        data = _with_windows_fields(data)
        size, width, height, _, bits, compression = struct.unpack_from("<IiiHHI", data, 14)
        if size < INFO or width <= 0:
            return data
        runs = (compression, bits) in RUNS and (compression != RLE24 or size == OS2)
        masks = _unusual_masks(data, size, bits, compression)
        if not runs and masks is None and bits != FEW_BITS:
            return data
        limit = most_runs if runs else most
        if width * abs(height) > limit:
            raise ImageError(
                Outcome.REFUSED,
                f"BMP of {width} x {abs(height)} pixels in {'runs' if runs else 'unusual bits'}, "
                f"the limit is {limit // 10**6} megapixels",
            )
        (offset,) = struct.unpack_from("<I", data, 10)
        if runs:
            return _without_runs(data, offset, width, height, bits)
        stride = (width * bits + 31) // 32 * 4
        rows = max(0, min(abs(height), (len(data) - offset) // stride))
        stored = np.frombuffer(data, np.uint8, rows * stride, offset).reshape(rows, stride)
        if masks is None:
            parts = [stored >> 6, stored >> 4 & 3, stored >> 2 & 3, stored & 3]
            values = np.stack(parts, -1).reshape(rows, -1)[:, :width]
            return _of_palette(_palette(data, bits), width, height, values)
    except struct.error:
        return data
    made = bytearray(_header(width, height, masks[3]) + bytes(rows * width * 4))
    pixels = np.frombuffer(made, np.uint8, offset=HEADER).reshape(rows, width, 4)
    for first in range(0, rows, ROWS):
        part = np.ascontiguousarray(stored[first : first + ROWS, : width * bits // 8])
        numbers = part.view(f"<u{bits // 8}").astype(np.uint32)
        for channel, mask in enumerate((*masks[2::-1], masks[3])):
            pixels[first : first + ROWS, :, channel] = _scaled(numbers, mask)
    return bytes(made)


def profile(data: bytes) -> bytes:
    """Return the ICC profile that a file holds (BITMAPV5HEADER, PROFILE_EMBEDDED); b"" if none."""
    if len(data) < 14 + V5 or struct.unpack_from("<I", data, 14)[0] != V5:
        return b""
    if data[14 + 56 : 14 + 60] != b"DEBM":
        return b""
    offset, size = struct.unpack_from("<II", data, 14 + 112)
    return data[14 + offset : 14 + offset + size]


def _with_windows_fields(data: bytes) -> bytes:
    """Return `data` with a header of one of Windows' sizes, OS/2's longest, and no colour too many.

    Of OS/2's second header any fields may be left out from the end, and are zero then. Alpha of 32
    bits a pixel is where BITMAPV4HEADER has it, even if the colours are at their usual places.
    """
    size, offset = struct.unpack_from("<I", data, 14)[0], struct.unpack_from("<I", data, 10)[0]
    if size in OS2_SIZES:
        header = struct.pack("<I", OS2) + data[18 : 14 + size].ljust(OS2 - 4, b"\0")
        moved = struct.pack("<I", offset + OS2 - size)
        data = b"".join((data[:10], moved, header, data[14 + size :]))
    if size < INFO and size not in OS2_SIZES:
        return data
    bits, compression = struct.unpack_from("<HI", data, 28)
    if bits <= 8 and struct.unpack_from("<I", data, 46)[0] > 1 << bits:
        data = data[:46] + struct.pack("<I", 1 << bits) + data[50:]
    if size >= V4 and (bits, compression) == (32, 0) and data[66:70] == b"\0\0\0\xff":
        masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
        data = b"".join((data[:30], struct.pack("<I", BITFIELDS), data[34:54], masks, data[70:]))
    return data


def _unusual_masks(
    data: bytes, size: int, bits: int, compression: int
) -> tuple[int, int, int, int] | None:
    """Return the masks of red, green, blue and alpha; None if there are none but usual ones."""
    if compression not in {BITFIELDS, ALPHA_BITFIELDS} or bits not in USUAL:
        return None
    red, green, blue = struct.unpack_from("<3I", data, 14 + INFO)
    has_alpha = compression == ALPHA_BITFIELDS or size > INFO + 12
    alpha = struct.unpack_from("<I", data, 14 + INFO + 12)[0] if has_alpha else 0
    masks = red, green, blue, alpha
    return None if compression == BITFIELDS and masks in USUAL[bits] else masks


def _header(width: int, height: int, alpha: int) -> bytes:
    """Return the headers of a file of 32 bits a pixel."""
    return struct.pack(
        "<2sIHHIIiiHHIIiiII4I",
        b"BM", 0, 0, 0, HEADER, HEADER - 14, width, height, 1, 32, BITFIELDS, 0, 0, 0, 0, 0,
        0xFF0000, 0xFF00, 0xFF, 0xFF000000 if alpha else 0,
    ).ljust(HEADER, b"\0")  # fmt: skip


def _palette(data: bytes, bits: int) -> bytes:
    """Return the colours, four bytes each."""
    size, colours = struct.unpack_from("<I", data, 14)[0], struct.unpack_from("<I", data, 46)[0]
    return data[14 + size : 14 + size + 4 * (colours or 1 << bits)]


def _of_palette(palette: bytes, width: int, height: int, values: NDArray[np.uint8]) -> bytes:
    """Return a file of 8 bits a pixel."""
    offset = 14 + INFO + len(palette)
    header = struct.pack(
        "<2sIHHIIiiHHIIiiII",
        b"BM", 0, 0, 0, offset, INFO, width, height, 1, 8, 0, 0, 0, 0, len(palette) // 4, 0,
    )  # fmt: skip
    return header + palette + np.pad(values, ((0, 0), (0, -width % 4))).tobytes()


def _without_runs(data: bytes, offset: int, width: int, height: int, bits: int) -> bytes:
    """Return a file whose pixels are written one by one; those that no run has are black.

    As Chromium 156 shows them: others take the first colour of the palette, or what lies behind.
    """
    rows = abs(height)
    pixels, reached, whole = _undone(data, offset, width, rows, bits, 0)
    if whole and bits != 24:
        return _of_palette(_palette(data, bits), width, height, pixels[..., 0])
    made = np.zeros((reached, width, 4), np.uint8)
    if bits == 24:
        made[..., :3] = pixels[:reached]
    else:
        colours = np.zeros((256, 4), np.uint8)
        told = np.frombuffer(_palette(data, bits), np.uint8)
        told = told[: len(told) // 4 * 4].reshape(-1, 4)
        colours[: len(told)] = told
        made[:] = colours[pixels[:reached, :, 0]]
        others, _, _ = _undone(data, offset, width, rows, bits, 1)
        made[(pixels != others)[:reached, :, 0]] = 0  # what was there before is there still
    return _header(width, height, 0) + made.tobytes()


def _undone(
    data: bytes, at: int, width: int, rows: int, bits: int, before: int
) -> tuple[NDArray[np.uint8], int, bool]:
    """Return the values of all pixels, how many rows the data reaches, and if it has every pixel.

    Runs are of one value, or of two in turns if they have 4 bits; or values follow as they are. A
    line, or the picture, may be left before its end (Windows' RLE4 and RLE8, OS/2's RLE24). What no
    run has is as it was `before`.
    """
    deep = bits // 8 or 1
    values = bytearray(bytes([before])) * (width * rows * deep)
    code_bytes = 4 if bits == 24 else 2
    end = min(len(data), at + code_bytes * (width + 4) * rows)  # a code for each pixel
    column = row = had = 0
    while row < rows and at + 2 <= end:
        count, code = data[at], data[at + 1]
        at += 2
        if count:
            if column >= width:  # broken, and of no use but to keep us busy
                at += code_bytes - 2
                continue
            if bits == 8:
                run = data[at - 1 : at] * count
            elif bits == 4:
                run = bytes((code >> 4, code & 15)) * (count // 2 + 1)
            else:
                run = data[at - 1 : at + 2] * count
                at += 2
        elif code == 0:
            column, row = 0, row + 1
            continue
        elif code == 1:
            row = rows
            break
        elif code == 2:
            column += int.from_bytes(data[at : at + 1])
            row += int.from_bytes(data[at + 1 : at + 2])
            at += 2
            continue
        else:
            count, taken = code, (code * bits + 7) // 8
            run = data[at : at + taken]
            if bits == 4:
                run = bytes(half for both in run for half in (both >> 4, both & 15))
            at += taken + taken % 2
        if count > width - column or count * deep > len(run):
            count = max(0, min(width - column, len(run) // deep))
        first = (row * width + column) * deep
        values[first : first + count * deep] = run[: count * deep]
        column += count
        had += count
    whole = had == width * rows
    reached = rows if whole or row >= rows else row + (column > 0)
    return np.frombuffer(values, np.uint8).reshape(rows, width, deep), reached, whole


def _scaled(values: NDArray[np.uint32], mask: int) -> NDArray[np.uint8]:
    """Return what `values` have in the bits of `mask`, the largest as 255."""
    if not mask:
        return np.zeros(values.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    largest = mask >> shift
    numbers = ((values & np.uint32(mask)) >> np.uint32(shift)).astype(np.float32)
    scaled: NDArray[np.uint8] = np.rint(numbers * np.float32(255 / largest)).astype(np.uint8)
    return scaled
