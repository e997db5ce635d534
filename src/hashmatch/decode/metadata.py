"""A file without its metadata: what is odd there must not cost the picture.

Decoders read profiles, texts, thumbnails and notes while they open a file, and raise on the odd
ones, where viewers show the picture. So a file that is refused is tried once more with nothing but
the parts that make the picture, each as it was.
"""

from __future__ import annotations

import struct

from hashmatch.decode import apng, isobmff, limits, tiff
from hashmatch.decode.gif import SCREEN_BYTES, color_table_bytes

PNG_PARTS = {b"tRNS", b"eXIf", b"cICP", b"cLLI", b"mDCV"}
"""Kept besides the critical chunks, whose names begin with a capital letter."""
PNG_ONCE = {*PNG_PARTS - {b"tRNS"}, b"gAMA", b"cHRM", b"sRGB", b"iCCP"}
"""What a file has once, if at all, and says how it looks."""
JPEG_NOTES = {*range(0xE0, 0xF0), 0xFE}
"""Markers of application segments and comments."""
ADOBE, ADOBE_BYTES = 0xEE, 14
"""The segment that says what the colours are; libjpeg heeds none that is shorter."""
TIFF_PARTS = {
    256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324,
    325, 330, 332, 338, 339, 340, 341, 347, 529, 530, 531, 532,
}  # fmt: skip
"""Tags that say how pixels are stored (TIFF 6.0, and its supplements for JPEG and tiles)."""
WEBP_PICTURES = {b"VP8 ", b"VP8L"}
WEBP_PARTS = {*WEBP_PICTURES, b"VP8X", b"ALPH", b"ANIM", b"ANMF"}
GRAPHIC_CONTROL = 0xF9
EXIF = b"Exif\0\0"


def without_metadata(name: str, data: bytes) -> bytes | None:
    """Return a file of the format called `name` with only the parts that make its picture.

    None if it has no other parts, or is of a format whose parts are not known here.
    """
    try:
        bare = BARE[name](data)
    except (KeyError, struct.error, IndexError, StopIteration):
        return None
    return bare if bare != data else None


def without_repeats(data: bytes) -> bytes:
    """Return a PNG without the chunks that repeat another, of which browsers heed the first."""
    seen: set[bytes] = set()
    repeats = []
    for kind, begin, end in apng.chunks(data, limits.PNG_CHUNKS):
        if kind in seen & PNG_ONCE:
            repeats.append((begin - 8, end + 4))
        seen.add(kind)
    for begin, end in reversed(repeats):
        data = data[:begin] + data[end:]
    return data


def without_cut_frames(data: bytes) -> bytes | None:
    """Return an animated WebP that is cut off with those of its frames that are there in full.

    None if it is not cut off, or in its first frame.
    """
    parts, position, cut = [b"WEBP"], 12, False
    while position + 8 <= len(data) and not cut:
        kind, length = struct.unpack_from("<4sI", data, position)
        end = position + 8 + length + length % 2
        cut = end > len(data)
        if not cut and kind in WEBP_PARTS:
            parts.append(data[position:end])
        position = end
    if not cut or not any(part.startswith(b"ANMF") for part in parts):
        return None
    return _riff(parts)


def _bare_png(data: bytes) -> bytes:
    parts, position = [data[:8]], 8
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if kind in PNG_PARTS or not kind[0] & 0x20:
            parts.append(data[position:end])
        position = end
        if kind == b"IEND":
            break
    return b"".join(parts)


def _bare_jpeg(data: bytes) -> bytes:
    """Drop notes before the first scan; of Exif the first is kept, which has the orientation."""
    parts, position, oriented = [data[:2]], 2, False
    while data[position] == 0xFF:
        marker = data[position + 1]
        if marker in {0xFF, 0x01, *range(0xD0, 0xD9)}:  # padding, or alone
            position += 1 if marker == 0xFF else 2
            continue
        if marker in {0xD9, 0xDA}:
            break
        end = position + 2 + struct.unpack_from(">H", data, position + 2)[0]
        is_exif = marker == 0xE1 and data[position + 4 : position + 10] == EXIF
        is_colour = marker == ADOBE and end - position >= 2 + ADOBE_BYTES
        if marker not in JPEG_NOTES or is_colour or (is_exif and not oriented):
            parts.append(data[position:end])
        oriented = oriented or is_exif
        position = end
    return b"".join([*parts, data[position:]])


def _bare_tiff(data: bytes) -> bytes:
    return tiff.with_tags(data, TIFF_PARTS)


def _bare_webp(data: bytes) -> bytes:
    """Drop what is no picture, and say how long the rest is; none if a picture is cut off."""
    parts, position, seen = [b"WEBP"], 12, False
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        end = position + 8 + length + length % 2
        if kind in WEBP_PARTS and end > len(data):
            raise IndexError
        if kind in WEBP_PICTURES and seen:
            break  # a second picture is nobody's
        seen = seen or kind in WEBP_PICTURES
        if kind in WEBP_PARTS or (kind == b"EXIF" and end <= len(data)):
            parts.append(data[position:end])
        position = end
    return _riff(parts)


def _riff(parts: list[bytes]) -> bytes:
    body = b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _bare_gif(data: bytes) -> bytes:
    """Drop extensions before the first picture, but the one that says how it is laid down."""
    position = SCREEN_BYTES + color_table_bytes(data[10])
    parts = [data[:position]]
    while data[position] == 0x21:
        begin, label = position, data[position + 1]
        position += 2
        while data[position]:
            position += 1 + data[position]
        position += 1
        if label == GRAPHIC_CONTROL:
            parts.append(data[begin:position])
    return b"".join([*parts, data[position:]])


BARE = {
    "WEBP": _bare_webp,
    "GIF": _bare_gif,
    "PNG": _bare_png,
    "JPEG": _bare_jpeg,
    "TIFF": _bare_tiff,
    "AVIF": isobmff.without_metadata,
    "HEIF": isobmff.without_metadata,
}
"""By Pillow's name of a format, what leaves a file of it with the parts that make its picture."""
