"""The history of a review queue: a hash-chained log of events that are only ever appended.

The digest of an event is the SHA-256 of the digest before it and of what it says, so that no event
can be changed, left out or put in without changing every later digest. Whoever keeps the last one
elsewhere also notices that the end was cut off, or that all of it was written anew.

===============  =================================================================================
kind             what happened
===============  =================================================================================
made             the queue was; its name and settings
added            records came; how many, and the digest of all that is kept of them
taken            a case was handed to a reviewer, until a time
renewed          and is held for longer
given_back       its reviewer gave it back
lapsed           its reviewer did not come back in time
decided          a reviewer decided about some records
undone           and took that back
asked_again      a case that was decided waits for a person again; by ``hashmatch`` if a record
                 joined it that says what nobody has decided
held, released   a case is kept whatever its age, or no longer
purged           records that had expired were removed
settings         the queue works in another way now
reviewer_added   somebody may review, with a token of which this keeps a digest
reviewer_removed and may no longer
benign_accepted  a second person agreed that a picture is harmless
benign_refused   or did not
disabled         an entry of a list is not to be matched any more
enabled          or is to be again
===============  =================================================================================
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from hashmatch.review.results import Event
from hashmatch.review.text import moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.review.database import Database, Row, Transaction

FEEDBACK = frozenset({"benign_accepted", "benign_refused", "disabled", "enabled"})
"""Kinds that no table depends on; `hashmatch.review.feedback` reads them."""
FIRST = "0" * 64
"""The digest before the first event."""
EVENTS_PER_QUERY = 1000
COLUMNS = "number, happened_at, who, kind, case_number, body, digest"


def digest_of(
    previous: str, number: int, at: int, who: str, kind: str, case: int | None, body: str
) -> str:
    """Return the digest of an event."""
    content = msgspec.json.encode([previous, number, at, who, kind, case, body])
    return hashlib.sha256(content).hexdigest()


def last(database: Database) -> tuple[int, str, int]:
    """Return the number, the digest and the time of the last event."""
    rows = database.rows(
        "SELECT number, digest, happened_at FROM event ORDER BY number DESC LIMIT 1"
    )
    return rows[0] if rows else (0, FIRST, 0)


def append(tx: Transaction, who: str, kind: str, case: int | None = None, **body: Any) -> int:
    """Add an event, and return its number."""
    number, previous, _ = last(tx.database)
    text = msgspec.json.encode(body, order="sorted").decode()
    digest = digest_of(previous, number + 1, tx.now, who, kind, case, text)
    tx.database.run(
        f"INSERT INTO event ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (number + 1, tx.now, who, kind, case, text, digest),
    )
    return number + 1


def load_event(tx: Transaction, number: int) -> Event:
    """Return the event with a number."""
    rows = tx.database.rows(
        f"SELECT {COLUMNS} FROM event WHERE number IN (?, ?) ORDER BY number",
        (number - 1, number),
    )
    return _event(tx.queue_name, rows[-1], rows[0][-1] if len(rows) > 1 else FIRST)


def events(database: Database, name: str, case: int | None = None) -> Iterator[Event]:
    """Yield the history of the queue `name`, or what of it is about one case and its records.

    The database is asked for some at a time, so that nobody waits for whoever reads.
    """
    batches = ""
    if case is not None:
        batches = (
            " AND (case_number = ? OR number IN (SELECT batch FROM item WHERE case_number = ?))"
        )
    after, previous = 0, FIRST
    while True:
        rows = database.rows(
            f"SELECT {COLUMNS} FROM event WHERE number > ?{batches} "
            f"ORDER BY number LIMIT {EVENTS_PER_QUERY}",
            (after, case, case) if case is not None else (after,),
        )
        for row in rows:
            if row[0] != after + 1 and row[0] > 1:
                ((previous,),) = database.rows(
                    "SELECT digest FROM event WHERE number = ?", (row[0] - 1,)
                )
            yield _event(name, row, previous)
            after, previous = row[0], row[-1]
        if len(rows) < EVENTS_PER_QUERY:
            return


def _event(name: str, row: Row, previous: str) -> Event:
    number, at, who, kind, case, text, digest = row
    case_id = None if case is None else f"{name}-{case}"
    return Event(
        number, moment(at), who, kind, case_id, msgspec.json.decode(text), previous, digest
    )
