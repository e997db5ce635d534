"""Any Pillow image to 8-bit RGB, by value: scaled, never clipped. HDR is brought to SDR."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from hashmatch.decode import cicp
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import DTypeLike, NDArray

BITS_PER_SAMPLE = 258
PHOTOMETRIC = 262
SAMPLE_FORMAT = 339
UNSIGNED, SIGNED = 1, 2

BAND = 2**18
"""Pixels converted at once, where each step makes a copy."""
LARGE = 2**24
"""Pixels from which on memory matters more than a tenth of the time."""

DIRECT = {"1", "L", "P", "RGBX", "CMYK", "YCbCr", "HSV"}


def rgb(
    image: Image.Image,
    below: NDArray[np.uint8] | None = None,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Return the pixels of a loaded `image` as they are stored, uint8 (height, width, 3).

    `below`, of that shape, shows through where the image is transparent; white unless given. `out`,
    of that shape too, takes the pixels, perhaps in the place of `below`; new memory unless given.
    Raises ImageError, ``unsupported``, for a layout without a defined way to RGB (CIELAB, for one).
    """
    width, height = image.size
    to_gray, code_points = _to_gray(image), cicp.of_image(image) if image.info else None
    hdr = code_points if code_points and code_points.hdr else None
    if not to_gray and not hdr and not image.has_transparency_data and width * height <= LARGE:
        pixels = np.asarray(_opaque(image), np.uint8)
        if out is None:
            return pixels
        out[:] = pixels
        return out
    # Pillow's own way from an image to an array holds all pixels three times.
    pixels = np.empty((height, width, 3), np.uint8) if out is None else out
    for rows, band in bands(image):
        part = to_gray(band) if to_gray else band
        if hdr:
            part = cicp.to_sdr(part, hdr)
        if part.has_transparency_data:
            part = _over(part, None if below is None else below[rows])
        pixels[rows] = np.asarray(_opaque(part))
    return pixels


def array_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return gray (h, w), RGB (h, w, 3) or RGBA (h, w, 4) `pixels` as `rgb` does; contiguous."""
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    elif pixels.shape[2] == 4:
        pixels = rgb(Image.fromarray(np.ascontiguousarray(pixels)))
    return np.ascontiguousarray(pixels)


def bands(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Yield an image some rows at a time."""
    width, height = image.size
    rows = max(1, BAND // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        yield slice(top, bottom), image.crop((0, top, width, bottom))


def _opaque(image: Image.Image) -> Image.Image:
    """Return an opaque `image` as RGB."""
    if image.mode == "RGB":
        return image
    if image.mode in DIRECT:
        return image.convert("RGB")
    raise ImageError(Outcome.UNSUPPORTED, f"pixel layout {image.mode} has no defined way to RGB")


def _over(image: Image.Image, below: NDArray[np.uint8] | None) -> Image.Image:
    """Return `image` over what lies below it, as RGB."""
    if image.mode == "La":  # Pillow goes from it to RGBA only by way of plain gray
        image = image.convert("LA")
    if below is None:
        ground = Image.new("RGBA", image.size, "white")
    else:
        ground = Image.fromarray(below).convert("RGBA")
    return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")


def _to_gray(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    """Return what brings bands of `image` to 8-bit gray; None if that is not needed."""
    tags: Any = getattr(image, "tag_v2", {})  # of a TIFF
    inverted = tags.get(PHOTOMETRIC) == 0
    if image.mode.startswith("I;16"):
        bits = tags.get(BITS_PER_SAMPLE, (16,))[0]
        return partial(_high_byte, bits=bits, inverted=inverted)
    # A TIFF's samples are unsigned unless it says otherwise (TIFF 6.0, section 19); those of
    # Pillow's mode I are signed, and it takes those of 8 bits for unsigned.
    sample_format = tags.get(SAMPLE_FORMAT, (UNSIGNED,))[0]
    dtype: DTypeLike
    if image.mode == "F":
        dtype = np.float32
    elif image.mode == "I":
        dtype = np.uint32 if tags and sample_format == UNSIGNED else np.int32
    elif image.mode == "L" and sample_format == SIGNED:
        dtype = np.int8
    else:
        return None
    if image.has_transparency_data:
        return None
    low, high = float("inf"), float("-inf")
    for _, band in bands(image):
        numbers = _numbers(band, dtype)
        low, high = min(low, float(numbers.min())), max(high, float(numbers.max()))
    return partial(_stretched, dtype=dtype, low=low, high=high, inverted=inverted)


def _high_byte(image: Image.Image, bits: int, inverted: bool) -> Image.Image:
    """Return 16-bit gray as 8-bit: the high byte is what Pillow itself keeps of 16-bit colour.

    TIFF may use fewer bits of the sixteen, and may count from white to black.
    """
    values = np.asarray(image)
    gray = (values >> (bits - 8)).astype(np.uint8)
    if inverted:
        gray = 255 - gray
    transparent = image.info.get("transparency")  # one gray value of a PNG's tRNS
    if not isinstance(transparent, int):
        return Image.fromarray(gray)
    opaque = np.where(values == transparent, np.uint8(0), np.uint8(255))
    return Image.fromarray(np.dstack([gray, opaque]), "LA")


def _numbers(image: Image.Image, dtype: DTypeLike) -> NDArray[np.float64]:
    """Return the finite values of numbers that have no white of their own."""
    values: NDArray[Any] = np.asarray(image).view(dtype)
    return np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)


def _stretched(
    image: Image.Image, dtype: DTypeLike, low: float, high: float, inverted: bool
) -> Image.Image:
    """Return numbers, which declare no white of their own, from `low` to `high` as 0 to 255."""
    numbers = _numbers(image, dtype)
    if high == low:
        return Image.new("L", image.size)
    gray = np.rint((numbers - low) * (255.0 / (high - low))).astype(np.uint8)
    return Image.fromarray(255 - gray if inverted else gray)
