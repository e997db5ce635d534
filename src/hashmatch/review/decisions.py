"""Decisions: made once by whoever holds the case, taken back for a while, asked for again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hashmatch.errors import ReviewError
from hashmatch.records.cases import CaseState, Verdict
from hashmatch.review import history
from hashmatch.review.case_rows import WAITING, CaseRow, save, state_of
from hashmatch.review.cases import DECISION, covering
from hashmatch.review.leases import held_by, lease
from hashmatch.review.retention import hold, is_held
from hashmatch.review.text import micros, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.review.database import Database
    from hashmatch.review.settings import Settings


class Live(NamedTuple):
    """A decision that was not undone, for `state_of`."""

    number: int
    verdict: str
    reviewer: str
    needed: int
    decided_at: int


def live(database: Database, row: CaseRow) -> list[Live]:
    """Return the decisions of this time of asking that stand."""
    found = database.rows(
        "SELECT number, verdict, reviewer, needed, decided_at FROM decision "
        "WHERE case_number = ? AND round = ? AND undone_at IS NULL ORDER BY number",
        (row.number, row.round),
    )
    return [Live(*each) for each in found]


def settled(row: CaseRow, standing: Sequence[Live]) -> CaseRow:
    """Return a case, held by nobody, as its decisions leave it."""
    state, not_for = state_of(standing)
    final = state not in WAITING
    return row._replace(
        state=state.value,
        not_for=not_for,
        lease_reviewer=None,
        lease_until=None,
        decided_at=standing[-1].decided_at if final else None,
        decided_event=standing[-1].number if final else None,
    )


def decide(
    database: Database,
    settings: Settings,
    row: CaseRow,
    case_id: str,
    reviewer: str,
    verdict: Verdict,
    reason: str,
    seen: str,
    labels: Sequence[str],
    now: int,
) -> int:
    """Write a decision down, within a transaction; return its number."""
    held_by(row, reviewer, now, case_id)
    items = database.rows(
        "SELECT record_id, line, number FROM item WHERE case_number = ? AND round = ? "
        "AND line IS NOT NULL ORDER BY number",
        (row.number, row.round),
    )
    covered = covering([line for _, line, _ in items], seen)
    if not covered:
        raise ReviewError(f"{case_id} has other records than were seen; take it again")
    # What came in while somebody looked at the case was seen by nobody.
    inherited = [number for *_, number in items[covered:]]
    items = items[:covered]
    if inherited:
        database.run(
            "UPDATE item SET round = 0 WHERE case_number = ? AND round = ? AND number >= ?",
            (row.number, row.round, inherited[0]),
        )
    before = live(database, row)
    superseded = database.rows(
        "SELECT max(number) FROM decision WHERE case_number = ? AND round < ? "
        "AND undone_at IS NULL",
        (row.number, row.round),
    )[0][0]
    needed = 2 if settings.two_reviewers or any(one.needed > 1 for one in before) else 1
    ids, names = (msgspec.json.encode(part).decode() for part in ([i for i, *_ in items], labels))
    number = history.append(
        database,
        now,
        reviewer,
        "decided",
        row.number,
        verdict=verdict.value,
        reason=reason,
        records=[i for i, *_ in items],
        inherited=inherited,
        seen=seen,
        labels=list(labels),
        needed=needed,
        round=row.round,
        supersedes=superseded,
    )
    values = (
        number, row.number, verdict.value, reviewer, now, reason, ids, seen, names, needed,
        row.round, superseded, None,
    )  # fmt: skip
    database.run(
        f"INSERT INTO decision ({DECISION}) VALUES ({', '.join('?' * len(values))})",
        values,
    )
    standing = [*before, Live(number, verdict.value, reviewer, needed, now)]
    save(database, [(row, settled(row, standing))])
    return number


def undo(
    database: Database,
    settings: Settings,
    row: CaseRow,
    decision_id: str,
    number: int,
    reviewer: str,
    now: int,
) -> CaseRow:
    """Take a decision back, within a transaction; its reviewer holds the case again if he can."""
    found = database.rows(
        "SELECT reviewer, decided_at, round, undone_at FROM decision "
        "WHERE number = ? AND case_number = ?",
        (number, row.number),
    )
    if not found:
        raise ReviewError(f"there is no decision {decision_id!r} in this queue")
    ((whose, at, asked, undone_at),) = found
    if whose != reviewer:
        raise ReviewError(f"{decision_id} is not {reviewer}'s own; ask for the case again instead")
    if undone_at is not None:
        raise ReviewError(f"{decision_id} is undone already")
    if asked != row.round:
        raise ReviewError(f"{decision_id} is of before the case was asked for again")
    until = at + micros(settings.undo)
    if now >= until:
        raise ReviewError(
            f"{decision_id} could be undone until {moment(until):%H:%M:%S} UTC; ask for the case "
            "again instead"
        )
    database.run("UPDATE decision SET undone_at = ? WHERE number = ?", (now, number))
    history.append(database, now, reviewer, "undone", row.number, decision=number)
    standing = live(database, row)
    after = settled(row, standing)
    if row.lease_reviewer is not None and after.state == CaseState.PENDING_REVIEW:
        # A second reviewer holds it and goes on; there is nothing to hold that is not held.
        after = after._replace(
            state=row.state, lease_reviewer=row.lease_reviewer, lease_until=row.lease_until
        )
    if not standing:  # nothing is decided, so nothing is inherited
        database.run(
            "UPDATE item SET round = ? WHERE case_number = ? AND round = 0", (row.round, row.number)
        )
    save(database, [(row, after)])
    if after.state != CaseState.PENDING_REVIEW or after.not_for == reviewer:
        return after
    return lease(database, settings, after, reviewer, now)


def look_again(
    database: Database,
    settings: Settings,
    row: CaseRow,
    case_id: str,
    who: str,
    reason: str,
    now: int,
    *,
    all_: bool,
) -> CaseRow:
    """Let a case that was decided wait for a person again, within a transaction.

    Only what joined it since is asked about, if anything did and not all of it is asked for. What
    was held because it had been confirmed stays so until somebody releases it.
    """
    if row.state in WAITING:
        raise ReviewError(f"{case_id} waits for a person already")
    if not row.items:
        raise ReviewError(f"{case_id} has no records left; they have expired")
    ((inherited,),) = database.rows(
        "SELECT count(*) FROM item WHERE case_number = ? AND round = 0 AND line IS NOT NULL",
        (row.number,),
    )
    inherited_only = bool(inherited) and not all_
    condition = " AND round = 0" if inherited_only else ""
    database.run(
        f"UPDATE item SET round = ? WHERE case_number = ?{condition}",
        (row.round + 1, row.number),
    )
    after = settled(row._replace(round=row.round + 1, asked_at=now), [])
    save(database, [(row, after)])
    history.append(
        database, now, who, "asked_again", row.number, reason=reason, inherited_only=inherited_only
    )
    if is_held(row, settings) and row.hold != "held":
        return hold(database, after, who, "held", f"it was {row.state}", now)
    return after
