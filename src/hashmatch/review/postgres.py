"""A review queue on a PostgreSQL server; psycopg is imported when one is opened.

The tables are in a schema of their own, so that a queue may share a database with others' tables.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from hashmatch.errors import ReviewError
from hashmatch.review.database import FORMAT
from hashmatch.review.schema import statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import psycopg

    from hashmatch.review.database import Database, Row

SCHEMA = "hashmatch_review"
LOCK = 0x484D5251
"""Of the writer whose turn it is: an advisory lock, until the end of the transaction."""
PATIENCE = 60
"""Seconds that a call waits for others' transactions, and for the server to answer."""


class PostgresDatabase:
    """See `hashmatch.review.database.Database`."""

    def __init__(self, url: str) -> None:
        self.where = without_password(url)
        self._url = url
        self._lock = threading.RLock()
        self._inside = self._holding = False
        with _told(self.where):
            self._connection = self._connected()

    def _connected(self) -> psycopg.Connection[Row]:
        import psycopg

        return psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=10,
            application_name="hashmatch review",
            options=f"-c search_path={SCHEMA} -c lock_timeout={PATIENCE}s -c timezone=UTC "
            "-c synchronous_commit=on",
        )

    @classmethod
    def open(cls, where: str, *, create: bool) -> tuple[Database, bool]:
        """Return the queue at the URL `where`, and whether it has yet to be made."""
        try:
            import psycopg  # noqa: F401 - to say what to do if it is not there
        except ImportError:
            raise ReviewError(
                f"{without_password(where)}: install hashmatch[postgres] for this"
            ) from None
        opened = cls(where)
        try:
            return opened, opened._check(create)
        except BaseException:
            opened.close()
            raise

    def _check(self, create: bool) -> bool:
        if not self._tables():
            if create:
                return True
            raise ReviewError(
                f"{self.where}: there is no review queue; make one with hashmatch review init"
            )
        ((version,),) = self.rows("SELECT format FROM queue")
        if version > FORMAT:
            raise ReviewError(
                f"{self.where} is of format {version}, and hashmatch here knows {FORMAT}; use the "
                "version that made it"
            )
        return False

    def _tables(self) -> bool:
        return bool(
            self.rows(
                "SELECT 1 FROM pg_tables WHERE schemaname = ? AND tablename = 'queue'", (SCHEMA,)
            )
        )

    def make(self) -> bool:
        """Make the tables, within a transaction; return whether they were not there."""
        if self._tables():
            return False  # another process was sooner
        self.run(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        for statement in statements(number="BIGINT", blob="BYTEA", keyed=""):
            self.run(statement)
        return True

    def damage(self) -> str:
        """Return what is wrong with the tables themselves: triggers or rules, which change rows."""
        found = self.rows(
            "SELECT relname FROM pg_class WHERE relnamespace = ?::regnamespace "
            "AND (relhastriggers OR relhasrules)",
            (SCHEMA,),
        )
        return "its tables are not those that hashmatch made" if found else ""

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Make one transaction of what is done in it, when it is this writer's turn."""
        with self._transaction("BEGIN"):
            if not self._holding:
                self.rows("SELECT pg_advisory_xact_lock(?)", (LOCK,))
                self._holding = True
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Let all that is read in it be of one moment."""
        with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"):
            yield

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with self._lock, _told(self.where):
            if self._inside:
                yield
                return
            if self._connection.closed:  # the server went away, and may be back
                self._connection = self._connected()
            self._connection.execute(begin.encode())
            self._inside, self._holding = True, False
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if not self._connection.closed:
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._inside = False

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Return what a statement finds."""
        with self._lock, _told(self.where):
            found: list[Row] = self._connection.execute(_marked(sql), values).fetchall()
            return found

    def run(self, sql: str, values: Sequence[object] = ()) -> None:
        """Do what a statement says."""
        with self._lock, _told(self.where):
            self._connection.execute(_marked(sql), values)

    def run_all(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Do it for each of some rows."""
        with self._lock, _told(self.where), self._connection.cursor() as cursor:
            cursor.executemany(_marked(sql), list(rows))

    def insert(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        """Put whole rows into a table; COPY takes a tenth of the time of INSERT."""
        with (
            self._lock,
            _told(self.where),
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy,
        ):
            for row in rows:
                copy.write_row(row)

    def among(self, values: Sequence[int] | Sequence[str]) -> tuple[str, object]:
        """Return what follows a column's name to say that it is one of `values`, and its value."""
        kind = "text" if values and isinstance(values[0], str) else "bigint"
        return f"= ANY(?::{kind}[])", list(values)

    def forget(self) -> None:
        """Leave it to the server, which writes over deleted rows in its own time (VACUUM)."""

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()


@cache
def _marked(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()


def without_password(url: str) -> str:
    """Return a URL as it may be shown."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    place = f"{user.partition(':')[0]}{at}{host}"
    options = "&".join(
        option for option in parts.query.split("&") if not option.lower().startswith("password=")
    )
    return urlunsplit((parts.scheme, place, parts.path, options, ""))


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn what the server or psycopg says into one line."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        said: Any = error.diag.message_primary or str(error)
        line = " ".join(str(said).split())
        raise ReviewError(f"{where}: {line}") from None
    except UnicodeEncodeError:
        raise ReviewError(f"{where}: text has characters that cannot be kept") from None
