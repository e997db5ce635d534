"""The rows that a search writes to: for use in between, and what is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.candidates import (
    BEFORE,
    LINE_AT,
    NEAR_ONES,
    OF_BAND,
    OF_GROUP,
    OF_START,
    QUERY,
    ROOM,
    SIGNATURE,
)
from hashmatch._kernels.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

EVERY = -1
"""Stands for the entry in the one row of a query that was given up."""
BETWEEN = 1 + 2 * ROOM
"""Rows for use in between, besides the lines that a query looks at in a band."""


@kernel
def divided(
    room: NDArray[np.int64], widest: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows for hits, for candidates, and for what is found; the first is for counts."""
    hits, out = BETWEEN - ROOM, BETWEEN + widest
    return room[hits:out], room[1:hits], room[out:]


@kernel
def note(
    hits: NDArray[np.int64],
    at: int,
    line: int,
    near: np.uint64,
    q: int,
    band: int,
    group: int,
    start: int,
    before: int,
    signature: int,
) -> None:
    """Write a row of `hits`."""
    hits[at, LINE_AT], hits[at, NEAR_ONES], hits[at, QUERY] = line, np.int64(near), q
    hits[at, OF_BAND], hits[at, OF_GROUP], hits[at, OF_START] = band, group, start
    hits[at, BEFORE], hits[at, SIGNATURE] = before, signature


@kernel
def without_given_up(found: int, work: NDArray[np.int64], most: int, out: NDArray[np.int64]) -> int:
    """Put one row in the place of all of a query that was given up; return how many are left.

    Or minus that, if there is such a query.
    """
    given_up = 0
    for q in range(work.shape[0]):
        given_up += work[q] > most
    if given_up == 0:
        return found
    if found + given_up > out.shape[0]:
        return -(found + given_up)
    left = 0
    for i in range(found):
        if work[out[i, 0]] <= most:
            out[left, 0], out[left, 1], out[left, 2] = out[i, 0], out[i, 1], out[i, 2]
            left += 1
    for q in range(work.shape[0]):
        if work[q] > most:
            out[left, 0], out[left, 1], out[left, 2] = q, EVERY, 0
            left += 1
    return -left
