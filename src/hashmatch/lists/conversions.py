"""Bits of hashes that other tools write in another order or sense, brought into ours.

How a tool writes a hash as text (decimal, binary digits, base64 and so on) is what
`hashmatch.records.hashes.HashSpec.parse` undoes; this is about the bits it stands for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

CONVERSIONS = ("reversed", "bytes-reversed", "inverted", "transposed")
"""What ``--bits`` undoes. Each undoes itself, so that it says as well what the tool did:

- ``reversed``: the last bit first, as python-libphash writes its phash;
- ``bytes-reversed``: in each byte the last bit first, as OpenCV's img_hash packs them;
- ``inverted``: every bit the other one, as perception's dhash;
- ``transposed``: the square of bits column by column.

Several are done in the order in which they are named: ``reversed`` and ``bytes-reversed`` together
put the last byte first, as numbers lie in memory.
"""


def parse_conversions(text: str) -> tuple[str, ...]:
    """Return the conversions that `text` names, separated by commas; none if it is empty.

    Raises
    ------
    UsageError
        If there is no such conversion.

    Examples
    --------
    >>> parse_conversions("reversed,inverted")
    ('reversed', 'inverted')
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in CONVERSIONS:
            raise UsageError(
                f"cannot convert bits by {name!r}: the conversions are {', '.join(CONVERSIONS)}"
            )
    return names


def convert_bits(data: bytes | bytearray, bits: int, conversions: Sequence[str]) -> bytes:
    """Return hashes with their bits in another order or sense.

    Parameters
    ----------
    data : bytes or bytearray
        Any number of hashes of `bits` bits, one after the other.
    bits : int
        Length of each; a multiple of 8.
    conversions : sequence of str
        Of `CONVERSIONS`, done in this order.

    Raises
    ------
    UsageError
        If there is no such conversion, or the bits to transpose make no square.

    Examples
    --------
    >>> convert_bits(bytes.fromhex("8000000000000001"), 64, ["bytes-reversed"]).hex()
    '0100000000000080'
    >>> convert_bits(bytes.fromhex("8000000000000001"), 64, ["reversed", "inverted"]).hex()
    '7ffffffffffffffe'
    """
    if not conversions:
        return bytes(data)
    planes = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(-1, bits)
    for conversion in conversions:
        if conversion == "reversed":
            planes = planes[:, ::-1]
        elif conversion == "bytes-reversed":
            planes = planes.reshape(-1, bits // 8, 8)[..., ::-1].reshape(-1, bits)
        elif conversion == "inverted":
            planes = 1 - planes
        elif conversion == "transposed":
            side = math.isqrt(bits)
            if side * side != bits:
                raise UsageError(f"cannot transpose a hash of {bits} bits: they make no square")
            planes = planes.reshape(-1, side, side).swapaxes(1, 2).reshape(-1, bits)
        else:
            parse_conversions(conversion)
    return np.packbits(planes).tobytes()
