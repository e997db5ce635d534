"""What a fresh interpreter pays, in CPU time, before it does anything useful."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import command_engines
from benchmarks.command_engines import FIRST_HASH, HELP, IMPORT, CommandEngine
from benchmarks.hash_engines import our_file_hasher
from benchmarks.timing import children_seconds
from benchmarks.workloads import jpeg

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

# The child's CPU time, since its wall time is mostly that of whatever else runs.
pytestmark = pytest.mark.benchmark(timer=children_seconds)


def run_it(benchmark: BenchmarkFixture, engine: CommandEngine) -> str:
    pedantic: Any = benchmark.pedantic
    printed = pedantic(command_engines.run, (engine,), rounds=7, warmup_rounds=1)
    assert isinstance(printed, str)
    return printed


@pytest.mark.parametrize("engine", IMPORT, indirect=True, ids=str)
def test_import(benchmark: BenchmarkFixture, engine: CommandEngine) -> None:
    benchmark.group = "import: " + ", ".join(map(str, IMPORT))
    assert run_it(benchmark, engine) == engine.prints


@pytest.mark.parametrize("engine", HELP, indirect=True, ids=str)
def test_help(benchmark: BenchmarkFixture, engine: CommandEngine) -> None:
    benchmark.group = "--help: " + ", ".join(map(str, HELP))
    assert engine.prints in run_it(benchmark, engine)


@pytest.mark.parametrize("engine", FIRST_HASH, indirect=True, ids=str)
def test_first_hash(benchmark: BenchmarkFixture, engine: CommandEngine) -> None:
    benchmark.group = "import and hash one JPEG: " + ", ".join(map(str, FIRST_HASH))
    ours = our_file_hasher("pdq")
    expected, _ = ours.answer(ours.run(jpeg(1)))
    assert run_it(benchmark, engine).strip() == expected
