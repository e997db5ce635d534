"""Which hashes say nothing: near one of some references, or made of few different pieces.

The naive loop (``tests/naive.py`` has it in pure Python)::

    for hash in hashes:
        for reference, radius, code in references:
            if popcount(hash ^ reference) <= radius: the code is its answer
        if its 16-bit pieces are at most `few` different ones: low is its answer
        if they are at most `unbalanced`, and its bits far from half of them: the same
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel
from hashmatch._kernels.simd import popcount

if TYPE_CHECKING:
    from numpy.typing import NDArray


@kernel
def mark_degenerate(
    words: NDArray[np.uint64],
    references: NDArray[np.uint64],
    radii: NDArray[np.int64],
    codes: NDArray[np.uint8],
    pieces: int,
    few: int,
    unbalanced: int,
    low: int,
    out: NDArray[np.uint8],
) -> None:
    """Write a code for each hash: of the first reference that is near it, else `low`, else 0.

    Parameters
    ----------
    words : ndarray of uint64, shape (n, words)
        The hashes.
    references : ndarray of uint64, shape (m, words)
    radii, codes : ndarray of int64 and of uint8, shape (m,)
        Of each reference: how near, inclusive, in bits; and what to write then.
    pieces : int
        How many pieces of 16 bits a hash has.
    few : int
        A hash of at most so many different pieces is `low`; 0 asks nothing of them.
    unbalanced : int
        The same of a hash with less than 7 or more than 9 sixteenths of its bits set.
    low : int
        What to write for such a hash.
    out : ndarray of uint8, shape (n,)
    """
    seen = np.empty(unbalanced + 1, np.uint64)
    bits = 16 * pieces
    for row in range(words.shape[0]):
        code = 0
        for r in range(references.shape[0]):
            distance = 0
            for w in range(words.shape[1]):
                distance += popcount(words[row, w] ^ references[r, w])
                if distance > radii[r]:
                    break
            if distance <= radii[r]:
                code = codes[r]
                break
        if code == 0 and few > 0:
            # Nearly every hash has more than `few` different pieces among its first `few` + 1, so
            # that they are looked through one after the other instead of being sorted.
            most = few
            ones = 0
            for w in range(words.shape[1]):
                ones += popcount(words[row, w])
            if 16 * ones < 7 * bits or 16 * ones > 9 * bits:
                most = unbalanced
            count = 0
            for p in range(pieces):
                shift = np.uint64(48 - 16 * (p % 4))
                piece = (words[row, p // 4] >> shift) & np.uint64(0xFFFF)
                is_new = True
                for s in range(count):
                    if seen[s] == piece:
                        is_new = False
                        break
                if is_new:
                    seen[count] = piece
                    count += 1
                    if count > most:
                        break
            if count <= most:
                code = low
        out[row] = code
