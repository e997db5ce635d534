"""Print how many times faster than its peers hashmatch is: `python benchmarks/ratios.py`.

Each pair has an interpreter of its own, in which ours and the peer's work alternate. Each round
gives a ratio, peer / ours; reported are the median of the ratios and the lowest and highest of
them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.pairs import all_pairs
from benchmarks.timing import in_turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.comparison import Pair


def compare(pair: Pair, rounds: int, least: float) -> dict[str, Any]:
    """Check that both answer alike, time them, and return a row of the report."""
    with tempfile.TemporaryDirectory() as folder:
        sides = pair.prepare(Path(folder))
        sides.check(sides.ours(), sides.theirs())
        measured = in_turns(sides.ours, sides.theirs, rounds, least)
    # The time of one question: a slow peer may have been asked fewer.
    share = sides.our_questions / sides.their_questions
    cpu = [share * r.peer.cpu / r.ours.cpu for r in measured]
    return {
        "work": pair.work,
        "peer": pair.peer.name,
        "is_floor": pair.is_floor,
        "our_questions": sides.our_questions,
        "peer_questions": sides.their_questions,
        "ours_cpu_seconds": statistics.median(r.ours.cpu for r in measured) / sides.our_questions,
        "peer_cpu_seconds": statistics.median(r.peer.cpu for r in measured) / sides.their_questions,
        "ratio": statistics.median(cpu),
        "lowest": min(cpu),
        "highest": max(cpu),
        "wall_ratio": share * statistics.median(r.peer.wall / r.ours.wall for r in measured),
        "goal": pair.goal,
        "rounds": rounds,
    }


def apart(pair: Pair, rounds: int, least: float) -> dict[str, Any]:
    """Return `compare`'s row, made in an interpreter that has done nothing else.

    What ran before leaves its mark on what runs after. glibc gives blocks above a threshold back
    to the system, and moves the threshold up to the largest that it has seen go: after some other
    work, pdqhash takes half the time, since its large temporaries need no new pages any more.
    """
    command = [sys.executable, __file__, "--pair", str(pair)]
    command += ["--rounds", str(rounds), "--least", str(least)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds a pair, at least 5")
    parser.add_argument(
        "--least", type=float, default=0.05, help="CPU seconds of one side in a round"
    )
    parser.add_argument("--only", default="", help="pairs whose work or peer has this in its name")
    parser.add_argument("--goals", action="store_true", help="only pairs that have a goal")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    parser.add_argument("--record", metavar="NAME", help="write benchmarks/record/NAME.md as well")
    parser.add_argument("--note", default="", help="a sentence for the record")
    parser.add_argument(
        "--pair", metavar="NAME", help="only this one, here and now, as a line of JSON"
    )
    options = parser.parse_args(arguments)
    if options.rounds < 5:
        parser.error("fewer than 5 rounds show no spread")
    if options.pair:
        pair = next(pair for pair in all_pairs() if str(pair) == options.pair)
        print(json.dumps(compare(pair, options.rounds, options.least)))
        return
    # Piped into a file it would be folded to 80 columns.
    console = Console(width=None if sys.stdout.isatty() else 140)
    load = [os.getloadavg()]
    rows, missing = [], []
    for pair in all_pairs():
        if options.goals and pair.goal is None:
            continue
        if pair.peer.missing:
            missing.append(f"{pair.peer} (needs {', '.join(pair.peer.missing)})")
        elif options.only in str(pair):
            rows.append(apart(pair, options.rounds, options.least))
            console.print(*report.cells(rows[-1]), sep="  ")
    load.append(os.getloadavg())
    table = Table(*report.COLUMNS)
    for row in rows:
        table.add_row(*report.cells(row))
    console.print(table)
    for name in dict.fromkeys(missing):
        console.print(f"not installed, not measured: {name}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    if options.record:
        command = [
            "python",
            "benchmarks/ratios.py",
            *(sys.argv[1:] if arguments is None else arguments),
        ]
        path = Path(__file__).with_name("record") / f"{options.record}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(report.markdown(rows, command, load, missing, options.note))
        console.print(f"recorded in {path.name}")


if __name__ == "__main__":
    main()
