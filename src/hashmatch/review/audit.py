"""Compares the tables of a queue with its history, and so finds any edit of either.

The history is gone through from its beginning and every row of every table is compared with what
follows from it. Whoever can write to the database and works out all digests anew can still forge a
whole history; the digest of the last event, kept where they cannot write, shows that too.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from hashmatch.errors import HashmatchError, ReviewError
from hashmatch.records.cases import CaseState
from hashmatch.records.review import ReviewRecord
from hashmatch.review import history
from hashmatch.review.case_rows import (
    COLUMNS,
    WAITING,
    CaseRow,
    StandingDecision,
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
    from collections.abc import Iterable, Iterator, Mapping

    from hashmatch.review.database import Database, Row

ROWS_PER_QUERY = 1000
ITEM = "case_number, number, record_id, added_at, round, line, hash, source, location, digest"
"""Columns of ``item`` that are compared."""


def verify(database: Database, head: str | None) -> Verified:
    """Return how long the history is and its last digest.

    Parameters
    ----------
    database : Database
        In a transaction that reads.
    head : str, optional
        The digest of an event that was the last once: refuse a history without it.

    Raises
    ------
    ReviewError
        If anything is not as it has to be, naming the first that is not.
    """
    damage = database.damage()
    if damage:
        raise ReviewError(f"cannot verify {database.where}: {damage}")
    try:
        found = _History(database)
        number, digest = found.go_through(head)
        _compare(database, found.replay)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise _edited(database, f"something says what hashmatch never wrote ({error})") from None
    except ReviewError:
        raise
    except HashmatchError as error:
        raise _edited(database, str(error)) from None
    return Verified(number, digest)


def _edited(database: Database, what: str) -> ReviewError:
    return ReviewError(f"{database.where} was edited: {what}")


class _History:
    """Goes through the events, and through the rows that each of them wrote."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.replay = _Replay()
        self._items = 0

    def go_through(self, head: str | None) -> tuple[int, str]:
        number, previous = 0, history.FIRST
        head_found = head is None or head == previous
        while True:
            rows = self.database.rows(
                f"SELECT {history.COLUMNS} FROM event WHERE number > ? "
                f"ORDER BY number LIMIT {ROWS_PER_QUERY}",
                (number,),
            )
            for row in rows:
                *said, digest = row
                expected = history.digest_of(previous, *said)
                if said[0] != number + 1 or digest != expected:
                    raise _edited(self.database, f"event {number + 1} is not what it was")
                number, previous = said[0], digest
                head_found = head_found or digest == head
                self._event(row)
            if len(rows) < ROWS_PER_QUERY:
                break
        if not head_found:
            raise _edited(self.database, "the event with the given digest is missing")
        ((items,),) = self.database.rows("SELECT count(*) FROM item")
        ((decisions,),) = self.database.rows("SELECT count(*) FROM decision")
        if items != self._items or decisions != len(self.replay.decisions):
            raise _edited(self.database, "there are records or decisions of no event")
        return number, previous

    def _event(self, row: Row) -> None:
        number, at, who, kind, case, text, _ = row
        body: Any = msgspec.json.decode(text)
        if kind == "added":
            self._added(number, at, body)
            return
        self.replay.apply(number, at, who, kind, case, body)
        if kind == "decided":
            self._decided(number, at, who, case, body)
        standing = self.replay.case(case).standing if case is not None else []
        if kind == "asked_again" or (kind == "undone" and not standing):
            only = kind == "undone" or body["inherited_only"]
            items = self.database.rows(
                "SELECT number FROM item WHERE case_number = ? AND batch < ?", (case, number)
            )
            asked = self.replay.case(case).round
            self.replay.asked([one for (one,) in items], asked, inherited_only=only)

    def _added(self, event: int, at: int, body: Any) -> None:
        first, count = body["first"], body["records"]
        rows = self.database.rows(
            "SELECT number, record_id, case_number, digest, batch, added_at FROM item "
            "WHERE number >= ? AND number < ? ORDER BY number",
            (first, first + count),
        )
        whole = batch_digest(row[:4] for row in rows)
        good = all(row[4:] == (event, at) for row in rows)
        if whole != body["digest"] or not good or first != self._items + 1:
            raise _edited(self.database, f"records that event {event} added are not what they were")
        self._items += count
        for number, _, case, *_ in rows:
            self.replay.joined(number, case)

    def _decided(self, number: int, at: int, who: str, case: int, body: Any) -> None:
        found = self.database.rows(
            f"SELECT {DECISION} FROM decision WHERE number = ?",
            (number,),
        )
        ids, labels = (msgspec.json.encode(body[name]).decode() for name in ("records", "labels"))
        expected = (
            number, case, body["verdict"], who, at, body["reason"], ids, body["reviewed_digest"],
            labels, body["needed"], body["round"], body["supersedes"],
        )  # fmt: skip
        if len(found) != 1 or found[0][:-1] != expected:
            raise _edited(self.database, f"decision {number} is not what it was")


class _Replay:
    """Goes through the history, event by event.

    `cases` holds those to which more happened than that records came; `rounds` the items that are
    not of the first time of asking.
    """

    def __init__(self) -> None:
        self.cases: dict[int, _CaseAt] = {}
        self.rounds: dict[int, int] = {}
        self.purged: set[int] = set()
        self.reviewers: dict[str, tuple[str, int]] = {}
        self.queue: tuple[str, int, int, str] = ("", 0, 0, "")
        self.decisions: dict[int, int | None] = {}

    def case(self, number: int) -> _CaseAt:
        """Return what is said of a case so far, to look at."""
        return self.cases.get(number, UNTOUCHED)

    def joined(self, item: int, case: int) -> None:
        """Note a record that came into a case."""
        at = self.case(case)
        asked = 0 if at.standing else at.round
        if asked != 1:
            self.rounds[item] = asked

    def asked(self, items: list[int], round_: int, *, inherited_only: bool) -> None:
        """Note that items of a case are asked about from now on, those that are there so far."""
        for item in items:
            if not inherited_only or self.rounds.get(item, 1) == 0:
                self.rounds[item] = round_

    def apply(self, number: int, at: int, who: str, kind: str, case: int, body: Any) -> None:
        """Note an event of any kind but ``added``."""
        if kind in history.FEEDBACK:
            return  # it changes no table
        if kind == "made":
            self.queue = (body["name"], body["format"], at, body["settings"])
        elif kind == "settings":
            self.queue = (*self.queue[:3], body["settings"])
        elif kind == "reviewer_added":
            self.reviewers[body["name"]] = (body["token"], at)
        elif kind == "reviewer_removed":
            del self.reviewers[body["name"]]
        elif kind == "purged":
            self.purged.update(body["items"])
        else:
            self._about(self.cases.setdefault(case, _CaseAt()), number, at, who, kind, body)

    def _about(
        self, case: _CaseAt, number: int, at: int, who: str, kind: str, body: Mapping[str, Any]
    ) -> None:
        if kind in {"taken", "renewed"}:
            case.lease = (who, body["until"])
        elif kind in {"given_back", "lapsed"}:
            case.lease = (None, None)
        elif kind == "decided":
            case.lease = (None, None)
            decision = StandingDecision(number, body["verdict"], who, body["needed"], at)
            case.standing.append(decision)
            self.decisions[number] = None
            self.rounds |= dict.fromkeys(body["inherited"], 0)
        elif kind == "undone":
            undone = body["decision"]
            case.standing = [one for one in case.standing if one.number != undone]
            self.decisions[undone] = at
        elif kind == "asked_again":
            case.round += 1
            case.asked_at = at
            case.standing = []
        elif kind in {"held", "released"}:
            case.hold = (kind, at)
        else:
            raise KeyError(kind)


class _CaseAt:
    """What the history says of a case, apart from its records."""

    def __init__(self) -> None:
        self.round = 1
        self.standing: list[StandingDecision] = []
        self.lease: tuple[str | None, int | None] = (None, None)
        self.asked_at: int | None = None
        self.hold: tuple[str, int | None] = ("", None)

    @property
    def columns(self) -> dict[str, Any]:
        """Columns of ``review_case`` as they have to be."""
        state, not_for = state_of(self.standing)
        final = state not in WAITING
        if self.lease[0] is not None:
            state = CaseState.IN_REVIEW
        said: dict[str, Any] = {} if self.asked_at is None else {"asked_at": self.asked_at}
        return said | {
            "state": state.value,
            "round": self.round,
            "not_for": not_for,
            "lease_reviewer": self.lease[0],
            "lease_until": self.lease[1],
            "decided_at": self.standing[-1].decided_at if final else None,
            "decided_event": self.standing[-1].number if final else None,
            "hold": self.hold[0],
            "hold_at": self.hold[1],
        }


UNTOUCHED = _CaseAt()


def _compare(database: Database, replay: _Replay) -> None:
    queue = database.rows("SELECT name, format, made_at, settings FROM queue")
    if queue != [replay.queue]:
        raise _edited(database, "its name or settings are not those of the history")
    people = database.rows("SELECT name, token, added_at FROM reviewer ORDER BY name")
    if people != sorted((name, *rest) for name, rest in replay.reviewers.items()):
        raise _edited(database, "its reviewers are not those of the history")
    undone: dict[int, int | None] = dict(database.rows("SELECT number, undone_at FROM decision"))
    if undone != replay.decisions:
        raise _edited(database, "decisions were undone, or not, without an event")
    settings = Settings.from_json(replay.queue[3])
    waiting, keys = _Bag(), _Bag()
    cases = _cases(database)
    for number, rows in _items_by_case(database):
        row = next(cases, None)
        expected = _expected(database, replay, settings, number, rows)
        if row != expected:
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


def _cases(database: Database) -> Iterator[CaseRow]:
    number = 0
    while rows := database.rows(
        f"SELECT {COLUMNS} FROM review_case WHERE number > ? ORDER BY number "
        f"LIMIT {ROWS_PER_QUERY}",
        (number,),
    ):
        for row in rows:
            yield CaseRow(*row)
        number = rows[-1][0]


def _items_by_case(database: Database) -> Iterator[tuple[int, list[Row]]]:
    after, case, together = (0, 0), 0, list["Row"]()
    while rows := database.rows(
        f"SELECT {ITEM} FROM item WHERE (case_number, number) > (?, ?) "
        f"ORDER BY case_number, number LIMIT {ROWS_PER_QUERY}",
        after,
    ):
        for row in rows:
            if row[0] != case and together:
                yield case, together
                together = []
            case = row[0]
            together.append(row)
        after = rows[-1][:2]
    if together:
        yield case, together


def _expected(
    database: Database, replay: _Replay, settings: Settings, number: int, rows: list[Row]
) -> CaseRow:
    """Return the row of a case, from its items and what the history says of it."""
    records = []
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
    _, first, _, opened_at, _, line, value, *_ = rows[0]
    found = summary(records)
    algorithm = "" if value is None else ReviewRecord.from_json(line).hash.algorithm
    row = CaseRow(number, opened_at, opened_at, first, hash_algorithm=algorithm, hash=value)
    row = row.with_summary(found, priority(found, opened_at, settings))
    return row._replace(**replay.case(number).columns)
