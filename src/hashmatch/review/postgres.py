"""A review queue on a PostgreSQL server; psycopg is imported when one is opened.

The tables are in a schema of their own, so that a queue may share a database with others' tables.
Nothing of a session is relied on: between a queue and its server may be PgBouncer, which gives each
transaction another one. What a transaction needs it sets itself, whatever the defaults of a server,
a database or a user are.
"""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from hashmatch.errors import ReviewError, install
from hashmatch.review.database import Database, statements
from hashmatch.review.postgres_url import WHERE, verified, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

SCHEMA = "hashmatch_review"
WRITER_LOCK = 0x484D5251
"""Advisory lock of the writer whose turn it is, until the end of its transaction."""
CONNECT_TIMEOUT = 10
"""Seconds until a server that does not answer is given up, in a connection or for a new one."""
BEGIN = {
    True: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    False: "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; "
    "SET LOCAL plan_cache_mode = force_generic_plan",
}
"""By whether a transaction only reads. One that writes looks for thousands of keys at once: a plan
for these very keys estimates each of them, which takes longer than to look for it."""
USE_UTF8 = "Use one that was made with ENCODING 'UTF8' TEMPLATE template0."


class PostgresDatabase(Database):
    """See `hashmatch.review.database.Database`."""

    def __init__(self, url: str) -> None:
        super().__init__(WHERE)
        url = verified(url)
        self._url = url

    @classmethod
    def open(cls, url: str, *, create: bool) -> tuple[PostgresDatabase, bool]:
        """Return the queue at a URL, and whether its tables are still to be made."""
        opened = cls(url)
        try:
            import psycopg  # noqa: F401 - to say what to do if it is not there
        except ImportError:
            raise ReviewError(
                f"cannot open review queue {opened.where}: psycopg is not installed. "
                + install("postgres")
            ) from None
        try:
            opened._check_encoding()
            if opened._has_tables():
                ((version,),) = opened.rows("SELECT format FROM queue")
                opened._check_format(version)
                return opened, False
            if create:
                return opened, True
            raise ReviewError(
                f"cannot open review queue {opened.where}: there is no review queue. "
                f"Run hashmatch review init {opened.where} first."
            )
        except BaseException:
            opened.close()
            raise

    def _connect(self, *, read_only: bool) -> Any:
        import psycopg

        database = self

        class Connection(psycopg.Connection):  # type: ignore[misc]  # it may not be installed
            def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
                watched = _until(gen, database.answer_timeout, self.close)
                return super().wait(watched, *args, **options)

        return Connection.connect(
            self._url,
            autocommit=True,
            # libpq takes 1 for 2.
            connect_timeout=max(2, min(CONNECT_TIMEOUT, math.ceil(self.patience))),
            tcp_user_timeout=CONNECT_TIMEOUT * 1000,
            application_name="hashmatch review",
            client_encoding="UTF8",
            prepare_threshold=None,
        )

    def _check_encoding(self) -> None:
        ((encoding,),) = self.rows(
            "SELECT pg_encoding_to_char(encoding) FROM pg_database "
            "WHERE datname = current_database()"
        )
        if encoding == "SQL_ASCII":
            raise ReviewError(
                f"cannot open review queue {self.where}: its database has the encoding SQL_ASCII, "
                f"which does not say what its bytes mean. {USE_UTF8}"
            )

    def _has_tables(self) -> bool:
        return bool(
            self.rows(
                "SELECT 1 FROM pg_tables WHERE schemaname = ? AND tablename = 'queue'", (SCHEMA,)
            )
        )

    def make(self) -> bool:
        """Make the tables, within a transaction; return whether they were not there."""
        if self._has_tables():
            return False  # another process was sooner
        self.run(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        for statement in statements(number="BIGINT", blob="BYTEA", keyed=""):
            self.run(statement)
        return True

    def set_format(self) -> None:
        """Leave it to the row of the queue, which says its format."""

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Make one transaction of what is done in it, when it is this writer's turn."""
        with super().writing():
            if not self._here.has_lock:
                self.run("SELECT pg_advisory_xact_lock(?)", (WRITER_LOCK,))
                self._here.has_lock = True
            yield

    def insert(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        """Insert whole rows into a table; COPY takes a tenth of the time of INSERT."""
        with (
            self._errors(),
            self._here.connection.cursor() as cursor,
            cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy,
        ):
            for row in rows:
                copy.write_row(row)

    def among(self, values: Sequence[int] | Sequence[str]) -> tuple[str, object]:
        """Return SQL that follows a column to say that it is one of `values`, and its value."""
        kind = "text" if values and isinstance(values[0], str) else "bigint"
        return f"= ANY(?::{kind}[])", list(values)

    def damage(self) -> str:
        """Return what is wrong with the tables themselves: triggers or rules, which change rows."""
        found = self.rows(
            "SELECT relname FROM pg_class WHERE relnamespace = ?::regnamespace "
            "AND (relhastriggers OR relhasrules)",
            (SCHEMA,),
        )
        return "its tables are not those that hashmatch made" if found else ""

    def forget(self) -> None:
        """Leave it to the server, which writes over deleted rows in its own time (VACUUM)."""

    def _begin(self, connection: Any, until: float, *, read_only: bool) -> None:
        wait = max(1, round(1000 * (until - time.monotonic())))
        connection.execute(
            f"{BEGIN[read_only]}; SET LOCAL search_path = {SCHEMA}; "
            f"SET LOCAL lock_timeout = '{wait}ms'; SET LOCAL synchronous_commit = on".encode()
        )

    def _can_roll_back(self, connection: Any) -> bool:
        return not connection.closed

    def _is_gone(self, connection: Any) -> bool:
        from psycopg.pq import TransactionStatus

        return bool(connection.info.transaction_status != TransactionStatus.IDLE)

    def _sql(self, sql: str) -> bytes:
        return _with_driver_marks(sql)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            reason = " ".join((error.diag.message_primary or why_not(str(error))).split())
            if isinstance(error, psycopg.errors.UntranslatableCharacter):
                reason = f"its database cannot keep this text: {reason}. {USE_UTF8}"
            elif "statement pooling" in reason:
                reason = f"{reason}. Set pool_mode to transaction or session in PgBouncer."
        except UnicodeEncodeError:
            reason = "text has characters that cannot be kept"
        else:
            return
        raise self._unavailable(reason) from None


def _until(
    steps: Generator[Any, Any, Any], timeout: float | None, close: Callable[[], None]
) -> Generator[Any, Any, Any]:
    """Go through the steps of the driver for one statement, until they take too long.

    Between two, it waits for the server for a tenth of a second; that says nothing if it is stopped
    or out of reach, and only closing the connection ends that for certain.
    """
    from psycopg import OperationalError

    began = time.monotonic()
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if timeout is not None and not ready and time.monotonic() - began > timeout:
                close()
                raise OperationalError("no answer in time")
            wanted = steps.send(ready)
    except StopIteration as end:
        return end.value


@cache
def _with_driver_marks(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()
