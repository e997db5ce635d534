"""The history of a review queue: a hash-chained log of events that are only ever appended.

The digest of an event is the SHA-256 of the digest before it and of what it says, so that no event
can be changed, left out or put in without changing every later digest. Anyone who keeps the last
one elsewhere, as a `Head`, also notices that the end was cut off, or that all of it was written
anew. A head tells nothing: nobody can try guesses against it without the random name of the queue,
the random tokens of its reviewers and every time to the microsecond.

=====================  ===========================================================================
kind                   what happened
=====================  ===========================================================================
made                   the queue was; its name and settings
upgraded               its tables became those of a newer version of hashmatch
added                  records came; how many, and the digest of all that is kept of them
taken                  a case was handed to a reviewer, until a time
renewed                and is held for longer
given_back             its reviewer gave it back
lapsed                 its reviewer did not come back in time
decided                a reviewer decided about some records
undone                 and took that back
asked_again            a case that was decided waits for a person again; by ``hashmatch`` if a
                       record joined it that says what nobody has decided
held, released         a case is kept whatever its age, or no longer
purged                 records that had expired were removed
settings               the queue works in another way now
reviewer_added         somebody may review, with a token of which this keeps a digest
reviewer_removed       and may no longer
benign_accepted        a second person agreed that a picture is harmless
benign_refused         or did not
disabled               an entry of a list is not to be matched any more
enabled                or is to be again
logged_in              a reviewer logged in to the page
login_failed           somebody could not: how often since the last such event, and with which name,
                       if it is a reviewer's; by ``hashmatch``, since a name that was tried proves
                       nothing
uncovered              a reviewer uncovered the picture of a record, and how far
exif_viewed            a reviewer was shown the EXIF data of the file of a record
message_queued         a decision was put into the outbox of an endpoint, to be sent if it still
                       stands
draft_chosen           somebody chose what a draft of a report says of a case or a record, as its
                       classification
draft_written          a draft was written to a folder, with the digest of its manifest
draft_signed           somebody signed off that draft
preserved              a case was reported, with the number of the report; it is kept until a time
preservation_asked     somebody asked that it is kept for longer, or no longer
preservation_extended  a second person agreed that it is kept for longer
preservation_released  or no longer
preservation_refused   or did not agree
request_added          a lawful request came: who asks, and for which cases
request_answered       it was answered; with the digest of what was given, and to whom
=====================  ===========================================================================
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from hashmatch.errors import UsageError
from hashmatch.review.database import INDEXED_KINDS
from hashmatch.review.results import Event
from hashmatch.review.text import moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.review.database import Database, Row, Transaction

FEEDBACK = frozenset({"benign_accepted", "benign_refused", "disabled", "enabled"})
"""Kinds that `hashmatch.review.feedback` reads."""
ACCESS = frozenset({"logged_in", "login_failed", "uncovered", "exif_viewed"})
"""Kinds that `hashmatch.review.access` writes."""
DRAFTS = frozenset({"draft_chosen", "draft_written", "draft_signed"})
"""Kinds that `hashmatch.review.drafts` reads."""
PRESERVATION = frozenset(
    {
        "preserved", "preservation_asked", "preservation_extended", "preservation_released",
        "preservation_refused",
    }
)  # fmt: skip
"""Kinds that `hashmatch.review.holds` reads."""
REQUESTS = frozenset({"request_added", "request_answered"})
"""Kinds that `hashmatch.review.lawful_requests` reads."""
WITHOUT_TABLE = FEEDBACK | ACCESS | DRAFTS | PRESERVATION | REQUESTS | {"message_queued"}
"""Kinds that no table depends on."""
KINDS = (
    "made", "upgraded", "added", "taken", "renewed", "given_back", "lapsed", "decided", "undone",
    "asked_again", "held", "released", "purged", "settings", "reviewer_added", "reviewer_removed",
    "benign_accepted", "benign_refused", "disabled", "enabled", "logged_in", "login_failed",
    "uncovered", "exif_viewed", "message_queued", "draft_chosen", "draft_written", "draft_signed",
    "preserved", "preservation_asked", "preservation_extended", "preservation_released",
    "preservation_refused", "request_added", "request_answered",
)  # fmt: skip
FIRST = "0" * 64
"""The digest before the first event."""
EVENTS_PER_QUERY = 1000
COLUMNS = "number, happened_at, who, kind, case_number, body, digest"


class Head(NamedTuple):
    """An event and its digest: kept elsewhere, it witnesses that event and all before it.

    `event` is 0 where only the digest is known.

    Examples
    --------
    >>> str(Head(17, "5d" * 32))[:9]
    '17:5d5d5d'
    """

    event: int
    digest: str

    def __str__(self) -> str:
        return f"{self.event}:{self.digest}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Return a head as `str` writes it, or a digest alone; UsageError if it is neither."""
        found = _HEAD.fullmatch(text.strip())
        if found is None:
            raise UsageError(
                f"cannot use {text[:100]!r} as a head of the history: it is neither NUMBER:DIGEST "
                "nor a digest of 64 hexadecimal digits. Give what review verify printed."
            )
        return cls(int(found[1] or 0), found[2])

    @classmethod
    def find_all(cls, text: str) -> list[Head]:
        """Return every ``NUMBER:DIGEST`` within a text, as in messages of a webhook or a log."""
        return [cls(int(number), digest) for number, digest in _HEAD_WITHIN.findall(text)]


_HEAD = re.compile("(?:([0-9]{1,18}):)?([0-9a-f]{64})")
_HEAD_WITHIN = re.compile(r"\b([0-9]{1,18}):([0-9a-f]{64})\b")


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


def indexed(tx: Transaction, kinds: frozenset[str], case: int | None = None) -> Iterator[Event]:
    """Yield the events of some kinds, or those of them about one case, oldest first.

    The kinds are of those that the index ``event_kind`` is made for, so that what is asked for is
    found among millions of others.
    """
    about, values = ("", ()) if case is None else (" AND case_number = ?", (case,))
    for row in tx.database.rows(
        f"SELECT {COLUMNS} FROM event WHERE {INDEXED_KINDS}{about} ORDER BY number", values
    ):
        if row[3] in kinds:
            yield _event(tx.queue_name, row, "")


def events(database: Database, name: str, case: int | None = None) -> Iterator[Event]:
    """Yield the history of the queue `name`, or what of it is about one case and its records.

    The database is asked for some at a time, so that no writer waits for a reader.
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
