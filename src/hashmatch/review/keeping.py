"""How a review queue works, and what it keeps for how long: all that is for its owner to say."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from hashmatch.review import leases, retention
from hashmatch.review.answers import Purged
from hashmatch.review.changing import change
from hashmatch.review.looking import Looking
from hashmatch.review.texts import check_text, named
from hashmatch.review.times import micros

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.review.database import Database
    from hashmatch.review.settings import Settings


class Keeping(Looking):
    """The part of `ReviewQueue` that is for its owner."""

    @contextmanager
    def _writing(self) -> Iterator[tuple[Database, Settings, int]]:
        with self._database.writing():
            yield self._database, self.settings, micros(self._now())

    def change(self, settings: Settings, *, who: str = "hashmatch") -> None:
        """Let the queue work in another way from now on; see `Settings`."""
        named(who)
        with self._writing() as (database, before, at):
            change(database, before, settings, who, at)

    def hold(self, case_id: str, who: str, reason: str) -> None:
        """Keep a case whatever its age."""
        self._hold("held", case_id, who, reason)

    def release(self, case_id: str, who: str, reason: str) -> None:
        """Let a case expire, from now on, as what is not a match does."""
        self._hold("released", case_id, who, reason)

    def _hold(self, kind: str, case_id: str, who: str, reason: str) -> None:
        named(who)
        check_text("a reason", reason)
        with self._writing() as (database, _, at):
            retention.hold(database, self._row(case_id), who, kind, reason, at)

    def purge(self, *, dry_run: bool = False, who: str = "hashmatch") -> Purged:
        """Remove the records that have expired: all of them but their ids.

        Parameters
        ----------
        dry_run : bool
            Only say what would be removed.
        who : str
            Whose doing it is, for the history.
        """
        named(who)
        total, after = Purged(), 0
        while True:
            with self._writing() as (database, settings, at):
                if not dry_run:
                    leases.sweep(database, at)
                purged, last = retention.purge_some(
                    database, settings, after, at, who, dry_run=dry_run
                )
            total = Purged(*map(sum, zip(total, purged, strict=True)))
            if last is None:
                break
            after = last
        if total.records and not dry_run:
            self._database.forget()
        return total
