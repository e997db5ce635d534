"""How long records are kept: what nobody confirmed expires, what was confirmed is held.

Of a record that has expired its id stays, so that the next scan does not bring it back, and what
the history says of it: when it came, who decided what, and the digest of what it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch.errors import ReviewError
from hashmatch.records.cases import CaseState
from hashmatch.records.review import ReviewRecord
from hashmatch.review import history, holds
from hashmatch.review.case_rows import (
    COLUMNS,
    WAITING,
    CaseRow,
    covered_by,
    is_held,
    priority,
    save,
    summary,
)
from hashmatch.review.grouping import keys_of_case
from hashmatch.review.results import Purged
from hashmatch.review.text import micros

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.review.database import Row, Transaction
    from hashmatch.review.settings import Settings

CASES_PER_TRANSACTION = 200


def hold(tx: Transaction, row: CaseRow, who: str, kind: str, reason: str) -> CaseRow:
    """Keep a case whatever its age, or no longer; `kind` is ``held`` or ``released``."""
    if not row.items:
        case_id = tx.case_id(row.number)
        raise ReviewError(f"cannot hold or release {case_id}: all its records have expired")
    if kind == "released" and not is_held(row, tx.settings):
        # It would be released ahead of time: whatever is decided about it later.
        raise ReviewError(f"cannot release {tx.case_id(row.number)}: it is not held")
    if kind == "released":
        holds.check_over(tx, row.number)
    after = row._replace(hold=kind, hold_at=tx.now)
    save(tx.database, [(row, after)])
    history.append(tx, who, kind, row.number, reason=reason)
    return after


def purge_some(
    tx: Transaction, after: int, who: str, *, dry_run: bool
) -> tuple[Purged, int | None]:
    """Remove the records that have expired of the cases that follow case number `after`.

    Returns what was removed, or would be, and the number of the last case that was looked at; None
    if there are no more.
    """
    cases = tx.database.rows(
        f"SELECT {COLUMNS} FROM review_case WHERE number > ? AND items > 0 "
        f"ORDER BY number LIMIT {CASES_PER_TRANSACTION}",
        (after,),
    )
    if not cases:
        return Purged(), None
    condition, value = tx.database.among([row[0] for row in cases])
    items: dict[int, list[Row]] = {}
    for case, *rest in tx.database.rows(
        f"SELECT case_number, number, added_at, round FROM item WHERE case_number {condition} "
        "AND line IS NOT NULL ORDER BY number",
        (value,),
    ):
        items.setdefault(case, []).append(tuple(rest))
    preserved = holds.preserved(tx, [row[0] for row in cases])
    preserved |= holds.requested(tx)
    gone: list[int] = []
    changes: list[tuple[CaseRow, CaseRow]] = []
    counts = {"pending": 0, "rejected": 0, "confirmed": 0, "cases": 0}
    for case in cases:
        row = CaseRow(*case)
        if row.lease_until is not None and row.lease_until > tx.now:
            continue  # somebody is looking at it
        if row.number in preserved:
            continue
        expired = [
            number
            for number, added_at, asked in items.get(row.number, ())
            if (end := _expires_at(tx.settings, row, asked, added_at)) is not None and end <= tx.now
        ]
        if not expired:
            continue
        gone += expired
        counts[_kind(row)] += len(expired)
        counts["cases"] += len(expired) == row.items
        if not dry_run:
            changes.append((row, _without(tx, row, expired)))
    if changes:
        save(tx.database, changes)
        tx.database.run_all(
            "UPDATE item SET line = NULL, hash = NULL, source = NULL, location = NULL "
            "WHERE number = ?",
            [(number,) for number in gone],
        )
        history.append(tx, who, "purged", items=gone)
    return Purged(**counts), cases[-1][0]


def _expires_at(settings: Settings, row: CaseRow, asked: int, added_at: int) -> int | None:
    """Return when an item of a case expires; None if it is held.

    ``asked`` is the item's round, 0 if no decision covers it.
    """
    pending, rejected = micros(settings.keep_pending), micros(settings.keep_rejected)
    if is_held(row, settings):
        return None
    if row.state in WAITING:
        return max(added_at, row.asked_at) + pending
    if not asked:
        return added_at + pending
    decided_at = row.decided_at or 0
    if row.state == CaseState.UNSURE:
        return decided_at + pending
    if row.hold == "released":
        return max(decided_at, row.hold_at or 0) + rejected
    return decided_at + rejected


def _kind(row: CaseRow) -> str:
    if row.state in WAITING or row.state == CaseState.UNSURE:
        return "pending"
    return "rejected" if row.state == CaseState.NOT_A_MATCH else "confirmed"


def _without(tx: Transaction, row: CaseRow, expired: Sequence[int]) -> CaseRow:
    """Return a case without some of its items; nothing joins it if the first is among them."""
    gone = set(expired)
    rows = tx.database.rows(
        "SELECT number, line, hash, round FROM item WHERE case_number = ? AND line IS NOT NULL "
        "ORDER BY number",
        (row.number,),
    )
    after = row
    if row.first_item in gone:
        number, line, value, _ = rows[0]
        is_first = number == row.first_item
        keys = keys_of_case(tx.settings, row.number, line, value) if is_first else []
        tx.database.run_all("DELETE FROM grouping_key WHERE value = ? AND case_number = ?", keys)
        after = after._replace(hash=None, hash_algorithm="")
    left = {
        number: (ReviewRecord.from_json(line), asked)
        for number, line, _, asked in rows
        if number not in gone
    }
    found = summary(record for record, _ in left.values())
    if after.covered:
        decided = (record for record, asked in left.values() if asked)
        after = after._replace(covered=covered_by(decided))
    return after.with_summary(found, priority(found, row.opened_at, tx.settings))
