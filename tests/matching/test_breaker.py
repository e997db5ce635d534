"""One entry cannot flood the queue: one alarm, nothing dropped, others unaffected."""

from __future__ import annotations

import json
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hashmatch as hm
import naive
from hashmatch.records.review import RecordMatch
from hashmatch.testing import flipped, hash_list, random_hashes

PDQ = hm.HashSpec("pdq", 256)
START = datetime(2026, 1, 1, tzinfo=UTC)


def match(entry: str, known: str = "l", version: str = "1") -> RecordMatch:
    return RecordMatch(known, version, entry, "pdq", 3, 31, "algorithm", (), ())


def hashed(batch: hm.HashBatch) -> hm.HashedImage:
    return hm.HashedImage("a", PDQ, hm.Outcome.HASHED, batch, quality=90, decode_policy="rgb/2")


def item(number: int) -> hm.ImageItem:
    return hm.ImageItem(f"user/{number}", "1", hm.Surface.PROFILE_PHOTO)


def test_its_alarms_outlive_the_process() -> None:
    told: list[hm.Trip] = []
    breaker = hm.Breaker(2, on_trip=told.append, now=lambda: START)
    for entry in "bab":
        breaker.lets_through([match(entry, version="7")])
    assert breaker.trips == tuple(told)
    other = hm.Breaker(2, on_trip=told.append, now=lambda: START)
    other.restore(json.loads(json.dumps(breaker.to_json())))
    assert other.trips == breaker.trips
    assert (other.trips[0].list_version, other.trips[0].tripped_at) == ("7", "2026-01-01T00:00:00Z")
    other.lets_through([match("a", version="8")])
    assert [trip.entry for trip in other.trips] == ["a", "b"]
    assert [trip.entry for trip in told] == ["b", "a"]
    other.reset(entry="b")
    assert [trip.entry for trip in other.trips] == ["a"]


@given(
    records=st.lists(st.sets(st.sampled_from("abcd"), min_size=1), max_size=60),
    limit=st.integers(1, 5),
)
def test_it_lets_through_what_the_naive_count_does(records: list[set[str]], limit: int) -> None:
    trips: list[hm.Trip] = []
    breaker = hm.Breaker(limit, on_trip=trips.append, now=lambda: START)
    let = [breaker.lets_through([match(e) for e in sorted(entries)]) for entries in records]
    expected, tripped = naive.let_through(records, limit)
    assert let == expected
    assert sorted(trip.entry for trip in trips) == sorted(tripped)
    assert [entry for _, _, entry in breaker.tripped] == sorted(tripped)
    assert all(trip.records == limit for trip in trips)


def test_a_record_with_an_entry_that_is_not_tripped_stays() -> None:
    breaker = hm.Breaker(2, now=lambda: START)
    assert [breaker.lets_through([match("a")]) for _ in range(3)] == [True, True, False]
    assert breaker.lets_through([match("a"), match("b")])
    assert not breaker.lets_through([match("a")])


def test_entries_are_told_apart_by_list_but_not_by_version() -> None:
    breaker = hm.Breaker(1, now=lambda: START)
    assert breaker.lets_through([match("a", "one")])
    assert breaker.lets_through([match("a", "two")])
    assert not breaker.lets_through([match("a", "one", version="2")])


def test_a_window_starts_over_and_a_tripped_entry_does_not() -> None:
    clock = [START]
    breaker = hm.Breaker(2, now=lambda: clock[0])
    assert breaker.lets_through([match("slow")])
    clock[0] += timedelta(days=1)
    assert breaker.lets_through([match("slow")])  # the first of a new day
    assert breaker.lets_through([match("slow")])
    clock[0] += timedelta(days=30)
    assert not breaker.lets_through([match("slow")])
    forever = hm.Breaker(2, window=None, now=lambda: clock[0])
    for _ in range(2):
        assert forever.lets_through([match("slow")])
        clock[0] += timedelta(days=300)
    assert not forever.lets_through([match("slow")])


def test_an_operator_resets_some_or_all() -> None:
    breaker = hm.Breaker(1, now=lambda: START)
    for known, entry in (("one", "a"), ("one", "b"), ("two", "a")):
        breaker.lets_through([match(entry, known)])
    assert breaker.reset("one", "a") == 1
    assert breaker.tripped == (("one", "pdq", "b"), ("two", "pdq", "a"))
    assert breaker.lets_through([match("a", "one")])
    assert breaker.reset(entry="a") == 2
    assert breaker.reset() == 1
    assert not breaker.tripped


def test_a_state_goes_on_in_another_process() -> None:
    clock = [START]
    trips: list[hm.Trip] = []
    first = hm.Breaker(2, now=lambda: clock[0])
    for entry in "aab":
        first.lets_through([match(entry)])
    state = json.loads(json.dumps(first.to_json()))
    second = hm.Breaker(2, on_trip=trips.append, now=lambda: clock[0])
    second.restore(state)
    assert second.to_json() == state
    assert not second.lets_through([match("a")])
    assert second.lets_through([match("b")])
    assert not second.lets_through([match("b")])
    assert [trip.entry for trip in trips] == ["b"]  # of a the alarm was raised before
    clock[0] += timedelta(days=2)
    assert [one["entry"] for one in first.to_json()["entries"]] == ["a"]  # b's window is over


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"schema": "other/1", "entries": []},
        {"schema": "hashmatch.matching.breaker/1"},
        [1],
        None,
    ],
)
def test_what_is_no_state_is_refused(state: Any) -> None:
    with pytest.raises(hm.UsageError, match="cannot read the state of a breaker"):
        hm.Breaker().restore(state)


def test_what_is_out_of_range_is_refused() -> None:
    for limit in (0, -1, 2.5):
        with pytest.raises(hm.UsageError, match="Give a whole number from 1"):
            hm.Breaker(limit)  # type: ignore[arg-type]
    with pytest.raises(hm.UsageError, match="window of no time"):
        hm.Breaker(window=timedelta(0))
    with pytest.raises(hm.UsageError, match=r"cannot use int as a breaker"):
        hm.Matcher(hash_list(random_hashes(PDQ, 1, seed=1)), breaker=5)  # type: ignore[arg-type]


def test_threads_share_one_limit() -> None:
    trips: list[hm.Trip] = []
    let: list[bool] = []
    breaker = hm.Breaker(500, on_trip=trips.append)

    def work() -> None:
        let.extend(breaker.lets_through([match("a")]) for _ in range(500))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(let), sum(let), len(trips)) == (2000, 500, 1)


def flood(pictures: int) -> None:
    """Check so many pictures: an avatar that two entries know, and a few of 50 other entries."""
    avatar = random_hashes(PDQ, 1, seed=1)
    others = random_hashes(PDQ, 50, seed=2)
    listed = hm.HashBatch.concatenate([flipped(avatar, 3, seed=3), avatar, others])
    trips: list[hm.Trip] = []
    matcher = hm.Matcher(hash_list(listed), breaker=hm.Breaker(on_trip=trips.append))
    near = [flipped(avatar, distance, seed=distance) for distance in range(8)]
    status: Counter[tuple[str, str]] = Counter()
    often = pictures // 4_000  # of 50 others, each at most 100 times
    for number in range(pictures):
        row = number // often % 50
        is_other = number % often == 0 and number < 50 * 80 * often
        asked = others[row : row + 1] if is_other else near[number % 8]
        record = matcher.decide(item(number), [hashed(asked)])
        assert isinstance(record, hm.ReviewRecord)  # no match is dropped
        entries = {m.entry for m in record.matches}
        status["avatar" if "made-up-1" in entries else "other", record.status] += 1
        if record.status == "suppressed":
            assert record.outcome is hm.Outcome.SUPPRESSED
            assert record.suppressed_by.reason == "breaker"  # type: ignore[union-attr]
    assert status["avatar", "pending_review"] == 100
    assert status["other", "pending_review"] == 4_000
    assert status["other", "suppressed"] == 0
    assert sum(status.values()) == pictures
    assert sorted(trip.entry for trip in trips) == ["made-up-0", "made-up-1"]


def test_a_default_avatar_brings_a_hundred_reviews_and_one_alarm_an_entry() -> None:
    flood(20_000)


@pytest.mark.slow
def test_a_million_default_avatars() -> None:
    flood(1_000_000)


def test_more_entries_than_a_record_names_trip_as_well() -> None:
    one = random_hashes(PDQ, 1, seed=1)
    known = hash_list(hm.HashBatch.concatenate([one] * 30))
    trips: list[hm.Trip] = []
    matcher = hm.Matcher(known, max_matches=4, breaker=hm.Breaker(3, on_trip=trips.append))
    records = [matcher.decide(item(n), [hashed(one)]) for n in range(5)]
    assert [r.outcome.value for r in records] == ["match"] * 3 + ["suppressed"] * 2
    assert len(trips) == 30
    assert {len(r.matches) for r in records if isinstance(r, hm.ReviewRecord)} == {4}
