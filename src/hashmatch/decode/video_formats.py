"""Containers of video by their first bytes, and how a frame lies in memory; decodes nothing.

Of FFmpeg's more than three hundred demuxers only these ever see a byte, each only files that begin
as its own do. Playlists and whatever else names other files (HLS, DASH, concat) are not among them.
"""

from __future__ import annotations

import math
import re
import struct
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from hashmatch.decode.formats import AVIF_BRANDS, HEIF_BRANDS, brands

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Read = Callable[[int, int], bytes]

POLICY = "video/1"
"""Changes whenever the same file would give other frames or pixels."""

HEAD = 1024
"""Bytes that a container is recognised by."""
MOST_BOXES = 10_000


class Container(NamedTuple):
    """What a file is: the demuxer that may read it, and its media type."""

    demuxer: str
    media_type: str


MP4 = Container("mov", "video/mp4")
QUICKTIME = Container("mov", "video/quicktime")
MOBILE = Container("mov", "video/3gpp")
MATROSKA = Container("matroska", "video/x-matroska")
WEBM = Container("matroska", "video/webm")
AVI = Container("avi", "video/x-msvideo")
TRANSPORT_STREAM = Container("mpegts", "video/mp2t")
PROGRAM_STREAM = Container("mpeg", "video/mpeg")
FLASH = Container("flv", "video/x-flv")
WINDOWS_MEDIA = Container("asf", "video/x-ms-asf")
OGG = Container("ogg", "video/ogg")
GIF = Container("gif", "image/gif")
CONTAINERS = (
    MP4, QUICKTIME, MOBILE, MATROSKA, WEBM, AVI, TRANSPORT_STREAM, PROGRAM_STREAM, FLASH,
    WINDOWS_MEDIA, OGG, GIF,
)  # fmt: skip

FIRST_BOXES = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
"""Of a QuickTime file from before there was a box that says its type."""
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
SYNC, PACKETS = 0x47, ((188, 0), (192, 4))
"""The first byte of a packet of a transport stream, how far they are apart, and what is before the
first, as in files of cameras."""
NAMED_SOUND = {b"M4A ", b"M4B ", b"M4P "}


class Layout(IntEnum):
    """How the pixels of a frame lie in memory."""

    RGB = 0
    """Three bytes a pixel, (height, width, 3)."""
    HALVED = 1
    """Planes Y, U and V; U and V half as wide and as high (4:2:0)."""
    NARROWED = 2
    """Planes Y, U and V; U and V half as wide (4:2:2)."""


def plane_shapes(layout: Layout, height: int, width: int) -> list[tuple[int, ...]]:
    """Return the shape of each array of bytes that a frame is."""
    if layout is Layout.RGB:
        return [(height, width, 3)]
    rows = height // 2 if layout is Layout.HALVED else height
    return [(height, width), (rows, (width + 1) // 2), (rows, (width + 1) // 2)]


def planes_in(
    memory: NDArray[np.uint8], layout: Layout, height: int, width: int
) -> list[NDArray[np.uint8]]:
    """Return a frame's arrays, one behind the other in `memory`.

    Raises ValueError if they do not fit, or there are none.
    """
    planes, at = [], 0
    for shape in plane_shapes(layout, height, width):
        size = math.prod(shape)
        if not 0 < size <= len(memory) - at:
            raise ValueError
        planes.append(memory[at : at + size].reshape(shape))
        at += size
    return planes


def identify_video(head: bytes) -> Container | None:
    """Return what a file that begins with `head` (`HEAD` bytes are enough) is; None if no video.

    A GIF is one, as vPDQ hashes it. Sound alone may be in most containers, too.

    Examples
    --------
    >>> identify_video(bytes(4) + b"ftypisom" + bytes(12)).media_type
    'video/mp4'
    >>> identify_video(b"#EXTM3U") is None
    True
    """
    kind = head[4:8]
    if kind == b"ftyp":
        named = brands(head)
        if named & (HEIF_BRANDS | AVIF_BRANDS) and head[8:12] not in {b"isom", b"mp42", b"qt  "}:
            return None
        if head[8:12] in NAMED_SOUND:
            return None
        if head[8:12] == b"qt  ":
            return QUICKTIME
        return MOBILE if head[8:10] == b"3g" else MP4
    if kind in FIRST_BOXES and len(head) >= 16:
        return QUICKTIME
    if head.startswith(EBML):
        return WEBM if re.search(rb"\x42\x82.webm", head[:128], re.DOTALL) else MATROSKA
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return AVI
    if head.startswith(b"\0\0\1\xba"):
        return PROGRAM_STREAM
    if head.startswith(b"FLV\1"):
        return FLASH
    if head.startswith(ASF_HEADER):
        return WINDOWS_MEDIA
    if head.startswith(b"OggS\0"):
        return OGG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    for size, first in PACKETS:
        starts = head[first::size]
        if len(starts) >= 3 and set(starts[:5]) == {SYNC}:
            return TRANSPORT_STREAM
    return None


def is_cut_off(container: Container, read: Read, size: int) -> bool:
    """Return whether a file of `size` bytes ends before what its container says of itself.

    `read` returns so many bytes from an offset on. Containers that do not say are never cut off.
    """
    try:
        if container.demuxer == "mov":
            return _boxes_end(read, size) > size
        if container.demuxer == "matroska":
            return _segment_end(read(0, HEAD)) > size
        if container == AVI:
            return 8 + int(struct.unpack("<I", read(4, 4))[0]) > size
    except (struct.error, IndexError):
        return True
    return False


def _boxes_end(read: Read, size: int) -> int:
    """Return where the last box of a file begins to reach beyond it, or ends."""
    at = 0
    for _ in range(MOST_BOXES):
        if at >= size:
            break
        header = read(at, 16)
        if len(header) < 8:
            return at + 8
        (length,) = struct.unpack_from(">I", header)
        if length == 1:
            (length,) = struct.unpack_from(">Q", header, 8)
        if length < 8:  # 0: to the end of the file
            break
        at += length
    return at


def _segment_end(head: bytes) -> int:
    """Return where the first segment of a Matroska file ends; 0 if that is not said."""
    length, at = _number(head, len(EBML))
    at += length
    if not head.startswith(SEGMENT, at):
        return 0
    length, at = _number(head, at + len(SEGMENT))
    return at + length if length >= 0 else 0


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of Matroska's variable length, -1 if it is unknown, and where it ends."""
    first = data[at]
    width = 9 - first.bit_length()
    if width > 8:
        return -1, at + 1
    value = int.from_bytes(data[at : at + width]) & ((1 << 7 * width) - 1)
    return (-1 if value == (1 << 7 * width) - 1 else value), at + width
