"""Any Pillow image to upright 8-bit RGB, by value: scaled, never clipped."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ORIENTATION = 0x0112
SHORT = 3
BITS_PER_SAMPLE = 258
PHOTOMETRIC = 262
SAMPLE_FORMAT = 339
UNSIGNED, SIGNED = 1, 2

BAND = 2**18
"""Pixels composited at once."""
LARGE = 2**24
"""Pixels from which on memory matters more than a tenth of the time."""

DIRECT = {"1", "L", "RGBX", "CMYK", "YCbCr", "HSV"}
TRANSPARENT = {"LA", "La", "PA", "RGBA", "RGBa"}


def rgb(image: Image.Image, below: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Return the pixels of a loaded `image` as they are stored, shape (height, width, 3).

    Parameters
    ----------
    image : Image
        Loaded.
    below : ndarray of uint8, shape (height, width, 3), optional
        What shows through where the image is transparent; white unless given.

    Raises
    ------
    ImageError
        ``unsupported`` for a layout without a defined way to RGB (CIELAB, for one).
    """
    if image.mode.startswith("I;16"):
        image = _high_byte(image)
    if image.mode in TRANSPARENT or image.has_transparency_data:
        return _over(image, below)
    if image.mode in {"I", "F"} or _is_signed(image):  # whose scale depends on all pixels
        image = Image.fromarray(_stretched(image))
    width, height = image.size
    if width * height <= LARGE:
        return np.asarray(_rgb(image), np.uint8)
    # Pillow's own way from an image to an array holds all pixels three times.
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, BAND // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        pixels[top:bottom] = np.asarray(_rgb(image.crop((0, top, width, bottom))))
    return pixels


def array_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return gray (h, w), RGB (h, w, 3) or RGBA (h, w, 4) `pixels` as `rgb` does; contiguous."""
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    elif pixels.shape[2] == 4:
        pixels = rgb(Image.fromarray(np.ascontiguousarray(pixels)))
    return np.ascontiguousarray(pixels)


def upright(pixels: NDArray[np.uint8], image: Image.Image) -> NDArray[np.uint8]:
    """Return `pixels` (h, w, 3), stored as `image` says, turned upright; contiguous."""
    return turned(pixels, orientation(image))


def turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return `pixels` (h, w, 3) of an EXIF orientation, 1 to 8, turned upright; contiguous.

    EXIF orientations (Exif 2.32, tag 0x0112) from 5 on have rows and columns exchanged; what
    remains is to mirror one direction or both.
    """
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _rgb(image: Image.Image) -> Image.Image:
    """Return an opaque `image` as RGB."""
    if image.mode == "RGB":
        return image
    if image.mode == "P" or image.mode in DIRECT:
        return image.convert("RGB")
    raise ImageError(Outcome.UNSUPPORTED, f"pixel layout {image.mode} has no defined way to RGB")


def _high_byte(image: Image.Image) -> Image.Image:
    """Return 16-bit gray as 8-bit: the high byte is what Pillow itself keeps of 16-bit colour.

    TIFF may use fewer bits of the sixteen, and may count from white to black.
    """
    values = np.asarray(image)
    tags = _tags(image)
    gray = (values >> (tags.get(BITS_PER_SAMPLE, (16,))[0] - 8)).astype(np.uint8)
    if tags.get(PHOTOMETRIC) == 0:
        gray = 255 - gray
    transparent = image.info.get("transparency")  # one gray value of a PNG's tRNS
    if not isinstance(transparent, int):
        return Image.fromarray(gray)
    opaque = np.where(values == transparent, np.uint8(0), np.uint8(255))
    return Image.fromarray(np.dstack([gray, opaque]), "LA")


def _tags(image: Image.Image) -> Any:
    """Return the tags of a TIFF; none of any other image."""
    return getattr(image, "tag_v2", {})


def _is_signed(image: Image.Image) -> bool:
    """Return whether gray in 8 bits is of a TIFF with signed samples, which Pillow overlooks."""
    return image.mode == "L" and _tags(image).get(SAMPLE_FORMAT, (1,))[0] == SIGNED


def _numbers(image: Image.Image) -> NDArray[Any]:
    """Return the values of numbers without a white of their own, signed as they are meant.

    A TIFF's are unsigned unless it says otherwise (TIFF 6.0, section 19); those of Pillow's mode I
    are signed.
    """
    values: NDArray[Any] = np.asarray(image)
    if image.mode == "L":
        return values.view(np.int8)
    tags = _tags(image)
    if image.mode == "I" and tags and tags.get(SAMPLE_FORMAT, (1,))[0] == UNSIGNED:
        values = values.view(np.uint32)
    return values


def _over(image: Image.Image, below: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Return `image` over what lies below it; some rows at a time, as each step makes a copy."""
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, BAND // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        part = image.crop((0, top, width, bottom))
        if part.mode == "La":  # Pillow goes from it to RGBA only by way of plain gray
            part = part.convert("LA")
        if below is None:
            ground = Image.new("RGBA", part.size, "white")
        else:
            ground = Image.fromarray(below[top:bottom]).convert("RGBA")
        laid = Image.alpha_composite(ground, part.convert("RGBA"))
        pixels[top:bottom] = np.asarray(laid.convert("RGB"))
    return pixels


def _stretched(image: Image.Image) -> NDArray[np.uint8]:
    """Return numbers, which declare no white of their own, from least to most as 0 to 255."""
    numbers = np.nan_to_num(_numbers(image).astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(numbers.min()), float(numbers.max())
    if high == low:
        return np.zeros(numbers.shape, np.uint8)
    gray = np.rint((numbers - low) * (255.0 / (high - low))).astype(np.uint8)
    return 255 - gray if _tags(image).get(PHOTOMETRIC) == 0 else gray


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or it is broken.

    Read here rather than by Pillow, which falls back on an XMP tag that browsers and phones do not
    heed, and warns of broken tags, so that the host's warning filter would change the hash.
    """
    exif = image.info.get("exif", b"")
    if not isinstance(exif, bytes):
        return 1
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(count):
            tag, kind, number, value = struct.unpack_from(
                f"{order}HHIH", exif, start + 2 + 12 * entry
            )
            if tag == ORIENTATION:
                return value if kind == SHORT and number == 1 and 1 <= value <= 8 else 1
    except struct.error:  # the directory is cut off
        return 1
    return 1
