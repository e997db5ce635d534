"""What workers cost and bring, by the clock: run by name, on a machine that is let alone."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from worker_pictures import pictures

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow


def seconds(clock: Callable[[], float], work: Callable[[], object]) -> float:
    began = clock()
    work()
    return clock() - began


def test_a_worker_costs_little_more_than_decoding_here() -> None:
    good = pictures(50)
    with hm.DecodePool(workers=1, limits=hm.WorkerLimits(items=10**6)) as pool:
        worker = (~pool.pids[1] << 3) | 2  # the clock of its processor time

        def both() -> float:
            return time.process_time() + time.clock_gettime(worker)

        def here() -> None:
            for data in good:
                hm.decode_image(data)

        def there() -> None:
            for data in good:
                for _ in pool.pictures(data):
                    pass

        rounds = [(seconds(both, here), seconds(both, there)) for _ in range(15)][2:]
    ratio = median(there / here for here, there in rounds)
    each = [median(pair[side] for pair in rounds) / len(good) * 1e3 for side in (0, 1)]
    print(f"decoded here {each[0]:.3f} ms, in a worker {each[1]:.3f} ms, ratio {ratio:.3f}")  # noqa: T201
    assert ratio <= 1.15


def test_two_workers_on_two_cores() -> None:
    """Against one thread that decodes and hashes, with nothing else to do."""
    good = pictures(100) * 10
    limits = hm.WorkerLimits(items=10**6)
    with hm.DecodePool(workers=2, limits=limits) as pool, ThreadPoolExecutor(4) as threads:

        def one() -> None:
            for data in good:
                hm.hash_image(data)

        def two() -> None:
            deque(threads.map(lambda data: hm.hash_all(data, ["pdq"], decode=pool.pictures), good))

        one()
        two()
        clock = time.perf_counter
        rounds = [(seconds(clock, one), seconds(clock, two)) for _ in range(5)]
    rates = [len(good) / median(pair[side] for pair in rounds) for side in (0, 1)]
    gain = median(one / two for one, two in rounds)
    print(f"one thread {rates[0]:.0f}/s, two workers {rates[1]:.0f}/s, gain {gain:.2f}")  # noqa: T201
    assert gain >= 1.7
