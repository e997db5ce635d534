"""Log-ins, failed log-ins and uncovered pictures are events of the history: who, when, which."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from hashmatch.errors import QueueUnavailable, ReviewError
from hashmatch.review.access import (
    FAILURES_INTERVAL,
    FailedLogins,
    record_login,
    record_view,
)
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.results import Pause
from hashmatch.review.settings import Settings
from processes import PATIENCE, wait_for
from review_pages import ReviewSite, filled, served
from review_queues import Clock, take_and_decide, take_case
from review_records import many

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hashmatch.review.results import Event
    from review_queues import MakeQueue

ACCESS = {"logged_in", "login_failed", "uncovered"}


def access(queue: ReviewQueue) -> list[Event]:
    """Return what the history says of who came and looked."""
    return [event for event in queue.history() if event.kind in ACCESS]


def test_a_log_in_says_who(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.reviewers.add("ana")
    record_login(queue, "ana")
    (event,) = access(queue)
    assert (event.who, event.kind, event.at, event.body) == ("ana", "logged_in", clock(), {})


def test_a_view_says_who_and_which_record(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add(many(2))
    case = take_case(queue)
    record = case.items[0].record.record_id
    record_view(queue, case.case_id, "ana", record, "colour")
    (event,) = access(queue)
    assert (event.who, event.kind, event.case_id) == ("ana", "uncovered", case.case_id)
    assert event.body == {"record": record, "extent": "colour", "whole": False}
    assert event in list(queue.history(case.case_id))
    for case_id, who, which in (
        (case.case_id, "bo", record),
        (case.case_id, "ana", "another"),
        (f"{queue.name}-99", "ana", record),
    ):
        with pytest.raises(ReviewError):
            record_view(queue, case_id, who, which, "colour")
    clock.pass_(hours=1)
    with pytest.raises(ReviewError, match="run out"):
        record_view(queue, case.case_id, "ana", record, "colour")
    assert access(queue) == [event]


def test_a_second_reviewer_does_not_see_who_looked(make_queue: MakeQueue) -> None:
    queue = make_queue(Settings(two_reviewers=True))
    queue.add(many(1))
    case = take_case(queue)
    record_view(queue, case.case_id, "ana", case.items[0].record.record_id, "gray")
    queue.decide(case.case_id, "ana", "confirmed", "seen", case.reviewed_digest)
    kinds = [event.kind for event in queue.history(case.case_id, viewer="bo")]
    assert kinds == ["added"]


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_failures_are_counted_by_name_and_bounded(make_queue: MakeQueue) -> None:
    queue, seconds = make_queue(), Seconds()
    queue.reviewers.add("ana")
    failed = FailedLogins(queue, seconds)
    failed.count("ana")
    for number in range(500):
        failed.count(f"stranger {number}")
    failed.write()
    bodies = [event.body for event in access(queue)]
    assert bodies == [{"count": 1, "name": "ana"}, {"count": 500, "name": None}]
    assert {event.who for event in access(queue)} == {"hashmatch"}, "a name tried is no proof"
    for number in range(1000):
        failed.count("ana")
        failed.count(f"more {number}")
        failed.write()
    assert len(access(queue)) == 2
    seconds.now += FAILURES_INTERVAL
    failed.write()
    failed.write()
    assert [event.body["count"] for event in access(queue)] == [1, 500, 1000, 1000]
    failed.count("ana")
    failed.close()
    assert access(queue)[-1].body == {"count": 1, "name": "ana"}
    assert "stranger" not in repr(list(queue.history()))


def test_log_ins_are_no_work_and_end_no_rest(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(Settings(in_a_row=2, pause=timedelta(minutes=5)))
    queue.add(many(9))
    queue.reviewers.add("ana")
    for _ in range(2):
        take_and_decide(queue, "unsure")
    pause = queue.take("ana")
    assert isinstance(pause, Pause)
    for _ in range(4):
        clock.pass_(minutes=1)
        record_login(queue, "ana")
        assert queue.take("ana") == pause
    clock.pass_(minutes=1)
    take_case(queue)


def test_looking_at_a_picture_is_work(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(Settings(in_a_row=2, pause=timedelta(minutes=5)))
    queue.add(many(9))
    for _ in range(2):
        case = take_case(queue)
        clock.pass_(minutes=4)
        record_view(queue, case.case_id, "ana", case.items[0].record.record_id, "light")
        clock.pass_(minutes=4)
        queue.decide(case.case_id, "ana", "unsure", "seen", case.reviewed_digest)
    assert isinstance(queue.take("ana"), Pause)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewSite]:
    """Serve a queue of drawn pictures."""
    with served(filled(tmp_path_factory.mktemp("access"))) as server:
        yield ReviewSite(server)


def test_the_page_records_who_comes_and_what_they_uncover(site: ReviewSite) -> None:
    queue = site.server.queue
    before = len(access(queue))
    browser = site.browser("ana")
    case = browser.take()
    assert [(e.who, e.kind) for e in access(queue)[before:]] == [("ana", "logged_in")]
    assert browser.picture(case, 0).status == 200
    assert len(access(queue)) == before + 1, "nothing can be seen of a covered picture"
    for step in (1, 2, 3, 3):
        assert browser.picture(case, step).status == 200
    seen = access(queue)[before + 1 :]
    assert [event.body["extent"] for event in seen] == ["light", "gray", "colour", "colour"]
    assert {event.who for event in seen} == {"ana"}
    (case_id,) = {event.case_id for event in seen}
    assert case_id is not None
    held = queue.case(case_id)
    assert {event.body["record"] for event in seen} == {held.asked[0].record.record_id}
    assert browser.picture(case, 3, item=99).status >= 400
    assert len(access(queue)) == before + 5, "what was not shown is no view"
    browser.post(f"/case/{case_id}/give-back")
    queue.verify()


def test_the_page_records_failures(site: ReviewSite) -> None:
    queue, name = site.server.queue, "ana"
    before = len(access(queue))
    assert site.browser().log_in(name, "wrong").status == 403
    assert site.browser().log_in("mallory", site.tokens["ana"]).status == 403
    wait_for(lambda: len(access(queue)) == before + 2)
    found = {event.body["name"]: event for event in access(queue)[before:]}
    assert found.keys() == {"ana", None}
    assert {event.who for event in found.values()} == {"hashmatch"}
    text = repr(list(queue.history()))
    assert "mallory" not in text
    assert site.tokens["ana"] not in text
    assert "127.0.0.1" not in text


def test_who_cannot_be_recorded_is_not_let_in_and_sees_nothing(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with served(path) as server:
        site = ReviewSite(server)
        browser = site.browser("ana")
        case = browser.take()
        server.queue.patience = 0.2
        before = len(access(server.queue))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            refused = browser.picture(case, 2)
            assert refused.status == 503
            assert not refused.body.startswith(b"\xff\xd8")
            assert browser.picture(case, 0).status == 200
            refused = site.browser().log_in("bo", site.tokens["bo"])
            assert refused.status == 503
            assert refused.cookies == []
            assert site.browser().log_in("bo", "wrong").status == 403
            other.execute("ROLLBACK")
        server.queue.patience = PATIENCE
        assert browser.picture(case, 2).status == 200
        assert site.browser("bo").get("/").status == 200
    with ReviewQueue.open(path) as queue:
        kinds = [event.kind for event in access(queue)[before:]]
        assert sorted(kinds) == ["logged_in", "login_failed", "uncovered"]


def test_what_cannot_be_written_waits_and_is_never_dropped_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "queue.db")
    with ReviewQueue.open(path, create=True) as queue:
        queue.patience = 0.1
        failed = FailedLogins(queue)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            failed.count("eve")
            failed.count("eve")
            with pytest.raises(QueueUnavailable):
                failed.write()
            failed.close()
            assert "lost 2 failed log-ins" in caplog.text
            other.execute("ROLLBACK")
        failed.write()
        assert [event.body["count"] for event in access(queue)] == [2]
