"""Records into the queue: each once, to the case of its picture, a batch whole or not at all."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from hashmatch.errors import ReviewError
from hashmatch.review import history
from hashmatch.review.case_rows import WAITING, CaseRow, load_all, priority, save
from hashmatch.review.grouping import Incoming, Same
from hashmatch.review.results import Added

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hashmatch.records.cases import Origin
    from hashmatch.records.review import ReviewRecord
    from hashmatch.review.database import Database
    from hashmatch.review.settings import Settings

BATCH = 1000
"""Records of one transaction: it is over in about 0.2 s, for which a reviewer can wait."""


def batch_digest(items: Iterable[tuple[int, str, int, bytes]]) -> str:
    """Return the SHA-256 of a batch: of each item its number, record, case and content."""
    total = hashlib.sha256()
    for number, record_id, case, digest in items:
        total.update(f"{number} {case} {record_id}\n".encode())
        total.update(digest)
    return total.hexdigest()


def add_batch(
    database: Database,
    settings: Settings,
    batch: Sequence[tuple[ReviewRecord, Origin]],
    at: int,
    who: str,
    *,
    again: bool,
) -> Added:
    """Add records within a transaction.

    Parameters
    ----------
    database : Database
        In a transaction.
    settings : Settings
        Of the queue.
    batch : sequence of (ReviewRecord, Origin)
        Some; any of them may be there already.
    at : int
        Now.
    who : str
        Whose doing it is.
    again : bool
        Whether records that had expired come in again.
    """
    pending = [(record, origin) for record, origin in batch if record.status == "pending_review"]
    suppressed = len(batch) - len(pending)
    seen = _known(database, [record.record_id for record, _ in pending], again)
    new: list[Incoming] = []
    for record, origin in pending:
        if record.record_id not in seen:
            seen.add(record.record_id)
            if not record.matches:
                raise ReviewError(f"record {record.record_id} has no match")
            new.append(Incoming.of(record, origin, settings))
    known = len(pending) - len(new)
    if not new:
        return Added(0, known, suppressed, 0)
    event = history.last(database)[0] + 1
    opened, items = _sorted_into_cases(database, settings, new, at, event)
    history.append(
        database,
        at,
        who,
        "added",
        first=items[0][0],
        records=len(items),
        digest=batch_digest((row[0], row[1], row[2], row[-1]) for row in items),
    )
    database.insert("item", items)
    return Added(len(new), known, suppressed, opened)


def _known(database: Database, ids: Sequence[str], again: bool) -> set[str]:
    """Return which records are there, or have been."""
    if not ids:
        return set()
    condition, value = database.among(ids)
    there = " AND line IS NOT NULL" if again else ""
    sql = f"SELECT record_id FROM item WHERE record_id {condition}{there}"
    return {name for (name,) in database.rows(sql, (value,))}


Items = list[tuple[int, str, int, int, int, int, bytes, bytes | None, str, str, bytes]]


def _sorted_into_cases(
    database: Database, settings: Settings, new: Sequence[Incoming], at: int, event: int
) -> tuple[int, Items]:
    """Open cases or let records join them; return how many were opened, and the rows of items."""
    number, case_number = (
        (found or 0) + 1
        for found in database.rows(
            "SELECT (SELECT max(number) FROM item), (SELECT max(number) FROM review_case)"
        )[0]
    )
    same = Same(database, settings, new)
    before = load_all(database, same.candidates)
    after: dict[int, CaseRow] = {}
    items: Items = []
    opened = 0
    for each in new:
        joined = same.case(each)
        if joined is None:
            joined, opened = case_number + opened, opened + 1
            same.open(each, joined)
            algorithm = each.record.hash.algorithm if each.hash is not None else ""
            row = CaseRow(joined, at, at, number, hash_algorithm=algorithm, hash=each.hash)
        else:
            row = after.get(joined) or before[joined]
        asked = row.state in WAITING and not row.not_for
        found = row.summary.joined(each.record)
        after[joined] = row.saying(found, priority(found, row.opened_at, settings))
        origin = each.origin
        items.append(
            (
                number,
                each.record.record_id,
                joined,
                event,
                row.round if asked else 0,
                at,
                each.line,
                each.hash,
                origin.source,
                origin.location,
                each.digest,
            )
        )
        number += 1
    save(database, [(before.get(one), row) for one, row in after.items()])
    database.insert("likeness", sorted(same.rows))
    return opened, items
