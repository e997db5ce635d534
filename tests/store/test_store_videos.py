"""A list of videos in a store: one entry is one video, through imports, updates and withdrawals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import hashmatch as hm
from hashmatch.lists.vpdq_signal import write_signal
from hashmatch.records.hashes import HashBatch
from hashmatch.records.videos import FRAME_SPEC
from hashmatch.store.diff import difference
from hashmatch.store.encryption import ListKey
from list_stores import KEY, make, open_store, page
from video_lists import drawn_video, video_frames

if TYPE_CHECKING:
    from pathlib import Path

    from hashmatch.records.videos import VideoFrames

VIDEOS = [drawn_video(seed, 2 + seed) for seed in range(11)]


def row(number: int, video: VideoFrames | None = None, **more: Any) -> dict[str, Any]:
    signal = write_signal(VIDEOS[number] if video is None else video, "by-frame")
    return {"id": f"v{number}", "algorithm": "vpdq", "hash": signal, **more}


def content(store: hm.ListStore) -> dict[str | None, list[str]]:
    """Return the hashes of the frames of each video, by its id."""
    (known,) = store.open("vpdq")
    assert known.videos is not None
    rows = known.videos.rows(known.hashes.words).tolist()
    found = {}
    for place, entry in zip(rows, known.entries, strict=True):
        found[entry.external_id] = known.videos[place].hashes.to_hex()
    assert len(found) == len(known)
    return found


def expected(*numbers: int) -> dict[str, list[str]]:
    return {f"v{number}": VIDEOS[number].hashes.to_hex() for number in numbers}


@pytest.mark.parametrize("key", [None, ListKey.generate()])
def test_videos_are_imported_updated_withdrawn_and_rolled_back(
    tmp_path: Path, key: ListKey | None
) -> None:
    make(tmp_path, [row(0), row(1), row(2)], key=key)
    store = open_store(tmp_path / "store", key=key)
    assert content(store) == expected(0, 1, 2)
    change = hm.Change(signer=KEY, accept=["size-change"])
    made = store.update_files([page(tmp_path, [row(3), row(1, status="withdrawn")])], change)
    assert content(store) == expected(0, 2, 3)
    assert (made.effects.added, made.effects.withdrawn) == (1, 1)
    (found,) = difference(store.version(1), store.version(2))
    assert (found.added, found.withdrawn) == (["v3"], ["v1"])
    store.roll_back(1, change)
    assert content(store) == expected(0, 1, 2)


def test_another_statement_about_the_same_video_is_no_other_entry(tmp_path: Path) -> None:
    make(tmp_path, [row(0), row(1)])
    store = open_store(tmp_path / "store")
    change = hm.Change(signer=KEY)
    made = store.update_files([page(tmp_path, [row(0), row(1, labels=["A1"])])], change)
    assert (made.effects.added, made.effects.changed) == (0, 1)
    assert content(store) == expected(0, 1)


def test_updates_of_long_lists_add_to_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashmatch.store.compaction.SHARED_FROM", 4)
    make(tmp_path, [row(number) for number in range(10)])
    store = open_store(tmp_path / "store")
    before = store.latest()[0].manifest
    change = hm.Change(signer=KEY, accept=["size-change"])
    made = store.update_files([page(tmp_path, [row(10), row(2, status="withdrawn")])], change)
    others = [0, 1, 3, 4, 5, 6, 7, 8, 9, 10]
    files = {file.sha256 for file in made.manifest.files if file.role == "statements"}
    assert files > {file.sha256 for file in before.files if file.role == "statements"}
    assert content(store) == expected(*others)
    counts = made.manifest.counts["vpdq"]
    frames = sum(len(VIDEOS[number]) for number in others)
    assert (counts["entries"], counts["frames"]) == (10, frames)


def test_frames_that_match_too_much_are_set_aside_and_default_pictures_too(tmp_path: Path) -> None:
    black = HashBatch.from_hex(FRAME_SPEC, ["0" * 64])
    logo = VIDEOS[5].hashes[:1]
    mixed = video_frames(HashBatch.concatenate([black, logo, VIDEOS[0].hashes]))
    only = video_frames(HashBatch.concatenate([black, black]))
    change: dict[str, Any] = {"pictures": {"pdq": logo}}
    made = make(tmp_path, [row(0, mixed), row(1, only), row(2)], **change)
    counts = open_store(tmp_path / "store").latest()[0].manifest.counts["vpdq"]
    assert counts == {
        "entries": 2,
        "quarantined: no frame to go by": 1,
        "frames": len(mixed) + len(only) + len(VIDEOS[2]),
        "frames set aside: all zero": 3,
        "frames set aside: a default picture": 1,
    }
    (known,) = made.open("vpdq")
    assert known.videos is not None
    (place,) = known.videos.rows(known.hashes[:1].words).tolist()
    begin = int(known.videos.ends[place])
    assert np.flatnonzero(known.videos.set_aside[begin : begin + 4]).tolist() == [0, 1]


def test_a_store_of_videos_that_is_damaged_says_so(tmp_path: Path) -> None:
    make(tmp_path, [row(0)])
    for path in (tmp_path / "store" / "files").iterdir():
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    with pytest.raises(hm.StoreError, match="damaged"):
        open_store(tmp_path / "store").open("vpdq")


@pytest.mark.reveals
def test_a_list_of_videos_is_inspected_and_exported(tmp_path: Path) -> None:
    make(tmp_path, [row(0), row(1)])
    (known,) = open_store(tmp_path / "store").open("vpdq")
    assert hm.write_list(known, tmp_path / "out.json", "vpdq-json", reveal_hashes=True) == 2
    written = json.loads((tmp_path / "out.json").read_text())
    assert list(written) == ["v0", "v1"]
    assert written["v1"][0].startswith(VIDEOS[1].hashes.to_hex()[0])
