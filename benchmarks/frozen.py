"""PDQ and the linear search as they were, for the speed gate to compare with.

These kernels are frozen on purpose: they are a copy, import nothing of ours, and stay as they are
whatever becomes of the library's. Timed in turns with the library's own they make a ratio that
does not depend on the machine, as a number of milliseconds would.

They may be renewed, by copying the library's kernels once more, only in a change that makes those
faster, so that from then on the gate guards the gain. Never to let a slower kernel pass.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from numpy.typing import NDArray

frozen = njit(nogil=True, cache=True, error_model="numpy")

SCALE = float(np.float32(math.sqrt(2.0 / 64)))
DCT = np.array(
    [
        [SCALE * math.cos(math.pi / 2.0 / 64 * (i + 1) * (2 * j + 1)) for j in range(64)]
        for i in range(16)
    ],
    np.float32,
)


@intrinsic
def ctpop(typing_context: Any, word: types.Type) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), generate


@frozen
def within(
    queries: NDArray[np.uint64], entries: NDArray[np.uint64], limit: int, out: NDArray[np.int64]
) -> int:
    """Write (query, entry, distance) rows, (capacity, 3); return how many there are."""
    found = 0
    for q in range(queries.shape[0]):
        for e in range(entries.shape[0]):
            distance = 0
            for word in range(queries.shape[1]):
                distance += types.int64(ctpop(queries[q, word] ^ entries[e, word]))
            if distance <= limit:
                if found < out.shape[0]:
                    out[found, 0] = q
                    out[found, 1] = e
                    out[found, 2] = distance
                found += 1
    return found


@frozen
def luma(pixels: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            red_green = np.float64(pixels[y, x, 0]) * 0.299 + np.float64(pixels[y, x, 1]) * 0.587
            out[y, x] = np.float32(red_green + np.float64(pixels[y, x, 2]) * 0.114)


@frozen
def box_along_rows(source: NDArray[np.float32], out: NDArray[np.float32], window: int) -> None:
    height, width = source.shape
    ahead = (window + 2) // 2 - 1
    for y in range(height):
        total = np.float32(0.0)
        count = 0
        for x in range(ahead):
            total += source[y, x]
            count += 1
        for x in range(width):
            if x + ahead < width:
                total += source[y, x + ahead]
                count += 1
            if x + ahead >= window:
                total -= source[y, x + ahead - window]
                count -= 1
            out[y, x] = total / np.float32(count)


@frozen
def box_along_columns(source: NDArray[np.float32], out: NDArray[np.float32], window: int) -> None:
    height, width = source.shape
    ahead = (window + 2) // 2 - 1
    total = np.zeros(width, np.float32)
    count = 0
    for y in range(ahead):
        for x in range(width):
            total[x] += source[y, x]
        count += 1
    for y in range(height):
        if y + ahead < height:
            for x in range(width):
                total[x] += source[y + ahead, x]
            count += 1
        if y + ahead >= window:
            for x in range(width):
                total[x] -= source[y + ahead - window, x]
            count -= 1
        for x in range(width):
            out[y, x] = total[x] / np.float32(count)


@frozen
def quality_of(samples: NDArray[np.float32]) -> int:
    total = 0
    for i in range(64):
        for j in range(64):
            if i + 1 < 64:
                step = (samples[i, j] - samples[i + 1, j]) * np.float32(100.0) / np.float32(255.0)
                total += abs(int(step))
            if j + 1 < 64:
                step = (samples[i, j] - samples[i, j + 1]) * np.float32(100.0) / np.float32(255.0)
                total += abs(int(step))
    return min(total // 90, 100)


@frozen
def hash_of(
    samples: NDArray[np.float32], dct: NDArray[np.float32], out: NDArray[np.uint64]
) -> None:
    half = np.empty((16, 64), np.float32)
    for i in range(16):
        for j in range(64):
            total = np.float32(0.0)
            for k in range(64):
                total += dct[i, k] * samples[k, j]
            half[i, j] = total
    flat = np.empty(256, np.float32)
    for i in range(16):
        for j in range(16):
            total = np.float32(0.0)
            for k in range(64):
                total += half[i, k] * dct[j, k]
            flat[16 * i + j] = total
    median = np.sort(flat)[127]
    for word in range(4):
        bits = np.uint64(0)
        for k in range(64):
            if flat[64 * (3 - word) + k] > median:
                bits |= np.uint64(1) << np.uint64(k)
        out[word] = bits


@frozen
def pdq(pixels: NDArray[np.uint8], dct: NDArray[np.float32], out: NDArray[np.uint64]) -> int:
    """Hash pictures larger than 64 x 64 into `out`, four words; return the quality."""
    height, width = pixels.shape[0], pixels.shape[1]
    plane = np.empty((height, width), np.float32)
    spare = np.empty((height, width), np.float32)
    samples = np.empty((64, 64), np.float32)
    luma(pixels, plane)
    for _ in range(2):
        box_along_rows(plane, spare, (width + 127) // 128)
        box_along_columns(spare, plane, (height + 127) // 128)
    for i in range(64):
        y = int(((i + 0.5) * height) / 64)
        for j in range(64):
            samples[i, j] = plane[y, int(((j + 0.5) * width) / 64)]
    hash_of(samples, dct, out)
    quality: int = quality_of(samples)
    return quality
