"""Hashes around that of a picture a part of which is only guessed.

What is missing is guessed by its expected value, and some bits come out wrong. Which ones hang
together: what is really there adds to all coefficients at once. So other guesses are not bits
turned at random; each is some field in the part that is missing, added to the expected value::

    guess = coefficients + SPREAD * strength * DCT(field, +1 or -1 in cells that are not known)
    strength[k, l] = min(rms of row k, rms of column l), of the coefficients

The strength gives the field the picture's own spectrum, so that one set of fields does for all
pictures. The fields are much weaker than what is really there (`SPREAD` is not 1): among a few
guesses one is to be a little nearer to it than the expected value is, and strong ones are all
farther away. That is also why the gain grows slowly with their number. Of 769 squares cut from
pictures of 3:2, .24 are within 31 bits by the expected value, .29, .33, .35 and .37 with 8, 16, 32
and 64 guesses beside it; bits near the median turned at random need four times as many.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.framings import axis
from hashmatch._kernels.jit import kernel
from hashmatch._kernels.pdq_bits import above_median, in_all_orientations
from hashmatch._kernels.pdq_numpy import COEFFICIENTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 32
"""Cells along a side of a field: PDQ keeps 8 periods."""
SPREAD = 0.3
"""Of the strength. With 0.2 and with 0.4 about as much is found, with 0.55 less."""


COSINES = axis(0.0, 1.0, SIDE, 0) * np.float32(math.sqrt(2 * SIDE * SPREAD))
"""Scaled so that a field over the whole picture has coefficients of `SPREAD` on average."""


@lru_cache(maxsize=4)
def _signs(count: int) -> NDArray[np.float32]:
    """Return `count` fields of +1 and -1, an even number: each is followed by its negative.

    They are digits of a hash, since random generators may change from one version to the next.
    """
    seed = hashlib.shake_128(b"fields of what is not known")
    digits = np.frombuffer(seed.digest(count // 2 * SIDE * SIDE // 8), np.uint8)
    signs = np.unpackbits(digits).reshape(-1, SIDE, SIDE).astype(np.float32) * 2 - 1
    return np.stack([signs, -signs], axis=1).reshape(-1, SIDE, SIDE)


def fields(unknown: NDArray[np.bool_], count: int) -> NDArray[np.float32]:
    """Return the coefficients of `count` fields in a part of a picture, shape (`count`, 256).

    Parameters
    ----------
    unknown : ndarray of bool, shape (`SIDE`, `SIDE`)
        The cells that are not known.
    count : int
        An even number.
    """
    blocks = COSINES @ np.where(unknown, _signs(count), np.float32(0)) @ COSINES.T
    return np.ascontiguousarray(blocks.reshape(count, -1), np.float32)


@kernel
def around(
    coefficients: NDArray[np.float32],
    added: NDArray[np.float32],
    oriented: bool,
    out: NDArray[np.uint64],
) -> None:
    """Hash guesses around `coefficients`, which are not among them, into `out`.

    Parameters
    ----------
    coefficients : ndarray of float32, shape (256,)
    added : ndarray of float32, shape (n, 256)
        As `fields` returns them.
    oriented : bool
        Whether each guess is hashed in all eight orientations.
    out : ndarray of uint64, shape (n, 4), or (8 * n, 4) if `oriented`
    """
    rows, columns = np.zeros(COEFFICIENTS, np.float32), np.zeros(COEFFICIENTS, np.float32)
    for i in range(COEFFICIENTS):
        for j in range(COEFFICIENTS):
            square = coefficients[COEFFICIENTS * i + j] ** 2
            rows[i] += square
            columns[j] += square
    strength = np.empty(COEFFICIENTS * COEFFICIENTS, np.float32)
    for i in range(COEFFICIENTS):
        for j in range(COEFFICIENTS):
            mean = min(rows[i], columns[j]) / np.float32(COEFFICIENTS)
            strength[COEFFICIENTS * i + j] = np.sqrt(mean)
    guess = np.empty(COEFFICIENTS * COEFFICIENTS, np.float32)
    for number in range(added.shape[0]):
        field = added[number]
        for k in range(guess.shape[0]):
            guess[k] = coefficients[k] + strength[k] * field[k]
        if oriented:
            in_all_orientations(guess, out[8 * number : 8 * number + 8])
        else:
            above_median(guess, out[number])
