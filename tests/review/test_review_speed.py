"""How long a large queue takes; run by name, on a machine that has nothing else to do."""

from __future__ import annotations

import random
import time
from statistics import median
from typing import TYPE_CHECKING

import pytest

from hashmatch.records.cases import Case
from hashmatch.records.enums import Surface
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.sqlite import SqliteDatabase
from review_records import make_record, random_hash

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hashmatch.records.review import ReviewRecord

SURFACES = list(Surface)
LABELS: list[tuple[str, ...]] = [("A1",), ("A2", "B1"), ()]


def records(first: int, count: int) -> Iterator[ReviewRecord]:
    """Yield records of as many pictures."""
    rng = random.Random(first)
    for number in range(first, first + count):
        yield make_record(
            number,
            random_hash(rng),
            distance=rng.randrange(32),
            labels=rng.choice(LABELS),
            surface=rng.choice(SURFACES),
            quality=rng.randrange(50, 101),
        )


def seconds_to_add(queue: ReviewQueue, first: int, count: int) -> float:
    made = list(records(first, count))
    began = time.perf_counter()
    assert queue.add(made).new == count
    return time.perf_counter() - began


def milliseconds_to_take(queue: ReviewQueue, label: str | None, surface: str | None) -> float:
    taken = []
    for number in range(100):
        began = time.perf_counter()
        case = queue.take(f"{label} {surface} {number}", label=label, surface=surface)
        taken.append(time.perf_counter() - began)
        assert isinstance(case, Case)
    return 1000 * median(taken)


@pytest.mark.slow
def test_100_000_records_take_20_seconds(where: str) -> None:
    with ReviewQueue.open(where, create=True) as queue:
        assert seconds_to_add(queue, 0, 100_000) <= 20


@pytest.mark.slow
def test_the_next_of_a_million_takes_20_milliseconds(where: str) -> None:
    with ReviewQueue.open(where, create=True) as queue:
        for first in range(0, 1_000_000, 100_000):
            seconds_to_add(queue, first, 100_000)
        for label in (None, "B1"):
            for surface in (None, "user_report"):
                assert milliseconds_to_take(queue, label, surface) <= 20


def steps_to_take(folder: Path, count: int) -> int:
    """Return how many hundred steps SQLite makes to hand out 20 cases of `count`."""
    steps = 0

    def tick() -> int:
        nonlocal steps
        steps += 1
        return 0

    where = str(folder / f"{count}.db")
    with ReviewQueue.open(where, create=True) as queue:
        queue.add(records(0, count))
        for number in range(20):
            queue.take(f"before {number}")
        with queue.transaction(read_only=True) as tx:
            database = tx.database
        assert isinstance(database, SqliteDatabase)
        (writer,) = database._writers._idle
        writer.set_progress_handler(tick, 100)
        for number in range(20):
            queue.take(f"reviewer {number}", label="A1")
            queue.take(f"reviewer {number}")
        writer.set_progress_handler(None, 0)
    return steps


def test_steps_to_the_next_case_do_not_grow_with_the_queue(tmp_path: Path) -> None:
    few, many = (steps_to_take(tmp_path, count) for count in (200, 4000))
    assert many < 2 * few
