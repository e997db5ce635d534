"""An image to its hashes, and each to exactly one outcome whatever is wrong with it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from hashmatch import registry
from hashmatch.decode.animation import decode_frames
from hashmatch.decode.inputs import ImageInput, describe, file_bytes
from hashmatch.decode.policy import POLICY, Picture, decode_image
from hashmatch.errors import UsageError
from hashmatch.hashing.variants import Questions, ask, oriented
from hashmatch.records.enums import Level, Orientation, Outcome, check_level
from hashmatch.records.hashes import HashBatch
from hashmatch.records.images import HashedImage, ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from hashmatch.interfaces import Hasher

    Decode = Callable[[ImageInput, bool], Iterator[Picture]]
    Asking = Callable[[Hasher, NDArray[np.uint8]], Questions]


def hash_image(
    image: ImageInput,
    algorithm: str = "pdq",
    *,
    orientations: bool = False,
    item: str | None = None,
    min_quality: int | None = None,
) -> HashedImage:
    """Hash one picture.

    What is wrong with the picture is an outcome of the result, never an exception.

    Parameters
    ----------
    image : path, bytes, file object, PIL.Image.Image or ndarray of uint8
        An array is gray (h, w), RGB (h, w, 3) or RGBA (h, w, 4).
    algorithm : str
        A hasher's name: ``pdq``, ``phash``, ``dhash``, ``ahash``, ``whash``, ``md5``, ``sha1``,
        ``sha256``, or that of an installed plug-in.
    orientations : bool
        Give the hashes of all eight `Orientation`, upright first, in ``hashes``. PDQ's come from
        one DCT; other algorithms hash the turned pixels.
    item : str, optional
        Its name in messages; by default the path or file name.
    min_quality : int, optional
        Below it the outcome is ``low_quality``; by default the hasher's own.

    Returns
    -------
    HashedImage

    Raises
    ------
    UsageError
        If `image` is none of these things, the algorithm is unknown, or it needs the bytes of a
        file and `image` has none.

    Examples
    --------
    >>> rows = np.arange(128, dtype=np.uint8)
    >>> picture = np.bitwise_xor.outer(rows, rows) * 2
    >>> hashed = hash_image(picture, "dhash")
    >>> hashed.outcome.value, hashed.width, len(hashed.hex)
    ('hashed', 128, 16)
    >>> hash_image(b"not a picture").outcome.value
    'unsupported'
    """

    def asked(hasher: Hasher, pixels: NDArray[np.uint8]) -> Questions:
        if not orientations:
            return ask(hasher, pixels, "none")
        return Questions(tuple(Orientation), *oriented(hasher, pixels))

    (hashed,) = _hash_all(image, (algorithm,), asked, item, min_quality, frames=False)
    return hashed


def hash_images(
    images: Iterable[ImageInput], algorithm: str = "pdq", *, min_quality: int | None = None
) -> Iterator[HashedImage]:
    """Hash many pictures, lazily and in order; see `hash_image`.

    Parameters
    ----------
    images : iterable of images
        Each as for `hash_image`; taken one at a time.
    algorithm : str
        A hasher's name.
    min_quality : int, optional
        Below it the outcome is ``low_quality``; by default the hasher's own.

    Examples
    --------
    >>> [hashed.outcome.value for hashed in hash_images([b"", b"text"])]
    ['undecodable', 'unsupported']
    """
    if isinstance(images, str | bytes | os.PathLike):
        raise UsageError("hash_images takes many images; for one, call hash_image")
    return (hash_image(image, algorithm, min_quality=min_quality) for image in images)


def hash_all(
    image: ImageInput,
    algorithms: Sequence[str],
    *,
    variants: Level = "none",
    item: str | None = None,
    min_quality: int | None = None,
    decode: Decode | None = None,
) -> list[HashedImage]:
    """Hash one picture by several algorithms, read once and decoded once.

    Parameters
    ----------
    image : path, bytes, file object, PIL.Image.Image or ndarray of uint8
        See `hash_image`.
    algorithms : sequence of str
        Names of hashers.
    variants : {"none", "orientations", "standard", "thorough"}
        Which other questions to ask about the picture, see `hashmatch.hashing.variants.ask`. From
        ``standard`` on, of each of the sampled frames of an animation or pages of a document,
        see `hashmatch.decode_frames`.
    item : str, optional
        Its name in messages; by default the path or file name.
    min_quality : int, optional
        Below it the outcome is ``low_quality``; by default each hasher's own.
    decode : callable, optional
        Gives the pictures in a file, the first one or the sampled frames: the `pictures` of a
        `hashmatch.DecodePool`, for bytes that are not trusted. By default they are decoded here.

    Returns
    -------
    list of HashedImage
        One for each algorithm, in order; of each frame, if several are hashed.

    Raises
    ------
    UsageError
        As `hash_image` does.

    Examples
    --------
    >>> both = hash_all("fixtures/images/plain/tiles.png", ["pdq", "sha256"])
    >>> [(hashed.spec.algorithm, hashed.outcome.value) for hashed in both]
    [('pdq', 'hashed'), ('sha256', 'hashed')]
    """
    if isinstance(algorithms, str):
        raise UsageError("hash_all takes several algorithms; for one, call hash_image")
    check_level(variants)

    def asked(hasher: Hasher, pixels: NDArray[np.uint8]) -> Questions:
        return ask(hasher, pixels, variants, min_quality=min_quality)

    frames = variants in {"standard", "thorough"}
    return _hash_all(image, algorithms, asked, item, min_quality, frames, decode)


def _hash_all(
    image: ImageInput,
    algorithms: Sequence[str],
    asked: Asking,
    item: str | None,
    min_quality: int | None,
    frames: bool,
    decode: Decode | None = None,
) -> list[HashedImage]:
    """Return the hashes of `image`, one for each algorithm and frame, and what was `asked`."""
    name = describe(image) if item is None else item
    # By the name that was asked for: a plug-in's entry point may call it otherwise than its spec.
    hashers = {algorithm: registry.hasher(algorithm) for algorithm in algorithms}
    hashed: dict[str, list[HashedImage]] = {algorithm: [] for algorithm in hashers}
    of_bytes = {a: hasher for a, hasher in hashers.items() if hasher.reads == "bytes"}
    of_pixels = {a: hasher for a, hasher in hashers.items() if hasher.reads == "pixels"}
    try:
        data = file_bytes(image)
    except ImageError as error:
        return [_unhashed(name, hasher, error.outcome, error.reason) for hasher in hashers.values()]
    for algorithm, hasher in of_bytes.items():
        hashed[algorithm].append(_hash_bytes(data, name, hasher))
    if of_pixels:
        for picture in _pictures(image if data is None else data, frames, decode):
            for algorithm, hasher in of_pixels.items():
                if isinstance(picture, ImageError):
                    made = _unhashed(name, hasher, picture.outcome, picture.reason)
                else:
                    made = _hash_picture(picture, name, hasher, asked, min_quality)
                hashed[algorithm].append(made)
    return [one for made_by in hashed.values() for one in made_by]


def _pictures(
    image: ImageInput, frames: bool, decode: Decode | None
) -> Iterator[Picture | ImageError]:
    """Yield what is to be hashed of `image`, or why nothing more is."""
    try:
        yield from (decode or decode_here)(image, frames)
    except ImageError as error:
        yield error
    except MemoryError:
        yield ImageError(Outcome.REFUSED, "not enough memory to decode it")


def decode_here(image: ImageInput, frames: bool) -> Iterator[Picture]:
    """Yield what is to be hashed of `image`, decoded in this process."""
    if frames:
        yield from decode_frames(image)
    else:
        yield decode_image(image)


def _unhashed(name: str, hasher: Hasher, outcome: Outcome, reason: str) -> HashedImage:
    nothing = HashBatch.from_bytes(hasher.spec, b"")
    return HashedImage(name, hasher.spec, outcome, nothing, reason)


def _hash_bytes(data: bytes | None, name: str, hasher: Hasher) -> HashedImage:
    if data is None:
        raise UsageError(
            f"{hasher.spec.algorithm} is a hash of a file's bytes, and {name} has only pixels"
        )
    hashes, quality = hasher.hash(np.frombuffer(data, np.uint8))
    return HashedImage(name, hasher.spec, Outcome.HASHED, hashes, quality=quality)


def _hash_picture(
    picture: Picture,
    name: str,
    hasher: Hasher,
    asked: Asking,
    min_quality: int | None,
) -> HashedImage:
    height, width = picture.pixels.shape[:2]
    algorithm = hasher.spec.algorithm
    if min(width, height) < hasher.min_side:
        names: tuple[str, ...] = (Orientation.UPRIGHT,)
        hashes, quality = HashBatch.from_bytes(hasher.spec, b""), None
        outcome = Outcome.TOO_SMALL
        reason = f"{width} x {height} pixels, {algorithm} needs {hasher.min_side} on each side"
    else:
        try:
            names, hashes, quality = asked(hasher, picture.pixels)
        except MemoryError:
            return _unhashed(name, hasher, Outcome.REFUSED, "not enough memory to hash it")
        outcome, reason = _judged(picture.pixels, quality, hasher, min_quality)
    return HashedImage(
        item=name,
        spec=hasher.spec,
        outcome=outcome,
        hashes=hashes,
        reason=reason,
        quality=quality,
        width=width,
        height=height,
        damaged=picture.damaged,
        media_type=picture.media_type,
        frame=picture.frame,
        decode_policy=POLICY,
        variants=names,
    )


def _judged(
    pixels: NDArray[np.uint8], quality: int | None, hasher: Hasher, min_quality: int | None
) -> tuple[Outcome, str]:
    """Return whether a hash of `quality` means anything, and else why not."""
    least = hasher.min_quality if min_quality is None else min_quality
    if quality is None:
        return (Outcome.LOW_QUALITY, "one solid colour") if _solid(pixels) else (Outcome.HASHED, "")
    if quality < least:
        reason = f"quality {quality}, at least {least} is needed for a match to mean anything"
        return Outcome.LOW_QUALITY, reason
    return Outcome.HASHED, ""


def _solid(pixels: NDArray[np.uint8]) -> bool:
    """Return whether all pixels are alike: every solid colour has the same perceptual hash."""
    first = pixels[0, 0]
    # The first row tells nearly all pictures apart at a thousandth of the cost.
    return bool((pixels[0] == first).all() and (pixels == first).all())
