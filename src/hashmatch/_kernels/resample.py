"""Pillow's greyscale and its Lanczos resize, pixel for pixel, a strip of the picture at a time.

Source: Pillow 13's ``libImaging/Convert.c`` and ``Resample.c``. Along one axis, each new pixel is
a weighted sum of old ones, in integers, rounded and clipped to 8 bits::

    for o in range(reduced):
        first, end = spans[o]
        total = sum(weights[o][t] * line[first + t] for t in range(end - first))
        resized[o] = clip((total + 2**21) >> 22, 0, 255)

Pillow does this to every row, and then to every column of what came out of that; for a picture
much taller than wide the other way round, which gives other pixels, since both are rounded.

Sums of whole rows vectorise, sums along a row do not. So the picture is taken in strips of rows,
each made grey, transposed, resized as if its columns were rows, and transposed back. A strip stays
in the processor's cache; the grey picture is never in memory as a whole, but where columns are
first. `tests/naive.py` has the same in pure Python.

The weights are those of ``precompute_coeffs`` and what follows it in ``Resample.c``; of the
filter, a sinc under the middle lobe of a sinc three times as wide: C. E. Duchon, "Lanczos Filtering
in One and Two Dimensions", 1979.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hashmatch._kernels.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Spans: TypeAlias = NDArray[np.int64]
    Weights: TypeAlias = NDArray[np.int32]
    Bytes: TypeAlias = NDArray[np.uint8]

LOBES = 3.0
"""Pixels on each side that a new pixel is made of, in the larger of old and new pixels."""
ONE = 1 << 22
"""The weight 1. Sums of 8-bit pixels then fill 30 bits; two are left for what overshoots."""
LARGEST_KEPT = 1 << 14
"""Pixels of the largest size whose weights are kept. They take 24 bytes a pixel, so 64 of them, one
for each size and new size seen last, 25 MB at the very most."""


@kernel
def sinc(x: float) -> float:
    """Return sin(pi x) / (pi x), by the C library's ``sin``, which is Pillow's too."""
    if x == 0.0:
        return 1.0
    x = x * math.pi
    return math.sin(x) / x


@kernel
def fill_weights(size: int, spans: Spans, weights: Weights) -> None:
    """Write what each new pixel is made of, for `size` pixels resized to ``len(spans)``.

    Double precision and Pillow's order of operations, since the last bit decides how a weight next
    to a half is rounded. A Pillow built with fused multiplications, as compilers make them for
    ARM, may round one in a great many otherwise.

    Parameters
    ----------
    size : int
    spans : ndarray of int64, shape (reduced, 2)
        First old pixel, and the one after the last.
    weights : ndarray of int32, shape (reduced, at least the longest span)
        In units of 1 / `ONE`.
    """
    reduced = spans.shape[0]
    scale = size / reduced
    filter_scale = max(scale, 1.0)  # enlarged, the filter is as wide as old pixels
    support = LOBES * filter_scale
    per_pixel = 1.0 / filter_scale
    exact = np.empty(weights.shape[1], np.float64)
    for o in range(reduced):
        centre = (o + 0.5) * scale
        first = max(int(centre - support + 0.5), 0)
        end = min(int(centre + support + 0.5), size)
        total = 0.0
        for t in range(end - first):
            x = (t + first - centre + 0.5) * per_pixel
            value = sinc(x) * sinc(x / 3) if -LOBES <= x < LOBES else 0.0
            exact[t] = value
            total += value
        for t in range(end - first):
            value = exact[t] / total * ONE
            weights[o, t] = int(value - 0.5) if value < 0.0 else int(value + 0.5)
        spans[o, 0], spans[o, 1] = first, end


def lanczos(size: int, reduced: int) -> tuple[Spans, Weights]:
    """Return spans and weights of `size` pixels resized to `reduced`, see `fill_weights`.

    If `reduced` equals `size`, each weight is 1 for the pixel itself and 0 for others, so that the
    pass that Pillow leaves out changes nothing.
    """
    return _kept(size, reduced) if size <= LARGEST_KEPT else _made(size, reduced)


def _made(size: int, reduced: int) -> tuple[Spans, Weights]:
    spans = np.empty((reduced, 2), np.int64)
    longest = 2 * math.ceil(LOBES * max(size / reduced, 1.0)) + 1
    weights = np.zeros((reduced, longest), np.int32)
    fill_weights(size, spans, weights)
    return spans, weights


_kept = lru_cache(maxsize=64)(_made)


STRIP = 128
"""Rows in a strip. 32 take half as long again, at 640 pixels and at 12 MP; 256 gain nothing."""


@kernel
def grey(pixels: Bytes, first: int, count: int, out: Bytes) -> None:
    """Write `count` rows of (h, w, 3) `pixels` from row `first` on, grey, to the left of `out`.

    ITU-R BT.601 luma with the weights 0.299, 0.587 and 0.114 in 1/65536, rounded.
    """
    width = pixels.shape[1]
    for k in range(count):
        # Flat and unsigned, so that the compiler sees neither strides nor negative indices.
        row = pixels[first + k].reshape(-1)
        line = out[k, :width]
        for x in range(line.shape[0]):
            red = np.uint64(3) * np.uint64(x)
            green, blue = red + np.uint64(1), red + np.uint64(2)
            line[x] = (
                np.int32(19595) * np.int32(row[red])
                + np.int32(38470) * np.int32(row[green])
                + np.int32(7471) * np.int32(row[blue])
                + np.int32(32768)
            ) >> np.int32(16)


@kernel
def eights(count: int) -> int:
    """Return `count`, made up to a multiple of eight."""
    return (count + 7) // 8 * 8


@kernel
def transpose(rows: Bytes, words: NDArray[np.uint64], out: Bytes) -> None:
    """Write the first columns of `rows`, as many as `out` has rows, to the rows of `out`.

    Eight rows become words of eight bytes, which vectorises, and the words change places, an
    eighth as many moves as there are bytes. The words are little-endian, as all of Numba's targets.

    Parameters
    ----------
    rows : ndarray of uint8, shape (8 * n, at least m)
    words : ndarray of uint64, shape (n, at least m)
        Written over.
    out : ndarray of uint8, shape (m, 8 * n)
    """
    places = out.view(np.uint64)
    for k in range(places.shape[1]):
        r0, r1, r2, r3 = rows[8 * k], rows[8 * k + 1], rows[8 * k + 2], rows[8 * k + 3]
        r4, r5, r6, r7 = rows[8 * k + 4], rows[8 * k + 5], rows[8 * k + 6], rows[8 * k + 7]
        line = words[k]
        for x in range(places.shape[0]):
            line[x] = (
                np.uint64(r0[x])
                | np.uint64(r1[x]) << np.uint64(8)
                | np.uint64(r2[x]) << np.uint64(16)
                | np.uint64(r3[x]) << np.uint64(24)
                | np.uint64(r4[x]) << np.uint64(32)
                | np.uint64(r5[x]) << np.uint64(40)
                | np.uint64(r6[x]) << np.uint64(48)
                | np.uint64(r7[x]) << np.uint64(56)
            )
    for x in range(places.shape[0]):
        for k in range(places.shape[1]):
            places[x, k] = words[k, x]


@kernel
def weighted_rows(rows: Bytes, width: int, spans: Spans, weights: Weights, out: Bytes) -> None:
    """Resize the first `width` columns of `rows` to as many rows as `out` has.

    No sum overflows 32 bits: the weights of one span add up to `ONE`, their sizes to at most 1.6
    times that (the lobes below zero), and a pixel has 8 bits.
    """
    sums = np.empty(width, np.int32)
    for o in range(out.shape[0]):
        first, end = spans[o, 0], spans[o, 1]
        count = end - first
        whole = count - count % 4
        sums[:] = np.int32(ONE // 2)
        # Four rows in one go: the sums are read and written a quarter as often.
        for t in range(0, whole, 4):
            w0, w1, w2, w3 = weights[o, t], weights[o, t + 1], weights[o, t + 2], weights[o, t + 3]
            y = first + t
            r0, r1, r2, r3 = rows[y], rows[y + 1], rows[y + 2], rows[y + 3]
            for x in range(width):
                sums[x] += (
                    w0 * np.int32(r0[x])
                    + w1 * np.int32(r1[x])
                    + w2 * np.int32(r2[x])
                    + w3 * np.int32(r3[x])
                )
        for t in range(whole, count):
            weight, row = weights[o, t], rows[first + t]
            for x in range(width):
                sums[x] += weight * np.int32(row[x])
        line = out[o]
        for x in range(width):
            line[x] = min(max(sums[x] >> np.int32(22), np.int32(0)), np.int32(255))


@kernel
def line_length(width: int) -> int:
    """Return how far apart to put rows whose columns are read next.

    An odd number of cache lines: at a multiple of 4096 bytes the pixels of a column would all fall
    into one set of the cache and push each other out (4x slower at a width of 4096, measured).
    """
    return ((width + 63) // 64 | 1) * 64


@kernel
def resize_rows_first(
    pixels: Bytes,
    column_spans: Spans,
    column_weights: Weights,
    row_spans: Spans,
    row_weights: Weights,
    out: Bytes,
) -> None:
    """Write (h, w, 3) `pixels`, grey and resized, to `out`.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (h, w, 3)
        Contiguous.
    column_spans, column_weights
        From `lanczos`, of the width.
    row_spans, row_weights
        Of the height.
    out : ndarray of uint8, shape (new height, new width)
    """
    height, width = pixels.shape[0], pixels.shape[1]
    strip, across = min(STRIP, eights(height)), eights(out.shape[1])
    # What makes the last strip whole, and the new width a multiple of eight, is never written to,
    # and of no meaning.
    grey_lines = np.empty((strip, line_length(width)), np.uint8)
    words = np.empty((strip // 8, line_length(width)), np.uint64)
    turned = np.empty((width, strip), np.uint8)
    made = np.empty((across, strip), np.uint8)
    made_words = np.empty((across // 8, strip), np.uint64)
    narrow = np.empty(((height + strip - 1) // strip * strip, across), np.uint8)
    for y in range(0, height, strip):
        grey(pixels, y, min(strip, height - y), grey_lines)
        transpose(grey_lines, words, turned)
        weighted_rows(turned, strip, column_spans, column_weights, made[: out.shape[1]])
        transpose(made, made_words, narrow[y : y + strip])
    weighted_rows(narrow, out.shape[1], row_spans, row_weights, out)


def resize_columns_first(
    pixels: Bytes,
    column_spans: Spans,
    column_weights: Weights,
    row_spans: Spans,
    row_weights: Weights,
    out: Bytes,
) -> None:
    """Resize as `resize_rows_first` does, in the other order, with the grey picture in memory.

    Not a kernel itself: it would take as long to compile as the other, for few pictures.
    """
    height, width = pixels.shape[:2]
    low, across = eights(out.shape[0]), eights(out.shape[1])
    grey_lines = np.empty((height, width), np.uint8)
    grey(pixels, 0, height, grey_lines)
    short = np.empty((low, line_length(width)), np.uint8)
    weighted_rows(grey_lines, width, row_spans, row_weights, short[: out.shape[0]])
    words = np.empty((low // 8, line_length(width)), np.uint64)
    turned = np.empty((width, low), np.uint8)
    transpose(short, words, turned)
    made = np.empty((across, low), np.uint8)
    weighted_rows(turned, low, column_spans, column_weights, made[: out.shape[1]])
    made_words = np.empty((across // 8, low), np.uint64)
    whole = np.empty((low, across), np.uint8)
    transpose(made, made_words, whole)
    out[:] = whole[: out.shape[0], : out.shape[1]]


def grey_picture(pixels: Bytes, width: int, height: int) -> Bytes:
    """Return ``convert("L").resize((width, height), LANCZOS)`` of RGB `pixels`, as Pillow has it.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (h, w, 3)
        Contiguous, neither side 0 nor above 2^24, where Pillow's box, in float32, is not exact.
    width, height : int
        The new size, in pixels; larger or smaller.

    Returns
    -------
    ndarray of uint8, shape (height, width)
    """
    pixels = pixels.view()
    pixels.flags.writeable = False  # compiled once, whether the caller's array is or is not
    old_height, old_width = pixels.shape[:2]
    out = np.empty((height, width), np.uint8)
    # Pillow 13's order (its pull request 9549): columns first where they lose more than twice as
    # many pixels as rows do, and any at all.
    columns_first = old_height - height > max(0, 2 * (old_width - width))
    resize = resize_columns_first if columns_first else resize_rows_first
    resize(pixels, *lanczos(old_width, width), *lanczos(old_height, height), out)
    return out
