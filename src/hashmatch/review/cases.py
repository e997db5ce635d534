"""Cases and decisions as people see them, assembled from the tables."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from hashmatch.errors import ReviewError
from hashmatch.records.cases import (
    Case,
    CaseItem,
    CaseState,
    Closest,
    Decision,
    Lease,
    Origin,
    Verdict,
)
from hashmatch.records.enums import Surface
from hashmatch.records.review import ReviewRecord
from hashmatch.records.typed import from_json
from hashmatch.review.case_rows import WAITING, is_held, load
from hashmatch.review.text import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hashmatch.review.case_rows import CaseRow
    from hashmatch.review.database import Row, Transaction

DECISION = (
    "number, case_number, verdict, reviewer, decided_at, final_at, reason, record_ids, "
    "reviewed_digest, labels, needed, round, supersedes, undone_at"
)
"""Columns of ``decision``."""


def find_row(tx: Transaction, case_id: str) -> CaseRow:
    """Return the row of a case by its id, or by its number alone; ReviewError if there is none."""
    queue, _, number = case_id.rpartition("-")
    is_number = number.isascii() and number.isdigit() and len(number) <= 18
    row = load(tx.database, int(number)) if is_number and queue in {"", tx.queue_name} else None
    if row is None:
        raise ReviewError(f"cannot find case {case_id!r}: there is none in this queue")
    return row


def is_blind(row: CaseRow) -> bool:
    """Return whether a case waits for a second reviewer, or is held by one."""
    return row.state in WAITING and bool(row.not_for)


def assemble(tx: Transaction, row: CaseRow, viewer: str | None = None) -> Case:
    """Return a case with all that belongs to it; a lease that has run out is none.

    While it waits for a second reviewer, no other `viewer` sees what the first decided.
    """
    found = tx.database.rows(
        "SELECT line, source, location, added_at, round FROM item "
        "WHERE case_number = ? AND line IS NOT NULL ORDER BY number",
        (row.number,),
    )
    items = tuple(
        CaseItem(
            ReviewRecord.from_json(line), Origin(source, location), moment(at), not asked, asked
        )
        for line, source, location, at, asked in found
    )
    decisions = load_decisions(tx, "case_number", row.number)
    if viewer is not None and is_blind(row):
        decisions = [one for one in decisions if one.round != row.round or one.reviewer == viewer]
    state, lease = CaseState(row.state), None
    if row.lease_reviewer is not None and row.lease_until is not None:
        if row.lease_until > tx.now:
            lease = Lease(row.lease_reviewer, moment(row.lease_until))
        else:
            state = CaseState.PENDING_REVIEW
    labels, surfaces = row.names
    return Case(
        case_id=tx.case_id(row.number),
        state=state,
        opened_at=moment(row.opened_at),
        closest=Closest(row.distance, row.max_distance, row.algorithm, row.list_name),
        labels=tuple(labels),
        surfaces=tuple(map(Surface, surfaces)),
        items=items,
        decisions=tuple(decisions),
        lease=lease,
        priority=row.priority,
        quality=row.quality,
        round=row.round,
        reviewed_digest=digest_of_lines(line for line, *_, asked in found if asked == row.round),
        held=is_held(row, tx.settings),
        mostly_chrome=bool(row.chrome),
    )


def load_decisions(tx: Transaction, column: str, value: int) -> list[Decision]:
    """Return the decisions with a value in a column (``number``, ``case_number``), oldest first."""
    sql = f"SELECT {DECISION} FROM decision WHERE {column} = ? ORDER BY number"
    return [_decision(tx, row) for row in tx.database.rows(sql, (value,))]


def _decision(tx: Transaction, row: Row) -> Decision:
    (
        number, case, verdict, reviewer, at, final_at, reason, ids, digest, labels, needed, round_,
        old, undone,
    ) = row  # fmt: skip
    case_id = tx.case_id(case)
    return Decision(
        decision_id=f"{case_id}-{number}",
        case_id=case_id,
        verdict=Verdict(verdict),
        reviewer=reviewer,
        decided_at=moment(at),
        final_at=moment(final_at),
        reason=reason,
        record_ids=from_json(ids, tuple[str, ...]),
        reviewed_digest=digest,
        labels=from_json(labels, tuple[str, ...]),
        needed=needed,
        round=round_,
        undone_at=None if undone is None else moment(undone),
        supersedes=None if old is None else f"{case_id}-{old}",
    )


def digest_of_lines(lines: Iterable[bytes]) -> str:
    """Return the SHA-256 of records, each as a line of JSON."""
    return hashlib.sha256(b"".join(line + b"\n" for line in lines)).hexdigest()


def count_reviewed(lines: Sequence[bytes], reviewed_digest: str) -> int:
    """Return how many records, from the first, have a digest together; 0 if none do.

    Examples
    --------
    >>> count_reviewed([b"a", b"b", b"c"], digest_of_lines([b"a", b"b"]))
    2
    """
    digest = hashlib.sha256()
    for count, line in enumerate(lines, 1):
        digest.update(line + b"\n")
        if digest.hexdigest() == reviewed_digest:
            return count
    return 0
