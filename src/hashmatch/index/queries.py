"""What a snapshot can be asked, as functions; `hashmatch.HashIndex` says what each answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.errors import SpecMismatch, UsageError
from hashmatch.index.arguments import in_bits, no_hashes
from hashmatch.index.chunking import AT_ONCE, USUAL, in_blocks
from hashmatch.records.hashes import HashBatch
from hashmatch.records.matches import Matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hashmatch.index.snapshot import Snapshot
    from hashmatch.records.hashes import HashSpec
    from hashmatch.records.matches import Pairs


def limit_of(state: Snapshot, max_distance: int | None) -> int:
    """Return the limit of a search in bits: what is asked for, else what the index has."""
    if max_distance is not None:
        return in_bits(state.spec, max_distance)
    if state.limit is None:
        raise UsageError(
            "cannot search without a max_distance: the index was built without one. Give one"
        )
    return state.limit


def words_of(state: Snapshot, batch: HashBatch) -> NDArray[np.uint64]:
    """Return the words of queries, once it is sure that the index can be asked for them."""
    if not isinstance(batch, HashBatch):
        raise no_hashes("search for", batch)
    if batch.spec is not state.spec and batch.spec != state.spec:
        raise mismatch(state, batch.spec)
    return batch.words


def mismatch(state: Snapshot, spec: HashSpec) -> SpecMismatch:
    """Return the error about queries of another kind."""
    return SpecMismatch(f"cannot ask this index for {spec}: it holds {state.spec}")


def as_matches(state: Snapshot, pairs: Pairs, limit: int) -> Matches:
    """Return an answer, once it is sure that what was searched is what was opened."""
    state.check()
    if not len(pairs.query):
        return state.nothing
    return Matches(*pairs, state.limits(pairs.entry, limit), state.name)


def stream(state: Snapshot, words: NDArray[np.uint64], limit: int) -> Iterator[Matches]:
    """Yield every pair near enough, of some queries, then of others."""
    for first, pairs in in_blocks(words, lambda some: state.find(some, limit)):
        yield as_matches(state, pairs._replace(query=pairs.query + first), limit)


def nearest(state: Snapshot, words: NDArray[np.uint64], k: int, limit: int) -> Iterator[Matches]:
    """Yield the `k` entries nearest to each query, of some queries, then of others."""
    count = min(k, max(1, len(state)))
    at_once = max(1, min(AT_ONCE, USUAL // count))
    for first in range(0, len(words), at_once):
        pairs = state.nearest(words[first : first + at_once], count, limit)
        limits = np.full(len(pairs.query), limit)
        part = Matches(pairs.query + first, pairs.entry, pairs.distance, limits, state.name)
        state.check()
        yield part.closest(count)


def join(state: Snapshot, other: Snapshot, limit: int) -> Iterator[Matches]:
    """Yield every pair of an entry of `other`, as the query, and one of `state` near enough."""
    for part in other.parts:
        words, numbers = part.live(other.gone)
        for found in stream(state, words, limit):
            other.check()
            yield replace(found, query=numbers[found.query])


def self_join(state: Snapshot, limit: int) -> Iterator[Matches]:
    """Yield every two entries near each other, the lower number as the query."""
    from hashmatch.index.snapshot import pairs_among

    for pairs in pairs_among(state.parts, state.gone, limit):
        state.check()
        yield Matches(*pairs, np.full(len(pairs.query), limit), state.name)
