"""Hostile files in workers: one verdict each, and nothing else happens to anybody."""

from __future__ import annotations

import gc
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from hostile_pictures import hostile

if TYPE_CHECKING:
    from hashmatch.records.enums import Level

MIB = 2**20
CLOSED = set(hm.Outcome) - {hm.Outcome.MATCH, hm.Outcome.NO_MATCH, hm.Outcome.SUPPRESSED}


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def judged(files: list[tuple[str, bytes]]) -> dict[str, tuple[hm.Outcome, str]]:
    """Return one verdict for each file, while watching what it costs."""
    limits = hm.WorkerLimits(items=1, cpu_seconds=2)
    with hm.DecodePool(workers=2, limits=limits) as pool, ThreadPoolExecutor(4) as threads:
        hm.hash_all(bytes(9), ["pdq"], decode=pool.pictures)

        def verdict(data: bytes) -> tuple[hm.Outcome, str]:
            variants: Level = "standard" if len(data) % 4 == 0 else "none"
            hashed = hm.hash_all(data, ["pdq"], variants=variants, decode=pool.pictures)
            assert {one.outcome for one in hashed} <= CLOSED
            return hashed[0].outcome, hashed[0].reason

        found = threads.map(verdict, (data for _, data in files))
        verdicts = {
            f"{n} {name}": one for n, ((name, _), one) in enumerate(zip(files, found, strict=True))
        }
        for slot in pool._slots.all:
            slot.end_worker()
        exits, pids = pool.exits, pool.pids
    assert max(one.memory for one in exits) <= 640 * MIB
    # Of one try each; a worker begins and ends in some hundredths of a second.
    assert max(one.cpu_seconds for one in exits) <= 2.1
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    return verdicts


def check(seed: int, count: int, large: bool, capfd: pytest.CaptureFixture[str]) -> None:
    judged(list(hostile(seed + 1, 20, False)))  # kernels are compiled, tables filled
    files = list(hostile(seed, count, large))  # made first, since making them takes memory too
    gc.collect()
    descriptors, before = len(os.listdir("/proc/self/fd")), resident()
    verdicts = judged(files)
    assert len(verdicts) == count
    for name, (outcome, reason) in verdicts.items():
        assert outcome in {hm.Outcome.HASHED} or reason, name
        assert reason.isprintable()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert resident() - before <= 64 * MIB
    assert capfd.readouterr() == ("", "")
    outcomes = [outcome for outcome, _ in verdicts.values()]
    tally = {outcome.value: outcomes.count(outcome) for outcome in set(outcomes)}
    failed = [name for name, (outcome, _) in verdicts.items() if outcome is hm.Outcome.FAILED]
    assert len(failed) <= 10, failed
    assert tally["hashed"] > count // 10


def test_hundreds_of_hostile_files(capfd: pytest.CaptureFixture[str]) -> None:
    check(7, 250, large=False, capfd=capfd)


@pytest.mark.slow
def test_thousands_of_hostile_files(capfd: pytest.CaptureFixture[str]) -> None:
    check(11, 4000, large=True, capfd=capfd)
