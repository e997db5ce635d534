"""A folder of 100 JPEGs, some of them in a list of 10,000."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.flow_engines import FOLDER, FlowEngine

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

    from hashmatch import HashList


@pytest.mark.parametrize("engine", FOLDER, indirect=True, ids=str)
def test_folder(
    benchmark: BenchmarkFixture,
    engine: FlowEngine,
    drawn_folder: tuple[Path, HashList, set[tuple[str, str]]],
) -> None:
    ours, *peers = FOLDER
    benchmark.group = f"scan a folder of 100: {ours}; {', '.join(map(str, peers))}"
    folder, known, expected = drawn_folder
    scan = engine.ready(known)
    pedantic: Any = benchmark.pedantic
    raw = pedantic(scan, (folder,), rounds=3, warmup_rounds=1)
    assert len(raw) == len(list(folder.iterdir()))
    assert engine.answer(raw) == expected
