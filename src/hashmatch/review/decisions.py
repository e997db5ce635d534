"""Decisions: made once by the reviewer who holds the case, undone for a while, asked for again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hashmatch.errors import ReviewError
from hashmatch.records.cases import CaseState, Verdict
from hashmatch.records.review import ReviewRecord
from hashmatch.review import history
from hashmatch.review.case_rows import (
    ENDS_WITH_NEWS,
    WAITING,
    CaseRow,
    StandingDecision,
    covered_by,
    is_held,
    news,
    save,
)
from hashmatch.review.cases import DECISION, count_reviewed
from hashmatch.review.leases import check_held, lease
from hashmatch.review.retention import hold
from hashmatch.review.text import micros, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
    final_at = tx.now + micros(tx.settings.undo)
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
        final_at=final_at,
        holds=tx.settings.hold_confirmed,
        round=row.round,
        supersedes=superseded,
    )
    ids, names = (msgspec.json.encode(part).decode() for part in (records, labels))
    values = (
        number, row.number, verdict.value, reviewer, tx.now, final_at, reason, ids,
        reviewed_digest, names, needed, row.round, superseded, None,
    )  # fmt: skip
    marks = ", ".join("?" * len(values))
    tx.database.run(f"INSERT INTO decision ({DECISION}) VALUES ({marks})", values)
    made = StandingDecision(number, verdict.value, reviewer, needed, tx.now, final_at)
    after = _as_decided(tx, row, [*before, made])
    save(tx.database, [(row, after)])
    reopen(tx, after, _records(tx, row.number, "round = 0"))
    return number


def _as_decided(tx: Transaction, row: CaseRow, standing: Sequence[StandingDecision]) -> CaseRow:
    """Return a case as its decisions leave it, with what they cover."""
    confirmed = tx.database.rows(
        "SELECT 1 FROM decision JOIN item ON item.case_number = decision.case_number "
        "AND item.round = decision.round WHERE decision.case_number = ? AND decision.round < ? "
        "AND verdict = 'confirmed' AND undone_at IS NULL LIMIT 1",
        (row.number, row.round),
    )
    after = row.with_decisions(
        standing, holds=tx.settings.hold_confirmed, was_confirmed=bool(confirmed)
    )
    if after.state not in ENDS_WITH_NEWS:
        return after
    return after._replace(covered=covered_by(_records(tx, row.number, "round > 0")))


def reopen(tx: Transaction, row: CaseRow, joined: Iterable[ReviewRecord]) -> CaseRow:
    """Let a decided case wait again if a record that joined it says what nobody has decided."""
    if row.state not in ENDS_WITH_NEWS:
        return row
    reason = next(filter(None, (news(record, row.covered) for record in joined)), "")
    if not reason:
        return row
    return look_again(tx, row, "hashmatch", f"{reason} joined it", everything=False)


def _records(tx: Transaction, case: int, condition: str) -> list[ReviewRecord]:
    found = tx.database.rows(
        f"SELECT line FROM item WHERE case_number = ? AND {condition} AND line IS NOT NULL",
        (case,),
    )
    return [ReviewRecord.from_json(line) for (line,) in found]


def undo(tx: Transaction, row: CaseRow, decision_id: str, number: int, reviewer: str) -> CaseRow:
    """Take a decision back; its reviewer holds the case again if they can.

    If other records of the case are asked about by now, those that it covered are too.
    """
    found = tx.database.rows(
        "SELECT reviewer, final_at, round, undone_at, handed_at FROM decision "
        "LEFT JOIN handed_over ON decision = number WHERE number = ? AND case_number = ?",
        (number, row.number),
    )
    if not found:
        raise ReviewError(f"cannot undo {decision_id!r}: there is no decision of that id")
    ((whose, final_at, asked, undone_at, handed_at),) = found
    others = _standing(tx, row)
    if whose != reviewer:
        problem = f"it is not {reviewer}'s own. Ask for the case again instead."
    elif undone_at is not None:
        problem = "it is undone already"
    elif asked != row.round and (others or not _records(tx, row.number, f"round = {asked}")):
        problem = "the case was asked for again since"
    elif handed_at is not None:
        problem = f"it was handed over at {_time(handed_at)}. Ask for the case again instead."
    elif tx.now >= final_at:
        problem = f"it could be undone until {_time(final_at)}. Ask for the case again instead."
    else:
        problem = ""
    if problem:
        raise ReviewError(f"cannot undo {decision_id}: {problem}")
    tx.database.run("UPDATE decision SET undone_at = ? WHERE number = ?", (tx.now, number))
    holds = tx.settings.hold_confirmed
    history.append(tx, reviewer, "undone", row.number, decision=number, round=asked, holds=holds)
    standing = [one for one in others if one.number != number]
    after = _as_decided(tx, row, standing)
    if row.lease_reviewer is not None and after.state == CaseState.PENDING_REVIEW:
        # A second reviewer holds it and goes on; there is nothing to hold that is not held.
        after = after._replace(
            state=row.state, lease_reviewer=row.lease_reviewer, lease_until=row.lease_until
        )
    if after.state in WAITING:
        after = after.unreleased()
    if not standing:  # nothing is decided, so nothing is inherited
        tx.database.run(
            "UPDATE item SET round = ? WHERE case_number = ? AND round IN (0, ?)",
            (row.round, row.number, asked),
        )
    save(tx.database, [(row, after)])
    after = reopen(tx, after, _records(tx, row.number, "round = 0"))
    if after.state != CaseState.PENDING_REVIEW or after.not_for == reviewer:
        return after
    return lease(tx, after, reviewer)


def _time(at: int) -> str:
    return f"{moment(at):%Y-%m-%d %H:%M:%S} UTC"


def hand_over(tx: Transaction, cases: Sequence[int]) -> None:
    """Note that decisions of some cases are handed over as final: nobody can undo them."""
    condition, value = tx.database.among(cases)
    tx.database.run(
        "INSERT INTO handed_over SELECT number, ? FROM decision "
        f"WHERE case_number {condition} AND undone_at IS NULL AND final_at <= ? "
        "AND number NOT IN (SELECT decision FROM handed_over)",
        (tx.now, value, tx.now),
    )


def look_again(
    tx: Transaction, row: CaseRow, who: str, reason: str, *, everything: bool
) -> CaseRow:
    """Let a case that was decided wait for a person again.

    Only what joined it since is asked about, if anything did and not all of it is asked for, and if
    what it joined was answered: confirmed, or not a match. What was held because it had been
    confirmed stays so until somebody releases it.
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
    is_answered = row.state in {CaseState.CONFIRMED, CaseState.NOT_A_MATCH}
    inherited_only = bool(inherited) and is_answered and not everything
    condition = " AND round = 0" if inherited_only else ""
    tx.database.run(
        f"UPDATE item SET round = ? WHERE case_number = ?{condition}",
        (row.round + 1, row.number),
    )
    after = row._replace(round=row.round + 1, asked_at=tx.now).with_decisions([]).unreleased()
    save(tx.database, [(row, after)])
    history.append(tx, who, "asked_again", row.number, reason=reason, inherited_only=inherited_only)
    if is_held(row, tx.settings) and row.hold != "held":
        return hold(tx, after, who, "held", f"it was {row.state}")
    return after


def _standing(tx: Transaction, row: CaseRow) -> list[StandingDecision]:
    """Return the decisions of this time of asking that were not undone."""
    found = tx.database.rows(
        "SELECT number, verdict, reviewer, needed, decided_at, final_at FROM decision "
        "WHERE case_number = ? AND round = ? AND undone_at IS NULL ORDER BY number",
        (row.number, row.round),
    )
    return [StandingDecision(*each) for each in found]
