"""Lookups name the closest entries and count all, as going through every hit would."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import hashmatch as hm
from hashmatch.index import chunking, hash_index
from hashmatch.matching.lookup import Lookup
from hashmatch.records.entries import Entry
from hashmatch.records.hash_list import HashList
from hashmatch.records.images import HashedImage
from hashmatch.testing import flipped, hash_list, random_hashes

if TYPE_CHECKING:
    from hashmatch.matching.lookup import Found

JIT = not os.environ.get("NUMBA_DISABLE_JIT")
PDQ, PHASH = hm.HashSpec("pdq", 256), hm.HashSpec("phash", 64)
Named = tuple[str, str, int, int]
Rank = tuple[tuple[float, int, int, int, int, int], tuple[str, str, str, int, int]]


def near_each_other(spec: hm.HashSpec, count: int, rng: np.random.Generator) -> hm.HashBatch:
    """Return hashes around two, so that distances tie and equal hashes are there."""
    centres = random_hashes(spec, 2, seed=1)
    one = [
        flipped(centres[row : row + 1], int(rng.integers(0, 12)), int(rng.integers(9)))
        for row in rng.integers(0, 2, count)
    ]
    return hm.HashBatch.concatenate([centres[:0], *one])


def made_up(spec: hm.HashSpec, count: int, name: str, rng: np.random.Generator) -> HashList:
    limits = [None, None, None, 0, 9, 40]
    entries = tuple(
        Entry(f"{name}{row}", max_distance=limits[rng.integers(6)]) for row in range(count)
    )
    batch = near_each_other(spec, count, rng)
    return HashList(name, "1", spec, batch, entries, (), [None, 7][rng.integers(2)])


def every_hit(lists: list[HashList], hashes: hm.HashBatch, default: int) -> list[list[Named]]:
    """Of each query all hits, (list, entry, distance, limit), closest first, then by list, row."""
    answer = []
    for query in hashes.to_hex():
        hits = []
        for number, known in enumerate(lists):
            limits = known.limits(default)
            for row, text in enumerate(known.hashes.to_hex()):
                distance = (int(query, 16) ^ int(text, 16)).bit_count()
                if distance <= limits[row]:
                    hits.append((distance, number, row, int(limits[row])))
        answer.append(
            [
                (lists[n].name, f"{lists[n].name}{row}", d, limit)
                for d, n, row, limit in sorted(hits)
            ]
        )
    return answer


def named(found: Found) -> list[Named]:
    return [(m.list, m.entry, m.distance, m.max_distance) for m in found.matches]


@pytest.mark.parametrize("most", [1, 3, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_each_hash_equals_going_through_every_hit(seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    lists = [made_up(PDQ, count, name, rng) for name, count in (("a", 30), ("b", 0), ("c", 12))]
    asked = hm.HashBatch.concatenate(
        [near_each_other(PDQ, 8, rng), random_hashes(PDQ, 2, seed=9), lists[0].hashes[:2]]
    )
    expected = every_hit(lists, asked, 31)
    found = Lookup(lists, None, most, None).find_each(asked)
    assert [named(one) for one in found] == [hits[:most] for hits in expected]
    assert [one.match_count for one in found] == list(map(len, expected))
    assert sum(map(len, expected)) > 50
    assert Lookup(lists, None, most, None).find_each(asked[:0]) == []


@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize("most", [1, 3, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_any_hash_names_each_entry_once(
    monkeypatch: pytest.MonkeyPatch, seed: int, most: int, in_parts: bool
) -> None:
    if in_parts:  # as if all pairs were too many to be held at once
        for module in (chunking, hash_index):
            monkeypatch.setattr(module, "AT_ONCE", 2)
            monkeypatch.setattr(module, "MOST", 20)
    rng = np.random.default_rng(seed)
    of_spec = {
        PDQ: [made_up(PDQ, 30, "a", rng), made_up(PDQ, 9, "b", rng)],
        PHASH: [made_up(PHASH, 9, "c", rng)],
    }
    good, poor = hm.Outcome.HASHED, hm.Outcome.LOW_QUALITY
    names = ("upright", "left", "right")
    frames = [
        HashedImage(f"{n}", spec, outcome, near_each_other(spec, 3, rng), frame=n, variants=names)
        for n, (spec, outcome) in enumerate([(PDQ, good), (PDQ, poor), (PHASH, good), (PDQ, good)])
    ]
    closest: dict[tuple[str, str], Rank] = {}
    for place, (spec, lists) in enumerate(of_spec.items()):
        numbers = [known.name for known in lists]
        searched = [frame for frame in frames if frame.spec == spec and frame.outcome is good]
        for order, frame in enumerate(searched):
            for row, hits in enumerate(every_hit(lists, frame.hashes, {PDQ: 31, PHASH: 10}[spec])):
                for known, entry, distance, limit in hits:
                    of_list = numbers.index(known), int(entry[1:])
                    rank = distance / spec.bits, place, *of_list, order, row
                    told = (known, entry, names[row], frame.frame, limit)
                    here = rank, told
                    closest[known, entry] = min(closest.get((known, entry), here), here)
    ranked = [told for _, told in sorted(closest.values())]
    lookup = Lookup(
        [known for lists in of_spec.values() for known in lists],
        {"pdq": 31, "phash": 10},
        most,
        None,
    )
    found = lookup.find_any(frames)
    assert found.match_count == len(closest) >= 10
    got: list[Any] = [(m.list, m.entry, m.variant, m.frame, m.max_distance) for m in found.matches]
    assert got == ranked[:most]
    assert isinstance(found.image, hm.HashedImage)
    assert (found.image.variants[found.row], found.image.frame) == ranked[0][2:4]


def test_nothing_is_found_of_nothing() -> None:
    lookup = Lookup([hash_list(random_hashes(PDQ, 5, seed=1))], None, 3, None)
    nobody = HashedImage("a", PDQ, hm.Outcome.LOW_QUALITY, random_hashes(PDQ, 1, seed=1))
    far = HashedImage("a", PDQ, hm.Outcome.HASHED, random_hashes(PDQ, 1, seed=2))
    for hashed in ([], [nobody], [far]):
        found = lookup.find_any(hashed)
        assert (found.matches, found.match_count, found.image) == ((), 0, None)


@pytest.mark.skipif(not JIT, reason="too slow uncompiled")
def test_a_picture_with_50_000_copies_in_the_list() -> None:
    """Each hit was an object, and they were sorted one by one: as many calls, and seconds."""
    one = random_hashes(PDQ, 1, seed=1)
    entries = 50_000
    batch = hm.HashBatch(PDQ, np.repeat(one.words, entries, axis=0))
    known = HashList("a", "1", PDQ, batch, tuple(Entry(str(row)) for row in range(entries)))
    lookup = Lookup([known], None, 10, None)
    near = [flipped(one, distance, seed=distance) for distance in (9, 3, 4, 3)]
    asked = hm.HashBatch.concatenate(near)
    image = HashedImage("a", PDQ, hm.Outcome.HASHED, asked, variants=("a", "b", "c", "d"))
    lookup.find_each(asked), lookup.find_any([image])  # which compile what is not compiled yet
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        each, found = lookup.find_each(asked), lookup.find_any([image])
    finally:
        sys.setprofile(None)
    assert calls < entries // 10
    assert [one.match_count for one in each] == [entries] * 4
    assert [one.matches[0].distance for one in each] == [9, 3, 4, 3]
    assert [match.entry for match in each[0].matches] == [str(row) for row in range(10)]
    assert found.match_count == entries
    assert [(m.entry, m.distance, m.variant) for m in found.matches] == [
        (str(row), 3, "b") for row in range(10)
    ]
