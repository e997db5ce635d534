"""Adds records to the queue: each once, to the case of its picture, a batch whole or not at all."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from operator import itemgetter
from typing import TYPE_CHECKING

from hashmatch.errors import ReviewError
from hashmatch.review import history
from hashmatch.review.case_rows import WAITING, CaseRow, Summary, load_all, priority, save
from hashmatch.review.decisions import reopen
from hashmatch.review.grouping import CaseFinder, Incoming
from hashmatch.review.results import Added

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hashmatch.records.cases import Origin
    from hashmatch.records.review import ReviewRecord
    from hashmatch.review.database import Database, Transaction

    ItemRow = tuple[int, str, int, int, int, int, bytes, bytes | None, str, str, bytes]

RECORDS_PER_BATCH = 1000
"""An event of the history, whole or not at all."""
BATCHES_PER_TRANSACTION = 10
"""Together they write a page of an index once that each of them would write. In a queue of half a
million it is over in about 1.5 s, for which a reviewer can wait while somebody adds so many."""


def add_batch(
    tx: Transaction, batch: Sequence[tuple[ReviewRecord, Origin]], who: str, *, again: bool
) -> Added:
    """Add records, of which some may be there already; parameters as of `ReviewQueue.add`."""
    pending = [(record, origin) for record, origin in batch if record.status == "pending_review"]
    suppressed = len(batch) - len(pending)
    known_ids = _known(tx.database, [record.record_id for record, _ in pending], again)
    new: list[Incoming] = []
    for record, origin in pending:
        if record.record_id not in known_ids:
            known_ids.add(record.record_id)
            if not record.matches:
                raise ReviewError(f"cannot add record {record.record_id}: it has no match")
            new.append(Incoming.of(record, origin, tx.settings))
    known = len(pending) - len(new)
    if not new:
        return Added(0, known, suppressed, 0)
    event = history.last(tx.database)[0] + 1
    opened, items, joined = _into_cases(tx, new, event)
    digest = batch_digest((row[0], row[1], row[2], row[-1]) for row in items)
    history.append(tx, who, "added", first=items[0][0], records=len(items), digest=digest)
    tx.database.insert("item", items)
    for row, records in joined:
        reopen(tx, row, records)
    return Added(len(new), known, suppressed, opened)


def batch_digest(items: Iterable[tuple[int, str, int, bytes]]) -> str:
    """Return the SHA-256 of a batch: of each item its number, record, case and content."""
    rows = (b"%d %d %b\n%b" % (n, case, name.encode(), content) for n, name, case, content in items)
    return hashlib.sha256(b"".join(rows)).hexdigest()


def _known(database: Database, ids: Sequence[str], again: bool) -> set[str]:
    """Return which records are there, or have been."""
    if not ids:
        return set()
    condition, value = database.among(ids)
    there = " AND line IS NOT NULL" if again else ""
    sql = f"SELECT record_id FROM item WHERE record_id {condition}{there}"
    return {record_id for (record_id,) in database.rows(sql, (value,))}


def _into_cases(
    tx: Transaction, new: Sequence[Incoming], event: int
) -> tuple[int, list[ItemRow], list[tuple[CaseRow, list[ReviewRecord]]]]:
    """Open cases or let records join them.

    Returns how many were opened, the rows of items, and each case that was there with its new ones.
    """
    ((last_item, last_case),) = tx.database.rows(
        "SELECT (SELECT max(number) FROM item), (SELECT max(number) FROM review_case)"
    )
    finder = CaseFinder(tx, new)
    before = load_all(tx.database, finder.candidates)
    rows: dict[int, CaseRow] = {}
    found: dict[int, Summary] = {}
    came = defaultdict[int, list["ReviewRecord"]](list)
    items: list[ItemRow] = []
    opened = 0
    for number, each in enumerate(new, (last_item or 0) + 1):
        joined = finder.find(each)
        if joined is None:
            opened += 1
            joined = (last_case or 0) + opened
            finder.open(each, joined)
            algorithm = each.record.hash.algorithm if each.hash is not None else ""
            row = CaseRow(joined, tx.now, tx.now, number, hash_algorithm=algorithm, hash=each.hash)
        else:
            row = rows.get(joined) or before[joined]
        is_asked = row.state in WAITING and not row.not_for
        rows[joined] = row
        found[joined] = (found.get(joined) or row.summary).with_record(each.record)
        came[joined].append(each.record)
        items.append(
            (
                number, each.record.record_id, joined, event, row.round if is_asked else 0, tx.now,
                each.line, each.hash, each.origin.source, each.origin.location, each.digest,
            )
        )  # fmt: skip
    after = {
        case: row.with_summary(found[case], priority(found[case], row.opened_at, tx.settings))
        for case, row in rows.items()
    }
    save(tx.database, [(before.get(one), row) for one, row in after.items()])
    tx.database.insert("grouping_key", sorted(finder.new_keys, key=itemgetter(0)))
    return opened, items, [(row, came[one]) for one, row in sorted(after.items()) if one in before]
