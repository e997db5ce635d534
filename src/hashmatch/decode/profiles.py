"""Pixels as a display shows them, by what their file says of their colours.

The policy takes values as they are, as most tools that make lists do. Viewers heed an ICC profile,
code points (ITU-T H.273), which come first in a PNG, or a PNG's gamma and chromaticities. For most
files the difference is none or cannot be seen, and for those nothing is converted.
"""

from __future__ import annotations

import io
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms

from hashmatch.decode import cicp, jpeg

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Convert = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

MOST_PROFILE_BYTES = 4 * 2**20
"""Those of printers' inks have one or two million."""
PROFILES_KEPT = 8
NOTICED = 12
"""Levels by which some colour changes, that are worth a question: profiles that mean sRGB, and
gamma 2.2 in its place, are within 8."""
SRGB_GAMMA = 1 / 2.2

GRAY = {"L", "LA", "I;16", "I;16B", "I;16L", "1"}
#: What a profile is of (ICC.1:2022, table 19), and the modes of Pillow that hold such values.
SPACES = {
    b"RGB ": ("RGB", {"RGB", "RGBA", "RGBX", "P", "PA", *GRAY}),
    b"GRAY": ("L", GRAY),
    b"CMYK": ("CMYK", {"CMYK"}),
}


class Colours(NamedTuple):
    """What the values of a picture stand for: the light of each, and what brings it to sRGB's.

    ``light`` has 256 amounts, 1 being white; ``primaries`` are red, green, blue and white in x, y.
    """

    light: tuple[float, ...]
    primaries: tuple[tuple[float, float], ...]


def conversion(image: Image.Image) -> tuple[str, Convert] | None:
    """Return what brings the values of an open `image` to what is seen, as uint8 (h, w, 3).

    None where that is the same, or too little is known. It takes pixels in the mode that comes
    first: of "RGB" shape (h, w, 3), of "L" (h, w), of "CMYK" (h, w, 4).
    """
    code_points = cicp.of_image(image)
    if code_points is not None and code_points.hdr:
        return None  # as seen already
    profile = image.info.get("icc_profile") or jpeg.scattered_profile(image)
    if not code_points and isinstance(profile, bytes) and len(profile) <= MOST_PROFILE_BYTES:
        mode, modes = SPACES.get(profile[16:20], ("", set()))
        return _by_profile(profile, mode) if image.mode in modes else None
    colours = _of_code_points(code_points) if code_points else _of_png(image)
    return None if colours is None else _by_colours(colours)


def _of_code_points(code_points: cicp.Cicp) -> Colours | None:
    primaries = cicp.PRIMARIES.get(code_points.primaries, cicp.PRIMARIES[cicp.BT709])
    exponent = {4: 2.2, 5: 2.8, cicp.LINEAR: 1.0}.get(code_points.transfer)
    return Colours(_srgb_light() if exponent is None else _power(exponent), primaries)


def _of_png(image: Image.Image) -> Colours | None:
    """Return what gAMA and cHRM say; browsers pass over cHRM alone, and over both beside sRGB."""
    gamma = image.info.get("gamma")
    if not isinstance(gamma, float) or not 0.1 <= gamma <= 10 or "srgb" in image.info:
        return None
    points = image.info.get("chromaticity")
    primaries = cicp.PRIMARIES[cicp.BT709]
    if isinstance(points, tuple) and len(points) == 8:
        white, red, green, blue = zip(points[::2], points[1::2], strict=True)
        primaries = red, green, blue, white
        if min(y for _, y in primaries) <= 0:
            return None
    return Colours(_power(1 / gamma), primaries)


def _power(exponent: float) -> tuple[float, ...]:
    return tuple((value / 255) ** exponent for value in range(256))


@lru_cache(maxsize=1)
def _srgb_light() -> tuple[float, ...]:
    values = (value / 255 for value in range(256))
    return tuple(v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)


@lru_cache(maxsize=PROFILES_KEPT)
def _by_colours(colours: Colours) -> tuple[str, Convert] | None:
    try:
        matrix = cicp.matrix(colours.primaries, cicp.PRIMARIES[cicp.BT709])
    except np.linalg.LinAlgError:  # primaries on one line
        return None
    light = np.array(colours.light, np.float32)

    def convert(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return cicp.mapped(pixels, lambda codes: matrix @ light[codes])

    return ("RGB", convert) if _is_noticed("RGB", convert) else None


@lru_cache(maxsize=PROFILES_KEPT)
def _by_profile(profile: bytes, mode: str) -> tuple[str, Convert] | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target: Any = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, target, mode, "RGB")
        convert = partial(_transformed, transform, mode)
        return (mode, convert) if _is_noticed(mode, convert) else None
    except (ImageCms.PyCMSError, OSError, ValueError):  # broken: viewers pass over it
        return None


def _transformed(transform: Any, mode: str, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(transform.apply(Image.fromarray(pixels, mode)))


def _is_noticed(mode: str, convert: Convert) -> bool:
    """Return whether a conversion changes some colour by more than what is `NOTICED`."""
    if mode == "CMYK":
        return True  # by value, inks are no colours at all
    steps = np.linspace(0, 255, 6).astype(np.uint8)
    if mode == "L":
        values = steps[None]
        plain = np.repeat(values[..., None], 3, 2)
    else:
        values = plain = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    return bool(np.abs(convert(values).astype(int) - plain).max() > NOTICED)
