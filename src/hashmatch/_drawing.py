"""Pictures and hashes drawn for the demo, the warm-up and tests: benign, and the same each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch.errors import UsageError
from hashmatch.records.entries import Entry
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch, HashSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


def picture(seed: int, width: int = 480, height: int = 320) -> NDArray[np.uint8]:
    """Return a drawn landscape, shape (height, width, 3): hills under a sky, another each seed.

    Examples
    --------
    >>> picture(1).shape
    (320, 480, 3)
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    sky, glow = rng.uniform(60, 255, (2, 3))
    image = sky + (glow - sky) * y[..., None]
    sun_x, sun_y, size = rng.uniform((0.1, 0.1, 0.04), (0.9, 0.4, 0.12))
    image[(x - sun_x) ** 2 + ((y - sun_y) * height / width) ** 2 < size**2] = (255, 240, 200)
    for layer in range(5):
        ridge = np.full(width, 0.35 + 0.13 * layer)
        for wave in range(1, 7):
            turns, shift = rng.uniform(0.5, 2.5) * wave, rng.uniform(0, 2 * np.pi)
            ridge += rng.uniform(0.02, 0.09) / wave * np.sin(2 * np.pi * turns * x[0] + shift)
        image[y > ridge] = rng.uniform(20, 230, 3)
    noisy: NDArray[np.float64] = image + rng.normal(0, 6, image.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def random_hashes(spec: HashSpec, count: int, seed: int) -> HashBatch:
    """Return `count` made-up hashes.

    Examples
    --------
    >>> random_hashes(HashSpec("sha1", 160), 3, seed=1).words.shape
    (3, 3)
    """
    rng = np.random.default_rng(seed)
    return HashBatch.from_bytes(spec, rng.bytes(count * spec.bits // 8))


def flipped(batch: HashBatch, distance: int, seed: int) -> HashBatch:
    """Return `batch` with exactly `distance` bits of each hash turned over.

    Examples
    --------
    >>> spec = HashSpec("phash", 64)
    >>> near = flipped(HashBatch.from_hex(spec, ["00" * 8]), 5, seed=0)
    >>> int(near.to_hex()[0], 16).bit_count()
    5
    """
    if not 0 <= distance <= batch.spec.bits:
        raise UsageError(f"cannot flip {distance} bits: a {batch.spec} hash has fewer. Give fewer")
    rng = np.random.default_rng(seed)
    lines = []
    for text in batch.to_hex():
        bits = rng.choice(batch.spec.bits, distance, replace=False)
        mask = sum(1 << int(bit) for bit in bits)
        lines.append(f"{int(text, 16) ^ mask:0{batch.spec.bits // 4}x}")
    return HashBatch.from_hex(batch.spec, lines)


def hash_list(batch: HashBatch, name: str = "made-up", version: str = "1") -> HashList:
    """Return a list of `batch` whose entries are called ``made-up-0``, ``made-up-1`` ...

    Examples
    --------
    >>> hash_list(random_hashes(HashSpec("pdq", 256), 2, seed=1)).entries[1].external_id
    'made-up-1'
    """
    entries = tuple(Entry(f"{name}-{row}") for row in range(len(batch)))
    return HashList(name, version, batch.spec, batch, entries)
