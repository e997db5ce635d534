"""What a version of a list has that another has not, and what became of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xxhash

from hashmatch._redact import unseen
from hashmatch.lists.merge import MIX, hash_keys, joined, rows_about, rows_withdrawn
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hashmatch.lists.merge import Statements, Withdrawals
    from hashmatch.store.contents import AlgorithmContent, Content, StoredStatements


class Difference(NamedTuple):
    """Of hashes of one algorithm: what a later version made of the entries of an earlier one.

    Each is a list of external ids, None where there is none. An entry is a hash under an id.

    Parameters
    ----------
    algorithm : str
        Which.
    added : list
        New ones.
    changed : list
        Those with other labels, sources, status, quality or limit.
    withdrawn : list
        Those that their owner took out, or said to be nothing to be found.
    superseded : list
        Those in whose place is another of the same id, or that was there twice.
    dropped : list
        Others: a whole list was imported that does not have them, or they are in quarantine now.
    """

    algorithm: str
    added: list[str | None]
    changed: list[str | None]
    withdrawn: list[str | None]
    superseded: list[str | None]
    dropped: list[str | None]

    @property
    def removed(self) -> list[str | None]:
        """All that are there no longer."""
        return self.withdrawn + self.superseded + self.dropped


EFFECTS = Difference._fields[1:]


@unseen
def difference(before: Content, after: Content) -> list[Difference]:
    """Return what became of a list between two versions, by algorithm.

    Parameters
    ----------
    before, after : Content
        As `ListStore.version` gives them, in the order that they were made in.
    """
    found = []
    for algorithm, parts in _parts(before, after, after.withdrawals):
        found.append(Difference(algorithm, *(_ids(parts.get(name)) for name in EFFECTS)))
    return found


def effects(before: Content, after: Content, withdrawals: Withdrawals) -> dict[str, int]:
    """Return how many entries of any kind each part of their `difference` has.

    `withdrawals` are those of the delivery; which of them had an effect is noted there.
    """
    counts = dict.fromkeys(EFFECTS, 0)
    for _, parts in _parts(before, after, withdrawals):
        for name, said in parts.items():
            counts[name] += len(said)
    return counts


@unseen
def new_or_changed(before: Content, after: Content, algorithm: str) -> HashList:
    """Return the entries that a later version added or changed, as a list of that version.

    All of its entries, if the list's own limit is another than it was.

    Parameters
    ----------
    before, after : Content
        As for `difference`.
    algorithm : str
        Of the hashes.
    """
    manifest, kind = after.manifest, after.kinds[algorithm]
    limit = after.limits.get(algorithm)
    parts = dict(_parts(before, after, after.withdrawals))[algorithm]
    found = [parts[name] for name in ("added", "changed") if len(parts.get(name, ()))]
    name, version = manifest.name, str(manifest.version)
    if before.limits.get(algorithm) != limit:
        hashes = HashBatch(kind.spec, kind.words[:], owned=True)
        return HashList(
            name, version, kind.spec, hashes, kind.entries, (), limit, videos=kind.videos
        )
    if not found:
        return HashList(name, version, kind.spec, HashBatch.from_bytes(kind.spec, b""), ())
    said = joined(found)[0]
    videos = kind.videos and kind.videos.of_keys(said.hashes.words)
    return HashList(name, version, kind.spec, said.hashes, said.entries, (), limit, videos=videos)


def _ids(said: Statements | None) -> list[str | None]:
    if said is None:
        return []
    ids = said.entries.ids
    return [None if ids is None else ids[row] for row in range(len(said))]


def _parts(
    before: Content, after: Content, withdrawals: Withdrawals
) -> Iterator[tuple[str, dict[str, Statements]]]:
    """Yield each algorithm, and the entries that each of `EFFECTS` is about."""
    for algorithm in sorted({*before.kinds, *after.kinds}):
        old, new = before.kinds.get(algorithm), after.kinds.get(algorithm)
        here, there = _matched(old, new), _matched(new, old)
        was, now = _only(here, there), _only(there, here)
        parts: dict[str, Statements] = {}
        if was is not None and now is not None:
            order = np.argsort(_withdrawn(was, withdrawals), kind="stable")
            was = was.take(order)
            changed = _paired(now, was)
            was = was.take(np.flatnonzero(~_paired(was, now)))
            parts["changed"] = now.take(np.flatnonzero(changed))
            now = now.take(np.flatnonzero(~changed))
        if now is not None:
            parts["added"] = now
        if was is not None:
            withdrawn = _withdrawn(was, withdrawals)
            superseded = ~withdrawn & _restated(was, new)
            for name, which in (
                ("withdrawn", withdrawn),
                ("superseded", superseded),
                ("dropped", ~withdrawn & ~superseded),
            ):
                parts[name] = was.take(np.flatnonzero(which))
        yield algorithm, parts


class _Rows(NamedTuple):
    """Rows of a file, and a digest of all that is said of each."""

    segment: StoredStatements
    rows: NDArray[np.int64]
    digests: NDArray[np.uint64]


def _matched(kind: AlgorithmContent | None, other: AlgorithmContent | None) -> list[_Rows]:
    """Return what is matched of one version; of files both have, only what is not of the other."""
    if kind is None:
        return []
    stands = np.ones(kind.rows, np.bool_)
    stands[kind.entries.gone] = False
    shared = {} if other is None else _places(other)
    others_gone = np.empty(0, np.int64) if other is None else other.entries.gone
    parts, first = [], 0
    for segment in kind.segments:
        own = stands[first : first + segment.rows]
        if segment.sha256 in shared:
            rows = others_gone - shared[segment.sha256]
            rows = rows[(rows >= 0) & (rows < segment.rows)]
            rows = rows[own[rows]]
        else:
            rows = np.flatnonzero(own)
        if len(rows):
            parts.append(_Rows(segment, rows, _wholes(segment)[rows]))
        first += segment.rows
    return parts


def _places(kind: AlgorithmContent) -> dict[str, int]:
    """Return where the rows of each file begin."""
    places, first = {}, 0
    for segment in kind.segments:
        places[segment.sha256] = first
        first += segment.rows
    return places


def _pairs(said: Statements) -> NDArray[np.uint64]:
    """Return a digest of each hash and its id."""
    return hash_keys(said.hashes.words) * MIX[0] ^ said.key


def _wholes(segment: StoredStatements) -> NDArray[np.uint64]:
    """Return a digest of each hash, its id and all else that is said of it."""
    kinds = [xxhash.xxh3_64_intdigest(repr(kind).encode()) for kind in segment.entries.kinds]
    digests = hash_keys(segment.words[:])
    digests *= MIX[0]
    digests ^= segment.key
    digests *= MIX[1]
    digests ^= np.array(kinds, np.uint64)[segment.entries.kind[:]]
    return digests


def _only(these: list[_Rows], those: list[_Rows]) -> Statements | None:
    """Return what is said here and not there; None if there is nothing at all."""
    known = np.concatenate([np.empty(0, np.uint64), *(part.digests for part in those)])
    found = [
        part.segment.take(part.rows[~np.isin(part.digests, known, assume_unique=True)])
        for part in these
    ]
    return joined(found)[0] if found else None


def _paired(these: Statements, those: Statements) -> NDArray[np.bool_]:
    """Return for which there is one there with the same hash and id, each of those taken once."""
    mine, others = _pairs(these), np.sort(_pairs(those))
    order = np.argsort(mine, kind="stable")
    mine = mine[order]
    rank = np.arange(len(mine)) - np.searchsorted(mine, mine, "left")
    count = np.searchsorted(others, mine, "right") - np.searchsorted(others, mine, "left")
    paired = np.zeros(len(mine), np.bool_)
    paired[order] = rank < count
    return paired


def _withdrawn(was: Statements, withdrawals: Withdrawals) -> NDArray[np.bool_]:
    """Return which entries were taken out by their owner."""
    withdrawn = np.zeros(len(was), np.bool_)
    for row in rows_withdrawn(was.key, was.hashes.words, withdrawals.subjects).tolist():
        withdrawn[row] = withdrawals.take_out(was.statement(row), earlier=True)
    return withdrawn


def _restated(was: Statements, new: AlgorithmContent | None) -> NDArray[np.bool_]:
    """Return in whose place there is another."""
    restated, stated, first = np.zeros(len(was), np.bool_), set(), 0
    if new is None or not len(was):
        return restated
    keys = np.unique(was.key)
    for segment in new.segments:
        rows = rows_about(segment.key, keys)
        said = segment.take(rows[~np.isin(first + rows, new.gone)])
        restated[rows_about(was.key, np.unique(said.key))] = True
        stated |= {said.statement(row).identity for row in range(len(said))}
        first += segment.rows
    for row in np.flatnonzero(restated).tolist():
        one = was.statement(row)
        restated[row] = one.wide in stated or one.narrow in stated
    return restated
