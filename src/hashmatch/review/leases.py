"""Leases: which reviewer holds which case, and which case is next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch.errors import ReviewError
from hashmatch.records.cases import CaseState
from hashmatch.review import history
from hashmatch.review.case_rows import CaseRow, load, save
from hashmatch.review.results import Pause
from hashmatch.review.text import micros, moment

if TYPE_CHECKING:
    from hashmatch.review.database import Database, Transaction

EVENTS_PER_QUERY = 200
WORK = frozenset({"taken", "renewed", "given_back", "decided", "undone", "uncovered"})
"""Kinds of events by which a reviewer does not rest; a lease lapses without them."""


def sweep(tx: Transaction) -> None:
    """Take back every case whose lease has run out."""
    rows = tx.database.rows(
        "SELECT number FROM review_case WHERE lease_until <= ? ORDER BY lease_until, number",
        (tx.now,),
    )
    for (number,) in rows:
        row = load(tx.database, number)
        if row is None or row.lease_reviewer is None:
            continue
        save(tx.database, [(row, row.given_back())])
        history.append(tx, row.lease_reviewer, "lapsed", number)


def take(tx: Transaction, reviewer: str, label: str, surface: str) -> CaseRow | Pause | None:
    """Return the case that a reviewer holds, or lease the next one; a pause after many.

    An empty `label` or `surface` stands for all.
    """
    sweep(tx)
    held = tx.database.rows(
        "SELECT number FROM review_case WHERE lease_reviewer = ? ORDER BY number LIMIT 1",
        (reviewer,),
    )
    if held:
        return load(tx.database, held[0][0])
    pause = _pause(tx, reviewer)
    if pause is not None:
        return pause
    number = _first(tx.database, reviewer, label, surface)
    row = load(tx.database, number) if number is not None else None
    return None if row is None else lease(tx, row, reviewer)


def lease(tx: Transaction, row: CaseRow, reviewer: str) -> CaseRow:
    """Let a reviewer hold a case that waits."""
    until = tx.now + micros(tx.settings.lease)
    state = CaseState.IN_REVIEW.value
    after = row._replace(state=state, lease_reviewer=reviewer, lease_until=until)
    save(tx.database, [(row, after)])
    history.append(tx, reviewer, "taken", row.number, until=until)
    return after


def renew(tx: Transaction, row: CaseRow, reviewer: str) -> CaseRow:
    """Let a reviewer hold a case for longer."""
    check_held(tx, row, reviewer)
    until = tx.now + micros(tx.settings.lease)
    after = row._replace(lease_until=until)
    save(tx.database, [(row, after)])
    history.append(tx, reviewer, "renewed", row.number, until=until)
    return after


def give_back(tx: Transaction, row: CaseRow, reviewer: str) -> None:
    """Let a case wait again."""
    check_held(tx, row, reviewer)
    save(tx.database, [(row, row.given_back())])
    history.append(tx, reviewer, "given_back", row.number)


def check_held(tx: Transaction, row: CaseRow, reviewer: str) -> None:
    """Raise ReviewError unless a reviewer holds a case."""
    case_id = tx.case_id(row.number)
    if row.lease_reviewer != reviewer:
        raise ReviewError(f"cannot change {case_id}: {reviewer} does not hold it. Take it first.")
    if row.lease_until is None or row.lease_until <= tx.now:
        raise ReviewError(f"cannot change {case_id}: its lease has run out. Take it again.")


def _first(database: Database, reviewer: str, label: str, surface: str) -> int | None:
    """Return the case that waits at the head: of those for all, and of those for all but another.

    Each is the first row of a stretch of the index; there is one stretch for every reviewer whose
    confirmations wait for a second one.
    """
    shelf = "label = ? AND surface = ?"
    heads: list[tuple[int, int]] = []
    not_for = ""
    while True:
        if not_for != reviewer:
            heads += database.rows(
                f"SELECT later, case_number FROM waiting WHERE {shelf} AND not_for = ? "
                "ORDER BY later, case_number LIMIT 1",
                (label, surface, not_for),
            )
        following = database.rows(
            f"SELECT not_for FROM waiting WHERE {shelf} AND not_for > ? ORDER BY not_for LIMIT 1",
            (label, surface, not_for),
        )
        if not following:
            return min(heads)[1] if heads else None
        not_for = following[0][0]


def _pause(tx: Transaction, reviewer: str) -> Pause | None:
    """Return a pause if the reviewer was handed enough cases without one."""
    pause = micros(tx.settings.pause)
    before, latest, handed, later = 2**62, None, 0, tx.now
    while pause:
        rows = tx.database.rows(
            "SELECT number, happened_at, kind FROM event WHERE who = ? AND number < ? "
            "ORDER BY number DESC LIMIT ?",
            (reviewer, before, EVENTS_PER_QUERY),
        )
        for number, at, kind in rows:
            before = number
            if kind not in WORK:
                continue
            if later - at >= pause:
                return None
            latest, later = latest or at, at
            handed += kind == "taken"
            if handed >= tx.settings.in_a_row:
                return Pause(moment(latest + pause), handed)
        if len(rows) < EVENTS_PER_QUERY:
            return None
    return None
