"""Which case a record joins: the nearest of the same picture, among all and those just opened.

Which records are of one picture: within a few bits of each other, found exactly.

Hashes that differ in at most s bits agree in at least one of s + 1 parts into which their bits are
cut (the pigeonhole principle), so a case is found by the parts of its first record's hash, and the
distance is then counted. Records without a hash are of one picture if they matched the same entry
so closely that their distances add up to no more (the triangle inequality); that takes an entry's
name to stand for one hash of an algorithm. The two kinds are never compared with each other.

The rows of ``likeness``: by what a case is found when a record of the same picture comes.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from msgspec import UNSET

from hashmatch.errors import ReviewError
from hashmatch.records.review import ReviewRecord
from hashmatch.review.text import is_keepable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hashmatch.records.cases import Origin
    from hashmatch.review.database import Database
    from hashmatch.review.settings import Settings

PRIME = 2**61 - 1
"""What a longer part is brought below; shorter ones stay what they are."""


def _look(*parts: object) -> int:
    """Return 64 bits for what may be alike; that others have the same costs time, no mistake."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True)


def hash_looks(algorithm: str, value: bytes, same: int) -> list[int]:
    """Return one number for each of the `same` + 1 parts of a hash.

    Parameters
    ----------
    algorithm : str
        Of the hash.
    value : bytes
        The hash.
    same : int
        Bits in which hashes of one picture may differ.
    """
    number = int.from_bytes(value, "big")
    return [
        seed ^ (number >> start & mask) % PRIME
        for seed, start, mask in _parts(algorithm, len(value) * 8, same)
    ]


@cache
def _parts(algorithm: str, bits: int, same: int) -> list[tuple[int, int, int]]:
    """Return of each part a number of its own, where it starts, and a mask as wide as it is."""
    parts = min(same + 1, bits)
    edges = [bits * i // parts for i in range(parts + 1)]
    return [
        (_look(algorithm, bits, parts, i), start, (1 << end - start) - 1)
        for i, (start, end) in enumerate(pairwise(edges))
    ]


def entry_looks(
    record: ReviewRecord, same_picture: Mapping[str, int]
) -> Iterator[tuple[int, list[int]]]:
    """Yield what stands for each entry that a record without a hash matched closely.

    Yields the number to be found by, and those to look for: of each distance that is near enough.
    """
    for match in record.matches:
        same = same_picture.get(match.algorithm, 0)
        if match.distance > same:
            continue
        entry = match.list, match.list_version, match.entry, match.algorithm
        yield (
            _look(*entry, match.distance),
            [_look(*entry, other) for other in range(same - match.distance + 1)],
        )


def entry_distance(
    left: ReviewRecord, right: ReviewRecord, same_picture: Mapping[str, int]
) -> int | None:
    """Return the least sum of two records' distances to one entry; None if it is too large."""
    there = {
        (match.list, match.list_version, match.entry, match.algorithm): match.distance
        for match in right.matches
    }
    sums = [
        match.distance + there[entry]
        for match in left.matches
        if (entry := (match.list, match.list_version, match.entry, match.algorithm)) in there
        and match.distance + there[entry] <= same_picture.get(match.algorithm, 0)
    ]
    return min(sums, default=None)


def hash_distance(left: bytes, right: bytes) -> int:
    """Return in how many bits two hashes of one length differ."""
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).bit_count()


def entry_rows(
    record: ReviewRecord, same_picture: Mapping[str, int], case: int
) -> list[tuple[int, int]]:
    """Return the rows of a case whose first record has no hash."""
    looks = dict.fromkeys(look for look, _ in entry_looks(record, same_picture))
    return [(look, case) for look in looks]


def rows_of_case(
    settings: Settings, case: int, line: bytes | None, value: bytes | None
) -> list[tuple[int, int]]:
    """Return all rows of a case.

    Parameters
    ----------
    settings : Settings
        Say how near hashes of one picture are.
    case : int
        Its number.
    line : bytes, optional
        Its first record; None if it has expired, and nothing joins the case any more.
    value : bytes, optional
        The hash of that record's picture.
    """
    if line is None:
        return []
    record = ReviewRecord.from_json(line)
    if value is None:
        return entry_rows(record, settings.same_picture, case)
    algorithm = record.hash.algorithm
    same = settings.same_picture.get(algorithm, 0)
    return [(look, case) for look in dict.fromkeys(hash_looks(algorithm, value, same))]


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
        looks = hash_looks(algorithm, taken, settings.same_picture.get(algorithm, 0))
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
            for _, others in entry_looks(each.record, self._limits)
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
                for _, others in entry_looks(each.record, self._limits)
                for look in others
                if look in self._entries
            }
            sums = [
                (total, case)
                for case, first in found
                if (total := entry_distance(each.record, first, self._limits)) is not None
            ]
            return min(sums, default=(0, None))[1]
        algorithm = each.record.hash.algorithm
        near = [
            (hash_distance(each.hash, known), case)
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
