"""Opens the SQLite files of the service: private, durable, and of a format that is known."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress

from hashmatch._files.private import check_private
from hashmatch.errors import StoreError

FORMAT = 1


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
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    check_private(path)
    try:
        database = sqlite3.connect(
            path, timeout=patience, isolation_level=None, check_same_thread=False
        )
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        if _version(database) == 0:
            database.execute("BEGIN IMMEDIATE")
            if _version(database) == 0:  # nobody else has made it meanwhile
                for statement in filter(str.strip, schema.split(";")):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {FORMAT}")
            database.execute("COMMIT")
        version = _version(database)
    except sqlite3.Error as error:
        raise cannot(path, error) from None
    if version > FORMAT:
        raise StoreError(f"cannot open {path}: a later version made it. Update hashmatch.")
    return database


def cannot(path: str, error: sqlite3.Error) -> StoreError:
    """Return what is said of a database that does not do what it is asked for."""
    return StoreError(f"cannot use {path}: {error}. Free disk space, or repair it.")


def _version(database: sqlite3.Connection) -> int:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return int(version)
