"""What `search_report.py` measures, each figure in an interpreter of its own.

`python benchmarks/search_parts.py NAME ARGUMENTS`, the arguments as JSON, runs one function here.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from benchmarks.memory import resident
from benchmarks.search_engines import FLAT, INDEXED, PEERS, TOGETHER, asking
from benchmarks.search_pairs import QUESTIONS, Side, check
from benchmarks.search_workloads import Case, known, questions, to_time
from benchmarks.timing import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hashmatch import Matches

ENGINES = {engine.name: engine for engine in (INDEXED, *PEERS)}
PERCENTILES = (50, 95, 99, 99.9)


def apart(name: str, **arguments: Any) -> Any:
    """Return what the function of this name answers in a new interpreter."""
    command = [sys.executable, __file__, name, json.dumps(arguments)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def latency(case: dict[str, Any], calls: int, flat_calls: int) -> list[dict[str, Any]]:
    """Return percentiles of the time of one call, in seconds, by wall and by CPU.

    A call that does nothing shows what the clock takes; one question asked again and again shows
    what the machine adds to equal work.
    """
    about = Case(**case)
    ours = Side.built(INDEXED, about)
    works = [("an empty call", _singles(ours, about, calls, lambda *_: None))]
    works += [("one question, again and again", _singles(ours, about, calls)[:1] * calls)]
    works += [(INDEXED.name, _singles(ours, about, calls))]
    if not FLAT.missing:
        flat = Side.built(FLAT, about)
        check(ours, flat, about)
        works += [(FLAT.name, _singles(flat, about, flat_calls))]
    answers = []
    for name, singles in works:
        by = {clock.__name__: _percentiles(singles, clock) for clock in CLOCKS}
        answers.append({"name": name, "calls": len(singles), **by})
    return answers


CLOCKS = (time.perf_counter_ns, time.thread_time_ns)


def _singles(
    side: Side, case: Case, calls: int, search: Callable[..., object] | None = None
) -> list[Callable[[], object]]:
    """Return calls that ask one question each, every one another."""
    batch = to_time(case, calls).batch
    form, search = side.engine.form, search or side.engine.search
    return [
        partial(search, side.index, form(batch[row : row + 1]), case.limit) for row in range(calls)
    ]


def _percentiles(calls: Sequence[Callable[[], object]], clock: Callable[[], int]) -> list[float]:
    for call in calls[: len(calls) // 10]:
        call()
    gc.collect()
    gc.freeze()  # thousands of questions are held ready, as no service does
    taken = np.empty(len(calls), np.int64)
    for number, call in enumerate(calls):
        before = clock()
        call()
        taken[number] = clock() - before
    return [float(np.percentile(taken, percent)) / 1e9 for percent in PERCENTILES]


def threads(case: dict[str, Any], way: str, rounds: int, least: float) -> list[float]:
    """Return by wall how many times as fast two threads answer as one, in each round.

    Each of the two has half of the questions; the one has both halves, one after the other.
    """
    about = Case(**case)
    side = Side.built(INDEXED, about)
    batch = to_time(about, QUESTIONS).batch
    half = len(batch) // 2
    runs = [
        asking(INDEXED, side.index, part, way, about.limit)[0]
        for part in (batch[:half], batch[half:])
    ]
    with ThreadPoolExecutor(2) as pool:
        for alone, other in zip(
            [run() for run in runs], [task.result() for task in map(pool.submit, runs)], strict=True
        ):
            assert _same(alone, other)
        return _speedups(pool, runs, rounds, least)


def machine_threads(rounds: int, least: float) -> list[float]:
    """Return the same for SHA-256, which needs no memory and no lock: what the cores allow."""
    runs = [partial(hashlib.sha256, bytes([n]) * 2_000_000) for n in range(2)]
    with ThreadPoolExecutor(2) as pool:
        return _speedups(pool, runs, rounds, least)


def _speedups(
    pool: ThreadPoolExecutor, runs: Sequence[Callable[[], object]], rounds: int, least: float
) -> list[float]:
    def one() -> None:
        for run in runs:
            run()

    def two() -> None:
        for task in [pool.submit(run) for run in runs]:
            task.result()

    calls = 1
    while measure(one, calls).wall * calls < least:
        calls *= 2
    found = []
    for number in range(rounds):
        first, second = (one, two) if number % 2 else (two, one)
        walls = {run: measure(run, calls).wall for run in (first, second)}
        found.append(walls[one] / walls[two])
    return found


def _same(alone: Matches | list[Matches], other: Matches | list[Matches]) -> bool:
    if isinstance(alone, list) and isinstance(other, list):
        return all(map(_same, alone, other))
    assert not isinstance(alone, list)
    assert not isinstance(other, list)
    return INDEXED.agrees(INDEXED.hits(alone, 0), INDEXED.hits(other, 0))


def build(case: dict[str, Any], engine: str) -> dict[str, float]:
    """Return CPU seconds to build an index, and the bytes that it takes for each entry.

    Its bytes are what the process holds more than before once the list itself is let go; at the
    peak, the list is there as well. A short list is built first, so that code is in place.
    """
    chosen, about = ENGINES[engine], Case(**case)
    short = Case(min(about.size, 100_000), about.bits, about.limit, about.kind)
    warm = Side.built(chosen, short)
    warm.asked(short, 1, TOGETHER)[0]()
    del warm
    _let_go()
    before = resident("VmRSS")
    entries = chosen.form(known(about))
    _let_go()
    Path("/proc/self/clear_refs").write_text("5")  # from here on, what is the most
    start = time.process_time()
    index = chosen.build(entries, about)
    seconds = time.process_time() - start
    peak = resident("VmHWM") - before
    del entries
    _let_go()
    held = resident("VmRSS") - before
    if chosen is not INDEXED:
        check(Side.built(INDEXED, about), Side(chosen, index), about)
    return {"seconds": seconds, "bytes": held / about.size, "peak": peak / about.size}


def _let_go() -> None:
    known.cache_clear()
    questions.cache_clear()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # glibc keeps what is freed, otherwise


def save_list(case: dict[str, Any], path: str) -> None:
    """Write the hashes of a list to a file, as an array."""
    np.save(path, known(Case(**case)).words)


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](**json.loads(sys.argv[2]))))
