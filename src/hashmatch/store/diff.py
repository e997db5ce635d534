"""What a version of a list has that another has not."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch._redact import unseen
from hashmatch.lists.merge import Statements, hash_keys
from hashmatch.store.compaction import live

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
    """Return what became of a list between two versions, by algorithm.

    Parameters
    ----------
    before, after : Content
        As `ListStore.version` gives them.
    """
    found = []
    for algorithm in sorted({*before.kinds, *after.kinds}):
        old, new = _matched(before.kinds, algorithm), _matched(after.kinds, algorithm)
        found.append(Difference(algorithm, _only(new, old), _only(old, new)))
    return found


def _matched(kinds: Mapping[str, AlgorithmContent], algorithm: str) -> Statements | None:
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
