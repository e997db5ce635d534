"""What is hashed and searched: drawn pictures and made-up lists, the same ones every time."""

from __future__ import annotations

import io
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PIL import Image

from hashmatch import HashBatch, HashList, HashSpec, hash_image
from hashmatch.testing import flipped, hash_list, picture, random_hashes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

PDQ = HashSpec("pdq", 256)
LIMIT = 31
"""Inclusive, in bits: what PDQ's authors recommend."""
SIZES = {"640": (640, 640), "12MP": (4000, 3000)}
"""Pictures to hash, width and height."""
QUERIES = 100
FOLDER_PICTURES = 100
FOLDER_DISTANCES = (0, 1, 5, 10, 15, 20, 25, 28, 30, 31, 32, 33)
"""How far from its list the first pictures of the folder are planted; the rest is in no list."""


@cache
def photo(size: str) -> NDArray[np.uint8]:
    """Return a drawn picture, with the noise that a photograph has, as (h, w, 3)."""
    pixels = picture(1, *SIZES[size])
    pixels.flags.writeable = False
    return pixels


@cache
def jpeg(seed: int, size: str = "640") -> bytes:
    """Return a drawn picture as a JPEG of quality 80."""
    buffer = io.BytesIO()
    Image.fromarray(picture(seed, *SIZES[size])).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def photograph() -> bytes:
    """Return scikit-learn's china.jpg, 640 x 427, as a JPEG of quality 80.

    What variants cost depends on what a picture shows: drawn ones seem to have borders.
    """
    package = find_spec("sklearn")
    assert package is not None
    assert package.submodule_search_locations is not None
    path = Path(package.submodule_search_locations[0]) / "datasets/images/china.jpg"
    buffer = io.BytesIO()
    Image.open(path).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def elsewhere(make: Callable[[], T]) -> T:
    """Return what `make` does, done in another process.

    Drawing frees large blocks, after which malloc treats all others differently; see README.md.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(make).result()


@dataclass(frozen=True, eq=False, slots=True)
class Planted:
    """A list, questions to it, and every true answer as (query, entry, distance)."""

    known: HashBatch
    queries: HashBatch
    hits: list[tuple[int, int, int]]


@cache
def planted(size: int) -> Planted:
    """Return `size` uniform hashes, and queries: one at each distance 0 to 33, the rest random.

    By chance, uniform 256-bit hashes are never within 31 bits: the planted ones are all the hits.
    """
    known = random_hashes(PDQ, size, seed=size)
    distances = range(LIMIT + 3)
    rows = [distance * size // len(distances) for distance in distances]
    near = [
        flipped(known[row : row + 1], d, seed=d) for d, row in zip(distances, rows, strict=True)
    ]
    rest = random_hashes(PDQ, QUERIES - len(near), seed=size + 1)
    hits = [(d, rows[d], d) for d in distances if d <= LIMIT]
    return Planted(known, HashBatch.concatenate([*near, rest]), hits)


def list_with(near: list[HashBatch], size: int) -> HashList:
    """Return a list of `size` uniform hashes whose first entries are `near`."""
    rest = random_hashes(PDQ, size - len(near), seed=size + 2)
    return hash_list(HashBatch.concatenate([*near, rest]))


def draw_folder(folder: Path) -> tuple[HashList, set[tuple[str, str]]]:
    """Draw JPEGs into `folder`; return a list of 10,000, and the (file, entry) that match."""
    near, pairs = [], set()
    for number in range(FOLDER_PICTURES):
        name = f"{number:03}.jpg"
        data = jpeg(1000 + number)
        (folder / name).write_bytes(data)
        if number < len(FOLDER_DISTANCES):
            distance = FOLDER_DISTANCES[number]
            near.append(flipped(hash_image(data).hashes, distance, seed=number))
            if distance <= LIMIT:
                pairs.add((name, f"made-up-{number}"))
    return list_with(near, 10_000), pairs
