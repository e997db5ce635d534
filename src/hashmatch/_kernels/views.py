"""PDQ of parts of a picture, all from one grey picture at a fraction of its size.

A view is a part of the picture that may be a picture of its own. Reading the pixels of each view
again would cost as much as hashing that many pictures, so the picture is reduced once, to cells of
whole pixels, and each view is sampled from that. A rectangle's samples are the means over its
cells::

    samples[i, j] = the integral of the grey picture over cell (i, j) of 64 x 64, by its area

which the sums over all that lies above and to the left (Crow, "Summed-area tables for texture
mapping", 1984) give at four look-ups each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel
from hashmatch._kernels.pdq import gradient_quality
from hashmatch._kernels.pdq_bits import in_all_orientations
from hashmatch._kernels.pdq_numpy import COEFFICIENTS, SAMPLES
from hashmatch._kernels.products import times
from hashmatch._kernels.simd import load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch._kernels.pdq_reduce import Floats

SOFT = 16.0
"""Coefficients of which more than half are smaller are those of a soft picture.

PDQ's quality counts noise too, of which a small part of a picture has much. Of 29 million pairs of
different photographs and tiles, 9 were within 31 bits by a part alone; of the four of these parts
that were measured all are soft, and 1.5 of 100 photographs.
"""
FINEST = 2
"""Bilinear samples along each side of one of 64 x 64 cells of a quadrilateral, at most."""


@kernel
def grey_of(pixels: NDArray[np.uint8], factor: int, out: Floats) -> None:
    """Write the mean luma (ITU-R BT.601) of each ``factor`` x ``factor`` pixels.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (h, w, 3)
        Contiguous RGB.
    factor : int
        At least 1.
    out : ndarray of float32, shape (ceil(h / factor), ceil(w / factor))
        The last row and the last column are of fewer pixels where `factor` divides no side.
    """
    height, width = pixels.shape[0], pixels.shape[1]
    band = np.empty(width, np.int32)
    whole = width // factor
    for i in range(out.shape[0]):
        first, last = i * factor, min((i + 1) * factor, height)
        band[:] = np.int32(0)
        for y in range(first, last):
            row = pixels[y].reshape(-1)
            for x in range(width):
                # Unsigned, so that the compiler sees no negative indices.
                red = np.uint64(3) * np.uint64(x)
                green, blue = red + np.uint64(1), red + np.uint64(2)
                band[x] += (
                    np.int32(299) * np.int32(row[red])
                    + np.int32(587) * np.int32(row[green])
                    + np.int32(114) * np.int32(row[blue])
                )
        line = out[i]
        scale = np.float32(1.0 / (1000.0 * factor * (last - first)))
        for j in range(whole):
            total = np.int64(0)
            for k in range(factor):
                total += np.int64(band[np.uint64(j * factor + k)])
            line[j] = np.float32(total) * scale
        if whole < out.shape[1]:
            total = np.int64(0)
            for x in range(whole * factor, width):
                total += np.int64(band[x])
            line[whole] = np.float32(total / (1000.0 * (width - whole * factor) * (last - first)))


@kernel
def sums_of(grey: Floats, out: NDArray[np.float64]) -> None:
    """Write to ``out[y, x]`` the sum of ``grey[:y, :x]``; `out` is (h + 1, w + 1)."""
    out[0] = 0.0
    for y in range(grey.shape[0]):
        total = 0.0
        out[y + 1, 0] = 0.0
        for x in range(grey.shape[1]):
            total += np.float64(grey[y, x])
            out[y + 1, x + 1] = out[y, x + 1] + total


@kernel
def rectangle_samples(sums: NDArray[np.float64], box: NDArray[np.float64], out: Floats) -> None:
    """Write the means over 64 x 64 equal cells of a rectangle.

    Parameters
    ----------
    sums : ndarray of float64, shape (h + 1, w + 1)
        As `sums_of` writes them.
    box : ndarray of float64, shape (4,)
        Top, left, bottom and right, in cells of the grey picture, within it.
    out : ndarray of float32, shape (64, 64)
    """
    top, left, bottom, right = box
    down, across = (bottom - top) / SAMPLES, (right - left) / SAMPLES
    columns, beside = np.empty(SAMPLES + 1, np.int64), np.empty(SAMPLES + 1)
    for j in range(SAMPLES + 1):
        x = min(left + j * across, sums.shape[1] - 1.0)
        columns[j] = min(int(x), sums.shape[1] - 2)
        beside[j] = x - columns[j]
    first, last = columns[0], columns[SAMPLES] + 2
    mixed, both = np.empty(last - first), np.empty((2, SAMPLES + 1))
    area = down * across
    for i in range(SAMPLES + 1):
        y = min(top + i * down, sums.shape[0] - 1.0)
        row = min(int(y), sums.shape[0] - 2)
        below = y - row
        upper, lower = sums[row, first:last], sums[row + 1, first:last]
        for x in range(last - first):
            mixed[x] = upper[x] + below * (lower[x] - upper[x])
        line, before = both[i % 2], both[1 - i % 2]
        for j in range(SAMPLES + 1):
            k = columns[j] - first
            line[j] = load(mixed, k) + beside[j] * (load(mixed, k + 1) - load(mixed, k))
        if i > 0:
            row_of_samples = out[i - 1]
            for j in range(SAMPLES):
                total = (line[j + 1] - line[j]) - (before[j + 1] - before[j])
                row_of_samples[j] = np.float32(total / area)


@kernel
def quadrilateral_samples(grey: Floats, corners: NDArray[np.float64], out: Floats) -> None:
    """Write 64 x 64 samples of a quadrilateral, seen as a rectangle is from a slant.

    Each is the mean of bilinear samples, as many as there are cells of `grey` to one. What lies
    outside of `grey` is its nearest cell.

    Parameters
    ----------
    grey : ndarray of float32, shape (h, w)
    corners : ndarray of float64, shape (4, 2)
        (y, x) of what are the upper left, upper right, lower right and lower left corners,
        convex, in cells.
    out : ndarray of float32, shape (64, 64)
    """
    # The projection that takes the unit square there (Heckbert, "Fundamentals of texture mapping
    # and image warping", 1989): y = (a u + b v + c) / (g u + h v + 1), and x alike.
    (y0, x0), (y1, x1), (y2, x2), (y3, x3) = corners[0], corners[1], corners[2], corners[3]
    dy1, dy2, dy3 = y1 - y2, y3 - y2, y0 - y1 + y2 - y3
    dx1, dx2, dx3 = x1 - x2, x3 - x2, x0 - x1 + x2 - x3
    by = dx1 * dy2 - dx2 * dy1
    g, h = (dx3 * dy2 - dx2 * dy3) / by, (dx1 * dy3 - dx3 * dy1) / by
    ay, by, ax, bx = y1 - y0 + g * y1, y3 - y0 + h * y3, x1 - x0 + g * x1, x3 - x0 + h * x3
    longest = 0.0
    for k in range(4):
        dy = corners[k, 0] - corners[(k + 1) % 4, 0]
        dx = corners[k, 1] - corners[(k + 1) % 4, 1]
        longest = max(longest, np.sqrt(dy * dy + dx * dx))
    fine = min(max(int(np.ceil(longest / SAMPLES)), 1), FINEST)
    lowest, rightmost = grey.shape[0] - 1, grey.shape[1] - 1
    bottom, right, width = np.float64(lowest), np.float64(rightmost), grey.shape[1]
    flat, side = grey.reshape(-1), SAMPLES * fine
    places = np.empty(side, np.int64)
    to_lower, to_right = np.empty(side, np.int64), np.empty(side, np.int64)
    below, beside = np.empty(side, np.float32), np.empty(side, np.float32)
    steps = (np.arange(side) + 0.5) / side
    out[:] = np.float32(0.0)
    scale = np.float32(1.0 / (fine * fine))
    for i in range(side):
        v = steps[i]
        for j in range(side):  # apart from the next loop, so that it runs several at a time
            u = steps[j]
            w = 1.0 / (g * u + h * v + 1.0)
            y, x = (ay * u + by * v + y0) * w - 0.5, (ax * u + bx * v + x0) * w - 0.5
            y = 0.0 if y < 0.0 else (bottom if y > bottom else y)
            x = 0.0 if x < 0.0 else (right if x > right else x)
            top, left = int(y), int(x)
            below[j], beside[j] = np.float32(y - top), np.float32(x - left)
            places[j] = top * width + left
            to_lower[j] = width if top < lowest else 0
            to_right[j] = 1 if left < rightmost else 0
        line = out[i // fine]
        for j in range(SAMPLES):
            total = line[j]
            for k in range(j * fine, (j + 1) * fine):
                place, far = load(places, k), load(to_right, k)
                low, part = place + load(to_lower, k), load(beside, k)
                a, b = load(flat, place), load(flat, place + far)
                c, d = load(flat, low), load(flat, low + far)
                upper, lower = a + part * (b - a), c + part * (d - c)
                total += (upper + load(below, k) * (lower - upper)) * scale
            line[j] = total


@kernel
def hash_samples(samples: Floats, cosines: Floats, across: Floats, out: NDArray[np.uint64]) -> bool:
    """Write the hashes of 64 x 64 `samples` in all eight orientations to `out` (8, 4).

    `cosines` is (16, 64) and `across` is it transposed, (64, 16); sums are not in the order of
    the reference, so that a bit may be another where a coefficient is on the median. Returned is
    whether half of the coefficients are at least `SOFT`.
    """
    half = np.empty((COEFFICIENTS, SAMPLES), np.float32)
    block = np.empty((COEFFICIENTS, COEFFICIENTS), np.float32)
    times(cosines, samples, half)
    times(half, across, block)
    flat = block.reshape(-1)
    in_all_orientations(flat, out)
    high = 0
    for value in flat:
        if abs(value) >= np.float32(SOFT):
            high += 1
    return bool(2 * high >= flat.size)


@kernel
def hash_views(
    grey: Floats,
    sums: NDArray[np.float64],
    corners: NDArray[np.float64],
    cosines: Floats,
    across: Floats,
    out: NDArray[np.uint64],
    quality: NDArray[np.int64],
) -> None:
    """Hash views of `grey` in all eight orientations, and measure their quality.

    Parameters
    ----------
    grey : ndarray of float32, shape (h, w)
    sums : ndarray of float64, shape (h + 1, w + 1)
        As `sums_of` writes them.
    corners : ndarray of float64, shape (n, 4, 2)
        As for `quadrilateral_samples`.
    cosines, across : ndarray of float32
        As for `hash_samples`.
    out : ndarray of uint64, shape (n, 8, 4)
    quality : ndarray of int64, shape (n,)
        PDQ's, 0 to 100; 0 of what is soft, see `SOFT`.
    """
    samples = np.empty((SAMPLES, SAMPLES), np.float32)
    box = np.empty(4)
    for k in range(corners.shape[0]):
        view = corners[k]
        box[0], box[1], box[2], box[3] = view[0, 0], view[0, 1], view[2, 0], view[2, 1]
        if (
            view[1, 0] == box[0]
            and view[1, 1] == box[3]
            and view[3, 0] == box[2]
            and view[3, 1] == box[1]
        ):
            rectangle_samples(sums, box, samples)
        else:
            quadrilateral_samples(grey, view, samples)
        is_sharp = hash_samples(samples, cosines, across, out[k])
        quality[k] = gradient_quality(samples) if is_sharp else 0
