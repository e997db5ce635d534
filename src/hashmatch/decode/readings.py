"""The same picture as others read it, where that is not what the policy makes of it.

Lists hold what the tool that made them saw. Each reading is one more thing to ask for, of exactly
those files that it makes a difference to.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from hashmatch.decode import isobmff, profiles
from hashmatch.decode.color import bands, rgb
from hashmatch.decode.exif import orientation_of, upright
from hashmatch.decode.tiff_samples import SAMPLED
from hashmatch.decode.tiles import TILED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from hashmatch.decode.profiles import Convert

    Turn = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

AS_DISPLAYED = "as_displayed"
"""By the colours that its file describes."""
AS_THREATEXCHANGE = "as_threatexchange"
"""As python-threatexchange hashes it: without its EXIF orientation, as some viewers show a WebP;
the numbers of a palette as gray, inks as light, and nothing transparent."""
AS_EXIF = "as_exif"
"""Turned by the EXIF of a HEIF or AVIF that does not agree with how the file itself is turned."""
NAMES = (AS_DISPLAYED, AS_THREATEXCHANGE, AS_EXIF)

NOT_BY_VALUE = {"P", "CMYK", "I;16"}
"""Modes of Pillow that it takes for other colours than they stand for."""
WITH_ALPHA = {"RGB", "L", "P", "LA", "RGBA"}
"""Modes that it hashes although they may be transparent."""
TURNED_BACK = {6: 8, 8: 6}
"""The orientation by which pixels are turned back; that of the others is the same."""


DISPLAYED_SIDE = 1024
"""Pixels to leave on the shorter side of a large picture whose colours are converted."""


class Reading(NamedTuple):
    """One more way to read a picture, and what makes its pixels, uint8 (h, w, 3).

    ``read`` takes the upright pixels that the policy made; the loaded image if it is ``of_image``.
    """

    name: str
    read: Callable[[Any], NDArray[np.uint8]]
    of_image: bool = False


def other_readings(
    image: Image.Image, stored: int, data: bytes | None = None
) -> tuple[Reading, ...]:
    """Return the other readings of an `image` that was decoded, and is of a `stored` orientation.

    `data` is its file, if that is known. What is odd in what a file says of itself, of which others
    may be read in nearly any way, has none, and costs nothing else.
    """
    others: list[Reading] = []
    with suppress(Exception):
        others.extend(_others(image, stored, data))
    return tuple(others)


def _others(image: Image.Image, stored: int, data: bytes | None) -> Iterator[Reading]:
    found = profiles.conversion(image)
    if found is not None:
        mode, convert = found
        if mode == "CMYK":
            yield Reading(AS_DISPLAYED, partial(_displayed_inks, convert, stored), of_image=True)
        elif image.mode in WITH_ALPHA and _is_transparent(image):
            turn: Turn = partial(upright, orientation=stored)
            cut = isobmff.properties(data) if image.format == "AVIF" and data else []
            if isobmff.has_clean_aperture(cut):
                turn = partial(isobmff.transformed, found=cut)
            read = partial(_displayed_over_white, convert, mode, turn)
            yield Reading(AS_DISPLAYED, read, of_image=True)
        else:
            yield Reading(AS_DISPLAYED, partial(_displayed, convert, mode))
    if image.format in {"JXL", SAMPLED}:
        return  # turned by their decoders, and not read by python-threatexchange
    if image.format in {"HEIF", TILED}:
        written = image.info.get("original_orientation")
        if data and isinstance(written, int) and 2 <= written <= 8:
            yield from _turned_by_exif(written, _transformation(data))
        return
    if image.format == "AVIF":
        raw: Any = getattr(image, "_decoder", None)  # Pillow puts the other turn into its EXIF
        exif = raw.get_info()[4] if raw is not None else None
        yield from _turned_by_exif(orientation_of(exif or b""), stored)
    if image.mode in NOT_BY_VALUE or (image.mode in WITH_ALPHA and _is_transparent(image)):
        yield Reading(AS_THREATEXCHANGE, _as_stored, of_image=True)
    elif stored != 1:
        yield Reading(AS_THREATEXCHANGE, partial(_turned_back, stored=stored))


def _turned_by_exif(written: int, turned: int) -> Iterator[Reading]:
    """Yield the picture turned as its EXIF has `written`, if its file has `turned` it otherwise."""
    if written not in {1, turned}:
        yield Reading(AS_EXIF, partial(_turned_again, turned, written))


def _is_transparent(image: Image.Image) -> bool:
    if image.mode not in {"RGBA", "LA"}:
        return image.has_transparency_data
    least, _ = image.getchannel("A").getextrema()
    return least != 255


def _as_stored(image: Image.Image) -> NDArray[np.uint8]:
    """Return the three channels that python-threatexchange 1.2.17 hashes of a loaded `image`."""
    out = np.empty((image.height, image.width, 3), np.uint8)
    for rows, band in bands(image):
        pixels = np.asarray(band.convert("RGB") if image.mode in {"LA", "I;16"} else band)
        out[rows] = pixels[..., None] if pixels.ndim == 2 else pixels[..., :3]
    return out


def _displayed_inks(convert: Convert, stored: int, image: Image.Image) -> NDArray[np.uint8]:
    return upright(convert(np.asarray(_reduced(image))), stored)


def _displayed_over_white(
    convert: Convert, mode: str, turn: Turn, image: Image.Image
) -> NDArray[np.uint8]:
    """Convert what is transparent before it is laid over white, which is white on any display."""
    stored = image if image.mode == "RGBA" else image.convert("RGBA")
    layers = _reduced(Image.fromarray(turn(np.asarray(stored))))
    shown = Image.fromarray(convert(np.asarray(layers.convert(mode))))
    shown.putalpha(layers.getchannel("A"))
    return rgb(shown)


def _displayed(convert: Convert, mode: str, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if mode == "L":
        pixels = np.ascontiguousarray(pixels[..., 0])
    return convert(np.asarray(_reduced(Image.fromarray(pixels))))


def _reduced(image: Image.Image) -> Image.Image:
    """Return `image` by a whole number smaller, at no less than `DISPLAYED_SIDE`.

    To convert a pixel takes several times as long as to decode it, and no hash sees so fine.
    """
    factor = min(image.size) // DISPLAYED_SIDE
    return image.reduce(factor) if factor > 1 else image


def _turned_back(pixels: NDArray[np.uint8], stored: int) -> NDArray[np.uint8]:
    """Return upright `pixels` as they lie in a file of a `stored` orientation."""
    return upright(pixels, TURNED_BACK.get(stored, stored))


def _turned_again(done: int, wanted: int, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return upright(_turned_back(pixels, done), wanted)


def _transformation(data: bytes) -> int:
    """Return the EXIF orientation that does what the file of a HEIF has done to its picture."""
    corners = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    done = [
        (kind, body) for kind, body in isobmff.properties(data) if kind != isobmff.CLEAN_APERTURE
    ]
    turned = isobmff.transformed(corners, done)
    return next(n for n in range(1, 9) if (upright(corners, n) == turned).all())
