"""Processor time of a picture that is decoded in a worker and hashed, against one process.

The same JPEGs, in turns: decoded here and there, decoded and hashed here and there. Of a worker the
time counts as well as of this process. Hashes are asserted to be the same first.

    .venv-bench/bin/python benchmarks/sandbox_cost.py
    .venv-bench/bin/python benchmarks/sandbox_cost.py --items 1     # a worker for each picture
    .venv-bench/bin/python benchmarks/sandbox_cost.py --side 3464   # twelve megapixels
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from PIL import Image

import hashmatch as hm
from benchmarks.lookup_ratio import processor
from benchmarks.photographs import shipped

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 1.20
PICTURES = 8


def photographs(side: int) -> list[bytes]:
    """Return photographs as square JPEGs."""
    made = []
    for each in shipped()[:PICTURES]:
        file = io.BytesIO()
        Image.fromarray(each.pixels()).resize((side, side)).save(file, "JPEG", quality=90)
        made.append(file.getvalue())
    return made


def worker_seconds(pool: hm.DecodePool) -> float:
    """Return the processor time of all processes of a pool so far, those that ended included."""
    alive = 0.0
    for pid in pool.pids:
        fields = Path(f"/proc/{pid}/schedstat").read_text().split()
        alive += int(fields[0]) / 1e9
    return alive + sum(ended.cpu_seconds for ended in pool.exits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="of each way, at least 7")
    parser.add_argument("--side", type=int, default=640, help="of the pictures, in pixels")
    parser.add_argument("--items", type=int, default=1000, help="a worker is replaced after")
    options = parser.parse_args()
    good = photographs(options.side)
    # So many ended workers the pool remembers.
    rounds = min(max(7, options.rounds), 1000 // (4 * PICTURES) if options.items == 1 else 10**6)

    with hm.DecodePool(1, hm.WorkerLimits(items=options.items)) as pool:
        for data in good:
            assert hm.hash_image(data).hex == hm.hash_image(data, decode=pool).hex

        def seconds(run: Callable[[bytes], object]) -> tuple[float, float]:
            here, there = time.process_time(), worker_seconds(pool)
            for data in good:
                run(data)
            count = len(good) / 1e3
            return (time.process_time() - here) / count, (worker_seconds(pool) - there) / count

        ways: dict[str, tuple[Callable[[bytes], object], Callable[[bytes], object]]] = {
            "decoded": (hm.decode_image, lambda data: deque(pool.pictures(data), 0)),
            "decoded and hashed": (hm.hash_image, lambda data: hm.hash_image(data, decode=pool)),
        }
        found = {
            name: [tuple(map(seconds, both)) for _ in range(rounds)] for name, both in ways.items()
        }

    print(
        f"{processor()}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {rounds} rounds"
    )
    print(f"{options.side} x {options.side}, a worker replaced after {options.items}; milliseconds")
    for name, all_rounds in found.items():
        here = [sum(ours) for ours, _ in all_rounds]
        parent, worker = zip(*(there for _, there in all_rounds), strict=True)
        ratios = sorted(sum(there) / sum(ours) for ours, there in all_rounds)
        quarter = statistics.quantiles(ratios, n=4)
        print(
            f"{name}: here {statistics.median(here):.3f}, there {statistics.median(parent):.3f} "
            f"and {statistics.median(worker):.3f} in the worker, ratio {quarter[1]:.3f} "
            f"({quarter[0]:.3f} to {quarter[2]:.3f}, goal {MOST})"
        )


if __name__ == "__main__":
    main()
