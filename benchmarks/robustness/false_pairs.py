"""Count the pairs of different pictures that are taken for each other, at one level.

    python benchmarks/robustness/false_pairs.py FOLDER [FOLDER ...] --level thorough

Every photograph and its tiles (2 x 2, 3 x 3, 4 x 4, which do not overlap) are entries, and each is
asked for among all that are not of its own photograph. A picture's hundreds of questions are one
pair. What is wrong at ``none`` already is counted apart: a question may only be kept if it brings
no new pair.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from benchmarks import report
from benchmarks.photographs import Photograph, in_folders
from benchmarks.report import table
from hashmatch import HashBatch, HashIndex, registry, testing
from hashmatch.hashing.variants import ask
from hashmatch.records.enums import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hashmatch.interfaces import Hasher
    from hashmatch.records.enums import Level

GRIDS = (1, 2, 3, 4)
LEAST = 150
"""Pixels of a tile's shorter side at least."""


class Picture(Protocol):
    """What is asked for; two with the same `path` are not different pictures."""

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> Path: ...

    def pixels(self) -> NDArray[np.uint8]: ...


def kind_of(question: str) -> str:
    """Return the kind of a question: its name without the numbers of its frame."""
    return re.sub(r":[^/]*", "", question)


def with_tiles(photographs: Sequence[Photograph]) -> Iterator[Photograph]:
    """Yield each photograph and its tiles."""
    for photograph in photographs:
        height, width = photograph.pixels().shape[:2]
        for grid in GRIDS:
            wide, tall = width // grid, height // grid
            if grid > 1 and min(wide, tall) < LEAST:
                continue
            for row in range(grid):
                for column in range(grid):
                    box = (column * wide, row * tall, (column + 1) * wide, (row + 1) * tall)
                    name = f"{photograph.name} {grid}x{grid} {column},{row}"
                    yield Photograph(name, photograph.path, "tile", box)


@dataclass
class Found:
    """What was counted."""

    limits: tuple[int, ...]
    pictures: int = 0
    pairs: int = 0
    questions: int = 0
    seconds: float = 0.0
    """Of the processor, to ask; look-ups are not in it."""
    within: Counter[int] = field(default_factory=Counter)
    """By limit: pairs of which any question is within it."""
    new: Counter[int] = field(default_factory=Counter)
    """By limit: those of which the upright question is not."""
    kinds: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    """By kind of question: the nearest pair, (distance, query, entry)."""
    by_kind: Counter[str] = field(default_factory=Counter)
    """By kind of question: new pairs within the hasher's own limit."""
    listed: list[tuple[int, str, str, str]] = field(default_factory=list)
    """The nearest pairs: (distance, question, query, entry)."""

    @property
    def as_json(self) -> dict[str, Any]:
        return {
            "pictures": self.pictures,
            "pairs": self.pairs,
            "questions_a_picture": self.questions / max(1, self.pictures),
            "cpu_ms_a_picture": 1e3 * self.seconds / max(1, self.pictures),
            "within": {str(limit): self.within[limit] for limit in self.limits},
            "new": {str(limit): self.new[limit] for limit in self.limits},
            "kinds": self.kinds,
            "new_by_kind": dict(self.by_kind),
            "nearest": self.listed,
        }


def count(pictures: Sequence[Picture], hasher: Hasher, level: Level, jobs: int = 1) -> Found:
    """Ask for every picture among all those of other photographs."""
    limit = hasher.max_distance
    bits = hasher.spec.bits
    limits = (limit, *(bits * part // 256 for part in (36, 40, 48, 64)))
    found = Found(limits)
    kept, hashed = [], []
    for picture in pictures:
        hashes, quality = hasher.hash(picture.pixels())
        if quality is None or quality >= hasher.min_quality:
            kept.append(picture)
            hashed.append(hashes)
    if not kept:
        return found
    index = HashIndex.build(HashBatch.concatenate(hashed))
    paths = np.array([str(picture.path) for picture in kept])
    ask_one = partial(_asked, algorithm=hasher.spec.algorithm, level=level)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        asked = pool.map(ask_one, kept, chunksize=32) if jobs > 1 else map(ask_one, kept)
        for number, (names, words, seconds) in enumerate(asked):
            found.pictures += 1
            found.questions += len(names)
            found.seconds += seconds
            others = paths != str(kept[number].path)
            found.pairs += int(others.sum())
            matches = index.search(HashBatch(hasher.spec, words), limits[-1])
            apart = others[matches.entry]
            _note(
                found, kept, number, names,
                matches.query[apart], matches.entry[apart], matches.distance[apart],
            )  # fmt: skip
    found.listed = sorted(found.listed)[:40]
    return found


def _asked(
    picture: Picture, algorithm: str, level: Level
) -> tuple[tuple[str, ...], NDArray[np.uint64], float]:
    """Return a picture's questions, and how many seconds of the processor they took.

    As names and words: what hashes a batch holds is never pickled.
    """
    hasher, pixels = registry.hasher(algorithm), picture.pixels()
    _warm(algorithm, level)
    begun = time.process_time()
    asked = ask(hasher, pixels, level)
    return asked.names, asked.hashes.words, time.process_time() - begun


@cache
def _warm(algorithm: str, level: Level) -> None:
    """Ask once, so that no time measured has kernels in it that are read or compiled."""
    ask(registry.hasher(algorithm), testing.picture(1, 640, 480), level)


def _note(
    found: Found, pictures: Sequence[Picture], number: int, names: Sequence[str],
    question: Any, entry: Any, distance: Any,
) -> None:  # fmt: skip
    """Add what one picture's questions found among the others' hashes."""
    limits = found.limits
    for each in np.unique(entry):
        mine = entry == each
        nearest = int(distance[mine].argmin())
        least = int(distance[mine][nearest])
        upright = distance[mine & (question == 0)]
        plain = int(upright[0]) if len(upright) else limits[-1] + 1
        for limit in limits:
            found.within[limit] += least <= limit
            found.new[limit] += least <= limit < plain
        query, other = pictures[number].name, pictures[int(each)].name
        found.listed.append((least, names[int(question[mine][nearest])], query, other))
        kinds: set[str] = set()
        for row, far in zip(question[mine].tolist(), distance[mine].tolist(), strict=True):
            kind = kind_of(names[row])
            if far <= limits[0] < plain:
                kinds.add(kind)
            if far < found.kinds.get(kind, (limits[-1] + 1, "", ""))[0]:
                found.kinds[kind] = (far, query, other)
        found.by_kind.update(kinds)


def lines(found: Found, level: str) -> list[str]:
    """Return what was found, in Markdown."""
    summary = [
        f"{found.pictures:,} pictures, {found.pairs:,} pairs, "
        f"{found.questions / max(1, found.pictures):.0f} questions and "
        f"{1e3 * found.seconds / max(1, found.pictures):.2f} ms of the processor a picture.",
    ]
    counts = [
        [level, *(f"{found.within[limit]} ({found.new[limit]})" for limit in found.limits)],
    ]
    shown = table(["pairs (not in none) within", *map(str, found.limits)], counts)
    kinds = [
        [kind, str(far), str(found.by_kind[kind]), f"{query} / {other}"]
        for kind, (far, query, other) in sorted(found.kinds.items(), key=lambda each: each[1])
    ]
    shown += table(["kind of question", "nearest", f"new within {found.limits[0]}", "pair"], kinds)
    nearest = [[str(far), *rest] for far, *rest in found.listed[:20]]
    return [*summary, *shown, *table(["distance", "question", "query", "entry"], nearest)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--level", default="thorough", choices=LEVELS)
    parser.add_argument("--hasher", default="pdq")
    parser.add_argument("--most", type=int, default=0, help="photographs at most; 0 for all")
    parser.add_argument("--jobs", type=int, default=1, help="processes that hash")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--record", metavar="NAME", help="write ../record/NAME.md as well")
    told = parser.parse_args()
    load = [os.getloadavg()]
    photographs = in_folders(told.folders)
    if told.most:
        photographs = photographs[:: max(1, len(photographs) // told.most)][: told.most]
    found = count(
        list(with_tiles(photographs)), registry.hasher(told.hasher), told.level, told.jobs
    )
    made = lines(found, told.level)
    print("\n".join(made))
    if told.record:
        command = ["python", "benchmarks/robustness/false_pairs.py", *sys.argv[1:]]
        command = [Path(word).name if word.startswith("/") else word for word in command]
        opening = report.opening(", false pairs", command, [*load, os.getloadavg()])
        path = Path(__file__).parents[1] / "record" / f"{told.record}.md"
        path.write_text("\n".join([*opening, "", *made]) + "\n")
    if told.json:
        told.json.write_text(json.dumps(found.as_json, indent=2) + "\n")


if __name__ == "__main__":
    main()
