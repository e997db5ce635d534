"""Indexes whose files are harmed: right answers, IndexFileError, or, unchecked, arbitrary ones.

Never anything else: no crash, no endless loop, no other error.
"""

from __future__ import annotations

import os
import sys
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
import processes
from hashmatch.testing import random_hashes
from processes import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

JIT = not os.environ.get("NUMBA_DISABLE_JIT")

COMMON = """
    import os, random, signal, sys, threading, time
    import numpy as np
    import hashmatch as hm
    from hashmatch._files.block_reader import open_blocks
    from hashmatch.records.entries import Entry
    from hashmatch.records.hash_list import HashList
    from hashmatch.testing import flipped, random_hashes

    signal.alarm(LIMIT)  # what goes on for ever ends all the same
    folder = sys.argv[1]
    path, other = os.path.join(folder, "an.index"), os.path.join(folder, "other.index")

    def aged():
        then = time.time_ns() - 10**9
        os.utime(path, ns=(then, then))
"""


def finished(code: str, *arguments: object, limit: int = int(PATIENCE)) -> tuple[int, str, str]:
    text = dedent(COMMON).replace("LIMIT", str(limit)) + dedent(code)
    command = [sys.executable, "-W", "error", "-c", text, *map(str, arguments)]
    done = processes.run(command, text=True, check=False)
    return done.returncode, done.stdout.strip(), done.stderr


CORRUPTED = """
    rounds, rng = int(sys.argv[2]), np.random.default_rng(int(sys.argv[3]))

    def ask(index, few, many, limit):
        for queries in (few, many):
            for asked in (limit, limit + 9):
                hits = index.search(queries, asked)
                assert ((hits.query >= 0) & (hits.query < len(queries))).all()
                assert ((hits.entry >= 0) & (hits.entry < index.next_entry)).all()
        index.search(few, most=3)
        assert len(index.nearest(few, 3)) <= 3 * len(few)

    def ask_more(index, few, limit):
        index.self_join(limit // 2)
        index.join(index, limit // 4)
        later = index.with_changes(few)
        later.search(few, limit)
        later.save(other)

    def harm(block):
        kind = rng.integers(6)
        if kind == 0:
            block[:] = rng.integers(0, 256, len(block), np.uint8)
        elif kind == 1:
            block[:] = rng.choice([0, 255, 1, 128])
        elif kind == 2:
            for _ in range(rng.integers(1, 40)):
                block[rng.integers(len(block))] ^= 1 << int(rng.integers(8))
        elif kind == 3:  # one part of it is another
            size = int(rng.integers(1, len(block) + 1))
            one, two = rng.integers(0, len(block) - size + 1, 2)
            block[one : one + size] = block[two : two + size].copy()
        elif kind == 4:  # numbers as large as they get
            singles = block[: len(block) // 4 * 4].view(np.uint32)
            singles[rng.random(len(singles)) < 0.01] = 2**32 - 1
        else:  # lines that say that they go on, or hold too much
            halves = block[: len(block) // 2 * 2].view(np.uint16)
            halves[rng.random(len(halves)) < 0.1] = rng.choice([0, 0xFFE0, 0xFFFF, 1])

    cases = []
    for bits, limit, count in [(256, 31, 40_000), (64, 8, 40_000), (256, 7, 4000), (160, 9, 60)]:
        batch = random_hashes(hm.HashSpec("any", bits), count, seed=bits)
        heap = hm.HashBatch.concatenate([batch, *[batch[:1]] * 300])
        index = hm.HashIndex.build(heap, limit)
        entries = tuple(Entry(max_distance=[None, 3, limit + 3][row % 3]) for row in range(200))
        known = HashList("a", "1", batch.spec, heap[-200:], entries)
        changed = index.with_changes(known, range(9)).with_changes(heap[:50], [11])
        near = [flipped(heap[:3], d, seed=d) for d in (0, limit)]
        few = hm.HashBatch.concatenate([*near, random_hashes(batch.spec, 2, seed=1)])
        many = hm.HashBatch.concatenate([few] * 10)
        for one in (index, changed):
            assert ("bands" in one.explain()) == (bits != 160)
            one.save(path)
            ask(hm.HashIndex.open(path), few, many, limit)
            blocks = open_blocks(path).description.blocks
            spans = [(b.offset, b.offset + b.length) for b in blocks if b.length]
            cases.append((np.fromfile(path, np.uint8), spans, few, many, limit))
    opened = refused = 0
    for number in range(rounds):
        whole, spans, few, many, limit = cases[number % len(cases)]
        data = whole.copy()
        for _ in range(rng.integers(1, 3)):
            start, stop = spans[rng.integers(len(spans))]
            harm(data[start:stop])
        data.tofile(path)
        aged()
        try:
            index = hm.HashIndex.open(path, check=False)
            opened += 1
            ask(index, few, many, limit)
            if number % 20 == 3:
                ask_more(index, few, limit)
        except hm.IndexFileError:
            refused += 1
        except hm.TooManyMatches:
            pass
        try:
            hm.HashIndex.open(path, check=True)
            assert (data == whole).all()
        except hm.IndexFileError as error:
            assert "damaged in block" in str(error)
    print(opened > rounds // 2, refused > 0)
"""


@pytest.mark.skipif(not JIT, reason="too many to run uncompiled")
@pytest.mark.parametrize(
    ("rounds", "seed"), [(150, 1), pytest.param(6000, 2, marks=pytest.mark.slow)]
)
def test_damage_that_nobody_checked_for(tmp_path: Path, rounds: int, seed: int) -> None:
    code, out, err = finished(CORRUPTED, tmp_path, rounds, seed, limit=int(PATIENCE) + rounds // 10)
    assert (code, out) == (0, "True True"), err[-2000:]


EVERY_PLACE = """
    # Uncompiled, with every place that a kernel reads compared with the ends of what it is in.
    from hashmatch._kernels import simd

    def load(array, place):
        assert 0 <= place < len(array), (place, len(array))
        return array[place]

    def near_signatures(lines, first, signature, limit, near=simd.near_signatures):
        assert 0 <= first <= len(lines) - 32, (first, len(lines))
        return near(lines, first, signature, limit)

    simd.load, simd.near_signatures = load, near_signatures
    from hashmatch._kernels import multi_index, tables, verify
    from hashmatch.index import segment
    from hashmatch.index.tables import Band, Plan

    def look_at(index, most):
        head = index._state.parts[0].segment.tables.head
        head.flags.writeable = True
        head[tables.CANDIDATE_LIMIT] = most

    assert verify.load is load
    assert multi_index.near_signatures is near_signatures
    bands = tuple(Band(64 * b, 64, 3, 2 - (b == 3)) for b in range(4))
    segment.plan = lambda *_: Plan(bands, 0.0)
    batch = random_hashes(hm.HashSpec("any", 256), 60, seed=1)
    batch = hm.HashBatch.concatenate([batch, *[batch[:1]] * 15])
    many = hm.HashBatch.concatenate([batch[:2]] * 33)
    index = hm.HashIndex.build(batch, 10)
    assert index._state.parts[0].segment.tables is not None
    look_at(index, 1000)
    index.search(many)
    index.save(path)
    blocks = open_blocks(path).description.blocks
    (begin,) = [b.offset for b in blocks if b.name.endswith("tables")]
    whole, rng = np.fromfile(path, np.uint8), np.random.default_rng(3)
    for number in range(int(sys.argv[2])):
        data = whole.copy()
        halves = data[begin:].view(np.uint16)
        some = rng.random(len(halves)) < rng.choice([0.02, 0.3, 1])
        wild = rng.integers(0, 2**16, len(halves), np.uint16)
        odd = rng.choice(np.array([0, 1, 0xFFE0, 0xFFFF, 0xFFFE], np.uint16), len(halves))
        halves[some] = (wild if number % 2 else odd)[some]
        data.tofile(path)
        aged()
        opened = hm.HashIndex.open(path, check=False)
        look_at(opened, 1000)
        for queries in (batch[:3], many):
            opened.search(queries)
    print("read nothing beyond")
"""


def test_whatever_is_in_the_tables_kernels_stay_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    code, out, err = finished(EVERY_PLACE, tmp_path, 30)
    assert (code, out) == (0, "read nothing beyond"), err[-2000:]


READERS = """
    kind, size, rounds = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    spec = hm.HashSpec("any", 256)
    lists = [random_hashes(spec, size, seed=seed) for seed in (1, 2)]
    near = [hm.HashBatch.concatenate([flipped(one[:40], 9, seed=1)] * 3) for one in lists]
    few = [one[:5] for one in near]
    limit = 31
    indexes = [hm.HashIndex.build(one, limit) for one in lists]
    indexes = [one.with_changes(lists[0][:30], range(5, 9)) for one in indexes]

    def rows(hits):
        return hits.query.tolist(), hits.entry.tolist(), hits.distance.tolist()

    def questions(index, number):
        yield rows(index.search(few[number]))
        yield rows(index.search(near[number], limit + 5))
        yield rows(index.search(near[number], most=2))
        yield rows(index.nearest(few[number], 3))
        yield rows(index.self_join(9))
        yield rows(index.with_changes(near[number], [1]).search(near[number]))

    right = [list(questions(index, number)) for number, index in enumerate(indexes)]
    indexes[1].save(other)
    stop = threading.Event()
    opened, answers, refused, wrong = [0], [0], [0], []

    def read():
        while not stop.is_set():
            try:
                index = hm.HashIndex.open(path, check=True)
                opened[0] += 1
                number = int(index.snapshot)
                while not stop.is_set():
                    for question, expected in zip(questions(index, number), right[number]):
                        answers[0] += 1
                        if question != expected:
                            wrong.append((number, question, expected))
            except hm.IndexFileError:
                refused[0] += 1
            except Exception as error:
                wrong.append(repr(error))

    named = [index.with_changes(snapshot=str(n)) for n, index in enumerate(indexes)]
    named[0].save(path)
    whole = []
    for one in named:
        one.save(other)
        with open(other, "rb") as file:
            whole.append(file.read())
    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    random.seed(1)
    harms = 0

    def is_enough():
        return harms >= rounds and opened[0] and answers[0] > 10 and (
            kind == "replaced" or refused[0]
        )

    while not is_enough() and not wrong:
        time.sleep(0.15 * random.random())
        number = harms % 2
        harms += 1
        if kind == "replaced":
            named[number].save(path)
        else:  # in place, but not shorter: a mapping that is cut off ends the process
            with open(path, "r+b") as file:
                file.write(whole[number][: min(map(len, whole))])
            time.sleep(0.02)
            named[number].save(path)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]
    print("all right")
"""


@pytest.mark.skipif(not JIT, reason="too slow uncompiled")
@pytest.mark.parametrize("kind", ["replaced", "overwritten"])
@pytest.mark.parametrize(
    ("size", "rounds"), [(2000, 15), pytest.param(60_000, 300, marks=pytest.mark.slow)]
)
def test_readers_while_their_file_is_harmed(
    tmp_path: Path, kind: str, size: int, rounds: int
) -> None:
    code, out, err = finished(READERS, tmp_path, kind, size, rounds)
    assert (code, out) == (0, "all right"), err[-2000:]


def test_an_index_that_is_no_longer_whole_replaces_nothing(tmp_path: Path) -> None:
    spec = hm.HashSpec("any", 64)
    one, other = (hm.HashIndex.build(random_hashes(spec, 9, seed=n), 3, f"{n}") for n in (1, 2))
    one.save(tmp_path / "one")
    other.save(tmp_path / "other")
    opened = hm.HashIndex.open(tmp_path / "one")
    later = opened.with_changes(random_hashes(spec, 5, seed=3))
    os.truncate(tmp_path / "one", 4096)
    for index in (opened, later):
        with pytest.raises(hm.IndexFileError, match="truncated or written over while it was open"):
            index.save(tmp_path / "other")
    assert hm.HashIndex.open(tmp_path / "other").snapshot == "2"
    assert sorted(os.listdir(tmp_path)) == ["one", "other"]
