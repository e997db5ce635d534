"""What a review queue asks of a database; SQLite and PostgreSQL answer alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    Row = tuple[Any, ...]

FORMAT = 1
"""Of the tables; a queue says which it has."""


class Database(Protocol):
    """One connection, for one thread at a time; whoever waits for it waits for a transaction.

    Placeholders are ``?``. Whatever fails is a ReviewError of one line that names the place.
    """

    where: str

    def make(self) -> bool:
        """Make the tables, within a transaction; return whether they were not there."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """Make one transaction of what is done in it; no two of a queue are at the same time."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """Let all that is read in it be of one moment."""
        ...

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Return what a statement finds."""
        ...

    def run(self, sql: str, values: Sequence[object] = ()) -> None:
        """Do what a statement says."""
        ...

    def run_all(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Do it for each of some rows."""
        ...

    def insert(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        """Put whole rows into a table."""
        ...

    def among(self, values: Sequence[int] | Sequence[str]) -> tuple[str, object]:
        """Return what follows a column's name to say that it is one of `values`, and its value."""
        ...

    def damage(self) -> str:
        """Return what is wrong with the tables themselves; empty if nothing is."""
        ...

    def forget(self) -> None:
        """Leave nothing of deleted rows where that is the database's own doing."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def is_url(where: str) -> bool:
    """Return whether a queue is on a PostgreSQL server, not in a file."""
    return where.startswith(("postgresql://", "postgres://"))
