"""Connections of a queue: readers wait for nobody, writers not for ever, servers are restarted."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

import postgres_server
import processes
from hashmatch.errors import QueueUnavailable, ReviewError
from hashmatch.records.cases import CaseState
from hashmatch.review.database import MAX_READERS, Pool
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


@pytest.mark.parametrize(
    ("waits", "has_turn"),
    [
        ([(0, False)], False),  # another process has the lock: nothing goes on
        ([(1, False), (0, False)], False),
        ([(1, False), (1, False), (0, True)], True),
        ([(0, True)], True),
    ],
)
def test_threads_wait_for_their_turn_while_others_have_theirs(
    waits: list[tuple[int, bool]], has_turn: bool
) -> None:
    """Each wait ends with how many transactions began meanwhile, and whether it is their turn."""
    pool = Pool(1)

    class Turns:
        def acquire(self, timeout: float) -> bool:
            begun, free = waits.pop(0)
            for _ in range(begun):
                pool.begun()
            return free

    pool._free = Turns()  # type: ignore[assignment]
    assert pool.wait(PATIENCE) is has_turn
    assert not waits


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


@pytest.mark.servers
def test_a_server_that_says_nothing_is_given_up_and_asked_anew(
    server: postgres_server.Server,
) -> None:
    with ReviewQueue.open(server.database(), create=True) as queue:
        queue.add(many(3))
        queue.counts()
        queue.answer_timeout, queue.patience = 0.5, 0.5
        with server.stopped():
            for use in (queue.counts, lambda: queue.take("ana"), queue.counts):
                with pytest.raises(QueueUnavailable, match=r"no answer in time|timeout expired"):
                    use()
        queue.answer_timeout = queue.patience = PATIENCE
        take_and_decide(queue, "unsure")
        assert queue.counts()[CaseState.UNSURE] == 1
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


def in_another_process(path: Path, script: str) -> str:
    """Run a script that has the queue at `path` as ``queue``, and return what it printed."""
    before = (
        "import sys; from hashmatch.review.queue import ReviewQueue\n"
        "with ReviewQueue.open(sys.argv[1]) as queue:\n    "
    )
    done = processes.run([sys.executable, "-c", before + script, path], text=True)
    return str(done.stdout).strip()


def test_what_was_decided_stays_whoever_else_opens_and_closes_the_file(tmp_path: Path) -> None:
    """The locks of this process are not given up by a second connection of its own."""
    path = tmp_path / "queue.db"
    count = "print(queue.counts()['unsure'])"
    with ReviewQueue.open(str(path), create=True) as queue:
        queue.add(many(3))
        assert queue.counts()[CaseState.UNSURE] == 0  # by a connection that only reads
        assert in_another_process(path, count) == "0"
        take_and_decide(queue, "unsure")
        with ReviewQueue.open(str(path)) as other:  # of the same process
            take_and_decide(other, "unsure")
        assert in_another_process(path, count) == "2"
        take_and_decide(queue, "unsure")
        assert in_another_process(path, count) == "3"
        queue.verify()
    assert in_another_process(path, count) == "3"


def test_a_file_that_is_removed_and_put_back_is_as_good_as_before(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with ReviewQueue.open(str(path), create=True) as queue:
        queue.add(many(3))
        take_and_decide(queue, "unsure")
        os.rename(path, tmp_path / "away.db")
        for use in (queue.counts, queue.reviewers.list, lambda: queue.take("ana")):
            with pytest.raises(QueueUnavailable, match=r"^cannot [^\n]*No such file[^\n]*$"):
                use()
        assert not path.exists()
        os.rename(tmp_path / "away.db", path)
        assert queue.counts()[CaseState.UNSURE] == 1
        take_and_decide(queue, "unsure")
        queue.verify()


def test_a_backup_that_is_put_in_the_place_of_the_file_is_what_is_used(tmp_path: Path) -> None:
    path, backup = tmp_path / "queue.db", tmp_path / "backup.db"
    with ReviewQueue.open(str(path), create=True) as queue:
        queue.add(many(3))
        queue.counts()
        source, target = sqlite3.connect(path), sqlite3.connect(backup)
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
        source.close()
        target.close()
        backup.chmod(0o600)
        take_and_decide(queue, "unsure")
        for name in (path, f"{path}-wal", f"{path}-shm"):
            os.remove(name)
        os.rename(backup, path)
        assert queue.counts()[CaseState.UNSURE] == 0  # what was decided since is not in it
        take_and_decide(queue, "unsure")
        with held(queue):
            assert queue.counts()[CaseState.UNSURE] == 1  # readers still wait for nobody
        assert in_another_process(path, "print(queue.counts()['unsure'])") == "1"
        queue.verify()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "it is empty"), (b"some text\n" * 1000, "it is no review queue"), (None, "no review")],
    ids=["empty", "text", "of others"],
)
def test_something_else_in_the_place_of_the_file_is_one_line(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path, away = tmp_path / "queue.db", tmp_path / "away.db"
    other = tmp_path / "other.db"
    if content is None:
        with closing(sqlite3.connect(other)) as connection:
            connection.execute("CREATE TABLE theirs (a)")
    else:
        other.write_bytes(content)
    before = other.read_bytes()
    other.chmod(0o600)
    with ReviewQueue.open(str(path), create=True) as queue:
        queue.add(many(3))
        os.rename(path, away)
        os.rename(f"{path}-wal", f"{away}-wal")
        os.rename(other, path)
        for use in (queue.counts, lambda: queue.take("ana")):
            with pytest.raises(QueueUnavailable, match=reason) as refused:
                use()
            assert "\n" not in str(refused.value)
        assert path.read_bytes() == before
        os.rename(f"{away}-wal", f"{path}-wal")
        os.rename(away, path)
        take_and_decide(queue, "unsure")
        queue.verify()


def test_a_copy_that_others_can_change_is_not_used(tmp_path: Path) -> None:
    path, copy = tmp_path / "queue.db", tmp_path / "copy.db"
    with ReviewQueue.open(str(path), create=True) as queue:
        queue.add(many(1))
    shutil.copy(path, copy)
    copy.chmod(0o666)
    with ReviewQueue.open(str(path)) as queue:
        os.rename(copy, path)
        for use in (queue.counts, lambda: queue.take("ana")):
            with pytest.raises(QueueUnavailable, match="can be changed by others"):
                use()
        path.chmod(0o600)
        take_and_decide(queue, "unsure")


def test_a_relative_path_is_that_of_where_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ReviewQueue.open("a #?%41 queue.db", create=True) as queue:
        queue.add(many(1))
        monkeypatch.chdir("/")
        assert queue.counts()[CaseState.PENDING_REVIEW] == 1
        take_and_decide(queue, "unsure")
    assert (tmp_path / "a #?%41 queue.db").exists()
