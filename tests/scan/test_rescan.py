"""Hashes that were kept meet what an update added, and nothing else, without any image."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from cli_tools import IMAGES, run
from hashmatch.lists.export import write_list
from hashmatch.scan.hash_archive import Keeper
from hashmatch.testing import random_hashes

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = IMAGES / "plain"
PDQ = hm.HashSpec("pdq", 256)
NOISE = random_hashes(PDQ, 60, seed=9).to_hex()
START = datetime(2026, 1, 1, tzinfo=UTC)


def rows(path: Path, hashes: dict[str, str]) -> Path:
    path.write_text("".join(f"{value},{name}\n" for name, value in hashes.items()))
    return path


def hash_of(name: str) -> str:
    return hm.hash_image(PLAIN / name).hex


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """A store of noise and the hash of one picture."""
    first = {f"noise-{n}": value for n, value in enumerate(NOISE)}
    first["known"] = hash_of("tiles.png")
    store = tmp_path / "lists"
    hm.ListStore(store).import_files([str(rows(tmp_path / "first.txt", first))])
    return store


def records(
    photos: Path, known: tuple[hm.HashList, ...], keeper: Keeper | None = None
) -> list[dict[str, Any]]:
    matcher = hm.Matcher(*known)
    keep = None if keeper is None else keeper.add
    found = hm.scan_source(photos, matcher, surface="profile_photo", on_hashed=keep)
    return [json.loads(one.to_json()) for one in found if isinstance(one, hm.ReviewRecord)]


def test_only_what_was_added_is_matched_and_as_a_scan_would(tmp_path: Path, lists: Path) -> None:
    photos, store = tmp_path / "photos", hm.ListStore(lists)
    shutil.copytree(PLAIN, photos)
    known = store.open()
    with Keeper(tmp_path / "kept", timedelta(days=30), known) as keeper:
        before = records(photos, known, keeper)
    assert [record["item"]["key"] for record in before] == ["tiles.png"]
    new = sorted(path.name for path in PLAIN.iterdir() if path.name != "tiles.png")[:2]
    rows(tmp_path / "second.txt", {f"new-{name}": hash_of(name) for name in new})
    assert run("list", "update", lists, tmp_path / "second.txt").code == 0
    expected = {
        record["record_id"]: record
        for record in records(photos, store.open())
        if record["item"]["key"] in new
    }
    shutil.rmtree(photos)  # no image is read again
    found = run("rescan", tmp_path / "kept", "--list", lists)
    assert (found.code, "2 records for review" in found.said) == (0, True)
    assert {line["record_id"] for line in found.lines} == set(expected)
    for line in found.lines:
        same = expected[line["record_id"]]
        assert {**line, "created_at": ""} == {**same, "created_at": ""}


def test_since_says_from_when(tmp_path: Path, lists: Path) -> None:
    with Keeper(tmp_path / "kept", timedelta(days=9000), now=START) as keeper:  # no list is known
        for path in sorted(PLAIN.iterdir()):
            item = hm.ImageItem(path.name, "v1", hm.Surface.PROFILE_PHOTO)
            keeper.add(item, hm.hash_all(path, ["pdq", "md5"]))
    store = hm.ListStore(lists)
    (other,) = [path.name for path in PLAIN.iterdir() if path.name.startswith("stripes")][:1] or [
        sorted(path.name for path in PLAIN.iterdir())[0]
    ]
    store.update_files([str(rows(tmp_path / "second.txt", {"later": hash_of(other)}))])

    def entries(**options: int) -> set[str]:
        found = hm.rescan_kept(tmp_path / "kept", store, hm.Matcher, **options)  # type: ignore[arg-type]
        return {match.entry for record in found for match in record.matches}

    assert entries() == {"known", "later"}
    assert entries(since=1) == {"later"}
    assert entries(since=2) == set()
    with pytest.raises(hm.StoreError, match="has no version 7; it has 1, 2"):
        entries(since=7)
    with pytest.raises(hm.StoreError, match="no md5 hashes"):
        list(hm.rescan_kept(tmp_path / "kept", store, hm.Matcher, algorithm="md5"))


def test_entries_without_an_id_are_named_as_in_a_scan(tmp_path: Path, lists: Path) -> None:
    (tmp_path / "second.txt").write_text(hash_of("tiles.png")[:-1] + "0\n")
    store = hm.ListStore(lists)
    store.update_files([str(tmp_path / "second.txt")])
    scanned = hm.Matcher(*store.open()).check(PLAIN / "tiles.png", surface="profile_photo")
    with Keeper(tmp_path / "kept", timedelta(days=1)) as keeper:
        item = hm.ImageItem("tiles.png", "v1", hm.Surface.PROFILE_PHOTO)
        keeper.add(item, hm.hash_all(PLAIN / "tiles.png", ["pdq"]))
    (record,) = hm.rescan_kept(tmp_path / "kept", store, hm.Matcher, since=1)
    (match,) = record.matches
    assert match.entry.startswith("ref:")
    assert isinstance(scanned, hm.ReviewRecord)
    assert match.entry in {one.entry for one in scanned.matches}


def test_what_is_too_old_is_removed_and_not_matched(tmp_path: Path, lists: Path) -> None:
    with Keeper(tmp_path / "kept", timedelta(days=1), now=START) as keeper:
        item = hm.ImageItem("tiles.png", "v1", hm.Surface.PROFILE_PHOTO)
        keeper.add(item, hm.hash_all(PLAIN / "tiles.png", ["pdq"]))
    found = run("rescan", tmp_path / "kept", "--list", lists)
    assert (found.code, found.lines) == (0, [])
    assert "1 files were too old, and removed" in found.said
    assert list((tmp_path / "kept").iterdir()) == []


def test_what_is_written_reads_back(tmp_path: Path, lists: Path) -> None:
    (known,) = hm.ListStore(lists).open()
    for form in ("jsonl", "pdq-text"):
        count = write_list(known, tmp_path / form, form, reveal_hashes=True)
        again = hm.read_list(tmp_path / form)
        assert (count, again.hashes) == (61, known.hashes)
        assert again.entries == known.entries


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["nothing", "--list", "lists"], "no folder of kept hashes"),
        (["kept", "--list", "nothing"], "is no list store"),
        (["kept", "--list", "lists", "--since", "9"], "no version 9"),
        (["kept", "--list", "lists", "-a", "md5"], "no md5 hashes"),
        (["kept", "--list", "lists", "-o", "kept/x.jsonl"], "inside of"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, lists: Path, args: list[str], word: str) -> None:
    (tmp_path / "kept").mkdir(0o700)
    ran = run("rescan", *args, cwd=tmp_path)
    assert (ran.code, ran.said.count("\n")) == (2, 1)
    assert word in ran.said
