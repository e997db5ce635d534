"""Lawful requests: exactly the cases in scope, with proof, signed; and what was given to whom."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from hashmatch.errors import (
    HashmatchError,
    QueueUnavailable,
    ReviewError,
    UntrustedList,
    UsageError,
)
from hashmatch.review import history
from hashmatch.review.lawful_requests import (
    add_request,
    answer_request,
    check_answer,
    lawful_requests,
)
from hashmatch.review.preservation import preserve
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.results import Purged
from hashmatch.review.settings import Settings
from hashmatch.store.signing import PrivateKey
from review_queues import take_and_decide
from review_records import many

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from review_queues import Clock, MakeQueue

KEEP = Settings(keep_pending=timedelta(days=10), keep_rejected=timedelta(days=2), in_a_row=1000)
KEY = PrivateKey.generate()


def asked(queue: ReviewQueue, clock: Clock, *cases: str, reference: str = "2026-114") -> None:
    add_request(queue, reference, "a court", clock.time, cases, "ana", clock.time)


def answered(queue: ReviewQueue, clock: Clock, folder: Path) -> list[str]:
    """Decide about six cases, answer a request about two of them, and return their ids."""
    queue.add(many(6))
    cases = [
        take_and_decide(queue, verdict).case_id
        for verdict in ("confirmed", "not_a_match", "unsure", "confirmed", "escalated", "confirmed")
    ]
    preserve(queue, cases[0], "9900001", clock.time, "ana")
    asked(queue, clock, cases[3], cases[0])
    answer_request(queue, "2026-114", folder, KEY, "Officer Example", "bo")
    return cases


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_answer_has_the_cases_in_scope_and_no_other(
    make_queue: MakeQueue, clock: Clock, tmp_path: Path
) -> None:
    queue, out = make_queue(KEEP), tmp_path / "answer"
    cases = answered(queue, clock, out)
    wanted = sorted([cases[0], cases[3]], key=lambda one: int(one.rpartition("-")[2]))
    assert [one["case_id"] for one in lines(out / "cases.jsonl")] == wanted
    numbers = {int(one.rpartition("-")[2]) for one in wanted}
    assert {one["case"] for one in lines(out / "events.jsonl")} == numbers
    kept = [
        (event.number, event.digest)
        for event in queue.history()
        if event.kind != "request_answered"
    ]
    chain = json.loads(f"[{','.join((out / 'chain.jsonl').read_text().splitlines())}]")
    assert [tuple(one) for one in chain] == kept
    others = {one.record.record_id for case in queue.cases() for one in case.items
              if case.case_id not in wanted}  # fmt: skip
    said = b"".join(path.read_bytes() for path in out.iterdir()).decode(errors="replace")
    assert len(others) == 4
    assert not any(name in said for name in others)
    assert out.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o600}


def test_it_is_proved_and_signed(make_queue: MakeQueue, clock: Clock, tmp_path: Path) -> None:
    queue, out = make_queue(KEEP), tmp_path / "answer"
    answered(queue, clock, out)
    manifest = check_answer(out, KEY.public)
    assert (manifest.reference, manifest.to, manifest.answered_by) == (
        "2026-114", "Officer Example", "bo",
    )  # fmt: skip
    head = history.Head.parse(manifest.head)
    queue.verify(head)  # it is one of the history
    for said in lines(out / "events.jsonl"):
        assert "previous" not in said
    with pytest.raises(UntrustedList, match="has not signed it"):
        check_answer(out, PrivateKey.generate().public)


@pytest.mark.parametrize("name", ["cases.jsonl", "events.jsonl", "chain.jsonl", "manifest.json"])
def test_whatever_is_changed_is_found(
    make_queue: MakeQueue, clock: Clock, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "answer"
    answered(make_queue(KEEP), clock, out)
    data = (out / name).read_bytes()
    (out / name).write_bytes(data.replace(b"1", b"2", 1))
    with pytest.raises(UntrustedList, match=r"was changed"):
        check_answer(out, KEY.public)


@pytest.mark.parametrize("name", ["chain.jsonl", "manifest.json", "manifest.json.sig"])
def test_what_is_missing_is_named(
    make_queue: MakeQueue, clock: Clock, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "answer"
    answered(make_queue(KEEP), clock, out)
    (out / name).unlink()
    with pytest.raises(ReviewError, match=rf"it has no {name}\. Ask who sent it"):
        check_answer(out, KEY.public)


def test_an_event_that_was_edited_before_it_was_signed_is_found(
    make_queue: MakeQueue, clock: Clock, tmp_path: Path
) -> None:
    """By who gets it, who recomputes each digest: as if the one who answers had edited it."""
    out = tmp_path / "answer"
    answered(make_queue(KEEP), clock, out)
    events = (out / "events.jsonl").read_bytes()
    (out / "events.jsonl").write_bytes(events.replace(b"seen", b"sent", 1))
    manifest = json.loads((out / "manifest.json").read_bytes())
    import hashlib

    manifest["files"]["events.jsonl"] = hashlib.sha256(
        (out / "events.jsonl").read_bytes()
    ).hexdigest()
    data = json.dumps(manifest).encode()
    (out / "manifest.json").write_bytes(data)
    from hashmatch.review.lawful_requests import DOMAIN

    (out / "manifest.json.sig").write_bytes(KEY.sign(DOMAIN + data))
    with pytest.raises(ReviewError, match="is not the one in the chain"):
        check_answer(out, KEY.public)


def test_what_was_given_to_whom_is_recorded(
    make_queue: MakeQueue, clock: Clock, tmp_path: Path
) -> None:
    queue = make_queue(KEEP)
    cases = answered(queue, clock, tmp_path / "answer")
    clock.pass_(days=1)
    asked(queue, clock, cases[1], reference="2026-115")
    answer_request(queue, "2026-114", tmp_path / "again", KEY, "Clerk Example", "cem")
    waiting, done = lawful_requests(queue)
    assert (waiting.reference, waiting.answers) == ("2026-115", ())
    assert [(one.to, one.who) for one in done.answers] == [
        ("Officer Example", "bo"), ("Clerk Example", "cem"),
    ]  # fmt: skip
    last = list(queue.history())[-1]
    assert (last.kind, last.body["to"]) == ("request_answered", "Clerk Example")
    import hashlib

    data = (tmp_path / "again" / "manifest.json").read_bytes()
    assert last.body["digest"] == hashlib.sha256(data).hexdigest()


def test_its_cases_are_kept_until_it_is_answered(
    make_queue: MakeQueue, clock: Clock, tmp_path: Path
) -> None:
    queue = make_queue(KEEP)
    queue.add(many(2))
    case = take_and_decide(queue, "not_a_match").case_id
    asked(queue, clock, case)
    clock.pass_(days=5)
    assert queue.purge(dry_run=True) == queue.purge() == Purged()
    answer_request(queue, "2026-114", tmp_path / "answer", KEY, "Officer Example", "bo")
    assert queue.purge() == Purged(0, 1, 0, 1)
    # What has expired is answered with what the history still says.
    asked(queue, clock, case, reference="later")
    answer_request(queue, "later", tmp_path / "later", KEY, "Officer Example", "bo")
    assert check_answer(tmp_path / "later", KEY.public).cases == (case,)
    (found,) = lines(tmp_path / "later" / "cases.jsonl")
    assert found["items"] == []


def test_two_who_answer_into_one_folder_at_once_are_one_answer(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = str(tmp_path / "queue.db"), tmp_path / "answer"
    with (
        ReviewQueue.open(path, create=True, settings=KEEP, now=clock) as queue,
        ReviewQueue.open(path, now=clock) as other,
    ):
        other.patience = 0.1
        queue.add(many(1))
        asked(queue, clock, next(queue.cases()).case_id)
        listdir = os.listdir

        def list_while_the_other_answers(folder: str) -> list[str]:
            monkeypatch.setattr(os, "listdir", listdir)
            found = listdir(folder)
            with suppress(QueueUnavailable):
                answer_request(other, "2026-114", out, KEY, "Officer Other", "ana")
            return found

        monkeypatch.setattr(os, "listdir", list_while_the_other_answers)
        answer_request(queue, "2026-114", out, KEY, "Officer Example", "bo")
        assert [event.kind for event in queue.history()].count("request_answered") == 1
    assert check_answer(out, KEY.public).to == "Officer Example"


def test_what_cannot_be_done_is_said(make_queue: MakeQueue, clock: Clock, tmp_path: Path) -> None:
    queue, now = make_queue(KEEP), clock.time
    cases = answered(queue, clock, tmp_path / "answer")
    later = now + timedelta(days=1)
    refused: tuple[tuple[Callable[[], object], type[HashmatchError], str], ...] = (
        (lambda: asked(queue, clock, cases[0]), ReviewError, "there is one of that reference"),
        (
            lambda: asked(queue, clock, cases[0], reference=" 2026-114 "),
            ReviewError,
            "there is one of that reference",
        ),
        (
            lambda: add_request(queue, "x", "a court", now, cases, "ana", now - timedelta(days=1)),
            UsageError,
            "due before it came",
        ),
        (lambda: asked(queue, clock, reference="x"), UsageError, "about no case"),
        (lambda: asked(queue, clock, "99", reference="x"), ReviewError, "none in this queue"),
        (lambda: asked(queue, clock, cases[0], reference=" "), UsageError, "a reference"),
        (
            lambda: add_request(queue, "x", "a court", later, cases, "ana"),
            UsageError,
            "in the future",
        ),
        (
            lambda: answer_request(queue, "x", tmp_path / "x", KEY, "to", "bo"),
            ReviewError,
            "none of that reference",
        ),
        (
            lambda: answer_request(queue, "2026-114", tmp_path / "x", KEY, " ", "bo"),
            UsageError,
            "without saying to whom",
        ),
        (
            lambda: answer_request(queue, "2026-114", tmp_path / "answer", KEY, "to", "bo"),
            ReviewError,
            "something is in it",
        ),
    )
    events = queue.head().event
    for call, kind, problem in refused:
        with pytest.raises(kind, match=problem):
            call()
    assert queue.head().event == events
