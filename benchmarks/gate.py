"""The library as it is, and as it was at an earlier commit: each hashes and searches on demand.

Both have an interpreter of their own and are asked through the public names that they share, so the
earlier one needs no copy in the tree, only the repository's history.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

COMMIT = "c3cba33563a4953d44a78c4dddf72c21540dbf2e"
ROOT = Path(__file__).parents[1]

Work = tuple[str, int]
"""What is done, and with how many rows of pixels or queries."""


def unpacked(folder: Path) -> Path:
    """Return where the library of `COMMIT` can be imported from, put into `folder` the first time.

    Raises
    ------
    LookupError
        If the history that is there does not go back so far.
    """
    place = folder / COMMIT
    if place.exists():
        return place
    command = ["git", "-C", str(ROOT), "archive", COMMIT, "src/hashmatch", "pyproject.toml"]
    try:
        archive = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise LookupError(f"commit {COMMIT[:7]} is not in the history that is here") from None
    with tempfile.TemporaryDirectory(dir=folder) as part:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            # Python 3.11 has filters from its fourth release on.
            tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
            tar.extractall(part)
        project = tomllib.loads(Path(part, "pyproject.toml").read_text())["project"]
        about = Path(part, "src", f"{project['name']}-{project['version']}.dist-info")
        about.mkdir()  # plug-ins are found by what would be installed
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        groups = project["entry-points"].items()
        lines = [
            f"[{group}]\n{name} = {at}\n" for group, all_ in groups for name, at in all_.items()
        ]
        (about / "entry_points.txt").write_text("".join(lines))
        Path(part, "src").rename(place)
    return place


class Side:
    """A process that imports hashmatch from a folder, and works when it is told to.

    Parameters
    ----------
    path : Path
        The folder.
    inputs : Path
        What `save_inputs` wrote.
    """

    def __init__(self, path: Path, inputs: Path) -> None:
        paths = filter(None, [str(path), os.environ.get("PYTHONPATH")])
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(inputs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        self.path = self._ask("path", 0, 0)
        self._inputs = inputs

    def again(self) -> Side:
        """Return the same in a process of its own, whose memory lies elsewhere."""
        return Side(Path(self.path), self._inputs)

    def answer(self, work: Work) -> Any:
        """Return the hash and its quality, or (query, entry, distance) of every pair."""
        return self._ask(*work, 0)

    def seconds(self, work: Work, calls: int) -> float:
        """Return the CPU time of one of so many calls."""
        return float(self._ask(*work, calls))

    def _ask(self, *question: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()  # it ends with its input


def taken(
    one: tuple[Side, Work], other: tuple[Side, Work], rounds: int, least: float
) -> list[tuple[float, float]]:
    """Return the seconds of CPU that each takes, in turns; who begins alternates.

    Parameters
    ----------
    one, other : (Side, Work)
    rounds : int
    least : float
        Seconds of CPU that either takes in a round.
    """
    calls = {}
    for side, work in (one, other):
        count = 1
        while side.seconds(work, count) * count < least:
            count *= 2
        calls[side, work] = count
    found = []
    for number in range(rounds):
        order = (one, other) if number % 2 else (other, one)
        seconds = {(side, work): side.seconds(work, calls[side, work]) for side, work in order}
        found.append((seconds[one], seconds[other]))
    return found


def save_inputs(path: Path) -> None:
    """Write what both sides work on."""
    from benchmarks.workloads import photo, planted

    works = {size: planted(size) for size in (10_000, 1_000_000)}
    arrays: dict[str, Any] = {"pixels": photo("640")}
    for size, work in works.items():
        arrays |= {f"list {size}": work.known.words, f"queries {size}": work.queries.words}
    np.savez(path, **arrays)


def serve(inputs: Path) -> None:
    """Answer each line of standard input: by an answer, or by the time that it takes."""
    import hashmatch as hm

    given, spec = np.load(inputs), hm.HashSpec("pdq", 256)
    indexes: dict[str, hm.HashIndex] = {}

    def work(kind: str, count: int) -> Callable[[], Any]:
        if kind in {"pdq", "phash"}:
            pixels = np.ascontiguousarray(given["pixels"][:count])
            return lambda: hm.hash_image(pixels, kind)
        size, _, how = kind.partition(" ")
        if kind not in indexes:
            known = hm.HashBatch(spec, given[f"list {size}"])
            indexes[kind] = hm.HashIndex.build(known, 31 if how == "by bands" else None)
        index, queries = indexes[kind], hm.HashBatch(spec, given[f"queries {size}"][:count])
        return lambda: index.search(queries, 31)

    def plain(answer: Any) -> Any:
        if isinstance(answer, hm.HashedImage):
            return answer.hex, answer.quality
        return np.stack([answer.query, answer.entry, answer.distance], axis=1).tolist()

    works: dict[Work, Callable[[], Any]] = {}
    for line in sys.stdin:
        kind, count, calls = json.loads(line)
        if kind == "path":
            reply = str(Path(hm.__path__[0]).parent)
        else:
            if (kind, count) not in works:
                works[kind, count] = work(kind, count)
            run = works[kind, count]
            start = time.process_time()
            for _ in range(calls):
                run()
            reply = (time.process_time() - start) / calls if calls else plain(run())
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    sys.path.pop(0)  # this folder
    serve(Path(sys.argv[1]))
