"""A review queue on a PostgreSQL server; psycopg is imported when one is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch.errors import ReviewError

if TYPE_CHECKING:
    from hashmatch.review.database import Database


class PostgresDatabase:
    """See `hashmatch.review.database.Database`."""

    @classmethod
    def open(cls, where: str, *, create: bool) -> tuple[Database, bool]:
        """Return the queue at the URL `where`, and whether it was just made."""
        raise ReviewError(f"{where}: not yet")
