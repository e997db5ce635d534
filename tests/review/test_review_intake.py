"""Records in batches, several a transaction: the same as one record after the other."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hashmatch.review.queue as queue_module
from hashmatch.errors import ReviewError
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from hashmatch.testing import example_record
from review_queues import Clock
from review_records import drawn, many

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.records.review import ReviewRecord
    from review_queues import MakeQueue

SETTINGS = Settings(same_picture={"pdq": 5, "phash": 3})


def tables(queue: ReviewQueue) -> dict[str, list[tuple[object, ...]]]:
    """Return all that is kept but the history, and of which event of it each record is."""
    queue.verify()
    with queue.transaction(read_only=True) as tx:
        found = {
            name: sorted(tx.database.rows(f"SELECT * FROM {name}"), key=repr)
            for name in ("item", "review_case", "waiting", "grouping_key")
        }
    found["item"] = [(*row[:3], *row[4:]) for row in found["item"]]
    return found


def in_small_batches(monkeypatch: pytest.MonkeyPatch, records: int, batches: int) -> None:
    monkeypatch.setattr(queue_module, "RECORDS_PER_BATCH", records)
    monkeypatch.setattr(queue_module, "BATCHES_PER_TRANSACTION", batches)


@settings(max_examples=12)
@given(st.integers(0, 10**9), st.integers(1, 5), st.integers(1, 3))
def test_many_at_once_are_the_same_as_one_after_the_other(
    seed: int, records: int, batches: int
) -> None:
    made = drawn(seed, 12, 5)
    made += made[::6]  # known ones
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patched,
        ReviewQueue.open(
            str(Path(folder, "one")), create=True, settings=SETTINGS, now=Clock()
        ) as one,
        ReviewQueue.open(
            str(Path(folder, "all")), create=True, settings=SETTINGS, now=Clock()
        ) as other,
    ):
        in_small_batches(patched, records, batches)
        counts = [one.add([record]) for record in made]
        assert other.add(made) == tuple(map(sum, zip(*counts, strict=True)))
        assert tables(one) == tables(other)


def test_an_event_has_at_most_so_many_records(
    make_queue: MakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_batches(monkeypatch, 10, 4)
    queue = make_queue()
    queue.add(many(95))
    sizes = [event.body["records"] for event in queue.history() if event.kind == "added"]
    assert sizes == [10] * 9 + [5]


def test_a_record_that_cannot_be_added_takes_no_batch_before_it_along(
    make_queue: MakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_batches(monkeypatch, 10, 4)
    queue, made = make_queue(), many(70)
    made[66] = replace(made[66], matches=(), match_count=0)
    with pytest.raises(ReviewError, match="cannot add record record-0000066: it has no match"):
        queue.add(made)
    assert sum(queue.counts().values()) == 60
    made[66] = many(70)[66]
    assert queue.add(made)[:2] == (10, 60)


def test_what_came_before_an_error_of_the_iterable_is_added(
    make_queue: MakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_batches(monkeypatch, 10, 4)

    def records() -> Iterator[ReviewRecord]:
        yield from many(65)
        raise ValueError("made up")

    queue = make_queue()
    with pytest.raises(ValueError, match="made up"):
        queue.add(records())
    assert sum(queue.counts().values()) == 60


@pytest.mark.parametrize("record", [example_record(), example_record(suppressed=True), many(1)[0]])
def test_a_line_has_its_fields_in_order(record: ReviewRecord) -> None:
    fields = msgspec.to_builtins(record)
    head = {name: fields.pop(name) for name in ("schema", "record_id", "status")}
    assert record.to_json() == msgspec.json.encode(head | fields)
    fields["hash"].pop("value", None)
    assert record.to_json(include_hash=False) == msgspec.json.encode(head | fields)
