"""The review queue: what waits, who holds it, what was decided."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from hashmatch.errors import ReviewError, UsageError
from hashmatch.records.cases import Case, CaseState, ConfirmedCase, Origin, Verdict
from hashmatch.records.enums import Surface
from hashmatch.review.results import Added, Pause
from hashmatch.review.settings import Settings
from review_queues import take_and_decide, take_case
from review_records import flipped, make_record, many, random_hash

if TYPE_CHECKING:
    from hashmatch.records.review import ReviewRecord
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
    case = take_case(queue)
    assert case.state is CaseState.IN_REVIEW
    assert case.lease is not None
    assert queue.take("ben") is None
    assert take_case(queue).case_id == case.case_id
    clock.pass_(minutes=9)
    queue.renew(case.case_id, "ana")
    clock.pass_(minutes=9)
    assert queue.take("ben") is None
    clock.pass_(minutes=1)
    assert queue.case(case.case_id).state is CaseState.PENDING_REVIEW
    assert queue.counts()[CaseState.PENDING_REVIEW] == 1
    assert take_case(queue, "ben").case_id == case.case_id
    for call in (queue.renew, queue.give_back):
        with pytest.raises(ReviewError, match="ana does not hold it"):
            call(case.case_id, "ana")
    queue.give_back(case.case_id, "ben")
    assert take_case(queue).case_id == case.case_id


def test_what_comes_in_while_somebody_looks_is_inherited(
    make_queue: MakeQueue, clock: Clock
) -> None:
    queue = make_queue()
    value = random_hash(random.Random(3))
    queue.add([make_record(number, value) for number in (1, 2)])
    case = take_case(queue)
    queue.add([make_record(number, value) for number in (3, 4)])
    decision = queue.decide(case.case_id, "ana", "confirmed", "it is", case.reviewed_digest)
    assert decision.record_ids == ("record-0000001", "record-0000002")
    now = queue.case(case.case_id)
    assert [item.inherited for item in now.items] == [False, False, True, True]
    queue.verify()
    clock.pass_(minutes=10)
    (confirmed,) = queue.confirmed()
    assert [item.record.record_id for item in confirmed.items] == list(decision.record_ids)
    again = queue.look_again(case.case_id, "ben", "two more")
    assert [item.record.record_id for item in again.asked] == ["record-0000003", "record-0000004"]
    queue.verify()


def test_labels_are_kept_whatever_they_come_in(make_queue: MakeQueue) -> None:
    queue = make_queue()
    given: list[Any] = [("A1", "B2"), (label for label in ["A1", "B2"]), "A1", []]
    for number, labels in enumerate(given):
        queue.add([make_record(number, random_hash(random.Random(number)))])
        case = take_case(queue)
        decided = queue.decide(case.case_id, "ana", "not_a_match", "", case.reviewed_digest, labels)
        assert decided.labels == [("A1", "B2"), ("A1", "B2"), ("A1",), ()][number]
    queue.verify()


def test_what_is_decided_is_what_was_seen(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    value = random_hash(random.Random(2))
    queue.add([make_record(1, value)])
    case = take_case(queue)
    with pytest.raises(ReviewError, match="Take it again"):
        queue.decide(case.case_id, "ana", "confirmed", "", "0" * 64)
    queue.add([make_record(2, value)])
    case = take_case(queue)
    decision = queue.decide(case.case_id, "ana", "confirmed", "it is", case.reviewed_digest, ["A1"])
    assert decision.record_ids == ("record-0000001", "record-0000002")
    assert decision.reviewed_digest == case.reviewed_digest
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
    take_and_decide(queue, "confirmed", "ben")
    clock.pass_(minutes=10)
    (confirmed,) = queue.confirmed()
    assert len(confirmed.items) == 3
    assert {decision.reviewer for decision in confirmed.decisions} == {"ana", "ben"}


def test_undo_is_for_a_while_and_for_oneself(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add([make_record(1)])
    case = take_and_decide(queue, "not_a_match")
    (decision,) = case.decisions
    with pytest.raises(ReviewError, match="not ben's own"):
        queue.undo(decision.decision_id, "ben")
    back = queue.undo(decision.decision_id, "ana")
    assert back.state is CaseState.IN_REVIEW
    with pytest.raises(ReviewError, match="undone already"):
        queue.undo(decision.decision_id, "ana")
    queue.decide(back.case_id, "ana", "confirmed", "", back.reviewed_digest)
    clock.pass_(minutes=10)
    first, second = queue.case(back.case_id).decisions
    assert first.undone_at is not None
    with pytest.raises(ReviewError, match="could be undone until"):
        queue.undo(second.decision_id, "ana")


def test_two_reviewers_are_blind_to_each_other(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(Settings(two_reviewers=True))
    queue.add([make_record(1, 1), make_record(2, 2**200 - 1, distance=31)])
    first = take_and_decide(queue, "confirmed")
    assert first.state is CaseState.PENDING_REVIEW
    other = take_case(queue)
    assert other.case_id != first.case_id
    queue.decide(other.case_id, "ana", "confirmed", "", other.reviewed_digest)
    assert queue.take("ana") is None
    second = take_case(queue, "ben")
    assert second.case_id == first.case_id
    assert second.decisions == ()
    clock.pass_(minutes=10)
    assert list(queue.confirmed()) == []
    second = take_case(queue, "ben")
    queue.decide(second.case_id, "ben", "confirmed", "", second.reviewed_digest)
    assert queue.case(second.case_id).state is CaseState.CONFIRMED
    assert take_and_decide(queue, "not_a_match", "ben").state is CaseState.ESCALATED
    clock.pass_(minutes=10)
    (confirmed,) = queue.confirmed()
    assert confirmed.case_id == first.case_id


def test_nothing_is_confirmed_that_nobody_confirmed(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add(many(6))
    now = clock()
    for verdict in ("not_a_match", "unsure", "escalated"):
        with pytest.raises(UsageError, match="nobody confirmed it"):
            ConfirmedCase(take_and_decide(queue, verdict), 1, now, now)
    pending = next(queue.cases(CaseState.PENDING_REVIEW))
    with pytest.raises(UsageError, match="nobody confirmed it"):
        ConfirmedCase(pending, 1, now, now)
    with pytest.raises(UsageError, match="no item that enough people"):
        ConfirmedCase(replace(pending, state=CaseState.CONFIRMED), 1, now, now)
    confirmed = take_and_decide(queue, "confirmed")
    with pytest.raises(UsageError, match="may still be undone"):
        ConfirmedCase(confirmed, 1, now + timedelta(minutes=10), now)


def test_the_next_is_the_closest_of_those_asked_for(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(Settings(label_weights={"A2": 100}, in_a_row=100))
    queue.add([make_record(1, 1, distance=31)])
    queue.add([make_record(2, 2**255 - 1, distance=0)])
    queue.add([make_record(3, 2**200 - 1, distance=31, labels=("A2",))])
    assert [take_case(queue, who).items[0].record.record_id[-1] for who in "abc"] == ["3", "2", "1"]
    queue.give_back(next(queue.cases()).case_id, "c")
    assert queue.take("x", label="nope") is None
    clock.pass_(days=30)
    queue.add([make_record(4, 2**128 - 1, distance=0)])
    assert take_case(queue, "y").items[0].record.record_id[-1] != "4"


def test_a_pause_after_many_in_a_row(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(Settings(in_a_row=3))
    queue.add(many(10))
    for _ in range(3):
        clock.pass_(seconds=5)
        take_and_decide(queue, "unsure")
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
    case = take_case(queue)
    with pytest.raises(UsageError, match="as a verdict"):
        queue.decide(case.case_id, "ana", "maybe", "", case.reviewed_digest)
    queue.decide(case.case_id, "ana", Verdict.UNSURE, "", case.reviewed_digest)


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
    with pytest.raises(ReviewError, match="cannot remove reviewer"):
        queue.reviewers.remove("ana")


def test_what_the_first_decided_is_not_for_the_second_to_see(make_queue: MakeQueue) -> None:
    queue = make_queue(Settings(two_reviewers=True))
    queue.add([make_record(1)])
    case_id = take_and_decide(queue, "confirmed").case_id
    assert len(queue.case(case_id).decisions) == 1
    assert len(queue.case(case_id, viewer="ana").decisions) == 1
    assert queue.case(case_id, viewer="ben").decisions == ()
    assert [event.kind for event in queue.history(case_id)] == ["added", "taken", "decided"]
    assert [event.kind for event in queue.history(case_id, viewer="ben")] == ["added"]
    held = take_case(queue, "ben")
    assert queue.renew(case_id, "ben").decisions == ()
    assert [event.who for event in queue.history(case_id, viewer="ben")][1:] == ["ben", "ben"]
    queue.decide(case_id, "ben", "not_a_match", "", held.reviewed_digest)
    assert len(queue.case(case_id, viewer="ben").decisions) == 2
    again = queue.look_again(case_id, "lead", "they disagree")
    assert [decision.verdict for decision in again.decisions] == ["confirmed", "not_a_match"]
    third = take_and_decide(queue, "confirmed", "cem")
    assert third.decisions[-1].supersedes == third.decisions[-2].decision_id
    assert len(queue.case(case_id, viewer="ana").decisions) == 2


def test_undo_when_a_second_reviewer_has_come_in(make_queue: MakeQueue) -> None:
    queue = make_queue(Settings(two_reviewers=True))
    queue.add([make_record(1)])
    first = take_and_decide(queue, "confirmed").decisions[0]
    take_case(queue, "ben")
    after = queue.undo(first.decision_id, "ana")
    assert after.lease is not None
    assert after.lease.reviewer == "ben"
    queue.verify()
    assert take_and_decide(queue, "confirmed", "ben").state is CaseState.PENDING_REVIEW
    second = take_and_decide(queue, "confirmed", "ana")
    assert second.state is CaseState.CONFIRMED
    back = queue.undo(second.decisions[1].decision_id, "ben")
    assert back.state is CaseState.IN_REVIEW  # ben holds it again: ana's stands
    assert back.lease is not None
    assert back.lease.reviewer == "ben"
    queue.give_back(back.case_id, "ben")
    assert queue.take("ana") is None


def test_inherited_items_are_never_confirmed(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(Settings(two_reviewers=True))
    queue.add([make_record(1, 7)])
    first = take_and_decide(queue, "confirmed")
    queue.add([make_record(2, 7)])  # the first reviewer did not see it
    second = take_and_decide(queue, "confirmed", "ben")
    queue.add([make_record(3, 7)])
    clock.pass_(minutes=10)
    (confirmed,) = queue.confirmed()
    assert [item.record.record_id for item in confirmed.items] == ["record-0000001"]
    assert [item.inherited for item in queue.case(first.case_id).items] == [False, True, True]
    with pytest.raises(UsageError, match="no item that enough people"):
        replace(confirmed, case=replace(second, decisions=second.decisions[:1]))
    undone = replace(second.decisions[1], undone_at=clock())
    with pytest.raises(UsageError, match="no item that enough people"):
        replace(confirmed, case=replace(second, decisions=(second.decisions[0], undone)))
    queue.look_again(first.case_id, "lead", "", everything=True)
    assert list(queue.confirmed()) == []


def test_undoing_the_only_decision_leaves_nothing_inherited(make_queue: MakeQueue) -> None:
    queue = make_queue()
    queue.add([make_record(1, 7)])
    case = take_and_decide(queue, "confirmed")
    queue.add([make_record(2, 7)])
    back = queue.undo(case.decisions[0].decision_id, "ana")
    assert [item.inherited for item in back.items] == [False, False]
    assert len(back.asked) == 2


def test_decisions_of_before_stay_what_they_are(make_queue: MakeQueue) -> None:
    queue = make_queue()
    queue.add([make_record(1, 7)])
    case = take_and_decide(queue, "unsure")
    with pytest.raises(ReviewError, match=r"cannot undo .*: there is no decision"):
        queue.undo(f"{case.case_id}-999", "ana")
    with pytest.raises(ReviewError, match=r"cannot undo .*: there is no decision"):
        queue.undo("x", "ana")
    queue.look_again(case.case_id, "lead", "again")
    with pytest.raises(ReviewError, match="the case was asked for again since"):
        queue.undo(case.decisions[0].decision_id, "ana")
    with pytest.raises(ReviewError, match="waits for a person already"):
        queue.look_again(case.case_id, "lead", "again")
    again = take_case(queue)
    with pytest.raises(ReviewError, match="more than 10,000 characters"):
        queue.decide(again.case_id, "ana", "unsure", "x" * 10_001, again.reviewed_digest)


def test_two_threads_use_one_queue(make_queue: MakeQueue) -> None:
    queue = make_queue(Settings(in_a_row=1000))
    queue.add(many(60))

    def work(name: str) -> None:
        for _ in range(15):
            take_and_decide(queue, "unsure", name)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, ["ana", "ben", "cem", "dan"]))
    assert queue.counts()[CaseState.UNSURE] == 60


def test_labels_and_surfaces_have_queues_of_their_own(make_queue: MakeQueue) -> None:
    queue = make_queue(Settings(in_a_row=1000))
    queue.add(many(80, seed=11))
    wanted = {
        case.case_id
        for case in queue.cases(label="A2", surface="user_report")
        if case.state is CaseState.PENDING_REVIEW
    }
    assert len(wanted) > 3
    handed = []
    while isinstance(case := queue.take("ana", label="A2", surface="user_report"), Case):
        handed.append(case)
        queue.decide(case.case_id, "ana", "unsure", "", case.reviewed_digest)
    assert {case.case_id for case in handed} == wanted
    assert [case.priority for case in handed] == sorted(
        (case.priority for case in handed), reverse=True
    )
    with pytest.raises(UsageError, match="private_message"):
        queue.take("ana", surface="private_message")


def test_odd_text_is_kept_or_refused_in_one_line(make_queue: MakeQueue) -> None:
    queue = make_queue()
    odd = make_record(1, labels=("A\0B", "x" * 5000, "é' \"; DROP TABLE item; --"))
    queue.add([(odd, Origin("photos", "naïve/\U0001f600.jpg"))])
    case = take_case(queue)
    assert case.items[0].record == odd
    assert case.items[0].origin.location == "naïve/\U0001f600.jpg"
    queue.give_back(case.case_id, "ana")
    assert isinstance(queue.take("ana", label="é' \"; DROP TABLE item; --"), Case)
    for text in ("\0", "\ud800"):
        with pytest.raises(ReviewError, match="cannot keep a reason"):
            queue.decide(case.case_id, "ana", "unsure", text, case.reviewed_digest)
        with pytest.raises(ReviewError, match="it has text that cannot be kept"):
            queue.add([(make_record(2), Origin("photos", text))])
    queue.decide(case.case_id, "ana", "unsure", "'); DROP TABLE item; --", case.reviewed_digest)


NEWS: dict[str, dict[str, Any]] = {
    "a closer match": {"distance": 9},
    "a match of another list": {"name": "other"},
    "a match of another entry": {"entry": "entry-2"},
    "another label or source": {"labels": ("A1", "B2")},
}


@pytest.mark.parametrize("verdict", ["not_a_match", "unsure"])
@pytest.mark.parametrize("kind", NEWS)
def test_a_decision_covers_what_was_asked_and_no_more(
    make_queue: MakeQueue, clock: Clock, verdict: str, kind: str
) -> None:
    queue = make_queue()
    queue.add([make_record(1, 7, distance=10)])
    case = take_and_decide(queue, verdict)
    inherits = [
        make_record(2, 7, distance=10),
        make_record(3, 7, distance=20, surface=Surface.USER_REPORT),
        make_record(4, 6, distance=10, limit=40, labels=()),
    ]
    assert queue.add(inherits).cases == 0
    assert queue.case(case.case_id).state == verdict
    assert queue.inherited()[CaseState(verdict)] == 3
    queue.add([make_record(5, 7, **{"distance": 10, **NEWS[kind]}), make_record(6, 7)])
    again = queue.case(case.case_id)
    assert again.state is CaseState.PENDING_REVIEW
    assert sum(queue.inherited().values()) == 0
    asked = [item.record.record_id[-1] for item in again.asked]
    # What was not answered is asked about in whole.
    assert asked == list("23456") if verdict == "not_a_match" else list("123456")
    event = list(queue.history())[-1]
    assert (event.who, event.kind) == ("hashmatch", "asked_again")
    assert event.body["reason"] == f"{kind} joined it"
    queue.verify()
    held = take_case(queue, "ben")
    queue.decide(case.case_id, "ben", "not_a_match", "seen", held.reviewed_digest)
    queue.add([make_record(7, 7, **{"distance": 10, **NEWS[kind]})])
    assert queue.case(case.case_id).state is CaseState.NOT_A_MATCH  # by now all of it is covered


def test_matches_that_a_record_does_not_name_are_covered_by_no_decision(
    make_queue: MakeQueue,
) -> None:
    def matching(number: int, count: int) -> ReviewRecord:
        return replace(make_record(number, 7), match_count=count)

    queue = make_queue()
    queue.add([matching(1, 1)])
    case = take_and_decide(queue, "not_a_match")
    for number, count, words in ((2, 5, "matches than are named"), (4, 6, "matches")):
        queue.add([matching(number, count)])
        assert queue.case(case.case_id).state is CaseState.PENDING_REVIEW
        reason = list(queue.history())[-1].body["reason"]
        assert reason == f"a record of more {words} joined it"
        take_and_decide(queue, "not_a_match")
        queue.add([matching(number + 1, count)])
        assert queue.case(case.case_id).state is CaseState.NOT_A_MATCH
    assert queue.inherited()[CaseState.NOT_A_MATCH] == 1  # the one before was asked about
    queue.verify()


def test_news_that_come_while_somebody_looks_are_asked_about(make_queue: MakeQueue) -> None:
    queue = make_queue()
    queue.add([make_record(1, 7, distance=10)])
    case = take_case(queue)
    queue.add([make_record(2, 7, distance=3)])
    decision = queue.decide(case.case_id, "ana", "not_a_match", "", case.reviewed_digest)
    again = queue.case(case.case_id)
    assert again.state is CaseState.PENDING_REVIEW
    assert [item.record.record_id[-1] for item in again.asked] == ["2"]
    queue.verify()
    back = queue.undo(decision.decision_id, "ana")  # a slip can be undone all the same
    assert back.state is CaseState.IN_REVIEW
    assert [item.record.record_id[-1] for item in back.asked] == ["1", "2"]
    queue.verify()
    last = queue.decide(case.case_id, "ana", "confirmed", "", back.reviewed_digest)
    assert last.record_ids == ("record-0000001", "record-0000002")


def test_an_earlier_decision_is_undone_only_while_the_later_is_open(make_queue: MakeQueue) -> None:
    queue = make_queue()
    queue.add([make_record(1, 7, distance=10)])
    (first,) = take_and_decide(queue, "not_a_match").decisions
    queue.add([make_record(2, 7, distance=3)])
    held = take_case(queue, "ben")
    queue.undo(first.decision_id, "ana")  # ben has it, and is shown all of it
    with pytest.raises(ReviewError, match="Take it again"):
        queue.decide(held.case_id, "ben", "confirmed", "", held.reviewed_digest)
    both = take_and_decide(queue, "not_a_match", "ben")
    assert len(both.decisions[-1].record_ids) == 2
    queue.add([make_record(3, 7, distance=1)])
    take_and_decide(queue, "confirmed", "cem")
    with pytest.raises(ReviewError, match="the case was asked for again since"):
        queue.undo(both.decisions[-1].decision_id, "ben")


@pytest.mark.parametrize("verdict", ["confirmed", "escalated"])
def test_only_people_take_back_what_was_confirmed(
    make_queue: MakeQueue, clock: Clock, verdict: str
) -> None:
    queue = make_queue()
    queue.add([make_record(1, 7, distance=10)])
    case = take_and_decide(queue, verdict)
    queue.add([make_record(2, 7, distance=1, name="other")])
    after = queue.case(case.case_id)
    assert after.state == verdict
    assert [item.inherited for item in after.items] == [False, True]
    assert queue.inherited()[CaseState(verdict)] == 1
    clock.pass_(minutes=10)
    assert [len(confirmed.items) for confirmed in queue.confirmed()] == [1] * (
        verdict == "confirmed"
    )
    again = queue.look_again(case.case_id, "lead", "more of it")
    # Nobody answered what was escalated, so all of it is asked about.
    assert len(again.asked) == (1 if verdict == "confirmed" else 2)


def test_references_of_another_version_are_no_news(make_queue: MakeQueue) -> None:
    """Without a secret of the deployment every version of a list names its entries anew."""
    queue = make_queue()
    queue.add([make_record(1, 7, distance=10, entry="ref:aa")])
    case = take_and_decide(queue, "not_a_match")
    queue.add([make_record(2, 7, distance=10, entry="ref:bb")])
    assert queue.case(case.case_id).state is CaseState.NOT_A_MATCH
    queue.add([make_record(3, 7, distance=9, entry="ref:cc")])
    assert queue.case(case.case_id).state is CaseState.PENDING_REVIEW


def test_how_long_a_decision_can_be_undone_is_fixed_with_it(
    make_queue: MakeQueue, clock: Clock
) -> None:
    queue = make_queue(Settings(undo=timedelta(minutes=10)))
    queue.add(many(3))
    cases = [take_and_decide(queue, "confirmed") for _ in range(2)]
    assert {case.decisions[0].final_at for case in cases} == {clock.time + timedelta(minutes=10)}
    queue.change(replace(queue.settings, undo=timedelta(0)))
    assert list(queue.confirmed()) == []
    clock.pass_(minutes=9)
    queue.undo(cases[0].decisions[0].decision_id, "ana")
    clock.pass_(minutes=1)
    queue.change(replace(queue.settings, undo=timedelta(days=1)))
    with pytest.raises(ReviewError, match="it could be undone until 2026-01-01 00:10:00 UTC"):
        queue.undo(cases[1].decisions[0].decision_id, "ana")
    (confirmed,) = queue.confirmed()
    assert confirmed.final_at == cases[1].decisions[0].final_at
    clock.pass_(minutes=-5)  # of another machine, or put back
    with pytest.raises(ReviewError, match="it was handed over at 2026-01-01 00:10:00 UTC"):
        queue.undo(cases[1].decisions[0].decision_id, "ana")


def test_the_longer_window_of_two_reviewers_counts(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(Settings(two_reviewers=True, undo=timedelta(hours=1)))
    queue.add([make_record(1)])
    first = take_and_decide(queue, "confirmed").decisions[0]
    queue.change(replace(queue.settings, undo=timedelta(minutes=1)))
    take_and_decide(queue, "confirmed", "ben")
    clock.pass_(minutes=2)
    assert list(queue.confirmed()) == []
    queue.undo(first.decision_id, "ana")
    queue.verify()


@pytest.mark.parametrize("verdict", ["not_a_match", "unsure"])
def test_what_was_confirmed_is_not_taken_back_by_what_joined_it(
    make_queue: MakeQueue, clock: Clock, verdict: str
) -> None:
    """An answer about the later says nothing of the earlier: somebody has to look at both."""
    queue = make_queue()
    queue.add([make_record(1, 7)])
    case = take_and_decide(queue, "confirmed")
    queue.add([make_record(2, 7)])
    queue.look_again(case.case_id, "lead", "one more")
    later = take_and_decide(queue, verdict, "ben")
    assert later.state is CaseState.ESCALATED
    queue.verify()
    queue.undo(later.decisions[-1].decision_id, "ben")
    assert take_and_decide(queue, "confirmed", "ben").state is CaseState.CONFIRMED
    clock.pass_(minutes=10)
    assert [len(confirmed.items) for confirmed in queue.confirmed()] == [2]
    queue.look_again(case.case_id, "lead", "all of it", everything=True)
    assert take_and_decide(queue, verdict, "ben").state == verdict


def test_an_undo_may_leave_the_answer_of_another(make_queue: MakeQueue) -> None:
    queue = make_queue(Settings(two_reviewers=True))
    queue.add([make_record(1, 7, distance=10)])
    first = take_and_decide(queue, "confirmed").decisions[0]
    assert take_and_decide(queue, "not_a_match", "ben").state is CaseState.ESCALATED
    assert queue.undo(first.decision_id, "ana").state is CaseState.NOT_A_MATCH
    queue.verify()
    queue.add([make_record(2, 7, distance=10)])
    assert next(queue.cases()).state is CaseState.NOT_A_MATCH
    queue.add([make_record(3, 7, distance=9)])
    assert next(queue.cases()).state is CaseState.PENDING_REVIEW


def test_a_picture_of_which_a_part_was_seen_is_asked_about(make_queue: MakeQueue) -> None:
    queue = make_queue()
    queue.add([make_record(1, 7)])
    case = take_and_decide(queue, "not_a_match")

    def add(number: int, variant: str) -> CaseState:
        record = make_record(number, 7)
        queue.add([replace(record, hash=replace(record.hash, variant=variant))])
        return queue.case(case.case_id).state

    assert add(2, "rotate_90") is CaseState.NOT_A_MATCH
    assert add(3, "crop 5% left") is CaseState.PENDING_REVIEW
    reason = list(queue.history())[-1].body["reason"]
    assert reason == "another picture, of which only a part is the same, joined it"
    take_and_decide(queue, "not_a_match")
    assert add(4, "crop 10% top") is CaseState.NOT_A_MATCH
