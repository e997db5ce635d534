"""Draw the time of a question against the length of the list: `python benchmarks/plot_search.py`.

Uniform and skewed lists, one question a call and 10,000 in one, ours and the peers. Each list has
an interpreter of its own, in which ours is timed in turns with one peer after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import report
from benchmarks.search_engines import INDEXED, WAYS, peers_for
from benchmarks.search_pairs import Side, compared
from benchmarks.search_workloads import Case, short
from benchmarks.timing import in_turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    Row = dict[str, Any]

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
KINDS: tuple[Literal["uniform", "skewed"], ...] = ("uniform", "skewed")
LEAST = 0.05
"""CPU seconds of one side in a round; peers are asked as many questions as take them so long."""
COLOURS = {
    "hashmatch": "#D55E00",
    "faiss IndexBinaryFlat": "#0072B2",
    "faiss IndexBinaryMultiHash 16x16, 1 flip": "#009E73",
    "faiss IndexBinaryMultiHash 11x23, 2 flips": "#56B4E9",
    "threatexchange PDQIndex": "#CC79A7",
    "usearch exact, the nearest 10": "#777777",
    "numpy bitwise_count": "#000000",
}
"""Okabe and Ito's, which people with any colour vision tell apart; labels say it as well."""
LABELS = {
    "hashmatch": "hashmatch",
    "faiss IndexBinaryFlat": "faiss Flat",
    "faiss IndexBinaryMultiHash 16x16, 1 flip": "faiss MultiHash 16x16",
    "faiss IndexBinaryMultiHash 11x23, 2 flips": "faiss MultiHash 11x23",
    "threatexchange PDQIndex": "PDQIndex",
    "usearch exact, the nearest 10": "usearch, nearest 10",
    "numpy bitwise_count": "numpy",
}


def measured(case: Case, rounds: int) -> list[Row]:
    """Return the CPU seconds of a question for each engine and way to ask."""
    ours = Side.built(INDEXED, case)
    of_ours: dict[str, list[float]] = {way: [] for way in WAYS}
    rows: list[Row] = []

    def add(engine: str, way: str, seconds: float) -> None:
        row = {"kind": case.kind, "size": case.size, "engine": engine, "way": way}
        rows.append({**row, "seconds": seconds})

    for peer in peers_for(case):
        if peer.missing:
            continue
        theirs = Side.built(peer, case)
        for way in WAYS:
            sides = compared(ours, theirs, case, way, LEAST)
            sides.check(sides.ours(), sides.theirs())
            turns = in_turns(sides.ours, sides.theirs, rounds, LEAST)
            of_ours[way] += [turn.ours.cpu / sides.our_questions for turn in turns]
            seconds = statistics.median(turn.peer.cpu for turn in turns) / sides.their_questions
            add(peer.name, way, seconds)
        del theirs, sides  # the next index needs the memory
    for way in WAYS:
        add(INDEXED.name, way, statistics.median(of_ours[way]))
    return rows


def apart(case: Case, rounds: int) -> list[Row]:
    """Return `measured`'s rows, made in an interpreter that has done nothing else."""
    command = [sys.executable, __file__, "--case", json.dumps(asdict(case))]
    done = subprocess.run([*command, "--rounds", str(rounds)], stdout=subprocess.PIPE, check=True)
    rows: list[Row] = json.loads(done.stdout)
    return rows


def table(rows: Sequence[Row]) -> list[str]:
    """Return the times as tables in Markdown, one for each kind of list and way to ask."""
    lines = []
    for kind in KINDS:
        for way in WAYS:
            chosen = [row for row in rows if (row["kind"], row["way"]) == (kind, way)]
            if not chosen:
                continue
            at = {(row["engine"], row["size"]): report.duration(row["seconds"]) for row in chosen}
            sizes = sorted({row["size"] for row in chosen})
            engines = [name for name in COLOURS if any(row["engine"] == name for row in chosen)]
            lines += ["", f"CPU time of a question, {kind} lists, {way}:"]
            lines += report.table(
                ("entries", *map(short, sizes)),
                [[name, *(at.get((name, size), "") for size in sizes)] for name in engines],
            )
    return lines


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw a panel for each kind of list and way to ask, both axes logarithmic."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter, NullLocator

    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    figure, axes = plt.subplots(
        len(kinds),
        2,
        sharex=True,
        sharey=True,
        squeeze=False,
        figsize=(11, 0.6 + 4.4 * len(kinds)),
        layout="constrained",
    )
    sizes = sorted({row["size"] for row in rows})
    for line, kind in zip(axes, kinds, strict=True):
        for axis, way in zip(line, WAYS, strict=True):
            ends = []
            for engine, colour in COLOURS.items():
                points = sorted(
                    (row["size"], row["seconds"])
                    for row in rows
                    if (row["kind"], row["way"], row["engine"]) == (kind, way, engine)
                )
                if not points:
                    continue
                ours = engine == INDEXED.name
                axis.plot(
                    *zip(*points, strict=True), color=colour, marker="o",
                    lw=2.6 if ours else 1.3, ms=5 if ours else 3.2, zorder=3 if ours else 2,
                )  # fmt: skip
                ends.append((*points[-1], engine))
            label(axis, ends, sizes[-1])
            axis.set(xscale="log", yscale="log", title=f"{kind} lists, {way}")
            axis.set_xticks(sizes, [short(size) for size in sizes])
            axis.set_xlim(sizes[0] / 1.4, sizes[-1] * 20)
            axis.xaxis.set_minor_locator(NullLocator())
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: report.duration(value)))
            axis.yaxis.set_minor_locator(NullLocator())
            axis.grid(color="#dddddd", lw=0.6)
            axis.spines[["top", "right"]].set_visible(False)
            axis.title.set_fontsize(10.5)
            axis.tick_params(length=0, labelsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("entries in the list")
    for axis in axes[:, 0]:
        axis.set_ylabel("CPU time of a question")
    figure.suptitle("Every PDQ hash within 31 of 256 bits: time of a question, one thread")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def label(axis: Any, ends: Sequence[tuple[int, float, str]], right: int) -> None:
    """Write each line's name beside its end, moved apart where two would overlap."""
    least = 1.55  # times as high as the one below: a line of text on this axis
    height = 0.0
    for size, seconds, engine in sorted(ends, key=lambda end: end[1]):
        height = max(seconds, height * least)
        bold = "bold" if engine == INDEXED.name else "normal"
        axis.annotate(
            LABELS[engine], (size, seconds), (right * 1.45, height), color=COLOURS[engine],
            fontsize=8.5, va="center", fontweight=bold,
            arrowprops={"arrowstyle": "-", "color": COLOURS[engine], "lw": 0.8, "ls": ":"},
        )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each comparison")
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="entries, at most")
    parser.add_argument(
        "--largest-skewed", type=int, default=1_000_000, help="entries of skewed lists, at most"
    )
    parser.add_argument("--record", metavar="NAME", help="write record/NAME.md, .png and .json")
    parser.add_argument("--draw", metavar="NAME", help="measure nothing, draw record/NAME.json")
    parser.add_argument("--case", metavar="JSON", help="only this list, here and now, as JSON")
    options = parser.parse_args(arguments)
    if options.case:
        print(json.dumps(measured(Case(**json.loads(options.case)), options.rounds)))
        return
    record = Path(__file__).with_name("record")
    if options.draw:
        rows = json.loads((record / f"{options.draw}.json").read_text())
        draw(rows, record / f"{options.draw}.png")
        return
    load = [os.getloadavg()]
    rows = []
    for kind, largest in zip(KINDS, (options.largest, options.largest_skewed), strict=True):
        for size in SIZES:
            if size <= largest:
                rows += apart(Case(size, kind=kind), options.rounds)
                print(f"{short(size)} {kind}", file=sys.stderr)
    load.append(os.getloadavg())
    print("\n".join(table(rows)))
    if options.record:
        given = sys.argv[1:] if arguments is None else arguments
        opening = report.opening(
            ", search and the length of the list",
            ["python", "benchmarks/plot_search.py", *given],
            load,
            ["Of the engines that were slow, fewer questions than 10,000 were asked."],
        )
        path = record / f"{options.record}.md"
        picture = ["", f"![Time of a question against entries]({options.record}.png)"]
        path.write_text("\n".join([*opening, *picture, *table(rows)]) + "\n")
        path.with_suffix(".json").write_text(json.dumps(rows) + "\n")
        draw(rows, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
