"""The search for canaries finds each form of them, and nothing where there is none."""

from __future__ import annotations

import base64
import json
import pprint
import random
import textwrap
from typing import TYPE_CHECKING

import numpy as np
import pytest

from canaries import BITS, COUNT, all_canaries, canaries, told

if TYPE_CHECKING:
    from collections.abc import Callable

VALUE = canaries("pdq")[417]
SHORT = canaries("phash")[3]
WORDS = np.frombuffer(VALUE, ">u8").astype(np.uint64)


def bits(value: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in value)


FORMS: dict[str, Callable[[bytes], str | bytes]] = {
    "hex": lambda v: v.hex(),
    "upper case": lambda v: v.hex().upper(),
    "hex after other digits": lambda v: "a" + v.hex() + "0",
    "hex with colons": lambda v: v.hex(":"),
    "hex in pairs": lambda v: v.hex(" "),
    "hex of words": lambda v: v.hex(" ", 8),
    "a number in hex": lambda v: hex(int.from_bytes(v)),
    "words in hex": lambda v: ", ".join(map(hex, np.frombuffer(v, ">u8").tolist())),
    "machine's words in hex": lambda v: np.frombuffer(v, ">u8").astype(np.uint64).tobytes().hex(),
    "reversed": lambda v: v[::-1].hex(),
    "half of it": lambda v: v.hex()[: len(v)] if len(v) > 8 else v.hex(),
    "base64": lambda v: base64.b64encode(v).decode(),
    "base64 one later": lambda v: base64.b64encode(b"x" + v).decode(),
    "base64 two later": lambda v: base64.b64encode(b"xy" + v).decode(),
    "base64 for addresses": lambda v: base64.urlsafe_b64encode(v).decode().rstrip("="),
    "base32": lambda v: base64.b32encode(v).decode(),
    "base32 in lower case": lambda v: base64.b32encode(v).decode().lower().rstrip("="),
    "decimal": lambda v: str(int.from_bytes(v)),
    "words in decimal": lambda v: str(np.frombuffer(v, ">u8").tolist()),
    "words of the machine": lambda v: str(np.frombuffer(v, "<u8").tolist()),
    "signed words": lambda v: str(np.frombuffer(v, ">i8").tolist()),
    "an array of words": lambda v: repr(np.frombuffer(v, ">u8").astype(np.uint64).reshape(1, -1)),
    "an array of bytes": lambda v: repr(np.frombuffer(v, np.uint8)),
    "a list of bytes": lambda v: str(list(v)),
    "an array of halves": lambda v: repr(np.frombuffer(v, ">u4").astype(np.uint32)),
    "raw": lambda v: v,
    "raw words": lambda v: np.frombuffer(v, ">u8").astype(np.uint64).tobytes(),
    "repr of bytes": repr,
    "repr of a bytearray": lambda v: repr(bytearray(v)),
    "repr of words": lambda v: repr(np.frombuffer(v, ">u8").astype(np.uint64).tobytes()),
    "characters": lambda v: v.decode("latin-1"),
    "JSON of characters": lambda v: json.dumps(v.decode("latin-1")),
    "UTF-16": lambda v: v.hex().encode("utf-16"),
    "binary digits": bits,
    "binary digits apart": lambda v: " ".join(bits(v)),
    "binary digits after others": lambda v: "101" + bits(v),
    "an array of bits": lambda v: repr(np.unpackbits(np.frombuffer(v, np.uint8)).tolist()),
    "truths": lambda v: str([bit == "1" for bit in bits(v)]),
    "over two lines": lambda v: "\n".join(textwrap.wrap(v.hex(), 12)),
    "printed prettily": lambda v: pprint.pformat({"value": [v, v]}, width=40),
}


@pytest.mark.parametrize("algorithm", ["pdq", "phash"])
@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_found(form: str, algorithm: str) -> None:
    detector = all_canaries()
    for value in canaries(algorithm)[:: COUNT // 10]:
        shown = FORMS[form](value)
        around = shown if isinstance(shown, bytes) else shown.encode("utf-8")
        if form != "UTF-16":
            around = b"line 3: the hash '" + around + b"' is wrong\n"
        assert detector.find(around), form


def test_every_canary_of_every_algorithm_is_found() -> None:
    detector = all_canaries()
    for algorithm, size in BITS.items():
        values = canaries(algorithm)
        assert len(set(values)) == COUNT
        for value in values:
            assert len(value) * 8 == size
            assert detector.find(value.hex())


def test_nothing_is_found_where_nothing_is() -> None:
    detector = all_canaries()
    rng = random.Random(1)
    for _ in range(300):
        assert not detector.find(f"ref:{rng.randbytes(12).hex()} b2-{rng.randbytes(12).hex()}")
        assert not detector.find(rng.randbytes(5000))
        assert not detector.find(base64.b64encode(rng.randbytes(300)))
    assert not detector.find(b"")
    assert not detector.find("0" * 64 + str([0] * 64) + "f" * 64)
    assert not detector.find("\\ a name with a backslash \\x and \\u00 and \\N at its end\\")
    value = canaries("pdq")[0]
    assert not detector.find(value.hex()[:14])  # seven bytes could be anything


def test_what_an_error_carries_along_is_told() -> None:
    def raises(text: str) -> None:
        try:
            held = text  # noqa: F841
            int("x")
        except ValueError:
            raise KeyError("hidden") from None

    with pytest.raises(KeyError) as caught:
        raises(VALUE.hex())
    assert all_canaries().find(told(caught.value)) == ["hex"]
    with pytest.raises(UnicodeDecodeError) as undecodable:
        VALUE.decode("ascii")
    assert "raw" in all_canaries().find(told(undecodable.value))
