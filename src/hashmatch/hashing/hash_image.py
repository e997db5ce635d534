"""Hash an image; each image gets exactly one outcome, even if it is broken."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hashmatch import registry
from hashmatch.decode.animation import decode_all
from hashmatch.decode.inputs import ImageInput, LoadedImage, load
from hashmatch.decode.policy import POLICY, Picture, decode_image
from hashmatch.decode.readings import AS_DISPLAYED
from hashmatch.errors import UsageError
from hashmatch.hashing.chrome import ChromeMeter
from hashmatch.hashing.variants import ORIENTED, Questions, ask, oriented
from hashmatch.records.enums import Level, Orientation, Outcome, check_level
from hashmatch.records.hashes import HashBatch
from hashmatch.records.images import HashedImage, ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from hashmatch.interfaces import Hasher
    from hashmatch.sandbox.pool import DecodePool

    Decode = Callable[[ImageInput, bool], Iterator[Picture]]


@dataclass(frozen=True, eq=False)
class HashPlan:
    """What every picture is hashed as, decided once for many of them; see `hash_loaded`.

    Parameters
    ----------
    algorithms : sequence of str
        Names of hashers; one that is named twice hashes once.
    variants : {"none", "orientations", "standard", "thorough"}
        Which other questions to ask about each picture, see `hashmatch.hashing.variants.ask`.
    min_quality : int, optional
        Below it the outcome is ``low_quality``; by default each hasher's own.
    eight : bool
        Ask for the eight orientations and nothing else, instead of `variants`.
    chrome : bool
        Also measure how much of each picture is plain colour, text and lines, as a match has to
        say: see `hashmatch.hashing.chrome`. It takes half the time of a hash.
    is_near : callable, optional
        Says of a picture that is hashed whether it matches. Of one that does not, chrome is left
        out, unless it has more than `FEW_HASHES`, whose look-up would take as long.

    Raises
    ------
    UsageError
        If there is no such algorithm or level.
    """

    algorithms: Sequence[str]
    variants: Level = "none"
    min_quality: int | None = None
    eight: bool = False
    chrome: bool = False
    is_near: Callable[[HashedImage], bool] | None = None

    def __post_init__(self) -> None:
        check_level(self.variants)
        _ = self.hashers  # here: what cannot be found is said before anything is hashed

    @cached_property
    def hashers(self) -> tuple[Hasher, ...]:
        """One for each algorithm, in order."""
        # By the name that was asked for: its spec may be called otherwise than its entry point.
        return tuple(registry.hasher(name) for name in dict.fromkeys(self.algorithms))

    @cached_property
    def reads_bytes(self) -> bool:
        """Whether a digest of the whole file is asked for, be it a picture or not."""
        return any(hasher.reads == "bytes" for hasher in self.hashers)

    @cached_property
    def frames(self) -> bool:
        """Whether the sampled frames of a file are hashed, not only the first."""
        return self.variants in {"standard", "thorough"}

    def questions(self, hasher: Hasher, pixels: NDArray[np.uint8], reading: str = "") -> Questions:
        """Return what is looked up for one picture, RGB (h, w, 3), by one of `hashers`.

        It is upright unless it is such a `reading` of another. What is displayed is worth every
        question; the other readings are of files that a list has as they are.
        """
        if reading == AS_DISPLAYED:
            asked = self.questions(hasher, pixels)
            names = (reading, *(f"{reading}/{name}" for name in asked.names[1:]))
            return asked._replace(names=names)
        if reading:
            return Questions((reading,), *hasher.hash(pixels))
        if self.eight:
            return Questions(ORIENTED, *oriented(hasher, pixels))
        if self.variants == "none":
            return Questions(UPRIGHT, *hasher.hash(pixels))
        return ask(hasher, pixels, self.variants, min_quality=self.min_quality)


FEW_HASHES = 16
UPRIGHT = (str(Orientation.UPRIGHT),)
NO_VIDEO = ImageError(Outcome.UNSUPPORTED, "no video, and only videos have such a hash")


def hash_image(
    image: ImageInput,
    algorithm: str = "pdq",
    *,
    orientations: bool = False,
    item: str | None = None,
    min_quality: int | None = None,
    chrome: bool = False,
    decode: DecodePool | Decode | None = None,
) -> HashedImage:
    """Hash one picture.

    What is wrong with the picture is an outcome of the result, never an exception.

    Parameters
    ----------
    image : path, bytes, file object, PIL.Image.Image or ndarray of uint8
        Or what `hashmatch.decode.load` made of it. An array is gray (h, w), RGB (h, w, 3) or RGBA
        (h, w, 4).
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
    chrome : bool
        As for `hash_all`.
    decode : DecodePool or callable, optional
        As for `hash_all`.

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
    plan = HashPlan((algorithm,), min_quality=min_quality, eight=orientations, chrome=chrome)
    (hashed,) = hash_loaded(load(image, item), plan, decoder(decode))
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
        raise UsageError("cannot hash one image with hash_images. Call hash_image, or give several")
    plan = HashPlan((algorithm,), min_quality=min_quality)
    return (hashed for image in images for hashed in hash_loaded(load(image), plan))


def hash_all(
    image: ImageInput,
    algorithms: Sequence[str],
    *,
    variants: Level = "none",
    item: str | None = None,
    min_quality: int | None = None,
    chrome: bool = False,
    decode: DecodePool | Decode | None = None,
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
        see `hashmatch.decode_frames`, and of the first as others read it, where they read another
        picture, see `hashmatch.decode.readings`.
    item : str, optional
        Its name in messages; by default the path or file name.
    min_quality : int, optional
        Below it the outcome is ``low_quality``; by default each hasher's own.
    chrome : bool
        Also measure how much of the picture is plain colour, text and lines, as `Matcher.hash`
        does, so that `Matcher.decide` can mark a match of little else. It takes a tenth of the time
        of a hash.
    decode : DecodePool or callable, optional
        A `hashmatch.DecodePool`, for bytes that are not trusted; or what gives the pictures in a
        file, the first one or the sampled frames, as its `pictures` do. By default they are decoded
        in this process.

    Returns
    -------
    list of HashedImage
        One for each algorithm, in order; of each frame and reading, if several are hashed.

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
        raise UsageError(
            "cannot hash by one algorithm with hash_all. Call hash_image, or give several"
        )
    plan = HashPlan(algorithms, variants, min_quality, chrome=chrome)
    return hash_loaded(load(image, item), plan, decoder(decode))


def hash_loaded(
    loaded: LoadedImage, plan: HashPlan, decode: Decode | None = None
) -> list[HashedImage]:
    """Hash one picture by a plan, decoded once.

    Parameters
    ----------
    loaded : LoadedImage
        What `hashmatch.decode.load` made of it.
    plan : HashPlan
        What to hash it as.
    decode : callable, optional
        What `decoder` returns.

    Returns
    -------
    list of HashedImage
        As of `hash_all`.

    Raises
    ------
    UsageError
        If a hasher needs the bytes of a file and there are only pixels.
    """
    if loaded.error is not None:
        return [_unhashed(loaded.name, hasher, loaded.error) for hasher in plan.hashers]
    hashed = [
        [_hash_bytes(loaded, hasher)]
        if hasher.reads == "bytes"
        else [_unhashed(loaded.name, hasher, NO_VIDEO)]
        if hasher.reads == "video"
        else []
        for hasher in plan.hashers
    ]
    if not all(hashed):
        if plan.is_near is not None and any(plan.is_near(one) for one in chain(*hashed)):
            plan = replace(plan, is_near=None)  # by the file's bytes: a match, whatever it shows
        for picture in _pictures(loaded, plan.frames, decode or decode_here):
            meter: ChromeMeter | None = None
            for hasher, made in zip(plan.hashers, hashed, strict=True):
                if hasher.reads == "pixels":
                    one = _hash_picture(picture, loaded.name, hasher, plan, meter)
                    meter = one.chrome or meter
                    if isinstance(picture, Picture) and picture.reading:
                        one = replace(one, width=made[0].width, height=made[0].height)
                    made.append(one)
            if len(plan.hashers) > 1:
                _gate(hashed)
    return list(chain.from_iterable(hashed))


def _gate(hashed: Sequence[list[HashedImage]]) -> None:
    """Take PDQ's word for it that a picture is too flat, if it is hashed otherwise too.

    The last of each of `hashed` are of the picture. Of pictures whose PDQ quality is too low, other
    hashes have five times as many false matches a pair as of others: measured on 7.9 million pairs
    of tiles of photographs and drawings, by pHash at 8 bits.
    """
    last = [made[-1] for made in hashed]
    flat = [one for one in last if one.outcome is Outcome.LOW_QUALITY and one.spec.is_pdq]
    if not flat:
        return
    reason = f"by {flat[0].spec.algorithm}: {flat[0].reason}"
    for made, one in zip(hashed, last, strict=True):
        if one.outcome is Outcome.HASHED and one.decode_policy:
            made[-1] = replace(one, outcome=Outcome.LOW_QUALITY, reason=reason)


def _pictures(loaded: LoadedImage, frames: bool, decode: Decode) -> Iterator[Picture | ImageError]:
    """Yield what is to be hashed of an image, or why nothing more is."""
    try:
        yield from decode(loaded, frames)
    except ImageError as error:
        yield error
    except MemoryError:
        yield ImageError(Outcome.REFUSED, "not enough memory to decode it")


def decoder(decode: DecodePool | Decode | None) -> Decode:
    """Return the callable that decodes: of a pool its `pictures`; by default `decode_here`."""
    chosen: Any = decode_here if decode is None else getattr(decode, "pictures", decode)
    if not callable(chosen):
        raise UsageError(f"cannot decode with {type(decode).__name__}. Give a hashmatch.DecodePool")
    return cast("Decode", chosen)


def decode_here(image: ImageInput, frames: bool) -> Iterator[Picture]:
    """Yield what is to be hashed of `image`, decoded in this process."""
    if frames:
        yield from decode_all(image)
    else:
        yield decode_image(image)


def _unhashed(name: str, hasher: Hasher, why: ImageError) -> HashedImage:
    nothing = HashBatch.from_bytes(hasher.spec, b"")
    return HashedImage(name, hasher.spec, why.outcome, nothing, why.reason)


def _hash_bytes(loaded: LoadedImage, hasher: Hasher) -> HashedImage:
    if loaded.data is None:
        algorithm = hasher.spec.algorithm
        raise UsageError(
            f"cannot hash {loaded.name} by {algorithm}: it is a hash of a file's bytes, and "
            "there are only pixels. Give the file"
        )
    hashes, quality = hasher.hash(np.frombuffer(loaded.data, np.uint8))
    return HashedImage(loaded.name, hasher.spec, Outcome.HASHED, hashes, quality=quality)


def _hash_picture(
    picture: Picture | ImageError,
    name: str,
    hasher: Hasher,
    plan: HashPlan,
    chrome: ChromeMeter | None,
) -> HashedImage:
    """Hash a picture; `chrome` is its meter, if it was hashed otherwise before."""
    if isinstance(picture, ImageError):
        return _unhashed(name, hasher, picture)
    height, width = picture.pixels.shape[:2]
    algorithm = hasher.spec.algorithm
    if min(width, height) < hasher.min_side:
        names: tuple[str, ...] = UPRIGHT
        hashes, quality = HashBatch.from_bytes(hasher.spec, b""), None
        outcome = Outcome.TOO_SMALL
        reason = f"{width} x {height} pixels, {algorithm} needs {hasher.min_side} on each side"
    else:
        try:
            questions = plan.questions(hasher, picture.pixels, picture.reading)
        except MemoryError:
            short = ImageError(Outcome.REFUSED, "not enough memory to hash it")
            return _unhashed(name, hasher, short)
        names, hashes, quality = questions[:3]
        outcome, reason = judged(picture.pixels, quality, hasher, plan.min_quality)
    made = HashedImage(
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
    if not plan.chrome or outcome is not Outcome.HASHED:
        return made if chrome is None else replace(made, chrome=chrome)
    if plan.is_near is not None and len(names) <= FEW_HASHES and not plan.is_near(made):
        return made
    chrome = chrome or ChromeMeter(picture.pixels)
    chrome.views.update(questions.views)
    return replace(made, chrome=chrome)


def judged(
    pixels: NDArray[np.uint8], quality: int | None, hasher: Hasher, min_quality: int | None
) -> tuple[Outcome, str]:
    """Return whether a hash of `quality` means anything, and else why not.

    Pixels are looked at only where the quality was not measured.
    """
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
