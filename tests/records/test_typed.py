"""Types are read into by any number of threads, and each is taken apart by one."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any

import msgspec
import pytest

import hashmatch
from hashmatch.records import typed

SOURCES = Path(hashmatch.__file__).parent
ITSELF = re.compile(
    r"msgspec\.convert|(?:json|msgpack)\.decode\([^()]*(?:\([^()]*\)[^()]*)*\btype=|"
    r"msgspec\.(?:json|msgpack)\.Decoder\(\w"
)


@dataclass
class Inner:
    number: int


@dataclass
class Outer:
    inner: Inner


def test_what_is_read_is_of_the_type() -> None:
    value = Outer(Inner(3))
    assert typed.from_json('{"inner": {"number": 3}}', Outer) == value
    assert typed.from_json(msgspec.json.encode(value), Outer) == value
    assert typed.from_msgpack(msgspec.msgpack.encode(value), Outer) == value
    assert typed.converted({"inner": {"number": 3}}, Outer) == value
    assert typed.from_json("[[1]]", list[list[int]]) == [[1]]
    for kind in (Outer, list[int]):
        with pytest.raises(msgspec.ValidationError):
            typed.from_json('{"inner": 3}', kind)
    with pytest.raises(msgspec.ValidationError):
        typed.converted({"inner": "3"}, Outer)


def test_no_two_threads_take_types_apart_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work: list[int] = []
    decoder = msgspec.json.Decoder

    def slow(kind: Any) -> Any:
        at_work.append(1)
        assert len(at_work) == 1
        time.sleep(0.01)
        at_work.pop()
        return decoder(kind)

    monkeypatch.setattr(msgspec.json, "Decoder", slow)
    kinds = [dict[str, int], list[Inner], tuple[Outer, ...], Inner] * 2
    together = Barrier(len(kinds))
    typed._decoders.cache_clear()

    def read(kind: Any) -> Any:
        together.wait()
        return typed.json_decoder(kind)

    with ThreadPoolExecutor(len(kinds)) as threads:
        assert len(list(threads.map(read, kinds))) == len(kinds)


def test_nothing_reads_into_types_elsewhere() -> None:
    found = [
        f"{path.relative_to(SOURCES)}: {match[0]}"
        for path in sorted(SOURCES.rglob("*.py"))
        if path.name != "typed.py"
        for match in ITSELF.finditer(path.read_text())
    ]
    assert found == []
