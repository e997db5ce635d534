"""Arrays of pixels whose PDQ is compared: noise, blocks, and what rounds in step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def described(row: dict[str, Any]) -> NDArray[np.uint8]:
    """Return the array that a line of golden/pdq_arrays.json describes."""
    rng = np.random.default_rng(row["seed"])
    h, w, c = row["shape"]
    if row["kind"] == "uniform":
        array = rng.integers(0, 256, (h, w, c), dtype=np.uint8)
    elif row["kind"] == "low":
        array = rng.integers(120, 136, (h, w, c), dtype=np.uint8)
    elif row["kind"] == "blocks":
        coarse = rng.integers(0, 256, (-(-h // 16), -(-w // 16), c), dtype=np.uint8)
        array = coarse.repeat(16, axis=0).repeat(16, axis=1)[:h, :w]
    else:
        array = np.full((h, w, c), rng.integers(0, 256), dtype=np.uint8)
    return np.ascontiguousarray(np.broadcast_to(array, (h, w, 3)))


def random_arrays(count: int, largest: int, seed: int) -> list[NDArray[np.uint8]]:
    """Return noise, low contrast and blocks in random sizes, 5 x 5 and 64 x 64 among them."""
    rng = np.random.default_rng(seed)
    arrays = []
    for number in range(count):
        h, w = [(5, 5), (64, 64), *rng.integers(5, largest, (6, 2)).tolist()][number % 8]
        kind = ["uniform", "low", "blocks"][number % 3]
        arrays.append(described({"seed": seed + number, "kind": kind, "shape": (h, w, 3)}))
    return arrays


def structured_arrays(count: int, largest: int, seed: int) -> list[NDArray[np.uint8]]:
    """Return what rounds in step: stripes, checkers, rows all alike, ramps, two colours, strips.

    Sums of noise round this way and that; those of a pattern may drift, and meet ties.
    """
    rng = np.random.default_rng(seed)
    arrays = []
    for number in range(count):
        h, w = rng.integers(5, largest, 2).tolist()
        if number % 7 == 6:
            h, w = [(5, 9 * largest), (9 * largest, 6), (16, 129), (257, 32), (64, 64)][seed % 5]
        y, x = np.mgrid[:h, :w]
        period = int(rng.integers(2, 24))
        colours = rng.integers(0, 256, (period, 3), dtype=np.uint8)
        array = [
            colours[x % period],
            colours[(y // period) % period],
            colours[(x // period + y // period) % 2],
            rng.integers(0, 256, (1, w, 3), dtype=np.uint8).repeat(h, axis=0),
            ((x * int(rng.integers(1, 9)) + y) % 256)[..., None] * np.ones(3, np.int64),
            colours[rng.integers(0, 2, (h, w))],
            np.where((y < h // 2)[..., None], colours[x % period], colours[y % period]),
        ][number % 7]
        arrays.append(np.ascontiguousarray(array, np.uint8))
    return arrays
