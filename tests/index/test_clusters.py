"""Near-duplicates of a list lie apart, and searches find all that they found among the others."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hashmatch as hm
import naive
from hashmatch._files.block_writer import write
from hashmatch._kernels.clusters import is_near_any
from hashmatch._kernels.tables import CANDIDATE_LIMIT
from hashmatch.index import clusters
from hashmatch.index.clusters import Clusters, Found
from hashmatch.index.files import _described
from hashmatch.testing import flipped, random_hashes

if TYPE_CHECKING:
    from pathlib import Path

JIT = not os.environ.get("NUMBA_DISABLE_JIT")
PDQ = hm.HashSpec("pdq", 256)
pytestmark = pytest.mark.skipif(not JIT, reason="too many hashes to run uncompiled")


def near(center: hm.HashBatch, count: int, furthest: int, seed: int) -> hm.HashBatch:
    """Hashes up to so many bits from a center."""
    rng = np.random.default_rng(seed)
    words = np.repeat(center.words, count, axis=0)
    for _ in range(furthest):
        rows, bits = np.arange(count), rng.integers(0, 256, count)
        words[rows, bits // 64] ^= np.uint64(1) << (bits % 64).astype(np.uint64)
    return hm.HashBatch(PDQ, words)


def crowded(seed: int = 1) -> tuple[hm.HashBatch, hm.HashBatch]:
    """A list with two clusters and a part of a third, in no order, and their centers."""
    centers = random_hashes(PDQ, 3, seed)
    parts = [
        random_hashes(PDQ, 8000, seed + 1),
        near(centers[:1], 2000, 12, seed),
        near(centers[1:2], 700, 0, seed),
        near(centers[2:], 200, 12, seed),
    ]
    words = hm.HashBatch.concatenate(parts).words
    return hm.HashBatch(PDQ, words[np.random.default_rng(seed).permutation(len(words))]), centers


def asked(known: hm.HashBatch, centers: hm.HashBatch) -> hm.HashBatch:
    """Queries near centers and entries, at all distances about the limit, and anywhere."""
    some = [flipped(centers, d, seed=d) for d in (0, 5, 19, 20, 31, 32, 43, 44, 60)]
    some += [flipped(known[n : n + 1], d, seed=d) for n in range(40) for d in (0, 30, 31, 32)]
    return hm.HashBatch.concatenate([*some, random_hashes(PDQ, 50, 9)])


def pairs(found: hm.Matches) -> list[tuple[int, int, int]]:
    columns = found.query.tolist(), found.entry.tolist(), found.distance.tolist()
    return list(zip(*columns, strict=True))


def clusters_of(index: hm.HashIndex) -> Clusters:
    plain = index._state.plain
    assert plain is not None
    assert plain.clusters is not None
    return plain.clusters


def test_clusters_are_found_whole_and_small_ones_left() -> None:
    known, centers = crowded()
    index = hm.HashIndex.build(known, 31)
    found = clusters_of(index)
    order = np.argsort(found.bounds[:, 1] - found.bounds[:, 0])
    assert found.centers[order[::-1]].tolist() == centers.words[:2].tolist()
    sizes = (found.bounds[:, 1] - found.bounds[:, 0])[order].tolist()
    assert sizes == [700, 2000]
    assert found.bounds[order[0], 2] == 0
    assert 9 <= found.bounds[order[1], 2] <= 12
    assert "those of 2 clusters that are near it" in index.explain()
    again = clusters_of(hm.HashIndex.build(known, 31))
    for name in ("centers", "bounds", "columns", "rows"):
        assert getattr(again, name).tobytes() == getattr(found, name).tobytes()
        assert not getattr(found, name).flags.writeable or name == "bounds"
    assert not any(f"{word:x}" in repr(found) for word in centers.words[:2].ravel().tolist())


def test_random_hashes_have_none() -> None:
    plain = hm.HashIndex.build(random_hashes(PDQ, 20_000, 3), 31)._state.plain
    assert plain is not None
    assert plain.tables is not None
    assert plain.clusters is None


@pytest.mark.parametrize("limit", [0, 20, 31])
def test_a_search_finds_what_looking_at_every_entry_finds(limit: int) -> None:
    known, centers = crowded()
    queries, every = asked(known, centers), hm.HashIndex.build(known)
    index = hm.HashIndex.build(known, 31)
    expected = every.search(queries, limit)
    assert pairs(index.search(queries, limit)) == pairs(expected)
    for n in range(0, len(queries), 9):
        own = queries[n : n + 1]
        assert pairs(index.search(own, limit)) == pairs(every.search(own, limit))
    assert pairs(index.nearest(queries[:30], 3)) == pairs(every.nearest(queries[:30], 3))
    assert pairs(index.search(queries[:30], 60)) == pairs(every.search(queries[:30], 60))
    some = hm.HashBatch(PDQ, known.words[::7].copy())
    assert pairs(index.join(some, limit)) == pairs(every.join(some, limit))


def test_a_query_that_the_tables_give_up_has_each_pair_once() -> None:
    """Nothing comes both from its cluster and from looking at every entry."""
    known, centers = crowded()
    queries = asked(known, centers)
    expected = pairs(hm.HashIndex.build(known).search(queries, 31))
    index = hm.HashIndex.build(known, 31)
    of_index = clusters_of(index)
    plain = index._state.plain
    assert plain is not None
    assert plain.tables is not None
    head = plain.tables.head.copy()
    head[CANDIDATE_LIMIT] = 0
    head.flags.writeable = False
    plain.tables.head = head
    assert pairs(index.search(queries, 31)) == expected
    mixed = np.flatnonzero(
        [is_near_any(of_index.centers, of_index.bounds, one[None], 31) for one in queries.words]
    )
    for n in mixed[:20]:
        own = [(0, entry, distance) for query, entry, distance in expected if query == n]
        assert pairs(index.search(queries[int(n) : int(n) + 1], 31)) == own


@settings(max_examples=25, deadline=None)
@given(
    bits=st.sampled_from([64, 128, 256]),
    limit=st.integers(0, 12),
    furthest=st.integers(0, 5),
    seed=st.integers(0, 2**32),
)
def test_members_are_found_as_by_the_naive_loop(
    bits: int, limit: int, furthest: int, seed: int
) -> None:
    """Clusters of any size, next to each other, of any entries of a list."""
    rng = np.random.default_rng(seed)
    spec = hm.HashSpec("any", bits)
    centers = random_hashes(spec, 3, seed)
    rows = np.array_split(rng.permutation(300)[: rng.integers(3, 300)], 3)
    words = random_hashes(spec, 300, seed + 1).words.copy()
    for own, center in zip(rows, centers.words, strict=True):
        words[own] = center
        for row in own:
            for bit in rng.choice(bits, rng.integers(0, furthest + 1), replace=False):
                words[row, bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    made = Clusters.build(words, Found(centers.words, rows, [furthest] * 3))
    asked = hm.HashBatch.concatenate(
        [flipped(centers, d, seed=d) for d in (0, limit, limit + 1, limit + furthest + 1)]
    )
    members = np.sort(np.concatenate(rows))
    values = [int(text, 16) for text in hm.HashBatch(spec, words[members]).to_hex()]
    expected = [
        (q, int(members[e]), distance)
        for q, e, distance in naive.search([int(x, 16) for x in asked.to_hex()], values, limit)
    ]
    found = made.search(asked.words, limit, 300, np.empty((3, 4000), np.int64))
    assert not isinstance(found, int)
    assert sorted(zip(*(column.tolist() for column in found), strict=True)) == sorted(expected)
    few = made.search(asked.words, limit, 300, np.empty((3, 1), np.int64))
    assert few == len(expected) or (len(expected) < 2 and not isinstance(few, int))


def test_answers_larger_than_usual_are_whole() -> None:
    known = near(random_hashes(PDQ, 1, 5), 9000, 4, 5)
    index = hm.HashIndex.build(known, 31)
    assert clusters_of(index).bounds[:, 1].max() == 9000  # all of the list
    assert len(index.search(known[:3])) == 27_000
    assert len(index.search(known[:3], most=5)) == 15


def test_files_and_changes_keep_them(tmp_path: Path) -> None:
    known, centers = crowded()
    queries = asked(known, centers)
    index = hm.HashIndex.build(known, 31)
    index.save(tmp_path / "saved")
    hm.HashIndex.build_file(tmp_path / "built", known, 31)
    expected = pairs(index.search(queries))
    for name in ("saved", "built"):
        opened = hm.HashIndex.open(tmp_path / name)
        assert pairs(opened.search(queries)) == expected
        assert opened.nbytes == index.nbytes
        gone = [entry for _, entry, _ in expected[:5]]
        changed = opened.with_changes(near(centers[:1], 3, 2, 8), removed=sorted({*gone}))
        kept = [pair for pair in expected if pair[1] not in gone]
        after = [pair for pair in pairs(changed.search(queries)) if pair[1] < len(known)]
        assert after == kept


@pytest.mark.parametrize(
    "bounds",
    [
        "0,2000,12;2048,2748,900", "0,2000,12;1024,2748,0", "0,2000,12;2049,2700,0",
        "0,2000,12;2048,99999,0", "0,2000,-1;2048,2748,0", "2048,2000,12;2048,2748,0",
        "0,2000,12", "0,2000;2048,2748", "", "0,0,0;" * 300 + "0,0,0",
    ],
)  # fmt: skip
def test_what_a_file_says_of_them_is_checked(bounds: str, tmp_path: Path) -> None:
    index = hm.HashIndex.build(crowded()[0], 31)
    description, blocks = _described(index._state)
    (part,) = description.segments
    facts = dict(part.facts)
    assert facts["clusters"] in {"0,2000,12;2048,2748,0", "0,700,0;768,2768,12"}
    changed = msgspec.structs.replace(part, facts=facts | {"clusters": bounds})
    other = msgspec.structs.replace(description, segments=(changed,))
    write(str(tmp_path / "index"), other, blocks)
    with pytest.raises(hm.IndexFileError, match="not an index that can be searched"):
        hm.HashIndex.open(tmp_path / "index")


def test_there_are_no_more_than_each_query_can_be_compared_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known, centers = crowded()
    monkeypatch.setattr(clusters, "MOST", 1)
    index = hm.HashIndex.build(known, 31)
    assert len(clusters_of(index).centers) == 1
    queries = asked(known, centers)
    assert pairs(index.search(queries)) == pairs(hm.HashIndex.build(known).search(queries, 31))
