"""Files made of so many parts that reading them never ends, told by counting, before any decoder.

Pixel limits do not see them: a progressive JPEG of 125 kB with 1,000 scans was measured to take
18 s, each megabyte of padding in its header one more, and half a million empty chunks of a PNG 4 s.
Ordinary files are far below every limit here: among photographs the most scans seen are 39.
"""

from __future__ import annotations

import re
import struct

from hashmatch.decode.gif import SCREEN, table
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError

MOST_SCANS = 100
"""As libjpeg-turbo's own fuzzer has it."""
MOST_SEGMENTS = 10_000
"""Of a JPEG before its first scan."""
MOST_PADDING = 65_536
"""Bytes of a JPEG's header that belong to nothing, which Pillow steps over one by one."""
MOST_CHUNKS = 65_536
"""Of a PNG: even at 8 KiB each, which is what libpng writes, 512 MiB."""
LEAST_CHUNK = 12
MOST_BLOCKS = 65_536
"""Of a GIF before its first picture."""

START_OF_SCAN, END = 0xDA, 0xD9
ALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers that no length follows (ITU-T T.81, table B.1)."""
BASELINE = {0xC0, 0xC1}
FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)}
MARKER = re.compile(rb"\xff[\x01-\xfe]")
IN_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""In the data of a scan a zero or a restart follows every other 0xFF."""


def refuse_floods(data: bytes, name: str) -> None:
    """Raise ImageError, ``refused``, if `data`, of the format called `name`, is a flood of parts.

    Examples
    --------
    >>> refuse_floods(bytes(10**6), "JPEG")
    Traceback (most recent call last):
    hashmatch.records.images.ImageError: JPEG: more than 65,536 bytes of padding
    """
    if name == "JPEG":
        _jpeg(data)
    elif name == "PNG":
        _png(data)
    elif name == "GIF":
        _gif(data)


def _jpeg(data: bytes) -> None:
    """Walk the segments to the first scan; count scans only where all of them are decoded."""
    position, padding, components, baseline = 2, 0, 0, False
    for _ in range(MOST_SEGMENTS):
        found = MARKER.search(data, position)
        padding += (found.start() if found else len(data)) - position
        if padding > MOST_PADDING:
            raise _refused(f"JPEG: more than {MOST_PADDING:,} bytes of padding")
        if found is None or len(data) < found.end() + 8:
            return
        position = found.end()
        marker = data[position - 1]
        if marker in ALONE:
            continue
        if marker == END:
            return
        if marker in FRAMES:
            components, baseline = data[position + 7], marker in BASELINE
        elif marker == START_OF_SCAN:
            # A baseline picture whose first scan has all its components is only that scan.
            if not (baseline and data[position + 2] == components):
                _count_scans(data, position)
            return
        position += struct.unpack_from(">H", data, position)[0]
    raise _refused(f"JPEG: more than {MOST_SEGMENTS:,} segments")


def _count_scans(data: bytes, position: int) -> None:
    """Count the scans of a JPEG whose first has its length at `position`."""
    if data.count(b"\xff\xda") <= MOST_SCANS:  # quick, and no less than there are
        return
    scans = 1
    while scans <= MOST_SCANS:
        if position + 2 > len(data):
            return
        position += struct.unpack_from(">H", data, position)[0]
        found = IN_SCAN.search(data, position)
        if found is None or data[found.end() - 1] == END:
            return
        position = found.end()
        scans += data[position - 1] == START_OF_SCAN
    raise _refused(f"JPEG: more than {MOST_SCANS} scans")


def _png(data: bytes) -> None:
    if len(data) < MOST_CHUNKS * LEAST_CHUNK:
        return
    position = 8
    for _ in range(MOST_CHUNKS):
        if position + LEAST_CHUNK > len(data):
            return
        position += LEAST_CHUNK + struct.unpack_from(">I", data, position)[0]
    raise _refused(f"PNG: more than {MOST_CHUNKS:,} chunks")


def _gif(data: bytes) -> None:
    position = SCREEN + table(data[10]) if len(data) > SCREEN else len(data)
    blocks = 0
    while data[position : position + 1] == b"\x21":
        position += 2
        while position < len(data) and (length := data[position]):
            position += 1 + length
            blocks += 1
        position += 1
        blocks += 1
        if blocks > MOST_BLOCKS:
            raise _refused(f"GIF: more than {MOST_BLOCKS:,} blocks before its picture")


def _refused(reason: str) -> ImageError:
    return ImageError(Outcome.REFUSED, reason)
