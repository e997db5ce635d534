"""Records of one picture are one case: exactly as the naive loop over all cases says."""

from __future__ import annotations

import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import naive_review
from hashmatch.errors import ReviewError, UsageError
from hashmatch.records.cases import Case, CaseState
from hashmatch.review import grouping
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from review_records import drawn, flipped, make_record, random_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.records.review import ReviewRecord
    from review_queues import MakeQueue


def as_naive(record: ReviewRecord) -> tuple[str, int | None, list[tuple[str, str, int]]]:
    """Return a record as the naive loop takes it."""
    value = record.hash.value
    matches = [
        (f"{match.list} {match.list_version} {match.entry}", match.algorithm, match.distance)
        for match in record.matches
    ]
    number = int(value, 16) if isinstance(value, str) else None
    return record.hash.algorithm, number, matches


def cases_of(queue: ReviewQueue, records: Sequence[ReviewRecord]) -> list[int]:
    """Return which case each record is in, numbered from 0 in the order in which they came."""
    found = {
        item.record.record_id: int(case.case_id.rpartition("-")[2]) - 1
        for case in queue.cases()
        for item in case.items
    }
    return [found[record.record_id] for record in records]


@given(st.integers(0, 10**9), st.integers(0, 12), st.integers(0, 31), st.integers(1, 12))
@example(0, 0, 8, 1)
@example(1, 12, 0, 3)
@example(2, 12, 31, 5)
def test_grouping_is_that_of_the_naive_loop(seed: int, count: int, same: int, batch: int) -> None:
    records = drawn(seed, count, same)
    limits = {"pdq": same, "phash": same // 2}
    with tempfile.TemporaryDirectory() as folder:
        where = str(Path(folder, "queue.db"))
        settings = Settings(same_picture=limits)
        with ReviewQueue.open(where, create=True, settings=settings) as queue:
            for start in range(0, count, batch):
                queue.add(records[start : start + batch])
            expected = naive_review.same_picture([as_naive(record) for record in records], limits)
            assert cases_of(queue, records) == expected
            queue.verify()


@pytest.mark.parametrize("seed", [1, 2])
def test_grouping_of_many_is_that_of_the_naive_loop(make_queue: MakeQueue, seed: int) -> None:
    records = drawn(seed, 400, 8)
    queue = make_queue(Settings(same_picture={"pdq": 8, "phash": 3}))
    for start in range(0, 400, 37):
        queue.add(records[start : start + 37])
    expected = naive_review.same_picture(
        [as_naive(record) for record in records], {"pdq": 8, "phash": 3}
    )
    assert len(set(expected)) > 20
    assert cases_of(queue, records) == expected


@given(st.integers(0, 10**9), st.integers(0, 31), st.sampled_from([64, 128, 256]))
def test_near_hashes_have_a_key_in_common(seed: int, same: int, bits: int) -> None:
    rng = random.Random(seed)
    value = random_hash(rng, bits)
    other = flipped(rng, value, rng.randrange(same + 1), bits)
    size = bits // 8
    mine = grouping.hash_keys("pdq", value.to_bytes(size, "big"), same)
    theirs = grouping.hash_keys("pdq", other.to_bytes(size, "big"), same)
    assert len(mine) == same + 1
    assert all(-(2**63) <= key < 2**63 for key in mine)
    assert any(a == b for a, b in zip(mine, theirs, strict=True))


def test_what_is_no_hash_is_refused(make_queue: MakeQueue) -> None:
    queue = make_queue()
    record = make_record(1, 5)
    for value in ("", "xyz", "abc"):
        bad = replace(record, hash=replace(record.hash, value=value))
        with pytest.raises(ReviewError, match="cannot add record record-0000001: its hash"):
            queue.add([bad])
    with pytest.raises(ReviewError, match="it has no match"):
        queue.add([replace(record, matches=(), match_count=0)])
    with pytest.raises(UsageError, match="0 to 31"):
        Settings(same_picture={"pdq": 32})


@given(st.integers(0, 10**9), st.sampled_from([1, 2, 5]))
def test_what_opens_a_case_again_is_what_the_naive_loop_says(seed: int, batch: int) -> None:
    """Records of one picture, which is decided whenever it waits."""
    rng = random.Random(seed)
    said: list[list[tuple[str, str, int]]] = []
    decided: list[list[tuple[str, str, int]]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        ReviewQueue.open(str(Path(folder, "queue.db")), create=True) as queue,
    ):
        for number in range(12):
            records = []
            for _ in range(batch):
                labels = rng.choice([(), ("A1",), ("A1", "B2")])
                entry, distance = rng.choice(["e", "f"]), rng.randrange(6, 12)
                name = rng.choice(["demo"] * 4 + ["other"])
                records.append(
                    make_record(
                        len(said), 7, entry=entry, distance=distance, labels=labels, name=name
                    )
                )
                said.append([(f"{name} {entry}", label, distance) for label in ("", *labels)])
            new = said[-batch:]
            queue.add(records)
            (case,) = queue.cases()
            opened = not number or any(naive_review.is_news(decided, each) for each in new)
            assert (case.state is CaseState.PENDING_REVIEW) == opened
            if opened:
                held = queue.take("ana")
                assert isinstance(held, Case)
                queue.decide(case.case_id, "ana", "not_a_match", "", held.reviewed_digest)
                decided = list(said)
        queue.verify()
