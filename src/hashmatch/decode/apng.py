"""The frames of an animated PNG, found from its chunks (PNG specification, third edition, W3C)."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from hashmatch.decode.frame_parts import Disposal, FrameRect

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
DISPOSALS = {1: Disposal.CLEAR, 2: Disposal.RESTORE}
SHARED_CHUNKS = {b"PLTE", b"tRNS", b"eXIf", b"cICP", b"cLLI", b"mDCV"}
"""The chunks that bear on how pixels are read, and hold for every frame."""

Span = tuple[int, int]


def frame_rects(data: bytes, most_chunks: int) -> Iterator[FrameRect]:
    """Yield the frames of the animation in a PNG; none if it has none.

    So many chunks are looked at before giving up.
    """
    shared: list[bytes] = []
    control: bytes = b""
    spans: list[Span] = []
    animated = False
    for kind, start, end in chunks(data, most_chunks):
        if kind in SHARED_CHUNKS:
            shared.append(_chunk(kind, data[start:end]))
        elif kind == b"acTL":
            animated = True
        elif not animated:
            if kind == b"IDAT":  # nobody plays what comes behind a still picture
                return
        elif kind == b"fcTL":
            if control and spans:
                yield _frame_rect(data, control, shared, spans)
            control, spans = data[start:end], []
        elif kind == b"IDAT" and control:  # without a control it is not part of the animation
            spans.append((start, end))
        elif kind == b"fdAT":
            spans.append((start + 4, end))  # a number precedes the data
    if control and spans:
        yield _frame_rect(data, control, shared, spans)


def starts_with_default(data: bytes, most_chunks: int) -> bool:
    """Return whether the default image of a PNG is apart from its animation."""
    for kind, _, _ in chunks(data, most_chunks):
        if kind in {b"fcTL", b"IDAT"}:
            return kind == b"IDAT"
    return True


def chunks(data: bytes, most: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each chunk, and where its body begins and ends; the last may be cut off."""
    position = len(SIGNATURE)
    for _ in range(most):
        if position + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        yield kind, start, min(start + length, len(data))
        position = start + length + 4


def _frame_rect(data: bytes, control: bytes, shared: list[bytes], spans: list[Span]) -> FrameRect:
    # sequence number, width, height, left, top, delay and its unit, disposal, blending
    _, width, height, left, top, _, _, disposal, blending = struct.unpack(
        ">IIIIIHHBB", control.ljust(26, b"\0")[:26]
    )
    bits = data[24:29]  # depth, colour type, and the methods

    def standalone_file() -> bytes:
        header = _chunk(b"IHDR", struct.pack(">II", width, height) + bits)
        body = b"".join(_chunk(b"IDAT", data[start:end]) for start, end in spans)
        return SIGNATURE + header + b"".join(shared) + body + _chunk(b"IEND", b"")

    after = DISPOSALS.get(disposal, Disposal.KEEP)
    return FrameRect(left, top, width, height, after, blending == 1, standalone_file)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
