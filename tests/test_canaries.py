"""No hash of a list is seen in anything: results, objects, errors, records, logs, files."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from canaries import Detector, all_canaries, canaries, told
from canary_lists import FILES, spoilt, with_canaries
from canary_objects import found_again, of_ours, shown
from conftest import IMAGES, LISTS
from forced_errors import failures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PICTURE = IMAGES / "plain" / "landscape-dusk.jpg"
SOURCE = "hashmatch/"


def silent(output: bytes | str, about: str = "", detector: Detector | None = None) -> None:
    found = (detector or all_canaries()).find(output)
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
        matcher = hm.Matcher(each, max_distance=each.spec.bits, max_matches=10)
        things += [each, matcher, each.index, each.entries[:], each.limits(0)]
        things += [hm.HashIndex.build(each, 8), each.hashes, each.hashes[0:1]]
        things += found_again(matcher, each)
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
        file = read(known)
        if isinstance(file, hm.HashmatchError):
            silent(told(file), what)
            continue
        silent(repr(file), what)
        # A hash that was read as a name, and is nowhere in the list, is a name.
        hashes = (bytes.fromhex(text) for each in file.lists for text in each.hashes.to_hex())
        silent(repr(named(file)), what, Detector(hashes))


def read(path: Path) -> hm.ListFile | hm.HashmatchError:
    """Return what is read, or the error; no frame of the test itself is in that."""
    try:
        return hm.read_list_file(path)
    except hm.HashmatchError as error:
        return error


def named(file: hm.ListFile) -> list[Any]:
    """Return what a list says of its entries, and how matches name them."""
    return [
        (entry, each.reference(row, bytes(16)))
        for each in file.lists
        for row, entry in enumerate(each.entries)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_reading_that_fails_anywhere(path: Path, tmp_path: Path) -> None:
    if path.name == "demo-pdq.csv":
        return  # no format of its own, and long
    known = tmp_path / path.name
    known.write_bytes(with_canaries(path))
    count = 0
    for where, error in failures(lambda: hm.read_list_file(known)):
        count += 1
        silent(told(error), where)
    assert count > 20


def test_use_that_fails_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "known.csv"
    path.write_bytes(with_canaries(LISTS / "bad-rows.csv"))
    known = hm.read_list(path, skip_bad_rows=True)
    others = hm.HashBatch.from_bytes(known.spec, b"".join(canaries("pdq")[900:903]))
    asked = hm.HashBatch.from_hex(known.spec, ["1f" * 32])
    place = tmp_path / "index"

    def use() -> None:
        matcher = hm.Matcher(known, benign=known, max_distance=256)
        matcher.look_up(others)
        matcher.check(PICTURE, surface="public_post")
        (tmp_path / "out").unlink(missing_ok=True)
        hm.write_list(known, tmp_path / "out", reveal_hashes=True)
        index = hm.HashIndex.build(known, 8)
        index.search(asked, 256)  # what one asks about is one's own, and may be seen
        index.save(place)
        hm.HashIndex.open(place).with_changes(others, [0])
        hm.HashIndex.build_file(place, known, 8)

    count = 0
    for where, error in failures(use):
        count += 1
        silent(told(error), where)
    assert count > 100


def test_without_forgetting_it_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "known.csv"
    path.write_bytes(with_canaries(LISTS / "bad-rows.csv"))
    monkeypatch.setattr("hashmatch._redact.clear_frames", lambda trace: None)
    shown = [
        where
        for where, error in failures(lambda: hm.read_list_file(path))
        if all_canaries().find(told(error))
    ]
    assert len(shown) > 10
