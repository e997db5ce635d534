"""HashIndex equals the naive loop: any size, any distance, any width."""

from __future__ import annotations

import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hashmatch as hm
import naive
from hashmatch.testing import flipped, hash_list, random_hashes

JIT = not os.environ.get("NUMBA_DISABLE_JIT")


def batch_of(values: list[int], bits: int) -> hm.HashBatch:
    return hm.HashBatch.from_hex(
        hm.HashSpec("any", bits), [f"{value:0{bits // 4}x}" for value in values]
    )


def values_of(batch: hm.HashBatch) -> list[int]:
    return [int(text, 16) for text in batch.to_hex()]


def found(index: hm.HashIndex, queries: hm.HashBatch, limit: int) -> list[tuple[int, int, int]]:
    hits = index.search(queries, limit)
    rows = zip(hits.query.tolist(), hits.entry.tolist(), hits.distance.tolist(), strict=True)
    return list(rows)


@st.composite
def problems(draw: st.DrawFn) -> tuple[int, list[int], list[int], int]:
    """Entries, and queries of which some lie exactly d - 1, d and d + 1 bits from an entry."""
    bits = draw(st.sampled_from([64, 128, 160, 256, 512]))
    anything = st.integers(0, 2**bits - 1)
    entries = draw(st.lists(anything, max_size=5))
    limit = draw(st.integers(0, bits))
    queries = draw(st.lists(anything, max_size=2))
    for entry in entries[:2]:
        order = draw(st.permutations(range(bits)))
        for distance in (limit - 1, limit, limit + 1):
            if 0 <= distance <= bits:
                queries.append(entry ^ sum(1 << bit for bit in order[:distance]))
    return bits, queries, entries, limit


@given(problems())
def test_search_equals_the_naive_loop(problem: tuple[int, list[int], list[int], int]) -> None:
    bits, queries, entries, limit = problem
    index = hm.HashIndex.build(batch_of(entries, bits))
    assert found(index, batch_of(queries, bits), limit) == naive.search(queries, entries, limit)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 31, 32, 33, 3000 if JIT else 60])
@pytest.mark.parametrize("bits", [64, 256])
def test_every_size_and_every_distance(size: int, bits: int) -> None:
    spec = hm.HashSpec("any", bits)
    entries = random_hashes(spec, size, seed=size)
    near = flipped(entries[:1], min(31, bits), seed=1) if size else entries
    queries = hm.HashBatch.concatenate([random_hashes(spec, 2, seed=5), near, entries[:1]])
    index = hm.HashIndex.build(entries)
    everything = naive.search(values_of(queries), values_of(entries), bits)
    for limit in range(bits + 1) if JIT else (0, 31, bits):
        expected = [hit for hit in everything if hit[2] <= limit]
        assert found(index, queries, limit) == expected, limit


@pytest.mark.parametrize("value", [0, 2**256 - 1])
def test_all_equal_lists_give_every_pair(value: int) -> None:
    count = 40 if JIT else 5
    index = hm.HashIndex.build(batch_of([value] * count, 256))
    hits = index.search(batch_of([value] * count, 256), max_distance=0)
    assert len(hits) == count * count
    assert not hits.distance.any()


def test_more_hits_than_there_was_room_for() -> None:
    entries = batch_of([0] * 2000, 64)
    hits = hm.HashIndex.build(entries).search(batch_of([1], 64), max_distance=1)
    assert hits.entry.tolist() == list(range(2000))


def test_a_list_of_one_hash_matches() -> None:
    """Facebook's index of one hash matched nothing (ThreatExchange issue 1318)."""
    only = random_hashes(hm.HashSpec("pdq", 256), 1, seed=3)
    hits = hm.HashIndex.build(hash_list(only)).search(flipped(only, 31, seed=2), max_distance=31)
    assert hits.distance.tolist() == [31]


def test_other_kinds_of_hash_are_refused() -> None:
    index = hm.HashIndex.build(random_hashes(hm.HashSpec("pdq", 256), 3, seed=1))
    with pytest.raises(hm.SpecMismatch, match=r"for sha256 .*: it holds pdq .256 bits."):
        index.search(random_hashes(hm.HashSpec("sha256", 256), 1, seed=1), max_distance=31)


@pytest.mark.parametrize("limit", [-1, 65])
def test_a_distance_out_of_range_is_refused(limit: int) -> None:
    index = hm.HashIndex.build(batch_of([1], 64))
    with pytest.raises(hm.UsageError, match="Give one from 0 to 64"):
        index.search(batch_of([1], 64), limit)


@pytest.mark.parametrize("limit", [31.9, "31", float("nan"), [1]])
def test_a_distance_that_is_no_whole_number_is_refused(limit: Any) -> None:
    """31.9 was cut to 31, and text was taken for a number."""
    batch = batch_of([1], 64)
    with pytest.raises(hm.UsageError, match="whole number"):
        hm.HashIndex.build(batch).search(batch, limit)
    if limit is not None:
        with pytest.raises(hm.UsageError, match="whole number"):
            hm.HashIndex.build(batch, limit)
    assert len(hm.HashIndex.build(batch, np.int64(3)).search(batch, np.int64(3))) == 1  # type: ignore[arg-type]


def test_search_from_threads() -> None:
    spec = hm.HashSpec("pdq", 256)
    entries = random_hashes(spec, 500 if JIT else 20, seed=1)
    index = hm.HashIndex.build(entries)
    with ThreadPoolExecutor(4) as pool:
        rows = range(20)
        results = pool.map(lambda row: index.search(entries[row : row + 1], 0).entry.tolist(), rows)
        assert list(results) == [[row] for row in rows]


def test_an_index_is_opaque() -> None:
    index = hm.HashIndex.build(batch_of([0xABC], 64))
    assert repr(index) == f"<HashIndex {index.snapshot}, any (64 bits), n=1>"
    with pytest.raises(hm.HashesAreOpaque, match="cannot pickle"):
        pickle.dumps(index)


def test_results_are_whole_arrays() -> None:
    hits = hm.HashIndex.build(batch_of([], 64)).search(batch_of([1, 2], 64), max_distance=64)
    assert len(hits) == 0
    assert hits.query.dtype == hits.entry.dtype == hits.distance.dtype == np.int64
