"""PDQ of a video's frame, from its planes of luma and chroma and without a picture in RGB.

The reference of vPDQ has each frame converted to RGB and hashes that. Two things make this quicker,
each of which leaves the hash what it is:

- Conversion is libswscale's for x86, whose products of 16 bits are rounded down one by one
  (``pmulhw``)::

      brightness = (8 * Y - 128) * 9539 >> 16              # limited range; all by ITU-R BT.601
      red, green, blue = clip(brightness + ((8 * V - 1024) * 13075 >> 16)), ...
      luma = (299 * red + 587 * green + 114 * blue) / 1000

  Each of 256 values of a plane gives one of 256 numbers, which float32 computes exactly, and so
  vectors of it. No pixel of RGB is ever in memory.
- Two boxes along a side are one tent (`tents`), and only 64 of them along each side are looked at,
  so that a pixel is in about one of them: it is weighed once for its row and once for its column.

The reference sums in float32, and so rounds: its coefficients are some thousandths off the true
ones, which are computed here; 0.004 at most in 682 frames of four clips. Where none lies so near
the median that changes nothing. Where more than one does, within `NEAR` of it, `hash_yuv` hashes
the luma as the reference does, sum by sum. So two bits of a hash may differ from the reference's,
as one coefficient may have changed places with the median; more where the reference is off by more
than `NEAR`, as it is of stripes that are drawn, see `hashmatch._kernels.pdq_reduce`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel
from hashmatch._kernels.pdq import gradient_quality, low_frequencies, pdq
from hashmatch._kernels.pdq_bits import above_median
from hashmatch._kernels.pdq_numpy import COEFFICIENTS, DCT, SAMPLES, SMALLEST
from hashmatch._kernels.pdq_reduce import ahead_of, centres

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

NEAR = np.float32(0.02)
"""Distance from the median at which the reference's rounding may put a coefficient on the other
side of it: five times what it was seen to be off by."""
COMPARED = 48
"""Quality from which on a hash is computed again if it is in doubt: vPDQ compares from 50 on, and
qualities differ by 1 at most. Dark frames have many coefficients near their median."""
TOLD_APART = 2.0**-16
"""Added before rounding down, so that float32 never falls below the whole number that it means."""


def _steps(is_full: bool) -> NDArray[np.float32]:
    """Return factor and offset of Y, of red by V, of blue by U, and of green by U and by V.

    The integers are those of libswscale for ITU-R BT.601, of 13 bits behind the point.
    """
    luma, *chroma = (
        (8192, 11485, 14516, -2819, -5850) if is_full else (9539, 13075, 16525, -3209, -6660)
    )
    rows = [(luma, 0 if is_full else 128), *((factor, 1024) for factor in chroma)]
    return np.array(
        [(8 * factor / 65536, -offset * factor / 65536 + TOLD_APART) for factor, offset in rows],
        np.float32,
    )


STEPS = _steps(False), _steps(True)
"""Of limited and of full range."""


@lru_cache(64)
def tents(length: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return where the 64 tents along a side begin, and the weights of each, shape (64, n).

    Both boxes of a tent are cut off at the edge, and divided by what is left of them.
    """
    window = (length + 127) // 128
    ahead = int(ahead_of(window))
    weights = np.zeros((SAMPLES, length))
    for tent, centre in zip(weights, centres(length), strict=True):
        outer = range(max(centre + ahead - window + 1, 0), min(centre + ahead, length - 1) + 1)
        for middle in outer:
            first = max(middle + ahead - window + 1, 0)
            last = min(middle + ahead, length - 1)
            tent[first : last + 1] += 1.0 / (last - first + 1) / len(outer)
    reach = min(2 * window - 1, length)
    starts = np.minimum(np.argmax(weights > 0, axis=1), length - reach)
    cut = np.array([tent[at : at + reach] for tent, at in zip(weights, starts, strict=True)])
    return starts, cut.astype(np.float32)


@kernel
def spread(u: Bytes, v: Bytes, steps: Floats, red: Floats, green: Floats, blue: Floats) -> None:
    """Write what a row of chroma adds to red, green and blue, each for two pixels beside."""
    for x in range(u.shape[0]):
        by_u, by_v = np.float32(u[x]), np.float32(v[x])
        more_red = np.floor(by_v * steps[1, 0] + steps[1, 1])
        more_blue = np.floor(by_u * steps[2, 0] + steps[2, 1])
        more_green = np.floor(by_u * steps[3, 0] + steps[3, 1]) + np.floor(
            by_v * steps[4, 0] + steps[4, 1]
        )
        red[2 * x], red[2 * x + 1] = more_red, more_red
        green[2 * x], green[2 * x + 1] = more_green, more_green
        blue[2 * x], blue[2 * x + 1] = more_blue, more_blue


@kernel
def clipped(value: np.float32) -> np.float32:
    """Return a sample within 0 and 255."""
    return min(max(value, np.float32(0.0)), np.float32(255.0))


@kernel
def add_row(
    y: Bytes, steps: Floats, red: Floats, green: Floats, blue: Floats,
    weight: np.float32, sums: Floats,
) -> None:  # fmt: skip
    """Add the luma of a row of pixels, times `weight`, to `sums`."""
    factor, offset = steps[0, 0], steps[0, 1]
    for x in range(y.shape[0]):
        level = np.floor(np.float32(y[x]) * factor + offset)
        thousandths = (
            np.float32(299.0) * clipped(level + red[x])
            + np.float32(587.0) * clipped(level + green[x])
            + np.float32(114.0) * clipped(level + blue[x])
        )
        sums[x] += weight * thousandths


@kernel
def reduce_yuv(
    y: Bytes, u: Bytes, v: Bytes, steps: Floats,
    first_row: NDArray[np.int64], down: Floats, first_column: NDArray[np.int64], across: Floats,
    samples: Floats,
) -> None:  # fmt: skip
    """Write the 64 x 64 `samples` of a frame; tents are those of its height and its width."""
    height, width = y.shape
    halved = height != u.shape[0]
    room = 2 * u.shape[1]
    red, green, blue = (
        np.empty(room, np.float32), np.empty(room, np.float32), np.empty(room, np.float32),
    )  # fmt: skip
    sums = np.empty(width, np.float32)
    spread_row = -1
    for i in range(SAMPLES):
        sums[:] = np.float32(0.0)
        for k in range(down.shape[1]):
            row = first_row[i] + k
            chroma = row // 2 if halved else row
            if chroma != spread_row:
                spread(u[chroma], v[chroma], steps, red, green, blue)
                spread_row = chroma
            add_row(y[row], steps, red, green, blue, down[i, k], sums)
        line = samples[i]
        line[:] = np.float32(0.0)
        for k in range(across.shape[1]):
            for j in range(SAMPLES):
                line[j] += across[j, k] * sums[first_column[j] + k]
        for j in range(SAMPLES):
            line[j] /= np.float32(1000.0)


@kernel
def near_median(coefficients: Floats, near: np.float32) -> int:
    """Return how many coefficients are within `near` of the median, besides that itself."""
    flat = coefficients.ravel()
    median = np.sort(flat)[flat.size // 2 - 1]
    count = -1
    for value in flat:
        count += abs(value - median) <= near
    return count


@kernel
def hash_quickly(
    y: Bytes, u: Bytes, v: Bytes, steps: Floats,
    first_row: NDArray[np.int64], down: Floats, first_column: NDArray[np.int64], across: Floats,
    dct: Floats, near: np.float32, out: NDArray[np.uint64],
) -> int:  # fmt: skip
    """Write the hash of a frame to `out`, (4,), and return the quality; -1 if that is in doubt."""
    samples = np.empty((SAMPLES, SAMPLES), np.float32)
    reduce_yuv(y, u, v, steps, first_row, down, first_column, across, samples)
    coefficients = np.empty((COEFFICIENTS, COEFFICIENTS), np.float32)
    low_frequencies(samples, dct, coefficients)
    quality = gradient_quality(samples)
    if quality >= COMPARED and near_median(coefficients, near) > 1:
        return -1
    above_median(coefficients.reshape(-1), out)
    return quality


@kernel
def luma_of_yuv(y: Bytes, u: Bytes, v: Bytes, steps: Floats, plane: Floats) -> None:
    """Write the luma `plane`, (h, w), that the reference makes of the picture in RGB."""
    halved = y.shape[0] != u.shape[0]
    room = 2 * u.shape[1]
    red, green, blue = (
        np.empty(room, np.float32), np.empty(room, np.float32), np.empty(room, np.float32),
    )  # fmt: skip
    plane[:] = np.float32(0.0)
    for row in range(y.shape[0]):
        if not (halved and row % 2):
            chroma = row // 2 if halved else row
            spread(u[chroma], v[chroma], steps, red, green, blue)
        line = plane[row]
        add_row(y[row], steps, red, green, blue, np.float32(1.0), line)
        for x in range(line.shape[0]):
            line[x] /= np.float32(1000.0)


def hash_yuv(y: Bytes, u: Bytes, v: Bytes, is_full: bool, out: NDArray[np.uint64]) -> int:
    """Hash a frame into `out`; return the quality.

    Parameters
    ----------
    y, u, v : ndarray of uint8, shapes (height, width), and half as wide and as high or half as wide
        Contiguous planes; half of an odd width is rounded up. A height that is halved is even.
    is_full : bool
        Luma has 0 to 255, not 16 to 235.
    out : ndarray of uint64, shape (1, 4)
        The hash.
    """
    steps, (height, width) = STEPS[is_full], y.shape
    if min(height, width) >= SMALLEST and (height, width) != (SAMPLES, SAMPLES):
        quality = hash_quickly(y, u, v, steps, *tents(height), *tents(width), DCT, NEAR, out[0])
        if quality >= 0:
            return quality
    plane = np.empty((height, width), np.float32)
    luma_of_yuv(y, u, v, steps, plane)
    return pdq(plane, DCT, out)
