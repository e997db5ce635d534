"""The review queue: cases that wait for a person, decisions, and the history of both."""

from __future__ import annotations

import secrets
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from hashmatch.errors import QueueUnavailable, ReviewError, UsageError
from hashmatch.records.cases import CaseState, ConfirmedCase, Origin, Verdict
from hashmatch.records.enums import Surface
from hashmatch.records.review import ReviewRecord
from hashmatch.review import cases, decisions, history, leases, retention
from hashmatch.review.case_rows import WAITING, CaseRow, pages, priority, save
from hashmatch.review.database import FORMAT, UPGRADES, Transaction, is_url
from hashmatch.review.grouping import keys_of_case
from hashmatch.review.history import Head
from hashmatch.review.intake import BATCHES_PER_TRANSACTION, RECORDS_PER_BATCH, add_batch
from hashmatch.review.results import Added, NotFinal, Pause, Purged, summed
from hashmatch.review.reviewers import Reviewers
from hashmatch.review.settings import Settings
from hashmatch.review.stats import Statistics, statistics
from hashmatch.review.text import check_person, check_text, micros, moment, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from hashmatch.records.cases import Case, Decision
    from hashmatch.review.database import Database
    from hashmatch.review.results import Event, Verified

CASES_PER_QUERY = 500
LAST_EVENT = 2**62
CASES_PER_HAND_OVER = 100
"""Nobody else can write while these are read."""


def change_settings(tx: Transaction, after: Settings, who: str) -> None:
    """Give a queue other settings.

    The order of all cases follows other weights of labels; other limits for what is one picture are
    for records that come from now on, and nothing is taken out of the case that it is in.
    """
    tx.database.run("UPDATE queue SET settings = ?", (after.to_json(),))
    history.append(tx, who, "settings", settings=after.to_json())
    if after.label_weights != tx.settings.label_weights:
        for rows in pages(tx.database):
            priorities = [priority(row.summary, row.opened_at, after) for row in rows]
            changes = zip(rows, priorities, strict=True)
            save(tx.database, [(row, row._replace(priority=value)) for row, value in changes])
    if after.same_picture != tx.settings.same_picture:
        _change_keys(tx, after)


def _change_keys(tx: Transaction, settings: Settings) -> None:
    tx.database.run("DELETE FROM grouping_key")
    number = 0
    while rows := tx.database.rows(
        "SELECT c.number, i.line, i.hash FROM review_case c JOIN item i ON i.number = c.first_item "
        f"WHERE c.number > ? ORDER BY c.number LIMIT {CASES_PER_QUERY}",
        (number,),
    ):
        keys = [key for row in rows for key in keys_of_case(settings, *row)]
        tx.database.insert("grouping_key", keys)
        number = rows[-1][0]


class ReviewQueue:
    """Cases that wait for people, in a file (SQLite) or on a server (PostgreSQL).

    Every call is one transaction: a process that is killed in the midst of it has done all of it or
    nothing, and what a call returned is on the disk. Many processes may use a queue at once, and
    many threads one `ReviewQueue`. Writers take turns, in both databases, so that the history is
    one line. Made by `ReviewQueue.open`.

    Readers do not wait for writers.

    Every method raises QueueUnavailable if the database fails, and ReviewError if there is no case
    of a given id.

    Attributes
    ----------
    name : str
        Of the queue; the ids of its cases begin with it.
    where : str
        Its file, or its URL without a password.
    is_new : bool
        Whether this made it.
    reviewers : Reviewers
        Names and tokens of the people who can log in to the page.

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
    ...         digest = case.reviewed_digest
    ...         done = queue.decide(case.case_id, "ana", "not_a_match", "a pattern", digest)
    ...         print(queue.counts()["not_a_match"])
    Added(new=1, known=0, suppressed=0, cases=1)
    1
    """

    def __init__(self, database: Database, name: str, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self.name = name
        self.where = database.where
        self.is_new = False
        self.reviewers = Reviewers(database, now)

    @classmethod
    def open(
        cls,
        where: str,
        *,
        settings: Settings | None = None,
        create: bool = False,
        now: Callable[[], datetime] = utc_now,
    ) -> ReviewQueue:
        """Open the queue in a file or on a server, or make it.

        Tables of an older version are brought up to date; older versions do not open them then.

        Parameters
        ----------
        where : str
            A file, or a URL ``postgresql://...`` (extra ``postgres``).
        settings : Settings, optional
            For a queue that is made; one that is there keeps its own, see `change`.
        create : bool
            Make it if it is not there.
        now : callable
            Returns the time, UTC; for tests.

        Returns
        -------
        ReviewQueue
            To be closed, or used as a context manager.

        Raises
        ------
        ReviewError
            If there is none, or it is something else or of another version.
        """
        database, is_new = _open_database(where, create=create)
        try:
            if is_new:
                is_new = _make(database, settings or Settings(), micros(now()))
            else:
                _upgrade(database, now)
            queue = cls(database, database.queue_row()[0], now)
            queue.is_new = is_new
            return queue
        except BaseException:
            database.close()
            raise

    def transaction(self, *, read_only: bool = False) -> AbstractContextManager[Transaction]:
        """Begin a transaction; calls of the queue within it are part of it.

        Parameters
        ----------
        read_only : bool
            It writes nothing, and waits for no writer.

        Returns
        -------
        context manager of Transaction
            Commits when it is left, and rolls back after an error.
        """
        return Transaction.begin(self._database, self._now, read_only=read_only)

    @property
    def patience(self) -> float:
        """Seconds that a call waits for other writers, before it is a QueueUnavailable."""
        return self._database.patience

    @patience.setter
    def patience(self, seconds: float) -> None:
        self._database.patience = seconds

    @property
    def answer_timeout(self) -> float | None:
        """Seconds until a server that says nothing is a QueueUnavailable; None for never."""
        return self._database.answer_timeout

    @answer_timeout.setter
    def answer_timeout(self, seconds: float | None) -> None:
        self._database.answer_timeout = seconds

    @property
    def settings(self) -> Settings:
        """The settings that it has now."""
        return Settings.from_json(self._database.queue_row()[1])

    def add(
        self,
        records: Iterable[ReviewRecord | tuple[ReviewRecord, Origin]],
        *,
        again: bool = False,
        who: str = "hashmatch",
    ) -> Added:
        """Add records, each once, to the cases of their pictures.

        A case that is not a match, or unsure, waits again if a record joins it that says what
        nobody has decided: it is closer, or of another list, entry, label or source, or only a part
        of its picture is the same. Suppressed records are counted and left out. Ten thousand are
        a transaction: what was added when something stops it stays, and all of them can be given
        again.

        Parameters
        ----------
        records : iterable of ReviewRecord, or of (ReviewRecord, Origin)
            The image's own hash, if a record has it, is kept apart from the record.
        again : bool
            Whether records that had expired come in again.
        who : str
            Name of the person who adds them, for the history.

        Returns
        -------
        Added
            How many are new, known and suppressed, and how many cases were opened.

        Raises
        ------
        ReviewError
            If a record has no match, or text or a hash that cannot be kept.
        """
        check_person(who)
        pairs = (
            (record, Origin()) if isinstance(record, ReviewRecord) else record for record in records
        )
        total, lot = Added(), list[list[tuple[ReviewRecord, Origin]]]()
        try:
            while batch := list(islice(pairs, RECORDS_PER_BATCH)):
                lot.append(batch)
                if len(lot) == BATCHES_PER_TRANSACTION:
                    full, lot = lot, []
                    total = summed(total, self._add(full, who, again))
        finally:  # also if `records` raises an error, which then goes on
            if lot:
                total = summed(total, self._add(lot, who, again))
        return total

    def _add(
        self, batches: Sequence[Sequence[tuple[ReviewRecord, Origin]]], who: str, again: bool
    ) -> Added:
        """Add batches in one transaction; those before one that cannot be, each in its own."""
        try:
            with self.transaction() as tx:
                return summed(*(add_batch(tx, batch, who, again=again) for batch in batches))
        except QueueUnavailable:
            raise
        except Exception:
            for batch in batches:
                with self.transaction() as tx:
                    add_batch(tx, batch, who, again=again)
            raise

    def take(
        self, reviewer: str, *, label: str | None = None, surface: Surface | str | None = None
    ) -> Case | Pause | None:
        """Hand the next case to a reviewer, who holds it from then on.

        Parameters
        ----------
        reviewer : str
            Name of who is to look at it. If they hold a case already, they get that one again.
        label, surface : str, optional
            Only cases with this label, or with pictures from this surface.

        Returns
        -------
        Case, Pause or None
            A pause if the reviewer was handed many without one; None if no case waits.

        Raises
        ------
        UsageError
            If `reviewer` is not a name, or there is no such surface.
        """
        check_person(reviewer)
        where = "" if surface is None else Surface.parse(surface).value
        with self.transaction() as tx:
            found = leases.take(tx, reviewer, label or "", where)
            return cases.assemble(tx, found, reviewer) if isinstance(found, CaseRow) else found

    def renew(self, case_id: str, reviewer: str) -> Case:
        """Hold a case for longer: for `Settings.lease` from now on.

        Parameters
        ----------
        case_id, reviewer : str
            Id of the case (or its number), and name of who holds it.

        Returns
        -------
        Case
            With the new lease.

        Raises
        ------
        ReviewError
            If the reviewer does not hold it any more.
        """
        with self.transaction() as tx:
            row = leases.renew(tx, cases.find_row(tx, case_id), reviewer)
            return cases.assemble(tx, row, reviewer)

    def give_back(self, case_id: str, reviewer: str) -> None:
        """Let somebody else take a case.

        Parameters
        ----------
        case_id, reviewer : str
            Id of the case (or its number), and name of who holds it.

        Raises
        ------
        ReviewError
            If the reviewer does not hold it.
        """
        with self.transaction() as tx:
            leases.give_back(tx, cases.find_row(tx, case_id), reviewer)

    def decide(
        self,
        case_id: str,
        reviewer: str,
        verdict: Verdict | str,
        reason: str,
        reviewed_digest: str,
        labels: Sequence[str] = (),
    ) -> Decision:
        """Decide about a case, and no longer hold it.

        Parameters
        ----------
        case_id, reviewer : str
            Id of the case (or its number), and name of who holds it and decides.
        verdict : Verdict or str
            What is decided.
        reason : str
            Why, in the reviewer's words.
        reviewed_digest : str
            The `Case.reviewed_digest` of what the reviewer was shown: the decision covers those
            records, and any that have come in since are inherited, or asked about by themselves.
        labels : sequence of str
            Labels that the reviewer gives the picture.

        Returns
        -------
        Decision
            As it was recorded; its id undoes it.

        Raises
        ------
        ReviewError
            If the reviewer does not hold the case, or records that were shown have expired.
        UsageError
            If there is no such verdict.
        """
        check_person(reviewer)
        try:
            verdict = Verdict(verdict)
        except ValueError:
            raise UsageError(
                f"cannot use {verdict!r} as a verdict. Give one of {', '.join(Verdict)}"
            ) from None
        labels = [labels] if isinstance(labels, str) else list(labels)  # it may be a generator
        for what, text in (("a reason", reason), *(("a label", label) for label in labels)):
            check_text(what, text)
        with self.transaction() as tx:
            row = cases.find_row(tx, case_id)
            number = decisions.decide(tx, row, reviewer, verdict, reason, reviewed_digest, labels)
            (decision,) = cases.load_decisions(tx, "number", number)
            return decision

    def undo(self, decision_id: str, reviewer: str) -> Case:
        """Take one's own decision back, until `Decision.final_at`; one holds the case again.

        If a second reviewer has the case by then, or has decided, it stays with them.

        Parameters
        ----------
        decision_id, reviewer : str
            `Decision.decision_id`, and name of who made it.

        Returns
        -------
        Case
            As it is then.

        Raises
        ------
        ReviewError
            If there is no such decision, it is somebody else's, was handed over, or it is too late.
        """
        case_id, _, number = decision_id.rpartition("-")
        if not case_id or not number.isdecimal() or len(number) > 18:
            raise ReviewError(f"cannot undo {decision_id!r}: there is no decision of that id")
        with self.transaction() as tx:
            row = cases.find_row(tx, case_id)
            row = decisions.undo(tx, row, decision_id, int(number), reviewer)
            return cases.assemble(tx, row, reviewer)

    def look_again(self, case_id: str, who: str, reason: str, *, everything: bool = False) -> Case:
        """Let a case that was decided wait for a person again.

        Parameters
        ----------
        case_id : str
            Id of the case, or its number. It is confirmed, not a match, unsure or escalated.
        who, reason : str
            Name of the person who asks, and why, for the history.
        everything : bool
            Ask about all of its records, even if some joined it since it was confirmed or found not
            to be a match. Otherwise only about those, if there are any.

        Returns
        -------
        Case
            As it is then.

        Raises
        ------
        ReviewError
            If it waits already, or all its records have expired.
        """
        check_person(who)
        check_text("a reason", reason)
        with self.transaction() as tx:
            row = cases.find_row(tx, case_id)
            row = decisions.look_again(tx, row, who, reason, everything=everything)
            return cases.assemble(tx, row)

    def case(self, case_id: str, *, viewer: str | None = None) -> Case:
        """Return a case as it is now, with the decisions about it.

        Parameters
        ----------
        case_id : str
            Id of the case, or its number.
        viewer : str, optional
            Name of who is shown it: while a case waits for a second reviewer, what the first one
            decided is left out for everybody else. Without a name nothing is left out.

        Raises
        ------
        ReviewError
            If there is no such case.
        """
        with self.transaction(read_only=True) as tx:
            return cases.assemble(tx, cases.find_row(tx, case_id), viewer)

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
            Only cases in this state.
        label, surface : str, optional
            Only cases with this label, or with pictures from this surface.

        Yields
        ------
        Case
            Each as it is at one moment.
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
                f"ORDER BY number LIMIT {CASES_PER_QUERY}",
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
            if len(rows) < CASES_PER_QUERY:
                return

    def counts(self) -> Mapping[CaseState, int]:
        """Return how many cases are in each state now; those that expired are in none."""
        with self.transaction(read_only=True) as tx:
            found: dict[str, int] = dict(
                tx.database.rows(
                    "SELECT state, count(*) FROM review_case WHERE items > 0 GROUP BY state"
                )
            )
            ((lapsed,),) = tx.database.rows(
                "SELECT count(*) FROM review_case WHERE lease_until IS NOT NULL "
                "AND lease_until <= ? AND items > 0",
                (tx.now,),
            )
        counts = {state: found.get(state.value, 0) for state in CaseState}
        counts[CaseState.PENDING_REVIEW] += lapsed
        counts[CaseState.IN_REVIEW] -= lapsed
        return counts

    def inherited(self) -> Mapping[CaseState, int]:
        """Return how many records joined cases after their decisions, by what these are now.

        No decision covers them. Those of confirmed and escalated cases are asked about by
        `look_again`; those of the others say nothing that was not decided.
        """
        with self.transaction(read_only=True) as tx:
            found: dict[str, int] = dict(
                tx.database.rows(
                    "SELECT state, count(*) FROM item JOIN review_case "
                    "ON review_case.number = case_number "
                    "WHERE item.round = 0 AND line IS NOT NULL GROUP BY state"
                )
            )
        return {state: found.get(state.value, 0) for state in CaseState}

    def undoable(self) -> NotFinal:
        """Return how many decisions their reviewers can still take back, and until when."""
        with self.transaction(read_only=True) as tx:
            (found,) = tx.database.rows(
                "SELECT count(*), max(final_at) FROM decision WHERE undone_at IS NULL "
                "AND final_at > ? AND number NOT IN (SELECT decision FROM handed_over) "
                "AND EXISTS (SELECT 1 FROM item WHERE item.case_number = decision.case_number "
                "AND item.round = decision.round)",
                (tx.now,),
            )
        return NotFinal.of(*found)

    def not_yet_confirmed(self) -> NotFinal:
        """Return how many confirmed cases `confirmed` leaves out for now, and until when."""
        with self.transaction(read_only=True) as tx:
            confirmed = "FROM review_case WHERE state = 'confirmed' AND items > 0"
            (found,) = tx.database.rows(
                f"SELECT count(*), max(final_at) {confirmed} AND decided_event >= "
                f"(SELECT min(decided_event) {confirmed} AND final_at > ?)",
                (tx.now,),
            )
        return NotFinal.of(*found)

    def confirmed(self, since_event: int = 0) -> Iterator[ConfirmedCase]:
        """Yield the cases that people confirmed finally, in the order of their last decision.

        Nothing is yielded while it may still be undone, nor what comes after it: a reader that
        resumes from the `ConfirmedCase.event` of the last one misses none. What is yielded cannot
        be undone any more, whatever the clock says later.

        Parameters
        ----------
        since_event : int
            Leave out what was confirmed by this event of the history or an earlier one.

        Yields
        ------
        ConfirmedCase
            What may be acted on.
        """
        while True:
            with self.transaction() as tx:
                found = self._confirmed(tx, since_event)
            yield from found
            if len(found) < CASES_PER_HAND_OVER:
                return
            since_event = found[-1].event

    def confirmed_by(self, event: int) -> ConfirmedCase | None:
        """Return the case that people confirmed finally by an event; None if there is none.

        Parameters
        ----------
        event : int
            Number of the event in the history.
        """
        with self.transaction() as tx:
            return next(iter(self._confirmed(tx, event - 1, event)), None)

    def _confirmed(
        self, tx: Transaction, after: int, up_to: int = LAST_EVENT
    ) -> list[ConfirmedCase]:
        """Hand over the next cases that were confirmed finally, by some events."""
        rows = tx.database.rows(
            "SELECT number, decided_event, final_at FROM review_case WHERE state = 'confirmed' "
            "AND decided_event > ? AND decided_event <= ? AND items > 0 "
            f"ORDER BY decided_event LIMIT {CASES_PER_HAND_OVER}",
            (after, up_to),
        )
        final = list(takewhile(lambda row: row[2] <= tx.now, rows))
        decisions.hand_over(tx, [number for number, *_ in final])
        return [
            ConfirmedCase(self.case(str(number)), event, moment(final_at), moment(tx.now))
            for number, event, final_at in final
        ]

    def history(self, case_id: str | None = None, *, viewer: str | None = None) -> Iterator[Event]:
        """Yield all events, or those about one case, oldest first.

        Parameters
        ----------
        case_id : str, optional
            Id of the case, or its number.
        viewer : str, optional
            As for `case`: what others did about it since it was last asked about is left out while
            it waits for a second reviewer.

        Yields
        ------
        Event
            `hashmatch.review.history` names all kinds.
        """
        if case_id is None:
            yield from history.events(self._database, self.name)
            return
        with self.transaction(read_only=True) as tx:
            row = cases.find_row(tx, case_id)
        blind, asked = viewer is not None and cases.is_blind(row), 1
        for event in history.events(self._database, self.name, row.number):
            asked += event.kind == "asked_again"
            if not (blind and asked == row.round and event.who != viewer) or event.kind == "added":
                yield event

    def statistics(self) -> Statistics:
        """Return how long cases wait, what was decided each day, and how often lists are right."""
        with self.transaction(read_only=True) as tx:
            return statistics(tx)

    def head(self) -> Head:
        """Return the last event of the history and its digest, to be kept elsewhere.

        Returns
        -------
        Head
            Safe to show: it says nothing of what is in the queue. `verify` takes it.
        """
        number, digest, _ = history.last(self._database)
        return Head(number, digest)

    def verify(self, *heads: Head | str) -> Verified:
        """Go through the whole history and compare every row with what follows from it.

        Parameters
        ----------
        *heads : Head or str
            Heads of before, as ``17:5d0f...``, or digests alone: also refuse a history that was cut
            off or written anew since.

        Returns
        -------
        Verified
            The number of events, and the head of now.

        Raises
        ------
        ReviewError
            If anything was edited, naming the first that was.
        UsageError
            If one of `heads` is none.
        """
        from hashmatch.review.audit import verify

        seen = [Head.parse(one) if isinstance(one, str) else one for one in heads]
        with self._database.reading():
            return verify(self._database, seen)

    def change(self, settings: Settings, *, who: str = "hashmatch") -> None:
        """Give the queue other settings.

        Parameters
        ----------
        settings : Settings
            Each record that is added is grouped by the settings of then; the order of all cases
            follows new weights of labels at once.
        who : str
            Name of the person who changes them, for the history.
        """
        check_person(who)
        with self.transaction() as tx:
            change_settings(tx, settings, who)

    def hold(self, case_id: str, who: str, reason: str) -> None:
        """Keep a case whatever its age.

        Parameters
        ----------
        case_id, who, reason : str
            Id of the case (or its number), name of who holds it, and why, for the history.

        Raises
        ------
        ReviewError
            If all its records have expired.
        """
        self._hold("held", case_id, who, reason)

    def release(self, case_id: str, who: str, reason: str) -> None:
        """Let a case expire as one that is not a match does, counted from now on.

        Parameters
        ----------
        case_id, who, reason : str
            Id of the case (or its number), name of who releases it, and why, for the history.

        Raises
        ------
        ReviewError
            If all its records have expired.
        """
        self._hold("released", case_id, who, reason)

    def _hold(self, kind: str, case_id: str, who: str, reason: str) -> None:
        check_person(who)
        check_text("a reason", reason)
        with self.transaction() as tx:
            retention.hold(tx, cases.find_row(tx, case_id), who, kind, reason)

    def purge(self, *, dry_run: bool = False, who: str = "hashmatch") -> Purged:
        """Remove the records that have expired: all of them but their ids.

        Parameters
        ----------
        dry_run : bool
            Only count what would be removed.
        who : str
            Name of the person who purges, for the history.

        Returns
        -------
        Purged
            How many records were removed or would be, by what was decided about them.
        """
        check_person(who)
        total, after = Purged(), 0
        while True:
            with self.transaction() as tx:
                if not dry_run:
                    leases.sweep(tx)
                purged, last = retention.purge_some(tx, after, who, dry_run=dry_run)
            total = Purged(*map(sum, zip(total, purged, strict=True)))
            if last is None:
                break
            after = last
        if total.records and not dry_run:
            self._database.forget()
        return total

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def __enter__(self) -> ReviewQueue:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ReviewQueue {self.name}>"


def _open_database(where: str, *, create: bool) -> tuple[Database, bool]:
    """Return the database of a queue, and whether its tables are still to be made."""
    if is_url(where):
        from hashmatch.review.postgres import PostgresDatabase

        return PostgresDatabase.open(where, create=create)
    from hashmatch.review.sqlite import SqliteDatabase

    return SqliteDatabase.open(where, create=create)


def _make(database: Database, settings: Settings, now: int) -> bool:
    name, text = secrets.token_hex(4), settings.to_json()
    with database.writing():
        if not database.make():
            return False
        database.run("INSERT INTO queue VALUES (?, ?, ?, ?)", (name, FORMAT, now, text))
        made = Transaction(database, name, settings, now)
        history.append(made, "hashmatch", "made", name=name, format=FORMAT, settings=text)
    return True


def _upgrade(database: Database, now: Callable[[], datetime]) -> None:
    """Bring the tables of an older version of hashmatch up to date."""
    if _format(database) not in UPGRADES:
        return
    with Transaction.begin(database, now) as tx:
        version = _format(database)
        if version not in UPGRADES:
            return  # another process was sooner
        while version < FORMAT:
            for statement in UPGRADES[version]:
                database.run(statement)
            version += 1
        database.run("UPDATE queue SET format = ?", (FORMAT,))
        database.set_format()
        history.append(tx, "hashmatch", "upgraded", format=FORMAT)


def _format(database: Database) -> int:
    return max((version for (version,) in database.rows("SELECT format FROM queue")), default=0)
