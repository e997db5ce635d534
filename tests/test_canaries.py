"""No hash of a list is seen in anything: results, objects, errors, records, logs, files."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from canaries import all_canaries, canaries, told
from canary_lists import FILES, hash_in, spoilt, with_canaries
from canary_objects import of_ours, shown
from conftest import IMAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PICTURE = IMAGES / "plain" / "landscape-dusk.jpg"
SOURCE = "hashmatch/"


def silent(output: bytes | str, about: str = "") -> None:
    found = all_canaries().find(output)
    assert not found, f"a hash is shown as {', '.join(found)}: {about}"


@pytest.fixture(autouse=True)
def quiet_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Look at whatever is logged at DEBUG by anybody."""
    with caplog.at_level(logging.DEBUG):
        yield
    for record in caplog.records:
        silent(f"{record.getMessage()} {record.args!r} {vars(record)!r}", record.name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_list_and_its_matches(path: Path, tmp_path: Path) -> None:
    known = tmp_path / path.name
    known.write_bytes(with_canaries(path))
    assert all_canaries().find(known.read_bytes())
    file = hm.read_list_file(known)
    things: list[Any] = [file]
    for each in file.lists:
        matcher = hm.Matcher(each, max_distance=each.spec.bits)
        things += [each, matcher, each.index, each.entries[:], each.limits(0)]
        things += [hm.HashIndex.build(each, 8), each.hashes, each.hashes[0:1]]
        things += matcher.look_up(each.hashes)
        things += [matcher.check(PICTURE, surface="public_post")]
        things += [hm.read_list(known, each.spec.algorithm, skip_bad_rows=True)]
    for thing in things:
        for each in of_ours(thing):
            silent(shown(each), type(each).__name__)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_spoilt_list(path: Path, tmp_path: Path) -> None:
    known = tmp_path / path.name
    every = with_canaries(path)
    at_once = 40 if path.name == "demo-pdq.csv" else 5
    for what, data in spoilt(every, at_once):
        known.write_bytes(data)
        silent(outcome(lambda: hm.read_list_file(known)), what)


def outcome(call: Callable[[], Any]) -> str:
    """Return all that a call shows, whether it returns or raises what it may."""
    try:
        file = call()
    except hm.HashmatchError as error:
        return told(error)
    entries = [(entry, each.reference(row, b"0" * 16)) for each in file.lists for row, entry in enumerate(each.entries)]
    return f"{file!r} {entries}"
