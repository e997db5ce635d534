"""The oracle: what every fast path computes, written to be read. Imports nothing of ours.

Search is pure Python over integers. PDQ follows the paper and the C++ reference a value at a time,
with numpy only for the float32 arithmetic that its bits depend on.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def search(
    queries: Sequence[int], entries: Sequence[int], limit: int
) -> list[tuple[int, int, int]]:
    """Every (query row, entry row, distance) within `limit` bits, by query, then by entry."""
    return [
        (q, e, (query ^ entry).bit_count())
        for q, query in enumerate(queries)
        for e, entry in enumerate(entries)
        if (query ^ entry).bit_count() <= limit
    ]


def words(value: int, bits: int) -> list[int]:
    """The 64-bit words of a hash, most significant first, zeros after its last bit."""
    count = -(-bits // 64)
    value <<= 64 * count - bits
    return [value >> (64 * (count - 1 - i)) & (2**64 - 1) for i in range(count)]


def running_means(values: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    """The box filter of PDQ along the first axis, with one running sum as in the reference."""
    n = len(values)
    half = (window + 2) // 2
    total = np.zeros(values.shape[1:], np.float32)
    count, entering, leaving = 0, 0, 0
    out = []
    for _ in range(half - 1):  # before the first output
        total = total + values[entering]
        entering, count = entering + 1, count + 1
    for _ in range(window - half + 1):  # the window grows
        total = total + values[entering]
        entering, count = entering + 1, count + 1
        out.append(total / np.float32(count))
    for _ in range(n - window):  # it slides
        total = total + values[entering]
        total = total - values[leaving]
        entering, leaving = entering + 1, leaving + 1
        out.append(total / np.float32(count))
    for _ in range(half - 1):  # it shrinks
        total = total - values[leaving]
        leaving, count = leaving + 1, count - 1
        out.append(total / np.float32(count))
    return np.array(out, np.float32)


def pdq(pixels: NDArray[np.uint8]) -> tuple[str, int]:
    """The PDQ hash, in hexadecimal, and quality of RGB pixels (h, w, 3)."""
    height, width = pixels.shape[:2]
    if height < 5 or width < 5:
        return "0" * 64, 0
    red, green, blue = (pixels[..., channel].astype(np.float64) for channel in range(3))
    plane = (red * 0.299 + green * 0.587 + blue * 0.114).astype(np.float32)
    if (height, width) != (64, 64):
        for _ in range(2):
            plane = running_means(plane.T, (width + 127) // 128).T
            plane = running_means(plane, (height + 127) // 128)
        rows = [int((i + 0.5) * height / 64) for i in range(64)]
        columns = [int((j + 0.5) * width / 64) for j in range(64)]
        plane = plane[np.ix_(rows, columns)]

    steps = 0
    for difference in (plane[:-1] - plane[1:], plane[:, :-1] - plane[:, 1:]):
        cut = (difference * np.float32(100) / np.float32(255)).astype(np.int64)
        steps += int(np.abs(cut).sum())

    scale = float(np.float32(math.sqrt(2 / 64)))
    dct = [
        [np.float32(scale * math.cos(math.pi / 2 / 64 * (i + 1) * (2 * j + 1))) for j in range(64)]
        for i in range(16)
    ]
    half = np.zeros((16, 64), np.float32)
    for i in range(16):
        for k in range(64):  # k outside keeps each sum in the order of the reference
            half[i] = half[i] + dct[i][k] * plane[k]
    coefficients = np.zeros((16, 16), np.float32)
    for j in range(16):
        for k in range(64):
            coefficients[:, j] = coefficients[:, j] + half[:, k] * dct[j][k]

    flat = coefficients.ravel().tolist()
    median = sorted(flat)[127]
    bits = sum(1 << k for k, value in enumerate(flat) if value > median)
    return f"{bits:064x}", min(steps // 90, 100)
