"""A review queue in one file: SQLite, on the disk when a call returns."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from hashmatch._files.private import check_private
from hashmatch.errors import ReviewError
from hashmatch.review.database import FORMAT, Database, statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

APPLICATION_ID = 0x484D5251
"""What the file says it is (PRAGMA application_id): "HMRQ"."""
BUSY_PAUSE = 0.005
"""Seconds between two looks whether another process still writes. SQLite's own pauses grow to a
tenth of a second, in which one that writes all the time is never found at rest."""
CHECKPOINT_PAGES = 16384
"""Pages in the write-ahead log, 64 MiB, before they are put in their places: a batch of records
changes many, and the next one many of the same."""
CACHE_KIB = 256 * 1024
"""Pages kept in memory: a queue of a million cases looks at random places of its indexes."""
READER_CACHE_KIB = 16 * 1024
NOT_OURS = "it is no review queue of hashmatch"
MAKE_IT = "Run hashmatch review init {} first"


class SqliteDatabase(Database):
    """See `hashmatch.review.database.Database`."""

    @classmethod
    def open(cls, path: str, *, create: bool) -> tuple[SqliteDatabase, bool]:
        """Return the queue in a file, and whether its tables are still to be made."""
        opened = cls(path)
        with opened._errors():
            if os.path.isdir(path):
                raise opened._refused("it is a folder", "Give a file, or postgresql://USER@HOST/DB")
            if create:
                with suppress(FileExistsError):
                    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            elif not os.path.lexists(path):
                raise opened._refused("there is no review queue", MAKE_IT)
            connection = opened._connect(read_only=False)
            opened._writers.keep(connection)
            try:
                return opened, opened._prepare(connection, create)
            except BaseException:
                opened.close()
                raise

    def _connect(self, *, read_only: bool) -> sqlite3.Connection:
        # Opened here first: OSError says more than SQLite would.
        descriptor = os.open(self.where, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise self._refused("it is no file", "Give a file")
        finally:
            os.close(descriptor)
        connection = sqlite3.connect(
            self.where, isolation_level=None, timeout=self.patience, check_same_thread=False
        )
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA synchronous = FULL")  # NORMAL loses the last in a power cut
        connection.execute("PRAGMA secure_delete = ON")  # what has expired is written over
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {CHECKPOINT_PAGES * 4096}")
        connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB if read_only else CACHE_KIB}")
        connection.execute(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
        return connection

    def _prepare(self, connection: sqlite3.Connection, create: bool) -> bool:
        run = connection.execute
        (application,) = run("PRAGMA application_id").fetchone()
        (version,) = run("PRAGMA user_version").fetchone()
        (tables,) = run("SELECT count(*) FROM sqlite_schema").fetchone()
        if application != APPLICATION_ID and (application or tables):
            raise self._refused(NOT_OURS)
        if application:
            self._check_format(version)
        elif not create:
            raise self._refused("it is empty", MAKE_IT)
        check_private(self.where, allow_readable=False, follow=True, error=ReviewError)
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA busy_timeout = 0")  # `_begin` waits by itself
        return not application

    def make(self) -> bool:
        """Make the tables, within a transaction; return whether they were not there."""
        if self.rows("PRAGMA application_id") == [(APPLICATION_ID,)]:
            return False  # another process was sooner
        for statement in self._statements():
            self.run(statement)
        self.run(f"PRAGMA application_id = {APPLICATION_ID}")
        self.run(f"PRAGMA user_version = {FORMAT}")
        return True

    @staticmethod
    def _statements() -> list[str]:
        return statements(number="INTEGER", blob="BLOB", keyed=" WITHOUT ROWID")

    def insert(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        """Insert whole rows into a table."""
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self.run_all(f"INSERT INTO {table} VALUES ({marks})", rows)

    def among(self, values: Sequence[int] | Sequence[str]) -> tuple[str, object]:
        """Return SQL that follows a column to say that it is one of `values`, and its value."""
        return "IN (SELECT value FROM json_each(?))", msgspec.json.encode(values).decode()

    def damage(self) -> str:
        """Return what is wrong with the tables themselves: others than were made, or triggers."""
        found = self.rows("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")
        if sorted(sql for (sql,) in found) != sorted(self._statements()):
            return "its tables are not those that hashmatch made"
        (answer,) = self.rows("PRAGMA quick_check(1)")
        return "" if answer == ("ok",) else "the file is damaged"

    def forget(self) -> None:
        """Empty the log of changes, if nobody is reading from it: it has what was deleted."""
        if self._writers.is_closed:
            raise self._unavailable("it is closed")
        if not self._writers.wait(time.monotonic() + self.patience):
            raise self._unavailable("it is busy")
        connection = self._writers.take()
        try:
            with self._errors():
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._writers.give_back(connection)

    def _begin(self, connection: sqlite3.Connection, until: float, *, read_only: bool) -> None:
        if read_only:
            connection.execute("BEGIN")
            return
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
            else:
                return
            time.sleep(BUSY_PAUSE)

    def _can_roll_back(self, connection: sqlite3.Connection) -> bool:
        return connection.in_transaction

    def _is_gone(self, connection: sqlite3.Connection) -> bool:
        return False

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._refused(str(error.strerror)) from None
        except sqlite3.Error as error:
            if str(error) == "file is not a database":
                raise self._refused(NOT_OURS) from None
            raise self._unavailable(str(error)) from None

    def _refused(self, reason: str, advice: str = "") -> ReviewError:
        advice = advice and f". {advice.format(self.where)}."
        return ReviewError(f"cannot open review queue {self.where}: {reason}{advice}")
