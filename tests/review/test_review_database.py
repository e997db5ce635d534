"""Connections of a queue: readers wait for nobody, writers not for ever, servers are restarted."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import postgres_server
from hashmatch.errors import QueueUnavailable, ReviewError
from hashmatch.records.cases import CaseState
from hashmatch.review.database import MAX_READERS
from hashmatch.review.queue import ReviewQueue
from processes import PATIENCE
from review_queues import take_and_decide, take_case
from review_records import many

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def held(queue: ReviewQueue) -> Iterator[None]:
    """Let another thread hold the lock of whoever writes."""
    holds, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with queue.transaction():
            holds.set()
            assert let_go.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert holds.wait(PATIENCE)
        yield
    finally:
        let_go.set()
        thread.join(PATIENCE)


@pytest.mark.parametrize("is_another", [False, True], ids=["same queue", "another process's"])
def test_who_reads_waits_for_nobody_who_writes(where: str, is_another: bool) -> None:
    with ReviewQueue.open(where, create=True) as queue, ReviewQueue.open(where) as other:
        queue.add(many(5))
        case = take_case(queue)
        with held(other if is_another else queue):
            # Were any of these to wait, it would be for ever.
            assert queue.counts()[CaseState.PENDING_REVIEW] == 4
            assert queue.case(case.case_id).lease == case.lease
            assert queue.statistics().waiting == 5
            assert [event.kind for event in queue.history()] == ["made", "added", "taken"]
            assert queue.reviewers.list() == {}
            with ReviewQueue.open(where) as third:
                assert third.settings == queue.settings


@pytest.mark.parametrize("is_another", [False, True], ids=["same queue", "another process's"])
def test_who_writes_waits_only_so_long(where: str, is_another: bool) -> None:
    with ReviewQueue.open(where, create=True) as queue, ReviewQueue.open(where) as other:
        queue.add(many(5))
        case = take_case(queue)
        queue.patience = 0.05
        with held(other if is_another else queue):
            with pytest.raises(QueueUnavailable):
                queue.decide(case.case_id, "ana", "unsure", "seen", case.reviewed_digest)
            with pytest.raises(QueueUnavailable):
                queue.take("bo")
        queue.decide(case.case_id, "ana", "unsure", "seen", case.reviewed_digest)
        assert queue.counts()[CaseState.UNSURE] == 1
        assert [event.kind for event in queue.history()].count("decided") == 1
        queue.verify()


def test_many_threads_read_at_once(where: str) -> None:
    with ReviewQueue.open(where, create=True) as queue:
        queue.add(many(5))
        together = threading.Barrier(MAX_READERS)

        def read(number: int) -> int:
            with queue.transaction(read_only=True):
                together.wait(PATIENCE)  # as many as there are at a time
                return len(queue.case(str(1 + number % 5)).items)

        with ThreadPoolExecutor(4 * MAX_READERS) as pool:
            assert list(pool.map(read, range(4 * MAX_READERS))) == [1] * 4 * MAX_READERS


def test_a_closed_queue_is_one_line(where: str) -> None:
    queue = ReviewQueue.open(where, create=True)
    queue.close()
    with pytest.raises(ReviewError, match="it is closed"):
        queue.counts()
    with pytest.raises(ReviewError, match="it is closed"):
        queue.take("ana")


@pytest.fixture
def server() -> Iterator[postgres_server.Server]:
    """Run a server that a test may stop."""
    reason = postgres_server.missing()
    if reason:
        pytest.skip(reason)
    with postgres_server.serving() as running:
        yield running


@pytest.mark.servers
def test_a_server_that_was_restarted_is_as_good_as_before(server: postgres_server.Server) -> None:
    with ReviewQueue.open(server.database(), create=True) as queue:
        queue.add(many(3))
        together = threading.Barrier(4)

        def read(_: int) -> None:
            with queue.transaction(read_only=True):
                together.wait(PATIENCE)
                queue.case("1")

        for how in ("fast", "immediate"):
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(read, range(4)))
            server.run("pg_ctl", "-D", f"{server.folder}/data", "-m", how, "-w", "stop")
            with pytest.raises(QueueUnavailable) as refused:
                queue.counts()
            assert "\n" not in str(refused.value)
            with pytest.raises(QueueUnavailable):
                queue.take("ana")
            server.start()
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(read, range(4)))  # each of its connections was lost
            take_and_decide(queue, "unsure")
        server.stop()
        server.start()
        take_and_decide(queue, "unsure")  # a write that is the first to notice
        assert queue.counts()[CaseState.UNSURE] == 3
        queue.verify()


@pytest.mark.servers
def test_a_connection_that_is_cut_within_a_transaction_costs_that_alone(
    server: postgres_server.Server,
) -> None:
    with ReviewQueue.open(server.database(), create=True) as queue:
        queue.add(many(2))

        def take_two() -> None:
            with queue.transaction():
                queue.take("ana")
                server.stop()
                server.start()
                queue.take("bo")

        with pytest.raises(QueueUnavailable):
            take_two()
        assert queue.counts()[CaseState.PENDING_REVIEW] == 2
        take_and_decide(queue, "unsure")
        queue.verify()


def test_what_cannot_be_forgotten_is_said(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with ReviewQueue.open(str(path), create=True) as queue:
        database = queue._database
        database.patience = 0.01
        with held(queue), pytest.raises(QueueUnavailable, match="it is busy"):
            database.forget()
    with pytest.raises(QueueUnavailable, match="it is closed"):
        database.forget()
