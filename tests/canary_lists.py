"""The lists of the fixtures with canaries for hashes, and all that can be done to spoil them."""

from __future__ import annotations

import base64
import re
from collections import Counter
from typing import TYPE_CHECKING

from canaries import canaries
from conftest import LISTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HASH = re.compile(rb"\b(?:[0-9a-fA-F]{16}|[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64})\b")
PHOTODNA = re.compile(rb"[A-Za-z0-9+/]{100,}={0,2}")
BY_DIGITS = {16: "phash", 32: "md5", 40: "sha1", 64: "pdq"}
TOKEN = re.compile(rb"[A-Za-z0-9_.+/=@#:-]+")
FILES = sorted(LISTS.iterdir())


def with_canaries(path: Path) -> bytes:
    """Return a list of the fixtures with another canary for each of its hashes."""
    used: Counter[str] = Counter()
    instead: dict[bytes, bytes] = {}

    def canary(found: re.Match[bytes]) -> bytes:
        text = found[0]
        if text.lower() not in instead:
            kind = BY_DIGITS[len(text)]
            instead[text.lower()] = canaries(kind)[used[kind]].hex().encode()
            used[kind] += 1
        other = instead[text.lower()]
        return other.upper() if text.upper() == text else other

    data = HASH.sub(canary, path.read_bytes())
    return PHOTODNA.sub(base64.b64encode(b"".join(canaries("pdq")[500:504])), data)


def hash_in(data: bytes) -> bytes:
    """Return the first hash of a list."""
    found = HASH.search(data)
    assert found
    return found[0]


def spoilt(data: bytes, at_once: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yield what was done, and the list after it.

    A hash of the list stands once in the place of each word and number; of some of them at once if
    that is told. Each of its first hashes is cut, made longer, made no hash; and the file ends.
    """
    value = hash_in(data)
    tokens = list(TOKEN.finditer(data))[:400]
    for first in range(0, len(tokens), at_once):
        changed = data
        for token in reversed(tokens[first : first + at_once]):
            changed = changed[: token.start()] + value + changed[token.end() :]
        yield f"a hash for {tokens[first][0].decode()} ({first})", changed
    for number, found in enumerate(list(HASH.finditer(data))[:3]):
        before, text, after = data[: found.start()], found[0], data[found.end() :]
        for what, other in {
            "cut": text[:-4],
            "longer": text + b"00",
            "no hex": text[:-1] + b"x",
            "twice": text * 2,
            "two": text + b" " + text[::-1],
            "after a sign": b"=" + text,
            "quoted": b'"' + text,
            "with a comma": text + b"," + text,
            "not text": text + b"\xff",
            "with a NUL": text + b"\0",
            "with a return": text + b"\r" + text,
            "in brackets": b"[" + text + b"]",
            "as base64": base64.b64encode(bytes.fromhex(text.decode())),
            "as base32": base64.b32encode(bytes.fromhex(text.decode())),
        }.items():
            yield f"{what} ({number})", before + other + after
        for end in (found.start() + 20, found.end(), found.end() + 1):
            yield f"ends at {end}", data[:end]
    yield "nothing else", value
    yield "hashes for names", data.replace(b"id", value).replace(b"hash", value)
