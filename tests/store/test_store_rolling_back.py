"""An earlier version serves again under a new number, and how long versions last is remembered."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from hashmatch.store.encryption import ListKey
from hashmatch.store.signing import PrivateKey
from list_stores import (
    KEY,
    NOW,
    PDQ,
    answers,
    held,
    ids,
    lower_sharing,
    make,
    open_store,
    page,
    rows,
)

if TYPE_CHECKING:
    from pathlib import Path

DAY = timedelta(days=1)
ENCRYPTED = ListKey(bytes(range(32)))


def change(**how: Any) -> hm.Change:
    """Return a change that is signed."""
    return hm.Change(**{"signer": KEY, **how})


@pytest.mark.parametrize("key", [None, ENCRYPTED], ids=["clear", "encrypted"])
@pytest.mark.parametrize("sharing", [True, False])
def test_an_earlier_version_serves_again_and_updates_build_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sharing: bool, key: ListKey | None
) -> None:
    if sharing:
        lower_sharing(monkeypatch)
    first = rows(40)
    bad = [*rows(4, seed=9, name="bad"), {"id": "n3", "status": "deleted"}]
    store = make(tmp_path, first, bad, key=key, limits={"pdq": 20})
    assert len(ids(store)) == 43
    made = store.roll_back(1, change())
    assert (made.manifest.version, made.manifest.base, made.manifest.rolled_back_to) == (3, 2, 1)
    assert made.problems == []
    counts = {name: count for name, count in made.effects.counts.items() if count}
    assert counts == {"added": 1, "dropped": 4}
    assert made.manifest.counts["effects"] == made.effects.counts
    assert held(store) == held_of(store, 1)
    (known,) = store.open()
    assert (known.version, known.max_distance, known.problems) == ("3", 20, ())
    queries = hm.HashBatch.from_hex(PDQ, [row["hash"] for row in first])
    assert answers(store, queries) == [(row["id"],) for row in first]

    shutil.rmtree(tmp_path / "store" / "copies")
    os.mkdir(tmp_path / "store" / "copies", 0o700)
    more = [*rows(2, seed=5, name="new"), {"id": "n4", "status": "deleted"}]
    made = store.update_files([page(tmp_path, more)], change())
    assert (made.manifest.base, made.manifest.rolled_back_to) == (3, None)
    assert ids(store) == {row["id"] for row in first} - {"n4"} | {"new0", "new1"}
    assert store.open()[0].version == "4"


def held_of(store: hm.ListStore, version: int) -> Any:
    """Return all that a version of a store holds, as `held` has it."""
    return {
        (entry.external_id, known.spec.algorithm, text, entry.labels): 1
        for known in store.open(version=version)
        for text, entry in zip(known.hashes.to_hex(), known.entries, strict=True)
    }


def test_files_of_a_version_that_serves_again_are_kept_twice(tmp_path: Path) -> None:
    store = make(tmp_path, rows(20), rows(2, seed=5, name="x"))
    manifest = store.roll_back(1, change()).manifest
    kept = [file for file in manifest.files if file.role != "index"]
    assert len(kept) == 2
    for file in kept:
        (tmp_path / "store" / "files" / file.sha256).write_bytes(b"damaged")
    assert len(ids(store)) == 20
    assert store.open()[0].version == "3"


def test_what_cannot_be_rolled_back_to(tmp_path: Path) -> None:
    store = make(tmp_path, rows(20), rows(1, seed=5, name="x"), rows(1, seed=6, name="y"))
    with pytest.raises(hm.StoreError, match=r"version 7 of .*: it has 1, 2, 3"):
        store.roll_back(7, change())
    with pytest.raises(hm.StoreError, match="cannot roll back to version 3: it is the one that"):
        store.roll_back(3, change())
    store.import_files([page(tmp_path, rows(60))], change(accept=["size-change"]))
    with pytest.raises(
        hm.StoreError,
        match=r"cannot roll back to version 1: .*from 60 to 20 pdq entries.*list diff",
    ):
        store.roll_back(1, change())
    assert store.folder.versions() == [4, 3, 2, 1]
    store.roll_back(1, change(accept=["size-change"]))
    assert len(ids(store)) == 20
    data = (tmp_path / "store" / "versions" / "00000002.json").read_bytes()
    (tmp_path / "store" / "versions" / "00000002.json").write_bytes(data[:-1])
    with pytest.raises(hm.StoreError, match="is damaged"):
        store.roll_back(2, change())
    assert store.open()[0].version == "5"


def test_a_version_that_others_signed_is_not_rolled_back_to(tmp_path: Path) -> None:
    other = PrivateKey.generate()
    store = open_store(tmp_path / "store", trust=hm.Trust([other.public, KEY.public]))
    store.import_files([page(tmp_path, rows(20))], hm.Change(signer=other))
    store.update_files([page(tmp_path, rows(1, seed=5, name="x"))], change())
    mine = open_store(tmp_path / "store")
    with pytest.raises(hm.UntrustedList, match="none of 1 trusted keys signed it"):
        mine.roll_back(1, change())
    made = store.roll_back(1, hm.Change())
    assert made.problems[0].startswith("version 3 does not serve yet")
    assert mine.open()[0].version == "2"
    store.sign(KEY)
    assert mine.open()[0].version == "3"


def test_nobody_goes_back_to_a_version_in_the_clear(tmp_path: Path) -> None:
    make(tmp_path, rows(20))
    store = open_store(tmp_path / "store", key=ENCRYPTED)
    store.update_files([page(tmp_path, rows(1, seed=5, name="x"))], change())
    with pytest.raises(hm.StoreError, match="it is not encrypted, and version 2 is"):
        store.roll_back(1, change())


def test_how_long_versions_last_is_remembered_until_it_is_told(tmp_path: Path) -> None:
    now = NOW + timedelta(milliseconds=700)
    store = open_store(tmp_path / "store", now=now)
    store.import_files([page(tmp_path, rows(20))], change())
    given = iter(range(100, 200))

    def update(days: float, **how: Any) -> float | None:
        later = open_store(store.path, now=now + days * DAY)
        lines = rows(1, seed=next(given), name=f"x{days}")
        return later.update_files([page(tmp_path, lines)], change(**how)).manifest.days

    assert update(1) is None
    assert update(2, expires_in=30 * DAY) == 30
    for day in (3.3, 4.7, 5.9):
        assert update(day) == 30
    (known,) = open_store(store.path, now=NOW + 40 * DAY).open()
    assert "has expired at 2026-02-05" in known.problems[0]
    later = open_store(store.path, now=now + 6 * DAY)
    assert later.import_files([page(tmp_path, rows(20))], change()).manifest.days == 30
    assert update(7, expires_in=10 * DAY) == 10
    assert update(8, expires_in="never") is None
    assert update(9) is None
    wide = change(accept=["size-change"])
    last = open_store(store.path, now=now + 20 * DAY)
    found = last.roll_back(3, wide).manifest  # which lasts as version 3 did
    assert (found.days, found.created) == (30, NOW + 20 * DAY)
    assert last.roll_back(3, change(accept=["size-change"], expires_in=DAY)).manifest.days == 1
