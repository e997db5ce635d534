"""What a review queue keeps, for how long, and what is left of what has expired."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from hashmatch.errors import ReviewError
from hashmatch.records.cases import Case, CaseState, Origin
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.results import Added, Purged
from hashmatch.review.settings import Settings
from review_queues import take_and_decide, take_case
from review_records import flipped, make_record, many, random_hash

if TYPE_CHECKING:
    from pathlib import Path

    from review_queues import Clock, MakeQueue

KEEP = Settings(keep_pending=timedelta(days=10), keep_rejected=timedelta(days=2), in_a_row=1000)


def test_what_nobody_confirmed_expires(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(KEEP)
    queue.add(many(6))
    states = [
        take_and_decide(queue, verdict).case_id
        for verdict in ("confirmed", "not_a_match", "unsure")
    ]
    escalated = take_and_decide(queue, "escalated").case_id
    clock.pass_(days=2)
    assert queue.purge(dry_run=True) == queue.purge() == Purged(0, 1, 0, 1)
    assert queue.purge() == Purged()
    clock.pass_(days=8)
    assert queue.purge(dry_run=True) == Purged(3, 0, 0, 3)
    assert queue.purge() == Purged(3, 0, 0, 3)
    assert queue.take("ben") is None
    assert [case.case_id for case in queue.cases()] == [states[0], escalated]
    assert queue.counts() == {
        CaseState.PENDING_REVIEW: 0,
        CaseState.IN_REVIEW: 0,
        CaseState.CONFIRMED: 1,
        CaseState.NOT_A_MATCH: 0,
        CaseState.UNSURE: 0,
        CaseState.ESCALATED: 1,
    }
    kinds = [event.kind for event in queue.history()]
    assert kinds.count("purged") == 2
    with pytest.raises(ReviewError, match="have expired"):
        queue.look_again(states[1], "lead", "why")


def test_what_was_confirmed_is_held_until_released(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(KEEP)
    queue.add([make_record(1)])
    case = take_and_decide(queue, "confirmed")
    assert case.held
    clock.pass_(days=1000)
    assert queue.purge() == Purged()
    queue.release(case.case_id, "counsel", "the report was closed")
    assert not queue.case(case.case_id).held
    assert queue.purge() == Purged()
    clock.pass_(days=2)
    assert queue.purge() == Purged(0, 0, 1, 1)
    assert list(queue.confirmed()) == []


def test_anything_can_be_held(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(KEEP)
    queue.add([make_record(1)])
    case = take_and_decide(queue, "not_a_match")
    queue.hold(case.case_id, "counsel", "a complaint")
    clock.pass_(days=1000)
    assert queue.purge() == Purged()
    assert queue.case(case.case_id).held
    queue.change(Settings(hold_confirmed=False))
    queue.release(case.case_id, "counsel", "")
    clock.pass_(days=30)
    assert queue.purge() == Purged(0, 1, 0, 1)


def test_a_case_asked_for_again_does_not_expire_at_once(
    make_queue: MakeQueue, clock: Clock
) -> None:
    queue = make_queue(KEEP)
    queue.add([make_record(1)])
    case = take_and_decide(queue, "unsure")
    clock.pass_(days=9)
    queue.look_again(case.case_id, "lead", "a doubt")
    clock.pass_(days=9)
    assert queue.purge() == Purged()
    clock.pass_(days=1)
    held = take_case(queue)
    assert queue.purge() == Purged()  # somebody looks at it
    queue.give_back(held.case_id, "ana")
    assert queue.purge() == Purged(1, 0, 0, 1)


def test_what_was_confirmed_is_held_while_it_is_asked_for_again(
    make_queue: MakeQueue, clock: Clock
) -> None:
    queue = make_queue(KEEP)
    queue.add([make_record(1, 5)])
    case = take_and_decide(queue, "confirmed")
    queue.add([make_record(2, 5)])
    queue.look_again(case.case_id, "lead", "one more of it")
    clock.pass_(days=1000)
    assert queue.purge() == Purged()
    after = take_and_decide(queue, "not_a_match", "ben")
    assert after.held
    assert after.state is CaseState.ESCALATED  # the first is confirmed all the same
    clock.pass_(days=1000)
    assert queue.purge() == Purged()
    queue.release(case.case_id, "counsel", "it was a mistake")
    clock.pass_(days=2)
    assert queue.purge() == Purged(0, 0, 2, 1)


def test_what_has_expired_does_not_come_back_unless_asked_for(
    make_queue: MakeQueue, clock: Clock
) -> None:
    queue = make_queue(KEEP)
    records = [make_record(number, 5) for number in range(3)]
    queue.add(records[:2])
    clock.pass_(days=9)
    queue.add(records[2:])
    clock.pass_(days=1)
    assert queue.purge() == Purged(2, 0, 0, 0)
    (case,) = queue.cases()
    assert [item.record.record_id for item in case.items] == ["record-0000002"]
    assert queue.add(records) == Added(0, 3, 0, 0)
    assert queue.add([make_record(3, 5)]).cases == 1  # the first is gone, and nothing joins it
    assert queue.add(records, again=True) == Added(2, 1, 0, 0)
    assert len(list(queue.cases())) == 2


def test_nothing_is_left_of_it_in_the_file(tmp_path: Path, clock: Clock) -> None:
    where = str(tmp_path / "queue.db")
    queue = ReviewQueue.open(where, create=True, settings=KEEP, now=clock)
    value = random_hash(random.Random(3))
    record = make_record(1, value)
    queue.add([(record, Origin("s3://bucket-of-people", "a place"))])
    traces = [
        record.item.key.encode(),
        value.to_bytes(32, "big"),
        b"bucket-of-people",
        b"a place",
    ]
    files = [tmp_path / "queue.db", tmp_path / "queue.db-wal"]

    def left() -> list[bytes]:
        content = b"".join(file.read_bytes() for file in files if file.exists())
        return [trace for trace in traces if trace in content]

    assert left() == traces
    clock.pass_(days=10)
    queue.purge()
    assert left() == []
    queue.verify()
    queue.close()


def test_settings_change_the_order_and_what_is_the_same(
    make_queue: MakeQueue, clock: Clock
) -> None:
    queue = make_queue(Settings(in_a_row=100))
    rng = random.Random(4)
    value = random_hash(rng)
    queue.add([make_record(1, value, distance=0), make_record(2, 7, distance=31, labels=("B",))])
    first = queue.take("a")
    assert isinstance(first, Case)
    assert first.items[0].record.record_id.endswith("1")
    queue.give_back(first.case_id, "a")
    queue.change(Settings(same_picture={"pdq": 12}, label_weights={"B": 50}))
    queue.verify()
    assert take_case(queue, "b").items[0].record.record_id.endswith("2")
    queue.add([make_record(3, flipped(rng, value, 12))])
    assert len(queue.case(first.case_id).items) == 2
    assert [event.kind for event in queue.history()].count("settings") == 1


def test_a_release_is_of_what_was_decided(make_queue: MakeQueue, clock: Clock) -> None:
    """What is confirmed after it is held again."""
    queue = make_queue(KEEP)
    queue.add([make_record(1, 5)])
    case_id = next(queue.cases()).case_id
    with pytest.raises(ReviewError, match=r"cannot release .*: it is not held"):
        queue.release(case_id, "counsel", "too soon")
    (decision,) = take_and_decide(queue, "confirmed").decisions
    queue.release(case_id, "counsel", "closed")
    back = queue.undo(decision.decision_id, "ana")
    queue.verify()
    queue.decide(case_id, "ana", "confirmed", "", back.reviewed_digest)
    assert queue.case(case_id).held
    queue.release(case_id, "counsel", "closed")
    with pytest.raises(ReviewError, match=r"cannot release .*: it is not held"):
        queue.release(case_id, "counsel", "it would begin to count anew")
    queue.look_again(case_id, "lead", "an appeal")
    assert take_and_decide(queue, "confirmed", "ben").held
    clock.pass_(days=1000)
    assert queue.purge() == Purged()


@pytest.mark.parametrize("verdict", ["confirmed", "escalated"])
def test_what_was_held_when_it_was_decided_stays_so(
    make_queue: MakeQueue, clock: Clock, verdict: str
) -> None:
    queue = make_queue(KEEP)
    queue.add(many(2))
    first = take_and_decide(queue, verdict)
    queue.change(replace(KEEP, hold_confirmed=False))
    later = take_and_decide(queue, verdict)
    assert (queue.case(first.case_id).held, queue.case(later.case_id).held) == (True, False)
    clock.pass_(days=1000)
    assert queue.purge() == Purged(0, 0, 1, 1)
    queue.look_again(first.case_id, "lead", "why")
    assert take_and_decide(queue, "not_a_match").held
    queue.release(first.case_id, "counsel", "closed")
    clock.pass_(days=3)
    assert queue.purge().records == 1


def test_what_is_held_by_the_rule_of_today_is_held(make_queue: MakeQueue) -> None:
    queue = make_queue(replace(KEEP, hold_confirmed=False))
    queue.add([make_record(1)])
    (decision,) = take_and_decide(queue, "confirmed").decisions
    assert not next(queue.cases()).held
    queue.change(KEEP)
    assert next(queue.cases()).held
    back = queue.undo(decision.decision_id, "ana")
    queue.decide(back.case_id, "ana", "escalated", "", back.reviewed_digest)
    queue.change(replace(KEEP, hold_confirmed=False))
    assert next(queue.cases()).held
