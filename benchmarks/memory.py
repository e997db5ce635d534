"""Print how much memory the PDQ of a 12-megapixel picture takes: `python benchmarks/memory.py`.

Each way has an interpreter of its own, which reads the pictures from files, since drawing one
leaves free memory behind. It hashes a small picture first, so that what is loaded or compiled once
is in place, and then the large one; what the process has grown by at its largest is the figure
(Linux only: the peak is reset in between).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from benchmarks import hash_engines
from benchmarks.workloads import jpeg, photo

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.hash_engines import HashEngine

MIB = 2**20
WORKS: dict[str, Callable[[], list[HashEngine]]] = {
    "array": lambda: hash_engines.array_engines("pdq"),
    "JPEG": lambda: hash_engines.file_engines("pdq"),
}
"""What is hashed, and who does it."""


def write(work: str, path: Path, size: str) -> None:
    """Write what an engine is given."""
    np.save(path, photo(size) if work == "array" else np.frombuffer(jpeg(1, size), np.uint8))


def read(work: str, path: Path) -> Any:
    """Return what `write` has written."""
    return np.load(path) if work == "array" else np.load(path).tobytes()


def resident(field: str) -> int:
    """Return a field of this process's status in bytes: VmRSS, or VmHWM for the most so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def growth(work: str, number: int, small: Path, large: Path) -> int:
    """Return the bytes by which this process grows while one engine hashes the large picture."""
    engine = WORKS[work]()[number]
    given = read(work, large)
    engine.run(read(work, small))
    Path("/proc/self/clear_refs").write_text("5")  # from here on, what is the most
    before = resident("VmRSS")
    engine.run(given)
    return resident("VmHWM") - before


def measured(work: str, number: int) -> int:
    """Return `growth` on 12 megapixels, in an interpreter of its own."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{size}.npy" for size in ("640", "12MP")]
        for path in paths:
            write(work, path, path.stem)
        command = [sys.executable, __file__, work, str(number), *map(str, paths)]
        return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def main() -> None:
    if len(sys.argv) > 1:
        asked, row, small, large = sys.argv[1:]
        print(growth(asked, int(row), Path(small), Path(large)))
        return
    for work, engines in WORKS.items():
        ours = measured(work, 0)
        print(f"12 MP {work}: {engines()[0]} {ours / MIB:.1f} MiB")
        for number, peer in enumerate(engines()[1:], start=1):
            if peer.missing:
                print(f"12 MP {work}: {peer} is not installed")
                continue
            theirs = measured(work, number)
            print(f"12 MP {work}: {peer} {theirs / MIB:.1f} MiB, {theirs / ours:.1f} times ours")


if __name__ == "__main__":
    main()
