"""Bits in another order or sense, against the naive way to say it."""

from __future__ import annotations

from itertools import permutations

import pytest

import hashmatch as hm
from hashmatch.lists.conversions import CONVERSIONS, convert_bits, parse_conversions
from hashmatch.testing import random_hashes


def naive(digits: str, conversion: str) -> str:
    """Return binary digits after one conversion."""
    if conversion == "reversed":
        return digits[::-1]
    if conversion == "inverted":
        return "".join("10"[int(digit)] for digit in digits)
    if conversion == "bytes-reversed":
        return "".join(digits[i : i + 8][::-1] for i in range(0, len(digits), 8))
    side = int(len(digits) ** 0.5)
    return "".join(digits[row * side + column] for column in range(side) for row in range(side))


def in_digits(data: bytes) -> str:
    return f"{int.from_bytes(data):0{len(data) * 8}b}"


@pytest.mark.parametrize("bits", [64, 256])
def test_each_conversion_and_each_pair(bits: int) -> None:
    hashes = [
        bytes.fromhex(text)
        for text in random_hashes(hm.HashSpec("pdq", bits), 5, seed=bits).to_hex()
    ]
    chains = [(), *((one,) for one in CONVERSIONS), *permutations(CONVERSIONS, 2)]
    for chain in chains:
        expected = [in_digits(data) for data in hashes]
        for conversion in chain:
            expected = [naive(digits, conversion) for digits in expected]
        together = convert_bits(b"".join(hashes), bits, chain)
        assert in_digits(together) == "".join(expected)
        assert convert_bits(together, bits, chain[::-1]) == b"".join(hashes)  # undone


def test_reversed_and_bytes_reversed_put_the_last_byte_first() -> None:
    number = 0x0123456789ABCDEF
    swapped = convert_bits(number.to_bytes(8, "little"), 64, ("reversed", "bytes-reversed"))
    assert swapped == number.to_bytes(8, "big")


def test_160_bits_are_reversed_and_cannot_be_transposed() -> None:
    assert convert_bits(b"\x80" + bytes(19), 160, ["reversed"]) == bytes(19) + b"\x01"
    with pytest.raises(hm.UsageError, match="cannot transpose a hash of 160 bits"):
        convert_bits(bytes(20), 160, ["transposed"])


def test_no_hash_at_all_and_no_conversion() -> None:
    assert convert_bits(b"", 64, ["inverted"]) == b""
    assert convert_bits(bytearray(b"\x01" * 8), 64, ()) == b"\x01" * 8


def test_conversions_are_named_in_one_text() -> None:
    assert parse_conversions("") == ()
    assert parse_conversions("inverted, reversed") == ("inverted", "reversed")
    with pytest.raises(hm.UsageError, match=r"by 'mirrored': the conversions are reversed, "):
        parse_conversions("reversed,mirrored")
    with pytest.raises(hm.UsageError, match="by 'mirrored'"):
        convert_bits(bytes(8), 64, ["mirrored"])
