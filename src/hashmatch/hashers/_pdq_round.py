"""PDQ of a picture of which only the disc within its sides is known, say a round avatar.

What is around the disc is guessed: it gets its expected value, given the cells along the rim, if
pictures were Gaussian fields whose power falls as a power of the frequency (kriging). So the guess
is one product with a matrix, which is worked out from the formula once a process needs it. No one
exponent fits all photographs; each of `EXPONENTS` is a guess of its own. Around that of the middle
one are others, see `hashmatch._kernels.alternatives`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch._kernels import alternatives, extrapolate, framings
from hashmatch._kernels.extrapolate import CELLS
from hashmatch._kernels.pdq_bits import in_all_orientations
from hashmatch._kernels.pdq_numpy import COEFFICIENTS
from hashmatch.hashers._pdq_framings import WHOLE, WHOLE_ACROSS
from hashmatch.interfaces import GUESSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXPONENTS = (1.5, 2.5, 3.5)
"""Of the frequency. Of 100 avatars of squares 43 are found by the middle one, 50 by any."""
MIDDLE = EXPONENTS[1]
RIM = 0.75
"""Cells from the disc's edge to the middles of the outermost cells that are known: they are whole.
"""
DEPTH = 4
"""Cells from the rim inwards that a guess is made from. Of four times as deep it is no better."""
NOISE = 1e-4
"""Of a cell's variance: what is its own."""
ROOM = 3
"""Sides of the field, in those of the picture: it repeats itself, and the picture must not."""


class Guess(NamedTuple):
    """What is guessed, and from what: numbers of cells, and the weights, (known, unknown)."""

    unknown: NDArray[np.int64]
    known: NDArray[np.int64]
    weights: NDArray[np.float32]


@lru_cache(maxsize=len(EXPONENTS))
def guess(exponent: float) -> Guess:
    """Return how what is around the disc follows from its rim."""
    side = ROOM * CELLS
    waves = np.fft.fftfreq(side) * side
    frequency = np.hypot(waves[:, None], waves)
    frequency[0, 0] = 0.5  # the mean varies more than any wave
    covariance = np.fft.ifft2(frequency**-exponent).real
    y, x = (each.ravel() for each in np.mgrid[:CELLS, :CELLS])
    far = CELLS / 2 - np.hypot(y + 0.5 - CELLS / 2, x + 0.5 - CELLS / 2)
    unknown = np.flatnonzero(far < RIM)
    known = np.flatnonzero((far >= RIM) & (far <= RIM + DEPTH))

    def between(some: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
        down = y[some][:, None] - y[others]
        across = x[some][:, None] - x[others]
        values: NDArray[np.float64] = covariance[down % side, across % side]
        return values

    among = between(known, known)
    among[np.diag_indices(len(known))] *= 1 + NOISE
    weights = np.linalg.solve(among, between(known, unknown))
    return Guess(unknown, known, np.ascontiguousarray(weights, np.float32))


@lru_cache(maxsize=1)
def fields() -> NDArray[np.float32]:
    """Return the fields of what is around the disc."""
    middles = (np.arange(alternatives.SIDE) + 0.5) / alternatives.SIDE - 0.5
    return alternatives.fields(np.hypot(middles[:, None], middles) > 0.5 - RIM / CELLS, GUESSES)


def words(pixels: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the hashes of (h, w, 3) `pixels` with each guess, in eight orientations, (n, 4)."""
    pixels = pixels.view()
    pixels.flags.writeable = False  # compiled once, whether the caller's array is or is not
    small = np.empty((CELLS, CELLS), np.float32)
    extrapolate.shrunk(pixels, small)
    out = np.empty((8 * (len(EXPONENTS) + GUESSES), 4), np.uint64)
    block = np.empty((COEFFICIENTS, COEFFICIENTS), np.float32)
    for number, exponent in enumerate(EXPONENTS):
        extrapolate.guessed(small.reshape(-1), *guess(exponent))
        framings.coefficients(small, WHOLE, WHOLE_ACROSS, block)
        in_all_orientations(block.reshape(-1), out[8 * number : 8 * number + 8])
        if exponent == MIDDLE:
            alternatives.around(block.reshape(-1), fields(), True, out[8 * len(EXPONENTS) :])
    return out
