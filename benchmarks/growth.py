"""How cost grows: time and memory, against the entries of a list and against images.

    python benchmarks/growth.py --record 2026-12-01-growth
    python benchmarks/growth.py --largest-list 1_000_000 --largest-images 10_000
    python benchmarks/growth.py --draw 2026-12-01-growth

Ours and the peers', each point in a process of its own. A list of 100 million is searched by a file
alone, which is what `HashIndex.build_file` is for, and by faiss's linear index: it needs 25 GB of
disk and 8 GB of memory. Images are links to the same files of 640 pixels, against 100,000 entries.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(ROOT)
sys.path.append(str(ROOT / "tests"))

import numpy as np  # noqa: E402

from benchmarks import report  # noqa: E402
from benchmarks.engines import OURS  # noqa: E402
from benchmarks.memory import MIB, resident  # noqa: E402
from benchmarks.scan_throughput import fill  # noqa: E402
from benchmarks.search_engines import FLAT, INDEXED, PEERS, SearchEngine, asking  # noqa: E402
from benchmarks.search_workloads import Case, known, questions, short  # noqa: E402
from benchmarks.timing import cpu_seconds  # noqa: E402
from hashmatch import HashBatch, HashIndex  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Row = dict[str, Any]

LISTS = (10**4, 10**5, 10**6, 10**7, 10**8)
IMAGES = (10**3, 10**4, 10**5, 10**6)
SOURCES = 400
"""Files that the images of a folder are links to."""
LIST_ROWS = 100_000
ASKED = 300
LEAST = 0.1
"""CPU seconds that questions are asked for, at least."""
SLOWEST = {"threatexchange": 10**4, "imagehash": 10**4}
"""Images that a peer is given at most: it has answered so many at the same rate."""


def _from_file(batch: HashBatch, case: Case) -> HashIndex:
    path = Path(tempfile.mkdtemp(dir=os.environ.get("GROWTH_FOLDER"))) / "index"
    HashIndex.build_file(path, batch, case.limit)
    return HashIndex.open(path)


FILE = replace(INDEXED, name=f"{OURS}, by file", build=_from_file)
SEARCHERS: dict[str, tuple[SearchEngine, int]] = {
    INDEXED.name: (INDEXED, 10**7),
    FILE.name: (FILE, 10**8),
    FLAT.name: (FLAT, 10**8),
    **{
        one.name: (one, 10**6)
        for one in PEERS
        if one.name in {"threatexchange PDQIndex", "numpy bitwise_count"}
    },
}
"""Each engine, and the longest list that it is given."""


def search(engine: SearchEngine, size: int) -> Row:
    """Return what a list costs: bytes, seconds to build it, seconds of a question."""
    small = Case(1000)
    engine.build(engine.form(known(small)), small)  # what is loaded or compiled once is in place
    case = Case(size)
    asked = questions(case, ASKED, 60)
    given = engine.form(known(case))
    before, seconds = resident("RssAnon"), cpu_seconds()
    index = engine.build(given, case)
    row = {"build": cpu_seconds() - seconds, "memory": resident("RssAnon") - before}
    if isinstance(index, HashIndex):
        row["memory"] = index.nbytes
    elif index is given:
        row["memory"] = given.nbytes
    run, hits = asking(engine, index, asked.batch, "one at a time", case.limit)
    found = {(query, entry) for query, entry, _ in hits(run()).tolist()}
    near = asked.planted[asked.planted[:, 2] <= case.limit]
    assert {(query, entry) for query, entry, _ in near.tolist()} <= found
    seconds, calls = cpu_seconds(), 0
    while cpu_seconds() - seconds < LEAST:
        run()
        calls += 1
    return row | {"question": (cpu_seconds() - seconds) / calls / ASKED}


def _list_file(folder: Path) -> Path:
    path = folder / "list.csv"
    if not path.exists():
        lines = (f"{text},made-up-{n}\n" for n, text in enumerate(known(Case(LIST_ROWS)).to_hex()))
        path.write_text("pdq,id\n" + "".join(lines))
    return path


def linked(folder: Path, count: int) -> Path:
    """Return a folder of `count` images, links to few files."""
    source, made = folder / "source", folder / str(count)
    if not source.exists():
        source.mkdir()
        fill(source, SOURCES)
    if not made.exists():
        files = sorted(source.iterdir())
        made.mkdir()
        for number in range(count):
            os.link(files[number % len(files)], made / f"{number:07}.jpg")
    return made


def _scan(folder: Path, count: int) -> Row:
    """The command, the process that has its list and its workers."""
    told = folder / "report.json"
    command = [
        sys.executable, "-m", "hashmatch", "scan", str(linked(folder, count)), "--list",
        str(_list_file(folder)), "--surface", "profile_photo", "--out", str(folder / "out.jsonl"),
        "--report", str(told), "--quiet",
    ]  # fmt: skip
    most = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            for line in _status(process.pid):
                if line.startswith("VmHWM"):
                    most = int(line.split()[1]) * 1024
            time.sleep(0.05)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert process.returncode == 0
    assert json.loads(told.read_text())["listed"] == count
    return {"seconds": used.ru_utime + used.ru_stime, "memory": most}


def _status(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return []


def _loop(hashed: Callable[[Path], Any], found: Callable[[Any], Any]) -> Callable[..., Row]:
    def run(folder: Path, count: int) -> Row:
        seconds = cpu_seconds()
        for path in sorted(linked(folder, count).iterdir()):
            found(hashed(path))
        return {"seconds": cpu_seconds() - seconds, "memory": resident("VmHWM")}

    return run


def _threatexchange(folder: Path, count: int) -> Row:
    from threatexchange.signal_type.pdq.pdq_index import PDQIndex
    from threatexchange.signal_type.pdq.signal import PdqSignal

    index = PDQIndex(zip(known(Case(LIST_ROWS)).to_hex(), range(LIST_ROWS), strict=True))
    return _loop(
        lambda path: PdqSignal.hash_from_bytes(path.read_bytes()),
        lambda text: index.query(text) if text else (),
    )(folder, count)


def _imagehash(folder: Path, count: int) -> Row:
    import imagehash
    from PIL import Image

    words = known(Case(LIST_ROWS)).words[:, 0].copy()
    return _loop(
        lambda path: int(str(imagehash.phash(Image.open(path))), 16),
        lambda value: np.nonzero(np.bitwise_count(words ^ np.uint64(value)) <= 8),
    )(folder, count)


SCANNERS: dict[str, Callable[[Path, int], Row]] = {
    OURS: _scan, "threatexchange": _threatexchange, "imagehash": _imagehash,
}  # fmt: skip


def apart(what: str, engine: str, size: int, folder: Path) -> Row:
    """Return a point, measured in a process that has done nothing else."""
    command = [sys.executable, __file__, "--point", json.dumps([what, engine, size, str(folder)])]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, env=os.environ | {"GROWTH_FOLDER": str(folder)}
    )
    found: Row = json.loads(done.stdout)
    return {"what": what, "engine": engine, "size": size} | found


def points(largest_list: int, largest_images: int) -> Iterator[tuple[str, str, int]]:
    """Yield what is measured, the cheapest first."""
    for size in LISTS:
        for name, (engine, most) in SEARCHERS.items():
            if size <= min(most, largest_list) and not engine.missing:
                yield "list", name, size
    for count in IMAGES:
        for name in SCANNERS:
            if count <= min(SLOWEST.get(name, count), largest_images):
                yield "images", name, count


PANELS = (
    ("list", "question", "CPU time of a question"),
    ("list", "build", "CPU time to build"),
    ("list", "memory", "Memory of the index"),
    ("images", "seconds", "CPU time of a scan"),
    ("images", "memory", "Peak memory of a scan"),
)


def shown(key: str, value: float) -> str:
    """Return a figure with its unit."""
    return f"{value / MIB:,.0f} MiB" if key == "memory" else report.duration(value)


def table(rows: Sequence[Row]) -> list[str]:
    """Return a table in Markdown for each panel."""
    lines = []
    for what, key, title in PANELS:
        chosen = [row for row in rows if row["what"] == what]
        sizes = sorted({row["size"] for row in chosen})
        at = {(row["engine"], row["size"]): shown(key, row[key]) for row in chosen}
        engines = dict.fromkeys(row["engine"] for row in chosen)
        lines += ["", f"{title}:", ""]
        lines += report.table(
            ("entries" if what == "list" else "images", *map(short, sizes)),
            [[name, *(at.get((name, size), "") for size in sizes)] for name in engines],
        )
    return lines


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the panels, both axes logarithmic."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter, NullLocator

    figure, axes = plt.subplots(2, 3, figsize=(14, 8), layout="constrained")
    for axis, (what, key, title) in zip(axes.flat, PANELS, strict=False):
        chosen = [row for row in rows if row["what"] == what]
        for engine in dict.fromkeys(row["engine"] for row in chosen):
            line = sorted((row["size"], row[key]) for row in chosen if row["engine"] == engine)
            ours = engine.startswith(OURS)
            axis.plot(*zip(*line, strict=True), marker="o", label=engine, lw=2.4 if ours else 1.2)
        sizes = sorted({row["size"] for row in chosen})
        axis.set(xscale="log", yscale="log", title=title)
        axis.set_xticks(sizes, [short(size) for size in sizes])
        axis.set_xlabel("entries in the list" if what == "list" else "images")
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _, key=key: shown(key, value)))
        axis.grid(color="#dddddd", lw=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=8, frameon=False)
    axes.flat[-1].set_axis_off()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--largest-list", type=int, default=LISTS[-1], help="entries, at most")
    parser.add_argument("--largest-images", type=int, default=IMAGES[-1], help="images, at most")
    parser.add_argument("--folder", type=Path, help="for images and index files, instead of /tmp")
    parser.add_argument("--record", metavar="NAME", help="write record/NAME.md, .png and .json")
    parser.add_argument("--draw", metavar="NAME", help="measure nothing, draw record/NAME.json")
    parser.add_argument("--point", metavar="JSON", help="only this point, here and now, as JSON")
    options = parser.parse_args(arguments)
    if options.point:
        what, name, size, folder = json.loads(options.point)
        found = (
            search(SEARCHERS[name][0], size)
            if what == "list"
            else SCANNERS[name](Path(folder), size)
        )
        print(json.dumps(found))
        return
    record = Path(__file__).with_name("record")
    if options.draw:
        rows = json.loads((record / f"{options.draw}.json").read_text())
        draw(rows, record / f"{options.draw}.png")
        return
    load, rows = [os.getloadavg()], []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for point in points(options.largest_list, options.largest_images):
            with tempfile.TemporaryDirectory(dir=folder) as own:
                rows.append(apart(*point, Path(folder if point[0] == "images" else own)))
            print(json.dumps(rows[-1]), file=sys.stderr)
    load.append(os.getloadavg())
    print("\n".join(table(rows)))
    if options.record:
        given = sys.argv[1:] if arguments is None else arguments
        command = ["python", "benchmarks/growth.py", *given]
        opening = report.opening(", how cost grows", command, load, ["One run of each point."])
        path = record / f"{options.record}.md"
        picture = ["", f"![Cost against entries and images]({options.record}.png)"]
        path.write_text("\n".join([*opening, *picture, *table(rows)]) + "\n")
        path.with_suffix(".json").write_text(json.dumps(rows) + "\n")
        draw(rows, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
