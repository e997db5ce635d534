"""What a scan of 10^9 pictures on 1,000 cores costs: a simulation with measured costs.

``python benchmarks/cluster_cost.py`` measures what pictures of several sorts cost to decode, hash
and look up on one core, with a sandboxed worker. Then 1,000 cores take parts of a table of a
billion such pictures, as `Match` on an engine does, with slow machines and machines that go.
``--measured FILE`` keeps the costs and uses them again.

What is measured is CPU. What is assumed is said in `ASSUMED`, and printed: how often each sort is,
how long requests take, how machines differ and how often they go.
"""

from __future__ import annotations

import argparse
import heapq
import io
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from PIL import Image

import hashmatch as hm
from benchmarks.report import cpu_name
from hashmatch.testing import picture

ASSUMED = {
    "pictures": 10**9,
    "cores": 1000,
    "cores of a machine": 16,
    "requests a core has under way": 16,
    "seconds of a request, median": 0.05,
    "seconds of a page of 1,000 keys": 0.2,
    "share of machines that are slow": 0.02,
    "how slow they are": 3.0,
    "spread of the others": 0.1,
    "hours until a machine goes, mean": 100.0,
    "seconds until another is there": 120.0,
    "seconds to start a process": 3.0,
    "seconds of an engine for each part": 0.05,
}
"""Everything that is not measured here."""
SORTS = {
    # how often, side in pixels, format
    "JPEG of 160": (0.30, 160, "JPEG"),
    "JPEG of 640": (0.45, 640, "JPEG"),
    "JPEG of 1600": (0.17, 1600, "JPEG"),
    "JPEG of 4000": (0.02, 4000, "JPEG"),
    "PNG of 800": (0.03, 800, "PNG"),
    "WebP of 640": (0.0289, 640, "WEBP"),
    "no picture": (0.001, 0, ""),
    "hangs the decoder": (1e-7, 0, ""),
}
"""A platform's profile photos, made up: a share of each sort, and what it is."""
HANG = hm.WorkerLimits().cpu_seconds
"""Seconds of a core that a file costs which takes all that it may: it is not tried again."""


def drawn(side: int, form: str, seed: int) -> bytes:
    """A picture of as much detail as a photograph has: a landscape with grain."""
    rng = np.random.default_rng(seed)
    pixels = np.asarray(picture(seed, side, side), np.int16)
    pixels += rng.normal(0, 6, (side, side, 1)).astype(np.int16)
    file = io.BytesIO()
    how = {"quality": 85} if form != "PNG" else {}
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, form, **how)
    return file.getvalue()


def measure(each: int) -> dict[str, list[float]]:
    """Return seconds of a core for each sort, several of each: sent, decoded, hashed, looked up."""
    matcher = hm.Matcher(hm.read_list(Path(__file__).parents[1] / "fixtures/lists/demo-pdq.csv"))
    costs: dict[str, list[float]] = {}
    with hm.DecodePool(1) as pool:
        for name, (_, side, form) in SORTS.items():
            if name == "hangs the decoder":
                costs[name] = [HANG]
                continue
            taken = []
            for seed in range(each + 1):
                data = drawn(side, form, seed) if form else b"no picture"
                began = used(pool)
                matcher.decide(
                    hm.ImageItem("key", "1", hm.Surface.PROFILE_PHOTO),
                    matcher.hash(data, "key", pool.pictures),
                )
                taken.append(used(pool) - began)
            costs[name] = taken[1:]  # the first loads kernels
    return costs


def used(pool: hm.DecodePool) -> float:
    """Nanoseconds of CPU that this process and the workers of a pool have used, as seconds."""
    total = time.process_time_ns()
    for pid in pool.pids:
        total += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return total / 1e9


@dataclass
class Outcome:
    """What a scan took."""

    hours: float
    core_hours: float
    last_percent: float
    again: int


def simulate(costs: dict[str, list[float]], part: int, *, shards: bool, seed: int = 1) -> Outcome:
    """Let cores take parts of so many pictures, the next as soon as each has done its own.

    With `shards` there are as many parts as cores, and each lists the whole source.
    """
    rng = np.random.default_rng(seed)
    cores, pictures = int(ASSUMED["cores"]), int(ASSUMED["pictures"])
    parts = cores if shards else -(-pictures // part)
    each = pictures // parts
    work = np.zeros(parts)
    for name, (share, _, _) in SORTS.items():
        mean, spread = np.mean(costs[name]), np.std(costs[name])
        many = rng.poisson(share * each, parts)  # of this sort, in each part
        work += many * mean + rng.normal(0, 1, parts) * spread * np.sqrt(many)
    per_machine = int(ASSUMED["cores of a machine"])
    machines = -(-cores // per_machine)
    slowness = rng.lognormal(0, ASSUMED["spread of the others"], machines)
    slowness[rng.random(machines) < ASSUMED["share of machines that are slow"]] *= ASSUMED[
        "how slow they are"
    ]
    goes = rng.exponential(ASSUMED["hours until a machine goes, mean"] * 3600, machines)
    read = each * ASSUMED["seconds of a request, median"] / ASSUMED["requests a core has under way"]
    listing = pictures / 1000 * ASSUMED["seconds of a page of 1,000 keys"] if shards else 0.0
    free = [(ASSUMED["seconds to start a process"], core) for core in range(cores)]
    heapq.heapify(free)
    waiting = list(range(parts))[::-1]
    ended, busy, again = [], 0.0, 0
    while waiting:
        now, core = heapq.heappop(free)
        machine = core // per_machine
        if now >= goes[machine]:  # it went: another comes in its place, as fast as any
            goes[machine] = now + rng.exponential(
                ASSUMED["hours until a machine goes, mean"] * 3600
            )
            slowness[machine] = rng.lognormal(0, ASSUMED["spread of the others"])
        number = waiting.pop()
        # Reading overlaps with work: the slower of the two counts. Listing comes before it.
        seconds = max(work[number] * slowness[machine], read, listing)
        seconds += ASSUMED["seconds of an engine for each part"]
        if now + seconds > goes[machine]:
            lost = goes[machine] - now
            busy += lost
            again += 1
            back = goes[machine] + ASSUMED["seconds until another is there"]
            waiting.insert(0, number) if shards else waiting.append(number)
            heapq.heappush(free, (back, core))
            continue
        busy += seconds
        ended.append(now + seconds)
        heapq.heappush(free, (now + seconds, core))
    ends = np.sort(ended)
    return Outcome(
        ends[-1] / 3600, busy / 3600, (ends[-1] - ends[int(len(ends) * 0.99)]) / 3600, again
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=20, help="pictures of each sort that are timed")
    parser.add_argument("--measured", type=Path, help="costs, read if there, else written")
    given = parser.parse_args()
    if given.measured and given.measured.exists():
        costs = json.loads(given.measured.read_text())
    else:
        costs = measure(given.each)
        if given.measured:
            given.measured.write_text(json.dumps(costs))
    print(f"{cpu_name()}; milliseconds of a core for each picture:")
    for name, (share, _, _) in SORTS.items():
        low, middle, high = 1000 * np.quantile(costs[name], [0.05, 0.5, 0.95])
        print(f"  {share:8.3%} {name:18} {middle:9.2f} ({low:.2f} to {high:.2f})")
    mean = sum(share * float(np.mean(costs[name])) for name, (share, _, _) in SORTS.items())
    print(f"  mean {1000 * mean:.2f}: {1e6 * mean / 3600:.2f} core hours for a million")
    print("assumed:")
    for name, value in ASSUMED.items():
        print(f"  {name}: {value:,}")
    print("parts of       hours  core hours  last 1 %  done again  list requests  reads")
    pages = int(ASSUMED["pictures"] // 1000)
    for part in (5_000, 50_000, 500_000):
        done = simulate(costs, part, shards=False)
        row = f"{part:>9,} {done.hours:10.2f} {done.core_hours:11,.0f} {done.last_percent:9.2f}"
        print(f"{row} {done.again:11,} {pages:14,} {ASSUMED['pictures']:.0e}")
    done = simulate(costs, 0, shards=True)
    row = f"   shards {done.hours:10.2f} {done.core_hours:11,.0f} {done.last_percent:9.2f}"
    print(f"{row} {done.again:11,} {pages * int(ASSUMED['cores']):14,} {ASSUMED['pictures']:.0e}")


if __name__ == "__main__":
    main()
