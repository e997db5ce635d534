"""One identity, one set of answers: whatever may change an answer changes it, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from hashmatch import registry
from hashmatch.matching import identity
from hashmatch.testing import hash_list, picture, random_hashes
from list_stores import make, rows

if TYPE_CHECKING:
    from pathlib import Path

PDQ, MD5 = hm.HashSpec("pdq", 256), hm.HashSpec("md5", 128)
NOW = partial(datetime.now, UTC)
KEY = b"the reference key of thirty bytes"


def known(name: str = "known", version: str = "1", **entry: Any) -> hm.HashList:
    entries = hm.Entry("a", **entry), hm.Entry("b"), hm.Entry("c")
    return hm.HashList(name, version, PDQ, random_hashes(PDQ, 3, seed=1), entries)


def other_hash() -> hm.HashList:
    hashes = hm.HashBatch.concatenate([known().hashes[:2], random_hashes(PDQ, 1, seed=2)])
    return hm.HashList("known", "1", PDQ, hashes, known().entries)


def made(*lists: hm.HashList, **rules: Any) -> hm.Matcher:
    return hm.Matcher(*(lists or (known(),)), **rules)


DIFFERENT = {
    "plain": made(),
    "another name": made(known("other")),
    "another version": made(known(version="2")),
    "another hash": made(other_hash()),
    "an entry's limit": made(known(max_distance=12)),
    "labels and sources for an entry": made(known(labels=("A1",))),
    "an entry's sources": made(known(sources=("hotline",))),
    "the list's limit": made(replace(known(), max_distance=12)),
    "an entry left out": made(known().without([1])),
    "another entry left out": made(known().without([2])),
    "two lists": made(known(), known("other")),
    "another kind": made(known(), hash_list(random_hashes(MD5, 1, seed=1))),
    "the caller's limit": made(max_distance=12),
    "the recommended limit, by the caller": made(max_distance=31),
    "limits by algorithm": made(max_distance={"pdq": 13}),
    "quality": made(min_quality=0),
    "variants": made(variants="standard"),
    "matches named": made(max_matches=5),
    "the reference key": made(reference_key=KEY),
    "another reference key": made(reference_key=KEY[::-1]),
    "sources": made(min_sources=2),
    "a breaker": made(breaker=hm.Breaker(100, window=None)),
    "another breaker": made(breaker=hm.Breaker(99, window=None)),
    "a breaker's window": made(breaker=hm.Breaker(100, window=timedelta(days=2))),
    "a benign list": made(benign=known("benign")),
    "another benign list": made(benign=known("benign").without([0])),
}  # fmt: skip


def test_what_no_answer_depends_on_does_not_change_it() -> None:
    assert made(known(quality=70)).identity == made().identity
    two = hm.HashList("known", "1", PDQ, known().hashes[:2], known().entries[:2])
    assert made(two).identity == made(known().without([2])).identity


def test_whatever_may_change_an_answer_changes_it() -> None:
    found: dict[str, str] = {}
    for what, matcher in DIFFERENT.items():
        assert matcher.identity not in found, f"{what} is as {found.get(matcher.identity)}"
        found[matcher.identity] = what


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (made(), made(known())),
        (made(known(), known("other")), made(known("other"), known())),
        (made(), made(include_hash=True)),
        (made(), made(now=NOW)),
        (made(benign=known("benign")), made(benign=[known("benign")])),
        (made(reference_key=KEY), made(reference_key=bytes(KEY))),
        (made(breaker=hm.Breaker(9)), made(breaker=hm.Breaker(9, on_trip=print))),
    ],
)
def test_the_same_rules_are_the_same(one: hm.Matcher, other: hm.Matcher) -> None:
    assert one.identity == other.identity


def test_records_are_named_by_it() -> None:
    """A closer match under other rules is another record, so that no queue takes it for known."""
    image = picture(1)
    hashed = hm.hash_image(image)
    far = hash_list(hm.HashBatch.concatenate([hashed.hashes, random_hashes(PDQ, 1, seed=1)]))
    rules: list[dict[str, Any]] = [
        {}, {"max_distance": 20}, {"variants": "orientations"}, {"reference_key": KEY},
        {"benign": known()}, {"min_sources": 2}, {"breaker": hm.Breaker()},
    ]  # fmt: skip
    matchers = [hm.Matcher(far, **one) for one in rules] + [hm.Matcher(far.without([1]))]
    ids = set()
    for matcher in matchers:
        record = matcher.check(image, surface="public_post", item_id="a")
        again = matcher.check(image, surface="public_post", item_id="a")
        assert isinstance(record, hm.ReviewRecord)
        assert isinstance(again, hm.ReviewRecord)
        assert record.record_id == again.record_id
        ids.add(record.record_id)
    assert len(ids) == len(matchers)


def test_versions_of_what_makes_hashes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = made().identity
    assert registry.maker(registry.HASHERS, "pdq") == ""
    with monkeypatch.context() as patch:
        patch.setattr(registry, "maker", lambda group, name: "other-peoples 1.1")
        plugin = made().identity
        patch.setattr(registry, "maker", lambda group, name: "other-peoples 1.2")
        newer = made().identity
    monkeypatch.setattr(identity, "ANSWERS", identity.ANSWERS + 1)
    assert len({before, plugin, newer, made().identity}) == 4


def test_lists_of_a_store_go_by_their_live_entries(tmp_path: Path) -> None:
    store = make(
        tmp_path, rows(8), [{"id": "n1", "status": "withdrawn"}], rows(1, seed=2, name="m")
    )
    found = [hm.Matcher(*store.open()).identity for _ in range(2)]
    assert found[0] == found[1]
    (whole,) = store.open()
    assert len(whole) == 8
    assert hm.Matcher(whole.without(whole.named({"n0"}))).identity != found[0]


def test_nothing_of_a_key_is_in_it() -> None:
    matcher = made(reference_key=KEY)
    assert len(matcher.identity) == 32
    assert KEY.hex() not in repr(vars(matcher))
    assert repr(KEY)[2:-1] not in repr(vars(matcher))
