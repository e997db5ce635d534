"""The database of a review queue: what SQLite and PostgreSQL have in common.

Times in its tables are microseconds since 1970, UTC. Every row follows from the history, as
`hashmatch.review.audit` checks, except for those of what was handed over and of the outbox. Every
change is made with a `Transaction`.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hashmatch.errors import QueueUnavailable, ReviewError
from hashmatch.review.settings import Settings
from hashmatch.review.text import micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    Row = tuple[Any, ...]

FORMAT = 5
"""Version of the tables; a queue says which it has."""
INDEXED_KINDS = (
    "kind IN ('draft_chosen', 'draft_signed', 'draft_written', 'preservation_asked', "
    "'preservation_extended', 'preservation_refused', 'preservation_released', 'preserved', "
    "'request_added', 'request_answered')"
)
"""Which events have an index of their own: few among very many, and asked for by their kind. Both
databases use it for a query only if this stands in it word for word."""
EVENT_KIND = f"CREATE INDEX event_kind ON event (kind, number) WHERE {INDEXED_KINDS}"
UPGRADES = {
    3: (EVENT_KIND,),
    4: ("ALTER TABLE review_case ADD COLUMN chrome BIGINT NOT NULL DEFAULT 0",),
}
"""The statements that make the tables of the next format of those of an older one."""
PATIENCE = 60.0
"""Seconds that a call waits for others' transactions; the longest are of `add`, far below one."""
TURN_PATIENCE = 3
"""How many times as long a thread waits for its turn among those of its own process, while these
continue: each has the lock for milliseconds."""
SOON = 0.1
"""Seconds in which another transaction begins, if none but those of this process have the lock."""
MAX_READERS = 8
"""Transactions of one process that read at a time; PostgreSQL's servers have 100 connections."""


class Pool:
    """Connections that threads borrow, at most `most` at a time; one that is back is lent again."""

    def __init__(self, most: int) -> None:
        self._free = threading.BoundedSemaphore(most)
        self._idle: list[Any] = []
        self.is_closed = False
        self._begun = 0

    def wait(self, patience: float) -> bool:
        """Wait for one to be free, and return whether one is.

        A thread that has one may be waiting for another process itself: for longer than `patience`,
        there is use in waiting only while transactions begin.
        """
        begun = self._begun
        if self._free.acquire(timeout=patience):
            return True
        give_up = time.monotonic() + (TURN_PATIENCE - 1) * patience
        while self._begun > begun and time.monotonic() < give_up:
            begun = self._begun
            if self._free.acquire(timeout=SOON):
                return True
        return False

    def begun(self) -> None:
        """Note that a transaction has begun."""
        self._begun += 1

    def take(self) -> Any:
        """Return one that was used before, or None."""
        with suppress(IndexError):  # looking first would race with another thread
            return self._idle.pop()
        return None

    def keep(self, connection: Any) -> None:
        """Lend one that is connected already."""
        self._idle.append(connection)

    def give_back(self, connection: Any) -> None:
        """Let others have one; None stands for one that is of no more use."""
        if connection is not None:
            self.keep(connection)
        self._free.release()
        if self.is_closed:
            self.close()

    def close(self) -> None:
        """Close each one, as soon as nobody uses it."""
        self.is_closed = True
        while (connection := self.take()) is not None:
            connection.close()


class _Here(threading.local):
    """The transaction that a thread is in."""

    connection: Any = None
    has_lock = False


class Database(ABC):
    """Connections to one database: one that writes, and some that read and never wait for it.

    Each transaction has a connection of its own, which its thread uses within it.
    Placeholders are ``?``. Every failure is a QueueUnavailable of one line that names `where`, the
    queue's file or URL as it may be shown. A call waits for others for `patience` seconds, and for
    the answer of a server for `answer_timeout`, or for ever.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.patience = PATIENCE
        self.answer_timeout: float | None = None
        self._here = _Here()
        self._writers, self._readers = Pool(1), Pool(MAX_READERS)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Make one transaction of what is done in it; writers of a queue take turns."""
        with self._transaction(self._writers, read_only=False):
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Let everything that is read in it be of one moment."""
        with self._transaction(self._readers, read_only=True):
            yield

    @contextmanager
    def _transaction(self, pool: Pool, *, read_only: bool) -> Iterator[None]:
        here = self._here
        with self._errors():
            if here.connection is not None:
                yield
                return
            with self._begun(pool, read_only=read_only) as connection:
                here.connection, here.has_lock = connection, False
                try:
                    yield
                    self._execute("COMMIT")
                except BaseException:
                    if self._can_roll_back(connection):
                        self._execute("ROLLBACK")
                    raise
                finally:
                    here.connection = None

    @contextmanager
    def _begun(self, pool: Pool, *, read_only: bool) -> Iterator[Any]:
        """Lend a connection in which a transaction has begun."""
        until = time.monotonic() + self.patience
        if pool.is_closed:
            raise self._unavailable("it is closed")
        if not pool.wait(self.patience):
            raise self._unavailable("it is busy")
        connection = kept = pool.take()
        try:
            if kept is not None and self._is_gone(kept):
                kept.close()
                connection = kept = None
            if kept is None:
                connection = self._connect(read_only=read_only)
            try:
                self._begin(connection, until, read_only=read_only)
            except Exception:
                if kept is None or not self._is_gone(kept):
                    raise
                # The server was restarted while it lay idle: nothing was done with it yet.
                kept.close()
                connection = self._connect(read_only=read_only)
                self._begin(connection, until, read_only=read_only)
            pool.begun()
            yield connection
        finally:
            if connection is not None and self._is_gone(connection):
                connection.close()
                connection = None
            pool.give_back(connection)

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Return the rows that a statement finds."""
        with self.reading():
            found: list[Row] = self._execute(sql, values).fetchall()
            return found

    def queue_row(self) -> tuple[str, str]:
        """Return the queue's name, and its settings as they are stored."""
        rows = self.rows("SELECT name, settings FROM queue")
        if len(rows) != 1:
            raise QueueUnavailable(
                f"cannot open {self.where}: it was edited: it has {len(rows)} names"
            )
        ((name, settings),) = rows
        return name, settings

    def run(self, sql: str, values: Sequence[object] = ()) -> None:
        """Execute a statement, within a transaction that writes."""
        with self._errors():
            self._execute(sql, values)

    def run_all(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Execute a statement once for each row of values, within a transaction that writes."""
        with self._errors():
            self._here.connection.cursor().executemany(self._sql(sql), list(rows))

    def close(self) -> None:
        """Close every connection; one that is in use, when it is not any more."""
        self._readers.close()
        self._writers.close()

    @abstractmethod
    def make(self) -> bool:
        """Make the tables, within a transaction; return whether they were not there."""

    @abstractmethod
    def insert(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        """Insert whole rows into a table."""

    @abstractmethod
    def among(self, values: Sequence[int] | Sequence[str]) -> tuple[str, object]:
        """Return SQL that follows a column to say that it is one of `values`, and its value."""

    @abstractmethod
    def damage(self) -> str:
        """Return what is wrong with the tables themselves; empty if nothing is."""

    @abstractmethod
    def forget(self) -> None:
        """Leave nothing of deleted rows where that is the database's own doing."""

    @abstractmethod
    def _connect(self, *, read_only: bool) -> Any:
        """Return a new connection of the driver."""

    @abstractmethod
    def _begin(self, connection: Any, until: float, *, read_only: bool) -> None:
        """Begin a transaction; it waits for others until a time on the monotonic clock."""

    @abstractmethod
    def _errors(self) -> AbstractContextManager[None]:
        """Re-raise the driver's errors as QueueUnavailable."""

    @abstractmethod
    def _can_roll_back(self, connection: Any) -> bool:
        """Return whether there is still a transaction to roll back."""

    @abstractmethod
    def _is_gone(self, connection: Any) -> bool:
        """Return whether a connection is of no more use."""

    def _sql(self, sql: str) -> Any:
        """Return a statement as the driver takes it."""
        return sql

    def _execute(self, sql: str, values: Sequence[object] = ()) -> Any:
        return self._here.connection.execute(self._sql(sql), values)

    def _unavailable(self, reason: str) -> QueueUnavailable:
        return QueueUnavailable(f"cannot use review queue {self.where}: {reason}")

    @abstractmethod
    def set_format(self) -> None:
        """Note that the tables are those of `FORMAT`, within a transaction."""

    def _check_format(self, version: int) -> None:
        if version != FORMAT and version not in UPGRADES:
            raise ReviewError(
                f"cannot open review queue {self.where}: it has format {version}, this version of "
                f"hashmatch reads {min(UPGRADES)} to {FORMAT}. Use the version that made it."
            )


def is_url(where: str) -> bool:
    """Return whether a queue is on a PostgreSQL server, not in a file."""
    return where.startswith(("postgresql://", "postgres://"))


TABLES = """
CREATE TABLE queue (
    name TEXT NOT NULL PRIMARY KEY, format BIGINT NOT NULL, made_at BIGINT NOT NULL,
    settings TEXT NOT NULL
);
CREATE TABLE event (
    number {number} NOT NULL PRIMARY KEY, happened_at BIGINT NOT NULL, who TEXT NOT NULL,
    kind TEXT NOT NULL, case_number BIGINT, body TEXT NOT NULL, digest TEXT NOT NULL
);
CREATE INDEX event_who ON event (who, number);
CREATE INDEX event_case ON event (case_number, number);
CREATE TABLE review_case (
    number {number} NOT NULL PRIMARY KEY, opened_at BIGINT NOT NULL, asked_at BIGINT NOT NULL,
    first_item BIGINT NOT NULL, state TEXT NOT NULL,
    round BIGINT NOT NULL, not_for TEXT NOT NULL, priority BIGINT NOT NULL, items BIGINT NOT NULL,
    distance BIGINT NOT NULL, max_distance BIGINT NOT NULL, algorithm TEXT NOT NULL,
    list_name TEXT NOT NULL, quality BIGINT, labels TEXT NOT NULL, surfaces TEXT NOT NULL,
    hash_algorithm TEXT NOT NULL, hash {blob}, lease_reviewer TEXT, lease_until BIGINT,
    decided_at BIGINT, decided_event BIGINT, final_at BIGINT, covered TEXT NOT NULL,
    hold TEXT NOT NULL, hold_at BIGINT
, chrome BIGINT NOT NULL DEFAULT 0);
CREATE INDEX case_state ON review_case (state, number) WHERE items > 0;
CREATE INDEX case_lease ON review_case (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX case_held ON review_case (lease_reviewer, number) WHERE lease_reviewer IS NOT NULL;
CREATE INDEX case_confirmed ON review_case (decided_event) WHERE state = 'confirmed';
CREATE TABLE item (
    number {number} NOT NULL PRIMARY KEY, record_id TEXT NOT NULL, case_number BIGINT NOT NULL,
    batch BIGINT NOT NULL, round BIGINT NOT NULL, added_at BIGINT NOT NULL, line {blob},
    hash {blob}, source TEXT, location TEXT, digest {blob} NOT NULL
);
CREATE INDEX item_record ON item (record_id);
CREATE INDEX item_case ON item (case_number, number);
CREATE INDEX item_inherited ON item (case_number) WHERE round = 0 AND line IS NOT NULL;
CREATE TABLE decision (
    number {number} NOT NULL PRIMARY KEY, case_number BIGINT NOT NULL, verdict TEXT NOT NULL,
    reviewer TEXT NOT NULL, decided_at BIGINT NOT NULL, final_at BIGINT NOT NULL,
    reason TEXT NOT NULL,
    record_ids TEXT NOT NULL, reviewed_digest TEXT NOT NULL, labels TEXT NOT NULL,
    needed BIGINT NOT NULL, round BIGINT NOT NULL, supersedes BIGINT, undone_at BIGINT
);
CREATE INDEX decision_case ON decision (case_number, number);
CREATE INDEX decision_final ON decision (final_at);
CREATE TABLE handed_over (decision BIGINT NOT NULL PRIMARY KEY, handed_at BIGINT NOT NULL);
CREATE TABLE reviewer (
    name TEXT NOT NULL PRIMARY KEY, token TEXT NOT NULL, added_at BIGINT NOT NULL
);
CREATE TABLE waiting (
    label TEXT NOT NULL, surface TEXT NOT NULL, not_for TEXT NOT NULL, later BIGINT NOT NULL,
    case_number BIGINT NOT NULL, PRIMARY KEY (label, surface, not_for, later, case_number)
){keyed};
CREATE TABLE grouping_key (
    value BIGINT NOT NULL, case_number BIGINT NOT NULL, PRIMARY KEY (value, case_number)
){keyed};
CREATE TABLE outbox_endpoint (
    name TEXT NOT NULL PRIMARY KEY, listed BIGINT NOT NULL, sent BIGINT NOT NULL
);
CREATE TABLE outbox_message (
    endpoint TEXT NOT NULL, event BIGINT NOT NULL, case_number BIGINT NOT NULL,
    state TEXT NOT NULL, tries BIGINT NOT NULL, first_at BIGINT, next_at BIGINT NOT NULL,
    problem TEXT NOT NULL, PRIMARY KEY (endpoint, event)
);
CREATE INDEX outbox_case ON outbox_message (endpoint, case_number, event);
"""
"""Case, item and event are numbered from 1. A decision has the number of its event. Of an item that
has expired, only the number, the record's id, the case, the batch and the digest are left. A column
that `UPGRADES` adds stands as SQLite writes it, so that tables old and new are the same text."""


def statements(*, number: str, blob: str, keyed: str) -> list[str]:
    """Return the statements that make the tables.

    `number` is the type of a number that is a key, `blob` that of bytes, and `keyed` says that a
    table is nothing but its key, if the database can do that.
    """
    text = TABLES.format(number=number, blob=blob, keyed=keyed)
    return [*(part.strip() for part in text.split(";") if part.strip()), EVENT_KIND]


@dataclass(frozen=True, slots=True)
class Transaction:
    """The state that all statements of one transaction share; `now` is microseconds since 1970."""

    database: Database
    queue_name: str
    settings: Settings
    now: int

    @classmethod
    @contextmanager
    def begin(
        cls, database: Database, clock: Callable[[], datetime], *, read_only: bool = False
    ) -> Iterator[Transaction]:
        """Begin a transaction, or continue the one that this thread is in."""
        with database.reading() if read_only else database.writing():
            name, settings = database.queue_row()
            yield cls(database, name, Settings.from_json(settings), micros(clock()))

    def case_id(self, number: int) -> str:
        """Return the id of the case with a number."""
        return f"{self.queue_name}-{number}"
