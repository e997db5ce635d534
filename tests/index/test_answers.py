"""Whose limit counts, and answers that would not fit: in parts, the closest only, or refused."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import hashmatch as hm
from hashmatch.index import chunking, hash_index, queries, segment, snapshot
from hashmatch.records.entries import Entry
from hashmatch.records.hash_list import HashList
from hashmatch.testing import flipped, hash_list, random_hashes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

JIT = not os.environ.get("NUMBA_DISABLE_JIT")
SPEC = hm.HashSpec("pdq", 256)


def listed(
    batch: hm.HashBatch, own: Sequence[int | None], of_list: int | None = None, name: str = "demo"
) -> HashList:
    entries = tuple(Entry(str(row), max_distance=limit) for row, limit in enumerate(own))
    return HashList(name, "1", batch.spec, batch, entries, (), of_list)


def rows_of(hits: hm.Matches) -> list[tuple[int, ...]]:
    columns = hits.query, hits.entry, hits.distance, hits.max_distance
    return list(zip(*(column.tolist() for column in columns), strict=True))


ONE = random_hashes(SPEC, 1, seed=5)
FAR = list(range(257)) if JIT else [0, 1, 12, 13, 31, 32, 33, 40, 41, 200, 256]
ASKED = hm.HashBatch.concatenate([flipped(ONE, distance, seed=9) for distance in FAR])
"""Queries so far from each entry of a list of copies."""
OWN: list[int | None] = [None, 0, 1, 31, 32, 40, 200, 256]


@pytest.mark.parametrize("of_list", [None, 0, 12])
@pytest.mark.parametrize("built_for", [None, 0, 31])
@pytest.mark.parametrize("kind", ["built", "opened", "changed", "among thousands"])
def test_limits_are_honoured_to_the_bit(
    tmp_path: Path, kind: str, built_for: int | None, of_list: int | None
) -> None:
    copies = hm.HashBatch.concatenate([ONE] * len(OWN))
    first = 0
    if kind == "changed":
        empty = listed(copies[:0], [], of_list)
        index = hm.HashIndex.build(empty, built_for).with_changes(listed(copies, OWN, of_list))
    elif kind == "among thousands":
        first = 3000 if JIT else 20
        many = random_hashes(SPEC, first, seed=2)
        batch = hm.HashBatch.concatenate([many, copies])
        index = hm.HashIndex.build(listed(batch, (0,) * first + tuple(OWN), of_list), built_for)
    else:
        index = hm.HashIndex.build(listed(copies, OWN, of_list), built_for)
    if kind == "opened":
        index.save(tmp_path / "an.index")
        index = hm.HashIndex.open(tmp_path / "an.index")
    for asked in (0, 31, 33, None):
        if asked is None and built_for is None:
            with pytest.raises(hm.UsageError, match="cannot search without a max_distance"):
                index.search(ASKED)
            continue
        usual = of_list if of_list is not None else built_for if asked is None else asked
        limits = [usual if own is None else own for own in OWN]
        expected = [
            (query, first + row, distance, limit)
            for query, distance in enumerate(FAR)
            for row, limit in enumerate(limits)
            if limit is not None and distance <= limit
        ]
        assert rows_of(index.search(ASKED, asked)) == expected
        for row in map(FAR.index, (0, 1, 12, 31, 32, 33, 256)):
            one = rows_of(index.search(ASKED[row : row + 1], asked))
            assert one == [(0, *hit[1:]) for hit in expected if hit[0] == row]


@pytest.mark.parametrize(
    ("own", "of_list"),
    [([-1], None), ([257], None), ([None], -1), ([None], 257), ([31.5], None), (["3"], None)],
)
def test_limits_that_are_none(own: list[Any], of_list: int | None) -> None:
    """A limit of -1 was taken for none, and the entry searched as far as was asked."""
    known = listed(ONE, own, of_list)
    for build in (hm.HashIndex.build, hm.HashIndex.build(ONE, 3).with_changes, hm.Matcher):
        with pytest.raises(hm.UsageError, match="max_distance"):
            build(known)


def test_a_list_with_narrow_limits_is_searched_no_farther() -> None:
    """All have own limits, so what the search asks for is no reason to look at every entry."""
    size = 20_000 if JIT else 30
    batch = random_hashes(SPEC, size, seed=4)
    index = hm.HashIndex.build(listed(batch, [None] * size, 7), 31)
    (part,) = index._state.parts
    assert (part.segment.limit, part.reach(31), part.reach(200)) == (7 if JIT else -1, 7, 7)
    asked = hm.HashBatch.concatenate([flipped(batch[:1], distance, seed=3) for distance in (7, 8)])
    assert rows_of(index.search(asked)) == rows_of(index.search(asked, 200)) == [(0, 0, 7, 7)]


def test_a_matcher_says_whose_limit_it_was() -> None:
    copies = hm.HashBatch.concatenate([ONE] * 3)
    lists = [listed(copies, [None, 0, 40]), listed(copies, [None, 0, 40], 35, "other")]
    for limit, decided, asked in [(None, "algorithm", 31), (20, "caller", 20)]:
        matcher = hm.Matcher(*lists, max_distance=limit)
        for distance in (0, 20, 21, 31, 32, 35, 36, 40, 41):
            (found,) = matcher.look_up(flipped(ONE, distance, seed=9))
            by = [(asked, decided), (0, "entry"), (40, "entry")]
            by += [(35, "list"), (0, "entry"), (40, "entry")]
            expected = [one for one in by if distance <= one[0]]
            assert [(m.max_distance, m.max_distance_from) for m in found.matches] == expected
            assert found.match_count == len(expected)


def small(monkeypatch: pytest.MonkeyPatch, **budget: int) -> None:
    """Have answers hold less, wherever the number has gone."""
    for name, value in budget.items():
        for module in (chunking, hash_index, queries, snapshot):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    if "BUFFER" in budget:  # a search looks at its budget once it finds more than its buffer holds
        usual = segment._buffers
        fewer = SimpleNamespace(rows=usual.rows, out=usual.out[:, :2].copy())
        monkeypatch.setattr(segment, "_buffers", fewer)


def crowded(kind: str, tmp_path: Path) -> tuple[hm.HashIndex, hm.HashBatch]:
    """Return 60 or 90 entries in three heaps of copies, and queries near some of them."""
    heaps = random_hashes(SPEC, 3, seed=8)
    near = [flipped(heaps, distance, seed=distance) for distance in (0, 3, 3, 9)]
    some = hm.HashBatch.concatenate([heaps] * 5 + near * 4)
    asked = hm.HashBatch.concatenate([heaps, *near, random_hashes(SPEC, 4, seed=1)] * 2)
    index = hm.HashIndex.build(some, 31)
    if kind == "opened":
        index.save(tmp_path / "an.index")
        index = hm.HashIndex.open(tmp_path / "an.index")
    if kind == "changed":
        known = listed(some[:30], [None, 2, 256] * 10)
        index = index.with_changes(known, range(0, 40, 3)).with_changes(some[:9], [50])
    return index, asked


KINDS = pytest.mark.parametrize("kind", ["built", "opened", "changed"])
compiled = pytest.mark.skipif(not JIT, reason="slow, and what is tested is not compiled")


@compiled
@KINDS
@pytest.mark.parametrize(
    "budget",
    [
        {"AT_ONCE": 1},
        {"AT_ONCE": 7},
        {"AT_ONCE": 9, "USUAL": 1},
        {"AT_ONCE": 9, "USUAL": 40},
        {"MOST": 0, "BUFFER": 0},
        {"MOST": 30, "BUFFER": 30},
        {"AT_ONCE": 5, "USUAL": 3, "MOST": 11, "BUFFER": 2},
    ],
    ids=str,
)
def test_parts_make_up_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, budget: dict[str, int]
) -> None:
    index, asked = crowded(kind, tmp_path)
    whole, joined = index.search(asked), index.join(index)
    pairs, nearest = index.self_join(), index.nearest(asked, 5)
    closest = {most: index.search(asked, most=most) for most in (1, 4, 1000)}
    assert len(whole) > 300
    small(monkeypatch, **budget)
    streamed = list(index.stream(asked))
    assert sorted({row for part in streamed for row in rows_of(part)}) == rows_of(whole)
    assert [row for part in streamed for row in rows_of(part)] == rows_of(whole)
    queries = [set(part.query.tolist()) for part in streamed if len(part)]
    assert sum(map(len, queries)) == len(set().union(*queries)), "a query is in two parts"
    assert len(streamed) > 1
    assert sorted(row for part in index.stream_join(index) for row in rows_of(part)) == rows_of(
        joined
    )
    assert sorted(row for part in index.stream_self_join() for row in rows_of(part)) == rows_of(
        pairs
    )
    for most, expected in closest.items():
        if len(expected) <= budget.get("MOST", 10**9):
            capped = index.search(asked, most=most)
            assert rows_of(capped) == rows_of(expected)
            assert capped.counts is not None
            assert expected.counts is not None
            assert capped.counts.tolist() == expected.counts.tolist()
    if len(nearest) <= budget.get("MOST", 10**9):
        assert rows_of(index.nearest(asked, 5)) == rows_of(nearest)


@compiled
@KINDS
def test_the_closest_and_how_many_there_are(tmp_path: Path, kind: str) -> None:
    index, asked = crowded(kind, tmp_path)
    whole = index.search(asked)
    for most in (1, 2, 7, 10**9):
        capped = index.search(asked, most=most)
        assert capped.counts is not None
        assert capped.counts.tolist() == np.bincount(whole.query, minlength=len(asked)).tolist()
        assert capped.total == len(whole)
        expected = []
        for query in range(len(asked)):
            of_query = [row for row in rows_of(whole) if row[0] == query]
            closest = sorted(of_query, key=lambda row: (row[2], row[1]))[:most]
            expected += sorted(closest)
        assert rows_of(capped) == expected
    nothing = index.search(asked[:0], most=3)
    assert nothing.counts is not None
    assert (len(nothing), nothing.counts.tolist(), nothing.total) == (0, [], 0)


@compiled
@KINDS
def test_too_many_is_said_and_never_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    index, asked = crowded(kind, tmp_path)
    whole, count = index.search(asked), len(index.search(asked[:1]))
    questions: list[tuple[int, str, Callable[[], hm.Matches]]] = [
        (len(whole), "Use stream, or most=", lambda: index.search(asked)),
        (count, "Use stream, or most=", lambda: index.search(asked[:1])),
        (4 * len(asked), "Ask for fewer", lambda: index.nearest(asked, 4)),
        (len(index.self_join()), "Use stream_self_join", index.self_join),
        (len(index.join(asked)), "Use stream_join", lambda: index.join(asked)),
        (len(index.join(index)), "Use stream_join", lambda: index.join(index)),
        (
            len(index.search(asked, most=2)),
            "Ask for fewer of each query",
            lambda: index.search(asked, most=2),
        ),
    ]
    for number, said, ask in questions:
        with monkeypatch.context() as patch:
            small(patch, MOST=number, BUFFER=number)
            assert len(ask()) == number
            small(patch, MOST=number - 1, BUFFER=number - 1)
            with pytest.raises(hm.TooManyMatches, match=said):
                ask()


def test_nearest_of_all_of_a_long_list_for_many_is_refused_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Room for all answers was asked for before any was found: 16,384 times the whole list."""
    batch = random_hashes(hm.HashSpec("any", 64), 2000 if JIT else 5, seed=1)
    index = hm.HashIndex.build(batch)
    assert len(index.nearest(batch[:3], 2**62)) == 3 * len(batch)
    many = hm.HashBatch(batch.spec, np.zeros((40_000, 1), np.uint64))
    small(monkeypatch, MOST=10**6 if JIT else 20)
    with pytest.raises(hm.TooManyMatches, match=r"more than [0-9,]+. Ask for fewer"):
        index.nearest(many if JIT else many[:9], 2**62)


@pytest.mark.parametrize("number", [0, -1, 1.0, "3", [2], None])
def test_numbers_of_matches_that_are_none(number: Any) -> None:
    index = hm.HashIndex.build(ONE, 3)
    if number is not None:
        with pytest.raises(hm.UsageError, match="for most"):
            index.search(ONE, most=number)
    with pytest.raises(hm.UsageError, match="for k"):
        index.nearest(ONE, number)


def test_joins_with_other_kinds_are_refused() -> None:
    index = hm.HashIndex.build(ONE, 3)
    other = random_hashes(hm.HashSpec("sha256", 256), 2, seed=1)
    for one in (other, hash_list(other), hm.HashIndex.build(other)):
        with pytest.raises(hm.SpecMismatch):
            index.join(one)
    assert rows_of(index.join(hash_list(ONE))) == rows_of(index.join(index)) == [(0, 0, 0, 3)]
