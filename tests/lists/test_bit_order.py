"""Bits in another order or sense, against the naive way to say it."""

from __future__ import annotations

from itertools import permutations

import pytest

import hashmatch as hm
from hashmatch.lists.bit_order import ORDERS, UNCHANGED, check_orders, orders_for, reordered
from hashmatch.testing import random_hashes


def naive(digits: str, order: str) -> str:
    """Return binary digits after one of the orders."""
    if order == "reversed":
        return digits[::-1]
    if order == "inverted":
        return "".join("10"[int(digit)] for digit in digits)
    if order == "bytes-reversed":
        return "".join(digits[i : i + 8][::-1] for i in range(0, len(digits), 8))
    side = int(len(digits) ** 0.5)
    return "".join(digits[row * side + column] for column in range(side) for row in range(side))


def in_digits(data: bytes) -> str:
    return f"{int.from_bytes(data):0{len(data) * 8}b}"


@pytest.mark.parametrize("bits", [64, 256])
def test_each_order_and_each_pair(bits: int) -> None:
    spec = hm.HashSpec("pdq", bits)
    hashes = [bytes.fromhex(text) for text in random_hashes(spec, 5, seed=bits).to_hex()]
    for chain in [(), *((one,) for one in ORDERS), *permutations(ORDERS, 2)]:
        expected = [in_digits(data) for data in hashes]
        for order in chain:
            expected = [naive(digits, order) for digits in expected]
        together = reordered(b"".join(hashes), bits, chain)
        assert in_digits(together) == "".join(expected)
        assert reordered(together, bits, chain[::-1]) == b"".join(hashes)  # undone


def test_reversed_and_bytes_reversed_put_the_last_byte_first() -> None:
    number = 0x0123456789ABCDEF
    swapped = reordered(number.to_bytes(8, "little"), 64, ("reversed", "bytes-reversed"))
    assert swapped == number.to_bytes(8, "big")
    assert reordered(b"", 64, ["inverted"]) == b""


def test_digests_have_one_order() -> None:
    assert reordered(b"\x80" + bytes(19), 160, ["reversed"]) == bytes(19) + b"\x01"
    assert orders_for("sha1", ["transposed", "reversed"]) == ()
    with pytest.raises(hm.UsageError, match="digests of files have their bits in one order only"):
        check_orders(["sha1=reversed"])


def test_orders_are_of_all_hashes_of_pictures_or_of_one_algorithm() -> None:
    told = ("phash=reversed", "inverted", "pdq=transposed", f"dhash={UNCHANGED}")
    check_orders(told)
    assert orders_for("phash", told) == ("reversed", "inverted")
    assert orders_for("pdq-nearest512", told) == ("inverted", "transposed")
    assert orders_for("dhash", told) == ("inverted",)
    assert orders_for("dhash", [UNCHANGED]) == ()
    with pytest.raises(hm.UsageError, match=r"cannot read bits in the order 'mirrored'. Give rev"):
        check_orders(["reversed", "mirrored"])
