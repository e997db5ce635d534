"""A small grey picture, and what may have been beyond its edges.

A picture that was cropped is put back in its place by guessing what was cut away. Photographs are
close to a field whose power falls with the square of the frequency (Field, "Relations between the
statistics of natural images and the response properties of cortical cells", 1987), and of such a
field the best guess beyond an edge is the harmonic one: the edge itself, its detail dying away
with the distance, the finer the sooner. The edge is that of the picture, not of its small copy,
whose outermost cells lie half a cell inside: so 3 to 5 of 100 more crops are found. A linear
predictor fitted to photographs from eight rows inside the edge did no better than this one row.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELLS = 64
"""Side of the small picture. PDQ keeps 8 periods a side, so that 32 would do but for the edges."""
MARGIN = 8
"""Cells of guess on each side: an eighth of the picture."""
EDGE = 0.003
"""Of a side: how much of it is its edge. One row is noisy; a hundredth is no longer the edge."""
FADING = 0.5
"""How fast detail dies away. 1 would be right for edges without noise; measured best: 0.5 to 1."""


def _blur(length: int) -> NDArray[np.float32]:
    """Return how an edge of `length` cells continues 1, 2 ... `MARGIN` cells beyond it.

    Each frequency, in half periods along the edge, falls by exp(-pi * frequency * distance).
    """
    k, x = np.arange(length)[:, None], np.arange(length)[None, :]
    waves = np.cos(math.pi / length * k * (x + 0.5)) * math.sqrt(2 / length)
    waves[0] = math.sqrt(1 / length)
    distance = np.arange(1, MARGIN + 1)[:, None]
    fading = np.exp(-FADING * math.pi / length * distance * np.arange(length))
    blurs = np.einsum("kx,dk,ky->dxy", waves, fading, waves)
    return np.ascontiguousarray(blurs, np.float32)


BLUR, BLUR_TALL = _blur(CELLS), _blur(CELLS + 2 * MARGIN)
"""For the edges of the picture, and for those of the picture with its margins above and below."""


@kernel
def shrunk(pixels: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Write the mean luma (ITU-R BT.601) of each cell of (h, w, 3) `pixels` to (n, n) `out`.

    ::

        out[i, j] = the integral of the luma over cell (i, j), divided by its area

    Each pixel is a little square, so that cells take fractions of pixels, and small pictures have
    several cells a pixel. This is a low pass, unlike PDQ's samples of a picture of 96 pixels.
    """
    height, width, cells = pixels.shape[0], pixels.shape[1], out.shape[0]
    scale = cells * cells / (1000.0 * height * width)
    firsts = np.arange(cells) * width // cells
    line, band = np.empty(width, np.float32), np.zeros(width, np.float32)
    for y in range(height):
        row = pixels[y].reshape(-1)
        for x in range(width):
            # Unsigned, so that the compiler sees no negative indices.
            red = np.uint64(3) * np.uint64(x)
            green, blue = red + np.uint64(1), red + np.uint64(2)
            line[x] = np.float32(
                np.int32(299) * np.int32(row[red])
                + np.int32(587) * np.int32(row[green])
                + np.int32(114) * np.int32(row[blue])
            )
        for i in range(y * cells // height, -(-(y + 1) * cells // height)):
            top, bottom = max(i * height / cells, float(y)), min((i + 1) * height / cells, y + 1.0)
            share = np.float32(bottom - top)
            for x in range(width):
                band[x] += share * line[x]
            if (i + 1) * height <= (y + 1) * cells:  # the cell ends within this row
                across(band, firsts, out[i], scale)
                band[:] = np.float32(0.0)


@kernel
def edges(pixels: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Write the mean luma along the edges of (h, w, 3) `pixels`, cell by cell, to `out` (4, n).

    Top, bottom, left and right, each `EDGE` of a side deep.
    """
    height, width, cells = pixels.shape[0], pixels.shape[1], out.shape[1]
    rows, columns = max(1, int(EDGE * height + 0.5)), max(1, int(EDGE * width + 0.5))
    beside, below = np.arange(cells) * width // cells, np.arange(cells) * height // cells
    for end in range(2):
        line = np.zeros(width, np.float32)
        for k in range(rows):
            y = height - 1 - k if end else k
            for x in range(width):
                line[x] += thousandths(pixels, y, x)
        across(line, beside, out[end], cells / (1000.0 * width * rows))
        column = np.zeros(height, np.float32)
        for y in range(height):
            for k in range(columns):
                column[y] += thousandths(pixels, y, width - 1 - k if end else k)
        across(column, below, out[2 + end], cells / (1000.0 * height * columns))


@kernel
def thousandths(pixels: NDArray[np.uint8], y: int, x: int) -> np.float32:
    """Return a thousand times the luma of a pixel."""
    return np.float32(
        np.int32(299) * np.int32(pixels[y, x, 0])
        + np.int32(587) * np.int32(pixels[y, x, 1])
        + np.int32(114) * np.int32(pixels[y, x, 2])
    )


@kernel
def across(
    band: NDArray[np.float32], firsts: NDArray[np.int64], out: NDArray[np.float32], scale: float
) -> None:
    """Write the integrals of `band` over each of the equal cells of `out`, times `scale`.

    ``firsts`` is the first pixel of each cell. All cells take one pixel a pass, so that their sums
    advance together, and then what is left of each.
    """
    width, cells = band.shape[0], out.shape[0]
    out[:] = np.float32(0.0)
    common = width // cells
    for k in range(common):
        for j in range(cells):
            out[j] += band[np.uint64(firsts[j] + k)]
    for j in range(cells):
        first, last = firsts[j], -(-(j + 1) * width // cells)
        total = out[j]
        for x in range(first + common, last):
            total += band[x]
        total -= np.float32(j * width / cells - first) * band[first]
        total -= np.float32(last - (j + 1) * width / cells) * band[last - 1]
        out[j] = total * np.float32(scale)


@kernel
def extrapolated(
    picture: NDArray[np.float32],
    edge: NDArray[np.float32],
    blur: NDArray[np.float32],
    blur_tall: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Write (n, n) `picture` with its margins, (n + 2m, n + 2m): above and below, then beside.

    Parameters
    ----------
    picture, out : ndarray of float32
    edge : ndarray of float32, shape (4, n)
        As `edges` writes them.
    blur, blur_tall : ndarray of float32, shape (m, n, n) and (m, n + 2m, n + 2m)
        `BLUR` and `BLUR_TALL`. Arguments, since a compiled kernel would freeze globals.
    """
    margin, cells = blur.shape[0], picture.shape[0]
    inner = out[margin : margin + cells, margin : margin + cells]
    inner[:] = picture
    spread(edge[0], blur, out[:margin][::-1, margin : margin + cells])
    spread(edge[1], blur, out[margin + cells :, margin : margin + cells])
    across_margin = out.T
    tall = out[:, margin].copy()
    tall[margin : margin + cells] = edge[2]
    spread(tall, blur_tall, across_margin[:margin][::-1])
    tall = out[:, margin + cells - 1].copy()
    tall[margin : margin + cells] = edge[3]
    spread(tall, blur_tall, across_margin[margin + cells :])


@kernel
def spread(edge: NDArray[np.float32], blur: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Write `edge` (n,) blurred by each of `blur` (m, n, n), symmetric, to the rows of `out`."""
    line = np.empty_like(edge)
    for distance in range(blur.shape[0]):
        line[:] = np.float32(0.0)
        for k in range(edge.shape[0]):
            weights, value = blur[distance, k], edge[k]
            for x in range(edge.shape[0]):
                line[x] += weights[x] * value
        out[distance] = line


@kernel
def guessed(
    cells: NDArray[np.float32],
    unknown: NDArray[np.int64],
    known: NDArray[np.int64],
    weights: NDArray[np.float32],
) -> None:
    """Give the `unknown` of `cells` (n,) their expected values, given those that are `known`.

    ::

        cells[unknown] = mean + (cells[known] - mean) @ weights  # the mean of the known ones

    It is a kernel since a product of this size wakes the threads of a linear algebra library.
    """
    mean = np.float32(0.0)
    for k in range(known.shape[0]):
        mean += cells[known[k]] / np.float32(known.shape[0])
    values = np.full(unknown.shape[0], mean, np.float32)
    for k in range(known.shape[0]):
        line, value = weights[k], cells[known[k]] - mean
        for i in range(values.shape[0]):
            values[i] += value * line[i]
    for i in range(values.shape[0]):
        cells[unknown[i]] = values[i]
