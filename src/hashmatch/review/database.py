"""The database of a review queue: what SQLite and PostgreSQL have in common."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from hashmatch.errors import ReviewError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    Row = tuple[Any, ...]

FORMAT = 2
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
