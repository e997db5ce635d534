"""What a `Matcher` adds to the search of its index: one PDQ query, 100,000 entries, no hit.

Both are timed in turns in one process, so the CPU time of a shared machine's other tenants falls on
both. Answers are asserted first.

    .venv-bench/bin/python benchmarks/lookup_ratio.py
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
from pathlib import Path

import numpy as np

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import hashmatch as hm
from benchmarks.timing import calls_for, measure
from hashmatch.testing import flipped, hash_list, picture, random_hashes

ENTRIES, LIMIT, MOST = 100_000, 31, 2.5


def processor() -> str:
    """Return the name of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.split(": ")[1] for x in lines if x.startswith("model name")), platform.machine())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds

    known = hash_list(random_hashes(hm.HashSpec("pdq", 256), ENTRIES, seed=3))
    index, matcher = hm.HashIndex.build(known, LIMIT), hm.Matcher(known, max_distance=LIMIT)
    item = hm.ImageItem("user/42", "1", hm.Surface.PROFILE_PHOTO)
    asked = hm.hash_image(picture(1))
    query = asked.hashes

    words = known.hashes.words
    assert np.bitwise_count(words ^ query.words).sum(axis=1).min() > LIMIT
    assert len(index.search(query, LIMIT)) == 0
    assert matcher.decide(item, [asked]).outcome is hm.Outcome.NO_MATCH
    assert [found.match_count for found in matcher.look_up(query)] == [0]
    near = flipped(known.hashes[:1], LIMIT, seed=1)
    assert index.search(near, LIMIT).entry.tolist() == [0]
    assert [found.match_count for found in matcher.look_up(near)] == [1]

    runs = {
        "HashIndex.search": lambda: index.search(query, LIMIT),
        "Matcher.look_up": lambda: matcher.look_up(query),
        "Matcher.decide": lambda: matcher.decide(item, [asked]),
    }
    calls = {name: calls_for(run, 0.02) for name, run in runs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            seconds[name].append(measure(run, calls[name]).cpu)
    print(f"{processor()}, {rounds} rounds, median of CPU time against a bare search:")
    bare = seconds["HashIndex.search"]
    for name, times in seconds.items():
        ratios = [one / other for one, other in zip(times, bare, strict=True)]
        print(
            f"{name:<18}{statistics.median(times) * 1e6:6.2f} us, {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}; the aim is {MOST} at most)"
        )


if __name__ == "__main__":
    main()
