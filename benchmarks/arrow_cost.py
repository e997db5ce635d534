"""What `hashmatch.arrow` costs: CPU beside a scan of the same pictures, and memory of processes.

``python benchmarks/arrow_cost.py cpu`` scans pictures with `scan_source`, and gives batches of them
to `Match`, in turns, with the same decode workers, whose CPU counts; the results are compared.

``python benchmarks/arrow_cost.py memory`` opens a store of many entries in several processes at
once, matches a batch in each, and tells the memory of each: its own (USS), its share (PSS) and all
that it maps (RSS). ``update`` matches a table of hashes in full and with ``since``.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

import pyarrow as pa

import hashmatch as hm
from benchmarks.report import cpu_name
from benchmarks.scan_throughput import DEMO, SURFACE, fill
from hashmatch.arrow import Match, hash_schema, process
from hashmatch.testing import MemorySource, random_hashes

BATCH = 100


def used(pool: hm.DecodePool) -> float:
    """CPU seconds that this process and the workers of a pool have used."""
    total = time.process_time_ns()
    for pid in pool.pids:
        total += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return total / 1e9


def compare_cpu(count: int, rounds: int) -> None:
    """Both ways in turns, in one process, with the same decode workers."""
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), count)
        images = {one.name: one.read_bytes() for one in sorted(Path(folder).iterdir())}
    table = pa.table(
        {"key": list(images), "image": list(images.values()), "version": ["1"] * count}
    )
    threads = process.threads(2)
    matcher = hm.Matcher(hm.read_list(DEMO))
    match = Match([str(DEMO)], surface=SURFACE, workers=2)

    def scan() -> list[str]:
        options = hm.ScanOptions(threads=2, decode=threads.decode)
        source = MemorySource(images, hm.Surface(SURFACE))
        return [one.outcome for one in hm.scan_source(source, matcher, options=options)]

    def arrow() -> list[str]:
        answers = match.map_iterator(table.to_batches(max_chunksize=BATCH))
        return list(pa.Table.from_batches(answers)["outcome"].to_pylist())

    ways = {"scan_source": scan, "Match": arrow}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        found, pids, spent = {}, threads.pool.pids, []
        for name, way in ways.items():
            before = used(threads.pool)
            found[name] = way()
            spent.append((used(threads.pool) - before) / count * 1000)
        assert found["scan_source"] == found["Match"]
        # The first round loads kernels; and what a worker used goes with it when it is replaced.
        if number and threads.pool.pids == pids:
            for each, milliseconds in zip(taken.values(), spent, strict=True):
                each.append(milliseconds)
    shares = [b / a for a, b in zip(*taken.values(), strict=True)]
    print(f"{count} pictures of 640 x 640, {len(shares)} rounds, {cpu_name()}")
    for name, each in taken.items():
        print(f"{name}: {statistics.median(each):.3f} ms of CPU a picture")
    low, high = min(shares), max(shares)
    print(f"Match / scan_source: {statistics.median(shares):.3f} ({low:.3f} to {high:.3f})")


def store_of(folder: str, entries: int) -> str:
    """Make a store of made-up entries, with its index."""
    table, spec = Path(folder, "list.csv"), hm.HashSpec("pdq", 256)
    with table.open("w") as file:
        file.write("hash,id\n")
        for seed in range(0, entries, 100_000):
            batch = random_hashes(spec, min(100_000, entries - seed), seed=seed)
            file.writelines(f"{text},id-{seed + n}\n" for n, text in enumerate(batch.to_hex()))
    store = hm.ListStore(f"{folder}/store")
    store.import_files([str(table)])
    return store.path


def hashes(count: int, seed: int) -> pa.RecordBatch:
    """A batch of made-up hashes."""
    batch = random_hashes(hm.HashSpec("pdq", 256), count, seed=seed)
    data = [bytes.fromhex(text) for text in batch.to_hex()]
    keys = [f"photo-{number}" for number in range(count)]
    return pa.record_batch({"key": keys, "hash": pa.array(data, hash_schema().field("hash").type)})


def hold(store: str) -> None:
    """Match some batches against a store, say so, and wait until nobody listens."""
    match = Match([store], surface=SURFACE, workers=1)
    for seed in range(10):
        match(hashes(1000, seed))
    images = pa.record_batch({"key": ["a"], "image": [b"no picture"]})
    match(images)  # its decode worker as well
    print("ready", flush=True)
    sys.stdin.read()


def measure_memory(entries: int, processes: int, kept: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = kept or store_of(folder, entries)
        command = [sys.executable, __file__, "hold", store]
        began = time.monotonic()
        running = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        for one in running:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        print(
            f"{entries:,} entries, {processes} processes, ready in {time.monotonic() - began:.1f} s"
        )
        for one in running:
            print(", ".join(f"{name} {mib:,.0f} MiB" for name, mib in memory(one.pid).items()))
        for one in running:
            one.communicate()


def memory(pid: int) -> dict[str, float]:
    """What a process has in memory, by the kernel's count, in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    own = sizes["Private_Clean"] + sizes["Private_Dirty"]
    return {"USS": own, "PSS": sizes["Pss"], "RSS": sizes["Rss"], "anonymous": sizes["Anonymous"]}


def compare_update(entries: int, pictures: int, rounds: int) -> None:
    """A job in full, and of what an update of 1,000 entries adds."""
    with tempfile.TemporaryDirectory() as folder:
        path = store_of(folder, entries)
        store = hm.ListStore(path)
        batch = hashes(pictures, 7)
        new = batch["hash"].to_pylist()[:1000]
        page = Path(folder, "update.csv")
        lines = [f"{data.hex()},new-{number}\n" for number, data in enumerate(new)]
        page.write_text("".join(["hash,id\n", *lines]))
        store.update_files([str(page)])
        ways = {
            "in full": Match([path], surface=SURFACE),
            "since": Match([path], surface=SURFACE, since=1),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        found: dict[str, Any] = {}
        for match in ways.values():
            match(batch.slice(0, 10))
        for _ in range(rounds):
            for name, match in ways.items():
                began = time.process_time()
                answer = match(batch)
                taken[name].append(time.process_time() - began)
                kept = [row for row in answer.to_pylist() if row["record"]]
                found[name] = [row["record_id"] for row in kept]
        assert found["in full"] == found["since"]
        assert len(found["since"]) >= len(new)
    print(f"{pictures:,} hashes, {entries:,} entries and 1,000 new ones, {cpu_name()}")
    for name, seconds in taken.items():
        print(f"{name}: {statistics.median(seconds):.2f} s of CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["cpu", "memory", "update", "hold"])
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--processes", type=int, default=4)
    given = parser.parse_args()
    if given.what == "cpu":
        compare_cpu(given.count, given.rounds)
    elif given.what == "memory":
        measure_memory(given.entries, given.processes, given.rest[0] if given.rest else None)
    elif given.what == "update":
        compare_update(given.entries, 100_000, given.rounds)
    else:
        hold(given.rest[0])


if __name__ == "__main__":
    main()
