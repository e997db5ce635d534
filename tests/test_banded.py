"""Bands find what the naive loop finds: any width, limit and list, lists of copies among them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hashmatch as hm
import naive
from hashmatch._kernels import bands as kernels
from hashmatch._kernels import signatures
from hashmatch._kernels.jit import kernel
from hashmatch.banded import Banded, plan
from hashmatch.testing import flipped, random_hashes

JIT = not os.environ.get("NUMBA_DISABLE_JIT")
LIMITS = {64: [0, 1, 3, 8, 10], 128: [0, 5, 12], 256: [0, 1, 7, 20, 31, 40], 512: [0, 15, 31]}


def words_of(values: list[int], bits: int) -> Any:
    spec = hm.HashSpec("any", bits)
    return hm.HashBatch.from_hex(spec, [f"{value:0{bits // 4}x}" for value in values]).words


def found(banded: Banded, queries: Any, limit: int, room: int = 50_000) -> Any:
    out = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    count = banded.within(queries, limit, out)
    return sorted(zip(*(column[:count].tolist() for column in out), strict=True)), count


def built(values: list[int], bits: int, limit: int, pretended: int) -> Banded:
    """Return the tables as they are laid out for a list of `pretended` entries."""
    planned = plan(bits, limit, pretended)
    assert planned is not None
    assert sum(band.width for band in planned.bands) == bits
    assert sum(band.tolerance + 1 for band in planned.bands) == limit + 1
    return Banded.build(words_of(values, bits), limit, planned.bands)


@st.composite
def problems(draw: st.DrawFn) -> tuple[int, list[int], list[int], int, int]:
    bits = draw(st.sampled_from(sorted(LIMITS)))
    limit = draw(st.sampled_from(LIMITS[bits]))
    anything = st.integers(0, 2**bits - 1)
    entries = draw(st.lists(anything, max_size=5))
    queries = draw(st.lists(anything, max_size=2))
    for entry in entries[:2]:
        order = draw(st.permutations(range(bits)))
        for distance in (limit - 1, limit, limit + 1):
            if distance >= 0:
                queries.append(entry ^ sum(1 << bit for bit in order[:distance]))
    return (
        bits,
        queries,
        entries + entries[:1],
        limit,
        draw(st.sampled_from([10, 3000 if JIT else 40])),
    )


@settings(max_examples=60 if JIT else 12)
@given(problems())
def test_bands_equal_the_naive_loop(problem: tuple[int, list[int], list[int], int, int]) -> None:
    bits, queries, entries, limit, pretended = problem
    banded = built(entries, bits, limit, pretended)
    for asked in {limit, limit // 2, 0}:
        hits, _ = found(banded, words_of(queries, bits), asked)
        assert hits == naive.search(queries, entries, asked)


@pytest.mark.parametrize("size", [1, 2, 31, 32, 33, 5000 if JIT else 34])
def test_every_distance_up_to_the_limit_is_found_once(size: int) -> None:
    spec = hm.HashSpec("pdq", 256)
    batch = random_hashes(spec, size, seed=size)
    planned = plan(256, 31, max(size, 500 if JIT else 20))
    assert planned is not None
    banded = Banded.build(batch.words, 31, planned.bands)
    near = hm.HashBatch.concatenate(
        [flipped(batch[size // 2 : size // 2 + 1], d, seed=d) for d in range(34)]
    )
    expected = [(d, size // 2, d) for d in range(32)]
    assert found(banded, near.words, 31) == (expected, 32)


@pytest.mark.parametrize("value", [0, 2**256 - 1, 0xF0 << 100])
def test_a_list_of_copies_is_found_in_full(value: int) -> None:
    size = 9000 if JIT else 20  # more candidates at once than wait together
    banded = built([value] * size, 256, 31, 100_000 if JIT else 50)
    query = words_of([value ^ 0b1011], 256)
    hits, count = found(banded, query, 31)
    assert count == size
    assert hits == [(0, entry, 3) for entry in range(size)]
    few, still = found(banded, query, 31, room=7)
    assert (len(few[:7]), still) == (7, size)


def test_an_index_takes_bands_for_long_lists_and_says_so() -> None:
    spec = hm.HashSpec("pdq", 256)
    size = 30_000 if JIT else 60
    batch = random_hashes(spec, size, seed=1)
    index = hm.HashIndex.build(batch, 31)
    plain = hm.HashIndex.build(batch)
    assert f"every one of {size:,} entries" in plain.explain()
    assert ("bands" in index.explain()) == JIT
    queries = hm.HashBatch.concatenate(
        [flipped(batch[i : i + 1], d, seed=d) for i, d in enumerate((0, 5, 30, 31, 32, 60))]
    )
    for limit in (0, 31, 61):  # the last is beyond what it was built for
        one, other = index.search(queries, limit), plain.search(queries, limit)
        assert one.query.tolist() == other.query.tolist()
        assert one.entry.tolist() == other.entry.tolist()
        assert one.distance.tolist() == other.distance.tolist()
    short = hm.HashIndex.build(batch[0:50], 31)
    assert "bands" not in short.explain()
    with pytest.raises(hm.UsageError, match="0 to 256"):
        hm.HashIndex.build(batch, 257)


def test_queries_among_near_duplicates_are_searched_linearly() -> None:
    spec = hm.HashSpec("pdq", 256)
    size = 60_000 if JIT else 60
    batch = random_hashes(spec, size, seed=4)
    copies = hm.HashBatch.concatenate([batch[: size // 2], *[batch[:1]] * (size // 2)])
    index = hm.HashIndex.build(copies, 31)
    queries = hm.HashBatch.concatenate([flipped(batch[:1], 9, seed=1), batch[5:6]])
    assert index._banded is not None or not JIT
    if index._banded is not None:
        out = np.empty(9, np.int64), np.empty(9, np.int64), np.empty(9, np.int64)
        assert index._banded.within(queries.words, 31, out, most=size // 100) == -1
    hits = index.search(queries, 31)
    assert len(hits) == size // 2 + 2
    assert (hits.distance[hits.query == 0] == 9).all()
    assert hits.entry[hits.query == 1].tolist() == [5]


@pytest.mark.parametrize(("bits", "limit"), [(64, 64), (256, 200)])
def test_bands_are_no_use_for_wide_limits(bits: int, limit: int) -> None:
    batch = random_hashes(hm.HashSpec("any", bits), 50, seed=2)
    index = hm.HashIndex.build(batch, limit)
    assert "bands" not in index.explain()
    own = values(batch)
    assert len(index.search(batch, limit)) == len(naive.search(own, own, limit))


def values(batch: hm.HashBatch) -> list[int]:
    return [int(text, 16) for text in batch.to_hex()]


@kernel
def compiled_near(array: Any, first: int, signature: int, limit: int) -> Any:
    return signatures.near_signatures(array, first, signature, limit)


@given(seed=st.integers(0, 2**32), first=st.integers(0, 9), limit=st.integers(0, 16))
def test_near_signatures_is_its_twin(seed: int, first: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 2**16, 41, np.uint16)
    signature = int(rng.integers(0, 2**16))
    mask = int(compiled_near(array, first, signature, limit))
    assert mask == int(signatures.near_signatures(array, first, signature, limit))
    near = [(int(value) ^ signature).bit_count() <= limit for value in array[first : first + 32]]
    assert [bool(mask >> i & 1) for i in range(32)] == near


@given(st.integers(0, 2**128 - 1), st.integers(0, 255), st.integers(1, 32))
def test_bits_are_taken_around_the_ring(value: int, first: int, count: int) -> None:
    words = words_of([value], 128)
    text = f"{value:0128b}" * 3
    assert kernels.ring_bits(words, 0, first, count) == int(text[first : first + count], 2)


@pytest.mark.skipif(not JIT, reason="types are checked when a kernel is compiled")
def test_other_arrays_are_refused() -> None:
    from numba.core.errors import TypingError

    for array in (np.zeros(64, np.uint32), np.zeros((2, 32), np.uint16), 5):
        with pytest.raises(TypingError):
            compiled_near(array, 0, 1, 1)
