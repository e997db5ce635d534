"""``hashmatch review history`` and the heads of it that ``review verify`` compares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli_tools import one_line, run
from hashmatch.records.cases import Case
from hashmatch.review.access import FailedLogins, record_login, record_view
from hashmatch.review.queue import ReviewQueue
from review_queues import take_and_decide
from review_records import many

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Return a queue with a few cases, some of them decided."""
    path = tmp_path / "queue.db"
    with ReviewQueue.open(str(path), create=True) as opened:
        opened.add(many(5))
        take_and_decide(opened, "confirmed")
    return path


def test_the_history_says_who_came_and_looked(queue: Path) -> None:
    with ReviewQueue.open(str(queue)) as opened:
        opened.reviewers.add("dora")
        record_login(opened, "dora")
        failed = FailedLogins(opened)
        failed.count("dora")
        failed.count("\x1b[31mnobody")
        failed.write()
        case = opened.take("dora")
        assert isinstance(case, Case)
        record = case.items[0].record.record_id
        record_view(opened, case.case_id, "dora", record, "colour")
        events = opened.verify().events
    lines = run("review", "history", queue).out.decode().splitlines()
    assert len(lines) == events
    assert [line.partition("  ")[0] for line in lines] == [f"{n}" for n in range(1, events + 1)]
    text = "\n".join(lines)
    assert "dora: logged_in" in text
    assert "hashmatch: login_failed 1 with the name dora" in text
    assert "hashmatch: login_failed 1 with unknown names" in text
    assert f"dora: uncovered {record}, colour  {case.case_id}" in text
    assert "nobody" not in text
    shown = run("review", "case", "show", queue, case.case_id).out.decode()
    assert f"dora: uncovered {record}, colour" in shown
    of_kinds = ["--kind", "uncovered", "--kind", "logged_in", "--json"]
    found = run("review", "history", queue, *of_kinds).lines
    assert [event["kind"] for event in found] == ["logged_in", "uncovered"]
    hers = run("review", "history", queue, "--who", "dora", "--json").lines
    assert {event["who"] for event in hers} == {"dora"}
    assert run("review", "history", queue, "--since", "2999-01-01").out == b""
    assert b'"token"' not in run("review", "history", queue, "--json").out
    one_line(run("review", "history", queue, "--kind", "nothing"), "is none of made")


def test_heads_that_were_kept_anywhere_are_compared(queue: Path, tmp_path: Path) -> None:
    said = run("review", "verify", queue).out.decode()
    log = tmp_path / "push.log"
    log.write_text(f"3 sent\n{said}")
    assert run("review", "verify", queue, "--head", log).out.decode() == said
    assert run("review", "verify", queue, "--head", said.split()[-1], "--head", log).code == 0
    log.write_text(f"2 sent; head 1:{'0' * 64}\n{said}")
    one_line(run("review", "verify", queue, "--head", log), "event 1 is not the one")
    log.write_text("nothing")
    one_line(run("review", "verify", queue, "--head", log), "no head of a history")
