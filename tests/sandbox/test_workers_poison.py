"""One item in a hundred crashes, hangs or bloats its worker; all others are done, each once."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

import hashmatch as hm
from worker_hooks import HookedPool
from worker_pictures import pictures

if TYPE_CHECKING:
    from collections.abc import Iterator

# A picture here takes 1.5 ms, so that a spin of 2 s would outweigh a thousand of them. The limit is
# as far above that as 2 s are above the 60 ms of a photograph of 12 megapixels.
LIMITS = hm.WorkerLimits(cpu_seconds=0.05, wall_seconds=0.5, memory=160 * 2**20)
POISONS = (b"!crash", b"!sleep", b"!spin", b"!bloat", b"!leave")
REASONS = {
    b"!crash": "SIGSEGV",
    b"!sleep": "decoder deadlocked",
    b"!spin": "decoding took more than",  # on a busy machine the clock on the wall is first
    b"!bloat": "decoding took more than",
    b"!leave": "the decoder ended",
}


def items(count: int, poisoned: bool, good: list[bytes]) -> Iterator[tuple[int, bytes]]:
    for number in range(count):
        bad = poisoned and number % 100 == 50
        yield number, POISONS[number // 100 % len(POISONS)] if bad else good[number % len(good)]


def run(count: int, poisoned: bool, good: list[bytes]) -> tuple[float, Counter[str]]:
    """Return the seconds, and how often each outcome was, once every item has been looked at."""
    outcomes: Counter[str] = Counter()
    expected = [hm.hash_image(data).hashes.words for data in good]
    asked = list(items(count, poisoned, good))
    with HookedPool(workers=4, limits=LIMITS) as pool, ThreadPoolExecutor(8) as threads:
        began = time.perf_counter()
        found = threads.map(lambda item: hm.hash_all(item[1], ["pdq"], decode=pool.pictures), asked)
        for (number, data), (hashed,) in zip(asked, found, strict=True):
            outcomes[hashed.outcome.value] += 1
            if data in REASONS:
                assert hashed.outcome is hm.Outcome.FAILED
                assert REASONS[data] in hashed.reason
                is_cost = "decoding took more than" in hashed.reason
                assert ("in each of 3 tries" in hashed.reason) is not is_cost
            else:
                assert np.array_equal(hashed.hashes.words, expected[number % len(good)])
        seconds = time.perf_counter() - began
        if poisoned:
            assert len(pool.exits) >= min(outcomes["failed"], 1000)
    return seconds, outcomes


def test_poison_costs_only_itself() -> None:
    good = pictures(20)
    _, outcomes = run(1_000, True, good)  # each poison twice
    assert outcomes["failed"] == 10
    assert outcomes["failed"] + outcomes["hashed"] + outcomes["low_quality"] == 1_000


@pytest.mark.slow
def test_throughput_among_poison() -> None:
    good = pictures(100)
    run(500, False, good)
    clean = poisoned = 0.0
    failed = 0
    for _ in range(10):  # in turns, so that what else the machine does falls on both
        clean += run(2_000, False, good)[0]
        seconds, outcomes = run(2_000, True, good)
        poisoned += seconds
        failed += outcomes["failed"]
    assert failed == 200
    print(f"clean {20_000 / clean:.0f}/s, poisoned {20_000 / poisoned:.0f}/s")  # noqa: T201
    assert clean / poisoned >= 0.8
