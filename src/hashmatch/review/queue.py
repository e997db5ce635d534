"""The review queue: what waits for a person, what people decided, and the history of all of it."""

from __future__ import annotations

import secrets
from itertools import islice
from typing import TYPE_CHECKING

from hashmatch.errors import ReviewError, UsageError
from hashmatch.records.decisions import Origin, Verdict
from hashmatch.records.enums import Surface
from hashmatch.records.review import ReviewRecord
from hashmatch.review import cases, deciding, history, leases
from hashmatch.review.adding import BATCH, add_batch
from hashmatch.review.answers import Added, Pause
from hashmatch.review.database import FORMAT, open_database
from hashmatch.review.keeping import Keeping
from hashmatch.review.reviewers import Reviewers
from hashmatch.review.rows import CaseRow
from hashmatch.review.settings import Settings
from hashmatch.review.texts import check_text, named
from hashmatch.review.times import micros, utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from hashmatch.records.decisions import Case, Decision
    from hashmatch.review.database import Database


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
        database, is_new = open_database(where, create=create)
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
            number = deciding.decide(
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
            row = deciding.undo(database, settings, row, decision_id, int(number), reviewer, at)
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
            row = deciding.look_again(
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
