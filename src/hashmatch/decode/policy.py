"""The decode policy ``rgb/2``: the one way from an image to pixels, named in every record."""

from __future__ import annotations

import math
import re
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from hashmatch.decode import cicp, isobmff, limits
from hashmatch.decode.color import array_rgb, rgb
from hashmatch.decode.exif import orientation, upright
from hashmatch.decode.formats import (
    FORMATS,
    HEIF,
    apply_pillow_fixes,
    check_size,
    frame_order,
    identify,
    open_image,
)
from hashmatch.decode.inputs import ImageInput, file_behind, load, unread_file
from hashmatch.decode.jpeg import SCALED, ended, fast_pixels, plain_pixels, scale_down
from hashmatch.decode.metadata import without_cut_frames, without_metadata
from hashmatch.decode.pillow_settings import pillow_settings
from hashmatch.decode.readings import other_readings
from hashmatch.errors import HashmatchError, UsageError
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hashmatch.decode.readings import Reading

POLICY = "rgb/2"
"""Changes whenever the same file would give other pixels."""

UNREAD = re.compile(
    r"unknown pixel mode|unknown raw mode|unsupported (bmp|depth)|cannot handle \d+-"
    r"|reformat failed|not supported|not implemented|no codec available|decoder \S+ not available",
    re.IGNORECASE,
)
"""What the decoders say of layouts of pixels that they do not read."""


FIRST_BLOCKS = 48
"""Pixels from the corner of a JPEG that libjpeg makes of no data at all, smoothed as it does."""


@dataclass(frozen=True, eq=False, slots=True)
class Picture:
    """Decoded pixels.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width, 3)
        Upright RGB, contiguous.
    media_type : str, optional
        Of the file; None for an array.
    damaged : bool
        Part of the file was missing or broken.
    frame : int
        Which frame or page it is, from 0.
    reading : str
        How others read it, if that is what the pixels are; see `hashmatch.decode.readings`.
    others : tuple of Reading
        The other readings that there are, if they were asked for.
    """

    pixels: NDArray[np.uint8]
    media_type: str | None = None
    damaged: bool = False
    frame: int = 0
    reading: str = ""
    others: tuple[Reading, ...] = field(default=(), repr=False)


def decode_image(image: ImageInput) -> Picture:
    """Return the upright RGB pixels of `image` (its first frame), under policy ``rgb/2``.

    EXIF orientation is applied; palette, CMYK, 16-bit, 1-bit, gray and float are brought to 8-bit
    RGB by value, HDR as an SDR display shows it; transparency is composited over white. A file that
    the strict decoder refuses is tried again without its metadata, then tolerantly, and flagged as
    damaged if it took that; it is undecodable if no pixel of it is seen. The same picture as a
    path, bytes, a file object, a Pillow image or an array gives the same pixels; a Pillow image
    that was loaded before is taken as Pillow has loaded it, though, which is not always what is
    seen. Only a JPEG of more than 64 megapixels is decoded at half, a quarter or an eighth of its
    sides, and so is a HEIF or AVIF in tiles of more than are held at once; once loaded by Pillow
    the latter is ``refused``.

    Parameters
    ----------
    image : path, bytes, file object, PIL.Image.Image or ndarray of uint8
        Or what `hashmatch.decode.load` made of it. An array is gray (h, w), RGB (h, w, 3) or RGBA
        (h, w, 4).

    Returns
    -------
    Picture
        Its pixels are uint8 of shape (height, width, 3).

    Raises
    ------
    ImageError
        With its outcome and reason: ``unsupported``, ``undecodable``, ``refused`` or ``failed``.
    UsageError
        If `image` is none of these things.

    Examples
    --------
    >>> decode_image(np.zeros((2, 3), np.uint8)).pixels.shape
    (2, 3, 3)
    """
    loaded = load(image)
    if loaded.data is not None:
        return decode_file(loaded.data)
    if loaded.error is not None:
        raise loaded.error
    if isinstance(loaded.pixels, Image.Image):
        data = unread_file(loaded.pixels)
        return decode_pillow(loaded.pixels) if data is None else decode_file(data)
    return Picture(array_rgb(_checked(np.asarray(loaded.pixels))))


def decode_file(
    data: bytes, into: NDArray[np.uint8] | None = None, *, readings: bool = False
) -> Picture:
    """Return what `decode_image` does of a file, with its other `readings` if they are wanted.

    The pixels are made in `into`, shape (bytes,), from its beginning, if they fit and need no
    turning: look where they are.
    """
    name = identify(data)
    if name == "JPEG" and not readings:
        with as_outcomes(name):
            pixels = plain_pixels(data, into)
        if pixels is not None:
            return Picture(pixels, FORMATS[name])
    limits.check_structure(data, name)
    with as_outcomes(name):
        return decode_as(name, data, into, readings=readings)


def decode_as(
    name: str, data: bytes, into: NDArray[np.uint8] | None = None, *, readings: bool = False
) -> Picture:
    """Return what `decode_file` does of a file of the format called `name`.

    Memory that runs out is a MemoryError here, so that it is not taken for damage.
    """
    try:
        return _decode(name, data, into, readings, damaged=False)
    except ImageError as strict:
        if strict.outcome is not Outcome.UNDECODABLE:
            raise
        bare = without_metadata(name, data)
        whole, sound = (ended(data) if name == "JPEG" else None) or (None, False)
        if name == "WEBP":
            whole = without_cut_frames(data)
        for tried, damaged in ((bare, False), (whole, not sound), (data, True), (bare, True)):
            if tried is not None:
                with suppress(ImageError):
                    return _decode(name, tried, into, readings, damaged=damaged)
        raise strict from None  # the first reason is about the file, not about our tries


def _decode(
    name: str, data: bytes, into: NDArray[np.uint8] | None, readings: bool, *, damaged: bool
) -> Picture:
    # Of a damaged HEIF its reader, where it may be tolerant, makes a black picture.
    with undecodable(name), pillow_settings(truncated=damaged and name != HEIF):
        with closing(open_image(data, name)) as image:
            pixels = None
            if image.format in SCALED:
                scale_down(image)
                pixels = None if damaged else fast_pixels(data, image, into)
            if pixels is None:
                pixels = loaded_pixels(image, into)
            if damaged:
                check_seen(name, image)
            stored = orientation(image)
            others = other_readings(image, stored, data) if readings else ()
        # Once the decoder's memory is free: turning makes a copy.
        pixels = turned(pixels, stored, image.format or name, data)
        return Picture(pixels, FORMATS[name], damaged, others=others)


def decode_pillow(image: Image.Image, *, readings: bool = False) -> Picture:
    """Return the pixels of an image that the caller has loaded, moved to a frame, or edited.

    What it was opened as is the caller's choice; the limits and the second, tolerant try are ours.
    """
    width, height = image.size
    if width == 0 or height == 0:
        raise ImageError(Outcome.TOO_SMALL, f"{width} x {height} pixels")
    name = "JPEG" if image.format == "MPO" else image.format or "Pillow image"
    if name in FORMATS:
        check_size(name, image)
    damaged = False
    # Gone once it is loaded, and needed for what Pillow does not tell.
    data = file_behind(image) if name in {"AVIF", "PNG", HEIF} else None
    with as_outcomes(name):
        apply_pillow_fixes(image)
        cicp.put_beside(image, data or b"")
        try:
            with pillow_settings(truncated=False):
                pixels = loaded_pixels(image)
        except (HashmatchError, MemoryError):
            raise  # trying again would change nothing
        except Exception:  # as in a file: anything may mean damage
            damaged = True
            with pillow_settings(truncated=name != HEIF):
                pixels = loaded_pixels(image)
            check_seen(name, image)
        media_type = FORMATS[name] if name in FORMATS else Image.MIME.get(name)
        frame = frame_order(image).index(image.tell()) if name == HEIF else image.tell()
        stored = orientation(image)
        others = other_readings(image, stored, data) if readings else ()
        return Picture(
            turned(pixels, stored, name, data), media_type, damaged, frame, others=others
        )


def turned(
    pixels: NDArray[np.uint8], stored: int, name: str, data: bytes | None
) -> NDArray[np.uint8]:
    """Return decoded `pixels` as viewers show them, given the orientation stored in their file.

    Of an AVIF a clean aperture is cut out, in its order with turns and mirrors. `data` is the file,
    if it is known.
    """
    if name == "AVIF" and data is not None:
        found = isobmff.properties(data)
        if isobmff.has_clean_aperture(found):
            return isobmff.transformed(pixels, found)
    return pixels if stored == 1 else upright(pixels, stored)


def loaded_pixels(image: Image.Image, into: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Load `image` and return its RGB pixels as stored; see `decode_file` on `into`.

    The first frame of a GIF may leave part of the canvas uncovered. Pillow fills that with the
    first colour of the palette, viewers leave it transparent, so it is white here.
    """
    tiles = getattr(image, "tile", None)
    covered = tiles[0].extents if image.format == "GIF" and tiles and image.tell() == 0 else None
    image.load()
    if (
        image.format == "BMP"
        and image.mode == "RGBA"
        and image.getchannel("A").getextrema() == (0, 0)
    ):
        image = image.convert("RGB")  # nothing set it: viewers show such a picture, and not nothing
    shape = image.height, image.width, 3
    out = None
    if into is not None and math.prod(shape) <= into.size:
        out = into[: math.prod(shape)].reshape(shape)
    pixels = rgb(image, out=out)
    if covered is None or covered == (0, 0, *image.size):
        return pixels
    left, top, right, bottom = covered
    canvas = np.full_like(pixels, 255)
    canvas[top:bottom, left:right] = pixels[top:bottom, left:right]
    return canvas


def check_seen(name: str, image: Image.Image) -> None:
    """Raise ImageError, ``undecodable``, if no pixel of a damaged `image` was decoded.

    All are then as their memory was made; or of a JPEG, that has no data, gray but in its corner.
    """
    untouched, parts = {0, image.info.get("transparency")}, [image]
    if name == "JPEG":
        untouched |= {127, 128}
        width, height = image.size
        boxes = (FIRST_BLOCKS, 0, width, height), (0, FIRST_BLOCKS, width, height)
        parts = [image.crop(box) for box in boxes if box[0] < width and box[1] < height] or parts
    for part in parts:
        found: Any = part.getextrema()
        bands = found if isinstance(found[0], tuple) else (found,)
        if any(least != most or least not in untouched for least, most in bands):
            return
    raise ImageError(Outcome.UNDECODABLE, f"{name}: cut off or broken before its first pixel")


@contextmanager
def as_outcomes(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises into the outcome of this one picture."""
    try:
        with undecodable(name):
            yield
    except MemoryError:
        raise ImageError(Outcome.REFUSED, f"{name}: not enough memory to decode it") from None


@contextmanager
def undecodable(name: str) -> Iterator[None]:
    """Take whatever a decoder raises, but a lack of memory, for damage of the file.

    What it says that it does not read is ``unsupported`` instead: the file may be sound. Nearly
    every built-in error has been seen from Pillow on a broken file, and what cannot be decoded must
    never end a scan.
    """
    try:
        yield
    except (HashmatchError, MemoryError):
        raise
    except Exception as error:
        reason = str(error).strip() or type(error).__name__
        # "'<' not supported between" numbers and lists, says Python of fields that are broken.
        is_unread = UNREAD.search(reason) and not isinstance(error.__cause__ or error, TypeError)
        outcome = Outcome.UNSUPPORTED if is_unread else Outcome.UNDECODABLE
        raise ImageError(outcome, f"{name}: {reason}") from None


def _checked(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    channels = pixels.shape[2] if pixels.ndim == 3 else None
    if pixels.dtype != np.uint8 or pixels.ndim not in {2, 3} or channels not in {None, 3, 4}:
        raise UsageError(
            f"cannot take an array {pixels.dtype} {pixels.shape} for pixels. Give uint8 of "
            "shape (h, w), (h, w, 3) or (h, w, 4)"
        )
    if pixels.size == 0:
        raise ImageError(Outcome.TOO_SMALL, f"{pixels.shape[1]} x {pixels.shape[0]} pixels")
    if pixels.shape[0] * pixels.shape[1] > limits.ARRAY_PIXELS:
        most = limits.ARRAY_PIXELS // limits.MEGAPIXEL
        raise ImageError(Outcome.REFUSED, f"an array of more than {most} megapixels")
    return pixels.astype(np.uint8, copy=False)
