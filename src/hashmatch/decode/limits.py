"""Every limit on files and pictures, and the check for files made of too many parts.

Decoding in this process, the decode pool and the sources look a number up here whenever they use
it, so that all of them agree on every input. The policy ``rgb/2`` stands for these numbers: what
another size of a scaled JPEG or another choice of frames would change is the hash.

Pixel limits stem from the memory that a megapixel was measured to cost in each decoder: WebP
15.5 MB, AVIF 8.7, HEIF 7.6, JPEG XL up to 37, PNG, TIFF and JPEG up to 8; and once more its pixels,
3 MB, when the picture is turned or hashed. They are checked after the header and before there is
any pixel.

The limits on parts are for files that take long to read and have few pixels: a progressive JPEG of
125 kB with 1,000 scans was measured to take 18 s, each megabyte of padding in its header one more,
and half a million empty chunks of a PNG 4 s. Ordinary files are far below all of them: among
photographs the most scans seen are 39.
"""

from __future__ import annotations

import re
import struct

from hashmatch.decode.gif import SCREEN_BYTES, color_table_bytes
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError

MEGAPIXEL = 1_000_000

MAX_BYTES = 256 * 2**20
"""Bytes of a file. Larger ones are refused unread: a 256-megapixel JPEG of a camera is about half
of that."""

PIXELS = {
    "JPEG": 256 * MEGAPIXEL,
    "PNG": 64 * MEGAPIXEL,
    "WEBP": 36 * MEGAPIXEL,
    "GIF": 64 * MEGAPIXEL,
    "BMP": 64 * MEGAPIXEL,
    "TIFF": 64 * MEGAPIXEL,
    "AVIF": 50 * MEGAPIXEL,
    "HEIF": 64 * MEGAPIXEL,
    "JXL": 20 * MEGAPIXEL,
}
"""Pixels of a picture, by Pillow's name of its format."""
ARRAY_PIXELS = 256 * MEGAPIXEL
"""Pixels of an array that is given as a picture."""
PROGRESSIVE_JPEG_PIXELS = 192 * MEGAPIXEL
TILED_PIXELS = 208 * MEGAPIXEL
"""Pixels of a HEIF or AVIF in tiles, which is decoded tile by tile, and smaller, where it has more
than others of its format may. The largest sensors of phones have 201."""
TILE_PIXELS = 16 * MEGAPIXEL
TILES = 4096
"""Of one such picture; those of cameras have 1,000 at most."""
RUN_LENGTH_BMP_PIXELS = 8 * MEGAPIXEL
"""Pillow undoes these runs in Python, so that this limit is one of time: a few seconds."""
UNUSUAL_BMP_PIXELS = 32 * MEGAPIXEL
"""Pixels of a BMP whose colours lie in other bits than Pillow reads: they are held once more."""
TIFF_SAMPLE_BYTES = 256 * 2**20
"""Bytes of the samples of a TIFF that Pillow does not read, all of which are held at once: as many
as 64 megapixels of four 8-bit samples have."""

WHOLE_JPEG_PIXELS = 64 * MEGAPIXEL
"""Pixels of a JPEG from which on it is decoded smaller, so that time and memory stay those of
others: of 215 megapixels a quarter of the second, and a tenth of the memory, that all of them would
take."""
SCALED_JPEG_SIDE = 1024
"""Pixels to leave on the shorter side of a JPEG that is decoded smaller, where more than half of
its sides is to go. No hasher looks at more than 512."""
JPEG_SIDE = 65_535
"""Pixels of a JPEG's side, which its header has two bytes for."""
JPEG_COEFFICIENT_BYTES = 400 * 2**20
"""Bytes of the frequencies that libjpeg holds of a progressive picture, all of them at once."""
JPEG_SCANS = 100
"""As libjpeg-turbo's own fuzzer has it."""
JPEG_SEGMENTS = 10_000
"""Segments of a JPEG before its first scan."""
JPEG_PADDING_BYTES = 65_536
"""Bytes of a JPEG's header that belong to nothing, which Pillow steps over one by one."""
PNG_CHUNKS = 65_536
"""Even at 8 KiB each, which is what libpng writes, 512 MiB."""
GIF_BLOCKS = 65_536
"""Blocks of a GIF before its first picture."""

FRAMES = 8
"""Frames given of one file by default: eight hashes cost what the eight orientations of
one picture do, and whatever fills a seventh of an animation is among them."""
FRAME_REACH_PIXELS = 128 * MEGAPIXEL
"""Pixels decoded to reach a frame that builds on those before it. A megapixel was measured to take
30 ms of a GIF of noise, 14 of a PNG, 6 of a WebP and 3 of an AVIF, so that 4 s is the most."""
JXL_REACH_PIXELS = 16 * MEGAPIXEL
"""The same of a JPEG XL, where a megapixel takes up to 150 ms. Its frames are not counted anywhere,
and are looked for by decoding them."""
FRAME_LEAST_PIXELS = 16_384
"""Pixels that any frame counts for, however small: what opening one costs in time."""
FRAME_BLOCKS = 2**21
"""Blocks of a GIF or chunks of a PNG looked at to find its frames: no more than a second's work."""
TIFF_PAGES = 4096
"""Pages of a TIFF that are looked for."""

VIDEO_BYTES = 64 * 2**30
"""Bytes of a video. It is read as it is decoded, and never in memory as a whole."""
VIDEO_PIXELS = 36 * MEGAPIXEL
"""Pixels of a video's frame: 8192 x 4320, of which H.264 holds up to sixteen."""
VIDEO_SIDE = 16_384
"""Pixels of a frame's side, as libavcodec's own decoders have it."""
VIDEO_SECONDS = 24 * 3600.0
VIDEO_FRAMES = 8_000_000
"""Frames of a video: a day at 90 a second."""
VIDEO_PACKETS = 40_000_000
"""Packets of all streams of a video, sound included."""
VIDEO_STREAMS = 64
VIDEO_CPU_SECONDS = 30.0
"""Processor time of a video besides that of its length, for its index and its first frames."""
VIDEO_CPU_PER_SECOND = 10.0
"""Processor time for a second of video. 60 frames of 3840 x 2160 were measured to take 3 s, of AV1
and H.265; no frame counts for more than a second."""

PROCESS_MEMORY = 896 * 2**20
"""Bytes that a process needs to decode any picture within these limits, Python and the libraries
included and its RGB pixels not. What was measured to take the most is a TIFF of 64 megapixels,
uncompressed and turned; the second is frames of a PNG of as many. Where a file is as large as its
pixels, frames after the first may need more, and are refused then."""


def most_decoded_pixels() -> int:
    """Return the most pixels that a picture decoded from a file can have.

    Sides of a JPEG that is decoded smaller are rounded up: a picture of w x h becomes one of
    (w + 1) / 2 x (h + 1) / 2 at most.
    """
    halved = (PIXELS["JPEG"] + 2 * JPEG_SIDE + 1) // 4
    others = (pixels for name, pixels in PIXELS.items() if name != "JPEG")
    return max(halved, WHOLE_JPEG_PIXELS, *others)


def check_bytes(size: int) -> None:
    """Raise ImageError, ``refused``, if a file of `size` bytes is too large to be read."""
    if size > MAX_BYTES:
        raise _refused(f"{size:,} bytes, the limit is {MAX_BYTES:,} bytes for one file")


START_OF_SCAN, END = 0xDA, 0xD9
ALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers that no length follows (ITU-T T.81, table B.1)."""
BASELINE = {0xC0, 0xC1}
FRAME_HEADERS = {
    0xC0, 0xC1, 0xC2, 0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0),
}  # fmt: skip
MARKER = re.compile(rb"\xff[\x01-\xfe]")
IN_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""In the data of a scan a zero or a restart follows every other 0xFF."""
PNG_CHUNK_BYTES = 12
"""Of an empty chunk: its length, kind and checksum."""


def check_structure(data: bytes, name: str) -> None:
    """Refuse a file of too many parts, by counting them and without decoding any.

    `name` is Pillow's name of its format. Raises ImageError, ``refused``.

    Examples
    --------
    >>> check_structure(bytes(10**6), "JPEG")
    Traceback (most recent call last):
    hashmatch.records.images.ImageError: JPEG: more than 65,536 bytes of padding
    """
    if name == "JPEG":
        _check_jpeg(data)
    elif name == "PNG":
        _check_png(data)
    elif name == "GIF":
        _check_gif(data)


def _check_jpeg(data: bytes) -> None:
    """Walk the segments to the first scan; count scans only where all of them are decoded."""
    position, padding, components, baseline = 2, 0, 0, False
    for _ in range(JPEG_SEGMENTS):
        found = MARKER.search(data, position)
        padding += (found.start() if found else len(data)) - position
        if padding > JPEG_PADDING_BYTES:
            raise _refused(f"JPEG: more than {JPEG_PADDING_BYTES:,} bytes of padding")
        if found is None or len(data) < found.end() + 8:
            return
        position = found.end()
        marker = data[position - 1]
        if marker in ALONE:
            continue
        if marker == END:
            return
        if marker in FRAME_HEADERS:
            components, baseline = data[position + 7], marker in BASELINE
        elif marker == START_OF_SCAN:
            # A baseline picture whose first scan has all its components is only that scan.
            if not (baseline and data[position + 2] == components):
                _count_scans(data, position)
            return
        position += struct.unpack_from(">H", data, position)[0]
    raise _refused(f"JPEG: more than {JPEG_SEGMENTS:,} segments")


def _count_scans(data: bytes, position: int) -> None:
    """Count the scans of a JPEG whose first has its length at `position`."""
    if data.count(b"\xff\xda") <= JPEG_SCANS:  # quick, and no less than there are
        return
    scans = 1
    while scans <= JPEG_SCANS:
        if position + 2 > len(data):
            return
        position += struct.unpack_from(">H", data, position)[0]
        found = IN_SCAN.search(data, position)
        if found is None or data[found.end() - 1] == END:
            return
        position = found.end()
        scans += data[position - 1] == START_OF_SCAN
    raise _refused(f"JPEG: more than {JPEG_SCANS} scans")


def _check_png(data: bytes) -> None:
    if len(data) < PNG_CHUNKS * PNG_CHUNK_BYTES:
        return
    position = 8
    for _ in range(PNG_CHUNKS):
        if position + PNG_CHUNK_BYTES > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IEND":  # nobody reads what is behind it
            return
        position += PNG_CHUNK_BYTES + length
    raise _refused(f"PNG: more than {PNG_CHUNKS:,} chunks")


def _check_gif(data: bytes) -> None:
    whole = len(data) > SCREEN_BYTES
    position = SCREEN_BYTES + color_table_bytes(data[10]) if whole else len(data)
    blocks = 0
    while data[position : position + 1] == b"\x21":
        position += 2
        while position < len(data) and (length := data[position]):
            position += 1 + length
            blocks += 1
        position += 1
        blocks += 1
        if blocks > GIF_BLOCKS:
            raise _refused(f"GIF: more than {GIF_BLOCKS:,} blocks before its picture")


def _refused(reason: str) -> ImageError:
    return ImageError(Outcome.REFUSED, reason)
