"""The other questions to ask about one picture: orientations, trims, frames it was cut from.

A list's hashes are never changed; a variant is one more hash of the query, and may only add
matches. What each level adds was chosen by what it finds on photographs, and by that it brings no
match between different ones: see ``benchmarks/bench_recall.py``.
"""

from __future__ import annotations

import itertools
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch.decode.readings import NAMES as READINGS
from hashmatch.hashing.avatars import avatar
from hashmatch.hashing.borders import FLAT, Cut, cuts
from hashmatch.hashing.frames import (
    SMOOTH,
    SOFT,
    TURNED,
    every_frame,
    guesses,
    in_all_orientations,
    small_crops,
)
from hashmatch.hashing.overlays import overlays
from hashmatch.hashing.views import parts
from hashmatch.interfaces import (
    Framing,
    Hasher,
    OrientedHasher,
    has_parts,
    is_covered,
    is_enlarging,
    is_framed,
    is_invertible,
    is_oriented,
    is_round,
)
from hashmatch.records.enums import LEVELS, Level, Orientation, check_level
from hashmatch.records.hashes import HashBatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

LARGE = 1000
"""Pixels of the shorter side from which a picture is not asked for enlarged.

A copy of 1,080 pixels of 20 large photographs was at most 8 bits from its original as it is; one of
512 was at most 26, one of 256 46.
"""


class Questions(NamedTuple):
    """What to look up for one picture.

    ``hashes`` are of one spec, ``names`` say what each is, the first being ``"upright"``, and
    ``quality`` is that of the upright hash, 0 to 100, or None where none is measured. ``views`` has
    what is cut off the picture at each side, by what begins the names of such questions.
    """

    names: tuple[str, ...]
    hashes: HashBatch
    quality: int | None
    views: Mapping[str, Cut] = MappingProxyType({})


def ask(
    hasher: Hasher, pixels: NDArray[np.uint8], level: Level, *, min_quality: int | None = None
) -> Questions:
    """Return the questions of one level about a picture.

    Parameters
    ----------
    hasher : Hasher
        A hasher of bytes has but one question.
    pixels : ndarray of uint8, shape (height, width, 3)
        Upright RGB, contiguous.
    level : {"none", "orientations", "standard", "thorough"}
        ``none``: the picture as it is. ``orientations``: also turned and mirrored, eight in all.
        ``standard``: also without its borders, as its negative, low-passed, and, for an
        `EnlargingHasher` and a picture whose shorter side is below `LARGE`, as a large original has
        it. ``thorough``: also without captions; for a `FramedHasher`, in the frames from which it
        may have been cropped or turned, and without what covers a part of it; for a `RoundHasher`,
        with what may have been around a round avatar; for a `CoveredHasher`, without what is seen
        to lie over it; for a `PartsHasher`, of parts that may be
        pictures of their own.
    min_quality : int, optional
        What is left without a border is not asked for below it; by default the hasher's own.

    Returns
    -------
    Questions
        How many depends on the level, and on the borders that the picture seems to have.

    Raises
    ------
    UsageError
        If there is no such level.

    Notes
    -----
    Names are stable: an `Orientation`; ``smooth``; ``enlarged``; ``inverted``; ``trim``,
    ``caption_below`` and the like; ``pad:``, ``turn:``, ``from:`` and ``hide:`` with the frame or
    the disc, see `hashmatch.hashing.frames`; ``round`` with the number of the guess; ``overlay_1``
    and the like. ``from:`` and ``overlay_1`` also with the number of a less likely guess. A slash
    joins what was done first to what was done then: ``trim/rotate_90``, ``rotate_90/flipped``,
    ``trim/whole``, ``trim/enlarged/rotate_90``, ``turn:2/flip_left_right``, ``round/1``;
    parts that may be pictures of their own are ``half_left``, ``quarter_top_right`` and the like,
    and ``box_1``, ``cell_1``, ``screen_1``, ``screen_1_box_1`` and ``slant_1`` with their numbers,
    and ``middle:3:2`` and ``screen_1_shape_1:3:2`` with a shape, see `hashmatch.hashing.views`.

    Hashers of 64 bits have no frames, and trims in one orientation: `thorough` adds captions to
    them, no more. Two unrelated hashes are within 8 bits of each other with a chance of 2.8e-10;
    hundreds of questions to ten million entries would bring a false match for every picture or two.

    Examples
    --------
    >>> from hashmatch.hashers.pdq import Pdq
    >>> from hashmatch.testing import picture
    >>> ask(Pdq(), picture(1), "orientations").names[:3]
    ('upright', 'rotate_90', 'rotate_180')
    """
    check_level(level)
    if level == "none" or hasher.reads == "bytes":
        hashes, quality = hasher.hash(pixels)
        return Questions((Orientation.UPRIGHT,), hashes, quality)
    hashes, quality = oriented(hasher, pixels)
    names, batches = list(ORIENTED), [hashes]
    floor = hasher.min_quality if min_quality is None else min_quality
    views: dict[str, Cut] = {}
    known = hashes, quality
    for added, batch in _more(hasher, pixels, LEVELS.index(level), known, floor, views):
        names += added
        batches.append(batch)
    return Questions(tuple(names), HashBatch.concatenate(batches), quality, views)


ORIENTED = tuple(str(orientation) for orientation in Orientation)


def level_of(name: str) -> Level:
    """Return the first level that asks the question called `name`; see `ask`.

    Parameters
    ----------
    name : str
        Also of another reading of the file, or of a question about one.

    Examples
    --------
    >>> [level_of(name) for name in ("upright", "rotate_90", "trim/enlarged", "turn:2")]
    ['none', 'orientations', 'standard', 'thorough']
    """
    first, *rest = name.split("/")
    if first in READINGS:
        of_it = level_of("/".join(rest)) if rest else "standard"
        return of_it if of_it == "thorough" else "standard"
    if first in ORIENTED:
        return "none" if name == Orientation.UPRIGHT else "orientations"
    is_framed_too = any(part == "whole" or part.startswith("pad:") for part in rest)
    begins = first in {"smooth", "enlarged", "inverted"} or first.startswith("trim")
    return "standard" if begins and not is_framed_too else "thorough"


def oriented(hasher: Hasher, pixels: NDArray[np.uint8]) -> tuple[HashBatch, int | None]:
    """Return the hashes of `pixels` in the order of `Orientation`, and the upright one's quality.

    Parameters
    ----------
    hasher : Hasher
        One of pixels. If it is no `OrientedHasher`, it hashes the turned pixels.
    pixels : ndarray of uint8, shape (height, width, 3)
        Upright RGB, contiguous.
    """
    if is_oriented(hasher):
        return hasher.hash_orientations(pixels)
    across = pixels.swapaxes(0, 1)
    turned = [np.rot90(pixels, turns) for turns in range(4)]
    turned += [pixels[::-1], pixels[:, ::-1], across, across[::-1, ::-1]]
    hashed = [hasher.hash(np.ascontiguousarray(array)) for array in turned]
    return HashBatch.concatenate([hashes for hashes, _ in hashed]), hashed[0][1]


def _flipped(
    hasher: OrientedHasher, pixels: NDArray[np.uint8]
) -> Iterator[tuple[list[str], HashBatch]]:
    """Yield the orientations once more, all but two from pixels that were flipped first.

    A hasher samples a picture at places, such as the pixel right of the middle of each cell, that
    lie elsewhere in a mirrored one. Only transposing leaves them where they are.
    """
    mirrored = pixels.take(np.arange(pixels.shape[1])[::-1], axis=1)  # [:, ::-1] copies slowly
    flips = {
        (Orientation.FLIP_LEFT_RIGHT, Orientation.ROTATE_90): mirrored,
        (Orientation.FLIP_TOP_BOTTOM, Orientation.ROTATE_270): pixels[::-1],
        (Orientation.ROTATE_180, Orientation.TRANSVERSE): mirrored[::-1],
    }
    transposed = list(Orientation).index(Orientation.TRANSPOSE)
    for names, flipped in flips.items():
        hashes, _ = hasher.hash_orientations(np.ascontiguousarray(flipped))
        both = [hashes[:1], hashes[transposed : transposed + 1]]
        yield [f"{name}/flipped" for name in names], HashBatch.concatenate(both)


def _more(
    hasher: Hasher,
    pixels: NDArray[np.uint8],
    level: int,
    oriented: tuple[HashBatch, int | None],
    floor: int,
    views: dict[str, Cut],
) -> Iterator[tuple[list[str], HashBatch]]:
    """Yield the names and hashes of what is asked beyond the orientations, which are known.

    The views of the picture that it finds are added to `views`.
    """
    standard, thorough = level >= LEVELS.index("standard"), level >= LEVELS.index("thorough")
    known, quality = oriented
    if is_framed(hasher):
        ratio = pixels.shape[1] / pixels.shape[0]
        frames = every_frame(ratio, quality) if thorough else SMOOTH
        hashes = hasher.hash_framings(pixels, *frames[1:])
        astray = int(np.bitwise_count(hashes.words[0] ^ known.words[0]).sum())
        if astray > hasher.max_distance // 2:
            # Texture finer than the hasher's samples, which then depend on where they are taken.
            yield from _flipped(hasher, pixels)
        if standard:
            yield list(frames.names), hashes
    if standard:
        yield from _inverted(hasher, known, "")
        yield from _enlarged(hasher, pixels, "")
        views |= cuts(pixels, captioned=thorough)
        for name, cut in views.items():
            yield from _view(hasher, pixels, name, cut, floor, thorough)
        if thorough:
            yield from _round(hasher, pixels, views)
            if quality is None or quality >= SOFT:
                yield from _covered(hasher, pixels)
        if thorough and has_parts(hasher):
            found, hashes = parts(hasher, pixels, floor)
            views |= found
            yield [f"{name}{turn}" for name in found for turn in TURNED], hashes


def _inverted(
    hasher: Hasher, hashes: HashBatch, before: str
) -> Iterator[tuple[list[str], HashBatch]]:
    """Yield the question for the negative of a picture that has `hashes`, as `_enlarged` does."""
    if is_invertible(hasher):
        yield in_all_orientations(f"{before}inverted"), hasher.inverted(hashes)


def _enlarged(
    hasher: Hasher, pixels: NDArray[np.uint8], before: str
) -> Iterator[tuple[list[str], HashBatch]]:
    """Yield the question for a large original of small `pixels`; `before` begins its names."""
    if is_enlarging(hasher) and min(pixels.shape[:2]) < LARGE:
        yield in_all_orientations(f"{before}enlarged"), hasher.hash_enlarged(pixels)


def _view(
    hasher: Hasher, pixels: NDArray[np.uint8], name: str, cut: Cut, floor: int, thorough: bool
) -> Iterator[tuple[list[str], HashBatch]]:
    """Yield the questions about what is left of `pixels` without a border."""
    height, width = pixels.shape[:2]
    top, bottom, left, right = cut
    view = np.ascontiguousarray(pixels[top : height - bottom, left : width - right])
    if min(view.shape[:2]) < hasher.min_side:
        return
    if is_oriented(hasher):  # others would pay eight times, and for little
        hashes, quality = hasher.hash_orientations(view)
    else:
        hashes, quality = hasher.hash(view)
    if _flat(view) if quality is None else quality < floor:
        return  # without its border there is too little to it
    yield in_all_orientations(name)[: len(hashes)], hashes
    yield from _inverted(hasher, hashes, f"{name}/")
    yield from _enlarged(hasher, view, f"{name}/")
    if thorough and is_framed(hasher):
        # The bar may have been laid over the picture, not beside it; or beside a part of it.
        names, framings = (
            ["whole"],
            [Framing(left / width, top / height, right / width, bottom / height)],
        )
        if quality is None or quality >= SOFT:
            names += small_crops().names
            framings += small_crops().framings
        yield [f"{name}/{each}" for each in names], hasher.hash_framings(view, tuple(framings))


def _round(
    hasher: Hasher, pixels: NDArray[np.uint8], views: dict[str, Cut]
) -> Iterator[tuple[list[str], HashBatch]]:
    """Yield the questions about the square around a round avatar, which is added to `views`."""
    if not is_round(hasher) or (cut := avatar(pixels)) is None:
        return
    top, bottom, left, right = cut
    square = pixels[top : pixels.shape[0] - bottom, left : pixels.shape[1] - right]
    if min(square.shape[:2]) < hasher.min_side:
        return
    views["round"] = cut
    hashes = hasher.hash_round(np.ascontiguousarray(square))
    names = [in_all_orientations(f"round/{guess + 1}") for guess in range(len(hashes) // 8)]
    yield list(itertools.chain.from_iterable(names)), hashes


def _covered(hasher: Hasher, pixels: NDArray[np.uint8]) -> Iterator[tuple[list[str], HashBatch]]:
    """Yield the questions about a picture without each thing that may lie over it."""
    if is_covered(hasher) and len(covered := overlays(pixels)):
        names = [guesses(f"overlay_{number}") for number in range(1, len(covered) + 1)]
        hashes = hasher.hash_covered(pixels, covered)
        yield list(itertools.chain.from_iterable(names)), hashes


def _flat(pixels: NDArray[np.uint8]) -> bool:
    """Return whether all pixels are about alike, as what is left of a border in a border is."""
    return int(np.ptp(pixels, axis=(0, 1)).max()) <= 2 * FLAT
