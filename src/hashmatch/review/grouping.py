"""Groups records of near-duplicate pictures: finds the case that a record joins, exactly.

Hashes that differ in at most s bits agree in at least one of s + 1 parts into which their bits are
cut (the pigeonhole principle), so a case is found by the parts of its first record's hash, and the
distance is then counted. Records without a hash are of one picture if they matched the same entry
so closely that their distances add up to no more (the triangle inequality); that takes an entry's
name to stand for one hash of an algorithm. The two kinds are never compared with each other.

A key is a number of 64 bits for a part of a hash, or for an entry and a distance to it. The table
``grouping_key`` has those of the first record of each case.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import cache
from hashlib import blake2b
from itertools import chain, pairwise
from typing import TYPE_CHECKING, NamedTuple

from msgspec import UNSET

from hashmatch.errors import ReviewError
from hashmatch.records.review import ReviewRecord
from hashmatch.review.text import is_storable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hashmatch.records.cases import Origin
    from hashmatch.review.database import Transaction
    from hashmatch.review.settings import Settings

PRIME = 2**61 - 1
"""Longer parts of a hash are taken modulo this; shorter ones stay what they are."""
LONGEST_ID = 500
"""Characters: an index takes no longer ones."""


class CaseFinder:
    """Finds the case of each record of a batch, among those of the queue and of the batch."""

    def __init__(self, tx: Transaction, new: Sequence[Incoming]) -> None:
        self._limits = tx.settings.same_picture
        # Of keys that two records have; all others lead nowhere.
        seen = Counter(chain.from_iterable(each.keys for each in new))
        self._by_hash: dict[int, list[tuple[int, str, bytes]]] = {
            key: [] for key, records in seen.items() if records > 1
        }
        self._by_entry: dict[int, tuple[int, ReviewRecord]] = {}
        self.new_keys: list[tuple[int, int]] = []
        condition, value = tx.database.among(sorted(seen))
        for key, case, algorithm, known in tx.database.rows(
            "SELECT value, number, hash_algorithm, hash FROM grouping_key JOIN review_case "
            f"ON number = case_number WHERE value {condition} AND hash IS NOT NULL",
            (value,),
        ):
            self._by_hash.setdefault(key, []).append((case, algorithm, known))
        probes = {key for each in new if each.hash is None for key in self._probes(each.record)}
        condition, value = tx.database.among(sorted(probes))
        for key, case, line in tx.database.rows(
            "SELECT f.value, f.number, i.line FROM (SELECT value, min(number) AS number "
            "FROM grouping_key JOIN review_case ON number = case_number "
            f"WHERE value {condition} AND hash IS NULL GROUP BY value) f "
            "JOIN review_case c ON c.number = f.number JOIN item i ON i.number = c.first_item",
            (value,),
        ):
            self._by_entry[key] = (case, ReviewRecord.from_json(line))

    @property
    def candidates(self) -> list[int]:
        """Every case that a record of the batch may join."""
        cases = {case for found in self._by_hash.values() for case, _, _ in found}
        return sorted(cases | {case for case, _ in self._by_entry.values()})

    def find(self, each: Incoming) -> int | None:
        """Return the nearest case of the same picture, of equally near ones the oldest."""
        if each.hash is None:
            keys = self._probes(each.record)
            found = {self._by_entry[key] for key in keys if key in self._by_entry}
            sums = [
                (total, case)
                for case, first in found
                if (total := _entry_distance(each.record, first, self._limits)) is not None
            ]
            return min(sums, default=(0, None))[1]
        shared = self._by_hash.keys() & each.keys
        if not shared:
            return None
        algorithm, bits = each.record.hash.algorithm, int.from_bytes(each.hash)
        near = [
            ((bits ^ int.from_bytes(known)).bit_count(), case)
            for key in shared
            for case, other, known in self._by_hash[key]
            if other == algorithm and len(known) == len(each.hash)
        ]
        distance, case = min(near, default=(0, None))
        return case if distance <= self._limits.get(algorithm, 0) else None

    def open(self, each: Incoming, case: int) -> None:
        """Let later records join a new case."""
        if each.hash is None:
            keys = _entry_keys(each.record, self._limits)
            for key in keys:
                self._by_entry.setdefault(key, (case, each.record))
        else:
            keys = each.keys
            for key in self._by_hash.keys() & keys:
                self._by_hash[key].append((case, each.record.hash.algorithm, each.hash))
        self.new_keys += [(key, case) for key in keys]

    def _probes(self, record: ReviewRecord) -> set[int]:
        """Return the keys of every distance, to an entry that a record matched, that is enough."""
        return {
            _key(*entry, other)
            for entry, distance, same in _close_matches(record, self._limits)
            for other in range(same - distance + 1)
        }


class Incoming(NamedTuple):
    """A record, and how it is kept: the image's own hash apart from the rest."""

    record: ReviewRecord
    origin: Origin
    line: bytes
    hash: bytes | None
    keys: list[int]

    @classmethod
    def of(cls, record: ReviewRecord, origin: Origin, settings: Settings) -> Incoming:
        """Take the hash out of a record."""
        for text in (record.record_id, origin.source, origin.location):
            if not is_storable(text) or len(record.record_id) > LONGEST_ID:
                raise ReviewError(
                    f"cannot add record {record.record_id!r:.99}: it has text that cannot be kept"
                )
        value = record.hash.value
        if value is UNSET:
            return cls(record, origin, record.to_json(), None, [])
        try:
            taken = bytes.fromhex(value)
        except ValueError:
            taken = b""
        if not taken:
            raise ReviewError(f"cannot add record {record.record_id}: its hash is not hexadecimal")
        algorithm = record.hash.algorithm
        keys = hash_keys(algorithm, taken, settings.same_picture.get(algorithm, 0))
        return cls(record, origin, record.to_json(include_hash=False), taken, keys)

    @property
    def digest(self) -> bytes:
        """The SHA-256 of all that is kept and may expire."""
        return content_digest(self.line, self.hash, self.origin.source, self.origin.location)


def content_digest(line: bytes, value: bytes | None, source: str, location: str) -> bytes:
    """Return the SHA-256 of all that is kept of a record and may expire."""
    apart = b"" if value is None else b"\1" + value
    parts = (line, apart, source.encode(), location.encode())
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


def keys_of_case(
    settings: Settings, case: int, line: bytes | None, value: bytes | None
) -> list[tuple[int, int]]:
    """Return the rows of ``grouping_key`` of a case, by its first record and the hash of that.

    There are none if the first record has expired, so that nothing joins the case any more.
    """
    if line is None:
        return []
    record, limits = ReviewRecord.from_json(line), settings.same_picture
    if value is None:
        keys = _entry_keys(record, limits)
    else:
        algorithm = record.hash.algorithm
        keys = hash_keys(algorithm, value, limits.get(algorithm, 0))
    return [(key, case) for key in keys]


def hash_keys(algorithm: str, value: bytes, same: int) -> list[int]:
    """Return the keys of a hash, of which others within `same` bits have one in common."""
    number = int.from_bytes(value, "big")
    keys = [
        seed ^ (number >> start & mask) % PRIME
        for seed, start, mask in _parts(algorithm, len(value) * 8, same)
    ]
    return list(dict.fromkeys(keys))


@cache
def _parts(algorithm: str, bits: int, same: int) -> list[tuple[int, int, int]]:
    """Return of each part a number of its own, where it starts, and a mask as wide as it is."""
    parts = min(same + 1, bits)
    edges = [bits * i // parts for i in range(parts + 1)]
    return [
        (_key(algorithm, bits, parts, i), start, (1 << end - start) - 1)
        for i, (start, end) in enumerate(pairwise(edges))
    ]


def _key(*parts: object) -> int:
    """Return 64 bits for something; that others have the same costs time, no mistake."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True)


def _close_matches(
    record: ReviewRecord, limits: Mapping[str, int]
) -> Iterator[tuple[tuple[str, str, str, str], int, int]]:
    """Yield each entry that a record matched closely, its distance, and the algorithm's limit."""
    for match in record.matches:
        limit = limits.get(match.algorithm, 0)
        if match.distance <= limit:
            entry = match.list, match.list_version, match.entry, match.algorithm
            yield entry, match.distance, limit


def _entry_keys(record: ReviewRecord, limits: Mapping[str, int]) -> list[int]:
    """Return the keys of a record without a hash: of each close entry and its distance."""
    keys = (_key(*entry, distance) for entry, distance, _ in _close_matches(record, limits))
    return list(dict.fromkeys(keys))


def _entry_distance(
    left: ReviewRecord, right: ReviewRecord, limits: Mapping[str, int]
) -> int | None:
    """Return the least sum of two records' distances to one entry; None if it is too large."""
    there = {entry: distance for entry, distance, _ in _close_matches(right, limits)}
    sums = [
        distance + there[entry]
        for entry, distance, limit in _close_matches(left, limits)
        if entry in there and distance + there[entry] <= limit
    ]
    return min(sums, default=None)
