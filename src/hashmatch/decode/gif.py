"""The frames of a GIF, found from its blocks without decoding one (GIF89a specification, W3C)."""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING

from hashmatch.decode.frame_parts import Disposal, FrameRect

if TYPE_CHECKING:
    from collections.abc import Iterator

SCREEN_BYTES = 13
"""Bytes of the signature and of the logical screen descriptor."""
EXTENSION, IMAGE, TRAILER = 0x21, 0x2C, 0x3B
CONTROL = 0xF9
HAS_COLOR_TABLE = 0x80
"""In the flags of a screen or an image: a colour table follows, of 2 to the power n + 1."""

# 4 is in no specification; it was written for 3 by early tools, and browsers take it for that.
DISPOSALS = {2: Disposal.CLEAR, 3: Disposal.RESTORE, 4: Disposal.RESTORE}


def frame_rects(data: bytes, most_blocks: int) -> Iterator[FrameRect]:
    """Yield the frames of a GIF, the last one perhaps cut off.

    So many blocks are looked at before giving up: a GIF may hold a block for every two of its
    bytes.
    """
    walk = _BlockWalk(data, most_blocks)
    position = SCREEN_BYTES + color_table_bytes(data[10])
    control = b""
    try:
        while (kind := data[position]) != TRAILER:
            if kind == EXTENSION:
                end = walk.past(position + 2)
                if data[position + 1] == CONTROL and end - position >= 8:
                    control = data[position:end]
            elif kind == IMAGE:
                left, top, width, height, flags = struct.unpack_from("<HHHHB", data, position + 1)
                end = walk.past(position + 10 + color_table_bytes(flags) + 1)
                method = control[3] >> 2 & 7 if control else 0
                disposal = DISPOSALS.get(method, Disposal.KEEP)
                file = partial(_standalone_file, data, control, position, end)
                yield FrameRect(left, top, width, height, disposal, True, file)
                control = b""
            else:  # a stray byte, as after data that is longer than it says
                end = position + 1
                walk.count()
            position = end
    except (IndexError, struct.error):  # the file is cut off
        return


class _BlockWalk:
    """Steps over chains of data blocks, each headed by its length, and counts them."""

    def __init__(self, data: bytes, most: int) -> None:
        self._data = data
        self._left = most

    def past(self, position: int) -> int:
        """Return where the chain that begins at `position` ends, or the file if that is first."""
        while position < len(self._data) and (length := self._data[position]):
            position += 1 + length
            self.count()
        return min(position + 1, len(self._data))

    def count(self) -> None:
        """Note one step, and end the walk if it was the last."""
        self._left -= 1
        if self._left < 0:
            raise IndexError


def color_table_bytes(flags: int) -> int:
    """Return the bytes of the colour table that the `flags` of a screen or an image promise."""
    return 3 << (flags & 7) + 1 if flags & HAS_COLOR_TABLE else 0


def _standalone_file(data: bytes, control: bytes, start: int, end: int) -> bytes:
    """Return a GIF of the one frame in `data[start:end]`, as large as the frame."""
    size = data[start + 5 : start + 9]
    head = data[:6] + size + data[10 : SCREEN_BYTES + color_table_bytes(data[10])]
    if control:  # what is left of its flags says whether one colour is transparent
        control = control[:3] + bytes([control[3] & 1]) + control[4:]
    return head + control + data[start : start + 1] + b"\0\0\0\0" + data[start + 5 : end] + b";"
