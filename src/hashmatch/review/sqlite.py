"""A review queue in one file: SQLite, on the disk when a call returns."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

import msgspec

from hashmatch._files.private import check_found, check_private
from hashmatch.errors import QueueUnavailable, ReviewError
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
PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL}
"""Failures after which a connection is as good as before."""
NOT_OURS = "it is no review queue of hashmatch"
MAKE_IT = "Run hashmatch review init {} first"


class _Connection(sqlite3.Connection):
    """A connection, the file that it is to, and how many failures there had been before it."""

    file: tuple[int, int]
    failures: int


class SqliteDatabase(Database):
    """See `hashmatch.review.database.Database`.

    A connection is good for the file that lies at the path now: what is written to one that was
    removed or replaced is lost. After a failure, as of the disk, each is made anew.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        # Connections are made later too, when the process may be in another folder.
        self._path = os.path.abspath(path)
        self._failures = 0
        self._is_opened = self._may_be_empty = False

    @classmethod
    def open(cls, path: str, *, create: bool) -> tuple[SqliteDatabase, bool]:
        """Return the queue in a file, and whether its tables are still to be made."""
        opened = cls(path)
        opened._may_be_empty = create
        with opened._errors():
            if os.path.isdir(path):
                raise opened._refused("it is a folder", "Give a file, or postgresql://USER@HOST/DB")
            opened._check_folder()
            if create:
                with suppress(FileExistsError):
                    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            elif not os.path.lexists(path):
                raise opened._refused("there is no review queue", MAKE_IT)
            connection = opened._connect(read_only=False)
            opened._writers.keep(connection)
            opened._is_opened = True
            return opened, connection.execute("PRAGMA application_id").fetchone() == (0,)

    def _check_folder(self) -> None:
        """Refuse a folder in which others can replace the queue, or put a log beside it.

        What SQLite finds in a log beside a database it writes into that.
        """
        real = os.path.realpath(self.where)
        for folder in {os.path.dirname(os.path.abspath(self.where)), os.path.dirname(real)}:
            try:
                check_found(folder, os.stat(folder), public=True, error=ReviewError)
            except ReviewError as error:
                remedy = "or put the queue into a folder of your own"
                raise ReviewError(f"{error}, {remedy}.") from None
        for beside in (f"{real}-wal", f"{real}-shm", f"{real}-journal"):
            if os.path.lexists(beside):
                check_private(beside, allow_readable=False, error=ReviewError)

    def _connect(self, *, read_only: bool) -> _Connection:
        file = self._file()
        url = "file:///" + quote_from_bytes(os.fsencode(self._path)).lstrip("/")
        connection = sqlite3.connect(
            f"{url}?mode=rw",  # one that is not there is not made
            uri=True,
            isolation_level=None,
            timeout=self.patience,
            check_same_thread=False,
            factory=_Connection,
        )
        connection.file, connection.failures = file, self._failures
        try:
            self._prepare(connection, read_only)
        except BaseException as error:
            connection.close()
            if isinstance(error, ReviewError):
                raise self._kind(str(error)) from None
            raise
        return connection

    def _file(self) -> tuple[int, int]:
        """Return which file lies at the path, as a number of its own.

        It is looked at and never opened: closing a descriptor releases the locks that all
        connections of this process have on the file (fcntl(2)), and other processes then delete the
        log in use. Source: https://www.sqlite.org/howtocorrupt.html, 2.2.
        """
        found = os.stat(self._path)
        if not stat.S_ISREG(found.st_mode):
            raise self._refused("it is no file", "Give a file")
        if not os.access(self._path, os.R_OK | os.W_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return found.st_dev, found.st_ino

    def _prepare(self, connection: sqlite3.Connection, read_only: bool) -> None:
        """Refuse what is no queue of ours; set what a connection needs."""
        run = connection.execute
        run("PRAGMA trusted_schema = OFF")
        run("PRAGMA synchronous = FULL")  # NORMAL loses the last in a power cut
        run("PRAGMA secure_delete = ON")  # what has expired is written over
        run(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        run(f"PRAGMA journal_size_limit = {CHECKPOINT_PAGES * 4096}")
        run(f"PRAGMA cache_size = -{READER_CACHE_KIB if read_only else CACHE_KIB}")
        (application,) = run("PRAGMA application_id").fetchone()
        (version,) = run("PRAGMA user_version").fetchone()
        (tables,) = run("SELECT count(*) FROM sqlite_schema").fetchone()
        if application != APPLICATION_ID and (application or tables):
            raise self._refused(NOT_OURS)
        if application:
            self._check_format(version)
        elif not self._may_be_empty:
            raise self._refused("it is empty", MAKE_IT)
        check_private(self._path, allow_readable=False, follow=True, error=ReviewError)
        if read_only:
            run("PRAGMA query_only = ON")
        else:
            run("PRAGMA journal_mode = WAL")  # in a copy of the file it may be another
            run("PRAGMA busy_timeout = 0")  # `_begin` waits by itself

    def make(self) -> bool:
        """Make the tables, within a transaction; return whether they were not there."""
        self._may_be_empty = False
        if self.rows("PRAGMA application_id") == [(APPLICATION_ID,)]:
            return False  # another process was sooner
        for statement in self._statements():
            self.run(statement)
        self.run(f"PRAGMA application_id = {APPLICATION_ID}")
        self.set_format()
        return True

    def set_format(self) -> None:
        """Note that the tables are those of `FORMAT`, within a transaction."""
        self.run(f"PRAGMA user_version = {FORMAT}")

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
        if not self._writers.wait(self.patience):
            raise self._unavailable("it is busy")
        connection = self._writers.take()
        try:
            with self._errors():
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._writers.give_back(connection)

    def _begin(self, connection: sqlite3.Connection, until: float, *, read_only: bool) -> None:
        if read_only:
            wait = max(0, round(1000 * (until - time.monotonic())))
            connection.execute(f"PRAGMA busy_timeout = {wait}")
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

    def _is_gone(self, connection: _Connection) -> bool:
        try:
            return connection.failures < self._failures or connection.file != self._file()
        except (OSError, ReviewError):
            return True

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._refused(str(error.strerror)) from None
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in PASSING:
                self._failures += 1
            if str(error) == "file is not a database":
                raise self._refused(NOT_OURS) from None
            raise self._unavailable(str(error)) from None

    def _refused(self, reason: str, advice: str = "") -> ReviewError:
        advice = advice and f". {advice.format(self.where)}."
        return self._kind(f"cannot open review queue {self.where}: {reason}{advice}")

    @property
    def _kind(self) -> type[ReviewError]:
        """What a file is refused with: once it was opened, it may be another for a while only."""
        return QueueUnavailable if self._is_opened else ReviewError
