"""The frames of an animation and the pages of a document, sampled, one at a time."""

from __future__ import annotations

import struct
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from PIL import Image

from hashmatch.decode import apng, gif, tiff
from hashmatch.decode.color import upright
from hashmatch.decode.compositing import Canvas
from hashmatch.decode.formats import HEIF, MEGAPIXEL, check_size, identify, open_image
from hashmatch.decode.heif import order
from hashmatch.decode.inputs import MAX_BYTES, ImageInput, LoadedImage, load
from hashmatch.decode.policy import Picture, as_outcomes, decode_image, loaded_pixels
from hashmatch.decode.truncated import tolerant
from hashmatch.errors import UsageError
from hashmatch.records.images import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashmatch.decode.frame_parts import Patch

MOST = 8
"""Frames of one file, unless told: eight hashes cost what the eight orientations of one picture do,
and whatever fills a seventh of an animation is among them."""

REACH = 128 * MEGAPIXEL
"""Pixels decoded to reach a frame that builds on those before it. A megapixel was measured to take
30 ms of a GIF of noise, 14 of a PNG, 6 of a WebP and 3 of an AVIF, so that 4 s is the most."""
LEAST = 16_384
"""Pixels that any frame counts for, however small: what opening one costs in time."""
MOST_PAGES = 4096

PATCHED, PAGED, SEQUENCES = {"GIF", "PNG"}, {"TIFF"}, {"WEBP", "AVIF", HEIF}


def decode_frames(image: ImageInput, most: int = MOST) -> Iterator[Picture]:
    """Return the frames of an animation or the pages of a document, one at a time.

    The first is always the first frame, as `decode_image` gives it; then frames at even distances
    up to the last, all of them if there are no more than `most`. A still picture gives exactly
    one. Each is decoded when it is asked for, under the same policy and limits.

    Covered are animated GIF, PNG, WebP and AVIF, put together as browsers show them; the pages of a
    TIFF; and the pictures of a HEIF, its primary one first. The default image of an animated PNG,
    if it is apart from the animation, is frame 0 and the animation follows, since some viewers show
    the one and some the other. Of a JPEG with more pictures (MPO) viewers show the first, and so
    does this.

    A picture that stays for a seventh of the frames is seen with the default of eight; one
    frame among `n` that is unlike all others is seen only by chance, 8 in `n`. Frames are spread by
    their number, however long each is shown. Raise `most` to see more. Frames that build on
    earlier ones are reached as long as that takes no more than 128 megapixels of decoding (a
    frame counts for 16,384 at least), 61 frames of 1920 x 1080 and 1,666 of 320 x 240; of a longer
    animation the samples are spread over that beginning. Of a TIFF the first 4,096 pages count.

    One frame is held at a time: 25 MB a megapixel at most, measured on a transparent WebP.

    What is broken after the first frame raises nothing: the frame is decoded as far as it can be,
    or repeats what was shown before it, and is flagged as damaged. Where later frames build on it
    those are flagged too, or the sequence ends with it.

    Parameters
    ----------
    image : path, bytes, file object, PIL.Image.Image or ndarray of uint8
        As for `decode_image`, read now. All frames of an open Pillow image are given, wherever it
        stands. It is left as it was: at once if it is a GIF, PNG or TIFF; a WebP, AVIF or HEIF is
        moved from frame to frame, and put back when the iterator ends or is closed.
    most : int
        Frames given, the first one included.

    Raises
    ------
    ImageError
        When the first frame is asked for: as `decode_image`. Later only ``refused``, if memory
        runs out.
    UsageError
        If `most` is less than 1, or `image` is nothing that can be decoded.

    Examples
    --------
    >>> pictures = decode_frames("fixtures/images/modes/animated.gif")
    >>> [(picture.frame, picture.pixels.shape) for picture in pictures]
    [(0, (250, 330, 3)), (1, (250, 330, 3)), (2, (250, 330, 3))]
    """
    if most < 1:
        raise UsageError(f"most is {most}; at least the first frame is given")
    loaded = load(image)
    if isinstance(loaded.pixels, Image.Image):
        return _of_pillow(loaded.pixels, most)
    return _of_file(loaded, most)


def sampled(count: int, most: int) -> Iterable[int]:
    """Return `most` of the numbers from 0 to `count` - 1: both ends, and evenly between them."""
    if count <= most:
        return range(count)
    if most == 1:
        return [0]
    return [step * (count - 1) // (most - 1) for step in range(most)]


def _of_file(loaded: LoadedImage, most: int) -> Iterator[Picture]:
    first = decode_image(loaded)
    yield first
    if loaded.data is not None and most > 1:
        yield from _later(loaded.data, first, most)


def _of_pillow(image: Image.Image, most: int) -> Iterator[Picture]:
    name = image.format
    if name in SEQUENCES and getattr(image, "n_frames", 1) > 1:
        with _put_back(image):
            image.seek(order(image)[0])
            first = decode_image(image)
            yield first
            yield from _sequence(image, name, first, most)
        return
    data = _file_behind(image) if name in PATCHED | PAGED else None
    moved = data is not None and image.tell() != 0
    first = decode_image(data if moved and data is not None else image)
    yield first
    if data is not None and most > 1:
        yield from _later(data, first, most)


def _later(data: bytes, first: Picture, most: int) -> Iterator[Picture]:
    """Yield what follows the `first` picture of the file `data`."""
    name = identify(data)
    with as_outcomes(name):
        if name in PATCHED:
            yield from _patched(data, name, first, most)
        elif name in PAGED:
            yield from _pages(data, first, most)
        elif name in SEQUENCES:
            with open_image(data, name) as image:
                yield from _sequence(image, name, first, most)


def _pages(data: bytes, first: Picture, most: int) -> Iterator[Picture]:
    places = tiff.pages(data, MOST_PAGES)
    last = first
    for number in islice(sampled(len(places), most), 1, None):
        try:
            page = decode_image(tiff.page(data, places[number]))
        except ImageError:
            page = replace(last, damaged=True)
        last = replace(page, frame=number)
        yield last


def _patched(data: bytes, name: str, first: Picture, most: int) -> Iterator[Picture]:
    """Yield the frames of a GIF or PNG that are to be put together from patches."""
    before = 0  # pictures ahead of the animation
    if name == "GIF":
        height, width = first.pixels.shape[:2]  # the first frame may be larger than the screen
        patches = _within_reach(gif.patches(data))
    else:
        width, height = struct.unpack_from(">II", data, 16)
        patches = _within_reach(apng.patches(data))
        before = apng.starts_with_default(data)
    if before + len(patches) == 1:
        return
    canvas = Canvas(name, height, width, patches)
    for number in islice(sampled(before + len(patches), most), 1, None):
        pixels = canvas.show(number - before)
        yield Picture(pixels, first.media_type, canvas.damaged or first.damaged, number)


def _within_reach(patches: Iterable[Patch]) -> list[Patch]:
    """Return the patches up to the last that may be decoded."""
    found = []
    left = REACH
    for patch in patches:
        left -= max(patch.width * patch.height, LEAST)
        if left < 0:
            break
        found.append(patch)
    return found


def _sequence(image: Any, name: str, first: Picture, most: int) -> Iterator[Picture]:
    """Yield the frames of an open `image` that its own decoder puts together."""
    numbers = order(image)
    count = len(numbers)
    if name != HEIF:  # whose pictures do not build on each other
        width, height = image.size
        count = min(count, max(1, REACH // max(width * height, LEAST)))
    last = first
    for number in islice(sampled(count, most), 1, None):
        try:
            with as_outcomes(name), tolerant(False):
                image.seek(numbers[number])
                check_size(name, image)
                pixels = upright(loaded_pixels(image), image)
            last = Picture(pixels, first.media_type, first.damaged, number)
        except ImageError:
            last = replace(last, damaged=True, frame=number)
        yield last
        if last.damaged and name != HEIF:
            return


@contextmanager
def _put_back(image: Image.Image) -> Iterator[None]:
    """Leave an open image at the frame it stood at, with what the caller may have drawn on it."""
    place, kept = image.tell(), None
    with suppress(Exception):  # the frame may be broken, and then there is nothing to keep
        image.load()
        kept = image.im.copy()
    try:
        yield
    finally:
        with suppress(Exception):
            image.seek(place)
            if kept is not None:
                image.load()
                image.im = kept


def _file_behind(image: Any) -> bytes | None:
    """Return the bytes that an open image is read from; None if there are none any more."""
    try:
        file = getattr(image, "_fp", None) or image.fp
        place = file.tell()
        file.seek(0)
        try:
            data: bytes = file.read(MAX_BYTES + 1)
        finally:
            file.seek(place)
    except Exception:  # closed, or the caller's own and raising anything
        return None
    return data if len(data) <= MAX_BYTES else None
