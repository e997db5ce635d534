"""Pictures written as PQ and HLG, by the formulas of ITU-R BT.2100 and nothing of hashmatch."""

from __future__ import annotations

import io
import re
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pillow_heif import from_pillow

if TYPE_CHECKING:
    from numpy.typing import NDArray

PQ, HLG = 16, 18
TO_BT2020 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)  # ITU-R BT.2087, table 2
WHITE = 203


def codes(pixels: NDArray[np.uint8], transfer: int) -> Image.Image:
    """Return sRGB `pixels` as BT.2020 code values, their white at 203 cd/m2."""
    value = pixels / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    nits = np.maximum(light @ TO_BT2020.T * WHITE, 0)
    made = _pq(nits) if transfer == PQ else _hlg(nits)
    return Image.fromarray(np.rint(made * 255).astype(np.uint8))


def _pq(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    power = (nits / 10_000) ** (2610 / 16384)
    made: NDArray[np.float64] = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (
        2523 / 32
    )
    return made


def _hlg(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    light = nits / 1000
    luminance = np.maximum(light @ np.array([0.2627, 0.6780, 0.0593]), 1e-9)[..., None]
    scene = light * luminance ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    made: NDArray[np.float64] = np.where(
        scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    )
    return made


def avif(image: Image.Image, transfer: int, primaries: int = 9, **options: object) -> bytes:
    """Return an AVIF that says what its code values stand for."""
    file = io.BytesIO()
    image.save(file, "AVIF", quality=95, subsampling="4:4:4", **options)
    return nclx(file.getvalue(), primaries, transfer)


def heic(image: Image.Image, transfer: int, primaries: int = 9) -> bytes:
    """Return a HEIC that does so."""
    file = io.BytesIO()
    from_pillow(image).save(file, quality=95, chroma="444")
    return nclx(file.getvalue(), primaries, transfer)


def brightest(data: bytes, nits: int) -> bytes:
    """Return an AVIF or HEIC of one item with a box ``clli``, its brightest pixel so bright."""
    added = struct.pack(">I4sHH", 12, b"clli", nits, nits // 4)
    at = data.index(b"ipco") - 4
    (size,) = struct.unpack_from(">I", data, at)
    properties = data[at + 8 : at + size] + added
    data = data[:at] + struct.pack(">I4s", size + 12, b"ipco") + properties + data[at + size :]
    number, position = 0, 0
    while position < len(properties):
        position += struct.unpack_from(">I", properties, position)[0]
        number += 1
    at = data.index(b"ipma") - 4
    (size,) = struct.unpack_from(">I", data, at)
    count = data[at + 18]  # of the properties of the only item, one byte each
    told = data[at + 8 : at + 18] + bytes([count + 1]) + data[at + 19 : at + size] + bytes([number])
    data = data[:at] + struct.pack(">I4s", size + 1, b"ipma") + told + data[at + size :]
    return _moved(data, 13)


def _moved(data: bytes, by: int) -> bytes:
    """Return a file whose boxes around the properties, and whose pixels, lie `by` bytes on."""
    whole = bytearray(data)
    for kind in (b"iprp", b"meta"):
        at = data.index(kind) - 4
        whole[at : at + 4] = struct.pack(">I", struct.unpack_from(">I", data, at)[0] + by)
    at = data.index(b"iloc") + 4
    where = at + 8 + (4 if data[at + 5] >> 4 else 6)  # of the base, or of the only extent
    whole[where : where + 4] = struct.pack(">I", struct.unpack_from(">I", data, where)[0] + by)
    return bytes(whole)


def png(image: Image.Image, transfer: int, primaries: int = 9, **options: object) -> bytes:
    """Return a PNG that does so, animated if it is saved as such."""
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    data = file.getvalue()
    return data[:33] + chunk(b"cICP", bytes([primaries, transfer, 0, 1])) + data[33:]


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def nclx(data: bytes, primaries: int, transfer: int) -> bytes:
    """Return an AVIF or HEIC with other code points in each box ``colr``."""
    return re.sub(
        b"(nclx)....", lambda found: found[1] + struct.pack(">HH", primaries, transfer), data,
        flags=re.DOTALL,
    )  # fmt: skip
