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

#: What turns a picture stored with each EXIF orientation (Exif 2.32, tag 0x0112) upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

DIRECT = {"1", "L", "RGBX", "CMYK", "YCbCr", "HSV"}
TRANSPARENT = {"LA", "La", "PA", "RGBA", "RGBa"}


def upright_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of a loaded `image`, shape (height, width, 3), contiguous.

    Raises
    ------
    ImageError
        ``unsupported`` for a layout without a defined way to RGB (CIELAB, for one).
    """
    rgb = _rgb(image)
    turn = UPRIGHT.get(_orientation(image))
    if turn is not None:
        rgb = rgb.transpose(turn)
    return np.ascontiguousarray(np.asarray(rgb, np.uint8))


def array_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return gray (h, w), RGB (h, w, 3) or RGBA (h, w, 4) `pixels` as `upright_rgb` does."""
    if pixels.ndim == 2:
        return np.ascontiguousarray(np.repeat(pixels[:, :, None], 3, axis=2))
    if pixels.shape[2] == 4:
        return upright_rgb(Image.fromarray(np.ascontiguousarray(pixels)))
    return np.ascontiguousarray(pixels)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in TRANSPARENT or "transparency" in image.info:
        # Pillow goes from premultiplied gray to RGBA only by way of plain gray.
        straight = image.convert("LA") if image.mode == "La" else image
        return _over_white(straight.convert("RGBA"))
    if image.mode == "RGB":
        return image
    if image.mode == "P" or image.mode in DIRECT:
        return image.convert("RGB")
    if image.mode.startswith("I;16"):
        # The high byte: what Pillow itself keeps of 16-bit colour, so gray and colour agree.
        gray = (np.asarray(image) >> 8).astype(np.uint8)
        return Image.fromarray(gray).convert("RGB")
    if image.mode in {"I", "F"}:
        return Image.fromarray(_stretched(np.asarray(image))).convert("RGB")
    raise ImageError(Outcome.UNSUPPORTED, f"pixel layout {image.mode} has no defined way to RGB")


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
