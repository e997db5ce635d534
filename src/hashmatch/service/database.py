"""Opens the SQLite files of the service: private, durable, and of a format that is known."""

from __future__ import annotations

import os
import queue
import re
import sqlite3
import threading
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from hashmatch._files.private import check_private
from hashmatch.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    _Change = tuple[Callable[[sqlite3.Connection], Any], Future[Any]]

T = TypeVar("T")

FORMAT = 1
BATCH = 1000
"""Changes that are committed together at most."""


def connect(path: str, schema: str, patience: float) -> sqlite3.Connection:
    """Return a connection to a database, which is made, for its owner only, if it is not there.

    Parameters
    ----------
    path : str
        Its file.
    schema : str
        SQL that fills a new one.
    patience : float
        Seconds that a writer waits for another.

    Raises
    ------
    StoreError
        If it cannot be opened, others can read it, or a later version has made it.
    """
    if not os.path.lexists(path):
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            pass  # somebody else has made it meanwhile
        except OSError as error:
            raise StoreError(
                f"cannot make {path}: {error.strerror}. Give a file in a folder that can be "
                "written to."
            ) from None
    check_private(path)
    try:
        database = sqlite3.connect(
            path, timeout=patience, isolation_level=None, check_same_thread=False
        )
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        if _version(database) == 0:
            database.execute("BEGIN IMMEDIATE")
            if _version(database) == 0 and not _tables(
                database
            ):  # nobody else has made it meanwhile
                for statement in filter(str.strip, schema.split(";")):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {FORMAT}")
            database.execute("COMMIT")
        version = _version(database)
        tables = _tables(database)
    except sqlite3.Error as error:
        raise cannot(path, error) from None
    if version > FORMAT:
        raise StoreError(f"cannot open {path}: a later version made it. Update hashmatch.")
    if tables != set(re.findall(r"CREATE TABLE (\w+)", schema)):
        raise StoreError(f"cannot use {path}: it is a database of something else. Give another.")
    return database


class Writer:
    """Changes a database in a thread of its own; what gathers during a commit is in the next one.

    Parameters
    ----------
    path, schema, patience
        As of `connect`.
    """

    def __init__(self, path: str, schema: str, patience: float) -> None:
        self._path = path
        self._database = connect(path, schema, patience)
        self._todo: queue.SimpleQueue[_Change | None] = queue.SimpleQueue()
        name = f"hashmatch-{os.path.basename(path)}"
        self._thread = threading.Thread(target=self._write, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Have a change made; the result is there once it is on the disk, or StoreError."""
        future: Future[T] = Future()
        self._todo.put((work, future))
        return future

    def close(self) -> None:
        """Make all changes, and end."""
        self._todo.put(None)
        self._thread.join()
        self._database.close()

    def _write(self) -> None:
        while True:
            first = self._todo.get()
            if first is None:
                return
            batch, is_last = [first], False
            with suppress(queue.Empty):
                while len(batch) < BATCH:
                    more = self._todo.get_nowait()
                    if more is None:
                        is_last = True
                        break
                    batch.append(more)
            self._commit(batch)
            if is_last:
                return

    def _commit(self, batch: list[_Change]) -> None:
        for _, future in batch:
            # Whoever waited may be gone: the change is made all the same.
            future.set_running_or_notify_cancel()
        try:
            with transaction(self._database):
                results = [work(self._database) for work, _ in batch]
        except sqlite3.Error as error:
            for _, future in batch:
                if not future.cancelled():
                    future.set_exception(cannot(self._path, error))
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.cancelled():
                future.set_result(result)


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Commit what is done, or nothing of it."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


@contextmanager
def lock_file(path: str) -> Iterator[int]:
    """Open the file beside a database that is locked, by ``fcntl.flock``, for its owner only."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        lock = os.open(f"{path}.lock", flags, 0o600)
    except OSError as error:
        raise StoreError(
            f"cannot use {path}.lock: {error.strerror}. Remove it, or give another database."
        ) from None
    try:
        yield lock
    finally:
        os.close(lock)


def cannot(path: str, error: sqlite3.Error) -> StoreError:
    """Return what is said of a database that does not do what it is asked for."""
    return StoreError(f"cannot use {path}: {error}. Free disk space, or repair it.")


def _version(database: sqlite3.Connection) -> int:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return int(version)


def _tables(database: sqlite3.Connection) -> set[str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    return {name for (name,) in database.execute(query)}
