"""Which hashes of a list are degenerate: they would match pictures that have nothing in common.

One all-zero pHash in a list matches every flat picture of a platform, and one default avatar every
account that never set a photo. Such entries are kept out of a list, with their reason.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashmatch import registry
from hashmatch.decode.inputs import describe
from hashmatch.errors import SpecMismatch, UsageError
from hashmatch.hashing.hash_image import hash_image
from hashmatch.records.hashes import HashBatch, HashSpec
from hashmatch.records.video_columns import VIDEO_SPEC

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from hashmatch.decode.inputs import ImageInput
    from hashmatch.hashing.hash_image import Decode
    from hashmatch.records.entries import Entries
    from hashmatch.records.video_columns import Videos
    from hashmatch.sandbox.pool import DecodePool

REASONS = (
    "", "all zero", "all one", "low entropy", "a solid colour", "a default picture",
    "detail along one direction", "no frame to go by", "a quality that is too low",
)  # fmt: skip
"""What the codes of `degenerate` mean; 0 is an ordinary hash. The last but one is of videos alone,
the last of what a list says of its entries."""
_ZERO, _ONE, _LOW, _SOLID, _DEFAULT, _ONE_WAY, _NO_FRAME, _LOW_QUALITY = range(1, len(REASONS))

SEPARATING = frozenset({"pdq", "pdq-nearest512", "pdq-thumb512", "phash"})
"""Algorithms that never had two different photographs within their distance.

Our own measurement, `benchmarks/record`: none in 1.08 million pairs for PDQ, 680,000 for pHash.
"""
BOTH_WAYS, EIGHT_ROWS = np.uint64(0x007F7F7F7F7F7F7F), np.uint64(0x0101010101010101)
"""Bits outside the first row and column of eight; what a row is multiplied by to be all eight."""
SHORTEST = 256
"""Bits of a hash whose pieces can be counted: of 64 bits, ordinary skies repeat too much."""
PIECE = 16
"""Bits; one line of PDQ's 16 x 16."""
DIGITS = 16
"""Of hexadecimal."""


def reach(algorithm: str) -> int:
    """Return how near to a degenerate hash an entry is degenerate as well, inclusive, in bits.

    A flat picture, or a default avatar, matches whatever lies within the algorithm's distance of
    its hash: an entry there brings all of them. That distance is the reach of algorithms that tell
    photographs apart by it (`SEPARATING`). The others have ordinary photographs there, a bright sky
    over a dark shore within 6 bits of dhash's zero, so that a victim's picture would be kept out of
    the list. Their reach is `re_encoded`; what it leaves is the breaker's:
    `hashmatch.matching.breaker`.

    Examples
    --------
    >>> reach("pdq"), reach("phash"), reach("dhash"), reach("md5")
    (31, 8, 1, 0)
    """
    if algorithm in SEPARATING:
        return registry.hasher(algorithm).max_distance
    return re_encoded(algorithm)


def re_encoded(algorithm: str) -> int:
    """Return how far a picture is from itself, saved again: a quarter of the distance, in bits.

    Our own measurement on 133 pictures of quality 50 and more, saved as JPEG of quality 60 to 95 or
    WebP of 80: 98 % stayed within 7 bits of PDQ, 97 % within 2 of pHash, 90 % within 1 of dHash,
    94 % within 1 of wHash and 88 % within 0 of aHash. Resizing to half moves PDQ farther: 8 bits in
    the median.

    Examples
    --------
    >>> [re_encoded(name) for name in ("pdq", "phash", "dhash", "whash", "ahash", "md5")]
    [7, 2, 1, 1, 0, 0]
    """
    return registry.hasher(algorithm).max_distance // 4


def degenerate(hashes: HashBatch, pictures: HashBatch | None = None) -> NDArray[np.uint8]:
    """Return which of `hashes` are degenerate, and why.

    - *All zero*, *all one*: no picture, or every flat one. A hash within `reach` of it counts too.
      PDQ, pHash and wHash set half of their bits by construction, so that no picture with anything
      in it comes near; dHash's zero is every picture that never brightens to the right.
    - *Low entropy*: at most half of the 16-bit pieces of a hash of 256 bits and more are different;
      or three quarters, if not about half of its bits are set. A piece of PDQ is one line of
      frequencies: chessboards and solid colours repeat few of them, by chance a hash does so once
      in 2^90; and PDQ sets the half of its bits that is above the median, unless there is nothing
      to tell them apart by. Also a hash, of any length, whose hexadecimal digits are all the same,
      or count up or down: somebody's placeholder.
    - *A solid colour*: within `reach` of the hash of one, see `solid_colours`.
    - *A default picture*: within `reach` of one of `pictures`.
    - *Detail along one direction*: flags and bars in pHash and dHash, see `one_way`.

    Some gradients are none of these: their hashes are those of any sky over a shore. Of
    digests (md5, sha1, sha256) all zero and all one are degenerate and what equals a default
    picture; no other value matches more than one file.

    Parameters
    ----------
    hashes : HashBatch
        Of a list, n of them.
    pictures : HashBatch, optional
        Hashes of default avatars and the like, as `degenerate_pictures` makes them.

    Returns
    -------
    ndarray of uint8, shape (n,)
        Indices into `REASONS`; 0 if there is nothing against the hash.

    Raises
    ------
    SpecMismatch
        If `pictures` are of another kind than `hashes`.

    Examples
    --------
    >>> spec = HashSpec("phash", 64)
    >>> batch = HashBatch.from_hex(spec, ["0" * 16, "8" + "0" * 15, "9d4ea1b3528cf067"])
    >>> [REASONS[code] for code in degenerate(batch)]
    ['all zero', 'all zero', '']
    """
    spec = hashes.spec
    within = reach(spec.algorithm)
    known = _flat(spec)
    if pictures is not None:
        if pictures.spec != spec:
            raise SpecMismatch(
                f"cannot compare the pictures with the list: they are hashed as {pictures.spec}, "
                f"and it is {spec}"
            )
        known = [*known, (_DEFAULT, within, pictures)]
    codes = _reasons(hashes, known)
    codes[one_way(hashes) & (codes == 0)] = _ONE_WAY
    return codes


def low_quality(codes: NDArray[np.uint8], entries: Entries, algorithm: str) -> NDArray[np.uint8]:
    """Return `codes` with entries whose list states a quality that is too low for a match.

    PDQ's authors mean both sides by their least quality of 50: entries below it match some ninety
    times as many pictures that have nothing in common with them, 3 in 100,000 of good quality.

    Parameters
    ----------
    codes : ndarray of uint8, shape (n,)
        From `degenerate`; what is degenerate for another reason stays so.
    entries : Entries
        Of the same hashes. Those that state no quality are left alone.
    algorithm : str
        Of the hashes; of others than PDQ and its profiles, lists state no quality that we know.

    Examples
    --------
    >>> from hashmatch.records.entries import Entries, Entry
    >>> entries = Entries.of([Entry("a", quality=49), Entry("b", quality=50), Entry("c")])
    >>> low_quality(np.zeros(3, np.uint8), entries, "pdq").tolist()
    [8, 0, 0]
    """
    if not registry.spec(algorithm).is_pdq:
        return codes
    least = registry.hasher(algorithm).min_quality
    is_low = np.array(
        [kind.quality is not None and kind.quality < least for kind in entries.kinds], np.bool_
    )
    if not is_low.any():
        return codes
    found = codes.copy()
    found[entries.of_kinds(is_low) & (codes == 0)] = _LOW_QUALITY
    return found


def set_aside(videos: Videos, pictures: HashBatch | None = None) -> Videos:
    """Return videos with their degenerate frames set aside: black or white ones, title cards.

    Those are not matched, and the others of a video are. `pictures`, PDQ hashes, are frames that a
    platform wants set aside too: those of credits, or of a logo that many of its videos show.
    """
    return videos.setting_aside(degenerate(videos.hashes, pictures))


def degenerate_videos(keys: HashBatch, videos: Videos) -> NDArray[np.uint8]:
    """Return which videos have no frame to go by, and why, as `degenerate` does.

    No frame of them is good enough for its hash to mean anything and not `set_aside`.

    Parameters
    ----------
    keys : HashBatch
        Of a list, n of them; see `hashmatch.records.video_columns.video_key`.
    videos : Videos
        These and perhaps others.

    Returns
    -------
    ndarray of uint8, shape (n,)
        Indices into `REASONS`.
    """
    usable = videos.usable(registry.hasher(VIDEO_SPEC.algorithm).min_quality)
    counts = np.diff(np.concatenate([[0], np.cumsum(usable)])[videos.ends])
    codes = np.where(counts > 0, 0, _NO_FRAME).astype(np.uint8)
    found: NDArray[np.uint8] = codes[videos.rows(keys.words)]
    return found


def one_way(hashes: HashBatch) -> NDArray[np.bool_]:
    """Return which of `hashes` are of flags, stripes or bars, whose detail runs one way alone.

    Of pHash at most two bits are set outside its first row and column, as of none of 1,182 squares
    cut from photographs; the rows of dHash are all the same, as of one of them. Those of aHash and
    wHash are left alone: a bright sky over a dark shore has the hash of a flag of two bands, and
    seven and sixteen of the squares have.

    Examples
    --------
    >>> one_way(HashBatch.from_hex(HashSpec("dhash", 64), ["81" * 8, "81" * 7 + "80"])).tolist()
    [True, False]
    """
    words = hashes.words[:, 0]
    found: NDArray[np.bool_] = np.zeros(len(words), np.bool_)
    if hashes.spec.algorithm == "phash":
        found = np.bitwise_count(words & BOTH_WAYS) <= re_encoded("phash")
    elif hashes.spec.algorithm == "dhash":
        found = words == (words & np.uint64(0xFF)) * EIGHT_ROWS
    return found


def by_reason(codes: NDArray[np.uint8]) -> dict[str, int]:
    """Return how many hashes are degenerate for each reason, of the codes from `degenerate`.

    Reasons for which there are none are left out.

    Examples
    --------
    >>> by_reason(np.array([0, 1, 1, 4], np.uint8))
    {'all zero': 2, 'a solid colour': 1}
    """
    numbers = np.bincount(codes, minlength=len(REASONS)).tolist()
    return {name: n for name, n in zip(REASONS, numbers, strict=True) if name and n}


def _reasons(hashes: HashBatch, known: list[tuple[int, int, HashBatch]]) -> NDArray[np.uint8]:
    """Return the code of each hash; `known` is codes, distances, and the hashes that have them."""
    from hashmatch._kernels.degenerate import mark_degenerate

    spec = hashes.spec
    sizes = [len(batch) for _, _, batch in known]
    pieces = spec.bits // PIECE
    counted = spec.bits >= SHORTEST and registry.hasher(spec.algorithm).reads == "pixels"
    out = np.empty(len(hashes), np.uint8)
    mark_degenerate(
        hashes.words,
        HashBatch.concatenate([batch for _, _, batch in known]).words,
        np.repeat(np.array([within for _, within, _ in known], np.int64), sizes),
        np.repeat(np.array([code for code, _, _ in known], np.uint8), sizes),
        pieces,
        pieces // 2 if counted else 0,
        pieces * 3 // 4 if counted else 0,
        _LOW,
        out,
    )
    return out


@cache
def _flat(spec: HashSpec) -> list[tuple[int, int, HashBatch]]:
    """Return what is degenerate in every list, as few hashes as will do."""
    within = reach(spec.algorithm)
    size = spec.bits // 8
    known = [
        (_ZERO, within, HashBatch.from_bytes(spec, bytes(size))),
        (_ONE, within, HashBatch.from_bytes(spec, b"\xff" * size)),
    ]
    if registry.hasher(spec.algorithm).reads == "bytes":
        return known
    if spec.bits < SHORTEST:  # longer ones are of low entropy already
        known.append((_LOW, 0, _placeholders(spec)))
    from hashmatch._kernels import degenerate as _needed  # noqa: F401

    # With numba there, hundreds of small pictures are hashed by compiled code.
    solid = solid_colours(spec.algorithm)
    others = HashBatch(spec, solid.words[_reasons(solid, known) == 0], owned=True)
    return [*known, (_SOLID, within, others)]


@cache
def solid_colours(algorithm: str) -> HashBatch:
    """Return the different hashes of solid colours: 256 greys, of 64, 128 and 160 x 96 pixels.

    A hash sees a colour's grey only. 64 bits of it are all zero, or in pHash the first is one; PDQ
    of it is the last digits of its sums, which differ by grey and size.

    Examples
    --------
    >>> solid_colours("phash").to_hex()
    ['0000000000000000', '8000000000000000']
    """
    hasher = registry.hasher(algorithm)
    values = {
        hasher.hash(np.full((height, width, 3), grey, np.uint8))[0].to_hex()[0]
        for height, width in ((64, 64), (128, 128), (96, 160))
        for grey in range(256)
        if min(height, width) >= hasher.min_side
    }
    return HashBatch.from_hex(hasher.spec, sorted(values))


def degenerate_pictures(
    pictures: str | os.PathLike[str] | Iterable[ImageInput],
    algorithm: str,
    *,
    decode: DecodePool | Decode | None = None,
) -> HashBatch:
    """Return the hashes of a platform's default pictures, each in all eight orientations.

    Flat ones are welcome: a hash of a low quality is what a list may hold of them.

    Parameters
    ----------
    pictures : path, or iterable of images
        The folder that holds them, with its subfolders, or the pictures.
    algorithm : str
        A hasher's name.
    decode : DecodePool or callable, optional
        As for `hashmatch.hash_all`; by default they are decoded in this process.

    Raises
    ------
    UsageError
        If there are none, or one cannot be hashed: its name and why.

    Examples
    --------
    >>> degenerate_pictures("fixtures/images/flat", "pdq").spec.algorithm
    'pdq'
    """
    if isinstance(pictures, str | os.PathLike):
        folder = Path(pictures)
        if not folder.is_dir():
            raise UsageError(
                f"cannot read default pictures from {folder}: it is no folder. Give the path of one"
            )
        found = sorted(p for p in folder.rglob("[!.]*") if p.is_file())
        if not found:
            raise UsageError(
                f"cannot read default pictures from {folder}: there is no picture in it"
            )
        pictures = found
    batches = []
    for picture in pictures:
        hashed = hash_image(picture, algorithm, orientations=True, decode=decode)
        if not len(hashed.hashes):
            name = describe(picture)
            raise UsageError(
                f"cannot use the default picture {name}: it has no {algorithm} hash: "
                f"{hashed.reason}"
            )
        batches.append(hashed.hashes)
    if not batches:
        raise UsageError("cannot go without a default picture. Give one at least")
    return HashBatch.concatenate(batches)


def _placeholders(spec: HashSpec) -> HashBatch:
    """Return what people write where a hash should be: one digit, or digits that count."""
    digits = np.arange(spec.bits // 4)
    return HashBatch.from_hex(
        spec,
        (
            "".join(f"{digit:x}" for digit in (first + step * digits) % DIGITS)
            for step in (0, 1, -1)
            for first in range(DIGITS)
        ),
    )
