"""Print which transformed photographs are found again: `python benchmarks/bench_recall.py`.

Every photograph is transformed as platforms do, asked for at every level of query variants, and
looked for in the list of the originals. Beside it stand the matches between different photographs.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from benchmarks import recall_report, report
from benchmarks.photographs import Photograph, in_folders, shipped, tiles
from benchmarks.recall import Known, alike, hash_originals, measure
from benchmarks.recall_distances import distance_table
from benchmarks.transformations import table
from hashmatch import registry
from hashmatch.interfaces import OrientedHasher
from hashmatch.records.enums import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.recall import Result
    from benchmarks.transformations import Transformation
    from hashmatch.records.enums import Level

ALGORITHMS = ("pdq", "phash", "dhash", "ahash", "whash")
SIDE = 640
"""Longer side of what is transformed, as platforms keep it; the list is of full resolution."""
TILE = 480
MIN_QUALITY = 50
"""PDQ's own: what is flatter is hashed, but not searched."""


def population(folders: Sequence[Path]) -> tuple[list[Photograph], list[str]]:
    """Return the pictures to ask about, and a line on each one that is left out."""
    pdq = registry.hasher("pdq")
    assert isinstance(pdq, OrientedHasher)
    kept, words, left_out = [], [], []
    for picture in shipped() + in_folders(folders):
        hashes, quality = pdq.hash_orientations(picture.pixels())
        if quality is None or quality < MIN_QUALITY:
            left_out.append(f"{picture.name} ({picture.kind}): quality {quality}")
        else:
            kept.append(picture)
            words.append(hashes.words)
    twins: set[int] = set()
    for one, other, distance in alike(np.array(words)):
        if one not in twins and other not in twins:
            twins.add(other)
            near = f"{distance} bits from {kept[one].name}"
            left_out.append(f"{kept[other].name} ({kept[other].kind}): {near}")
    return [picture for n, picture in enumerate(kept) if n not in twins], left_out


def more_entries(pictures: Sequence[Photograph], most: int) -> Iterator[Photograph]:
    """Yield tiles of the large photographs, those whose quality is good enough."""
    pdq = registry.hasher("pdq")
    for picture in pictures:
        if picture.kind == "photograph" and most:
            for tile in tiles(picture, TILE, most):
                if (pdq.hash(tile.pixels())[1] or 0) >= MIN_QUALITY:
                    yield tile


def run(
    pictures: Sequence[Photograph],
    entries: Sequence[Photograph],
    algorithms: Sequence[str],
    level_names: Sequence[Level],
    only: str = "",
    seed: int = 1,
) -> tuple[list[Result], list[dict[str, Any]], list[dict[str, Any]]]:
    """Measure, and return the results, the rows of recall and those of false matches."""

    def chosen(number: int) -> dict[str, Transformation]:
        # Each picture's crops lie elsewhere.
        return {name: how for name, how in table(1000 * seed + number).items() if only in name}

    results, found = [], []
    for algorithm in algorithms:
        hasher = registry.hasher(algorithm)
        known = Known(entries, hash_originals(entries, hasher))
        new = measure(pictures, known, chosen, SIDE, algorithm, level_names)
        found += recall_report.rows(new, pictures, hasher.max_distance)
        results += new
    return results, found, recall_report.false_rows(results, pictures, entries)


def show(console: Console, found: list[dict[str, Any]], false: list[dict[str, Any]]) -> None:
    """Print recall by transformation, and the false matches."""
    for kind in ("photograph", "artwork"):
        titles, body = recall_report.pivot(found, kind)
        if body:
            shown = Table(*titles, title=f"recall of {kind}s")
            for cells in body:
                shown.add_row(*cells)
            console.print(shown)
    shown = Table(*recall_report.FALSE_COLUMNS, title="matches between different pictures")
    for row in false:
        shown.add_row(*recall_report.false_cells(row))
    console.print(shown)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, help="folders with more photographs")
    parser.add_argument("--hashers", nargs="+", default=ALGORITHMS, choices=ALGORITHMS)
    parser.add_argument("--levels", nargs="+", default=LEVELS, choices=LEVELS)
    parser.add_argument("--only", default="", help="transformations with this in their name")
    parser.add_argument("--tiles", type=int, default=12, help="of a large photograph, at most")
    parser.add_argument("--seed", type=int, default=1, help="places the crops that lie anywhere")
    parser.add_argument("--distances", action="store_true", help="what settles each max_distance")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw recall there")
    parser.add_argument("--record", metavar="NAME", help="write benchmarks/record/NAME.md as well")
    parser.add_argument("--note", default="", help="a sentence for the record")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    console = Console(width=None if sys.stdout.isatty() else 180)
    load = [os.getloadavg()]
    pictures, left_out = population(options.folders)
    entries = [*pictures, *more_entries(pictures, options.tiles)]
    for line in left_out:
        console.print(f"left out: {line}", highlight=False)
    if options.distances:
        console.print(distance_table(pictures, entries, options.hashers, table(options.seed), SIDE))
        return
    _, found, false = run(
        pictures, entries, options.hashers, options.levels, options.only, options.seed
    )
    load.append(os.getloadavg())
    show(console, found, false)
    if options.json:
        everything = {"recall": found, "false": false, "left_out": left_out}
        options.json.write_text(json.dumps(everything, indent=2) + "\n")
    if options.plot:
        recall_report.plot(found, options.plot)
    if options.record:
        given = sys.argv[1:] if arguments is None else arguments
        # The folders' names are the reader's business; what was in them is in the counts.
        command = ["python", "benchmarks/bench_recall.py", *map(_without_folder, given)]
        lines = [
            f"# {datetime.now(UTC):%Y-%m-%d}, recall",
            "",
            "Made by this command; how to read it is in ../README.md.",
            "",
            "```sh",
            shlex.join(command),
            "```",
            "",
            f"- Processor: {report.cpu_name()}",
            f"- Versions: {report.versions()}",
            f"- Load average of a minute: {load[0][0]:.2f} before, {load[-1][0]:.2f} after",
            *(f"- Left out: {line}" for line in left_out),
            *([f"- {options.note}"] if options.note else []),
            *recall_report.markdown(found, false),
        ]
        path = Path(__file__).with_name("record") / f"{options.record}.md"
        path.write_text("\n".join(lines) + "\n")
        console.print(f"recorded in {path.name}")


def _without_folder(argument: str) -> str:
    return Path(argument).name if "/" in argument else argument


@pytest.fixture(scope="module")
def few() -> list[Photograph]:
    for package in ("skimage", "sklearn"):
        pytest.importorskip(package, reason="the photographs are theirs")
    return population([])[0]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_saved_again_they_are_found(few: list[Photograph], algorithm: str) -> None:
    _, found, false = run(few, few, [algorithm], ["none"], only="JPEG q50")
    assert [row["recall"] for row in found] == [1.0]
    if algorithm == "pdq":
        assert sum(row["false"] for row in false) == 0


@pytest.mark.parametrize("name", ["rotate 90", "mirror"])
def test_turned_they_are_found_by_orientations(few: list[Photograph], name: str) -> None:
    results, found, false = run(few, few, ["pdq"], ["none", "orientations"], only=name)
    none, orientations = found
    assert none["recall"] == 0.0
    assert orientations["missed"] == []
    assert results[1].pairs["photograph"] == len(few) * (len(few) - 1)
    assert sum(row["false"] for row in false) == 0


if __name__ == "__main__":
    main()
