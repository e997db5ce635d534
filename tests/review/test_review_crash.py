"""A queue outlives its users: reviewers and writers killed at any moment, disks that are full."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from conftest import ROOT
from hashmatch.errors import ReviewError
from hashmatch.records.cases import CaseState
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from processes import Process
from review_queues import Clock, take_and_decide, take_case
from review_records import many

if TYPE_CHECKING:
    from pathlib import Path

    from review_queues import MakeQueue

FOLDER = ROOT / "tests"
ALWAYS = Settings(lease=timedelta(seconds=3), in_a_row=10**6, undo=timedelta(minutes=5))


def start(
    what: str, where: str, seed: int, name: str = "ana", *, held: bool = False
) -> subprocess.Popen[str]:
    return Process(
        [sys.executable, FOLDER / "reviewers_at_work.py", what, where, name, str(seed)],
        stdin=subprocess.PIPE if held else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        cwd=FOLDER,
    )


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("begin\n")
    process.stdin.flush()


def all_decided(where: str, cases: int, people: int, kills: int, seed: int) -> Counter[str]:
    """Let `people` decide about all cases, of whom some are killed, and return who decided."""
    rng = random.Random(seed)
    with ReviewQueue.open(where, create=True, settings=ALWAYS) as queue:
        queue.add(many(cases, seed))
        working = {
            n: start("review", where, seed + n, f"reviewer-{n}", held=True) for n in range(people)
        }
        for process in working.values():
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in working.values():
            begin(process)
        said: list[str] = []
        hired = people
        try:
            while working:
                time.sleep(rng.random() * 0.4)
                if kills and len(working) == people:
                    kills -= 1
                    number = rng.choice(sorted(working))
                    working[number].send_signal(signal.SIGKILL)
                    hired += 1
                    working[hired] = start("review", where, seed + hired, f"reviewer-{hired}")
                for number, process in list(working.items()):
                    if process.poll() is not None or not kills:
                        out, _ = process.communicate()
                        said += [line for line in out.splitlines() if line != "ready"]
                        assert process.returncode in {0, -signal.SIGKILL}
                        del working[number]
        finally:
            for process in working.values():
                process.kill()
                process.communicate()
        counts = queue.counts()
        assert counts[CaseState.PENDING_REVIEW] == counts[CaseState.IN_REVIEW] == 0
        found = list(queue.cases())
        assert len(found) == cases
        standing = {}
        for case in found:
            (decision,) = [one for one in case.decisions if one.undone_at is None]
            standing[decision.decision_id] = decision.reviewer
        # What somebody was told is done is there, once: undone decisions are there too.
        told = [line.split()[1] for line in said if len(line.split()) == 2]
        every = {one.decision_id for case in found for one in case.decisions}
        assert len(told) == len(set(told))
        assert set(told) <= every
        queue.verify()
        return Counter(standing.values())


def test_each_case_is_decided_once_though_reviewers_are_killed(where: str) -> None:
    who = all_decided(where, 60, people=3, kills=3, seed=1)
    # SQLite's lock often goes to whoever had it, so that there one of them may decide all.
    assert len(who) > 1 or "://" not in where


@pytest.mark.slow
def test_2000_cases_are_decided_once_by_four(where: str) -> None:
    who = all_decided(where, 2000, people=4, kills=25, seed=2)
    assert sum(who.values()) == 2000


def killed_at_random(what: str, where: str, seed: int, times: int) -> list[str]:
    """Start a process again and again, each time killing it; return what all of them said."""
    rng = random.Random(seed)
    said: list[str] = []
    for n in range(times):
        process = start(what, where, seed if what == "add" else seed + n)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.random() * 0.5)
        process.kill()
        out = process.stdout.read()
        said += [line for line in out.splitlines(keepends=True) if line.endswith("\n")]
        process.wait()
        process.stdout.close()
    return [line.strip() for line in said]


@pytest.mark.parametrize("what", ["add", "review", "purge"])
def test_whatever_is_killed_leaves_the_queue_whole(where: str, what: str) -> None:
    with ReviewQueue.open(where, create=True, settings=ALWAYS) as queue:
        queue.add(many(400, seed=5))
        said = killed_at_random(what, where, 5, times=4)
        queue.verify()
        if what == "add":
            there = {item.record.record_id for case in queue.cases() for item in case.items}
            assert set(said) <= there


@pytest.mark.slow
@pytest.mark.parametrize("what", ["add", "review", "purge"])
def test_whatever_is_killed_a_hundred_times_leaves_the_queue_whole(where: str, what: str) -> None:
    with ReviewQueue.open(where, create=True, settings=ALWAYS) as queue:
        queue.add(many(20000, seed=5))
        killed_at_random(what, where, 6, times=100)
        queue.verify()


def test_a_full_disk_is_one_line_and_costs_nothing(tmp_path: Path, clock: Clock) -> None:
    where = str(tmp_path / "queue.db")
    with ReviewQueue.open(where, create=True, now=clock) as queue:
        queue.add(many(100))
        case = take_case(queue)
        before = queue.verify()
        with queue.transaction() as tx:  # a full disk, as SQLite meets it
            ((pages,),) = tx.database.rows("PRAGMA page_count")
            tx.database.rows(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(ReviewError, match=r"^cannot use .*queue.db: database or disk is full$"):
            queue.add(many(3000, seed=9))
        with pytest.raises(ReviewError, match=r"^cannot use .*queue.db: database or disk is full$"):
            queue.decide(case.case_id, "ana", "confirmed", "x" * 10_000, case.reviewed_digest)
        assert queue.verify() == before
        with queue.transaction() as tx:
            tx.database.rows("PRAGMA max_page_count = 1000000")
        queue.decide(case.case_id, "ana", "confirmed", "", case.reviewed_digest)
        take_and_decide(queue, "unsure")


@pytest.mark.servers
def test_a_server_that_was_away_serves_again(clock: Clock) -> None:
    import postgres_server

    reason = postgres_server.missing()
    if reason:
        pytest.skip(reason)
    with (
        postgres_server.serving() as server,
        ReviewQueue.open(server.database(), create=True, now=clock) as queue,
    ):
        queue.add(many(20))
        case = take_case(queue)
        server.stop()  # as a crash would
        with pytest.raises(ReviewError, match=r"^cannot use review queue postgresql://"):
            queue.decide(case.case_id, "ana", "confirmed", "", case.reviewed_digest)
        with pytest.raises(ReviewError, match=r"^cannot use review queue postgresql://"):
            queue.counts()
        server.start()
        queue.decide(case.case_id, "ana", "confirmed", "", case.reviewed_digest)
        queue.verify()


def test_two_processes_make_one_queue(where: str, make_queue: MakeQueue) -> None:
    first = make_queue()
    with ReviewQueue.open(where, create=True) as second:
        assert second.name == first.name
