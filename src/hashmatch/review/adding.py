"""Records into the queue: each once, to the case of its picture, a batch whole or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from msgspec import UNSET

from hashmatch.errors import ReviewError
from hashmatch.review import history, likeness
from hashmatch.review.answers import Added
from hashmatch.review.looks import entry_rows
from hashmatch.review.rows import CaseRow, load_all, save
from hashmatch.review.rules import WAITING, priority

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hashmatch.records.decisions import Origin
    from hashmatch.records.review import ReviewRecord
    from hashmatch.review.database import Database
    from hashmatch.review.settings import Settings

BATCH = 1000
"""Records of one transaction: it is over in about 0.2 s, for which a reviewer can wait."""


class Incoming(NamedTuple):
    """A record as it is kept: the image's own hash apart from the rest."""

    record: ReviewRecord
    origin: Origin
    line: bytes
    hash: bytes | None

    @classmethod
    def of(cls, record: ReviewRecord, origin: Origin) -> Incoming:
        """Take the hash out of a record."""
        value = record.hash.value
        if value is UNSET:
            return cls(record, origin, record.to_json(), None)
        try:
            taken = bytes.fromhex(value)
        except ValueError:
            taken = b""
        if not taken:
            raise ReviewError(f"record {record.record_id} has something else for a hash")
        record = replace(record, hash=replace(record.hash, value=UNSET))
        return cls(record, origin, record.to_json(), taken)

    @property
    def digest(self) -> bytes:
        """The SHA-256 of all that is kept and may expire."""
        return content_digest(self.line, self.hash, self.origin.source, self.origin.location)


def content_digest(line: bytes, value: bytes | None, source: str, location: str) -> bytes:
    """Return the SHA-256 of all that is kept of a record and may expire."""
    total = hashlib.sha256()
    apart = b"" if value is None else b"\1" + value
    for part in (line, apart, source.encode(), location.encode()):
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.digest()


def batch_digest(items: Iterable[tuple[int, str, int, bytes]]) -> str:
    """Return the SHA-256 of a batch: of each item its number, record, case and content."""
    total = hashlib.sha256()
    for number, record_id, case, digest in items:
        total.update(f"{number} {case} {record_id}\n".encode())
        total.update(digest)
    return total.hexdigest()


def add_batch(
    database: Database,
    settings: Settings,
    batch: Sequence[tuple[ReviewRecord, Origin]],
    at: int,
    who: str,
    *,
    again: bool,
) -> Added:
    """Add records within a transaction.

    Parameters
    ----------
    database : Database
        In a transaction.
    settings : Settings
        Of the queue.
    batch : sequence of (ReviewRecord, Origin)
        Some; any of them may be there already.
    at : int
        Now.
    who : str
        Whose doing it is.
    again : bool
        Whether records that had expired come in again.
    """
    pending = [(record, origin) for record, origin in batch if record.status == "pending_review"]
    suppressed = len(batch) - len(pending)
    seen = _known(database, [record.record_id for record, _ in pending], again)
    new: list[Incoming] = []
    for record, origin in pending:
        if record.record_id not in seen:
            seen.add(record.record_id)
            if not record.matches:
                raise ReviewError(f"record {record.record_id} has no match")
            new.append(Incoming.of(record, origin))
    known = len(pending) - len(new)
    if not new:
        return Added(0, known, suppressed, 0)
    event = history.last(database)[0] + 1
    opened, items = _sorted_into_cases(database, settings, new, at, event)
    history.append(
        database,
        at,
        who,
        "added",
        first=items[0][0],
        records=len(items),
        digest=batch_digest((row[0], row[1], row[2], row[-1]) for row in items),
    )
    database.insert("item", items)
    return Added(len(new), known, suppressed, opened)


def _known(database: Database, ids: Sequence[str], again: bool) -> set[str]:
    """Return which records are there, or have been."""
    if not ids:
        return set()
    condition, value = database.among(ids)
    there = " AND line IS NOT NULL" if again else ""
    sql = f"SELECT record_id FROM item WHERE record_id {condition}{there}"
    return {name for (name,) in database.rows(sql, (value,))}


Items = list[tuple[int, str, int, int, int, int, bytes, bytes | None, str, str, bytes]]


def _sorted_into_cases(
    database: Database, settings: Settings, new: Sequence[Incoming], at: int, event: int
) -> tuple[int, Items]:
    """Open cases or let records join them; return how many were opened, and the rows of items."""
    number, case_number = (
        (found or 0) + 1
        for found in database.rows(
            "SELECT (SELECT max(number) FROM item), (SELECT max(number) FROM review_case)"
        )[0]
    )
    same = Same(database, settings, new)
    before = load_all(database, same.candidates)
    after: dict[int, CaseRow] = {}
    items: Items = []
    opened = 0
    for each in new:
        joined = same.case(each)
        if joined is None:
            joined, opened = case_number + opened, opened + 1
            same.open(each, joined)
            algorithm = each.record.hash.algorithm if each.hash is not None else ""
            row = CaseRow(joined, at, at, number, hash_algorithm=algorithm, hash=each.hash)
        else:
            row = after.get(joined) or before[joined]
        asked = row.state in WAITING and not row.not_for
        found = row.summary.joined(each.record)
        after[joined] = row.saying(found, priority(found, row.opened_at, settings))
        origin = each.origin
        items.append(
            (
                number,
                each.record.record_id,
                joined,
                event,
                row.round if asked else 0,
                at,
                each.line,
                each.hash,
                origin.source,
                origin.location,
                each.digest,
            )
        )
        number += 1
    save(database, [(before.get(one), row) for one, row in after.items()])
    database.insert("likeness", same.rows)
    return opened, items


class Same:
    """Finds the case of each record of a batch, among those of the queue and of the batch."""

    def __init__(self, database: Database, settings: Settings, new: Sequence[Incoming]) -> None:
        self._limits = settings.same_picture
        self._hashes: dict[int, list[tuple[int, str, bytes]]] = {}
        self._entries: dict[int, int] = {}
        self.rows: list[tuple[int, int]] = []
        looks = [self._looks(each) for each in new if each.hash is not None]
        condition, value = database.among(sorted({look for each in looks for look in each}))
        for look, case, algorithm, known in database.rows(
            "SELECT look, number, hash_algorithm, hash FROM likeness "
            f"JOIN review_case ON number = case_number WHERE look {condition} AND hash IS NOT NULL",
            (value,),
        ):
            self._hashes.setdefault(look, []).append((case, algorithm, known))
        probes = {
            look
            for each in new
            if each.hash is None
            for _, others in likeness.entry_looks(each.record, self._limits)
            for look, _ in others
        }
        condition, value = database.among(sorted(probes))
        for look, case in database.rows(
            f"SELECT look, min(number) FROM likeness JOIN review_case ON number = case_number "
            f"WHERE look {condition} AND hash IS NULL GROUP BY look",
            (value,),
        ):
            self._entries[look] = case

    @property
    def candidates(self) -> list[int]:
        """Every case that a record of the batch may join."""
        cases = {case for found in self._hashes.values() for case, _, _ in found}
        return sorted(cases | set(self._entries.values()))

    def _looks(self, each: Incoming) -> list[int]:
        algorithm = each.record.hash.algorithm
        return likeness.hash_looks(algorithm, each.hash or b"", self._limits.get(algorithm, 0))

    def case(self, each: Incoming) -> int | None:
        """Return the nearest case of the same picture, of equally near ones the oldest."""
        if each.hash is None:
            sums = [
                (total, self._entries[look])
                for _, others in likeness.entry_looks(each.record, self._limits)
                for look, total in others
                if look in self._entries
            ]
            return min(sums, default=(0, None))[1]
        algorithm = each.record.hash.algorithm
        near = [
            (likeness.distance(each.hash, known), case)
            for look in self._looks(each)
            for case, other, known in self._hashes.get(look, ())
            if other == algorithm and len(known) == len(each.hash)
        ]
        distance, case = min(near, default=(0, None))
        return case if distance <= self._limits.get(algorithm, 0) else None

    def open(self, each: Incoming, case: int) -> None:
        """Let later records join a new case."""
        if each.hash is None:
            for look, _ in entry_rows(each.record, self._limits, case):
                self._entries.setdefault(look, case)
                self.rows.append((look, case))
            return
        for look in self._looks(each):
            self._hashes.setdefault(look, []).append((case, each.record.hash.algorithm, each.hash))
            self.rows.append((look, case))
