"""Hashes that other tools make and hashmatch does not match, to recognise them by.

Each is a function of RGB pixels and of how many bits there are on a side of the hash, and returns
``side * side`` bits, the most significant first. None of them is an algorithm to make a list with:
a hash close to one of these is reported by name, and that no conversion makes it match.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Bits = NDArray[np.bool_]

OUR_SIDE = 8
"""Of the hashes of 64 bits that hashmatch makes itself."""
IMAGEHASH = {
    "phash": "phash",
    "dhash": "dhash",
    "dhash_vertical": "",
    "average_hash": "ahash",
    "whash": "whash",
    "phash_simple": "",
}
"""Functions of imagehash that take a size, and what they are called here at 8 x 8."""
DIGESTS = ("sha224", "sha384", "sha512", "sha3_256", "sha3_512", "blake2b", "blake2s")
SIZES = {
    144: "PhotoDNA is as long, and is not matched here",
}
"""Bytes of kinds of hash that cannot be made here."""


def digests(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the names of digests and what they are of the bytes of a file."""
    for name in DIGESTS:
        yield name, hashlib.new(name, data, usedforsecurity=False).digest()


def foreign_hashes(pixels: NDArray[np.uint8], side: int) -> Iterator[tuple[str, bytes]]:
    """Yield the names of hashes of `side` by `side` bits, and what they are of RGB pixels.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width, 3)
        Upright RGB, neither side shorter than `side`.
    side : int
        A multiple of 4.

    Examples
    --------
    >>> rows = np.arange(64, dtype=np.uint8)
    >>> pixels = np.repeat(np.bitwise_xor.outer(rows, rows)[..., None] * 4, 3, axis=2)
    >>> dict(foreign_hashes(pixels, 8))["blockhash 8"].hex()
    '0f0f0f0ff0f0f0f0'
    """
    makers: dict[str, Callable[[NDArray[np.uint8], int], Bits]] = {
        f"blockhash {side}": blockhash,
        "phash without its constant row and column": _phash_without_constant,
        "dhash of 9 x 9, rows" if side == OUR_SIDE else f"dhash {side}, rows": _dhash_rows,
        "dhash of 9 x 9, columns" if side == OUR_SIDE else f"dhash {side}, columns": _dhash_columns,
    }
    if any(length % side for length in pixels.shape[:2]):
        makers[f"blockhash {side} (quick)"] = blockhash_quick
    for name, make in makers.items():
        yield name, np.packbits(make(pixels, side)).tobytes()
    import imagehash

    image = Image.fromarray(pixels)
    for function, ours in IMAGEHASH.items():
        is_power = not side & (side - 1)  # imagehash takes no other size for whash
        if (side != OUR_SIDE or not ours) and (function != "whash" or is_power):
            bits = getattr(imagehash, function)(image, hash_size=side).hash
            yield f"imagehash {function}(hash_size={side})", np.packbits(bits).tobytes()


def blockhash(pixels: NDArray[np.uint8], side: int) -> Bits:
    """Return which of `side` x `side` blocks are lighter than the median of their quarter.

    Pixels that lie on an edge of blocks count for each by their part. Source: commonsmachinery's
    blockhash, and the paper that it cites, Yang, Gu and Niu, "Block Mean Value Based Image
    Perceptual Hashing", 2006.
    """
    height, width = pixels.shape[:2]
    return _lighter(_cover(height, side) @ _sums(pixels) @ _cover(width, side).T, height * width)


def blockhash_quick(pixels: NDArray[np.uint8], side: int) -> Bits:
    """Return the same of blocks of whole pixels, without what is left at the right and bottom."""
    tall, wide = pixels.shape[0] // side, pixels.shape[1] // side
    whole = _sums(pixels)[: tall * side, : wide * side]
    blocks = whole.reshape(side, tall, side, wide).sum(axis=(1, 3))
    return _lighter(blocks, whole.size)


def _sums(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = pixels.sum(axis=2, dtype=np.float64)
    return sums


def _cover(length: int, side: int) -> NDArray[np.float64]:
    """Return how much of each of `length` pixels each of `side` blocks covers."""
    edges = np.arange(side + 1) * (length / side)
    pixels = np.arange(length)
    begin = np.maximum(pixels, edges[:-1, None])
    covered: NDArray[np.float64] = np.maximum(np.minimum(pixels + 1, edges[1:, None]) - begin, 0)
    return covered


def _lighter(blocks: NDArray[np.float64], pixels: int) -> Bits:
    """Return blocks above the median of their quarter, and if that is light those that equal it."""
    quarters = blocks.reshape(4, -1)
    medians = np.median(quarters, axis=1, keepdims=True)
    half = pixels / blocks.size * 256 * 3 / 2
    is_equal = (np.abs(quarters - medians) < 1) & (medians > half)
    lighter: Bits = (quarters > medians) | is_equal
    return lighter


def _grey(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.float64]:
    image = Image.fromarray(pixels).convert("L").resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(image, np.float64)


def _phash_without_constant(pixels: NDArray[np.uint8], side: int) -> Bits:
    """Return a pHash of the coefficients from the second row and column on (phim, sharp-phash)."""
    count = 4 * side
    waves = np.cos(np.pi / (2 * count) * np.outer(np.arange(1, side + 1), 2 * np.arange(count) + 1))
    low = waves @ _grey(pixels, count, count) @ waves.T
    bits: Bits = low > np.median(low)
    return bits


def _dhash_rows(pixels: NDArray[np.uint8], side: int) -> Bits:
    """Return where a square of `side` + 1 pixels grows lighter to the right (PyPI's dhash)."""
    bits: Bits = np.diff(_grey(pixels, side + 1, side + 1), axis=1)[:side] > 0
    return bits


def _dhash_columns(pixels: NDArray[np.uint8], side: int) -> Bits:
    bits: Bits = np.diff(_grey(pixels, side + 1, side + 1), axis=0)[:, :side] > 0
    return bits
