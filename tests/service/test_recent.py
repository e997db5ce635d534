"""Pictures that were checked before a list had them are found when it gets them, each once."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

import hashmatch as hm
from canaries import all_canaries, canaries
from cli_tools import DEMO, one_line, run
from conftest import IMAGES
from hashmatch.errors import StoreError
from hashmatch.records.entries import Entry
from hashmatch.records.enums import Outcome, Surface
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch
from hashmatch.records.images import HashedImage, ImageItem
from hashmatch.records.review import ReviewRecord
from hashmatch.review.queue import ReviewQueue
from hashmatch.service.recent import Recent, added_entries
from hashmatch.service.snapshots import Snapshot
from hashmatch.store.encryption import ListKey
from hashmatch.testing import random_hashes
from processes import wait_for
from service_program import Program, service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SPEC = hm.HashSpec("pdq", 256)
KEY = ListKey(bytes(range(32)))
HASHES = random_hashes(SPEC, 60, seed=7)
PICTURE = (IMAGES / "plain" / "tiles.png").read_bytes()
LATER = (IMAGES / "plain" / "texture-marble.jpg").read_bytes()


def known(rows: Sequence[int], version: str = "1", **own: int) -> HashList:
    """Return a list of some of the hashes; `own` limits by ``eN``."""
    words = np.concatenate([HASHES[row : row + 1].words for row in rows])
    entries = [Entry(f"e{row}", max_distance=own.get(f"e{row}")) for row in rows]
    return HashList("known", version, SPEC, HashBatch(SPEC, words), entries)


def snapshot(*lists: HashList, **rules: object) -> Snapshot:
    return Snapshot("name", hm.Matcher(*lists, include_hash=True, **rules), "")  # type: ignore[arg-type]


def near(row: int, bits: int = 0) -> HashBatch:
    """Return a hash some bits from that of a row."""
    words = HASHES[row : row + 1].words.copy()
    words[0, 0] ^= np.uint64((1 << bits) - 1)
    return HashBatch(SPEC, words)


class Ring:
    """A database of recent hashes, and the queue that records come to."""

    def __init__(self, path: Path, **how: object) -> None:
        options = {"keep_for": timedelta(hours=1), "items": 100, **how}
        self.recent = Recent(str(path), KEY, **options)  # type: ignore[arg-type]
        self.queue: dict[str, ReviewRecord] = {}

    def add(self, record: ReviewRecord) -> None:
        self.queue.setdefault(record.record_id, record)

    def see(self, lists: Snapshot, key: str, batch: HashBatch) -> str:
        item = ImageItem(key, "1", Surface.PROFILE_PHOTO)
        hashed = [HashedImage(key, SPEC, Outcome.HASHED, batch, "", 90, 640, 480)]
        result = lists.matcher.decide(item, hashed)
        done = self.recent.remember(lists, item, hashed, result)
        assert done is not None
        done.result()
        return str(result.outcome)

    def catch_up(self, lists: Snapshot) -> int:
        return self.recent.catch_up(lists, partial(_matcher), self.add)

    @property
    def keys(self) -> list[str]:
        return sorted(record.item.key for record in self.queue.values())


def _matcher(lists: Sequence[HashList]) -> hm.Matcher:
    return hm.Matcher(*lists)


@contextmanager
def ring(path: Path, **how: object) -> Iterator[Ring]:
    made = Ring(path, **how)
    with closing(made.recent):
        yield made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recent.db"


def test_what_a_list_gets_later_is_found_once_with_the_time_it_was_seen(path: Path) -> None:
    before, after = snapshot(known(range(20))), snapshot(known(range(30), "2"))
    with ring(path) as made:
        made.catch_up(before)
        assert made.see(before, "at the limit", near(25, 31)) == "no_match"
        assert made.see(before, "beyond it", near(26, 32)) == "no_match"
        assert made.see(before, "found at once", near(3)) == "match"
        assert made.catch_up(before) == 0
        assert made.catch_up(after) == 1
        (record,) = made.queue.values()
        assert record.item.key == "at the limit"
        assert (record.item.surface, record.item.version) == ("profile_photo", "1")
        assert (record.item.width, record.hash.quality) == (640, 90)
        assert [(each.entry, each.distance) for each in record.matches] == [("e25", 31)]
        assert record.seen_at <= record.created_at  # type: ignore[operator]
        assert record.status == "pending_review"
        assert made.catch_up(after) == 0
        assert made.recent.count() == 3


def test_a_record_is_that_of_a_check_of_today(path: Path) -> None:
    before, after = snapshot(known(range(20))), snapshot(known(range(30), "2"))
    with ring(path) as made:
        made.see(before, "a", near(25))
        made.catch_up(after)
        (record,) = made.queue.values()
        hashed = [HashedImage("a", SPEC, Outcome.HASHED, near(25), "", 90, 640, 480)]
        now = after.matcher.decide(ImageItem("a", "1", Surface.PROFILE_PHOTO), hashed)
        assert isinstance(now, ReviewRecord)
        same = replace(record, created_at=now.created_at, seen_at=now.seen_at)
        assert same == now


def test_what_matched_comes_again_only_for_another_entry(path: Path) -> None:
    one = known(range(20))
    words = np.concatenate([one.hashes.words, near(3, 5).words])
    entries = [*one.entries, Entry("close to e3")]
    more = HashList("known", "2", SPEC, HashBatch(SPEC, words), entries)
    relabelled = HashList(
        "known", "3", SPEC, more.hashes, [replace(each, labels=("A1",)) for each in more.entries]
    )
    with ring(path) as made:
        made.see(snapshot(one), "a", near(3))
        made.see(snapshot(one), "b", near(4))
        assert made.catch_up(snapshot(more)) == 1
        assert made.keys == ["a"]
        assert made.catch_up(snapshot(relabelled)) == 0
        assert made.catch_up(snapshot(replace(one, version="4"))) == 0


@pytest.mark.parametrize("is_known_what_was_added", [True, False])
def test_raised_limits_and_entries_that_are_back_count_as_added(
    path: Path, is_known_what_was_added: bool
) -> None:
    rows = range(20)
    strict, loose = known(rows, "1", e5=2), known(rows, "2", e5=10)
    without, own = loose.without([7]), replace(loose, version="4", max_distance=40)
    with ring(path) as made:
        if is_known_what_was_added:
            made.catch_up(snapshot(strict))
        made.see(snapshot(strict), "raised", near(5, 6))
        assert made.catch_up(snapshot(loose)) == 1
        assert made.catch_up(snapshot(without)) == 0
        made.see(snapshot(without), "re-enabled", near(7, 3))
        assert made.catch_up(snapshot(loose)) == 1
        made.see(snapshot(loose), "limit of the list", near(8, 35))
        assert made.catch_up(snapshot(own)) == 1
        assert made.keys == ["limit of the list", "raised", "re-enabled"]


def test_what_a_rule_suppresses_is_not_added_until_it_does_not(path: Path) -> None:
    few, more = known(range(20)), known(range(30), "2")
    backed = replace(
        more, version="3", entries=[replace(each, sources=("x", "y")) for each in more.entries]
    )
    with ring(path) as made:
        made.see(snapshot(few, min_sources=2), "a", near(25))
        assert made.catch_up(snapshot(more, min_sources=2)) == 0
        assert made.catch_up(snapshot(backed, min_sources=2)) == 1


def test_over_restarts_and_several_processes_each_is_found_once(path: Path) -> None:
    before, after = snapshot(known(range(20))), snapshot(known(range(30), "2"))
    last = snapshot(known(range(40), "3"))
    with ring(path) as first, ring(path) as second:
        first.catch_up(before)
        second.catch_up(before)
        first.see(before, "a", near(25))
        assert first.catch_up(after) == 1
        second.see(before, "late", near(26))  # its process still has the lists before
        assert second.catch_up(before) == 0
        assert first.catch_up(after) == 1
        second.see(before, "in between", near(27))
        assert second.catch_up(after) == 1
        assert first.catch_up(after) == 0
        assert first.keys == ["a", "late"]
        assert second.keys == ["in between"]
        first.see(after, "b", near(35))
    with ring(path) as third:  # after a restart with a newer list
        assert third.catch_up(last) == 1
        assert third.keys == ["b"]
    with ring(path) as fourth:
        assert fourth.catch_up(last) == 0


def test_what_was_found_is_not_lost_when_the_queue_cannot_be_written(path: Path) -> None:
    before, after = snapshot(known(range(20))), snapshot(known(range(30), "2"))
    latest = snapshot(known(range(31), "3"))

    def fails(record: ReviewRecord) -> None:
        raise StoreError("cannot write. Free disk space.")

    with ring(path) as made:
        made.see(before, "a", near(25))
        with pytest.raises(StoreError, match="disk space"):
            made.recent.catch_up(after, _matcher, fails)
    with ring(path) as made:
        assert made.catch_up(latest) == 1
        assert made.keys == ["a"]


def test_it_is_bounded_by_time_and_number(path: Path) -> None:
    lists = snapshot(known(range(20)))
    with ring(path, items=5) as made:
        for number in range(9):
            made.see(lists, str(number), near(30 + number))
        made.catch_up(lists)
        assert made.recent.count() == 5
        assert made.catch_up(snapshot(known(range(60), "2"))) == 5
        assert made.keys == ["4", "5", "6", "7", "8"]
    with ring(path, keep_for=timedelta(seconds=0)) as made:
        made.catch_up(lists)
        assert made.recent.count() == 0


def test_nothing_is_on_the_disk_in_the_clear(path: Path) -> None:
    batch = HashBatch.from_bytes(SPEC, canaries("pdq")[0])
    more = HashList("known", "2", SPEC, batch, [Entry("canary")])
    lists = snapshot(known(range(3)))
    with ring(path) as made:
        made.see(lists, "profiles/ana.jpg", batch)
        with pytest.raises(StoreError):
            made.recent.catch_up(snapshot(more), _matcher, _refuse)
        for file in path.parent.iterdir():
            data = file.read_bytes()
            assert not all_canaries().find(data), file
            assert b"ana.jpg" not in data
            assert file.stat().st_mode & 0o077 == 0


def _refuse(record: ReviewRecord) -> None:
    raise StoreError("cannot write. Free disk space.")


def test_another_key_or_a_damaged_row_is_said(path: Path) -> None:
    lists = snapshot(known(range(3)))
    with ring(path) as made:
        made.see(lists, "a", near(3))
    with pytest.raises(StoreError, match="encrypted with the key"):
        Recent(str(path), ListKey(bytes(32)), timedelta(hours=1), 10)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE item SET sealed = substr(sealed, 1, 80)")
        database.commit()
    with ring(path) as made, pytest.raises(StoreError, match="damaged"):
        made.catch_up(lists)


def test_a_list_of_another_kind_of_hash_does_not_hide_what_was_added(path: Path) -> None:
    """The picture was not hashed as the new list needs it; what it has is looked up anyway."""
    phash = hm.HashSpec("phash", 64)
    entries = [Entry(str(number)) for number in range(5)]
    other = HashList("other", "1", phash, random_hashes(phash, 5, seed=1), entries)
    with ring(path) as made:
        made.see(snapshot(known(range(20))), "a", near(25))
        assert made.catch_up(snapshot(known(range(30), "2"), other)) == 1
        made.see(snapshot(known(range(20))), "b", near(45))
        assert made.catch_up(snapshot(other)) == 0


@pytest.mark.parametrize(
    ("before", "after", "added"),
    [
        (range(20), range(25), range(20, 25)),
        (range(20), [*range(5, 20), 30, *range(5)], [30]),
        (range(20), range(10), []),
        ([1], [2], [2]),
        (range(20), range(20), []),
    ],
)
def test_what_was_added_whatever_the_order(
    before: Sequence[int], after: Sequence[int], added: Sequence[int]
) -> None:
    found = added_entries([known(before)], [known(after, "2")])
    names = [entry.external_id for each in found for entry in each.entries]
    assert names == [f"e{row}" for row in added]
    for each in found:
        assert each.hashes.to_hex() == [HASHES[row : row + 1].to_hex()[0] for row in added]


# The whole service


def update(store: Path, page: Path, value: str, name: str) -> None:
    page.write_text(json.dumps({"hash": value, "id": name}))
    assert run("list", "update", store, page).code == 0


def found_keys(queue: Path) -> list[str]:
    with ReviewQueue.open(str(queue)) as opened:
        return [item.record.item.key for case in opened.cases() for item in case.items]


def pdq(data: bytes) -> str:
    return hm.hash_image(data).hex


def test_the_service_finds_what_came_before_its_listing(tmp_path: Path) -> None:
    """It is killed, and started again."""
    store, queue, key = tmp_path / "demo", tmp_path / "queue.db", tmp_path / "key"
    run("list", "import", DEMO, "--store", store)
    run("review", "init", queue)
    ListKey.generate().save(str(key))
    options = ("--review", queue, "--recent", tmp_path / "recent.db", "--recent-key", key)

    def check(api: Program, name: str, data: bytes) -> str:
        query = {"surface": "profile_photo", "item_id": name}
        return str(api.ask("POST", "/v1/check", query, body=data).json["outcome"])

    with service(*options, lists=(store,)) as api:
        assert check(api, "before/1", LATER) == "no_match"
        assert check(api, "matched/1", PICTURE) == "match"
        update(store, tmp_path / "one.jsonl", pdq(LATER), "late")
        wait_for(lambda: "before/1" in found_keys(queue), every=0.1)
        text = api.get("/metrics").body.decode()
        assert "hashmatch_recent_found_total 1.0" in text
        assert "hashmatch_recent_items 2.0" in text
        assert check(api, "before/1", LATER) == "match"  # the same record
        other = hashlib.sha256(b"other").hexdigest()
        assert api.post("/v1/match", {"hash": other}).json["outcome"] == "no_match"
        os.killpg(api.process.pid, signal.SIGKILL)
        api.process.wait()
    with closing(sqlite3.connect(tmp_path / "recent.db")) as kept:
        kept.execute("UPDATE item SET at = at - 60")
        kept.commit()
    with service(*options, lists=(store,)) as api:
        wait_for(
            lambda: "hashmatch_recent_items 3.0" in api.get("/metrics").body.decode(), every=0.1
        )
        assert api.get("/readyz").json["problems"] == []
    assert sorted(found_keys(queue)) == ["before/1", "matched/1"]
    with ReviewQueue.open(str(queue)) as opened:
        records = {i.record.item.key: i.record for case in opened.cases() for i in case.items}
    assert isinstance(records["before/1"].seen_at, str)
    assert not isinstance(records["matched/1"].seen_at, str)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--recent", "r.db"), "--review"),
        (("--recent", "r.db", "--review", "q.db"), "--recent-key"),
    ],
)
def test_it_needs_a_queue_and_a_key(tmp_path: Path, options: tuple[str, ...], word: str) -> None:
    run("review", "init", "q.db", cwd=tmp_path)
    one_line(run("serve", "--no-auth", "--list", DEMO, *options, cwd=tmp_path), word)
