"""BMP whose colours lie in other bits than Pillow knows, brought to those that it does.

The masks of a bitmap's header may place red, green, blue and alpha anywhere in its 16 or 32 bits
(BITMAPV4HEADER, BI_BITFIELDS and BI_ALPHABITFIELDS). Viewers heed them all.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BITFIELDS, ALPHA_BITFIELDS = 3, 6
INFO = 40
"""Bytes of the plain header; with one so short, masks follow it."""
USUAL = {
    16: {(0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0)},
    32: {
        (0, 0, 0, 0), (0xFF0000, 0xFF00, 0xFF, 0), (0xFF000000, 0xFF0000, 0xFF00, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0xFF), (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
    },
}  # fmt: skip
"""Masks of red, green, blue and alpha that Pillow reads, by bits of a pixel."""
HEADER = 14 + 108
"""Bytes of the headers that are written: of the file, and BITMAPV4HEADER."""
ROWS = 64
"""Converted at once, where each step makes a copy."""


def usual(data: bytes, most: int) -> bytes:
    """Return `data`, or a BMP of the same picture whose masks are usual ones.

    A file that ends early gives one that ends early. One without masks, or with a broken header, is
    returned as it is. Raises ImageError, ``refused``, if more than `most` pixels are to be changed.
    """
    try:
        size, width, height, _, bits, compression = struct.unpack_from("<IiiHHI", data, 14)
        if size < INFO or compression not in {BITFIELDS, ALPHA_BITFIELDS} or bits not in USUAL:
            return data
        masks = struct.unpack_from("<3I", data, 14 + INFO)
        has_alpha = compression == ALPHA_BITFIELDS or size > INFO + 12
        masks += struct.unpack_from("<I", data, 14 + INFO + 12) if has_alpha else (0,)
        (offset,) = struct.unpack_from("<I", data, 10)
    except struct.error:
        return data
    if (compression == BITFIELDS and masks in USUAL[bits]) or width <= 0:
        return data
    if width * abs(height) > most:
        raise ImageError(
            Outcome.REFUSED,
            f"BMP of {width} x {abs(height)} pixels with colours in unusual bits, the limit is "
            f"{most // 10**6} megapixels",
        )
    stride = (width * bits + 31) // 32 * 4
    rows = max(0, min(abs(height), (len(data) - offset) // stride))
    made = np.zeros(HEADER + rows * width * 4, np.uint8)
    red, green, blue, alpha = masks
    header = struct.pack(
        "<2sIHHIIiiHHIIiiII4I",
        b"BM", 0, 0, 0, HEADER, HEADER - 14, width, height, 1, 32, BITFIELDS, 0, 0, 0, 0, 0,
        0xFF0000, 0xFF00, 0xFF, 0xFF000000 if alpha else 0,
    )  # fmt: skip
    made[: len(header)] = np.frombuffer(header, np.uint8)
    pixels = made[HEADER:].reshape(rows, width, 4)
    for first in range(0, rows, ROWS):
        count = min(ROWS, rows - first)
        stored = np.frombuffer(data, np.uint8, count * stride, offset + first * stride)
        stored = stored.reshape(count, stride)[:, : width * bits // 8]
        values = np.ascontiguousarray(stored).view(f"<u{bits // 8}").astype(np.uint32)
        for channel, mask in enumerate((blue, green, red, alpha)):
            pixels[first : first + count, :, channel] = _scaled(values, mask)
    return made.tobytes()


def _scaled(values: NDArray[np.uint32], mask: int) -> NDArray[np.uint8]:
    """Return what `values` have in the bits of `mask`, the largest as 255."""
    if not mask:
        return np.zeros(values.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    largest = mask >> shift
    numbers = ((values & np.uint32(mask)) >> np.uint32(shift)).astype(np.float32)
    scaled: NDArray[np.uint8] = np.rint(numbers * np.float32(255 / largest)).astype(np.uint8)
    return scaled
