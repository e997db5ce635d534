"""Animations written byte by byte, so that every way a frame can be stored is tried."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

PNG = b"\x89PNG\r\n\x1a\n"


@dataclass
class Frame:
    """A patch: RGBA rows, its place, whether it is drawn over what is there, what follows it."""

    left: int
    top: int
    pixels: Any  # uint8[h, w, 4]
    over: bool = True
    after: int = 0  # 0 it stays, 1 its place is cleared, 2 its place is as before


def gif(width: int, height: int, frames: list[Frame], trailer: bytes = b";") -> bytes:
    """Write a GIF of up to 127 colours a frame, each with its own table, and one transparent."""
    out = b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0)
    for frame in frames:
        rows = [[tuple(map(int, pixel)) for pixel in row] for row in frame.pixels]
        colours = sorted({pixel[:3] for row in rows for pixel in row if pixel[3]})
        place = {colour: index for index, colour in enumerate(colours)}
        table = b"".join(bytes(colour) for colour in colours).ljust(3 * 128, b"\xaa")
        disposal = (1, 2, 3)[frame.after] << 2
        out += b"\x21\xf9\x04" + bytes([disposal | 1, 5, 0, 127]) + b"\0"
        out += b"\x2c" + struct.pack(
            "<HHHHB", frame.left, frame.top, len(rows[0]), len(rows), 0x80 | 6
        )
        out += table + b"\x07"
        codes = [place[pixel[:3]] if pixel[3] else 127 for row in rows for pixel in row]
        # Cleared every 100 codes, the table never grows beyond codes of eight bits.
        body = bytearray()
        for start in range(0, len(codes), 100):
            body += bytes([128, *codes[start : start + 100]])
        body.append(129)
        for start in range(0, len(body), 255):
            block = body[start : start + 255]
            out += bytes([len(block)]) + block
        out += b"\0"
    return out + trailer


def apng(
    width: int, height: int, frames: list[Frame], default: Any = None, extra: bytes = b""
) -> bytes:
    """Write an animated PNG; `default` is an image apart from the animation."""
    out = PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)) + extra
    out += chunk(b"acTL", struct.pack(">II", len(frames), 0))
    if default is not None:
        out += chunk(b"IDAT", _packed(default))
    number = 0
    for index, frame in enumerate(frames):
        rows, columns = frame.pixels.shape[:2]
        control = (number, columns, rows, frame.left, frame.top, 1, 10, frame.after, frame.over)
        out += chunk(b"fcTL", struct.pack(">IIIIIHHBB", *control))
        number += 1
        if index == 0 and default is None:
            out += chunk(b"IDAT", _packed(frame.pixels))
            continue
        body = _packed(frame.pixels)
        for part in (body[: len(body) // 2], body[len(body) // 2 :]):
            out += chunk(b"fdAT", struct.pack(">I", number) + part)
            number += 1
    return out + chunk(b"IEND", b"")


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return one chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _packed(pixels: Any) -> bytes:
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))


def played(width: int, height: int, frames: list[Frame]) -> list[Any]:
    """Return what is seen of each frame, float[height, width, 3], a pixel at a time.

    The canvas keeps its transparency, as in a browser, and goes over white at the very end.
    """
    clear = (0.0, 0.0, 0.0, 0.0)
    canvas: list[list[tuple[float, ...]]] = [[clear] * width for _ in range(height)]
    seen = []
    for frame in frames:
        before = [list(row) for row in canvas]
        rows, columns = frame.pixels.shape[:2]
        places = [
            (y, x, frame.top + y, frame.left + x)
            for y in range(rows)
            for x in range(columns)
            if frame.top + y < height and frame.left + x < width
        ]
        for y, x, row, column in places:
            source = tuple(float(value) for value in frame.pixels[y, x])
            canvas[row][column] = _over(source, canvas[row][column]) if frame.over else source
        seen.append(np.array([[_over(at, (255.0,) * 4)[:3] for at in row] for row in canvas]))
        for _, _, row, column in places:
            if frame.after:
                canvas[row][column] = clear if frame.after == 1 else before[row][column]
    return seen


def _over(above: tuple[float, ...], below: tuple[float, ...]) -> tuple[float, ...]:
    """Porter and Duff's over, on straight RGBA."""
    share, rest = above[3] / 255.0, below[3] / 255.0 * (1.0 - above[3] / 255.0)
    alpha = share + rest
    if alpha == 0.0:
        return (0.0, 0.0, 0.0, 0.0)
    colour = [
        (one * share + other * rest) / alpha
        for one, other in zip(above[:3], below[:3], strict=True)
    ]
    return (*colour, alpha * 255.0)
