"""The database of a review queue: what SQLite and PostgreSQL have in common.

Times in its tables are microseconds since 1970, UTC. Every row follows from the history, as
`hashmatch.review.audit` checks, except for those of what was handed over and of the outbox. Every
change is made with a `Transaction`.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hashmatch.errors import ReviewError
from hashmatch.review.settings import Settings
from hashmatch.review.text import micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    Row = tuple[Any, ...]

FORMAT = 3
"""Version of the tables; a queue says which it has."""


class Database(ABC):
    """One connection, used by one thread at a time: another one waits until a transaction is over.

    Placeholders are ``?``. Every failure is a ReviewError of one line that names `where`, the
    queue's file or URL as it may be shown.
    """

    BEGIN_READING: ClassVar[str]
    BEGIN_WRITING: ClassVar[str]

    def __init__(self, where: str) -> None:
        self.where = where
        self._connection: Any = None
        self._lock = threading.RLock()
        self._inside = False

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Make one transaction of what is done in it; writers of a queue take turns."""
        with self._transaction(self.BEGIN_WRITING):
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Let everything that is read in it be of one moment."""
        with self._transaction(self.BEGIN_READING):
            yield

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with self._lock, self._errors():
            if self._inside:
                yield
                return
            self._begin(begin)
            self._inside = True
            try:
                yield
                self._execute("COMMIT")
            except BaseException:
                if self._can_roll_back():
                    self._execute("ROLLBACK")
                raise
            finally:
                self._inside = False

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Return the rows that a statement finds."""
        with self._lock, self._errors():
            found: list[Row] = self._execute(sql, values).fetchall()
            return found

    def run(self, sql: str, values: Sequence[object] = ()) -> None:
        """Execute a statement."""
        with self._lock, self._errors():
            self._execute(sql, values)

    def run_all(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Execute a statement once for each row of values."""
        with self._lock, self._errors():
            self._connection.cursor().executemany(self._sql(sql), list(rows))

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

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
    def _errors(self) -> AbstractContextManager[None]:
        """Re-raise the driver's errors as ReviewError."""

    @abstractmethod
    def _can_roll_back(self) -> bool:
        """Return whether there is still a transaction to roll back."""

    def _begin(self, statement: str) -> None:
        self._execute(statement)

    def _sql(self, sql: str) -> Any:
        """Return a statement as the driver takes it."""
        return sql

    def _execute(self, sql: str, values: Sequence[object] = ()) -> Any:
        return self._connection.execute(self._sql(sql), values)

    def _check_format(self, version: int) -> None:
        if version != FORMAT:
            raise ReviewError(
                f"cannot open review queue {self.where}: it has format {version}, this version of "
                f"hashmatch reads {FORMAT}. Use the version that made it."
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
);
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
has expired, only the number, the record's id, the case, the batch and the digest are left."""


def statements(*, number: str, blob: str, keyed: str) -> list[str]:
    """Return the statements that make the tables.

    `number` is the type of a number that is a key, `blob` that of bytes, and `keyed` says that a
    table is nothing but its key, if the database can do that.
    """
    text = TABLES.format(number=number, blob=blob, keyed=keyed)
    return [part.strip() for part in text.split(";") if part.strip()]


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
        """Begin a transaction, or go on with the one that this thread is in."""
        with database.reading() if read_only else database.writing():
            ((name, settings),) = database.rows("SELECT name, settings FROM queue")
            yield cls(database, name, Settings.from_json(settings), micros(clock()))

    def case_id(self, number: int) -> str:
        """Return the id of the case with a number."""
        return f"{self.queue_name}-{number}"
