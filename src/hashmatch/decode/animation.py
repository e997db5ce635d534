"""The frames of an animation and the pages of a document, sampled, one at a time."""

from __future__ import annotations

import struct
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from PIL import Image

from hashmatch.decode import apng, gif, limits, tiff
from hashmatch.decode.compositing import Compositor
from hashmatch.decode.exif import orientation
from hashmatch.decode.formats import HEIF, JXL, check_size, frame_order, identify, open_image
from hashmatch.decode.inputs import ImageInput, LoadedImage, file_behind, load, unread_file
from hashmatch.decode.jpeg import scale_down
from hashmatch.decode.pillow_settings import pillow_settings
from hashmatch.decode.policy import (
    Picture,
    as_outcomes,
    decode_as,
    decode_file,
    decode_image,
    decode_pillow,
    loaded_pixels,
    turned,
    undecodable,
)
from hashmatch.errors import UsageError
from hashmatch.records.images import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from hashmatch.decode.frame_parts import FrameRect
    from hashmatch.decode.readings import Reading

COMPOSITED, PAGED, SEQUENCES = {"GIF", "PNG"}, {"TIFF"}, {"WEBP", "AVIF", HEIF, JXL}


def decode_frames(image: ImageInput, most: int = limits.FRAMES) -> Iterator[Picture]:
    """Return the frames of an animation or the pages of a document, one at a time.

    The first is always the first frame, as `decode_image` gives it; then frames at even distances
    up to the last, all of them if there are no more than `most`. A still picture gives exactly
    one. Each is decoded when it is asked for, under the same policy and limits.

    Covered are animated GIF, PNG, WebP, AVIF and JPEG XL, put together as browsers show them; the
    pages of a TIFF; and the pictures of a HEIF, its primary one first. The default image of an
    animated PNG, if it is apart from the animation, is frame 0 and the animation follows, since
    some viewers show the one and some the other. Of a JPEG with more pictures (MPO) viewers show
    the first, and so does this.

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

    Returns
    -------
    iterator of Picture
        Pixels are uint8 of shape (height, width, 3), by frame not always the same.

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
        raise UsageError(f"cannot give {most} frames. Ask for 1 at least (most)")
    return (picture for picture in decode_all(image, most, readings=False))


def decode_all(
    image: ImageInput, most: int = limits.FRAMES, *, readings: bool = True
) -> Iterator[Picture]:
    """Return what `decode_frames` does, and behind the first picture what others read in it.

    See `hashmatch.decode.readings`. One that cannot be made is left out.
    """
    loaded = load(image)
    if isinstance(loaded.pixels, Image.Image):
        data = unread_file(loaded.pixels)
        if data is None:
            return _of_pillow(loaded.pixels, most, readings)
        loaded = LoadedImage(loaded.name, data)
    return _of_file(loaded, most, readings)


def sample_indices(count: int, most: int) -> Iterable[int]:
    """Return `most` of the numbers from 0 to `count` - 1: both ends, and evenly between them."""
    if count <= most:
        return range(count)
    if most == 1:
        return [0]
    return [step * (count - 1) // (most - 1) for step in range(most)]


def _of_file(loaded: LoadedImage, most: int, readings: bool) -> Iterator[Picture]:
    if loaded.data is None:
        yield decode_image(loaded)
        return
    first = decode_file(loaded.data, readings=readings)
    yield first
    if readings:
        yield from _read_otherwise(first, loaded.data)
    if most > 1:
        yield from _following(loaded.data, first, most)


def _of_pillow(image: Image.Image, most: int, readings: bool) -> Iterator[Picture]:
    name = image.format
    if name in SEQUENCES and getattr(image, "n_frames", 1) > 1:
        data = file_behind(image) if name == "AVIF" else None
        with _left_as_it_was(image):
            image.seek(frame_order(image)[0])
            first = decode_pillow(image, readings=readings)
            yield first
            if readings:
                yield from _read_otherwise(first, image)
            with as_outcomes(name):
                yield from _sequence(image, name, data, first, most)
        return
    data = file_behind(image) if name in COMPOSITED | PAGED else None
    moved = data is not None and image.tell() != 0
    shown: bytes | Image.Image = image
    if moved and data is not None:
        shown = data
        first = decode_file(data, readings=readings)
    else:
        first = decode_pillow(image, readings=readings)
    yield first
    if readings:
        yield from _read_otherwise(first, shown)
    if data is not None and most > 1:
        yield from _following(data, first, most)


def _read_otherwise(first: Picture, shown: bytes | Image.Image) -> Iterator[Picture]:
    """Yield the other readings of the `first` picture of a file, or of a loaded image."""
    for reading in first.others:
        with suppress(ImageError):
            yield replace(first, pixels=_pixels_read(reading, first, shown), reading=reading.name)


def _pixels_read(reading: Reading, first: Picture, shown: bytes | Image.Image) -> NDArray[np.uint8]:
    name = shown.format or "" if isinstance(shown, Image.Image) else identify(shown)
    with as_outcomes(name), pillow_settings(truncated=first.damaged and name != HEIF):
        if not reading.of_image:
            return reading.read(first.pixels)
        if isinstance(shown, Image.Image):
            return reading.read(shown)
        with closing(open_image(shown, name)) as image:
            scale_down(image)
            image.load()
            return reading.read(image)


def _following(data: bytes, first: Picture, most: int) -> Iterator[Picture]:
    """Yield what follows the `first` picture of the file `data`."""
    name = identify(data)
    with as_outcomes(name):
        if name in COMPOSITED:
            yield from _composited(data, name, first, most)
        elif name in PAGED:
            offsets = tiff.page_offsets(data, limits.TIFF_PAGES)

            def page(number: int) -> Picture:
                return decode_as(name, tiff.page_file(data, offsets[number]))

            yield from _sampled(len(offsets), most, first, page)
        elif name in SEQUENCES:
            with open_image(data, name) as image:
                yield from _sequence(image, name, data, first, most)


def _sampled(
    count: int, most: int, first: Picture, decode: Callable[[int], Picture]
) -> Iterator[Picture]:
    """Yield the sampled pictures after the `first`; one that is broken repeats the one before."""
    last = first
    for number in islice(sample_indices(count, most), 1, None):
        try:
            picture = decode(number)
        except ImageError:
            picture = replace(last, damaged=True)
        last = replace(picture, frame=number)
        yield last


def _sequence(
    image: Any, name: str, data: bytes | None, first: Picture, most: int
) -> Iterator[Picture]:
    """Yield the frames of an open `image` that its own decoder puts together."""
    numbers = frame_order(image)
    count = len(numbers)
    if name != HEIF:  # whose pictures do not build on each other
        width, height = image.size
        pixels = max(width * height, limits.FRAME_LEAST_PIXELS)
        count = min(count, max(1, limits.FRAME_REACH_PIXELS // pixels))

    def frame(number: int) -> Picture:
        with undecodable(name), pillow_settings(truncated=False):
            image.seek(numbers[number])
            check_size(name, image)
            pixels = turned(loaded_pixels(image), orientation(image), name, data)
        return replace(first, pixels=pixels)

    for picture in _sampled(count, most, first, frame):
        yield picture
        if picture.damaged and name != HEIF:
            return


def _composited(data: bytes, name: str, first: Picture, most: int) -> Iterator[Picture]:
    """Yield the frames of a GIF or PNG that are to be put together from rectangles."""
    before = 0  # pictures ahead of the animation
    if name == "GIF":
        height, width = first.pixels.shape[:2]  # the first frame may be larger than the screen
        rects = _within_reach(gif.frame_rects(data, limits.FRAME_BLOCKS))
    else:
        width, height = struct.unpack_from(">II", data, 16)
        rects = _within_reach(apng.frame_rects(data, limits.FRAME_BLOCKS))
        before = apng.starts_with_default(data, limits.FRAME_BLOCKS)
    if before + len(rects) == 1:
        return
    compositor = Compositor(name, height, width, rects)
    for number in islice(sample_indices(before + len(rects), most), 1, None):
        pixels = compositor.show(number - before)
        yield Picture(pixels, first.media_type, compositor.damaged or first.damaged, number)


def _within_reach(rects: Iterable[FrameRect]) -> list[FrameRect]:
    """Return the frames up to the last that may be decoded."""
    found = []
    left = limits.FRAME_REACH_PIXELS
    for rect in rects:
        left -= max(rect.width * rect.height, limits.FRAME_LEAST_PIXELS)
        if left < 0:
            break
        found.append(rect)
    return found


@contextmanager
def _left_as_it_was(image: Image.Image) -> Iterator[None]:
    """Put an open image back to the frame it stood at, with what the caller has drawn on it."""
    stood_at, drawn = image.tell(), None
    with suppress(Exception):  # the frame may be broken, and then there is nothing to keep
        image.load()
        drawn = image.im.copy()
    try:
        yield
    finally:
        with suppress(Exception):
            image.seek(stood_at)
            if drawn is not None:
                image.load()
                image.im = drawn
