"""An image to its hash, and to exactly one outcome whatever is wrong with it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from hashmatch import registry
from hashmatch.decode.inputs import ImageInput, describe, file_bytes
from hashmatch.decode.policy import POLICY, Picture, decode_image
from hashmatch.errors import ImageError, UsageError
from hashmatch.interfaces import OrientedHasher
from hashmatch.records.enums import Outcome
from hashmatch.records.hashes import HashBatch
from hashmatch.records.items import HashedImage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from hashmatch.interfaces import Hasher


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
    name = describe(image) if item is None else item
    hasher = registry.hasher(algorithm)
    floor = hasher.min_quality if min_quality is None else min_quality
    try:
        if hasher.reads == "bytes":
            return _hash_bytes(image, name, hasher)
        return _hash_picture(decode_image(image), name, hasher, floor, orientations)
    except MemoryError:
        reason = "not enough memory to hash it"
        nothing = HashBatch.from_bytes(hasher.spec, b"")
        return HashedImage(name, hasher.spec, Outcome.REFUSED, nothing, reason)
    except ImageError as error:
        nothing = HashBatch.from_bytes(hasher.spec, b"")
        return HashedImage(name, hasher.spec, error.outcome, nothing, error.reason)


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


def _hash_bytes(image: ImageInput, name: str, hasher: Hasher) -> HashedImage:
    data = file_bytes(image)
    if data is None:
        raise UsageError(
            f"{hasher.spec.algorithm} is a hash of a file's bytes, and {name} has only pixels"
        )
    hashes, quality = hasher.hash(np.frombuffer(data, np.uint8))
    return HashedImage(name, hasher.spec, Outcome.HASHED, hashes, quality=quality)


def _hash_picture(
    picture: Picture, name: str, hasher: Hasher, min_quality: int, orientations: bool
) -> HashedImage:
    height, width = picture.pixels.shape[:2]

    def result(
        outcome: Outcome, hashes: HashBatch, reason: str = "", quality: int | None = None
    ) -> HashedImage:
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
        )

    if min(width, height) < hasher.min_side:
        reason = (
            f"{width} x {height} pixels, {hasher.spec.algorithm} needs "
            f"{hasher.min_side} on each side"
        )
        return result(Outcome.TOO_SMALL, HashBatch.from_bytes(hasher.spec, b""), reason)
    if orientations:
        hashes, quality = _oriented(hasher, picture.pixels)
    else:
        hashes, quality = hasher.hash(picture.pixels)
    if quality is not None and quality < min_quality:
        reason = f"quality {quality}, at least {min_quality} is needed for a match to mean anything"
        return result(Outcome.LOW_QUALITY, hashes, reason, quality)
    if quality is None and _solid(picture.pixels):
        return result(Outcome.LOW_QUALITY, hashes, "one solid colour")
    return result(Outcome.HASHED, hashes, quality=quality)


def _oriented(hasher: Hasher, pixels: NDArray[np.uint8]) -> tuple[HashBatch, int | None]:
    """Return the hashes of all eight orientations, in the order of `Orientation`."""
    if isinstance(hasher, OrientedHasher):
        return hasher.hash_orientations(pixels)
    across = pixels.swapaxes(0, 1)
    turned = [np.rot90(pixels, turns) for turns in range(4)]
    turned += [pixels[::-1], pixels[:, ::-1], across, across[::-1, ::-1]]
    hashed = [hasher.hash(np.ascontiguousarray(array)) for array in turned]
    return HashBatch.concatenate([hashes for hashes, _ in hashed]), hashed[0][1]


def _solid(pixels: NDArray[np.uint8]) -> bool:
    """Return whether all pixels are alike: every solid colour has the same perceptual hash."""
    first = pixels[0, 0]
    # The first row tells nearly all pictures apart at a thousandth of the cost.
    return bool((pixels[0] == first).all() and (pixels == first).all())
