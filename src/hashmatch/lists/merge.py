"""What a list says of its hashes, and when: what stands of it, and what takes the place of what.

A list comes in deliveries: the files of one import or update, in any order and some of them twice.
Each row is a statement about an entry, said some time in a span: a day, a minute, a second, or an
exact time. What it is about is its identity:

- where its format has unique ids: the name space, the id and the kind of hash;
- elsewhere, where ids may be names of files: the same and the hash;
- without an id: the kind of hash and the hash.

Within a delivery a listing of the same identity that begins after another's end supersedes it, and
else both stand. A withdrawal takes out what begins no later than it ends, in whatever order they
come, and in later deliveries too; and what has no time and was delivered with it or before. What a
later delivery says of an identity takes the place of what stood before, unless it ends before that
begins.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import numpy as np
import xxhash

from hashmatch.errors import HashesAreOpaque
from hashmatch.interfaces import SPACES, Span
from hashmatch.records import video_columns
from hashmatch.records.entries import Entries, concatenated
from hashmatch.records.hashes import HashBatch, Opaque

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from hashmatch.records.entries import Entry
    from hashmatch.records.video_columns import Videos

MIX = tuple(np.uint64(odd) for odd in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F))
"""Odd numbers (two primes of xxHash) that words are multiplied with to tell hashes apart."""

SIEVE = 20
"""Bits of a key that are looked at first, in a table that the processor keeps near."""
BLOCK = 1 << 20
"""Keys that are looked at together."""

STANDS, REPEATED, SUPERSEDED, WITHDRAWN, OLDER = range(5)
"""What becomes of a statement: the last was said before what stands, or was withdrawn before."""


class Subject(NamedTuple):
    """What a statement or a withdrawal is about.

    An id of a name space: of any kind of hash, or of one ``algorithm``, or with one hash of it. Or
    a hash; ``named`` says whether entries that have an id are meant as well.
    """

    external_id: str | None = None
    algorithm: str = ""
    value: bytes = b""
    named: bool = False
    space: str = ""

    def __repr__(self) -> str:  # tracebacks may show it
        return "<Subject>"

    def __reduce__(self) -> NoReturn:
        raise HashesAreOpaque(
            "cannot pickle a Subject: it may hold a hash. Send the path of the list instead"
        )


UNIQUE, UNDATED = 1, 8


def scope_of(space: str, unique: bool) -> int:
    """Return as one number which name space an id is of, and whether it is unique there."""
    return SPACES.index(space) << 1 | unique


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Statements(Opaque):
    """What a list says of hashes of one kind, a row for each statement, n of them.

    `key`, shape (n,), is a digest of the id and its name space, or else of the hash: entries of
    different keys are different ones. `begin` and `end`, shape (n,), are when it was said at the
    earliest and at the latest, in seconds since 1970 UTC; `scope`, shape (n,), is `scope_of` the
    id, and `UNDATED` where the owner gave no time. Of videos, the hashes are keys of `videos`,
    which may have others too.
    """

    hashes: HashBatch
    entries: Entries
    key: NDArray[np.uint64]
    begin: NDArray[np.float64]
    end: NDArray[np.float64]
    scope: NDArray[np.uint8]
    videos: Videos | None = field(default=None, kw_only=True)

    @property
    def algorithm(self) -> str:
        """Of its hashes."""
        return self.hashes.spec.algorithm

    def statement(self, row: int) -> Statement:
        """Return one of them."""
        scope = int(self.scope[row])
        return Statement(
            None if self.entries.ids is None else self.entries.ids[row],
            SPACES[(scope & ~UNDATED) >> 1],
            self.algorithm,
            bytes(self.hashes.words[row].tobytes()),
            bool(scope & UNIQUE),
            self.entries.kinds[int(self.entries.kind[row : row + 1][0])],
            Span(float(self.begin[row]), float(self.end[row])),
            bool(scope & UNDATED),
        )

    def identities(self) -> NDArray[np.uint64]:
        """Return a digest of each identity."""
        digests = hash_keys(self.hashes.words)
        digests *= MIX[0]
        digests ^= self.key
        unique = np.flatnonzero(self.scope & UNIQUE)
        digests[unique] = self.key[unique]
        return digests

    def take(self, rows: NDArray[np.int64]) -> Statements:
        """Return some of the statements."""
        hashes = HashBatch(self.hashes.spec, self.hashes.words[rows], owned=True)
        columns = (self.key[rows], self.begin[rows], self.end[rows], self.scope[rows])
        return Statements(hashes, self.entries.take(rows), *columns, videos=self.videos)

    def anonymous(self) -> Statements:
        """Return the same without ids, for what needs none: they take more room than the rest."""
        return replace(self, entries=Entries(self.entries.kind, self.entries.kinds))

    def __len__(self) -> int:
        return len(self.hashes)


Rank = tuple[Span, bool, bool]


class Statement(NamedTuple):
    """One statement of a list: whether its id is ``unique``, and its time not its owner's."""

    external_id: str | None
    space: str
    algorithm: str
    value: bytes
    unique: bool
    said: Entry
    span: Span
    undated: bool

    def __repr__(self) -> str:  # tracebacks may show it
        return "<Statement>"

    def __reduce__(self) -> NoReturn:
        raise HashesAreOpaque(
            "cannot pickle a Statement: it holds a hash. Send the path of the list instead"
        )

    @property
    def rank(self) -> Rank:
        """By which one of several that say the same is kept: the highest."""
        return self.span, self.unique, not self.undated

    @property
    def narrow(self) -> Subject:
        """Its hash under its id, or just its hash."""
        return Subject(self.external_id, self.algorithm, self.value, False, self.space)

    @property
    def wide(self) -> Subject:
        """All hashes of its kind under its id, or just its hash."""
        if self.external_id is None:
            return self.narrow
        return Subject(self.external_id, self.algorithm, space=self.space)

    @property
    def identity(self) -> Subject:
        """What it is about."""
        return self.wide if self.unique else self.narrow

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """What a withdrawal may be about that means it."""
        by_hash = Subject(None, self.algorithm, self.value, True)
        if self.external_id is None:
            return self.narrow, by_hash
        of_id = Subject(self.external_id, space=self.space)
        return of_id, self.wide, self.narrow, by_hash


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Withdrawals(Opaque):
    """What was taken out of a list.

    `withdrawn` has of each subject the latest time that it was withdrawn; `cleared`, of identities,
    when their owner last said that they are nothing to be found. `asked` has all subjects of the
    withdrawals of a delivery, by the first of each; `effective` gathers of each subject which
    hashes it took out, of those that no unique id tells apart. `nameless` has a None for each
    withdrawal that says neither an id nor a hash.
    """

    withdrawn: dict[Subject, float] = field(default_factory=dict)
    cleared: dict[Subject, Span] = field(default_factory=dict)
    asked: dict[Subject, set[Subject]] = field(default_factory=dict)
    effective: dict[Subject, set[tuple[str, bytes]]] = field(default_factory=dict)
    nameless: list[None] = field(default_factory=list)

    def withdraw(self, subjects: Sequence[Subject], end: float, *, asked: bool = True) -> None:
        """Take in a withdrawal, of at least one subject, that was made at `end` at the latest.

        Whether it has an effect is reported for what is `asked`: of other kinds of hash most has
        none.
        """
        if asked:
            self.asked.setdefault(subjects[0], set()).update(subjects)
        for subject in subjects:
            self.withdrawn[subject] = max(end, self.withdrawn.get(subject, -math.inf))

    def clear(self, subject: Subject, span: Span) -> None:
        """Take in that something is nothing to be found."""
        said = self.cleared.get(subject, span)
        self.cleared[subject] = Span(max(said.begin, span.begin), max(said.end, span.end))

    def take_out(self, one: Statement, *, earlier: bool = False, later: bool = False) -> bool:
        """Return whether a statement is taken out, of the same delivery, an `earlier` or a `later`.

        One that nobody dated may have been said any time before it was delivered.
        """
        is_out = False
        begin = -math.inf if one.undated and not later else one.span.begin
        for subject in one.subjects:
            if subject in self.withdrawn and begin <= self.withdrawn[subject]:
                is_out = True
                if self.asked:
                    hashes = self.effective.setdefault(subject, set())
                    hashes |= set() if one.unique else {(one.algorithm, one.value)}
            said = self.cleared.get(subject)
            if said is not None:
                is_out |= begin <= said.end > -math.inf if earlier else one.span.end < said.begin
        return is_out

    def forget_before(self, one: Statement) -> None:
        """Keep that what was said of a unique id before `one`, which is taken out, stands no more.

        Else it would, when it comes again and nothing is left of the later.
        """
        by_id = self.withdrawn.get(one.subjects[0], -math.inf)
        if one.unique and by_id < one.span.begin:
            self.clear(one.wide, Span(one.span.begin, -math.inf))

    def followed_by(self, later: Withdrawals) -> Withdrawals:
        """Return what is withdrawn after a later delivery; what that says stands takes effect."""
        both = Withdrawals(dict(self.withdrawn))
        for subject, end in later.withdrawn.items():
            both.withdrawn[subject] = max(end, both.withdrawn.get(subject, -math.inf))
        for subject, span in self.cleared.items():
            both.clear(subject, Span(span.begin, -math.inf))
        for subject, span in later.cleared.items():
            both.clear(subject, span)
        return both

    def says_same(self, other: Withdrawals) -> bool:
        """Return whether both take out the same, whatever is still to be listed."""
        return (self.withdrawn, self.cleared) == (other.withdrawn, other.cleared)

    @property
    def subjects(self) -> list[Subject]:
        """All that something is said of."""
        return [*self.withdrawn, *self.cleared]

    @property
    def without_effect(self) -> list[str | None]:
        """Ids, None where there is none, of the withdrawals that took nothing out."""
        idle = [
            first.external_id
            for first, subjects in self.asked.items()
            if not subjects & self.effective.keys()
        ]
        return [*idle, *self.nameless]

    @property
    def several(self) -> dict[str, int]:
        """Withdrawn ids that are not unique and took out several hashes of a kind: how many."""
        found = {}
        for subject, hashes in self.effective.items():
            if subject.external_id is not None and not subject.algorithm:
                kinds = Counter(algorithm for algorithm, _ in hashes)
                if max(kinds.values(), default=0) > 1:
                    found[subject.external_id] = len(hashes)
        return found


def settle(
    said: Sequence[Statements], own: Withdrawals, before: Withdrawals | None = None
) -> list[NDArray[np.uint8]]:
    """Return what becomes of each statement of a delivery, one array for each kind of hash.

    Only those that share their identity with another or with a withdrawal, `own` or from `before`,
    are looked at one by one.
    """
    before = before or Withdrawals()
    fates = [np.full(len(each), STANDS, np.uint8) for each in said]
    suspects = [_suspects(each, [*own.subjects, *before.subjects]) for each in said]
    latest: dict[Subject, float] = {}
    for _, _, one in _each(said, suspects):
        latest[one.identity] = max(latest.get(one.identity, -math.inf), one.span.begin)
    best: dict[tuple[Subject, Entry], tuple[Rank, int]] = {}
    lost = []
    for fate, row, one in _each(said, suspects, fates):
        if own.take_out(one):
            fate[row] = WITHDRAWN
            lost.append(one)
        elif before.take_out(one, later=True):
            fate[row] = OLDER
            lost.append(one)
        elif one.span.end < max(latest.get(each, -math.inf) for each in (one.wide, one.narrow)):
            fate[row] = SUPERSEDED
        else:
            same = one.narrow, one.said
            other = best.get(same)
            if other is not None and other[0] >= one.rank:
                fate[row] = REPEATED
                continue
            if other is not None:
                fate[other[1]] = REPEATED
            best[same] = one.rank, row
    for one in lost:
        own.forget_before(one)
    return fates


FATES = {"repeated": REPEATED, "superseded": SUPERSEDED, "withdrawn": WITHDRAWN}
"""In counts of rows, those that do not stand, though nothing was said of them before."""


def counted(fates: Sequence[NDArray[np.uint8]]) -> dict[str, int]:
    """Return how many statements have each of `FATES`, if any has."""
    counts = {
        name: sum(int(np.count_nonzero(each == fate)) for each in fates)
        for name, fate in FATES.items()
    }
    return {name: count for name, count in counts.items() if count}


def standing(said: Statements, fates: NDArray[np.uint8]) -> Statements:
    """Return those that stand."""
    stands = fates == STANDS
    return said if stands.all() else said.take(np.flatnonzero(stands))


def _each(
    said: Sequence[Statements],
    suspects: Sequence[NDArray[np.int64]],
    fates: Sequence[NDArray[np.uint8]] | None = None,
) -> Iterator[tuple[NDArray[np.uint8], int, Statement]]:
    """Yield the statements of some rows, each with its row, and the fates that it is to go to."""
    for each, rows, fate in zip(said, suspects, fates or [_NONE] * len(said), strict=True):
        for row in rows.tolist():
            yield fate, row, each.statement(row)


_NONE = np.empty(0, np.uint8)


def _suspects(said: Statements, withdrawn: Sequence[Subject]) -> NDArray[np.int64]:
    """Return the statements that may not stand."""
    identities = said.identities()
    identities.sort()
    repeated = np.unique(identities[1:][identities[1:] == identities[:-1]])
    del identities
    rows = rows_withdrawn(said.key, said.hashes.words, withdrawn)
    unique = np.flatnonzero(said.scope & UNIQUE)
    if 0 < len(unique) < len(said):  # ids of two formats, which may be the same
        rows = np.union1d(rows, rows_about(said.key, np.unique(said.key[unique])))
    if len(repeated):
        rows = np.union1d(rows, rows_about(said.identities(), repeated))
    return rows


def rows_withdrawn(
    keys: NDArray[np.uint64], words: NDArray[np.uint64], withdrawn: Iterable[Subject]
) -> NDArray[np.int64]:
    """Return the rows, of such keys and hashes, that some withdrawals may be about."""
    withdrawn = list(withdrawn)
    rows = rows_about(keys, keys_of(withdrawn))
    by_hash = keys_of(subject for subject in withdrawn if subject.named)
    return np.union1d(rows, rows_about(hash_keys(words), by_hash)) if len(by_hash) else rows


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
            named = subject.external_id.encode(errors="surrogatepass")
            keys.append(id_key(named, SPACES.index(subject.space)))
        else:
            words = np.frombuffer(subject.value, np.uint64).reshape(1, -1)
            keys.append(int(hash_keys(words)[0]))
    return np.array(keys, np.uint64)


def id_key(external_id: bytes, space: int = 0) -> int:
    """Return the key of an id in UTF-8, in the name space `SPACES` of that number."""
    return xxhash.xxh3_64_intdigest(external_id, space)


def id_keys(external_ids: Iterable[bytes]) -> Iterator[int]:
    """Return the key of each of many ids, in no name space of their own."""
    return map(xxhash.xxh3_64_intdigest, external_ids)


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


def joined(said: Iterable[Statements]) -> list[Statements]:
    """Return all statements, those about hashes of one kind together, by its name."""
    by_algorithm: dict[str, list[Statements]] = {}
    for each in said:
        by_algorithm.setdefault(each.algorithm, []).append(each)
    return [_concatenated(by_algorithm[algorithm]) for algorithm in sorted(by_algorithm)]


def joined_videos(parts: Sequence[Videos]) -> Videos | None:
    """Return the videos of all parts; None if there are no parts, as of pictures."""
    return video_columns.joined(parts) if parts else None


def _concatenated(parts: Sequence[Statements]) -> Statements:
    if len(parts) == 1:
        return parts[0]
    return Statements(
        HashBatch.concatenate([part.hashes for part in parts]),
        concatenated([part.entries for part in parts]),
        np.concatenate([part.key for part in parts]),
        np.concatenate([part.begin for part in parts]),
        np.concatenate([part.end for part in parts]),
        np.concatenate([part.scope for part in parts]),
        videos=joined_videos([part.videos for part in parts if part.videos is not None]),
    )
