"""What a block file would hold, in pieces: for files that are encrypted before they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch.index_file.layout import padded
from hashmatch.index_file.writing import _bytes, _check, _checksum, _header

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.index_file.layout import Description
    from hashmatch.index_file.writing import Blocks


def in_pieces(description: Description, blocks: Blocks) -> Iterator[bytes | memoryview]:
    """Yield the bytes that `write` would write, one after the other.

    Parameters
    ----------
    description : Description
    blocks : sequence of (str, ndarray)
        As for `write`.
    """
    _check(blocks)
    kinds = [(name, array.dtype, array.shape, _checksum(array)) for name, array in blocks]
    head, _, _ = _header(description, kinds)
    yield head
    for _, array in blocks:
        yield _bytes(array)
        yield bytes(padded(array.nbytes) - array.nbytes)
