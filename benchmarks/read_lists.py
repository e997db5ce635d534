"""How fast each list reader reads, and what it holds: CPU time and peak memory by format.

`PYTHONPATH=tests python benchmarks/read_lists.py --rows 200000`. Each file is generated and is read
in a process of its own, the best of five times; the rows are counted, and none may be rejected.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hostile_lists import FORMATS, of, record, whole


def make(format: str, path: Path, rows: int) -> None:
    """Write a file of `rows` plain records."""
    rng = random.Random(1)
    digits = 32 if of(format) == "md5" else 64
    records = (
        record(format, f"{rng.getrandbits(digits * 4):0{digits}x}", n) for n in range(1, rows + 1)
    )
    path.write_text(whole(format, list(records))[0])


def measure(format: str, path: Path, rows: int) -> str:
    """Return a line of the table; runs in a fresh process."""
    from hashmatch import registry
    from hashmatch.interfaces import ListOptions, ListRow

    reader = registry.list_reader(format)
    best = float("inf")
    for _ in range(5):
        with path.open("rb") as file:
            begin = time.process_time()
            found = sum(isinstance(row, ListRow) for row in reader.rows(file, ListOptions()))
            best = min(best, time.process_time() - begin)
        assert found == rows, "the reader finds other rows"
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) // 1024
    size = path.stat().st_size / 1e6
    return f"| {format} | {size:.0f} MB | {rows / best:,.0f} | {size / best:.0f} | {peak} MB |"


def main(arguments: list[str] | None = None) -> None:
    """Print a table of all formats."""
    parser = argparse.ArgumentParser(description="Measure the list readers.")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--one", nargs=2, metavar=("FORMAT", "FILE"), help=argparse.SUPPRESS)
    told = parser.parse_args(arguments)
    if told.one:
        print(measure(told.one[0], Path(told.one[1]), told.rows))
        return
    print("| format | file | rows/s | MB/s | peak |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list"
        for format in FORMATS:
            make(format, path, told.rows)
            command = [sys.executable, __file__, "--rows", f"{told.rows}"]
            subprocess.run([*command, "--one", format, str(path)], check=True)


if __name__ == "__main__":
    main()
