"""Decisions: made once by whoever holds the case, undone for a while, asked for again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hashmatch.errors import ReviewError
from hashmatch.records.cases import CaseState, Verdict
from hashmatch.review import history
from hashmatch.review.case_rows import WAITING, CaseRow, StandingDecision, save
from hashmatch.review.cases import DECISION, count_reviewed
from hashmatch.review.leases import check_held, lease
from hashmatch.review.retention import hold, is_held
from hashmatch.review.text import micros, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.review.database import Transaction


def decide(
    tx: Transaction,
    row: CaseRow,
    reviewer: str,
    verdict: Verdict,
    reason: str,
    reviewed_digest: str,
    labels: Sequence[str],
) -> int:
    """Record a decision, and return its number; parameters as of `ReviewQueue.decide`."""
    check_held(tx, row, reviewer)
    items = tx.database.rows(
        "SELECT record_id, line, number FROM item WHERE case_number = ? AND round = ? "
        "AND line IS NOT NULL ORDER BY number",
        (row.number, row.round),
    )
    covered = count_reviewed([line for _, line, _ in items], reviewed_digest)
    if not covered:
        raise ReviewError(
            f"cannot decide about {tx.case_id(row.number)}: its records are not those that were "
            "reviewed. Take it again."
        )
    # What came in while somebody looked at the case was seen by nobody.
    inherited = [number for *_, number in items[covered:]]
    if inherited:
        tx.database.run(
            "UPDATE item SET round = 0 WHERE case_number = ? AND round = ? AND number >= ?",
            (row.number, row.round, inherited[0]),
        )
    records = [record_id for record_id, *_ in items[:covered]]
    before = _standing(tx, row)
    ((superseded,),) = tx.database.rows(
        "SELECT max(number) FROM decision WHERE case_number = ? AND round < ? "
        "AND undone_at IS NULL",
        (row.number, row.round),
    )
    needed = 2 if tx.settings.two_reviewers or any(one.needed > 1 for one in before) else 1
    number = history.append(
        tx,
        reviewer,
        "decided",
        row.number,
        verdict=verdict.value,
        reason=reason,
        records=records,
        inherited=inherited,
        reviewed_digest=reviewed_digest,
        labels=list(labels),
        needed=needed,
        round=row.round,
        supersedes=superseded,
    )
    ids, names = (msgspec.json.encode(part).decode() for part in (records, labels))
    values = (
        number, row.number, verdict.value, reviewer, tx.now, reason, ids, reviewed_digest, names,
        needed, row.round, superseded, None,
    )  # fmt: skip
    marks = ", ".join("?" * len(values))
    tx.database.run(f"INSERT INTO decision ({DECISION}) VALUES ({marks})", values)
    standing = [*before, StandingDecision(number, verdict.value, reviewer, needed, tx.now)]
    save(tx.database, [(row, row.with_decisions(standing))])
    return number


def undo(tx: Transaction, row: CaseRow, decision_id: str, number: int, reviewer: str) -> CaseRow:
    """Take a decision back; its reviewer holds the case again if they can."""
    found = tx.database.rows(
        "SELECT reviewer, decided_at, round, undone_at FROM decision "
        "WHERE number = ? AND case_number = ?",
        (number, row.number),
    )
    if not found:
        raise ReviewError(f"cannot undo {decision_id!r}: there is no decision of that id")
    ((whose, at, asked, undone_at),) = found
    until = at + micros(tx.settings.undo)
    if whose != reviewer:
        problem = f"it is not {reviewer}'s own. Ask for the case again instead."
    elif undone_at is not None:
        problem = "it is undone already"
    elif asked != row.round:
        problem = "the case was asked for again since"
    elif tx.now >= until:
        time = f"{moment(until):%H:%M:%S} UTC"
        problem = f"it could be undone until {time}. Ask for the case again instead."
    else:
        problem = ""
    if problem:
        raise ReviewError(f"cannot undo {decision_id}: {problem}")
    tx.database.run("UPDATE decision SET undone_at = ? WHERE number = ?", (tx.now, number))
    history.append(tx, reviewer, "undone", row.number, decision=number)
    standing = _standing(tx, row)
    after = row.with_decisions(standing)
    if row.lease_reviewer is not None and after.state == CaseState.PENDING_REVIEW:
        # A second reviewer holds it and goes on; there is nothing to hold that is not held.
        after = after._replace(
            state=row.state, lease_reviewer=row.lease_reviewer, lease_until=row.lease_until
        )
    if not standing:  # nothing is decided, so nothing is inherited
        tx.database.run(
            "UPDATE item SET round = ? WHERE case_number = ? AND round = 0", (row.round, row.number)
        )
    save(tx.database, [(row, after)])
    if after.state != CaseState.PENDING_REVIEW or after.not_for == reviewer:
        return after
    return lease(tx, after, reviewer)


def look_again(
    tx: Transaction, row: CaseRow, who: str, reason: str, *, everything: bool
) -> CaseRow:
    """Let a case that was decided wait for a person again.

    Only what joined it since is asked about, if anything did and not all of it is asked for. What
    was held because it had been confirmed stays so until somebody releases it.
    """
    case_id = tx.case_id(row.number)
    if row.state in WAITING:
        raise ReviewError(f"cannot ask for {case_id} again: it waits for a person already")
    if not row.items:
        raise ReviewError(f"cannot ask for {case_id} again: all its records have expired")
    ((inherited,),) = tx.database.rows(
        "SELECT count(*) FROM item WHERE case_number = ? AND round = 0 AND line IS NOT NULL",
        (row.number,),
    )
    inherited_only = bool(inherited) and not everything
    condition = " AND round = 0" if inherited_only else ""
    tx.database.run(
        f"UPDATE item SET round = ? WHERE case_number = ?{condition}",
        (row.round + 1, row.number),
    )
    after = row._replace(round=row.round + 1, asked_at=tx.now).with_decisions([])
    save(tx.database, [(row, after)])
    history.append(tx, who, "asked_again", row.number, reason=reason, inherited_only=inherited_only)
    if is_held(row, tx.settings) and row.hold != "held":
        return hold(tx, after, who, "held", f"it was {row.state}")
    return after


def _standing(tx: Transaction, row: CaseRow) -> list[StandingDecision]:
    """Return the decisions of this time of asking that were not undone."""
    found = tx.database.rows(
        "SELECT number, verdict, reviewer, needed, decided_at FROM decision "
        "WHERE case_number = ? AND round = ? AND undone_at IS NULL ORDER BY number",
        (row.number, row.round),
    )
    return [StandingDecision(*each) for each in found]
