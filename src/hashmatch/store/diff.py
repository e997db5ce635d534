"""What a version of a list has that another has not.

What an update added to a list, as a list of its own: hashes that were kept need no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch._redact import unseen
from hashmatch.lists.merge import Statements, hash_keys, joined
from hashmatch.records.hash_list import HashList
from hashmatch.store.stored_list import StoredHashes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hashmatch.store.contents import AlgorithmContent, Content


class Difference(NamedTuple):
    """Of hashes of one algorithm: rows of one version whose hash or id the other has not.

    ``names`` are external ids, None where there is none.
    """

    algorithm: str
    added: list[str | None]
    removed: list[str | None]


@unseen
def difference(before: Content, after: Content) -> list[Difference]:
    """Return what became of a list between two versions, by algorithm."""
    found = []
    for algorithm in sorted({*before.kinds, *after.kinds}):
        old, new = _matched(before.kinds, algorithm), _matched(after.kinds, algorithm)
        found.append(Difference(algorithm, _only(new, old), _only(old, new)))
    return found


def new_hashes(
    before: Content | None, after: AlgorithmContent, algorithm: str
) -> NDArray[np.int64]:
    """Return the rows that are matched after, and whose hash was not matched before.

    Hashes are compared whole; where the keys of two different ones meet, a row too many is new.
    """
    rows = _matched_rows(after)
    if before is None or algorithm not in before.kinds:
        return rows
    kind = before.kinds[algorithm]
    known = kind.words[:][_matched_rows(kind)]
    return rows[~_among(after.words[:][rows], known)]


def _matched_rows(kind: AlgorithmContent) -> NDArray[np.int64]:
    """Return the numbers of the statements that are matched."""
    return np.delete(np.arange(kind.rows), kind.entries.gone)


def _matched(kinds: Mapping[str, AlgorithmContent], algorithm: str) -> Statements | None:
    from hashmatch.store.compaction import live

    return live(kinds[algorithm], kinds[algorithm].entries.gone) if algorithm in kinds else None


def _only(these: Statements | None, those: Statements | None) -> list[str | None]:
    """Return the ids of statements whose hash and id `those` have not together."""
    if these is None:
        return []
    rows = np.arange(len(these))
    if those is not None:
        rows = rows[~_among(_with_ids(these), _with_ids(those))]
    ids = these.entries.ids
    return [None if ids is None else ids[row] for row in rows.tolist()]


def _with_ids(said: Statements) -> NDArray[np.uint64]:
    """Return each hash, and the key of its id."""
    return np.column_stack([said.hashes.words, said.key])


def _among(words: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return which rows of `words` are, whole, among the rows of `known`."""
    if not len(known):
        return np.zeros(len(words), np.bool_)
    keys = hash_keys(known)
    order = np.argsort(keys)
    place = np.searchsorted(keys, hash_keys(words), sorter=order)
    same: NDArray[np.bool_] = known[order[np.minimum(place, len(known) - 1)]] == words
    whole: NDArray[np.bool_] = np.all(same, axis=1)
    return whole


def added(before: Content | None, after: Content, algorithm: str, secret: bytes) -> HashList | None:
    """Return what of one kind of hash is new between two versions; None if nothing is.

    It bears the name and version of the whole list, and names entries as that does.

    Parameters
    ----------
    before : Content or None
        The earlier version; without one, all is new.
    after : Content
        The later.
    algorithm : str
        Which hashes.
    secret : bytes
        The key of references, see `hashmatch.store.reference_key`.
    """
    kind = after.kinds.get(algorithm)
    if kind is None:
        return None
    rows = new_hashes(before, kind, algorithm)
    parts, first = [], 0
    for segment in kind.segments:
        own = rows[(rows >= first) & (rows < first + segment.rows)] - first
        parts.append(segment.take(own))
        first += segment.rows
    (said,) = joined(parts)
    if not len(said):
        return None
    hashes = StoredHashes(kind.spec, said.hashes.words, secret)
    manifest, limit = after.manifest, after.limits.get(algorithm)
    return HashList(
        manifest.name, str(manifest.version), kind.spec, hashes, said.entries, (), limit
    )
