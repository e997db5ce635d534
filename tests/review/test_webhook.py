"""What people decided is told at least once, in order, when it is final, and never logged."""

from __future__ import annotations

import json
import logging
import random
import signal
import sys
import time
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

import processes
from hashmatch.errors import ReviewError
from hashmatch.retry import Limits
from hashmatch.review.access import record_login
from hashmatch.review.history import Head
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from hashmatch.review.webhook.client import Endpoint
from hashmatch.review.webhook.sender import FAILURES_IN_A_ROW, Webhook
from hashmatch.review.webhook.signing import Secrets, check_signature, new_secret
from processes import PATIENCE, Process, wait_for
from review_queues import Clock, event_of, take_and_decide, take_case
from review_records import make_record, many
from webhook_server import Receiver, receiving

if TYPE_CHECKING:
    from pathlib import Path

    from review_queues import MakeQueue

SECRET = new_secret()
KEYS = Secrets.parse(SECRET)
AT_ONCE = Limits(deadline=3600.0, first_delay=0.0, longest_delay=0.0)
FINAL = {"minutes": 11}


def webhook(queue: ReviewQueue, receiver: Receiver, **options: Any) -> Webhook:
    timeout = 1.0 if "hang" in receiver.answers else PATIENCE
    endpoint = Endpoint(f"{receiver.url}/hook", timeout=timeout)
    given: dict[str, Any] = {"limits": AT_ONCE, "seed": 7, **options}
    return Webhook(queue, endpoint, KEYS, **given)


def messages_to(receiver: Receiver) -> list[dict[str, Any]]:
    """Return the messages that came, all of which are genuine."""
    for _, headers, body in receiver.requests:
        assert headers["idempotency-key"] == headers["webhook-id"]
        now = float(headers["webhook-timestamp"])
        assert check_signature(KEYS, headers, body, now) == headers["webhook-id"]
    return [json.loads(body) for _, _, body in receiver.requests]


def test_every_verdict_is_told_once_when_it_is_final(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add(many(4))
    cases = [take_and_decide(queue, v) for v in ("confirmed", "not_a_match", "unsure", "escalated")]
    with receiving() as receiver:
        hook = webhook(queue, receiver)
        assert hook.push() == (0, 0, 0, 0, "")  # all of it may be undone
        clock.pass_(**FINAL)
        assert hook.push() == (4, 0, 0, 0, "")
        assert hook.push() == (0, 0, 0, 0, "")
        again = webhook(queue, receiver)  # another process, later
        assert again.push() == (0, 0, 0, 0, "")
    messages = messages_to(receiver)
    assert [message["type"] for message in messages] == [f"case.{case.state}" for case in cases]
    assert len(set(receiver.keys)) == 4
    first = messages[0]
    assert set(first) == {"type", "timestamp", "data"}
    assert set(first["data"]) == {"case_id", "event", "history_head", "decisions", "items"}
    queue.verify(*(message["data"]["history_head"] for message in messages))
    assert first["data"]["case_id"] == cases[0].case_id
    (decision,) = first["data"]["decisions"]
    (item,) = first["data"]["items"]
    assert decision["reviewer"] == "ana"
    assert decision["record_ids"] == [item["record_id"]]
    assert decision["reviewed_digest"] == cases[0].decisions[0].reviewed_digest
    assert item["match"]["entry"] == "entry-1"
    assert hook.outbox.counts() == (0, 4)


def test_what_was_undone_is_never_told(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add(many(1))
    case = take_and_decide(queue, "confirmed")
    clock.pass_(minutes=5)
    queue.undo(case.decisions[0].decision_id, "ana")
    queue.give_back(case.case_id, "ana")
    clock.pass_(**FINAL)
    with receiving() as receiver:
        assert webhook(queue, receiver).push().sent == 0
        take_and_decide(queue, "not_a_match", "ben")
        clock.pass_(**FINAL)
        assert webhook(queue, receiver).push().sent == 1
    assert [message["type"] for message in messages_to(receiver)] == ["case.not_a_match"]


def test_one_of_two_confirmations_is_nothing_yet(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(Settings(two_reviewers=True))
    queue.add(many(2))
    take_and_decide(queue, "confirmed", "ana")
    clock.pass_(**FINAL)
    with receiving() as receiver:
        hook = webhook(queue, receiver)
        assert hook.push() == (0, 0, 0, 0, "")
        take_and_decide(queue, "confirmed", "ben")
        take_and_decide(queue, "not_a_match", "ben")
        clock.pass_(**FINAL)
        hook.push()
    messages = messages_to(receiver)
    assert [message["type"] for message in messages] == ["case.confirmed", "case.not_a_match"]
    names = {decision["reviewer"] for decision in messages[0]["data"]["decisions"]}
    assert names == {"ana", "ben"}


def test_what_is_asked_again_is_told_so(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add(many(1))
    case = take_and_decide(queue, "confirmed")
    clock.pass_(**FINAL)
    with receiving() as receiver:
        hook = webhook(queue, receiver)
        hook.push()
        queue.look_again(case.case_id, "eve", "a mistake")
        clock.pass_(**FINAL)
        hook.push()
        take_and_decide(queue, "not_a_match", "ben")
        clock.pass_(**FINAL)
        hook.push()
    kinds = [message["type"].removeprefix("case.") for message in messages_to(receiver)]
    assert kinds == ["confirmed", "asked_again", "not_a_match"]
    asked = messages_to(receiver)[1]["data"]
    assert (asked["by"], asked["reason"]) == ("eve", "a mistake")
    assert asked["inherited_only"] is False
    with receiving() as late:  # who begins now is not told what no longer holds
        webhook(queue, late, name="late").push()
    kinds = [message["type"].removeprefix("case.") for message in messages_to(late)]
    assert kinds == ["asked_again", "not_a_match"]


def test_what_was_told_stays_final(make_queue: MakeQueue, clock: Clock) -> None:
    """Neither more time to undo, by settings of later, nor a clock that goes back changes it."""
    queue = make_queue()
    queue.add(many(2))
    cases = [take_and_decide(queue, verdict) for verdict in ("confirmed", "not_a_match")]
    clock.pass_(**FINAL)
    with receiving(503, 503) as receiver:
        hook = webhook(queue, receiver, limits=Limits(3600.0, 1.0, 1.0))
        assert hook.push().failed == 2  # nobody can say whether they were understood
        queue.change(replace(queue.settings, undo=timedelta(hours=1)))
        clock.pass_(minutes=-10)
        for case in cases:
            with pytest.raises(ReviewError, match="it was handed over at 2026-01-01 00:11:00 UTC"):
                queue.undo(case.decisions[0].decision_id, "ana")
        clock.pass_(minutes=11)
        assert hook.push() == (2, 0, 0, 0, "")
    assert len(receiver.requests) == 4


def test_each_decision_is_told_when_its_own_time_is_over(
    make_queue: MakeQueue, clock: Clock
) -> None:
    queue = make_queue(Settings(undo=timedelta(hours=1)))
    queue.add(many(2))
    take_and_decide(queue, "not_a_match")
    queue.change(replace(queue.settings, undo=timedelta(0)))
    take_and_decide(queue, "unsure")
    with receiving() as receiver:
        hook = webhook(queue, receiver)
        clock.pass_(minutes=59)
        assert hook.push().sent == 0  # the first can be undone, and the second waits for its turn
        clock.pass_(minutes=1)
        assert hook.push().sent == 2
    kinds = [message["type"] for message in messages_to(receiver)]
    assert kinds == ["case.not_a_match", "case.unsure"]


def test_what_joined_with_news_is_told_as_asked_again(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add([make_record(1, 7)])
    take_and_decide(queue, "not_a_match")
    queue.add([make_record(2, 7, distance=1)])
    clock.pass_(**FINAL)
    with receiving() as receiver:
        assert webhook(queue, receiver).push().sent == 2
    decided, asked = messages_to(receiver)
    assert decided["type"] == "case.not_a_match"
    assert [item["record_id"] for item in decided["data"]["items"]] == ["record-0000001"]
    assert asked["type"] == "case.asked_again"
    assert asked["data"]["by"] == "hashmatch"
    assert asked["data"]["reason"] == "a closer match joined it"
    assert asked["data"]["inherited_only"] is True


def test_inherited_items_are_not_told_as_confirmed(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    records = many(2, pictures=1)
    queue.add(records[:1])
    take_and_decide(queue, "confirmed")
    queue.add(records[1:])
    clock.pass_(**FINAL)
    with receiving() as receiver:
        webhook(queue, receiver).push()
    (message,) = messages_to(receiver)
    assert [item["record_id"] for item in message["data"]["items"]] == [records[0].record_id]


def test_twice_503_then_202(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add(many(1))
    take_and_decide(queue, "confirmed")
    clock.pass_(**FINAL)
    with receiving(503, 503, 202) as receiver:
        hook = webhook(queue, receiver)
        pushed = hook.push()
    assert pushed == (1, 2, 0, 0, f"{receiver.url.removeprefix('http://')}: answered 503")
    messages_to(receiver)
    assert len(receiver.requests) == 3
    assert len(set(receiver.keys)) == 1
    bodies = {body for _, _, body in receiver.requests}
    assert len(bodies) == 1


@pytest.mark.parametrize("trouble", ["reset", "close", "hang", "garbage", "redirect", 404, 500])
def test_each_trouble_is_tried_again_under_the_same_key(
    make_queue: MakeQueue, clock: Clock, trouble: Any
) -> None:
    queue = make_queue()
    queue.add(many(3))
    for _ in range(3):
        take_and_decide(queue, "not_a_match")
    clock.pass_(**FINAL)
    with receiving(trouble) as receiver:
        hook = webhook(queue, receiver)
        pushed = hook.push()
    assert (pushed.sent, pushed.failed, pushed.waiting) == (3, 1, 0)
    assert len(receiver.keys) == 4
    assert len(set(receiver.keys)) == 3


def test_a_pause_lies_between_tries_and_grows(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add(many(1))
    take_and_decide(queue, "unsure")
    clock.pass_(**FINAL)
    with receiving(*[503] * 20) as receiver:
        limits = Limits(deadline=1e9, first_delay=10.0, longest_delay=1000.0)
        hook = webhook(queue, receiver, limits=limits, tries=50)
        began, times = clock.time, []
        for _ in range(4_000):
            if hook.push().failed:
                times.append((clock.time - began).total_seconds())
            if len(times) == 12:
                break
            clock.pass_(seconds=5)
    pauses = [later - sooner for sooner, later in pairwise(times)]
    assert all(p <= min(1000, 10 * 2**i) + 5 for i, p in enumerate(pauses)), pauses
    assert max(pauses) > 100  # with this seed; full jitter may also be none


def test_after_so_many_tries_it_is_dead_and_can_be_sent_again(
    make_queue: MakeQueue, clock: Clock
) -> None:
    queue = make_queue()
    queue.add(many(2))
    take_and_decide(queue, "confirmed")
    clock.pass_(**FINAL)
    with receiving(*[500] * 4) as receiver:
        hook = webhook(queue, receiver, tries=4)
        assert hook.push()[:4] == (0, 3, 0, 1)  # it may be down: that is enough for now
        assert hook.push()[:4] == (0, 1, 1, 0)
        (dead,) = hook.outbox.dead()
        assert (dead.tries, dead.since) == (4, clock.time)
        assert dead.problem.endswith("answered 500")
        take_and_decide(queue, "not_a_match")
        clock.pass_(**FINAL)
        assert hook.push().sent == 1  # others are told all the same
        assert hook.outbox.resend_dead() == 1
        assert hook.push().sent == 1
        assert hook.outbox.dead() == []
    kinds = [message["type"] for message in messages_to(receiver)]
    assert kinds == ["case.confirmed"] * 4 + ["case.not_a_match", "case.confirmed"]
    assert len(set(receiver.keys)) == 2


def test_too_late_is_dead_too(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add(many(1))
    take_and_decide(queue, "confirmed")
    clock.pass_(**FINAL)
    with receiving(503, 503) as receiver:
        hook = webhook(
            queue, receiver, limits=Limits(deadline=60, first_delay=90, longest_delay=90)
        )
        assert hook.push().dead == 0
        clock.pass_(seconds=91)
        assert hook.push().dead == 1


def test_messages_of_one_case_keep_their_order(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add(many(2))
    first = take_and_decide(queue, "unsure")
    take_and_decide(queue, "unsure")
    clock.pass_(**FINAL)
    limits = Limits(deadline=1e6, first_delay=1000.0, longest_delay=1000.0)
    with receiving(503) as receiver:
        hook = webhook(queue, receiver, limits=limits)
        assert (hook.push().failed, hook.outbox.counts()[0]) == (1, 1)
        queue.look_again(first.case_id, "eve", "why")
        clock.pass_(**FINAL)
        hook.push()
        clock.pass_(seconds=1001)
        hook.push()
    cases = [(message["data"]["case_id"], message["type"]) for message in messages_to(receiver)]
    assert cases[-1] == (first.case_id, "case.asked_again")


def test_an_endpoint_that_is_down_is_not_stormed(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add(many(10))
    for _ in range(10):
        take_and_decide(queue, "not_a_match")
    clock.pass_(**FINAL)
    limits = Limits(deadline=1e6, first_delay=1000.0, longest_delay=1000.0)
    with receiving(*[503] * 10) as receiver:
        pushed = webhook(queue, receiver, limits=limits).push()
    assert len(receiver.requests) == FAILURES_IN_A_ROW
    assert pushed.waiting == 10


def test_two_endpoints_and_one_that_begins_now(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue()
    queue.add(many(2))
    take_and_decide(queue, "unsure")
    clock.pass_(**FINAL)
    with receiving() as one, receiving() as other, receiving() as new:
        hooks = [webhook(queue, one), webhook(queue, other)]
        hooks.append(webhook(queue, new, from_now=True))
        assert [hook.push().sent for hook in hooks] == [1, 1, 0]
        take_and_decide(queue, "unsure")
        clock.pass_(**FINAL)
        assert [hook.push().sent for hook in hooks] == [1, 1, 1]
    assert one.keys == other.keys
    assert new.keys == one.keys[1:]


def test_nothing_of_a_message_is_logged(
    make_queue: MakeQueue, clock: Clock, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    queue = make_queue()
    queue.add(many(2))
    take_and_decide(queue, "confirmed")
    take_and_decide(queue, "confirmed")
    clock.pass_(**FINAL)
    with caplog.at_level(logging.DEBUG), receiving(503, "reset", "garbage") as receiver:
        hook = webhook(queue, receiver)
        said = [repr(hook.push()), repr(hook.push()), repr(hook.outbox.dead()), repr(hook)]
    out, err = capfd.readouterr()
    said += [out, err, *[record.getMessage() for record in caplog.records]]
    for secret in ("profiles/", "record-0", SECRET, "secret-in-answer", "/hook", "ana", "seen"):
        assert not [line for line in said if secret in line], secret


PUSH = """
import sys
import time
from hashmatch.retry import Limits
from hashmatch.review.webhook.client import Endpoint
from hashmatch.review.webhook.signing import Secrets
from hashmatch.review.webhook.sender import Webhook
from hashmatch.review.access import record_login
from hashmatch.review.history import Head
from hashmatch.review.queue import ReviewQueue

where, url, secret = sys.argv[1:]
with ReviewQueue.open(where) as queue:
    limits = Limits(deadline=60.0, first_delay=0.0, longest_delay=0.0)
    Webhook(queue, Endpoint(url, timeout=30), Secrets.parse(secret), limits=limits).push()
"""


def test_killed_between_sending_and_marking(tmp_path: Path) -> None:
    """The receiver has it; the sender dies before the answer. It is told again, under its name."""
    where = str(tmp_path / "queue.db")
    with ReviewQueue.open(
        where, create=True, settings=Settings(undo=Settings().lease * 0)
    ) as queue:
        queue.add(many(3))
        for _ in range(3):
            case = take_case(queue)
            queue.decide(case.case_id, "ana", "confirmed", "seen", case.reviewed_digest)
    with receiving(202, "hang") as receiver:
        command = [sys.executable, "-c", PUSH, where]
        process = Process([*command, receiver.url, SECRET])
        wait_for(lambda: len(receiver.requests) == 2)  # one told, the other came and hangs
        process.send_signal(signal.SIGKILL)
        process.wait()
        # What was being tried is free again after twice its timeout, and a second.
        with ReviewQueue.open(where) as queue, queue.transaction() as tx:
            tx.database.run(
                "UPDATE outbox_message SET next_at = 0 "
                "WHERE event = (SELECT min(event) FROM outbox_message)"
            )
        processes.run([sys.executable, "-c", PUSH, where, receiver.url, SECRET])
    messages = [json.loads(body) for _, _, body in receiver.requests]
    assert [message["type"] for message in messages] == ["case.confirmed"] * 4
    keys = receiver.keys
    assert keys[1] == keys[2]
    assert len(set(keys)) == 3
    assert receiver.requests[1][2] == receiver.requests[2][2]
    assert len({message["data"]["case_id"] for message in messages}) == 3


def test_what_is_being_tried_is_tried_by_nobody_else(tmp_path: Path) -> None:
    where = str(tmp_path / "queue.db")
    with ReviewQueue.open(
        where, create=True, settings=Settings(undo=Settings().lease * 0)
    ) as queue:
        queue.add(many(1))
        case = take_case(queue)
        queue.decide(case.case_id, "ana", "confirmed", "seen", case.reviewed_digest)
        with receiving("hang") as receiver:
            code = PUSH
            process = Process([sys.executable, "-c", code, where, receiver.url, SECRET])
            wait_for(lambda: len(receiver.requests) == 1)
            hook = Webhook(queue, Endpoint(receiver.url, timeout=30), KEYS, limits=AT_ONCE)
            assert hook.push().sent == 0
            process.kill()
            process.wait()
        assert len(receiver.requests) == 1


@pytest.mark.slow
def test_killed_at_random_nothing_is_lost(where: str) -> None:
    """Senders are killed with -9 again and again: all of it comes, under as many names."""
    rng = random.Random(23)
    settings = Settings(undo=timedelta(0), in_a_row=10**6)
    with ReviewQueue.open(where, create=True, settings=settings) as queue:
        queue.add(many(400))
        for number in range(400):
            case = take_case(queue)
            verdict = "confirmed" if number % 2 else "not_a_match"
            queue.decide(case.case_id, "ana", verdict, "seen", case.reviewed_digest)
    kills = 0
    with receiving() as receiver:
        command = [sys.executable, "-c", PUSH, where, receiver.url, SECRET]
        while kills < 40:
            process = Process(command)
            began = len(receiver.requests)
            wait_for(lambda: len(receiver.requests) > began or process.poll() is not None)  # noqa: B023
            time.sleep(rng.uniform(0, 0.03))
            if process.poll() is None:
                process.kill()
                kills += 1
            process.wait()
            if len(set(receiver.keys)) == 400:
                break
        with ReviewQueue.open(where) as queue:
            with queue.transaction() as tx:
                tx.database.run("UPDATE outbox_message SET next_at = 0")
            endpoint = Endpoint(receiver.url, timeout=30)
            while Webhook(queue, endpoint, KEYS, limits=AT_ONCE).push().waiting:
                time.sleep(0.1)
            queue.verify()
    assert len(set(receiver.keys)) == 400
    assert kills > 5
    assert len(receiver.keys) <= 400 + kills
    bodies: dict[str, set[bytes]] = {}
    for _, headers, body in receiver.requests:
        bodies.setdefault(headers["webhook-id"], set()).add(body)
    assert {len(found) for found in bodies.values()} == {1}
    cases = {json.loads(body)["data"]["case_id"] for found in bodies.values() for body in found}
    assert len(cases) == 400


def test_every_try_of_a_message_has_the_head_of_when_it_was_listed(
    make_queue: MakeQueue, clock: Clock
) -> None:
    queue = make_queue()
    queue.add(many(3))
    take_and_decide(queue, "confirmed")
    clock.pass_(**FINAL)
    queue.reviewers.add("ana")
    before = queue.head()
    with receiving() as receiver:
        receiver.answers = [500, "hang", 503, 200]
        hook = webhook(queue, receiver)
        other = webhook(queue, receiver, name="other.example")
        for _ in range(4):
            hook.push()
            record_login(queue, "ana")  # the history goes on
            clock.pass_(minutes=1)
        assert len(receiver.requests) == 4
        assert other.push().sent == 1
    bodies = [body for _, _, body in receiver.requests]
    assert len(set(bodies[:4])) == 1
    heads = [json.loads(body)["data"]["history_head"] for body in bodies]
    first, last = Head.parse(heads[0]), Head.parse(heads[-1])
    assert before.event < first.event < last.event <= queue.head().event
    event = event_of(queue, first.event)
    assert (event.digest, event.kind, event.who) == (first.digest, "message_queued", "hashmatch")
    assert event.body["endpoint"] == Endpoint(f"{receiver.url}/hook").name
    queue.verify(*heads)


def test_what_an_earlier_version_listed_has_a_head_as_well(
    make_queue: MakeQueue, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue()
    queue.add(many(1))
    case = take_and_decide(queue, "unsure")
    clock.pass_(**FINAL)
    with receiving() as receiver:
        hook = webhook(queue, receiver)
        with monkeypatch.context() as patch:
            patch.setattr("hashmatch.review.history.append", lambda *_, **__: 0)
            hook.outbox.list_new()
        assert hook.push().sent == 1
    (message,) = messages_to(receiver)
    decided = next(event for event in queue.history(case.case_id) if event.kind == "decided")
    assert message["data"]["history_head"] == f"{decided.number}:{decided.digest}"
