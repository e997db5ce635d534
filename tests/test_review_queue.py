"""The review queue: what waits, who holds it, what was decided."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from hashmatch.errors import ReviewError, UsageError
from hashmatch.records.decisions import Case, CaseState, ConfirmedCase, Origin, Verdict
from hashmatch.review.answers import Added, Pause
from hashmatch.review.settings import Settings
from review_queues import decided, taken
from review_records import flipped, make_record, many, random_hash

if TYPE_CHECKING:
    from review_queues import Clock, MakeQueue


def test_records_come_in_once(make_queue: MakeQueue) -> None:
    queue = make_queue()
    records = many(50)
    assert queue.add(records) == Added(50, 0, 0, 50)
    assert queue.add(records) == Added(0, 50, 0, 0)
    assert queue.add([]) == Added()
    assert queue.counts()[CaseState.PENDING_REVIEW] == 50
    case = next(queue.cases())
    assert case.items[0].record.hash.value is not records[0].hash.value
    assert case.state is CaseState.PENDING_REVIEW


def test_records_of_one_picture_are_one_case(make_queue: MakeQueue) -> None:
    queue = make_queue()
    rng = random.Random(1)
    value = random_hash(rng)
    near = [make_record(n, flipped(rng, value, n)) for n in range(9)]
    far = make_record(9, flipped(rng, value, 9))
    assert queue.add([(record, Origin("photos", "x")) for record in [*near, far]]).cases == 2
    first, second = queue.cases()
    assert [len(first.items), len(second.items)] == [9, 1]
    assert first.items[0].origin == Origin("photos", "x")


def test_a_case_is_held_by_one_and_comes_back(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add([make_record(1)])
    case = taken(queue)
    assert case.state is CaseState.IN_REVIEW
    assert case.lease is not None
    assert queue.take("ben") is None
    assert taken(queue).case_id == case.case_id
    clock.pass_(minutes=9)
    queue.renew(case.case_id, "ana")
    clock.pass_(minutes=9)
    assert queue.take("ben") is None
    clock.pass_(minutes=1)
    assert queue.case(case.case_id).state is CaseState.PENDING_REVIEW
    assert queue.counts()[CaseState.PENDING_REVIEW] == 1
    assert taken(queue, "ben").case_id == case.case_id
    for call in (queue.renew, queue.give_back):
        with pytest.raises(ReviewError, match="not held by ana"):
            call(case.case_id, "ana")
    queue.give_back(case.case_id, "ben")
    assert taken(queue).case_id == case.case_id


def test_what_is_decided_is_what_was_seen(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    value = random_hash(random.Random(2))
    queue.add([make_record(1, value)])
    case = taken(queue)
    queue.add([make_record(2, value)])
    with pytest.raises(ReviewError, match="take it again"):
        queue.decide(case.case_id, "ana", "confirmed", "", case.seen)
    case = taken(queue)
    decision = queue.decide(case.case_id, "ana", "confirmed", "it is", case.seen, ["A1"])
    assert decision.record_ids == ("record-0000001", "record-0000002")
    assert decision.seen == case.seen
    assert decision.labels == ("A1",)
    queue.add([make_record(3, value)])
    case = queue.case(case.case_id)
    assert [item.inherited for item in case.items] == [False, False, True]
    assert list(queue.confirmed()) == []
    clock.pass_(minutes=10)
    (confirmed,) = queue.confirmed()
    assert [item.record.record_id for item in confirmed.items] == list(decision.record_ids)
    assert list(queue.confirmed(confirmed.event)) == []
    again = queue.look_again(case.case_id, "lead", "one more")
    assert [item.record.record_id for item in again.asked] == ["record-0000003"]
    assert list(queue.confirmed()) == []
    decided(queue, "confirmed", "ben")
    clock.pass_(minutes=10)
    (confirmed,) = queue.confirmed()
    assert len(confirmed.items) == 3
    assert {decision.reviewer for decision in confirmed.decisions} == {"ana", "ben"}


def test_undo_is_for_a_while_and_for_oneself(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add([make_record(1)])
    case = decided(queue, "not_a_match")
    (decision,) = case.decisions
    with pytest.raises(ReviewError, match="not ben's own"):
        queue.undo(decision.decision_id, "ben")
    back = queue.undo(decision.decision_id, "ana")
    assert back.state is CaseState.IN_REVIEW
    with pytest.raises(ReviewError, match="undone already"):
        queue.undo(decision.decision_id, "ana")
    queue.decide(back.case_id, "ana", "confirmed", "", back.seen)
    clock.pass_(minutes=10)
    first, second = queue.case(back.case_id).decisions
    assert first.undone_at is not None
    with pytest.raises(ReviewError, match="could be undone until"):
        queue.undo(second.decision_id, "ana")


def test_two_reviewers_are_blind_to_each_other(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(Settings(two_reviewers=True))
    queue.add([make_record(1, 1), make_record(2, 2**200 - 1, distance=31)])
    first = decided(queue, "confirmed")
    assert first.state is CaseState.PENDING_REVIEW
    other = taken(queue)
    assert other.case_id != first.case_id
    queue.decide(other.case_id, "ana", "confirmed", "", other.seen)
    assert queue.take("ana") is None
    second = taken(queue, "ben")
    assert second.case_id == first.case_id
    assert second.decisions == ()
    clock.pass_(minutes=10)
    assert list(queue.confirmed()) == []
    second = taken(queue, "ben")
    queue.decide(second.case_id, "ben", "confirmed", "", second.seen)
    assert queue.case(second.case_id).state is CaseState.CONFIRMED
    assert decided(queue, "not_a_match", "ben").state is CaseState.ESCALATED
    clock.pass_(minutes=10)
    (confirmed,) = queue.confirmed()
    assert confirmed.case_id == first.case_id


def test_nothing_is_confirmed_that_nobody_confirmed(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add(many(6))
    now = clock()
    for verdict in ("not_a_match", "unsure", "escalated"):
        with pytest.raises(UsageError, match="nobody confirmed it"):
            ConfirmedCase(decided(queue, verdict), 1, now, now)
    pending = next(queue.cases(CaseState.PENDING_REVIEW))
    with pytest.raises(UsageError, match="nobody confirmed it"):
        ConfirmedCase(pending, 1, now, now)
    with pytest.raises(UsageError, match="no item that enough people"):
        ConfirmedCase(replace(pending, state=CaseState.CONFIRMED), 1, now, now)
    confirmed = decided(queue, "confirmed")
    with pytest.raises(UsageError, match="may still be undone"):
        ConfirmedCase(confirmed, 1, now + timedelta(minutes=10), now)


def test_the_next_is_the_closest_of_those_asked_for(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(Settings(label_weights={"A2": 100}, in_a_row=100))
    queue.add([make_record(1, 1, distance=31)])
    queue.add([make_record(2, 2**255 - 1, distance=0)])
    queue.add([make_record(3, 2**200 - 1, distance=31, labels=("A2",))])
    assert [taken(queue, who).items[0].record.record_id[-1] for who in "abc"] == ["3", "2", "1"]
    queue.give_back(next(queue.cases()).case_id, "c")
    assert queue.take("x", label="nope") is None
    clock.pass_(days=30)
    queue.add([make_record(4, 2**128 - 1, distance=0)])
    assert taken(queue, "y").items[0].record.record_id[-1] != "4"


def test_a_pause_after_many_in_a_row(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(Settings(in_a_row=3))
    queue.add(many(10))
    for _ in range(3):
        clock.pass_(seconds=5)
        decided(queue, "unsure")
    pause = queue.take("ana")
    assert isinstance(pause, Pause)
    assert pause.after == 3
    assert isinstance(queue.take("ben"), Case)
    clock.time = pause.until
    assert isinstance(queue.take("ana"), Case)


def test_who_decides_has_a_name(make_queue: MakeQueue) -> None:
    queue = make_queue()
    queue.add([make_record(1)])
    with pytest.raises(UsageError, match="name"):
        queue.take(" ")
    case = taken(queue)
    with pytest.raises(UsageError, match="a verdict is one of"):
        queue.decide(case.case_id, "ana", "maybe", "", case.seen)
    queue.decide(case.case_id, "ana", Verdict.UNSURE, "", case.seen)


def test_reviewers_have_tokens(make_queue: MakeQueue) -> None:
    queue = make_queue()
    token = queue.reviewers.add("ana")
    assert queue.reviewers.check("ana", token)
    assert not queue.reviewers.check("ana", token + "x")
    assert not queue.reviewers.check("ben", token)
    assert not queue.reviewers.check("ben", "")
    newer = queue.reviewers.add("ana")
    assert not queue.reviewers.check("ana", token)
    assert list(queue.reviewers.list()) == ["ana"]
    queue.reviewers.remove("ana")
    assert not queue.reviewers.check("ana", newer)
    with pytest.raises(ReviewError, match="no reviewer"):
        queue.reviewers.remove("ana")
