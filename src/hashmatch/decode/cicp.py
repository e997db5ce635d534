"""Colours by code points (ITU-T H.273): where a file has them, and HDR brought to what is seen.

Of PQ and HLG, a code value says how much light a display is to give, so that a picture of them
looks flat and pale where they are taken for sRGB. They are brought to an SDR display as browsers
do it, by the reference white tone mapping operator of SMPTE ST 2094-50, from a display as bright as
the file says that its picture is, else of 1,000 cd/m2, with diffuse white at 203 (ITU-R BT.2408),
to one that is as bright as its white.
"""

from __future__ import annotations

import math
import struct
from contextlib import suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from hashmatch.decode import apng, isobmff, limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Light = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    Primaries = tuple[tuple[float, float], ...]

UNSPECIFIED, LINEAR, PQ, HLG = 2, 8, 16, 18
BT709, BT2020 = 1, 9

D65, DCI = (0.3127, 0.3290), (0.314, 0.351)
#: Red, green, blue and white of each ColourPrimaries, in CIE 1931 x and y (H.273, table 2).
PRIMARIES = {
    BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), D65),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), DCI),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
}

WHITE_NITS, PEAK_NITS = 203.0, 1000.0
PEAK = PEAK_NITS / WHITE_NITS
"""Of the display that the picture was made for, unless it says otherwise; 1 is its white."""
KNEE, ROUNDNESS = 0.5, 0.65
"""Where white comes to lie at least, up to which light is only dimmed; how long the bend above it
is."""

BAND = 2**16
"""Pixels mapped at once, few enough for what they pass through to stay in the cache."""


class Cicp(NamedTuple):
    """ColourPrimaries and TransferCharacteristics of a picture (ITU-T H.273).

    ``peak`` is its brightest light in cd/m2.
    """

    primaries: int
    transfer: int
    peak: float = PEAK_NITS

    @property
    def hdr(self) -> bool:
        """Whether its values stand for light of a display brighter than white."""
        return self.transfer in {PQ, HLG}


def put_beside(image: Image.Image, data: bytes) -> None:
    """Put the code points that Pillow passes over in the file `data` beside its open `image`."""
    in_file = {"AVIF": _in_boxes, "HEIF": _in_boxes, "PNG": _in_chunks}.get(image.format or "")
    if in_file:
        with suppress(struct.error, ValueError):  # it is cut off there
            image.info["cicp"] = in_file(data)


def of_image(image: Image.Image) -> Cicp | None:
    """Return the code points that count of an open `image`, by `put_beside` if its file is known.

    In a PNG they win over an ICC profile (PNG specification, third edition), elsewhere the profile
    wins over them, as libavif and browsers have it.
    """
    found, heif = image.info.get("cicp"), image.info.get("nclx_profile")
    if not isinstance(found, Cicp) and isinstance(heif, dict):
        found = Cicp(heif["color_primaries"], heif["transfer_characteristics"])
    if not isinstance(found, Cicp) or found[:2] == (UNSPECIFIED, UNSPECIFIED):
        return None
    return found if image.format == "PNG" or not image.info.get("icc_profile") else None


def to_sdr(image: Image.Image, cicp: Cicp) -> Image.Image:
    """Return an HDR `image` as RGB, or as RGBA if it is transparent, for an SDR display."""
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    pixels = np.array(image)
    pixels[..., :3] = mapped(pixels[..., :3], partial(_dimmed, cicp))
    return Image.fromarray(pixels)


def mapped(pixels: NDArray[np.uint8], to_light: Light) -> NDArray[np.uint8]:
    """Return (h, w, 3) `pixels` as sRGB.

    `to_light` gives the light of values, shape (3, n), by sRGB's primaries, 1 being white.
    """
    out = np.empty_like(pixels, order="C")
    rows = max(1, BAND // pixels.shape[1])
    for top in range(0, len(pixels), rows):
        part = pixels[top : top + rows]
        light = to_light(np.ascontiguousarray(part.reshape(-1, 3).T))
        values = _srgb()[np.clip(light * 65535 + np.float32(0.5), 0, 65535).astype(np.uint16)]
        out[top : top + rows] = values.T.reshape(part.shape)
    return out


def _dimmed(cicp: Cicp, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the light that an SDR display gives for HDR `codes`, shape (3, n)."""
    light = _light()[cicp.transfer][codes]
    if cicp.transfer == HLG:  # BT.2100, table 5: the OOTF of a display of 1,000 cd/m2
        luminance = np.array([0.2627, 0.6780, 0.0593], np.float32) @ light
        light *= np.float32(PEAK) * luminance ** np.float32(0.2)
    source = PRIMARIES.get(cicp.primaries, PRIMARIES[BT709])
    wide = matrix(source, PRIMARIES[BT2020]) @ light
    wide *= _dimming(np.maximum(np.maximum(wide[0], wide[1]), wide[2]), cicp.peak / WHITE_NITS)
    narrow: NDArray[np.float32] = matrix(PRIMARIES[BT2020], PRIMARIES[BT709]) @ wide
    return narrow


def _dimming(most: NDArray[np.float32], peak: float) -> NDArray[np.float32]:
    """Return what light is multiplied by where its brightest primary is `most`, 1 being white.

    Up to white by the knee, which is the lower the brighter the `peak`; from there a quadratic
    Bezier curve, which keeps the same direction at first and ends with the peak at white.
    """
    if peak <= 1:
        return np.ones_like(most)  # it fits the display, and is cut off there
    knee = 1 - (1 - KNEE) * min(math.log(peak) / math.log(PEAK), 1)
    middle_in = 1 - ROUNDNESS + ROUNDNESS / knee
    middle_out = (1 - ROUNDNESS) * knee + ROUNDNESS
    square, linear = 1 - 2 * middle_in + peak, 2 * (middle_in - 1)
    bent = np.clip(most, 1, peak)
    along = (np.sqrt(linear**2 + 4 * square * (bent - 1)) - linear) / (2 * square)
    out = knee + along * (2 * (middle_out - knee) + along * (knee - 2 * middle_out + 1))
    dimmed: NDArray[np.float32] = np.where(most <= 1, knee, out / np.maximum(most, 1))
    return dimmed.astype(np.float32)


@lru_cache(maxsize=1)
def _light() -> dict[int, NDArray[np.float32]]:
    """Return the light of each code value: of PQ 1 at white, of HLG 1 at the scene's peak."""
    code = np.arange(256) / 255
    # BT.2100, table 4
    power = code ** (32 / 2523)
    nits = (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (16384 / 2610)
    # BT.2100, table 5
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return {PQ: (nits * 10_000 / WHITE_NITS).astype(np.float32), HLG: scene.astype(np.float32)}


@lru_cache(maxsize=1)
def _srgb() -> NDArray[np.uint8]:
    """Return the sRGB value of each amount of light, 65535 being white (IEC 61966-2-1)."""
    light = np.arange(65536) / 65535
    value = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    rounded: NDArray[np.uint8] = np.rint(255 * value).astype(np.uint8)
    return rounded


@lru_cache(maxsize=16)
def matrix(source: Primaries, target: Primaries) -> NDArray[np.float32]:
    """Return what brings light of one set of primaries to another, white to white."""
    found: NDArray[np.float64] = np.linalg.inv(_to_xyz(target)) @ _to_xyz(source)
    return found.astype(np.float32)


def _to_xyz(primaries: Primaries) -> NDArray[np.float64]:
    """Return what brings light of `primaries` to CIE XYZ, their white to (1, 1, 1)."""
    points = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in primaries]).T
    weights = np.linalg.solve(points[:, :3], points[:, 3])
    matrix: NDArray[np.float64] = points[:, :3] * weights / points[:, 3:]
    return matrix


def _in_chunks(data: bytes) -> Cicp | None:
    """Return what the chunk cICP of a PNG says (PNG specification, third edition)."""
    found: dict[bytes, bytes] = {}
    for kind, start, end in apng.chunks(data, limits.FRAME_BLOCKS):
        if kind == b"IDAT":
            break
        if kind in {b"cICP", b"cLLI", b"mDCV"}:
            found.setdefault(kind, data[start:end])
    said = found.get(b"cICP", b"")
    if len(said) != 4 or not said[3]:  # browsers pass over values of less than the full range
        return None
    primaries, transfer = said[:2]
    # In units of 0.0001 cd/m2: of the picture itself, else of the display it was made on.
    told = found.get(b"cLLI", b"")[:4], found.get(b"mDCV", b"")[16:20]
    peaks = [struct.unpack(">I", most)[0] / 10_000 for most in told if len(most) == 4]
    return Cicp(primaries, transfer, next(filter(None, peaks), PEAK_NITS))


def _in_boxes(data: bytes) -> Cicp | None:
    """Return what ``colr`` and ``clli`` of an AVIF or HEIF say (ISO/IEC 14496-12, 12.1.5 and 6)."""
    found = isobmff.properties(data)
    peak = next((struct.unpack_from(">H", body)[0] for kind, body in found if kind == b"clli"), 0)
    for kind, body in found:
        if kind == b"colr" and body[:4] == b"nclx":
            primaries, transfer = struct.unpack_from(">HH", body, 4)
            return Cicp(primaries, transfer, peak or PEAK_NITS)
    return None
