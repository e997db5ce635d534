"""Which case a record joins: the nearest of the same picture, among all and those just opened."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from msgspec import UNSET

from hashmatch.errors import ReviewError
from hashmatch.records.review import ReviewRecord
from hashmatch.review import likeness
from hashmatch.review.looks import entry_rows
from hashmatch.review.texts import is_keepable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.records.decisions import Origin
    from hashmatch.review.database import Database
    from hashmatch.review.settings import Settings


LONGEST_ID = 500
"""Characters: an index takes no longer ones."""


class Incoming(NamedTuple):
    """A record as it is kept: the image's own hash apart from the rest."""

    record: ReviewRecord
    origin: Origin
    line: bytes
    hash: bytes | None
    looks: list[int]

    @classmethod
    def of(cls, record: ReviewRecord, origin: Origin, settings: Settings) -> Incoming:
        """Take the hash out of a record."""
        for text in (record.record_id, origin.source, origin.location):
            if not is_keepable(text) or len(record.record_id) > LONGEST_ID:
                raise ReviewError(f"record {record.record_id!r:.99} has text that cannot be kept")
        value = record.hash.value
        if value is UNSET:
            return cls(record, origin, record.to_json(), None, [])
        try:
            taken = bytes.fromhex(value)
        except ValueError:
            taken = b""
        if not taken:
            raise ReviewError(f"record {record.record_id} has something else for a hash")
        record = replace(record, hash=replace(record.hash, value=UNSET))
        algorithm = record.hash.algorithm
        looks = likeness.hash_looks(algorithm, taken, settings.same_picture.get(algorithm, 0))
        return cls(record, origin, record.to_json(), taken, looks)

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


class Same:
    """Finds the case of each record of a batch, among those of the queue and of the batch."""

    def __init__(self, database: Database, settings: Settings, new: Sequence[Incoming]) -> None:
        self._limits = settings.same_picture
        self._hashes: dict[int, list[tuple[int, str, bytes]]] = {}
        self._entries: dict[int, tuple[int, ReviewRecord]] = {}
        self.rows: list[tuple[int, int]] = []
        condition, value = database.among(sorted({look for each in new for look in each.looks}))
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
            for look in others
        }
        condition, value = database.among(sorted(probes))
        for look, case, line in database.rows(
            "SELECT f.look, f.number, i.line FROM (SELECT look, min(number) AS number "
            f"FROM likeness JOIN review_case ON number = case_number WHERE look {condition} "
            "AND hash IS NULL GROUP BY look) f JOIN review_case c ON c.number = f.number "
            "JOIN item i ON i.number = c.first_item",
            (value,),
        ):
            self._entries[look] = (case, ReviewRecord.from_json(line))

    @property
    def candidates(self) -> list[int]:
        """Every case that a record of the batch may join."""
        cases = {case for found in self._hashes.values() for case, _, _ in found}
        return sorted(cases | {case for case, _ in self._entries.values()})

    def case(self, each: Incoming) -> int | None:
        """Return the nearest case of the same picture, of equally near ones the oldest."""
        if each.hash is None:
            found = {
                self._entries[look]
                for _, others in likeness.entry_looks(each.record, self._limits)
                for look in others
                if look in self._entries
            }
            sums = [
                (total, case)
                for case, first in found
                if (total := likeness.entry_distance(each.record, first, self._limits)) is not None
            ]
            return min(sums, default=(0, None))[1]
        algorithm = each.record.hash.algorithm
        near = [
            (likeness.distance(each.hash, known), case)
            for look in each.looks
            for case, other, known in self._hashes.get(look, ())
            if other == algorithm and len(known) == len(each.hash)
        ]
        distance, case = min(near, default=(0, None))
        return case if distance <= self._limits.get(algorithm, 0) else None

    def open(self, each: Incoming, case: int) -> None:
        """Let later records join a new case."""
        if each.hash is None:
            for look, _ in entry_rows(each.record, self._limits, case):
                self._entries.setdefault(look, (case, each.record))
                self.rows.append((look, case))
            return
        known = case, each.record.hash.algorithm, each.hash
        for look in each.looks:
            self._hashes.setdefault(look, []).append(known)
            self.rows.append((look, case))
