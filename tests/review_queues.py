"""Review queues for tests, in both databases, with a clock that tests set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

import postgres_server
from hashmatch.records.cases import Case
from hashmatch.review.queue import ReviewQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hashmatch.records.cases import Verdict
    from hashmatch.review.results import Event
    from hashmatch.review.settings import Settings

    MakeQueue = Callable[..., ReviewQueue]


class Clock:
    """A time that tests set."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def pass_(self, **time: float) -> None:
        self.time += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    """Return the time that the queue of a test goes by."""
    return Clock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_server.Server]:
    """Run a PostgreSQL server for all tests that need one."""
    reason = postgres_server.missing()
    if reason:
        pytest.skip(reason)
    with postgres_server.serving() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where a queue can be made, in either database."""
    if request.param == "sqlite":
        return str(tmp_path / "queue.db")
    server: postgres_server.Server = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
def make_queue(where: str, clock: Clock) -> Iterator[MakeQueue]:
    """Make the queue of a test, or open it again; in the end it is sound."""
    made: list[ReviewQueue] = []

    def make(settings: Settings | None = None) -> ReviewQueue:
        queue = ReviewQueue.open(where, create=True, settings=settings, now=clock)
        made.append(queue)
        return queue

    yield make
    for queue in made:
        queue.verify()
        queue.close()


def take_case(queue: ReviewQueue, reviewer: str = "ana") -> Case:
    """Take a case that has to be there."""
    case = queue.take(reviewer)
    assert isinstance(case, Case)
    return case


def take_and_decide(queue: ReviewQueue, verdict: Verdict | str, reviewer: str = "ana") -> Case:
    """Take a case, decide about it, and return it as it is then."""
    case = take_case(queue, reviewer)
    queue.decide(case.case_id, reviewer, verdict, "seen", case.reviewed_digest)
    return queue.case(case.case_id)


def event_of(queue: ReviewQueue, number: int) -> Event:
    """Return one event of the history."""
    return next(event for event in queue.history() if event.number == number)
