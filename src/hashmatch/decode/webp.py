"""The size of a WebP, from its header (RFC 9649, sections 2.5 to 2.7)."""

from __future__ import annotations

import struct

from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError


def size_of(data: bytes) -> tuple[int, int]:
    """Return the width and height of the WebP in `data`, in pixels.

    Raises ImageError, ``undecodable``, if its header is cut off.
    """
    try:
        kind = data[12:16]
        if kind == b"VP8X":
            low, high = data[24:27] + b"\0", data[27:30] + b"\0"
            return struct.unpack("<I", low)[0] + 1, struct.unpack("<I", high)[0] + 1
        if kind == b"VP8L":
            (bits,) = struct.unpack("<I", data[21:25])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        width, height = struct.unpack("<HH", data[26:30])
    except struct.error:
        raise ImageError(Outcome.UNDECODABLE, "WEBP: the header is cut off") from None
    return width & 0x3FFF, height & 0x3FFF
