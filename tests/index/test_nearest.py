"""The k nearest entries equal those that sorting all of them gives, ties and all."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive
from hashmatch._kernels.knn import nearest
from hashmatch._kernels.linear import columns, head_length
from hashmatch._kernels.simd import GROUP

JIT = not os.environ.get("NUMBA_DISABLE_JIT")
WIDTHS = [64, 128, 256, 512]
SIZES = [0, 1, 2, 3, 31, 32, 33, 127, 128, 129, 300]


def laid(values: list[int], bits: int, each: int, multiple: int = 1) -> np.ndarray:
    """Hashes as columns of `each` bits."""
    words = np.array([naive.words(value, bits) for value in values], np.uint64)
    return columns(words.reshape(len(values), -(-bits // 64)), each, multiple)


def found(
    queries: list[int],
    entries: list[int],
    bits: int,
    k: int,
    limits: list[int],
    head: int = 0,
    each: int = 32,
) -> list[list[tuple[int, int]]]:
    """What the kernel answers, with heads of `head` columns of `each` bits, or of all."""
    asked, known = laid(queries, bits, each), laid(entries, bits, each, GROUP)
    head = head or len(known)
    counts = np.full(len(queries), -1, np.int64)
    rows, distances = (np.full((len(queries), k), -7, np.int64) for _ in range(2))
    nearest(
        known, tuple(known[:head]), len(entries), asked, tuple(asked[:head]),
        np.array(limits, np.int64), np.empty(0, np.bool_), counts, rows, distances,
    )  # fmt: skip
    return [
        list(zip(rows[q, :n].tolist(), distances[q, :n].tolist(), strict=True))
        for q, n in enumerate(counts)
    ]


def drawn(rng: np.random.Generator, bits: int, count: int) -> list[int]:
    return [int.from_bytes(rng.bytes(bits // 8)) for _ in range(count)]


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("size", SIZES)
def test_nearest_equals_the_naive_sort(bits: int, size: int) -> None:
    rng = np.random.default_rng(bits + size)
    entries = drawn(rng, bits, size)
    queries = [*drawn(rng, bits, 3), 0, 2**bits - 1]
    queries += [entries[size // 2] ^ (1 << 5)] if entries else []
    for k in (1, 2, 5, size + 3):
        for limit in (bits, bits // 2, bits // 3):
            limits = [limit] * len(queries)
            assert found(queries, entries, bits, k, limits) == naive.nearest(
                queries, entries, k, limits
            )


@given(
    bits=st.sampled_from([32, 64, 96, 128, 160, 256, 512]),
    size=st.integers(0, 300 if JIT else 140),
    k=st.integers(1, 12),
    spread=st.integers(0, 12),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
def test_nearest_among_near_duplicates(
    bits: int, size: int, k: int, spread: int, seed: int, data: st.DataObject
) -> None:
    """Few bits differ, so distances tie again and again; each query has a limit of its own."""
    rng = np.random.default_rng(seed)
    (centre,) = drawn(rng, bits, 1)

    def near_centre() -> int:
        return centre ^ sum({1 << int(bit) for bit in rng.integers(0, bits, spread)})

    entries = [near_centre() for _ in range(size)]
    queries = [near_centre() for _ in range(3)]
    limits = data.draw(st.lists(st.integers(0, bits), min_size=3, max_size=3))
    assert found(queries, entries, bits, k, limits) == naive.nearest(queries, entries, k, limits)


@pytest.mark.parametrize("value", [0, 2**64 - 1, 0x0123456789ABCDEF])
@pytest.mark.parametrize("size", [1, 5, 127, 128, 130])
def test_of_equal_entries_the_first_are_given(value: int, size: int) -> None:
    """Zeros too: what a list is padded with is zero, and is never an entry."""
    queries, limits = [value, 0, value ^ 7], [64, 64, 64]
    for k in (1, 3, 130, 140):
        expected = [
            [(row, (query ^ value).bit_count()) for row in range(min(k, size))] for query in queries
        ]
        assert found(queries, [value] * size, 64, k, limits) == expected


@pytest.mark.parametrize("distance", [4, 5, 6])
def test_limits_are_inclusive_and_each_query_s_own(distance: int) -> None:
    entries = [2**distance - 1, 2**63]
    expected = [[(1, 1)] + [(0, distance)] * (distance <= limit) for limit in (4, 5, 6)]
    assert found([0, 0, 0], entries, 64, 2, [4, 5, 6]) == expected
    assert found([0], entries, 64, 2, [0]) == [[]]


def test_without_room_nothing_is_written() -> None:
    assert found([1, 2], [1, 2, 3], 64, 0, [64, 64]) == [[], []]


@pytest.mark.skipif(not JIT, reason="too many to run uncompiled")
@pytest.mark.parametrize("bits", WIDTHS)
def test_thousands_of_entries_in_any_order(bits: int) -> None:
    """Also from the farthest to the nearest, so that every single one is better than the last."""
    rng = np.random.default_rng(bits)
    entries = drawn(rng, bits, 5000)
    queries = drawn(rng, bits, 2)
    limits = [bits, bits]
    falling = sorted(entries, key=lambda entry: -(entry ^ queries[0]).bit_count())
    for some in (entries, falling, falling[::-1]):
        for k in (1, 10, 999, 6000):
            assert found(queries, some, bits, k, limits) == naive.nearest(queries, some, k, limits)


@pytest.mark.skipif(not JIT, reason="too many to run uncompiled")
@pytest.mark.parametrize(("bits", "limit"), [(64, 0), (256, 31), (256, 60), (512, 31)])
def test_shorter_heads_find_the_same(bits: int, limit: int) -> None:
    rng = np.random.default_rng(limit)
    entries = drawn(rng, bits, 2000)
    queries = [entries[7] ^ (2**d - 1) for d in (0, limit, limit + 1)] + [0]
    entries[9:12] = [entries[7]] * 3
    limits = [limit] * len(queries)
    for each in (32, 64):
        head = head_length(bits // each, each, limit)
        for k in (1, 2, 10):
            assert found(queries, entries, bits, k, limits, head, each) == naive.nearest(
                queries, entries, k, limits
            )
