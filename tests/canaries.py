"""Made-up hashes that must never be seen, and a search for them in any output, in any form."""

from __future__ import annotations

import base64
import binascii
import re
import traceback
import zlib
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

COUNT = 1000
PART = 8
"""Bytes of a hash that give it away; so many are in no other text by chance."""
BITS = {
    "pdq": 256, "pdq-nearest512": 256, "pdq-thumb512": 256, "phash": 64, "dhash": 64, "ahash": 64,
    "whash": 64, "md5": 128, "sha1": 160, "sha256": 256,
}  # fmt: skip

HEX = re.compile(rb"[0-9a-fA-F]{12,}")
BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{11,}")
BASE32 = re.compile(rb"[A-Za-z2-7]{13,}")
NUMBERS = re.compile(rb"-?[0-9]+(?:[\s,;\[\]()]+-?[0-9]+)*")
DIGITS = re.compile(rb"-?[0-9]+")
TRUTHS = re.compile(rb"(?:True|False)(?:[\s,]+(?:True|False)){63,}")
ESCAPE = re.compile(rb"\\(?:x|u00)([0-9a-fA-F]{2})|\\([\\'\"abfnrtv])")
CONTROL = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))
SPLIT = re.compile(rb"""['"]\s+b?['"]""")
"""Where Python's printing goes on with long bytes on another line."""


@cache
def canaries(algorithm: str, count: int = COUNT) -> tuple[bytes, ...]:
    """Return made-up hashes of an algorithm, the same each time."""
    rng = np.random.default_rng([5, zlib.crc32(algorithm.encode())])
    return tuple(rng.bytes(BITS[algorithm] // 8) for _ in range(count))


@cache
def all_canaries() -> Detector:
    """Return a search for the canaries of all algorithms."""
    return Detector(value for algorithm in BITS for value in canaries(algorithm))


class Detector:
    """Finds any 8 bytes in a row of any of some hashes.

    Parameters
    ----------
    values : iterable of bytes
        The hashes. Parts of few different bytes, such as zeros, are in everything: not searched.
    """

    def __init__(self, values: Iterable[bytes]) -> None:
        by_size: dict[int, list[bytes]] = {}
        for value in values:
            for form in _orders(value):
                by_size.setdefault(len(form), []).append(form)
        parts = [np.empty((0, PART), np.uint8)]
        for size, forms in by_size.items():
            rows = np.frombuffer(b"".join(forms), np.uint8).reshape(-1, size)
            parts.append(np.lib.stride_tricks.sliding_window_view(rows, PART, 1).reshape(-1, PART))
        every = np.concatenate(parts)
        different = 1 + np.count_nonzero(np.diff(np.sort(every), axis=1), axis=1)
        every = np.ascontiguousarray(every[different > 4])
        self._parts = np.unique(every.view(np.uint64))

    def find(self, output: bytes | str) -> list[str]:
        """Return the forms in which a hash is in `output`; nothing is the answer to hope for."""
        if isinstance(output, str):
            output = output.encode(errors="surrogatepass")
        return [form for form, views in _views(output) if self._any_holds(list(views))]

    def _any_holds(self, views: list[bytes]) -> bool:
        """Whether one of many short ones holds a part; where all together do not, none does."""
        together = bytes(PART).join(views)
        return self._holds(together) and any(map(self._holds, views))

    def _holds(self, data: bytes) -> bool:
        for shift in range(min(PART, max(0, len(data) - PART + 1))):
            words = np.frombuffer(data, np.uint64, (len(data) - shift) // PART, shift)
            places = np.searchsorted(self._parts, words)
            if (self._parts[np.minimum(places, len(self._parts) - 1)] == words).any():
                return True
        return False


def _orders(value: bytes) -> Iterator[bytes]:
    """Yield a hash as it is written, as the machine holds its words, and from its end."""
    yield value
    padded = value + bytes(-len(value) % 8)
    words = b"".join(padded[i : i + 8][::-1] for i in range(0, len(padded), 8))
    yield words
    yield value[::-1]


def _views(output: bytes) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield what forms there are, and the bytes that `output` would be in each."""
    yield "raw", _raw(output)
    yield "hex", _hex(output)
    yield "base64", _base64(output)
    yield "base32", _base32(output)
    yield "numbers", _numbers(output)


def _raw(output: bytes) -> Iterator[bytes]:
    yield output
    if b"\0" in output:
        yield output.replace(b"\0", b"")  # UTF-16
    if b"\\" in output:
        yield ESCAPE.sub(_unescaped, SPLIT.sub(b"", output))
    if not output.isascii():  # each byte as a character of its own
        yield output.decode("utf-8", "replace").encode("latin-1", "replace")


def _unescaped(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return binascii.unhexlify(found[1])
    return bytes([CONTROL.get(found[2][0], found[2][0])])


def _hex(output: bytes) -> Iterator[bytes]:
    close = re.sub(rb"(?<=[0-9a-fA-F]{2})[ :_-](?=[0-9a-fA-F]{2})|(?<=[0-9a-fA-F])\n", b"", output)
    for text in {output.replace(b"\0", b""), close}:
        for digits in HEX.findall(text):
            # The first digits of a number may be zeros that are not shown.
            whole = digits.rjust(2 * PART, b"0")
            yield binascii.unhexlify(whole[: len(whole) & ~1])
            yield binascii.unhexlify(whole[1 : 1 + (len(whole) - 1 & ~1)])


def _base64(output: bytes) -> Iterator[bytes]:
    for run in BASE64.findall(output.replace(b"\0", b"")):
        text = run.translate(bytes.maketrans(b"-_", b"+/"))
        for start in range(4):
            # Digits that are no whole number of bytes are filled up; what they say stays.
            part = text[start:]
            part = part[: len(part) - 1] if len(part) % 4 == 1 else part
            yield base64.b64decode(part + b"=" * (-len(part) % 4))


def _base32(output: bytes) -> Iterator[bytes]:
    for run in BASE32.findall(output.replace(b"\0", b"")):
        for start in range(8):
            part = run[start:]
            yield base64.b32decode(part + b"A" * (-len(part) % 8), casefold=True)


def _numbers(output: bytes) -> Iterator[bytes]:
    for run in NUMBERS.findall(output):
        if len(run) < 16:
            continue
        digits = DIGITS.findall(run)
        numbers = [int(number) for number in digits if len(number) < 1000]
        if set(run) <= set(b"01 ,;[]()\n") and sum(map(len, digits)) >= 64:
            yield from _bits(b"".join(digits))
        for number in numbers:
            if number.bit_length() > 48:
                size = -(-number.bit_length() // 8)
                size += -size % 8
                yield (number % (1 << 8 * size)).to_bytes(size, "big")
        for size in (1, 2, 4, 8):
            most = 1 << 8 * size
            if len(numbers) > 1 and all(-most < number < most for number in numbers):
                yield b"".join((number % most).to_bytes(size, "big") for number in numbers)
    for run in TRUTHS.findall(output):
        yield from _bits(run.replace(b"True", b"1").replace(b"False", b"0"))


def _bits(text: bytes) -> Iterator[bytes]:
    bits = np.frombuffer(re.sub(rb"[^01]", b"", text), np.uint8) & 1
    for start in range(8):
        yield np.packbits(bits[start:]).tobytes()


def told(error: BaseException) -> str:
    """Return all that an error says, by itself and of every frame it came through.

    So much an error tracker sends: its text and arguments, those of the errors that it came of,
    hidden ones too, and the local variables of each frame.
    """
    parts, seen, left = [], set(), [error]
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        parts += [str(each), repr(each), repr(each.args), repr(vars(each))]
        parts += [repr(getattr(each, name, "")) for name in ("object", "doc", "lines", "rejected")]
        parts += traceback.format_exception(each)
        for frame, _ in traceback.walk_tb(each.__traceback__):
            parts += map(_repr, frame.f_locals.values())
        left += [other for other in (each.__cause__, each.__context__) if other is not None]
        left += getattr(each, "exceptions", ())
    return "\n".join(parts)


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # of what was half made when it failed
        return type(error).__name__
