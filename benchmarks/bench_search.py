"""Searching a list for every entry within 31 bits: building an index, and asking it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.search_engines import ENGINES, WAYS, SearchEngine, asking
from benchmarks.workloads import planted

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

SIZES = (10_000, 100_000, 1_000_000)
CASES = [(engine, size) for size in SIZES for engine in ENGINES if size <= engine.largest]
OURS = ENGINES[0]
PEERS = ", ".join(map(str, ENGINES[1:]))


@cache
def built(engine: SearchEngine, size: int) -> Any:
    """Return an index, built once for all benchmarks that ask it."""
    return engine.build(engine.form(planted(size).known))


@pytest.mark.parametrize(("engine", "size"), CASES, indirect=["engine"], ids=str)
def test_build(benchmark: BenchmarkFixture, engine: SearchEngine, size: int) -> None:
    benchmark.group = f"build an index of {size:,}: {OURS}; {PEERS}"
    work = planted(size)
    entries, queries = engine.form(work.known), engine.form(work.queries)
    pedantic: Any = benchmark.pedantic  # it has no types
    index = pedantic(engine.build, (entries,), rounds=1 if size > 100_000 else 3)
    assert engine.hits(engine.search(index, queries)) == work.hits


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("engine", "size"), CASES, indirect=["engine"], ids=str)
def test_search(benchmark: BenchmarkFixture, engine: SearchEngine, size: int, way: str) -> None:
    benchmark.group = f"search {size:,}, {way}: {OURS}; {PEERS}"
    work = planted(size)
    ours, our_hits = asking(OURS, built(OURS, size), work.queries, way)
    run, hits = asking(engine, built(engine, size), work.queries, way)
    assert our_hits(ours()) == work.hits
    assert hits(benchmark(run)) == work.hits
