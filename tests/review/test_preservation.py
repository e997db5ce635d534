"""What was reported is kept until its time is over, and no longer."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from conftest import ROOT
from hashmatch.errors import HashmatchError, ReviewError, UsageError
from hashmatch.review import database, preservation
from hashmatch.review import queue as queues
from hashmatch.review import sqlite as sqlite_module
from hashmatch.review.database import INDEXED_KINDS
from hashmatch.review.holds import FiledReport
from hashmatch.review.preservation import answer, ask, preservations, preserve, unreported
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.results import Purged
from hashmatch.review.settings import YEAR, Settings
from review_queues import Clock, take_and_decide
from review_records import make_record, many

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from review_queues import MakeQueue

KEEP = Settings(keep_pending=timedelta(days=10), keep_rejected=timedelta(days=2), in_a_row=10**6)


def reported(queue: ReviewQueue, clock: Clock) -> str:
    """Return a case that was confirmed, reported now and then released, which would expire soon."""
    queue.add([make_record(1)])
    case = take_and_decide(queue, "confirmed").case_id
    queue.release(case, "counsel", "closed")
    preserve(queue, case, "9900001", clock.time, "ana")
    return case


def test_a_reported_case_is_kept_for_a_year(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(KEEP)
    case = reported(queue, clock)
    (found,) = preservations(queue)
    assert found.case_id == case
    assert found.reports == (FiledReport("9900001", clock.time),)
    assert found.until == clock.time + YEAR
    clock.time += YEAR - timedelta(microseconds=1)
    assert queue.purge(dry_run=True) == queue.purge() == Purged()
    assert len(queue.case(case).items) == 1
    clock.time += timedelta(microseconds=1)
    assert queue.purge(dry_run=True) == queue.purge() == Purged(0, 0, 1, 1)
    assert preservations(queue) == []


@pytest.mark.parametrize("verdict", ["not_a_match", "unsure", None])
def test_whatever_the_state_of_the_case_is(
    make_queue: MakeQueue, clock: Clock, verdict: str | None
) -> None:
    """As after an appeal: what was reported is kept, whatever was decided about it later."""
    queue = make_queue(KEEP)
    queue.add([make_record(1)])
    case = next(queue.cases()).case_id
    if verdict:
        take_and_decide(queue, verdict)
    preserve(queue, case, "9900001", clock.time, "ana")
    clock.pass_(days=367)
    assert queue.purge() == Purged()
    clock.pass_(days=2)
    assert queue.purge().records == 1


def test_settings_let_it_be_kept_for_longer_but_not_shorter(
    make_queue: MakeQueue, clock: Clock
) -> None:
    with pytest.raises(UsageError, match="at least 368 days"):
        Settings(keep_reported=YEAR - timedelta(seconds=1))
    queue = make_queue(Settings(keep_reported=timedelta(days=800)))
    case = reported(queue, clock)
    queue.change(Settings())
    found = preservation.preservation(queue, case)
    assert found is not None
    assert found.until == clock.time + timedelta(days=800)  # as when it was reported


def test_a_case_cannot_be_released_while_it_is_preserved(
    make_queue: MakeQueue, clock: Clock
) -> None:
    queue = make_queue(KEEP)
    queue.add([make_record(1)])
    case = take_and_decide(queue, "confirmed").case_id
    preserve(queue, case, "9900001", clock.time, "ana")
    with pytest.raises(ReviewError, match="preserved until 2027-01-04 for report 9900001"):
        queue.release(case, "ana", "why not")
    clock.time += YEAR
    queue.release(case, "ana", "its time is over")


def test_two_people_extend_and_end_it(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(KEEP)
    case = reported(queue, clock)
    later = clock.time + timedelta(days=700)
    ask(queue, case, "extend", "ana", "a letter of 3 May", later)
    for name in ("ana", " ANA "):
        with pytest.raises(ReviewError, match="ana asked for it"):
            answer(queue, case, name, approve=True)
    clock.pass_(days=500)
    assert queue.purge() == Purged()  # while it is asked for
    assert answer(queue, case, "bo", approve=True).until == later
    clock.pass_(days=199)
    assert queue.purge() == Purged()
    ask(queue, case, "release", "ana", "the authority no longer needs it")
    assert queue.purge() == Purged()
    answer(queue, case, "bo", approve=False, reason="the letter says otherwise")
    assert queue.purge() == Purged()
    ask(queue, case, "release", "ana", "a second letter")
    assert answer(queue, case, "bo", approve=True).until is None
    assert queue.purge() == Purged(0, 0, 1, 1)
    said = [(e.kind, e.who, e.body.get("reason")) for e in queue.history(case)][-5:]
    assert said == [
        ("preservation_extended", "bo", ""),
        ("preservation_asked", "ana", "the authority no longer needs it"),
        ("preservation_refused", "bo", "the letter says otherwise"),
        ("preservation_asked", "ana", "a second letter"),
        ("preservation_released", "bo", ""),
    ]


def test_a_report_that_comes_meanwhile_is_not_released_with_the_others(
    make_queue: MakeQueue, clock: Clock
) -> None:
    queue = make_queue(KEEP)
    case = reported(queue, clock)
    ask(queue, case, "release", "ana", "why")
    preserve(queue, case, "9900002", clock.time, "cem")
    with pytest.raises(ReviewError, match="nothing is asked for"):
        answer(queue, case, "bo", approve=True)
    clock.pass_(days=300)
    assert queue.purge() == Purged()


def test_what_cannot_be_done_is_said(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(KEEP)
    queue.add(many(2))
    case, other = (one.case_id for one in queue.cases())
    now = clock.time
    preserve(queue, case, "9900001", now, "ana")
    refused: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: preserve(queue, case, "9900001", now, "ana"), "entered already"),
        (lambda: preserve(queue, case, " 9900001 ", now, "ana"), "If the day was wrong"),
        (lambda: preserve(queue, case, "", now, "ana"), "number of a report"),
        (lambda: preserve(queue, case, "1\n2", now, "ana"), "number of a report"),
        (lambda: preserve(queue, case, "2", now + timedelta(days=1), "ana"), "in the future"),
        (lambda: ask(queue, other, "release", "ana", "why"), "no report was entered"),
        (lambda: ask(queue, case, "release", "ana", " "), "without a reason"),
        (lambda: ask(queue, case, "extend", "ana", "why"), "is given to extend it"),
        (lambda: ask(queue, case, "release", "ana", "why", now), "is given to extend it"),
        (lambda: ask(queue, case, "extend", "ana", "why", now + YEAR), "already. Give a later"),
        (lambda: answer(queue, case, "bo", approve=True), "nothing is asked for"),
    )
    for call, problem in refused:
        with pytest.raises(HashmatchError, match=problem):
            call()
    ask(queue, case, "release", "ana", "why")
    with pytest.raises(ReviewError, match="ana asked to release it"):
        ask(queue, case, "extend", "bo", "why", now + 2 * YEAR)
    clock.pass_(days=400)
    queue.purge()
    with pytest.raises(ReviewError, match="have expired"):
        preserve(queue, other, "3", clock.time, "ana")


def test_what_ends_next_is_first_and_what_was_not_reported_is_known(
    make_queue: MakeQueue, clock: Clock
) -> None:
    queue = make_queue(KEEP)
    queue.add(many(4))
    first, second, third = (take_and_decide(queue, "confirmed").case_id for _ in range(3))
    take_and_decide(queue, "not_a_match")
    preserve(queue, first, "1", clock.time, "ana")
    preserve(queue, second, "2", clock.time - timedelta(days=30), "ana")
    assert [one.case_id for one in preservations(queue)] == [second, first]
    assert list(unreported(queue)) == [third]


@dataclass
class Modelled:
    """A case as this test understands the rules; times are microseconds since the first one."""

    state: str
    decided: datetime
    hold: str = ""
    hold_at: datetime | None = None
    ends: datetime | None = None
    asked: tuple[str, str, datetime | None] | None = None
    numbers: list[str] = field(default_factory=list)
    gone: bool = False

    def kept(self, now: datetime) -> bool:
        asked = self.asked is not None and self.asked[0] == "extend"
        return asked or (self.ends is not None and now < self.ends)

    def expired(self, now: datetime) -> bool:
        if self.kept(now) or self.hold == "held":
            return False
        if self.state == "pending_review":
            return self.decided + KEEP.keep_pending <= now
        if self.state == "confirmed" and self.hold != "released":
            return False
        since = max(self.decided, self.hold_at or self.decided)
        return since + KEEP.keep_rejected <= now


def do_something(
    queue: ReviewQueue, case: str, one: Modelled, now: datetime, rng: random.Random
) -> None:
    """Do something to a case, as a person might, and to its model; both refuse the same."""
    who, far = rng.choice("ab"), now + timedelta(days=rng.choice([1, 30, 400, 1500]))
    what = rng.choice(["preserve", "extend", "release", "approve", "refuse", "hold", "let go", ""])
    number = rng.choice("123")
    try:
        if what == "preserve":
            filed = now - timedelta(days=rng.choice([0, 1, 100, 367, 400]))
            preserve(queue, case, number, filed, who)
        elif what == "extend":
            ask(queue, case, "extend", who, "why", far)
        elif what == "release":
            ask(queue, case, "release", who, "why")
        elif what in {"approve", "refuse"}:
            answer(queue, case, who, approve=what == "approve")
        elif what == "hold":
            queue.hold(case, who, "why")
        elif what == "let go":
            queue.release(case, who, "why")
        done = True
    except HashmatchError:
        done = False
    if what == "preserve":
        assert done == (not one.gone and number not in one.numbers)
    elif what in {"extend", "release"}:
        free = not one.gone and bool(one.numbers) and one.asked is None
        later = far > max(one.ends or now, now)
        assert done == (free and (later if what == "extend" else one.kept(now)))
    elif what in {"approve", "refuse"}:
        assert done == (one.asked is not None and one.asked[1] != who)
    elif what == "let go":
        held = one.hold == "held" or (one.state == "confirmed" and one.hold != "released")
        assert done == (not one.gone and held and not one.kept(now))
    if not done or not what:
        return
    if what == "preserve":
        one.numbers.append(number)
        one.ends = max(filed + YEAR, one.ends or filed)
        if one.asked is not None and one.asked[0] == "release":
            one.asked = None
    elif what in {"extend", "release"}:
        one.asked = (what, who, far if what == "extend" else None)
    elif what in {"approve", "refuse"}:
        assert one.asked is not None
        action, _, end = one.asked
        one.asked = None
        if what == "approve":
            one.ends = max(end, one.ends or end) if action == "extend" and end else None
    else:
        one.hold, one.hold_at = ("held" if what == "hold" else "released"), now


def run_sequences(path: Path, sequences: int, rounds: int, seed: int) -> None:
    """Go through so many random sequences, each about a case of its own, in one queue."""
    rng, clock = random.Random(seed), Clock()
    with ReviewQueue.open(str(path), create=True, settings=KEEP, now=clock) as queue:
        queue.add(many(sequences, seed))
        models: dict[str, Modelled] = {}
        with queue.transaction():
            for _ in range(sequences * 2 // 3):
                case = take_and_decide(queue, rng.choice(["confirmed", "not_a_match"]))
                models[case.case_id] = Modelled(case.state.value, clock.time)
        for case in queue.cases("pending_review"):
            models[case.case_id] = Modelled("pending_review", clock.time)
        removed = 0
        for _ in range(rounds):
            with queue.transaction():
                for case_id, model in models.items():
                    do_something(queue, case_id, model, clock.time, rng)
            clock.time += timedelta(days=rng.choice([0, 1, 3, 40, 200, 368, -1, -30, -400]))
            expired = [one for one in models.values() if not one.gone and one.expired(clock.time)]
            assert queue.purge(dry_run=True).records == len(expired)
            assert queue.purge().records == len(expired)
            removed += len(expired)
            for one in expired:
                one.gone = True
            there = {case.case_id for case in queue.cases()}
            assert there == {case_id for case_id, one in models.items() if not one.gone}
            running = {one.case_id for one in preservations(queue)}
            assert running == {name for name, one in models.items() if one.kept(clock.time)}
        assert 0 < removed < sequences
        queue.verify()


def test_nothing_preserved_is_removed_and_nothing_else_outlives_its_time(tmp_path: Path) -> None:
    run_sequences(tmp_path / "queue.db", sequences=300, rounds=8, seed=5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_nor_in_ten_thousand_sequences(tmp_path: Path, seed: int) -> None:
    run_sequences(tmp_path / "queue.db", sequences=1000, rounds=14, seed=seed)


def test_a_queue_of_the_version_before_is_brought_up_to_date(
    where: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once only; what was in it stays. Each older format lacks what later ones brought."""
    lacks = {
        4: ["ALTER TABLE review_case DROP COLUMN chrome"],
        3: ["ALTER TABLE review_case DROP COLUMN chrome", "DROP INDEX event_kind"],
    }
    for older, statements in lacks.items():
        place = f"{where}{older}" if not where.startswith("postgres") else where
        if place == where and older == 3:
            continue  # one database for both, and it is of format 5 by now
        with monkeypatch.context() as before:
            for module in (database, queues, sqlite_module):
                before.setattr(module, "FORMAT", older)
            with ReviewQueue.open(place, create=True, now=clock) as old:
                old.add([make_record(1)])
                case = take_and_decide(old, "confirmed").case_id
                head = old.head()
                old.verify()
                with old.transaction() as tx:
                    for statement in statements:
                        tx.database.run(statement)
        for _ in range(2):
            with ReviewQueue.open(place, now=clock) as queue:
                kinds = [event.kind for event in queue.history()]
                assert kinds == ["made", "added", "taken", "decided", "upgraded"]
                assert queue.case(case).state == "confirmed"
                assert not queue.case(case).mostly_chrome
                queue.verify(head)


def test_events_of_these_kinds_are_found_by_their_index(tmp_path: Path, clock: Clock) -> None:
    """Among millions of others; the condition has to stand in a query word for word."""
    with ReviewQueue.open(str(tmp_path / "queue.db"), create=True, now=clock) as queue:
        for case, name in ((None, "event_kind"), (1, "event_")):
            about, values = ("", ()) if case is None else (" AND case_number = ?", (case,))
            with queue.transaction(read_only=True) as tx:
                plan = tx.database.rows(
                    f"EXPLAIN QUERY PLAN SELECT number FROM event WHERE {INDEXED_KINDS}{about} "
                    "ORDER BY number",
                    values,
                )
            assert any(f"INDEX {name}" in str(row) for row in plan), plan


def test_nothing_but_a_purge_removes_records() -> None:
    """So that there is one place which has to ask whether they are kept."""
    removing = re.compile(r"DELETE FROM item\b|UPDATE item SET line|DROP TABLE|TRUNCATE item")
    found = [
        path.name
        for path in (ROOT / "src" / "hashmatch" / "review").rglob("*.py")
        if removing.search(path.read_text())
    ]
    assert found == ["retention.py"]
