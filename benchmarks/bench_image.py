"""One image end to end: from the bytes of a JPEG to its matches in a list of 100,000."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.flow_engines import IMAGE, FlowEngine
from benchmarks.workloads import jpeg, list_with
from hashmatch import hash_image
from hashmatch.testing import flipped

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

ENTRIES = 100_000
DISTANCE = 12


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "unlisted"])
@pytest.mark.parametrize("engine", IMAGE, indirect=True, ids=str)
def test_image(benchmark: BenchmarkFixture, engine: FlowEngine, listed: bool) -> None:
    ours, *peers = IMAGE
    which = "a listed" if listed else "an unlisted"
    benchmark.group = f"check {which} image: {ours}; {', '.join(map(str, peers))}"
    in_list = hash_image(jpeg(1)).hashes
    check = engine.ready(list_with([flipped(in_list, DISTANCE, seed=1)], ENTRIES))
    raw = benchmark(check, jpeg(1 if listed else 2))
    assert engine.answer(raw) == ({("made-up-0", DISTANCE)} if listed else set())
