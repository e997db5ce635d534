"""A review queue in one file: SQLite, on the disk when a call returns."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from hashmatch.errors import ReviewError
from hashmatch.review.database import FORMAT
from hashmatch.review.schema import statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hashmatch.review.database import Database, Row

APPLICATION = 0x484D5251
"""What the file says it is (PRAGMA application_id): "HMRQ"."""
PATIENCE = 60.0
"""Seconds that a call waits for others' transactions; the longest are of `add`, far below one."""
LOG = 16384
"""Pages of changes, 64 MiB, before they are put in their places: a batch of records changes many,
and the next one many of the same."""
CACHE = 256 * 1024
"""KiB of pages kept in memory: a queue of a million cases looks at random places of its indexes."""


class SqliteDatabase:
    """See `hashmatch.review.database.Database`."""

    def __init__(self, where: str, connection: sqlite3.Connection) -> None:
        self.where = where
        self._connection = connection
        self._lock = threading.RLock()
        self._inside = False

    @classmethod
    def open(cls, where: str, *, create: bool) -> tuple[Database, bool]:
        """Return the queue in the file `where`, and whether it was just made."""
        if os.path.isdir(where):
            raise ReviewError(f"{where} is a folder; a review queue is a file, or postgresql://...")
        if create:
            with _told(where), suppress(FileExistsError):
                os.close(os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        elif not os.path.lexists(where):
            raise ReviewError(
                f"{where}: there is no review queue; make one with hashmatch review init {where}"
            )
        with _told(where):
            _openable(where)
            connection = sqlite3.connect(
                where, isolation_level=None, timeout=PATIENCE, check_same_thread=False
            )
        opened = cls(where, connection)
        try:
            with _told(where):
                return opened, opened._prepare(create)
        except BaseException:
            connection.close()
            raise

    def _prepare(self, create: bool) -> bool:
        run = self._connection.execute
        (application,) = run("PRAGMA application_id").fetchone()
        (version,) = run("PRAGMA user_version").fetchone()
        (tables,) = run("SELECT count(*) FROM sqlite_schema").fetchone()
        if application != APPLICATION and (application or tables):
            raise ReviewError(f"{self.where} is no review queue of hashmatch")
        if version > FORMAT:
            raise ReviewError(
                f"{self.where} is of format {version}, and hashmatch here knows {FORMAT}; use the "
                "version that made it"
            )
        if not application and not create:
            raise ReviewError(
                f"{self.where} is empty; make a queue of it with hashmatch review init"
            )
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")  # survives a power cut; NORMAL loses the last decisions
        run(f"PRAGMA wal_autocheckpoint = {LOG}")
        run(f"PRAGMA journal_size_limit = {LOG * 4096}")
        run("PRAGMA trusted_schema = OFF")
        run("PRAGMA secure_delete = ON")  # what has expired is written over
        run(f"PRAGMA cache_size = -{CACHE}")
        return not application

    def make(self) -> bool:
        """Make the tables, within a transaction; return whether they were not there."""
        if self.rows("PRAGMA application_id") == [(APPLICATION,)]:
            return False  # another process was sooner
        for statement in self._statements():
            self._connection.execute(statement)
        self._connection.execute(f"PRAGMA application_id = {APPLICATION}")
        self._connection.execute(f"PRAGMA user_version = {FORMAT}")
        return True

    @staticmethod
    def _statements() -> list[str]:
        return statements(number="INTEGER", blob="BLOB", keyed=" WITHOUT ROWID")

    def damage(self) -> str:
        """Return what is wrong with the tables themselves: others than were made, or triggers."""
        found = self.rows("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")
        if sorted(sql for (sql,) in found) != sorted(self._statements()):
            return "its tables are not those that hashmatch made"
        (answer,) = self.rows("PRAGMA quick_check(1)")
        return "" if answer == ("ok",) else "the file is damaged"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Make one transaction of what is done in it."""
        with self._transaction("BEGIN IMMEDIATE"):
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Let all that is read in it be of one moment."""
        with self._transaction("BEGIN"):
            yield

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with self._lock, _told(self.where):
            if self._inside:
                yield
                return
            self._connection.execute(begin)
            self._inside = True
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._inside = False

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Return what a statement finds."""
        with self._lock, _told(self.where):
            return self._connection.execute(sql, values).fetchall()

    def run(self, sql: str, values: Sequence[object] = ()) -> None:
        """Do what a statement says."""
        with self._lock, _told(self.where):
            self._connection.execute(sql, values)

    def run_all(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Do it for each of some rows."""
        with self._lock, _told(self.where):
            self._connection.executemany(sql, rows)

    def insert(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        """Put whole rows into a table."""
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self.run_all(f"INSERT INTO {table} VALUES ({marks})", rows)

    def among(self, values: Sequence[int] | Sequence[str]) -> tuple[str, object]:
        """Return what follows a column's name to say that it is one of `values`, and its value."""
        return "IN (SELECT value FROM json_each(?))", msgspec.json.encode(values).decode()

    def forget(self) -> None:
        """Empty the log of changes, if nobody is reading from it: it has what was deleted."""
        self.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def _openable(where: str) -> None:
    """Raise OSError, which says more than SQLite would, unless this is a file to write to."""
    descriptor = os.open(where, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ReviewError(f"{where} is no file, and a review queue is one")
    finally:
        os.close(descriptor)


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn what the system or SQLite says into one line."""
    try:
        yield
    except OSError as error:
        raise ReviewError(f"{where}: cannot be opened: {error.strerror}") from None
    except sqlite3.DatabaseError as error:
        reason = str(error)
        if reason == "file is not a database":
            raise ReviewError(f"{where} is no review queue of hashmatch") from None
        raise ReviewError(f"{where}: {reason}") from None
    except sqlite3.Error as error:
        raise ReviewError(f"{where}: {error}") from None
