"""A multi-index finds what the naive loop finds: any width, limit and list, lists of copies too."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hashmatch as hm
import naive
from hashmatch._kernels import simd
from hashmatch._kernels.jit import kernel
from hashmatch._kernels.linear import columns
from hashmatch._kernels.multi_index import GIVEN_UP, one_by_one, together
from hashmatch._kernels.tables import CANDIDATE_LIMIT, ring_bits, row_at
from hashmatch._kernels.verify import COLUMNS
from hashmatch.index import segment
from hashmatch.index.segment import Segment
from hashmatch.index.tables import Band, Plan, Tables, plan, row_bytes
from hashmatch.testing import flipped, random_hashes

JIT = not os.environ.get("NUMBA_DISABLE_JIT")
WAYS = one_by_one, together
LIMITS = {64: [0, 1, 3, 8, 10], 128: [0, 5, 12], 256: [0, 1, 7, 20, 31, 40], 512: [0, 15, 31]}
SIZES = [20, 300, 5000, 200_000, 10**7]
"""Lists that are pretended, so that few entries are laid out as many would be."""


def words_of(values: list[int], bits: int) -> Any:
    spec = hm.HashSpec("any", bits)
    return hm.HashBatch.from_hex(spec, [f"{value:0{bits // 4}x}" for value in values]).words


def values_of(words: Any) -> list[int]:
    return [int("".join(f"{int(word):016x}" for word in row), 16) for row in words]


def bands_for(bits: int, limit: int, pretended: int) -> tuple[Band, ...]:
    """Return the bands that a list of `pretended` entries would get, if it got any."""
    planned = plan(bits, limit, pretended)
    if planned is not None:
        return planned.bands
    number = limit + 1 if bits // (limit + 1) >= 3 else max(1, bits // 12)
    width, wider = divmod(bits, number)
    tolerance, more = divmod(limit + 1, number)
    bands, offset = [], 0
    for b in range(number):
        own = width + (b < wider)
        bands.append(Band(offset, own, min(own, 5), min(tolerance - 1 + (b < more), 5)))
        offset += own
    return tuple(bands)


def found(way: Any, laid: tuple[Any, Any], queries: Any, limit: int, room: int = 50_000) -> Any:
    tables, words = laid
    head = tables.head.copy()
    head[CANDIDATE_LIMIT] = 2**62
    head.flags.writeable = False
    rows = np.empty((tables.scratch + room, COLUMNS), np.int64)
    count = way(head, tables.tables, columns(words, 64), queries, limit, rows)
    return sorted(map(tuple, rows[tables.scratch :][:count, :3].tolist())), count


@st.composite
def problems(draw: st.DrawFn) -> tuple[int, list[int], list[int], int, int]:
    bits = draw(st.sampled_from(sorted(LIMITS)))
    limit = draw(st.sampled_from(LIMITS[bits]))
    anything = st.integers(0, 2**bits - 1)
    entries = draw(st.lists(anything, max_size=5))
    queries = draw(st.lists(anything, max_size=2))
    for entry in entries[:2]:
        order = random.Random(draw(st.integers(0, 2**32))).sample(range(bits), limit + 1)
        for distance in (limit - 1, limit, limit + 1):
            if distance >= 0:
                queries.append(entry ^ sum(1 << bit for bit in order[:distance]))
    pretended = draw(st.sampled_from(SIZES if JIT else SIZES[:2]))
    return bits, queries, entries + entries[:1], limit, pretended


@settings(max_examples=100 if JIT else 6)
@given(problems())
def test_both_ways_equal_the_naive_loop(
    problem: tuple[int, list[int], list[int], int, int],
) -> None:
    bits, queries, entries, limit, pretended = problem
    bands = bands_for(bits, limit, pretended)
    assert sum(band.width for band in bands) == bits
    assert sum(band.tolerance + 1 for band in bands) == limit + 1
    words = words_of(entries, bits)
    laid = Tables.build(words, bands), words
    for asked in {limit, limit // 2, 0}:
        expected = naive.search(queries, entries, asked)
        for way in WAYS:
            assert found(way, laid, words_of(queries, bits), asked) == (expected, len(expected))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [1, 2, 31, 32, 33, 5000 if JIT else 34])
def test_every_distance_up_to_the_limit_is_found_once(size: int, way: Any) -> None:
    spec = hm.HashSpec("pdq", 256)
    batch = random_hashes(spec, size, seed=size)
    laid = (
        Tables.build(batch.words, bands_for(256, 31, max(size, 5000 if JIT else 20))),
        batch.words,
    )
    near = hm.HashBatch.concatenate(
        [flipped(batch[size // 2 : size // 2 + 1], d, seed=d) for d in range(34)]
    )
    expected = [(d, size // 2, d) for d in range(32)]
    assert found(way, laid, near.words, 31) == (expected, 32)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", [0, 2**256 - 1, 0xF0 << 100])
@pytest.mark.parametrize("pretended", [5000, 10**7] if JIT else [50])
def test_a_list_of_copies_is_found_in_full(value: int, way: Any, pretended: int) -> None:
    """They have one address in each band, and go on through lines far beyond it."""
    size = 9000 if JIT else 40
    words = words_of([value] * size, 256)
    laid = Tables.build(words, bands_for(256, 31, pretended)), words
    query = words_of([value ^ 0b1011], 256)
    hits, count = found(way, laid, query, 31)
    assert count == size
    assert hits == [(0, entry, 3) for entry in range(size)]
    few, still = found(way, laid, query, 31, room=7)
    assert (len(few), still) == (7, size)


@pytest.mark.parametrize("each", [1, 2, 3])
@pytest.mark.parametrize("copies", [*range(26, 34), *range(54, 64), *range(84, 98), 117, 118, 150])
def test_lines_go_on_wherever_they_are_full(
    copies: int, each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Band, "lines", lambda *_: each)
    bits, value = 64, 0x0123456789ABCDEF
    words = words_of([value] * copies + [value ^ 0xFFFF] * 3, bits)
    laid = Tables.build(words, (Band(0, 16, 3, 0), Band(16, 16, 3, 0), Band(32, 32, 3, 0))), words
    for way in WAYS:
        hits, _ = found(way, laid, words_of([value ^ 1], bits), 2)
        assert hits == [(0, entry, 1) for entry in range(copies)]


def test_the_same_list_gives_the_same_tables() -> None:
    words = random_hashes(hm.HashSpec("any", 128), 500 if JIT else 40, seed=3).words
    bands = bands_for(128, 12, 5000)
    assert (
        Tables.build(words, bands).tables.tobytes() == Tables.build(words, bands).tables.tobytes()
    )
    tables = Tables.build(words, bands).tables
    assert not tables.flags.writeable
    assert tables.ctypes.data % 64 == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_query_among_near_duplicates_is_given_up(way: Any) -> None:
    spec = hm.HashSpec("pdq", 256)
    batch = random_hashes(spec, 100, seed=4)
    words = hm.HashBatch.concatenate([batch, *[batch[:1]] * 400]).words
    tables = Tables.build(words, bands_for(256, 31, 5000))
    head = tables.head.copy()
    head[CANDIDATE_LIMIT] = 200
    head.flags.writeable = False
    rows = np.empty((tables.scratch + 5000, COLUMNS), np.int64)
    queries = hm.HashBatch.concatenate([flipped(batch[:1], 9, seed=1), batch[5:6]]).words
    count = way(head, tables.tables, columns(words, 64), queries, 31, rows)
    answer = rows[tables.scratch :][:-count, :3].tolist()
    assert sorted(answer) == [[0, GIVEN_UP, 0], [1, 5, 0]]


def test_what_was_given_up_is_searched_linearly(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = hm.HashSpec("pdq", 256)
    size = 30_000 if JIT else 60
    batch = random_hashes(spec, size, seed=4)
    copies = hm.HashBatch.concatenate([batch[: size // 2], *[batch[:1]] * (size // 2)])
    if not JIT:
        monkeypatch.setattr(segment, "plan", lambda *_: Plan(bands_for(256, 31, 20), 0.0))
    known = Segment.build(copies.words, 256, 31)
    assert known.tables is not None
    for number in (1, 100):  # one by one, and together
        near = [flipped(batch[:1], 9, seed=1), batch[5:6]] * number
        pairs = known.search(hm.HashBatch.concatenate(near).words, 31)
        assert pairs is not None
        assert len(pairs.query) == number * (size // 2 + 2)
        assert (pairs.distance[pairs.query % 2 == 0] == 9).all()
        assert (pairs.entry[pairs.query % 2 == 1] == 5).all()
        assert (np.diff(pairs.query * size + pairs.entry) > 0).all()


@pytest.mark.parametrize(("bits", "limit"), [(64, 64), (256, 200), (160, 5)])
def test_tables_are_no_use_for_wide_limits_and_odd_widths(bits: int, limit: int) -> None:
    batch = random_hashes(hm.HashSpec("any", bits), 50, seed=2)
    known = hm.HashIndex.build(batch, limit)
    assert "bands" not in known.explain()
    own = [int(text, 16) for text in batch.to_hex()]
    assert len(known.search(batch, limit)) == len(naive.search(own, own, limit))


@pytest.mark.parametrize("bits", [64, 128, 256, 512])
@pytest.mark.parametrize("count", [1000, 30_000, 10**6, 10**7, 10**9])
def test_plans_keep_the_pigeonhole(bits: int, count: int) -> None:
    for limit in range(0, bits, bits // 16 - 1):
        planned = plan(bits, limit, count)
        if planned is None:
            continue
        assert sum(band.width for band in planned.bands) == bits
        assert sum(band.tolerance + 1 for band in planned.bands) == limit + 1
        ends = [band.offset + band.width for band in planned.bands]
        assert [band.offset for band in planned.bands] == [0, *ends[:-1]]
        assert all(0 <= band.tolerance <= band.address <= band.width for band in planned.bands)


@kernel
def compiled_near(array: Any, first: int, signature: int, limit: int) -> Any:
    return simd.near_signatures(array, first, signature, limit)


@given(seed=st.integers(0, 2**32), first=st.integers(0, 9), limit=st.integers(0, 16))
def test_near_signatures_is_its_twin(seed: int, first: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 2**16, 41, np.uint16)
    signature = int(rng.integers(0, 2**16))
    mask = int(compiled_near(array, first, signature, limit))
    assert mask == int(simd.near_signatures(array, first, signature, limit))
    wanted = [0] + [signature] * 31
    line = array[first : first + 32].tolist()
    near = [(value ^ own).bit_count() <= limit for value, own in zip(line, wanted, strict=True)]
    assert [bool(mask >> i & 1) for i in range(32)] == near


@kernel
def compiled_row(rows: Any, place: int, size: int) -> int:
    return row_at(rows, place, size)


@kernel
def compiled_memory(array: Any, place: int) -> Any:
    simd.prefetch(array, place + 10**9)
    return simd.signed(simd.load(array, place))


@pytest.mark.parametrize("kind", [np.int64, np.uint16, np.uint32])
def test_items_are_read_as_they_are(kind: Any) -> None:
    array = np.array([3, 2**16 - 1, 7], kind)
    assert [compiled_memory(array, place) for place in range(3)] == [3, 2**16 - 1, 7]


@given(st.integers(0, 2**128 - 1), st.integers(0, 255), st.integers(1, 32))
def test_bits_are_taken_around_the_ring(value: int, first: int, count: int) -> None:
    words = words_of([value], 128)
    text = f"{value:0128b}" * 3
    assert ring_bits(words, 0, first, count) == int(text[first : first + count], 2)


@given(st.lists(st.integers(0, 255), min_size=5, max_size=9), st.integers(1, 4))
def test_rows_are_read_as_they_are(values: list[int], size: int) -> None:
    array = np.array(values, np.uint8)
    expected = int.from_bytes(bytes(values[1 : 1 + size]), "little")
    assert compiled_row(array, 1, size) == expected


@pytest.mark.parametrize("count", [0, 1, 2, 2**8, 2**8 + 1, 2**24, 2**24 + 1, 2**32])
def test_rows_have_bytes_for_all_entries(count: int) -> None:
    assert (max(0, count - 1)) < 256 ** row_bytes(count)
    assert count < 3 or count > 256 ** (row_bytes(count) - 1)


@pytest.mark.skipif(not JIT, reason="types are checked when a kernel is compiled")
def test_other_arrays_are_refused() -> None:
    from numba.core.errors import TypingError

    for array in (np.zeros(64, np.uint32), np.zeros((2, 32), np.uint16), 5):
        with pytest.raises(TypingError):
            compiled_near(array, 0, 1, 1)
    for other in (np.zeros((2, 2), np.int64), np.zeros(9, np.int64)[::2], 5):
        with pytest.raises(TypingError):
            compiled_memory(other, 1)
