"""Searching a list for every entry within a limit: building an index, and asking it.

The lists are short ones, so that proving the benchmarks correct is quick; HASHMATCH_BENCH_LARGE=1
adds those of a million and of ten million.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.search_engines import INDEXED, LINEAR, WAYS, SearchEngine, asking, peers_for
from benchmarks.search_pairs import GOALS, Side, check
from benchmarks.search_workloads import CHECKED, Case, known, to_check

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from benchmarks.engines import Engine

SHORT = (
    Case(10_000),
    Case(100_000),
    Case(30_000, kind="skewed"),
    Case(30_000, bits=64, limit=8),
    Case(30_000, bits=64, limit=10),
)
LONG = [case for case in GOALS if case.size > 100_000]
LISTS = [*SHORT, *(LONG if os.environ.get("HASHMATCH_BENCH_LARGE") else [])]
CASES = [(engine, case) for case in LISTS for engine in (INDEXED, LINEAR, *peers_for(case))]

_built: dict[tuple[str, Case], Side] = {}


@pytest.fixture
def side(engine: Engine, case: Case) -> Side:
    """Return an engine and its index, built once for all that ask it; only one list's are kept."""
    assert isinstance(engine, SearchEngine)
    for key in [key for key in _built if key[1] != case]:
        del _built[key]
    if (engine.name, case) not in _built:
        _built[engine.name, case] = Side.built(engine, case)
    return _built[engine.name, case]


def group(what: str, case: Case) -> str:
    return f"{what} {case}: {INDEXED}; {', '.join(map(str, peers_for(case)))}"


@pytest.mark.parametrize(("engine", "case"), CASES, indirect=["engine"], ids=str)
def test_build(benchmark: BenchmarkFixture, engine: SearchEngine, case: Case) -> None:
    benchmark.group = group("build", case)
    entries = engine.form(known(case))
    pedantic: Any = benchmark.pedantic  # it has no types
    index = pedantic(engine.build, (entries, case), rounds=1 if case.size > 100_000 else 3)
    check(Side.built(LINEAR, case), Side(engine, index), case)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("engine", "case"), CASES, indirect=["engine"], ids=str)
def test_search(benchmark: BenchmarkFixture, side: Side, case: Case, way: str) -> None:
    benchmark.group = group(f"search {CHECKED} {way},", case)
    batch = to_check(case).batch
    linear = Side.built(LINEAR, case)
    ours, our_hits = asking(linear.engine, linear.index, batch, way, case.limit)
    run, hits = asking(side.engine, side.index, batch, way, case.limit)
    assert side.engine.agrees(our_hits(ours()), hits(benchmark(run)))
