"""States of an index: after any changes each answers like the naive loop over what it then held."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

import hashmatch as hm
import naive
from hashmatch.index import snapshot
from hashmatch.records.entries import Entry
from hashmatch.records.hash_list import HashList
from hashmatch.testing import hash_list, random_hashes

if TYPE_CHECKING:
    from pathlib import Path

JIT = not os.environ.get("NUMBA_DISABLE_JIT")
DELTAS, LARGEST, QUERIES = (100, 300, 5) if JIT else (12, 8, 2)


class Known(NamedTuple):
    """What an entry should be: its value, and the limit that it or its list has."""

    value: int
    own: int | None


def values_of(batch: hm.HashBatch) -> list[int]:
    return [int(text, 16) for text in batch.to_hex()]


def batch_of(values: list[int], bits: int) -> hm.HashBatch:
    spec = hm.HashSpec("any", bits)
    return hm.HashBatch.from_hex(spec, [f"{value:0{bits // 4}x}" for value in values])


class Twin:
    """An index, and what every answer of it is by the naive loop."""

    def __init__(self, index: hm.HashIndex, live: dict[int, Known], bits: int) -> None:
        self.index, self.live, self.bits = index, live, bits

    def near(self, query: int, limit: int) -> list[tuple[int, int, int]]:
        """Entry, distance and limit of each entry that is near enough."""
        found = []
        for number, (value, own) in sorted(self.live.items()):
            distance = (query ^ value).bit_count()
            applied = limit if own is None else own
            if distance <= applied:
                found.append((number, distance, applied))
        return found

    def expected(self, queries: dict[int, int], limit: int) -> list[tuple[int, ...]]:
        return [
            (row, *hit) for row, query in sorted(queries.items()) for hit in self.near(query, limit)
        ]

    def assert_equal(self, queries: list[int], limit: int) -> None:
        index, rows = self.index, dict(enumerate(queries))
        batch = batch_of(queries, self.bits)
        assert len(index) == len(self.live)
        expected = self.expected(rows, limit)
        hits = index.search(batch, limit)
        assert rows_of(hits) == expected
        assert hits.snapshot == index.snapshot
        assert [row for part in index.stream(batch, limit) for row in rows_of(part)] == expected

        numbers, entries = sorted(self.live), [self.live[n].value for n in sorted(self.live)]
        for k in (1, 3, len(entries) + 2):
            given = index.nearest(batch, k)
            ranked = naive.nearest(queries, entries, k, [self.bits] * len(queries))
            assert rows_of(given) == [
                (q, numbers[row], distance, self.bits)
                for q, answer in enumerate(ranked)
                for row, distance in answer
            ]
            assert given.snapshot == index.snapshot

    def assert_joins(self, limit: int, other: Twin) -> None:
        numbers, entries = sorted(self.live), [self.live[n].value for n in sorted(self.live)]
        pairs = naive.self_join(entries, limit)
        assert rows_of(self.index.self_join(limit)) == [
            (numbers[one], numbers[two], distance, limit) for one, two, distance in pairs
        ]
        rows = {number: known.value for number, known in other.live.items()}
        assert rows_of(self.index.join(other.index, limit)) == self.expected(rows, limit)


def rows_of(hits: hm.Matches) -> list[tuple[int, ...]]:
    columns = hits.query, hits.entry, hits.distance, hits.max_distance
    return list(zip(*(column.tolist() for column in columns), strict=True))


def near_some(rng: np.random.Generator, values: list[int], count: int, bits: int) -> list[int]:
    """Return values, most of which are a few bits from others."""
    made = []
    for _ in range(count):
        if values and rng.random() < 0.7:
            order = rng.choice(bits, int(rng.integers(0, 14)), replace=False)
            made.append(values[rng.integers(len(values))] ^ sum(1 << int(bit) for bit in order))
        else:
            made.append(int.from_bytes(rng.bytes(bits // 8)))
    return made


def drawn(
    rng: np.random.Generator, some: list[int], bits: int
) -> tuple[HashList | hm.HashBatch, list[Known]]:
    """Return a plain batch, or a list with limits of its own, of its entries, or both."""
    sizes = 0, 1, 2, int(rng.integers(3, 20)), int(rng.integers(0, LARGEST + 1))
    values = near_some(rng, some, sizes[rng.integers(5)], bits)
    batch, kind = batch_of(values, bits), rng.integers(0, 4)
    if kind == 0:
        return batch, [Known(value, None) for value in values]
    of_list = None if kind == 1 else int(rng.choice([0, 4, 9]))
    widths = [None] * 6 + [0, 3, 9, bits // 4] if kind != 2 else [None]
    own = [widths[rng.integers(len(widths))] for _ in values]
    entries = tuple(Entry(max_distance=limit) for limit in own)
    known = HashList("demo", str(rng.integers(99)), batch.spec, batch, entries, (), of_list)
    applied = [of_list if limit is None else limit for limit in own]
    return known, [Known(value, limit) for value, limit in zip(values, applied, strict=True)]


def changed(rng: np.random.Generator, twin: Twin) -> Twin:
    numbers = sorted(twin.live)
    some = [twin.live[number].value for number in numbers[-50:]]
    added, known = drawn(rng, some, twin.bits)
    count = min(len(numbers), [0, 0, 1, int(rng.integers(0, LARGEST // 2))][rng.integers(4)])
    removed: list[int] = rng.choice(numbers, count, replace=False).tolist() if count else []
    following = twin.index.next_entry
    index = twin.index.with_changes(added, removed)
    live = {number: known for number, known in twin.live.items() if number not in set(removed)}
    live |= {following + row: entry for row, entry in enumerate(known)}
    assert index.next_entry == following + len(known)
    if isinstance(added, HashList):
        assert index.snapshot == f"{added.name} {added.version}"
    return Twin(index, live, twin.bits)


def numbered_anew(rng: np.random.Generator, twin: Twin) -> Twin:
    """Return a twin without some entries and without gaps between the others."""
    numbers = sorted(twin.live)
    removed = rng.choice(numbers, len(numbers) // 9, replace=False).tolist()
    left = [twin.live[number] for number in numbers if number not in set(removed)]
    index = twin.index.without(removed)
    assert index.snapshot == twin.index.snapshot
    return Twin(index, dict(enumerate(left)), twin.bits)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("built_for", [None, 9])
@pytest.mark.parametrize("bits", [64, 256])
def test_after_a_hundred_random_changes(
    tmp_path: Path, bits: int, built_for: int | None, check: bool
) -> None:
    rng = np.random.default_rng(bits + (built_for or 0) + check)
    first, known = drawn(rng, [], bits)
    twins = [Twin(hm.HashIndex.build(first, built_for), dict(enumerate(known)), bits)]
    for step in range(DELTAS):
        twin = changed(rng, twins[-1])
        if step % 10 == 4:
            twin.index.save(tmp_path / "saved.index")
            opened = hm.HashIndex.open(tmp_path / "saved.index", check=check)
            assert opened.snapshot == twin.index.snapshot
            twin = Twin(opened, twin.live, bits)
        if step % 10 == 7:
            twin = numbered_anew(rng, twin)
        twins.append(twin)
    held = [len(one.index._state.parts) for one in twins]
    assert max(held) < 60, "as many as there are limits, times the logarithm of the changes"
    chosen = {0, 1, DELTAS // 2, DELTAS - 1, DELTAS}  # the older ones answer as before
    for step in sorted(chosen):
        twin = twins[step]
        some = [entry.value for entry in list(twin.live.values())[-20:]]
        queries = near_some(rng, some, QUERIES, bits) + some[:1]
        for limit in (0, 9, 20):
            twin.assert_equal(queries, limit)
    if built_for is not None:
        assert rows_of(twin.index.search(batch_of(queries, bits))) == twin.expected(
            dict(enumerate(queries)), built_for
        )
    else:
        with pytest.raises(hm.UsageError, match="cannot search without a max_distance"):
            twin.index.search(batch_of(queries, bits))


@pytest.mark.parametrize("built_for", [None, 9])
def test_joins_after_changes(tmp_path: Path, built_for: int | None) -> None:
    rng, bits = np.random.default_rng(7), 64
    ends = []
    for _ in range(2):
        first, known = drawn(rng, [], bits)
        twin = Twin(hm.HashIndex.build(first, built_for), dict(enumerate(known)), bits)
        for _ in range(12 if JIT else 5):
            twin = changed(rng, twin)
        ends.append(numbered_anew(rng, twin))
    for limit in (0, 6, 9, 14):
        ends[0].assert_joins(limit, ends[1])
    ends[0].index.save(tmp_path / "saved")
    opened = Twin(hm.HashIndex.open(tmp_path / "saved"), ends[0].live, bits)
    opened.assert_joins(9, ends[1])
    ends[1].assert_joins(9, opened)


SPEC = hm.HashSpec("any", 64)


def test_without_nothing_is_the_same_but_for_gaps() -> None:
    hashes = random_hashes(SPEC, 6, seed=1)
    index = hm.HashIndex.build(hashes, 0)
    assert index.without([]).search(hashes).entry.tolist() == list(range(6))
    gaps = index.with_changes(removed=[0, 3])
    assert gaps.without([]).search(hashes).entry.tolist() == list(range(4))
    assert gaps.without([5]).search(hashes).query.tolist() == [1, 2, 4]
    with pytest.raises(hm.UsageError, match="entry 3: it was removed before"):
        gaps.without([3])


def test_numbers_stay_and_answers_name_their_snapshot() -> None:
    hashes = random_hashes(SPEC, 6, seed=1)
    first = hm.HashIndex.build(hash_list(hashes[:4], "demo", "17"), 5)
    second = first.with_changes(hashes[4:5], [1], snapshot="second")
    third = second.with_changes(hash_list(hashes[5:], "demo", "18"), [0, 4])
    assert [one.snapshot for one in (first, second, third)] == ["demo 17", "second", "demo 18"]
    for index, expected in [(first, [0, 1, 2, 3]), (second, [0, 2, 3, 4]), (third, [2, 3, 5])]:
        hits = index.search(hashes, 0)
        assert hits.entry.tolist() == hits.query.tolist() == expected
        for answer in (hits, index.nearest(hashes, 1), index.search(hashes, most=1)):
            assert answer.snapshot == index.snapshot
        assert {part.snapshot for part in index.stream_self_join(64)} == {index.snapshot}
        assert index.search(hashes[:0]).snapshot == index.snapshot
    assert "3 were removed and are passed over" in third.explain()
    unnamed = [first.with_changes(removed=[row]).snapshot for row in (0, 0, 1)]
    assert len(set(unnamed)) == 3


@pytest.mark.parametrize(
    "removed",
    [
        [1, 3],
        (1, 3),
        np.array([3, 1]),
        range(1, 4, 2),
        np.array([1, 3], np.uint64),
    ],
    ids=lambda removed: type(removed).__name__,
)
def test_removed_entries_are_given_in_any_form(removed: Any) -> None:
    hashes = random_hashes(SPEC, 5, seed=1)
    later = hm.HashIndex.build(hashes, 0).with_changes(removed=removed)
    assert later.search(hashes).entry.tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("removed", "said"),
    [
        ([5], "cannot remove entry 5: there are only 0 to 4"),
        ([0, -1], "cannot remove entry -1: there are only"),
        (np.array([2**63], np.uint64), "cannot remove entry 9223372036854775808"),
        ([2**70], "the numbers of entries"),
        ([2], "entry 2: it was removed before"),
        ([1, 3, 1], "cannot remove entry 1 twice"),
        ([1.0], "the numbers of entries"),
        ([True], "the numbers of entries"),
        (np.ones(5, np.bool_), "the numbers of entries"),
        (["1"], "the numbers of entries"),
        ([[1], [3]], "the numbers of entries"),
        ([[1], [3, 4]], "the numbers of entries"),
        (3, "the numbers of entries"),
        ({3}, "the numbers of entries"),
        (None, "the numbers of entries"),
    ],
    ids=str,
)
def test_what_cannot_be_removed(removed: Any, said: str) -> None:
    hashes = random_hashes(SPEC, 5, seed=1)
    index = hm.HashIndex.build(hashes, 0).with_changes(removed=[2])
    with pytest.raises(hm.UsageError, match=said):
        index.with_changes(hashes, removed)
    assert (len(index), index.next_entry) == (4, 5)


def test_other_kinds_of_hash_are_not_added() -> None:
    index = hm.HashIndex.build(random_hashes(SPEC, 5, seed=1), 0)
    for other in (hm.HashSpec("any", 128), hm.HashSpec("other", 64)):
        batch = random_hashes(other, 1, seed=1)
        for added in (batch, hash_list(batch)):
            with pytest.raises(hm.SpecMismatch, match="cannot add"):
                index.with_changes(added)


def test_a_change_of_nothing_and_a_list_emptied() -> None:
    hashes = random_hashes(SPEC, 3, seed=1)
    index = hm.HashIndex.build(hashes, 2)
    for same in (index.with_changes(), index.with_changes(hashes[:0], np.empty(0, np.int64))):
        assert rows_of(same.search(hashes)) == rows_of(index.search(hashes))
        assert same.next_entry == 3
    empty = index.with_changes(removed=range(3))
    assert len(empty) == len(empty.search(hashes, 64)) == len(empty.nearest(hashes, 3)) == 0
    assert len(empty.self_join(64)) == len(index.join(empty, 64)) == 0
    again = empty.with_changes(hashes)
    assert again.search(hashes).entry.tolist() == [3, 4, 5]
    from_none = hm.HashIndex.build(hashes[:0], 2).with_changes(hashes)
    assert rows_of(from_none.search(hashes)) == rows_of(index.search(hashes))


@pytest.mark.parametrize("own", [None, 7])
def test_a_list_that_grows_by_little_and_little_has_few_parts(own: int | None) -> None:
    """Those of a list with limits, too; and what has become many is laid out in tables."""
    count, each = (300, 100) if JIT else (20, 2)
    hashes = random_hashes(SPEC, (count + 1) * each, seed=2)
    index = hm.HashIndex.build(hashes[:each], 7)
    for row in range(each, (count + 1) * each, each):
        added = hashes[row : row + each]
        entries = tuple(Entry() for _ in range(each))
        known = HashList("demo", "1", SPEC, added, entries, (), own)
        index = index.with_changes(added if own is None else known, [row - each])
    sizes = [part.segment.count for part in index._state.parts]
    assert len(sizes) <= 9
    assert sizes[0] > (count + 1) * each // 4
    if JIT:
        assert index._state.parts[0].segment.tables is not None
    hits = index.search(hashes, 0 if own is None else None)
    gone = set(range(0, count * each, each))
    zero = hits.distance == 0
    assert hits.entry[zero].tolist() == [n for n in range(len(hashes)) if n not in gone]


def test_the_nearest_of_what_is_left_of_a_long_list() -> None:
    """Its rows are its numbers; those of what was added later are not."""
    hashes = random_hashes(SPEC, 400 if JIT else 150, seed=6)
    index = (
        hm.HashIndex.build(hashes, 3)
        .with_changes(hashes[:5], [1, 2])
        .with_changes(removed=[len(hashes), len(hashes) + 1])
    )
    nearest = index.nearest(hashes[:4], 1)
    assert rows_of(nearest)[0] == (0, 0, 0, 64)
    assert nearest.entry[3] == 3
    assert nearest.entry[2] == len(hashes) + 2
    assert nearest.distance[1] > 0


def test_large_parts_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "MERGED", 50)
    hashes = random_hashes(SPEC, 40, seed=3)
    index = hm.HashIndex.build(hashes, 3)
    first = index._state.parts[0]
    for _ in range(5):
        index = index.with_changes(hashes)
    assert [part.segment.count for part in index._state.parts] == [40] * 6
    assert index._state.parts[0].segment is first.segment
    assert len(index.search(hashes, 0)) == 6 * 40


def test_there_are_only_so_many_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashmatch.index.snapshot.MOST_NUMBERS", 5)
    hashes = random_hashes(SPEC, 3, seed=3)
    index = hm.HashIndex.build(hashes, 3).with_changes(hashes[:2])
    with pytest.raises(hm.UsageError, match="no numbers left"):
        index.with_changes(hashes[:1])
