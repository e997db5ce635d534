"""Bits of a hash taken as a ring, in which the first bit follows the last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


@kernel
def ring_bits(words: NDArray[np.uint64], row: int, first: int, count: int) -> int:
    """Return `count` bits, 1 to 32, of a row of hashes from bit `first` on, as in a ring.

    `first` may lie beyond the end, by less than once around.
    """
    width = words.shape[1]
    word = first >> 6
    if word >= width:
        word -= width
    after = word + 1
    if after == width:
        after = 0
    shift = np.uint64(first & 63)
    window = (words[row, word] << shift) | (
        (words[row, after] >> np.uint64(1)) >> (np.uint64(63) - shift)
    )
    return np.int64(window >> np.uint64(64 - count))  # type: ignore[return-value]
