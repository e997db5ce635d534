"""Print what a search costs beside its median: `python benchmarks/search_report.py --part threads`.

Parts: `latency`, the time of single calls up to the slowest in a thousand; `threads`, two against
one; `start`, a new process up to its first answer, with kernels compiled before and without;
`build`, the time to build an index and the memory it takes. Each figure is measured in an
interpreter of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import rich.table
from rich.console import Console

from benchmarks import report
from benchmarks.search_engines import INDEXED, PEERS, WAYS
from benchmarks.search_parts import PERCENTILES, apart
from benchmarks.search_workloads import Case, short
from benchmarks.timing import children_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Part = tuple[tuple[str, ...], list[list[str]]]
    """Column titles, and rows of text."""


KINDS: tuple[Literal["uniform", "skewed"], ...] = ("uniform", "skewed")


def latency(options: argparse.Namespace) -> Part:
    rows = []
    for kind in KINDS:
        case = Case(options.size, kind=kind)
        found = apart("latency", case=asdict(case), calls=options.calls, flat_calls=1000)
        for row in found:
            wall, cpu = row["perf_counter_ns"], row["thread_time_ns"]
            ours = row["name"] == INDEXED.name
            rows.append([
                str(case), row["name"], f"{row['calls']:,}", *map(report.duration, wall),
                f"{wall[2] / wall[0]:.2f}", f"{cpu[2] / cpu[0]:.2f}", "at most 3" if ours else "",
            ])  # fmt: skip
    percents = (f"p{percent:g}" for percent in PERCENTILES)
    columns = ("list", "a call", "calls", *percents, "p99 / p50", "by CPU", "goal")
    return columns, rows


def threads(options: argparse.Namespace) -> Part:
    timing = {"rounds": options.rounds, "least": 0.3}
    works = [("SHA-256, for what the cores allow", "", apart("machine_threads", **timing))]
    for kind in KINDS:
        case = Case(options.size, kind=kind)
        for way in WAYS:
            works.append((str(case), way, apart("threads", case=asdict(case), way=way, **timing)))
    rows = [
        [
            what, way, f"{statistics.median(found):.2f}",
            f"{min(found):.2f} - {max(found):.2f}", "at least 1.7" if way else "",
        ]
        for what, way, found in works
    ]  # fmt: skip
    return ("list", "questions", "one thread / two, by wall", "lowest - highest", "goal"), rows


ANSWER = """
import sys
import numpy as np
import hashmatch as hm
words = np.array(np.load(sys.argv[1], mmap_mode="r")[:{read}])
batch = hm.HashBatch(hm.HashSpec("pdq", 256), words)
index = {index}
assert len(index.search(batch[:1], 31))
{more}
"""
BUILT = "hm.HashIndex.build(batch, 31)"
OPENED = "hm.HashIndex.open(sys.argv[2])"
TRUSTED = "hm.HashIndex.open(sys.argv[2], check=False)"
MANY = "assert len(index.search(batch[:10_000], 31)) >= len(batch[:10_000])"


def start(options: argparse.Namespace) -> Part:
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        array, file = folder / "list.npy", folder / "list.index"
        apart("save_list", case=asdict(Case(options.size)), path=str(array))

        def add(
            what: str,
            script: str,
            goal: str = "",
            times: int = options.rounds,
            kernels: str = "cache",
        ) -> None:
            cache = {**os.environ, "NUMBA_CACHE_DIR": str(folder / kernels)}
            seconds = []
            for _ in range(times):
                before = children_seconds()
                command = [sys.executable, "-c", script, str(array), str(file)]
                subprocess.run(command, check=True, env=cache)
                seconds.append(children_seconds() - before)
            spread = f"{report.duration(min(seconds))} - {report.duration(max(seconds))}"
            rows.append(
                [what, str(times), report.duration(statistics.median(seconds)), spread, goal]
            )

        one, both = (ANSWER.format(index=BUILT, more=more, read="") for more in ("", MANY))
        add("nothing compiled: build, answer one, answer 10,000", both, "at most 15 s", 1)
        add("nothing compiled: build, answer one", one, "at most 15 s", 1, "another")
        add("compiled: build, answer one, answer 10,000", both)
        add("build, answer one", one, "at most 1.5 s")
        add("build, save", ANSWER.format(index=BUILT, more="index.save(sys.argv[2])", read=""))
        opened, trusted = (
            ANSWER.format(index=index, more="", read=1) for index in (OPENED, TRUSTED)
        )
        add("nothing compiled: open an index file, answer one", opened, "", 1, "a third")
        add("open an index file, answer one", opened, "at most 1.5 s")
        add("the same, the file checked by another", trusted)
        add("import numba", "import numba")
        add("import hashmatch and numpy", "import numpy, hashmatch")
        add("bare python", "pass")
    what = f"process, list of {short(options.size)}"
    return (what, "times", "CPU", "lowest - highest", "goal"), rows


def build(options: argparse.Namespace) -> Part:
    rows = []
    for size, kind in product((options.size, options.large), KINDS):
        case = Case(size, kind=kind)
        peers = [p for p in PEERS if p.is_exact_faiss and p.suits(case) and not p.missing]
        for engine in (INDEXED, *(peers if size < 5_000_000 else [])):
            found = apart("build", case=asdict(case), engine=engine.name)
            ours = engine is INDEXED and size == 10_000_000
            rows.append([
                str(case), str(engine), report.duration(found["seconds"]),
                f"{found['bytes']:.0f}", f"{found['peak']:.0f}",
                "at most 20 s, 220 bytes" if ours else "",
            ])  # fmt: skip
    return ("list", "engine", "CPU", "bytes an entry", "at the peak", "goal"), rows


PARTS: dict[str, Callable[[argparse.Namespace], Part]] = {
    "latency": latency,
    "threads": threads,
    "start": start,
    "build": build,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, action="append", help="only this; again for more")
    parser.add_argument("--size", type=int, default=1_000_000, help="entries of the lists")
    parser.add_argument("--large", type=int, default=10_000_000, help="of the large list to build")
    parser.add_argument("--calls", type=int, default=20_000, help="single calls for percentiles")
    parser.add_argument("--rounds", type=int, default=7, help="times that the others are measured")
    parser.add_argument("--record", metavar="NAME", help="write benchmarks/record/NAME.md as well")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 140)
    load = [os.getloadavg()]
    lines: list[str] = []
    for name in options.part or PARTS:
        columns, rows = PARTS[name](options)
        shown = rich.table.Table(*columns, title=name)
        for row in rows:
            shown.add_row(*row)
        console.print(shown)
        lines += ["", f"## {name}", *report.table(columns, rows)]
    load.append(os.getloadavg())
    if options.record:
        given = sys.argv[1:] if arguments is None else arguments
        command = ["python", "benchmarks/search_report.py", *given]
        path = Path(__file__).with_name("record") / f"{options.record}.md"
        path.write_text("\n".join([*report.opening(", search", command, load), *lines]) + "\n")
        console.print(f"recorded in {path.name}")


if __name__ == "__main__":
    main()
