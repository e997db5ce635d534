"""One transaction of a review queue: what every change in it is made with."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashmatch.review.settings import Settings
from hashmatch.review.text import micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from hashmatch.review.database import Database


@dataclass(frozen=True, slots=True)
class Transaction:
    """The state that all statements of one transaction share.

    Parameters
    ----------
    database : Database
        In a transaction for as long as this is used.
    queue_name : str
        With it, the ids of cases begin.
    settings : Settings
        Of the queue.
    now : int
        Microseconds since 1970.
    """

    database: Database
    queue_name: str
    settings: Settings
    now: int

    @classmethod
    @contextmanager
    def begin(
        cls, database: Database, clock: Callable[[], datetime], *, read_only: bool = False
    ) -> Iterator[Transaction]:
        """Begin a transaction, or go on with the one that this thread is in."""
        with database.reading() if read_only else database.writing():
            ((name, settings),) = database.rows("SELECT name, settings FROM queue")
            yield cls(database, name, Settings.from_json(settings), micros(clock()))

    def case_id(self, number: int) -> str:
        """Return the id of the case with a number."""
        return f"{self.queue_name}-{number}"
