"""Who holds which case: handed out in order, given back, and taken back when time is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch.errors import ReviewError
from hashmatch.records.cases import CaseState
from hashmatch.review import history
from hashmatch.review.case_rows import CaseRow, load, save
from hashmatch.review.results import Pause
from hashmatch.review.text import micros, moment

if TYPE_CHECKING:
    from hashmatch.review.database import Database
    from hashmatch.review.settings import Settings

PAGE = 200


def sweep(database: Database, now: int) -> None:
    """Take back every case whose lease has run out, within a transaction."""
    rows = database.rows(
        "SELECT number FROM review_case WHERE lease_until <= ? ORDER BY lease_until, number",
        (now,),
    )
    for (number,) in rows:
        row = load(database, number)
        if row is None or row.lease_reviewer is None:
            continue
        save(database, [(row, row.given_back())])
        history.append(database, now, row.lease_reviewer, "lapsed", number)


def take(
    database: Database, settings: Settings, reviewer: str, label: str, surface: str, now: int
) -> CaseRow | Pause | None:
    """Return the case that a reviewer holds, or the next one; a pause after many.

    Parameters
    ----------
    database : Database
        In a transaction.
    settings : Settings
        Of the queue.
    reviewer : str
        Who asks.
    label, surface : str
        Only cases that have it; empty for all.
    now : int
        The lease begins.
    """
    sweep(database, now)
    held = database.rows(
        "SELECT number FROM review_case WHERE lease_reviewer = ? ORDER BY number LIMIT 1",
        (reviewer,),
    )
    if held:
        return load(database, held[0][0])
    rest = _rest(database, settings, reviewer, now)
    if rest is not None:
        return rest
    number = _first(database, reviewer, label, surface)
    row = load(database, number) if number is not None else None
    return None if row is None else lease(database, settings, row, reviewer, now)


def lease(database: Database, settings: Settings, row: CaseRow, reviewer: str, now: int) -> CaseRow:
    """Let a reviewer hold a case that waits."""
    until = now + micros(settings.lease)
    state = CaseState.IN_REVIEW.value
    after = row._replace(state=state, lease_reviewer=reviewer, lease_until=until)
    save(database, [(row, after)])
    history.append(database, now, reviewer, "taken", row.number, until=until)
    return after


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


def _rest(database: Database, settings: Settings, reviewer: str, now: int) -> Pause | None:
    """Return a pause if the reviewer was handed enough cases without one."""
    pause = micros(settings.pause)
    before, latest, handed, later = 2**62, None, 0, now
    while pause:
        rows = database.rows(
            "SELECT number, happened_at, kind FROM event WHERE who = ? AND number < ? "
            "ORDER BY number DESC LIMIT ?",
            (reviewer, before, PAGE),
        )
        for number, at, kind in rows:
            before = number
            if kind == "lapsed":  # not the reviewer's doing
                continue
            if later - at >= pause:
                return None
            latest, later = latest or at, at
            handed += kind == "taken"
            if handed >= settings.in_a_row:
                return Pause(moment(latest + pause), handed)
        if len(rows) < PAGE:
            return None
    return None


def held_by(row: CaseRow, reviewer: str, now: int, case_id: str) -> None:
    """Raise ReviewError unless a reviewer holds a case."""
    if row.lease_reviewer != reviewer:
        raise ReviewError(f"{case_id} is not held by {reviewer}; take it first")
    if row.lease_until is None or row.lease_until <= now:
        raise ReviewError(f"{case_id} was held for too long without a word; take it again")


def renew(database: Database, settings: Settings, row: CaseRow, reviewer: str, now: int) -> CaseRow:
    """Let a reviewer hold a case for longer."""
    until = now + micros(settings.lease)
    after = row._replace(lease_until=until)
    save(database, [(row, after)])
    history.append(database, now, reviewer, "renewed", row.number, until=until)
    return after


def give_back(database: Database, row: CaseRow, reviewer: str, now: int) -> None:
    """Let a case wait again."""
    save(database, [(row, row.given_back())])
    history.append(database, now, reviewer, "given_back", row.number)
