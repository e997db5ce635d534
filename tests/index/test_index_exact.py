"""HashIndex equals the naive loop however it came to be, asked few queries or many."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hashmatch as hm
import naive
from conftest import JIT
from hashmatch.index import segment
from hashmatch.testing import flipped, random_hashes
from index_answers import WIDTHS, batch_of, found, pretended

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

WAYS = ["linear", "built", "laid out as many", "opened", "opened unchecked", "changed"]


def values_of(batch: hm.HashBatch) -> list[int]:
    return [int(text, 16) for text in batch.to_hex()]


def made(way: str, entries: hm.HashBatch, limit: int, folder: Path) -> hm.HashIndex:
    """Return an index of the entries, numbered as they are."""
    if way == "linear":
        return hm.HashIndex.build(entries)
    if way == "built":
        return hm.HashIndex.build(entries, limit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "plan", pretended)
        half = len(entries) // 2
        if way == "changed":
            index = hm.HashIndex.build(entries[:half], limit).with_changes(entries[half : half + 1])
            return index.with_changes(entries[half + 1 :])
        index = hm.HashIndex.build(entries, limit)
    if way.startswith("opened"):
        index.save(folder / "an.index")
        index = hm.HashIndex.open(folder / "an.index", check="unchecked" not in way)
    return index


def assert_equal(way: str, entries: list[int], queries: list[int], bits: int, limit: int,
                 folder: Path) -> None:  # fmt: skip
    index = made(way, batch_of(entries, bits), limit, folder)
    for asked in {limit, limit // 2, min(limit + 1, bits)}:
        expected = naive.search(queries, entries, asked)
        assert found(index, batch_of(queries, bits), asked) == expected
        if queries and JIT:  # more than are asked one by one
            times = 65 // len(queries) + 1
            many = [
                (q + turn * len(queries), e, d) for turn in range(times) for q, e, d in expected
            ]
            assert found(index, batch_of(queries * times, bits), asked) == many


@st.composite
def problems(draw: st.DrawFn) -> tuple[int, list[int], list[int], int]:
    """Few values, near each other or equal, and queries d - 1, d and d + 1 bits from some."""
    bits = draw(st.sampled_from(WIDTHS))
    limit = draw(st.sampled_from([0, 1, 3, 8, 15, 31]) | st.integers(0, bits))
    values = draw(st.lists(st.integers(0, 2**bits - 1) | st.just(0), max_size=4))
    copies = draw(st.sampled_from([1, 2, 11, 40]))
    entries = draw(st.permutations(values + values[:1] * copies))
    queries = draw(st.lists(st.integers(0, 2**bits - 1), max_size=2))
    for value in values[:2]:
        order = draw(st.permutations(range(bits)))
        for distance in (limit - 1, limit, limit + 1):
            if 0 <= distance <= bits:
                queries.append(value ^ sum(1 << bit for bit in order[:distance]))
    return bits, queries, list(entries), limit


@settings(max_examples=40 if JIT else 6)
@given(problem=problems(), way=st.sampled_from(WAYS))
def test_any_index_equals_the_naive_loop(
    tmp_path_factory: pytest.TempPathFactory,
    problem: tuple[int, list[int], list[int], int],
    way: str,
) -> None:
    bits, queries, entries, limit = problem
    assert_equal(way, entries, queries, bits, limit, tmp_path_factory.getbasetemp())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bits", WIDTHS)
def test_every_size(tmp_path: Path, bits: int, way: str) -> None:
    limit = bits // 8 - 1
    for size in (0, 1, 2, 3, 31, 32, 33):
        entries = values_of(random_hashes(hm.HashSpec("any", bits), size, seed=size))
        queries = [0, 2**bits - 1]
        for distance in (limit - 1, limit, limit + 1) if size else ():
            near = flipped(batch_of(entries[-1:], bits), distance, seed=distance)
            queries += values_of(near)
        assert_equal(way, entries, queries, bits, limit, tmp_path)


@pytest.mark.parametrize("value", ["00", "ff", "5a"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bits", [64, 256])
def test_equal_lists(tmp_path: Path, bits: int, way: str, value: str) -> None:
    same = int(value * (bits // 8), 16)
    for size in (2, 33, 700) if JIT else (2, 9):
        queries = [same, same ^ 1, same ^ (2**9 - 1), 0]
        assert_equal(way, [same] * size, queries, bits, 8, tmp_path)


def found_at_once(index: hm.HashIndex, queries: hm.HashBatch, limit: int) -> NDArray[np.int64]:
    """Return what `found` does as three rows, for millions of hits."""
    hits = index.search(queries, limit)
    return np.stack([hits.query, hits.entry, hits.distance]).astype(np.int64)


@lru_cache
def large(bits: int) -> tuple[hm.HashBatch, hm.HashBatch, dict[int, NDArray[np.int64]]]:
    """Return thousands of entries, queries at all distances from some, and what is near what."""
    spec = hm.HashSpec("any", bits)
    entries = random_hashes(spec, 20_000, seed=bits)
    heap = flipped(hm.HashBatch.concatenate([entries[:1]] * 40), 5, seed=4)
    entries = hm.HashBatch.concatenate([entries, heap, entries[7:9]])
    near = [flipped(entries[row : row + 1], distance, seed=distance)
            for row, distance in enumerate(range(0, bits + 1, max(1, bits // 130)))]  # fmt: skip
    queries = hm.HashBatch.concatenate([*near, random_hashes(spec, 3, seed=1)])
    unlike = queries.words[:, None, :] ^ entries.words[None, :, :]
    distances = np.bitwise_count(unlike).sum(axis=2, dtype=np.int64)
    answers = {}
    for limit in (0, 3, 8, bits // 8, bits // 4, bits // 2, bits - 1):
        query, entry = np.nonzero(distances <= limit)
        answers[limit] = np.stack([query, entry, distances[query, entry]])
    return entries, queries, answers


@pytest.mark.skipif(not JIT, reason="too many to run uncompiled")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bits", WIDTHS)
def test_thousands_of_entries(tmp_path: Path, bits: int, way: str) -> None:
    entries, queries, answers = large(bits)
    assert len(queries) > 64
    index = made(way, entries, min(bits // 8, 56), tmp_path)  # bands are no use at 64 of 512
    if way != "linear" and bits not in (160, 128):
        assert "bands" in index.explain()
    for limit, expected in answers.items():
        if limit <= bits // 4 or way in ("linear", "changed"):
            assert np.array_equal(found_at_once(index, queries, limit), expected)
            few = expected[:, expected[0] < 9]
            assert np.array_equal(found_at_once(index, queries[:9], limit), few)


@pytest.mark.skipif(not JIT, reason="too slow uncompiled")
def test_threads_search_while_others_change_the_list(tmp_path: Path) -> None:
    """Few queries and many at once; each thread's answers are those of one alone."""
    entries, queries, answers = large(256)
    index = made("laid out as many", entries, 31, tmp_path)
    index.save(tmp_path / "an.index")
    opened = hm.HashIndex.open(tmp_path / "an.index")
    expected, changes = answers[64], threading.Event()
    begins = list(range(0, len(queries), 5))
    by_block = {}
    for begin in begins:
        block = answers[32][:, answers[32][0] // 5 == begin // 5]
        by_block[begin] = block - [[begin], [0], [0]]

    def ask(number: int) -> int:
        known = (index, opened)[number % 2]
        if number % 5 == 0:
            assert np.array_equal(found_at_once(known, queries, 64), expected)
        elif number % 5 == 1:
            assert np.array_equal(found_at_once(known, queries, 32), answers[32])
        else:
            begin = begins[number % len(begins)]
            some = found_at_once(known, queries[begin : begin + 5], 32)
            assert np.array_equal(some, by_block[begin])
            nearest = known.nearest(queries[begin : begin + 2], 1)
            assert len(nearest) == 2
        return number

    def states() -> Iterator[tuple[hm.HashIndex, int]]:
        later, added = opened, 0
        for step in range(300):
            if changes.is_set():
                return
            later = later.with_changes(queries[:2], [step])
            added += 2
            yield later, added

    def change() -> int:
        for later, added in states():
            assert len(later) == len(entries) + added // 2
            hits = later.search(queries[:1], 0)
            assert hits.entry.tolist()[-1] == len(entries) + added - 2
            assert hits.snapshot == later.snapshot
        return 0

    with ThreadPoolExecutor(6) as pool:
        changing = [pool.submit(change) for _ in range(2)]
        try:
            assert list(pool.map(ask, range(160))) == list(range(160))
        finally:
            changes.set()
        assert [one.result() for one in changing] == [0, 0]
