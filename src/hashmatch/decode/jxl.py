"""JPEG XL, read by libjxl through imagecodecs; what the decoder does not say, from the header.

Header fields by ISO/IEC 18181-1, annexes D and E. They stop where what is wanted of them is known.
The decoder turns a picture as its codestream says; an EXIF orientation beside it repeats that, and
does not count (ISO/IEC 18181-2).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from hashmatch.decode import limits
from hashmatch.decode.cicp import BT709, Cicp

CODESTREAM, CONTAINER = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
MOST_BOXES = 4096
HEADER_BYTES = 4096
"""Of a codestream, enough for what comes before its colours."""
RATIOS = (0, (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height, where the width is not written."""
D65, SRGB_PRIMARIES, DISPLAY_P3 = 1, 1, 11


class Bits:
    """Numbers of some bits each, the least significant first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        """Return the next number of `count` bits. Raises EOFError at the end."""
        if count > self._left:
            raise EOFError("the header is cut off")
        self._left -= count
        number = self._value & ((1 << count) - 1)
        self._value >>= count
        return number

    def choose(self, *choices: tuple[int, int]) -> int:
        """Return a number of one of four ranges, each its first number and its count of bits."""
        first, count = choices[self.take(2)]
        return first + self.take(count)

    def enum(self) -> int:
        """Return a member of a table."""
        return self.choose((0, 0), (1, 0), (2, 4), (18, 6))


@dataclass
class Header:
    """What a file says before its pixels; sizes as the picture is shown, in pixels."""

    width: int = 0
    height: int = 0
    animated: bool = False
    bits: int = 8
    is_float: bool = False
    cicp: Cicp | None = field(default=None)


def read_header(data: bytes) -> Header:
    """Return the header of a JPEG XL. Raises EOFError or struct.error if it is cut off."""
    bits = Bits(_codestream(data)[len(CODESTREAM) :][:HEADER_BYTES])
    found = Header(*_size(bits))
    if bits.take(1):  # all as usual
        return found
    orientation = 1
    if bits.take(1):
        orientation = bits.take(3) + 1
        if bits.take(1):
            _size(bits)
        if bits.take(1):
            _preview_size(bits)
        found.animated = bool(bits.take(1))
        if found.animated:
            bits.choose((100, 0), (1000, 0), (1, 10), (1, 30))
            bits.choose((1, 0), (1001, 0), (1, 8), (1, 10))
            bits.choose((0, 0), (0, 3), (0, 16), (0, 32))
            bits.take(1)
    if orientation > 4:
        found.width, found.height = found.height, found.width
    found.is_float, found.bits = _depth(bits)
    bits.take(1)
    for _ in range(bits.choose((0, 0), (1, 0), (2, 4), (1, 12))):
        _extra_channel(bits)
    bits.take(1)
    found.cicp = _colours(bits)
    return found


def _codestream(data: bytes) -> bytes:
    """Return the beginning of the codestream in `data`, which may lie in boxes, and in parts."""
    if data.startswith(CODESTREAM):
        return data
    at, parts = 0, b""
    for _ in range(MOST_BOXES):
        if at + 8 > len(data):
            break
        size, kind = struct.unpack_from(">I4s", data, at)
        header = 8
        if size == 1:
            (size,), header = struct.unpack_from(">Q", data, at + 8), 16
        end = at + size if size else len(data)
        if kind == b"jxlc":
            return data[at + header : end]
        if kind == b"jxlp":
            parts += data[at + header + 4 : min(end, at + header + 4 + HEADER_BYTES)]
        if len(parts) >= HEADER_BYTES or end < at + header:
            break
        at = end
    return parts


def _size(bits: Bits) -> tuple[int, int]:
    small = bits.take(1)

    def side() -> int:
        if small:
            return (bits.take(5) + 1) * 8
        return bits.choose((1, 9), (1, 13), (1, 18), (1, 30))

    height = side()
    ratio = RATIOS[bits.take(3)]
    width = height * ratio[0] // ratio[1] if isinstance(ratio, tuple) else side()
    return width, height


def _preview_size(bits: Bits) -> None:
    in_blocks = bits.take(1)
    ranges = (
        ((16, 0), (32, 0), (1, 5), (33, 9))
        if in_blocks
        else ((1, 6), (65, 8), (321, 10), (1345, 12))
    )
    bits.choose(*ranges)
    if not bits.take(3):
        bits.choose(*ranges)


def _depth(bits: Bits) -> tuple[bool, int]:
    """Return whether samples are floats, and their bits."""
    if bits.take(1):
        count = bits.choose((32, 0), (16, 0), (24, 0), (1, 6))
        bits.take(4)
        return True, count
    return False, bits.choose((8, 0), (10, 0), (12, 0), (1, 6))


def _extra_channel(bits: Bits) -> None:
    if bits.take(1):
        return
    kind = bits.enum()
    _depth(bits)
    bits.choose((0, 0), (3, 0), (4, 0), (1, 3))
    bits.take(8 * bits.choose((0, 0), (0, 4), (16, 5), (48, 10)))
    if kind == 0:  # alpha
        bits.take(1)
    elif kind == 2:  # a spot colour
        bits.take(64)
    elif kind == 5:  # of a colour filter
        bits.choose((1, 0), (0, 2), (3, 4), (19, 8))


def _colours(bits: Bits) -> Cicp | None:
    """Return the code points of a picture whose colours are no profile."""
    if bits.take(1) or bits.take(1):  # sRGB, or a profile
        return None
    space = bits.enum()
    primaries = SRGB_PRIMARIES
    if space != 2:  # XYB
        if bits.enum() == 2:
            _custom_point(bits)
        if space != 1:  # gray
            primaries = bits.enum()
            if primaries == 2:
                for _ in range(3):
                    _custom_point(bits)
    if bits.take(1):  # a gamma
        return None
    return Cicp({1: BT709, DISPLAY_P3: 12}.get(primaries, primaries), bits.enum())


def _custom_point(bits: Bits) -> None:
    for _ in range(2):
        bits.choose((0, 19), (524288, 19), (1048576, 20), (2097152, 21))


class JxlImageFile(ImageFile.ImageFile):
    """A JPEG XL as Pillow has other files; it is nowhere registered with Pillow."""

    format = "JXL"
    format_description = "JPEG XL"

    def _open(self) -> None:
        file: Any = self.fp
        self._data: bytes = file.read()
        self._header = header = read_header(self._data)
        self._size = header.width, header.height
        self._mode = "RGB"  # until it is decoded
        self._number = 0
        if header.cicp is not None:
            self.info["cicp"] = header.cicp
        self.tile = [ImageFile._Tile("jxl", (0, 0, *self._size), 0, None)]

    @cached_property
    def n_frames(self) -> int:
        """Frames, of those that are in reach; one more is looked for by decoding it."""
        if not self._header.animated:
            return 1
        pixels = max(self.width * self.height, limits.FRAME_LEAST_PIXELS)
        most = max(1, limits.JXL_REACH_PIXELS // pixels)
        first = self._decode(0)
        known, beyond = 1, 2
        while beyond <= most and self._has(beyond - 1, first):
            known, beyond = beyond, 2 * beyond
        beyond = min(beyond, most + 1)
        while beyond - known > 1:
            middle = (known + beyond) // 2
            if self._has(middle - 1, first):
                known = middle
            else:
                beyond = middle
        return known

    def _has(self, number: int, first: Any) -> bool:
        """Return whether there is a frame of that number: beyond the last, nothing is written."""
        noise = (self._data * (first.nbytes // len(self._data) + 1))[: first.nbytes]
        out = np.frombuffer(bytearray(noise), first.dtype).reshape(first.shape)
        try:
            self._decode(number, out)
        except Exception:  # cut off or broken there
            return False
        written: bool = out.tobytes() != noise
        return written

    def seek(self, frame: int) -> None:
        """Go to a frame."""
        self._number = frame
        self.tile = [ImageFile._Tile("jxl", (0, 0, *self._size), 0, None)]

    def tell(self) -> int:
        """Return which frame it is at."""
        return self._number

    def load(self) -> Any:
        """Decode the frame that it is at."""
        if self.tile:
            decoded = Image.fromarray(self._eight_bits(self._decode(self._number)))
            if decoded.size != self._size:
                raise ValueError("the picture is not of the size in its header")
            self.im, self._mode, self.tile = decoded.im, decoded.mode, []
        return Image.Image.load(self)

    def _decode(self, number: int, out: Any = None) -> Any:
        from imagecodecs import jpegxl_decode

        return jpegxl_decode(self._data, index=number, numthreads=1, out=out)

    def _eight_bits(self, samples: Any) -> Any:
        """Return samples as Pillow takes them, scaled by what the header says of them."""
        if samples.dtype.kind == "f":
            samples = np.clip(np.nan_to_num(samples), 0, 1) * 255
        elif self._header.bits != 8:
            samples = samples * np.float32(255 / ((1 << self._header.bits) - 1))
        pixels = samples if samples.dtype == np.uint8 else np.rint(samples).astype(np.uint8)
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[..., 0]
        return np.ascontiguousarray(pixels)
