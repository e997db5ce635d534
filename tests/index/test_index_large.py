"""Slow checks of long lists: a billion pairs against numpy, and planted ones among ten million."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import hashmatch as hm
from hashmatch.testing import flipped, random_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.slow


def skewed(count: int, bits: int, seed: int) -> NDArray[np.uint64]:
    """Return hashes of which 30 % lie in clusters of near-duplicates, and whose bits are biased."""
    rng = np.random.default_rng(seed)
    biased = np.packbits(rng.random((count, bits), np.float32) < rng.uniform(0.3, 0.7, bits), 1)
    words = biased.view(">u8").astype(np.uint64)
    clustered = rng.permutation(count)[: count * 3 // 10]
    centres = words[rng.integers(0, count, max(1, count // 1000))]
    words[clustered] = centres[rng.zipf(1.3, len(clustered)) % len(centres)]
    for _ in range(12):
        bit = rng.integers(0, bits, len(clustered))
        some = rng.random(len(clustered)) < 0.7
        flip = np.where(some, np.uint64(1) << (bit % 64).astype(np.uint64), np.uint64(0))
        words[clustered, bit // 64] ^= flip
    return words


def by_numpy(
    entries: NDArray[np.uint64], queries: NDArray[np.uint64], limit: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return every pair within the limit, by query, then by entry."""
    columns = [np.ascontiguousarray(column) for column in entries.T]
    found = []
    for q, query in enumerate(queries):
        distance = np.zeros(len(entries), np.uint16)
        for column, word in zip(columns, query, strict=True):
            distance += np.bitwise_count(column ^ word)
        rows = np.flatnonzero(distance <= limit)
        found.append((np.full(len(rows), q), rows, distance[rows].astype(np.int64)))
    query, entry, distances = (np.concatenate(part) for part in zip(*found, strict=True))
    return query, entry, distances


@pytest.mark.parametrize(
    ("bits", "limit", "kind"), [(256, 31, "uniform"), (256, 31, "skewed"), (64, 8, "skewed")]
)
def test_a_billion_pairs_equal_numpy(bits: int, limit: int, kind: str) -> None:
    spec, count = hm.HashSpec("any", bits), 1_000_000
    if kind == "uniform":
        entries = random_hashes(spec, count, seed=1)
    else:
        entries = hm.HashBatch(spec, skewed(count, bits, seed=1))
    step = count // 700
    near = [flipped(entries[d * step : d * step + 10], d % 36, seed=d) for d in range(70)]
    queries = hm.HashBatch.concatenate([*near, random_hashes(spec, 300, seed=2)])
    assert len(entries) * len(queries) == 10**9
    index = hm.HashIndex.build(entries, limit)
    assert "bands" in index.explain()
    expected = by_numpy(entries.words, queries.words, limit)
    assert len(expected[0]) > 500
    whole = index.search(queries)
    for ours, theirs in zip((whole.query, whole.entry, whole.distance), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for q in range(0, 1000, 7):  # one by one
        one = index.search(queries[q : q + 1])
        mine = expected[0] == q
        np.testing.assert_array_equal(one.entry, expected[1][mine])
        np.testing.assert_array_equal(one.distance, expected[2][mine])


def test_ten_million_entries() -> None:
    spec, count = hm.HashSpec("pdq", 256), 10_000_000
    entries = random_hashes(spec, count, seed=10)
    index = hm.HashIndex.build(entries, 31)
    (part,) = index._state.parts
    arrays: list[NDArray[Any]] = [part.segment.columns]
    if part.segment.tables is not None:
        arrays += [part.segment.tables.tables, part.segment.tables.head]
    assert sum(array.nbytes for array in arrays) <= 130 * count
    rows = np.random.default_rng(3).integers(0, count, 34 * 30)
    planted = [flipped(entries[row : row + 1], n % 34, seed=n) for n, row in enumerate(rows)]
    queries = hm.HashBatch.concatenate(planted)
    expected = [(n, int(row), n % 34) for n, row in enumerate(rows) if n % 34 <= 31]
    hits = index.search(queries)
    columns = hits.query.tolist(), hits.entry.tolist(), hits.distance.tolist()
    assert list(zip(*columns, strict=True)) == expected
    for n, row in list(enumerate(rows))[:136]:
        one = index.search(queries[n : n + 1])
        assert one.entry.tolist() == [row] * (n % 34 <= 31)
    grown = index.with_changes(queries[:1000], rows[:2])
    assert len(grown.search(queries[:2], 33)) == 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 * 2**20  # KiB
