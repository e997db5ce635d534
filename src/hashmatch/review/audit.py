"""Compares the tables of a queue with its history, and so finds any edit of either.

The history is gone through from its beginning and every row of every table is compared with what
follows from it. Anyone who can write to the database and recompute all digests can still forge a
whole history; the digest of the last event, kept where they cannot write, shows that too.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from hashmatch.errors import HashmatchError, ReviewError
from hashmatch.records.cases import CaseState, Verdict
from hashmatch.records.review import ReviewRecord
from hashmatch.review import history
from hashmatch.review.case_rows import (
    ENDS_WITH_NEWS,
    WAITING,
    CaseRow,
    StandingDecision,
    covered_by,
    pages,
    priority,
    state_of,
    summary,
    waiting_rows,
)
from hashmatch.review.cases import DECISION
from hashmatch.review.grouping import content_digest, keys_of_case
from hashmatch.review.intake import batch_digest
from hashmatch.review.results import Verified
from hashmatch.review.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hashmatch.review.database import Database, Row

ROWS_PER_QUERY = 1000
ITEM = "case_number, number, record_id, added_at, round, line, hash, source, location, digest"
"""Columns of ``item`` that are compared."""


def verify(database: Database, heads: Sequence[history.Head]) -> Verified:
    """Return how long the history is and its last digest; see `ReviewQueue.verify`."""
    damage = database.damage()
    if damage:
        raise ReviewError(f"cannot verify {database.where}: {damage}")
    try:
        replay = _Replay(database)
        verified = replay.go_through(heads)
        _compare(database, replay)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise _edited(database, f"something says what hashmatch never wrote ({error})") from None
    except ReviewError:
        raise
    except HashmatchError as error:
        raise _edited(database, str(error)) from None
    return verified


def _edited(database: Database, what: str) -> ReviewError:
    return ReviewError(f"cannot trust {database.where}: it was edited: {what}")


class _Replay:
    """Goes through the history, and through the rows that each event wrote.

    `cases` holds those to which more happened than that records came; `rounds` the items that are
    not of the first time of asking.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._items = 0
        self.cases = defaultdict[int, _CaseAt](_CaseAt)
        self.rounds: dict[int, int] = {}
        self.purged: set[int] = set()
        self.reviewers: dict[str, tuple[str, int]] = {}
        self.queue: tuple[str, int, int, str] = ("", 0, 0, "")
        self.decisions: dict[int, int | None] = {}

    def go_through(self, heads: Sequence[history.Head]) -> Verified:
        number, previous = 0, history.FIRST
        by_number = {head.event: head.digest for head in heads if head.event}
        missing = {head.digest for head in heads} - {previous}
        while rows := self._database.rows(
            f"SELECT {history.COLUMNS} FROM event WHERE number > ? "
            f"ORDER BY number LIMIT {ROWS_PER_QUERY}",
            (number,),
        ):
            for *event, digest in rows:
                if event[0] != number + 1 or digest != history.digest_of(previous, *event):
                    raise _edited(self._database, f"event {number + 1} is not what it was")
                number, at, who, kind, case, text = event
                if by_number.get(number, digest) != digest:
                    what = f"event {number} is not the one that was seen before"
                    raise _edited(self._database, what)
                previous = digest
                missing.discard(digest)
                self._apply(number, at, who, kind, case, msgspec.json.decode(text))
        if max(by_number, default=0) > number:
            what = f"its history ends at event {number}, and event {max(by_number)} was seen before"
            raise _edited(self._database, what)
        if missing:
            raise _edited(self._database, "the event with the given digest is missing")
        ((items,),) = self._database.rows("SELECT count(*) FROM item")
        ((decisions,),) = self._database.rows("SELECT count(*) FROM decision")
        if items != self._items or decisions != len(self.decisions):
            raise _edited(self._database, "there are records or decisions of no event")
        return Verified(number, str(history.Head(number, previous)))

    def _apply(self, number: int, at: int, who: str, kind: str, case: int, body: Any) -> None:
        if kind in history.WITHOUT_TABLE:
            return
        if kind == "added":
            self._added(number, at, body)
        elif kind == "made":
            self.queue = (body["name"], body["format"], at, body["settings"])
        elif kind == "upgraded":
            self.queue = (self.queue[0], body["format"], *self.queue[2:])
        elif kind == "settings":
            self.queue = (*self.queue[:3], body["settings"])
        elif kind == "reviewer_added":
            self.reviewers[body["name"]] = (body["token"], at)
        elif kind == "reviewer_removed":
            del self.reviewers[body["name"]]
        elif kind == "purged":
            self.purged.update(body["items"])
        elif kind in {"taken", "renewed"}:
            self.cases[case].lease = (who, body["until"])
        elif kind in {"given_back", "lapsed"}:
            self.cases[case].lease = (None, None)
        elif kind == "decided":
            self._decided(number, at, who, case, body)
        elif kind == "undone":
            undone, about = body["decision"], self.cases[case]
            about.standing = [one for one in about.standing if one.number != undone]
            self.decisions[undone] = at
            about.kept.pop(body["round"], None)
            about.holds = body["holds"]
            if state_of(about.standing)[0] in WAITING:
                about.unrelease()
            if not about.standing:
                self._ask(case, number, {0, body["round"]})
        elif kind == "asked_again":
            about = self.cases[case]
            if body["inherited_only"]:
                about.kept[about.round] = about.standing
            else:
                about.kept = {}
            about.round, about.asked_at, about.standing = about.round + 1, at, []
            about.unrelease()
            self._ask(case, number, {0} if body["inherited_only"] else None)
        elif kind in {"held", "released"}:
            self.cases[case].hold = (kind, at)
        else:
            raise KeyError(kind)

    def _added(self, event: int, at: int, body: Any) -> None:
        first, count = body["first"], body["records"]
        rows = self._database.rows(
            "SELECT number, record_id, case_number, digest, batch, added_at FROM item "
            "WHERE number >= ? AND number < ? ORDER BY number",
            (first, first + count),
        )
        whole = batch_digest(row[:4] for row in rows)
        good = all(row[4:] == (event, at) for row in rows)
        if whole != body["digest"] or not good or first != self._items + 1:
            what = f"records that event {event} added are not what they were"
            raise _edited(self._database, what)
        self._items += count
        for number, _, case, *_ in rows:
            if case in self.cases:
                about = self.cases[case]
                self.rounds[number] = 0 if about.standing else about.round

    def _decided(self, number: int, at: int, who: str, case: int, body: Any) -> None:
        found = self._database.rows(f"SELECT {DECISION} FROM decision WHERE number = ?", (number,))
        ids, labels = (msgspec.json.encode(body[name]).decode() for name in ("records", "labels"))
        expected = (
            number, case, body["verdict"], who, at, body["final_at"], body["reason"], ids,
            body["reviewed_digest"], labels, body["needed"], body["round"], body["supersedes"],
        )  # fmt: skip
        if len(found) != 1 or found[0][:-1] != expected:
            raise _edited(self._database, f"decision {number} is not what it was")
        about = self.cases[case]
        about.lease = (None, None)
        about.holds = body["holds"]
        about.standing.append(
            StandingDecision(number, body["verdict"], who, body["needed"], at, body["final_at"])
        )
        self.decisions[number] = None
        self.rounds |= dict.fromkeys(body["inherited"], 0)

    def _ask(self, case: int, event: int, rounds: set[int] | None) -> None:
        """Note that items of before an event, of some rounds or all, are asked about by it."""
        for (item,) in self._database.rows(
            "SELECT number FROM item WHERE case_number = ? AND batch < ?", (case, event)
        ):
            if rounds is None or self.rounds.get(item, 1) in rounds:
                self.rounds[item] = self.cases[case].round


class _CaseAt:
    """What the history says of a case, apart from its records.

    `kept` are decisions of earlier rounds, about records that were not asked about again.
    """

    def __init__(self) -> None:
        self.round = 1
        self.standing: list[StandingDecision] = []
        self.kept: dict[int, list[StandingDecision]] = {}
        self.holds = False
        self.lease: tuple[str | None, int | None] = (None, None)
        self.asked_at: int | None = None
        self.hold: tuple[str, int | None] = ("", None)

    def unrelease(self) -> None:
        """Note that it waits again, and what was released with it."""
        if self.hold[0] == "released":
            self.hold = ("", None)

    def applied(self, row: CaseRow) -> CaseRow:
        """Return a row as it has to be."""
        hold, hold_at = self.hold
        kept = (one for standing in self.kept.values() for one in standing)
        confirmed = any(one.verdict == Verdict.CONFIRMED for one in kept)
        row = row._replace(round=self.round, hold=hold, hold_at=hold_at).with_decisions(
            self.standing, holds=self.holds, was_confirmed=confirmed
        )
        if self.asked_at is not None:
            row = row._replace(asked_at=self.asked_at)
        reviewer, until = self.lease
        if reviewer is None:
            return row
        state = CaseState.IN_REVIEW.value
        return row._replace(state=state, lease_reviewer=reviewer, lease_until=until)


def _compare(database: Database, replay: _Replay) -> None:
    queue = database.rows("SELECT name, format, made_at, settings FROM queue")
    if queue != [replay.queue]:
        raise _edited(database, "its name or settings are not those of the history")
    people = database.rows("SELECT name, token, added_at FROM reviewer")
    if sorted(people) != sorted((name, *rest) for name, rest in replay.reviewers.items()):
        raise _edited(database, "its reviewers are not those of the history")
    undone: dict[int, int | None] = dict(database.rows("SELECT number, undone_at FROM decision"))
    if undone != replay.decisions:
        raise _edited(database, "decisions were undone, or not, without an event")
    settings = Settings.from_json(replay.queue[3])
    waiting, keys = _Bag(), _Bag()
    cases = chain.from_iterable(pages(database))
    for number, items in groupby(_items(database), itemgetter(0)):
        row, rows = next(cases, None), list(items)
        if row is None or row != _expected(database, replay, settings, number, rows):
            raise _edited(database, f"case {replay.queue[0]}-{number} is not what it has to be")
        waiting.put(waiting_rows(row))
        keys.put(keys_of_case(settings, number, *rows[0][5:7]))
    if next(cases, None) is not None:
        raise _edited(database, "there are cases without records")
    for table, expected_bag in (("waiting", waiting), ("grouping_key", keys)):
        found = _Bag()
        found.put(database.rows(f"SELECT * FROM {table}"))
        if found.total != expected_bag.total:
            raise _edited(database, f"table {table} is not what it has to be")


class _Bag:
    """Rows in any order: the sum of their digests."""

    def __init__(self) -> None:
        self.total = 0

    def put(self, rows: Iterable[Row]) -> None:
        """Add some rows."""
        for row in rows:
            digest = hashlib.blake2b(repr(row).encode(), digest_size=32).digest()
            self.total += int.from_bytes(digest, "big")


def _items(database: Database) -> Iterator[Row]:
    """Yield the rows of all items, by case."""
    after = (0, 0)
    while rows := database.rows(
        f"SELECT {ITEM} FROM item WHERE (case_number, number) > (?, ?) "
        f"ORDER BY case_number, number LIMIT {ROWS_PER_QUERY}",
        after,
    ):
        yield from rows
        after = rows[-1][:2]


def _expected(
    database: Database, replay: _Replay, settings: Settings, number: int, rows: list[Row]
) -> CaseRow:
    """Return the row of a case, from its items and what the history says of it."""
    records, decided = [], []
    for _, item, record_id, _, asked, line, value, source, location, digest in rows:
        if asked != replay.rounds.get(item, 1):
            raise _edited(database, f"record {item} was asked about without an event")
        if item in replay.purged:
            if (line, value, source, location) != (None, None, None, None):
                raise _edited(database, f"record {item} is there, though it has expired")
            continue
        record = ReviewRecord.from_json(line)
        if content_digest(line, value, source, location) != digest or record.record_id != record_id:
            raise _edited(database, f"record {item} is not what it was")
        records.append(record)
        if asked:
            decided.append(record)
    _, first, _, opened_at, _, line, value, *_ = rows[0]
    found = summary(records)
    algorithm = "" if value is None else ReviewRecord.from_json(line).hash.algorithm
    row = CaseRow(number, opened_at, opened_at, first, hash_algorithm=algorithm, hash=value)
    row = row.with_summary(found, priority(found, opened_at, settings))
    if number not in replay.cases:
        return row
    row = replay.cases[number].applied(row)
    return row._replace(covered=covered_by(decided)) if row.state in ENDS_WITH_NEWS else row
