"""The order and sense in which other tools write the bits of a hash, and ours made of it."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

import numpy as np

from hashmatch import registry
from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Bits = NDArray[np.uint8]

UNCHANGED = "unchanged"
"""What says that bits are as we have them, where a store remembers something else."""


def _transposed(bits: Bits) -> Bits:
    side = isqrt(bits.shape[1])
    return bits.reshape(-1, side, side).transpose(0, 2, 1).reshape(len(bits), -1)


ORDERS: dict[str, Callable[[Bits], Bits]] = {
    "reversed": lambda bits: bits[:, ::-1],
    "bytes-reversed": lambda bits: bits.reshape(len(bits), -1, 8)[:, :, ::-1].reshape(bits.shape),
    "inverted": lambda bits: 1 - bits,
    "transposed": _transposed,
}
"""Of bits of hashes, shape (n, bits): the last first; the last of each byte first; each the other;
columns for rows of the square. Each undoes itself."""


def reordered(values: bytes, size: int, orders: Sequence[str]) -> bytes:
    """Return hashes, one after the other, with their bits in other orders, one after the other.

    Parameters
    ----------
    values : bytes
        ``size // 8`` bytes each.
    size : int
        Bits of a hash.
    orders : sequence of str
        Of `ORDERS`.

    Examples
    --------
    >>> reordered(bytes.fromhex("f000000000000001"), 64, ["reversed"]).hex()
    '800000000000000f'
    >>> reordered(bytes.fromhex("f000000000000001"), 64, ["bytes-reversed", "inverted"]).hex()
    'f0ffffffffffff7f'
    >>> reordered(bytes.fromhex("f000000000000001"), 64, ["transposed"]).hex()
    '8080808000000001'
    """
    bits = np.unpackbits(np.frombuffer(values, np.uint8)).reshape(-1, size)
    for order in orders:
        bits = ORDERS[order](bits)
    return np.packbits(bits).tobytes()


def check_orders(told: Sequence[str]) -> None:
    """Raise UsageError unless each is an order, or one for an algorithm: ``phash=reversed``."""
    for each in told:
        algorithm, separator, order = each.rpartition("=")
        if order not in {*ORDERS, UNCHANGED}:
            raise UsageError(
                f"cannot read bits in the order {order!r}. Give {', '.join(ORDERS)} or {UNCHANGED}"
            )
        if separator and (reads := registry.hasher(algorithm).reads) != "pixels":
            what = "digests of files" if reads == "bytes" else "frames of videos"
            raise UsageError(
                f"cannot use {each}: {what} have their bits in one order only. Leave it out"
            )
        if separator and order == "transposed":
            _check_square(algorithm)


def orders_for(algorithm: str, told: Sequence[str]) -> tuple[str, ...]:
    """Return the orders of `told` that are those of an algorithm; none but of pictures' hashes.

    UsageError if its bits are no square that could be transposed.
    """
    if not told or registry.hasher(algorithm).reads != "pixels":
        return ()
    names = {"", algorithm, algorithm.partition("-")[0]}  # pdq is any profile of it
    parts = [each.rpartition("=") for each in told]
    orders = [order for name, _, order in parts if name in names and order != UNCHANGED]
    if "transposed" in orders:
        _check_square(algorithm)
    return tuple(orders)


def _check_square(algorithm: str) -> None:
    bits = registry.spec(algorithm).bits
    if isqrt(bits) ** 2 != bits:
        raise UsageError(f"cannot transpose the {bits} bits of {algorithm}: they are no square")
