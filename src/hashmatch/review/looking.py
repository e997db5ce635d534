"""What a review queue answers without changing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch.records.decisions import CaseState, ConfirmedCase
from hashmatch.review import cases, history
from hashmatch.review.rules import WAITING
from hashmatch.review.settings import Settings
from hashmatch.review.statistics import Statistics, statistics
from hashmatch.review.times import micros, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from hashmatch.records.decisions import Case
    from hashmatch.records.enums import Surface
    from hashmatch.review.answers import Event, Verified
    from hashmatch.review.database import Database
    from hashmatch.review.rows import CaseRow

PAGE = 500


class Looking:
    """The part of `ReviewQueue` that only looks.

    Parameters
    ----------
    database : Database
        Of the queue.
    name : str
        Of the queue; its cases' ids begin with it.
    now : callable
        The clock.
    """

    def __init__(self, database: Database, name: str, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self.where = database.where
        self.name = name

    @property
    def settings(self) -> Settings:
        """How it works, now."""
        ((text,),) = self._database.rows("SELECT settings FROM queue")
        return Settings.from_json(text)

    def case(self, case_id: str, *, viewer: str | None = None) -> Case:
        """Return a case as it is now, with the decisions about it.

        Parameters
        ----------
        case_id : str
            Which.
        viewer : str, optional
            Who is shown it: while a case waits for a second reviewer, what the first one decided
            is left out for everybody else. Without a name nothing is.
        """
        with self._database.reading():
            row, now = self._row(case_id), micros(self._now())
            return cases.whole(self._database, self.settings, self.name, row, now, viewer)

    def cases(
        self,
        state: CaseState | str | None = None,
        *,
        label: str | None = None,
        surface: Surface | str | None = None,
    ) -> Iterator[Case]:
        """Yield cases in the order in which they were opened; those that expired are left out.

        Parameters
        ----------
        state : CaseState or str, optional
            Only those.
        label : str, optional
            Only those that have it.
        surface : Surface or str, optional
            Only those with pictures from there.
        """
        after = 0
        while True:
            condition, values = "", []
            if state is not None:
                # A lease may have run out by now: both may be what is asked for.
                states = WAITING if CaseState(state) in WAITING else {CaseState(state)}
                condition = f"AND state IN ({', '.join('?' * len(states))})"
                values = sorted(one.value for one in states)
            rows = self._database.rows(
                f"SELECT number FROM review_case WHERE number > ? AND items > 0 {condition} "
                f"ORDER BY number LIMIT {PAGE}",
                (after, *values),
            )
            for (number,) in rows:
                after = number
                case = self.case(str(number))
                if (
                    (state is None or case.state == state)
                    and (label is None or label in case.labels)
                    and (surface is None or surface in case.surfaces)
                    and case.items
                ):
                    yield case
            if len(rows) < PAGE:
                return

    def counts(self) -> Mapping[CaseState, int]:
        """Return how many cases are in each state now; those that expired are in none."""
        with self._database.reading():
            found: dict[str, int] = dict(
                self._database.rows(
                    "SELECT state, count(*) FROM review_case WHERE items > 0 GROUP BY state"
                )
            )
            ((lapsed,),) = self._database.rows(
                "SELECT count(*) FROM review_case WHERE lease_until IS NOT NULL "
                "AND lease_until <= ? AND items > 0",
                (micros(self._now()),),
            )
        counts = {state: found.get(state.value, 0) for state in CaseState}
        counts[CaseState.PENDING_REVIEW] += lapsed
        counts[CaseState.IN_REVIEW] -= lapsed
        return counts

    def history(self, case_id: str | None = None, *, viewer: str | None = None) -> Iterator[Event]:
        """Yield all that ever happened, or what of it is about one case, oldest first.

        Parameters
        ----------
        case_id : str, optional
            Which case.
        viewer : str, optional
            As for `case`: what others did about it since it was last asked about is left out while
            it waits for a second reviewer.
        """
        if case_id is None:
            yield from history.events(self._database, self.name)
            return
        row = self._row(case_id)
        blind, asked = viewer is not None and cases.is_blind(row), 1
        for event in history.events(self._database, self.name, row.number):
            asked += event.kind == "asked_again"
            if not (blind and asked == row.round and event.who != viewer) or event.kind == "added":
                yield event

    def confirmed(self, since_event: int = 0) -> Iterator[ConfirmedCase]:
        """Yield the cases that people confirmed finally, in the order of their last decision.

        Nothing is yielded while it may still be undone, nor what comes after it: whoever goes on
        from the `ConfirmedCase.event` of the last one misses none.

        Parameters
        ----------
        since_event : int
            Go on after it.
        """
        while True:
            with self._database.reading():
                now = self._now()
                found = self._database.rows(
                    "SELECT number, decided_event, decided_at FROM review_case "
                    "WHERE state = 'confirmed' AND decided_event > ? AND items > 0 "
                    "ORDER BY decided_event LIMIT 1",
                    (since_event,),
                )
                if not found:
                    return
                ((number, since_event, at),) = found
                final_at = moment(at) + self.settings.undo
                if final_at > now:
                    return
                case = self.case(str(number))
            yield ConfirmedCase(case, since_event, final_at, now)

    def verify(self, head: str | None = None) -> Verified:
        """Go through the whole history and compare every row with what follows from it.

        Parameters
        ----------
        head : str, optional
            A `Verified.head` of before: also refuse a history that was cut off or written anew.

        Raises
        ------
        ReviewError
            If anything was edited, naming the first that was.
        """
        from hashmatch.review.verifying import verify

        with self._database.reading():
            return verify(self._database, head)

    def statistics(self) -> Statistics:
        """Return how long cases wait, what was decided each day, and how often lists are right."""
        with self._database.reading():
            return statistics(self._database, self._now())

    def _row(self, case_id: str) -> CaseRow:
        return cases.row_of(self._database, cases.case_number(case_id, self.name), self.name)
