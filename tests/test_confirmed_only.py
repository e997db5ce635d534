"""Nothing of a "confirmed" kind can be made of what no person decided: not by any way there is."""

from __future__ import annotations

import subprocess
import sys
import typing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from conftest import ROOT
from hashmatch.errors import HashmatchError
from hashmatch.records.cases import CaseState, ConfirmedCase, Verdict
from hashmatch.review.export import export_confirmed
from hashmatch.review.history import Head
from hashmatch.review.settings import Settings
from hashmatch.review.webhook.messages import (
    AskedAgainMessage,
    ConfirmedMessage,
    DecidedMessage,
    NotYet,
    message_of,
)
from hashmatch.testing import example_record
from review_queues import Clock, event_of, take_and_decide, take_case
from review_records import many

if TYPE_CHECKING:
    from pathlib import Path

    from review_queues import MakeQueue

LONG_AGO, NOW = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def confirmed_message(case: Any, event: Any) -> bytes:
    return ConfirmedMessage(case, event).body(Head(1, "0" * 64))


def test_a_case_that_people_confirmed_is_told(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add(many(1))
    take_and_decide(queue, "confirmed")
    clock.pass_(minutes=11)
    (case,) = queue.confirmed()
    event = event_of(queue, case.event)
    assert b"case.confirmed" in confirmed_message(case, event)


def test_no_other_can_be(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(Settings(two_reviewers=True))
    queue.add(many(8))
    cases = [take_and_decide(queue, v) for v in ("not_a_match", "unsure", "escalated", "confirmed")]
    cases += [take_case(queue, "ben"), take_case(queue, "eve")]
    queue.give_back(cases[-1].case_id, "eve")
    cases += queue.cases("pending_review")
    event = event_of(queue, 3)
    for case in cases:
        forged = replace(case, state=CaseState.CONFIRMED)
        for one in (case, forged, replace(forged, decisions=()), example_record(), case.items[0]):
            with pytest.raises(HashmatchError):
                confirmed_message(one, event)
        if case.state is not CaseState.CONFIRMED and Verdict.CONFIRMED not in {
            decision.verdict for decision in case.decisions
        }:
            for one in (case, forged):
                with pytest.raises(HashmatchError):
                    ConfirmedCase(one, 3, LONG_AGO, NOW)
        # Made behind the back of its constructor, it is looked at when it is told.
        bare = object.__new__(ConfirmedCase)
        for name, value in (
            ("case", case), ("event", 3), ("final_at", LONG_AGO), ("handed_at", NOW),
        ):  # fmt: skip
            object.__setattr__(bare, name, value)
        with pytest.raises(HashmatchError):
            confirmed_message(bare, event)
    assert list(queue.confirmed()) == []
    clock.pass_(days=1)
    assert list(queue.confirmed()) == []  # one of two confirmations is none


def test_not_while_it_may_be_undone_or_by_one_of_two(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(Settings(two_reviewers=True))
    queue.add(many(1))
    once = take_and_decide(queue, "confirmed", "ana")
    twice = take_and_decide(queue, "confirmed", "ben")
    for case, final_at in ((once, LONG_AGO), (twice, clock.time + timedelta(seconds=1))):
        with pytest.raises(HashmatchError):
            ConfirmedCase(case, 9, final_at, clock.time)
    # Two confirmations by one person are one.
    first, second = twice.decisions
    alone = replace(twice, decisions=(first, replace(second, reviewer="ana")))
    with pytest.raises(HashmatchError):
        ConfirmedCase(alone, 9, LONG_AGO, clock.time)


def test_a_message_of_another_kind_cannot_tell_it(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add(many(2))
    case = take_and_decide(queue, "confirmed")
    event = event_of(queue, queue.verify().events)
    with pytest.raises(HashmatchError, match="confirmed"):
        DecidedMessage(case, event)
    with pytest.raises(HashmatchError, match="pending_review"):
        DecidedMessage(next(queue.cases("pending_review")), event)
    with pytest.raises(HashmatchError, match="no person asked"):
        AskedAgainMessage(event)
    other = take_and_decide(queue, "unsure")
    with pytest.raises(HashmatchError, match="not the one"):
        DecidedMessage(other, event)
    assert DecidedMessage(other, event_of(queue, queue.verify().events)).kind == "case.unsure"
    clock.pass_(minutes=11)
    (real,) = queue.confirmed()
    with pytest.raises(HashmatchError, match="not the one"):
        ConfirmedMessage(real, event_of(queue, queue.verify().events))


def test_only_decisions_have_messages(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add(many(3))
    take_and_decide(queue, "confirmed")
    queue.give_back(take_case(queue).case_id, "ana")
    clock.pass_(minutes=11)
    kinds = []
    for event in queue.history():
        if event.kind in {"decided", "asked_again"}:
            message = message_of(queue, event.number)
            assert not isinstance(message, NotYet)
            kinds.append(message.kind if message else None)
    assert kinds == ["case.confirmed"]


def test_a_check_of_types_refuses_each_of_these(make_queue: MakeQueue, tmp_path: Path) -> None:
    """Were one of them right, its comment would be an error: mypy is strict about unused ones."""
    queue = make_queue()
    queue.add(many(1))
    case, event = take_and_decide(queue, "confirmed"), event_of(queue, 3)
    with pytest.raises(HashmatchError):
        ConfirmedMessage(case, event)  # type: ignore[arg-type]
    with pytest.raises(HashmatchError):
        ConfirmedMessage(example_record(), event)  # type: ignore[arg-type]
    with pytest.raises(HashmatchError):
        export_confirmed([case], tmp_path / "a.jsonl")  # type: ignore[list-item]
    with pytest.raises(HashmatchError):
        export_confirmed([example_record()], tmp_path / "a.jsonl")  # type: ignore[list-item]
    assert not (tmp_path / "a.jsonl").exists()


WRONG = """
from hashmatch.records.cases import Case, ConfirmedCase
from hashmatch.records.review import ReviewRecord
from hashmatch.review.results import Event
from hashmatch.review.export import export_confirmed
from hashmatch.review.webhook.messages import ConfirmedMessage

def send(record: ReviewRecord, case: Case, confirmed: ConfirmedCase, event: Event) -> None:
    ConfirmedMessage(confirmed, event)
    export_confirmed([confirmed], "out.jsonl")
    ConfirmedMessage(record, event)
    ConfirmedMessage(case, event)
    ConfirmedCase(record, 1, event.at, event.at)
    export_confirmed([case], "out.jsonl")
    export_confirmed([record], "out.jsonl")
"""


def test_the_types_say_so(tmp_path: Path) -> None:
    hints = typing.get_type_hints(
        ConfirmedMessage.__init__,
        {"ConfirmedCase": ConfirmedCase, "Event": object},
    )
    assert hints["case"] is ConfirmedCase
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", wrong],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "No module named mypy" in done.stderr:
        pytest.skip("mypy is not installed")
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    places = [int(line.split(":")[1]) for line in errors]
    assert places == [11, 12, 13, 14, 15], done.stdout
    assert all("ConfirmedCase" in line or 'expected "Case"' in line for line in errors)
