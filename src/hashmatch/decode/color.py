"""Any Pillow image to 8-bit RGB, by value: scaled, never clipped. HDR is brought to SDR."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageCms

from hashmatch.decode import cicp
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
    Raises ImageError, ``unsupported``, for a layout without a defined way to RGB.
    """
    width, height = image.size
    to_gray, code_points = _to_gray(image), cicp.of_image(image) if image.info else None
    hdr = code_points if code_points and code_points.hdr else None
    if not to_gray and not hdr and not image.has_transparency_data and width * height <= LARGE:
        pixels = np.asarray(image if image.mode == "RGB" else _opaque(image), np.uint8)
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
    if image.mode == "LAB":
        converted: Image.Image = _lab_to_srgb().apply(image)
        return converted
    raise ImageError(Outcome.UNSUPPORTED, f"pixel layout {image.mode} has no defined way to RGB")


@lru_cache(maxsize=1)
def _lab_to_srgb() -> Any:
    target = ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), target, "LAB", "RGB")


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
    numbers: Iterator[NDArray[Any]] = (np.asarray(band).view(dtype) for _, band in bands(image))
    convert = eight_bits(numbers, tags.get(BITS_PER_SAMPLE, (32,))[0])
    return partial(_as_gray, dtype=dtype, convert=convert, inverted=inverted)


def eight_bits(
    parts: Iterable[NDArray[Any]], bits: int
) -> Callable[[NDArray[Any]], NDArray[np.uint8]]:
    """Return what brings numbers to 0 to 255; `parts` are all of them, of so many `bits` each.

    Unsigned numbers keep their high bits, and floats are from 0 to 1, as viewers take them. Where
    they cannot be meant so, since the high bits of more than 16 are not used or most floats lie
    elsewhere, and of signed ones, the lowest is 0 and the highest 255.
    """
    low, high, within, count, kind = float("inf"), float("-inf"), 0, 0, ""
    for part in parts:
        numbers = _finite(part)
        low, high = min(low, float(numbers.min())), max(high, float(numbers.max()))
        within += int(((numbers >= 0) & (numbers <= 1)).sum())
        count, kind = count + numbers.size, part.dtype.kind
    if kind == "u" and bits > 8 and (bits <= 16 or high >= 1 << (bits - 8)):
        return partial(_high_bits, bits=bits)
    if kind == "u" and bits <= 8:
        low, high = 0.0, (1 << bits) - 1
    elif kind == "f" and 2 * within >= count:
        low, high = 0.0, 1.0
    return partial(stretched, low=low, high=high)


def stretched(numbers: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Return numbers from `low` to `high` as 0 to 255; those beyond are clipped."""
    if high == low:
        return np.zeros(numbers.shape, np.uint8)
    clipped = np.clip(_finite(numbers), low, high)
    gray: NDArray[np.uint8] = np.rint((clipped - low) * (255.0 / (high - low))).astype(np.uint8)
    return gray


def _high_bits(numbers: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    high: NDArray[np.uint8] = (numbers >> numbers.dtype.type(bits - 8)).astype(np.uint8)
    return high


def _finite(numbers: NDArray[Any]) -> NDArray[np.float64]:
    return np.nan_to_num(numbers.astype(np.float64), posinf=0.0, neginf=0.0)


def _as_gray(
    image: Image.Image,
    dtype: DTypeLike,
    convert: Callable[[NDArray[Any]], NDArray[np.uint8]],
    inverted: bool,
) -> Image.Image:
    gray = convert(np.asarray(image).view(dtype))
    return Image.fromarray(255 - gray if inverted else gray)


def _high_byte(image: Image.Image, bits: int, inverted: bool) -> Image.Image:
    """Return 16-bit gray as 8-bit: the high byte is what Pillow itself keeps of 16-bit colour.

    TIFF may use fewer bits of the sixteen, and may count from white to black.
    """
    values = np.asarray(image)
    gray = _high_bits(values, bits)
    if inverted:
        gray = 255 - gray
    transparent = image.info.get("transparency")  # one gray value of a PNG's tRNS
    if not isinstance(transparent, int):
        return Image.fromarray(gray)
    opaque = np.where(values == transparent, np.uint8(0), np.uint8(255))
    return Image.fromarray(np.dstack([gray, opaque]), "LA")
