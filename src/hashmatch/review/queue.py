"""The review queue: what waits for a person, what people decided, and the history of all of it.

What a review queue answers without changing anything.

How a review queue works, and what it keeps for how long: all that is for its owner to say.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from hashmatch.errors import ReviewError, UsageError
from hashmatch.records.cases import CaseState, ConfirmedCase, Origin, Verdict
from hashmatch.records.enums import Surface
from hashmatch.records.review import ReviewRecord
from hashmatch.review import cases, decisions, history, leases, retention
from hashmatch.review.case_rows import WAITING, CaseRow
from hashmatch.review.database import FORMAT, is_url
from hashmatch.review.intake import BATCH, add_batch
from hashmatch.review.results import Added, Pause, Purged
from hashmatch.review.reviewers import Reviewers
from hashmatch.review.settings import Settings
from hashmatch.review.settings_change import change
from hashmatch.review.stats import Statistics, statistics
from hashmatch.review.text import check_text, micros, moment, named, utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from hashmatch.records.cases import Case, Decision
    from hashmatch.review.database import Database
    from hashmatch.review.results import Event, Verified

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
        from hashmatch.review.audit import verify

        with self._database.reading():
            return verify(self._database, head)

    def statistics(self) -> Statistics:
        """Return how long cases wait, what was decided each day, and how often lists are right."""
        with self._database.reading():
            return statistics(self._database, self._now())

    def _row(self, case_id: str) -> CaseRow:
        return cases.row_of(self._database, cases.case_number(case_id, self.name), self.name)


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


class ReviewQueue(Keeping):
    """Cases that wait for people, in a file (SQLite) or on a server (PostgreSQL).

    Every call is one transaction: a process that is killed in the midst of it has done all of it or
    nothing, and what a call returned is on the disk. Many processes may use a queue at once, and
    many threads one `ReviewQueue`. Writers take turns, in both databases, so that the history is
    one line. Made by `ReviewQueue.open`.

    Examples
    --------
    >>> import tempfile, os
    >>> import hashmatch as hm
    >>> matcher = hm.Matcher(hm.read_list("fixtures/lists/demo-pdq.csv"), include_hash=True)
    >>> picture = "fixtures/images/plain/tiles.png"
    >>> record = matcher.check(picture, surface="profile_photo", item_id="user/42")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with ReviewQueue.open(os.path.join(folder, "queue.db"), create=True) as queue:
    ...         print(queue.add([record]))
    ...         case = queue.take("ana")
    ...         done = queue.decide(case.case_id, "ana", "not_a_match", "a pattern", case.seen)
    ...         print(queue.counts()["not_a_match"])
    Added(new=1, known=0, suppressed=0, cases=1)
    1
    """

    def __init__(self, database: Database, name: str, now: Callable[[], datetime]) -> None:
        super().__init__(database, name, now)
        self.reviewers = Reviewers(database, now)

    @classmethod
    def open(
        cls,
        where: str,
        *,
        settings: Settings | None = None,
        create: bool = False,
        now: Callable[[], datetime] = utc,
    ) -> ReviewQueue:
        """Return the queue at `where`.

        Parameters
        ----------
        where : str
            A file, or a URL ``postgresql://...`` (extra ``postgres``).
        settings : Settings, optional
            For a queue that is made; one that is there keeps its own, see `change`.
        create : bool
            Make it if it is not there.
        now : callable
            The clock, for tests.

        Raises
        ------
        ReviewError
            If there is none, or it is something else or of a newer version.
        """
        database, is_new = _open_database(where, create=create)
        try:
            if is_new:
                _make(database, settings or Settings(), micros(now()))
            names = database.rows("SELECT name FROM queue")
            if len(names) != 1:
                raise ReviewError(f"{database.where} was edited: it has {len(names)} names")
            return cls(database, names[0][0], now)
        except BaseException:
            database.close()
            raise

    def add(
        self,
        records: Iterable[ReviewRecord | tuple[ReviewRecord, Origin]],
        *,
        again: bool = False,
        who: str = "hashmatch",
    ) -> Added:
        """Take records in, each once, and sort them into the cases of their pictures.

        Those that were suppressed are counted and left out. A thousand are a transaction: what was
        taken in when something stops it stays, and all of them can be given again.

        Parameters
        ----------
        records : iterable of ReviewRecord, or of (ReviewRecord, Origin)
            The image's own hash, if a record has it, is kept apart from the record.
        again : bool
            Whether records that had expired come in again.
        who : str
            Whose doing it is, for the history.
        """
        pairs = (
            (record, Origin()) if isinstance(record, ReviewRecord) else record for record in records
        )
        named(who)
        total = Added()
        while batch := list(islice(pairs, BATCH)):
            with self._writing() as (database, settings, at):
                added = add_batch(database, settings, batch, at, who, again=again)
            total = Added(*map(sum, zip(total, added, strict=True)))
        return total

    def take(
        self, reviewer: str, *, label: str | None = None, surface: Surface | str | None = None
    ) -> Case | Pause | None:
        """Hand the next case to a reviewer, who holds it from then on.

        Parameters
        ----------
        reviewer : str
            Who. If they hold a case already, they get that one again.
        label : str, optional
            Only cases with it.
        surface : Surface or str, optional
            Only cases with pictures from there.

        Returns
        -------
        Case, Pause or None
            A pause if the reviewer was handed many without one; None if no case waits.
        """
        named(reviewer)
        where = "" if surface is None else Surface.parse(surface).value
        with self._writing() as (database, settings, at):
            found = leases.take(database, settings, reviewer, label or "", where, at)
            if not isinstance(found, CaseRow):
                return found
            return cases.whole(database, settings, self.name, found, at, reviewer)

    def renew(self, case_id: str, reviewer: str) -> Case:
        """Hold a case for longer; ReviewError if the reviewer does not hold it any more.

        Parameters
        ----------
        case_id, reviewer : str
            Which case, and who holds it.
        """
        with self._writing() as (database, settings, at):
            row = self._row(case_id)
            leases.held_by(row, reviewer, at, case_id)
            row = leases.renew(database, settings, row, reviewer, at)
            return cases.whole(database, settings, self.name, row, at, reviewer)

    def give_back(self, case_id: str, reviewer: str) -> None:
        """Let somebody else have a case; ReviewError if the reviewer does not hold it.

        Parameters
        ----------
        case_id, reviewer : str
            As of `renew`.
        """
        with self._writing() as (database, _, at):
            row = self._row(case_id)
            leases.held_by(row, reviewer, at, case_id)
            leases.give_back(database, row, reviewer, at)

    def decide(
        self,
        case_id: str,
        reviewer: str,
        verdict: Verdict | str,
        reason: str,
        seen: str,
        labels: Sequence[str] = (),
    ) -> Decision:
        """Decide about a case, and no longer hold it.

        Parameters
        ----------
        case_id : str
            Held by the reviewer.
        reviewer : str
            Who decides.
        verdict : Verdict or str
            What is decided.
        reason : str
            Why, in the reviewer's words.
        seen : str
            The `Case.seen` of what the reviewer was shown: the decision covers those records, and
            any that have come in since are inherited.
        labels : sequence of str
            What the reviewer calls it.

        Raises
        ------
        ReviewError
            If the reviewer does not hold it, or records that were shown have expired.
        """
        named(reviewer)
        try:
            verdict = Verdict(verdict)
        except ValueError:
            raise UsageError(f"a verdict is one of {', '.join(Verdict)}, not {verdict!r}") from None
        for what, text in (("a reason", reason), *(("a label", label) for label in labels)):
            check_text(what, text)
        with self._writing() as (database, settings, at):
            row = self._row(case_id)
            number = decisions.decide(
                database, settings, row, case_id, reviewer, verdict, reason, seen, labels, at
            )
            return cases.decision(database, self.name, number)

    def undo(self, decision_id: str, reviewer: str) -> Case:
        """Take one's own decision back, for as long as `Settings.undo`; one holds the case again.

        If a second reviewer has the case by then, or has decided, it stays with them.

        Parameters
        ----------
        decision_id : str
            `Decision.decision_id`.
        reviewer : str
            Who decided so.
        """
        case_id, _, number = decision_id.rpartition("-")
        if not case_id or not number.isdecimal() or len(number) > 18:
            raise ReviewError(f"there is no decision {decision_id!r} in this queue")
        with self._writing() as (database, settings, at):
            row = self._row(case_id)
            row = decisions.undo(database, settings, row, decision_id, int(number), reviewer, at)
            return cases.whole(database, settings, self.name, row, at, reviewer)

    def look_again(self, case_id: str, who: str, reason: str, *, everything: bool = False) -> Case:
        """Let a case that was decided wait for a person again.

        Parameters
        ----------
        case_id : str
            Confirmed, not a match, unsure or escalated.
        who : str
            Who asks.
        reason : str
            Why.
        everything : bool
            Ask about all of its records, even if some joined it since it was decided. Otherwise
            only about those, if there are any.
        """
        named(who)
        check_text("a reason", reason)
        with self._writing() as (database, settings, at):
            row = self._row(case_id)
            row = decisions.look_again(
                database, settings, row, case_id, who, reason, at, all_=everything
            )
            return cases.whole(database, settings, self.name, row, at)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def __enter__(self) -> ReviewQueue:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ReviewQueue {self.name}>"


def _make(database: Database, settings: Settings, at: int) -> None:
    name = secrets.token_hex(4)
    with database.writing():
        if not database.make():
            return
        database.run(
            "INSERT INTO queue VALUES (?, ?, ?, ?)", (name, FORMAT, at, settings.to_json())
        )
        history.append(
            database, at, "hashmatch", "made", name=name, format=FORMAT, settings=settings.to_json()
        )


def _open_database(where: str, *, create: bool) -> tuple[Database, bool]:
    """Return the database of a queue, and whether its tables are still to be made."""
    if is_url(where):
        from hashmatch.review.postgres import PostgresDatabase

        return PostgresDatabase.open(where, create=create)
    from hashmatch.review.sqlite import SqliteDatabase

    return SqliteDatabase.open(where, create=create)
