"""Cases as people see them, put together from the tables."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

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
from hashmatch.review.case_rows import WAITING, load
from hashmatch.review.retention import is_held
from hashmatch.review.text import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hashmatch.review.case_rows import CaseRow
    from hashmatch.review.database import Database
    from hashmatch.review.settings import Settings

DECISION = (
    "number, case_number, verdict, reviewer, decided_at, reason, record_ids, seen, labels, needed, "
    "round, supersedes, undone_at"
)


def case_number(case_id: str, name: str) -> int:
    """Return the number in an id of a case; ReviewError if it is of another queue or no id."""
    queue, _, number = case_id.rpartition("-")
    if not number.isascii() or not number.isdigit() or queue not in {"", name} or len(number) > 18:
        raise ReviewError(f"there is no case {case_id!r} in this queue")
    return int(number)


def row_of(database: Database, number: int, name: str) -> CaseRow:
    """Return the row of a case; ReviewError if there is none."""
    row = load(database, number)
    if row is None:
        raise ReviewError(f"there is no case {name}-{number} in this queue")
    return row


def seen_digest(lines: Iterable[bytes]) -> str:
    """Return the SHA-256 of records, each as a line of JSON."""
    return hashlib.sha256(b"".join(line + b"\n" for line in lines)).hexdigest()


def covering(lines: Sequence[bytes], seen: str) -> int:
    """Return how many records, from the first, have the `seen_digest` that is given; 0 if none do.

    Examples
    --------
    >>> covering([b"a", b"b", b"c"], seen_digest([b"a", b"b"]))
    2
    """
    digest = hashlib.sha256()
    for count, line in enumerate(lines, 1):
        digest.update(line + b"\n")
        if digest.hexdigest() == seen:
            return count
    return 0


def decisions_of(database: Database, name: str, number: int) -> list[Decision]:
    """Return every decision about a case, oldest first."""
    sql = f"SELECT {DECISION} FROM decision WHERE case_number = ? ORDER BY number"
    return [decision_of(name, row) for row in database.rows(sql, (number,))]


def decision(database: Database, name: str, number: int) -> Decision:
    """Return one decision."""
    (row,) = database.rows(f"SELECT {DECISION} FROM decision WHERE number = ?", (number,))
    return decision_of(name, row)


def decision_of(name: str, row: Sequence[object]) -> Decision:
    """Return a row of ``decision`` as one."""
    number, case, verdict, reviewer, at, reason, ids, seen, labels, needed, asked, old, undone = row
    return Decision(
        decision_id=f"{name}-{case}-{number}",
        case_id=f"{name}-{case}",
        verdict=Verdict(str(verdict)),
        reviewer=str(reviewer),
        decided_at=moment(int(str(at))),
        reason=str(reason),
        record_ids=msgspec.json.decode(str(ids), type=tuple[str, ...]),
        seen=str(seen),
        labels=msgspec.json.decode(str(labels), type=tuple[str, ...]),
        needed=int(str(needed)),
        round=int(str(asked)),
        undone_at=None if undone is None else moment(int(str(undone))),
        supersedes=None if old is None else f"{name}-{case}-{old}",
    )


def is_blind(row: CaseRow) -> bool:
    """Return whether a case waits for a second reviewer, or is held by one."""
    return row.state in WAITING and bool(row.not_for)


def whole(
    database: Database,
    settings: Settings,
    name: str,
    row: CaseRow,
    now: int,
    viewer: str | None = None,
) -> Case:
    """Return a case with all that belongs to it.

    Parameters
    ----------
    database : Database
        In a transaction.
    settings : Settings
        Of the queue.
    name : str
        Of the queue.
    row : CaseRow
        Of the case.
    now : int
        A lease that has run out by then is none.
    viewer : str, optional
        Who is shown it: while it waits for a second reviewer, what the first one decided is for
        nobody else to see.
    """
    found = database.rows(
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
    decisions = decisions_of(database, name, row.number)
    if viewer is not None and is_blind(row):
        decisions = [one for one in decisions if one.round != row.round or one.reviewer == viewer]
    state, lease = CaseState(row.state), None
    if row.lease_reviewer is not None and row.lease_until is not None:
        if row.lease_until > now:
            lease = Lease(row.lease_reviewer, moment(row.lease_until))
        else:
            state = CaseState.PENDING_REVIEW
    labels, surfaces = row.names
    return Case(
        case_id=f"{name}-{row.number}",
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
        seen=seen_digest(line for line, *_, asked in found if asked == row.round),
        held=is_held(row, settings),
    )
