"""What a list says of its hashes, and when: merged so that the order of its pages makes no matter.

A list comes in pages and updates, in any order and some of them twice. Each row is a statement
about an entry, which is known by its external id or, without one, by its hash. Of the statements
about an entry the latest stand, and of those equally late all that differ. A withdrawal takes away
what is as old as it or older. This is a maximum over what was said, so that it comes to the same
however pages are divided, ordered or repeated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import numpy as np
import xxhash

from hashmatch.errors import HashesAreOpaque
from hashmatch.records.entries import Entries, concatenated
from hashmatch.records.hashes import HashBatch, Opaque

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

MIX = tuple(np.uint64(odd) for odd in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F))
"""Odd numbers (two primes of xxHash) that words are multiplied with to tell hashes apart."""

SIEVE = 20
"""Bits of a key that are looked at first, in a table that the processor keeps near."""
BLOCK = 1 << 20
"""Keys that are looked at together."""


class Subject(NamedTuple):
    """What a withdrawal is about: an id in any algorithm, or a hash of one.

    Without an id, ``named`` says whether entries that have one are meant as well.
    """

    external_id: str | None = None
    algorithm: str = ""
    value: bytes = b""
    named: bool = False

    def __repr__(self) -> str:  # tracebacks may show it
        return "<Subject>"

    def __reduce__(self) -> NoReturn:
        raise HashesAreOpaque("a Subject is never pickled; send the path of the list instead")


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Statements(Opaque):
    """What a list says of hashes of one kind, a row for each statement, n of them.

    `key`, shape (n,), is a digest of the id or else of the hash: entries of different keys are
    different ones. `updated`, shape (n,), is when it was said, in seconds since 1970 UTC.
    """

    hashes: HashBatch
    entries: Entries
    key: NDArray[np.uint64]
    updated: NDArray[np.float64]

    @property
    def algorithm(self) -> str:
        """Of its hashes."""
        return self.hashes.spec.algorithm

    def value(self, row: int) -> bytes:
        """Return the hash of one row, in the machine's order of bytes."""
        return bytes(self.hashes.words[row].tobytes())

    def subjects(self, row: int) -> tuple[Subject, ...]:
        """Return what a withdrawal may be about that means this row; the first names the entry."""
        external_id = None if self.entries.ids is None else self.entries.ids[row]
        algorithm, value = self.algorithm, self.value(row)
        by_hash = Subject(None, algorithm, value, True)
        if external_id is not None:
            return Subject(external_id), by_hash
        return Subject(None, algorithm, value), by_hash

    def take(self, rows: NDArray[np.int64]) -> Statements:
        """Return some of the statements."""
        hashes = HashBatch(self.hashes.spec, self.hashes.words[rows], owned=True)
        return Statements(hashes, self.entries.take(rows), self.key[rows], self.updated[rows])

    def anonymous(self) -> Statements:
        """Return the same without ids, for what needs none: they take more room than the rest."""
        return replace(self, entries=Entries(self.entries.kind, self.entries.kinds))

    def __len__(self) -> int:
        return len(self.hashes)


def standing(
    said: Sequence[Statements], withdrawn: dict[Subject, float]
) -> list[NDArray[np.bool_]]:
    """Return which statements stand, of each of `said`, one for each kind of hash.

    Only those that share their key with another or with a withdrawal are looked at one by one.

    If a hash was withdrawn, and with it the latest that was said of an entry with an id, then what
    was said of that before is added to `withdrawn`: it stands no more, even if it comes again when
    nothing is left of the later.
    """
    kept = [np.ones(len(each), np.bool_) for each in said]
    suspects = list(_suspects(said, withdrawn))
    latest: dict[Subject, float] = {}
    for each, rows in suspects:
        for row in rows.tolist():
            entry = said[each].subjects(row)[0]
            latest[entry] = max(latest.get(entry, -np.inf), float(said[each].updated[row]))
    for each, rows in suspects:
        seen: set[tuple[Subject, bytes, int]] = set()
        of_kind = said[each]
        for row in rows.tolist():
            subjects, updated = of_kind.subjects(row), float(of_kind.updated[row])
            same = subjects[0], of_kind.value(row), int(of_kind.entries.kind[row : row + 1][0])
            is_withdrawn = any(updated <= withdrawn.get(about, -np.inf) for about in subjects)
            if is_withdrawn and subjects[0].external_id is not None:
                before = math.nextafter(updated, -math.inf)
                withdrawn[subjects[0]] = max(before, withdrawn.get(subjects[0], -np.inf))
            stands = same not in seen and updated == latest[subjects[0]] and not is_withdrawn
            if stands:
                seen.add(same)
            kept[each][row] = stands
    return kept


def _suspects(
    said: Sequence[Statements], withdrawn: dict[Subject, float]
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield which of `said`, and its rows that may not stand."""
    keys = np.concatenate([np.empty(0, np.uint64), *(each.key for each in said)])
    keys.sort()
    repeated = keys[1:][keys[1:] == keys[:-1]]
    about = np.concatenate([np.unique(repeated), keys_of(withdrawn)])
    of_hashes = [subject for subject in withdrawn if subject.named]
    del keys, repeated
    for number, each in enumerate(said):
        rows = rows_about(each.key, about)
        if of_hashes:
            by_hash = rows_about(hash_keys(each.hashes.words), keys_of(of_hashes))
            rows = np.union1d(rows, by_hash)
        if len(rows):
            yield number, rows


def rows_about(keys: NDArray[np.uint64], about: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return which of many `keys` are among a few; numpy's isin would sort all of them."""
    first_bits = np.zeros(1 << SIEVE, np.bool_)
    first_bits[about >> np.uint64(64 - SIEVE)] = True
    rows = []
    for begin in range(0, len(keys), BLOCK):
        block = keys[begin : begin + BLOCK]
        maybe = np.flatnonzero(first_bits[block >> np.uint64(64 - SIEVE)])
        rows.append(begin + maybe[np.isin(block[maybe], about)])
    return np.concatenate([np.empty(0, np.int64), *rows])


def keys_of(subjects: Iterable[Subject]) -> NDArray[np.uint64]:
    """Return the key that statements about each of some subjects have."""
    keys = []
    for subject in subjects:
        if subject.external_id is not None:
            keys.append(id_key(subject.external_id.encode(errors="surrogatepass")))
        else:
            words = np.frombuffer(subject.value, np.uint64).reshape(1, -1)
            keys.append(int(hash_keys(words)[0]))
    return np.array(keys, np.uint64)


def id_key(external_id: bytes) -> int:
    """Return the key of an id in UTF-8."""
    return xxhash.xxh3_64_intdigest(external_id)


def hash_keys(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the key of each of some hashes, (n, w)."""
    keys = np.zeros(len(words), np.uint64)
    for column in words.T:
        keys ^= column
        keys *= MIX[0]
        keys ^= keys >> np.uint64(29)
        keys *= MIX[1]
        keys ^= keys >> np.uint64(32)
    return keys


def later(*withdrawn: dict[Subject, float]) -> dict[Subject, float]:
    """Return all withdrawals as one: each subject's latest."""
    latest: dict[Subject, float] = {}
    for each in withdrawn:
        for subject, updated in each.items():
            latest[subject] = max(latest.get(subject, -np.inf), updated)
    return latest


def joined(said: Iterable[Statements]) -> list[Statements]:
    """Return all statements, those about hashes of one kind together, by its name."""
    by_algorithm: dict[str, list[Statements]] = {}
    for each in said:
        by_algorithm.setdefault(each.algorithm, []).append(each)
    return [_concatenated(by_algorithm[algorithm]) for algorithm in sorted(by_algorithm)]


def _concatenated(parts: Sequence[Statements]) -> Statements:
    if len(parts) == 1:
        return parts[0]
    return Statements(
        HashBatch.concatenate([part.hashes for part in parts]),
        concatenated([part.entries for part in parts]),
        np.concatenate([part.key for part in parts]),
        np.concatenate([part.updated for part in parts]),
    )
