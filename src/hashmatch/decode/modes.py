"""Any Pillow image to upright 8-bit RGB, by value: scaled, never clipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from hashmatch.errors import ImageError
from hashmatch.records.enums import Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXIF_ORIENTATION = 0x0112

DIRECT = {"1", "L", "RGBX", "CMYK", "YCbCr", "HSV"}
TRANSPARENT = {"LA", "La", "PA", "RGBA", "RGBa"}


def rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of a loaded `image` as they are stored, shape (height, width, 3).

    Raises
    ------
    ImageError
        ``unsupported`` for a layout without a defined way to RGB (CIELAB, for one).
    """
    return np.asarray(_rgb(image), np.uint8)


def array_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return gray (h, w), RGB (h, w, 3) or RGBA (h, w, 4) `pixels` as `rgb` does; contiguous."""
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    elif pixels.shape[2] == 4:
        pixels = rgb(Image.fromarray(np.ascontiguousarray(pixels)))
    return np.ascontiguousarray(pixels)


def upright(pixels: NDArray[np.uint8], image: Image.Image) -> NDArray[np.uint8]:
    """Return `pixels` (h, w, 3), stored as `image` says, turned upright; contiguous.

    EXIF orientations (Exif 2.32, tag 0x0112) from 5 on have rows and columns exchanged; what
    remains is to mirror one direction or both.
    """
    orientation = _orientation(image)
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _high_byte(image).convert("RGB")
    if image.mode in {"I", "F"}:
        return Image.fromarray(_stretched(np.asarray(image))).convert("RGB")
    if image.mode in TRANSPARENT or "transparency" in image.info:
        # Pillow goes from premultiplied gray to RGBA only by way of plain gray.
        straight = image.convert("LA") if image.mode == "La" else image
        return _over_white(straight.convert("RGBA"))
    if image.mode == "RGB":
        return image
    if image.mode == "P" or image.mode in DIRECT:
        return image.convert("RGB")
    raise ImageError(Outcome.UNSUPPORTED, f"pixel layout {image.mode} has no defined way to RGB")


def _high_byte(image: Image.Image) -> Image.Image:
    """Return 16-bit gray as 8-bit: the high byte is what Pillow itself keeps of 16-bit colour."""
    values = np.asarray(image)
    gray = (values >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")  # one gray value of a PNG's tRNS
    if isinstance(transparent, int):
        gray[values == transparent] = 255
    return Image.fromarray(gray)


def _over_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _stretched(values: NDArray[np.int32] | NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return `values`, which declare no white of their own, from least to most as 0 to 255."""
    numbers = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(numbers.min()), float(numbers.max())
    if high == low:
        return np.zeros(values.shape, np.uint8)
    return np.rint((numbers - low) * (255.0 / (high - low))).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except Exception:
        # EXIF is a format of its own, often broken, and Pillow raises many things on it. A picture
        # whose tag cannot be read is taken as it is stored, as every viewer does.
        return 1
