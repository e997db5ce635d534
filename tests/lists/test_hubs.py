"""Entries that many harmless pictures are near, and entries whose list says that they are poor."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import hashmatch as hm
from cli_tools import run
from hashmatch.lists.exclusions import leave_out, read_disabled
from hashmatch.lists.hubs import Hub, HubCounter, hubs_of_made_up_pictures, made_up_pictures
from hashmatch.testing import flipped, hash_list, picture, random_hashes

if TYPE_CHECKING:
    from pathlib import Path

PDQ = hm.HashSpec("pdq", 256)


def list_with_a_hub() -> hm.HashList:
    """Entry 0 is within 31 bits of four pictures, entry 1 of two; the others of none."""
    return hash_list(random_hashes(PDQ, 100, seed=1), "known")


def near(known: hm.HashList, entry: int, distances: list[int]) -> hm.HashBatch:
    one = known.hashes[entry : entry + 1]
    return hm.HashBatch.concatenate(
        [flipped(one, distance, seed=n) for n, distance in enumerate(distances)]
    )


def test_entries_are_counted_within_their_limit() -> None:
    known = list_with_a_hub()
    counter = HubCounter(known)
    counter.add(near(known, 0, [0, 12, 31, 31, 32, 33]))
    counter.add(near(known, 1, [30, 31, 32]))
    assert counter.pictures == 9
    assert counter.hubs() == (Hub("known-0", 4),)
    assert counter.hubs(2) == (Hub("known-0", 4), Hub("known-1", 2))
    nearer = HubCounter(known, max_distance=12)
    nearer.add(near(known, 0, [0, 12, 13]))
    assert nearer.hubs(1) == (Hub("known-0", 2),)


def test_a_picture_counts_once_for_all_its_variants() -> None:
    known = list_with_a_hub()
    counter = HubCounter(known)
    for _ in range(3):
        counter.add_picture(near(known, 0, [1, 2, 3]))
    assert counter.hubs(1) == (Hub("known-0", 3),)


@pytest.mark.parametrize("algorithm", ["pdq", "phash", "dhash"])
def test_made_up_pictures_find_what_matches_everything(algorithm: str) -> None:
    """A flag or a soft gradient on a list; not the hash of a real scene."""
    made_up = made_up_pictures(algorithm)
    assert len(made_up) > 200
    spec = made_up.spec
    scene = hm.hash_image(picture(77, 640, 480), algorithm).hashes
    known = hash_list(hm.HashBatch.concatenate([scene, random_hashes(spec, 20, seed=2)]))
    assert hubs_of_made_up_pictures([known]) == []
    counter = HubCounter(known)
    counter.add(hm.HashBatch.concatenate([made_up, *[scene] * 5]))
    assert [hub.entry for hub in counter.hubs()] == ["made-up-0"]


def test_digests_have_no_hubs() -> None:
    assert hubs_of_made_up_pictures([hash_list(random_hashes(hm.HashSpec("md5", 128), 9, 1))]) == []


def written(path: Path, batch: hm.HashBatch, qualities: list[int | None]) -> Path:
    """Write a list of PDQ text with a quality for each entry."""
    rows = [
        {"hash": text, "algorithm": "pdq", "id": f"e-{n}"}
        | ({} if quality is None else {"quality": quality})
        for n, (text, quality) in enumerate(zip(batch.to_hex(), qualities, strict=True))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def store_with(tmp_path: Path, batch: hm.HashBatch) -> tuple[hm.ListStore, Path]:
    path = written(tmp_path / "known.jsonl", batch, [None] * len(batch))
    return hm.ListStore(tmp_path / "store", unsigned=True), path


def test_an_import_names_hubs_and_list_hubs_leaves_them_out(tmp_path: Path) -> None:
    made_up = made_up_pictures("pdq")
    entries = hm.HashBatch.concatenate([made_up, random_hashes(PDQ, 300, seed=4)])
    store, path = store_with(tmp_path, entries)
    changed = store.import_files([path], hm.Change(name="known"))
    (told,) = [problem for problem in changed.problems if "made-up" in problem]
    assert "pdq entries are near made-up pictures" in told
    out = tmp_path / "hubs.jsonl"
    found = run("list", "hubs", str(store.path), "--unsigned", "--out", str(out), "--json")
    hubs = json.loads(found.out)["hubs"]
    assert hubs
    assert hubs[0]["entry"] in told
    (known,) = store.open()
    left = leave_out(known, read_disabled(out))
    assert len(left) == len(known) - len(hubs)
    assert not any(text in found.out.decode() + told for text in entries.to_hex())
    assert hubs_of_made_up_pictures([left]) == []


def test_hubs_of_a_sample_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):  # one picture, saved four times
        Image.fromarray(picture(5)).save(folder / f"{number}.jpg", quality=70 + 5 * number)
    Image.fromarray(picture(6)).save(folder / "other.png")
    Image.new("RGB", (90, 90)).save(folder / "flat.png")
    listed = hm.HashBatch.concatenate([hm.hash_image(picture(seed)).hashes for seed in (5, 6, 7)])
    path = written(tmp_path / "known.jsonl", listed, [None] * 3)
    found = run("list", "hubs", str(path), "--benign", str(folder))
    assert found.out.decode().split() == ["known", "e-0", "4"]
    assert "1 of 3 pdq entries match 3 or more of 5 pictures of the sample" in found.err.decode()


def test_entries_of_a_low_quality_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    batch = random_hashes(PDQ, 5, seed=9)
    path = written(tmp_path / "known.jsonl", batch, [0, 49, 50, 100, None])
    file = hm.read_list_file(path)
    assert file.quarantined == {"pdq": {"a quality that is too low": 2}}
    assert any("a quality that is too low: 2" in told for told in file.warnings)
    (known,) = file.lists
    assert [entry.external_id for entry in known.entries] == ["e-2", "e-3", "e-4"]
    kept = hm.read_list(path, format=hm.ListFormat(keep_low_quality=True))
    assert len(kept) == 5


def test_a_quality_says_nothing_of_other_kinds_of_hash(tmp_path: Path) -> None:
    path = tmp_path / "known.jsonl"
    batch = random_hashes(hm.HashSpec("phash", 64), 2, seed=9)
    path.write_text(
        "".join(
            json.dumps({"hash": text, "algorithm": "phash", "quality": 3}) + "\n"
            for text in batch.to_hex()
        )
    )
    assert len(hm.read_list(path, "phash")) == 2


def test_a_store_remembers_whether_they_are_kept(tmp_path: Path) -> None:
    """And what is left out comes in when it is asked for, though only a little is new."""
    batch = random_hashes(PDQ, 8, seed=3)
    whole = written(tmp_path / "whole.jsonl", batch[:6], [0, 49, 50, 100, None, 80])
    more = written(tmp_path / "more.jsonl", batch[6:], [10, 90])
    more.write_text(more.read_text().replace("e-", "f-"))
    store = hm.ListStore(tmp_path / "store", unsigned=True)

    def listed() -> int:
        (known,) = store.open()
        return len(known)

    made = store.import_files([whole], hm.Change(name="known"))
    assert made.manifest.counts["pdq"]["quarantined: a quality that is too low"] == 2
    assert listed() == 4
    accept = ["size-change"]
    store.update_files([more], hm.Change(accept=accept))
    assert listed() == 5
    keep = hm.ListFormat(keep_low_quality=True)
    store.update_files([more], hm.Change(format=keep, accept=accept))
    assert listed() == 8
    store.update_files([more], hm.Change(accept=accept))
    assert listed() == 8
    leave = hm.ListFormat(keep_low_quality=False)
    store.update_files([more], hm.Change(format=leave, accept=accept))
    assert listed() == 5
    shown = run("list", "inspect", str(store.path), "--unsigned")
    assert "a quality that is too low" in shown.out.decode()


def test_phash_takes_the_word_of_pdq_for_what_is_flat() -> None:
    """Asked for alone it has none."""
    y, x = np.mgrid[0:256, 0:256] / 256
    soft = 128 + 30 * np.sin(2 * np.pi * x) * np.sin(2 * np.pi * y)
    flat = np.repeat(soft[..., None], 3, axis=2).astype(np.uint8)
    alone = hm.hash_image(flat, "phash")
    assert alone.outcome is hm.Outcome.HASHED
    for order in (["pdq", "phash"], ["phash", "pdq"]):
        found = {one.spec.algorithm: one for one in hm.hash_all(flat, order)}
        assert found["pdq"].outcome is found["phash"].outcome is hm.Outcome.LOW_QUALITY
        assert found["phash"].reason == f"by pdq: {found['pdq'].reason}"
        assert found["phash"].hashes == alone.hashes
    small = picture(1, 20, 20)  # too small for PDQ, which then says nothing
    assert [one.outcome.value for one in hm.hash_all(small, ["pdq", "phash"])] == [
        "too_small", "hashed",
    ]  # fmt: skip
