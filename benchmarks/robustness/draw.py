"""Draw every row of the benchmark as files: `python benchmarks/robustness/draw.py PHOTOS INTO`.

INTO gets ``queries/``, a file for each row and picture, ``entries/``, what stands on the list where
that is not the photograph itself, and ``index.json``, which says what belongs to what. Whoever adds
a column reads that and nothing else.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from benchmarks.photographs import in_folders
from benchmarks.robustness.rows import SIDE, Row, rows, scene_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from benchmarks.photographs import Photograph


@dataclass(frozen=True)
class Query:
    """A file to be looked for; ``own`` is the file of the entry that it is to be found by."""

    row: str
    family: str
    picture: int
    file: str
    own: str


@dataclass(frozen=True)
class Drawn:
    """What was drawn; files are below the folder, or absolute."""

    folder: Path
    queries: tuple[Query, ...]
    photographs: tuple[str, ...]
    """Every photograph as it is: the entries that are not a query's own have to stay unmatched."""
    pictures: tuple[str, ...]
    """Of the n-th picture: the file among `photographs` that it was drawn from."""
    seed: int

    def path(self, file: str) -> Path:
        return self.folder / file

    def of_pictures(self, most: int) -> tuple[Query, ...]:
        """Return the queries of the first pictures."""
        return tuple(query for query in self.queries if query.picture < most)

    def write(self) -> None:
        said = asdict(self) | {"folder": None}
        (self.folder / "index.json").write_text(json.dumps(said, indent=1) + "\n")


def read(folder: Path) -> Drawn:
    """Return what index.json says."""
    said = json.loads((folder / "index.json").read_text())
    return Drawn(
        folder, tuple(Query(**each) for each in said["queries"]), tuple(said["photographs"]),
        tuple(said["pictures"]), said["seed"],
    )  # fmt: skip


def slug(name: str) -> str:
    """Return a row's name as a folder's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def draw(
    photographs: Sequence[Photograph], others: Sequence[Photograph], folder: Path,
    count: int, seed: int, chosen: Sequence[Row],
) -> Drawn:  # fmt: skip
    """Draw `count` pictures in every row; files that are there are left as they are.

    The first pictures of a larger count are those of a smaller one. `others` are what a
    collage or a chat shows besides; none of them is on the list.
    """
    pictures = list(photographs)
    Random(seed).shuffle(pictures)
    pictures = pictures[:count]

    def other(random: Random) -> Image.Image:
        return random.choice(others).image(SIDE)

    queries = []
    for number, photograph in enumerate(pictures):
        whole = photograph.image(10**6)
        originals: dict[tuple[int, int] | None, str] = {None: str(photograph.path.resolve())}
        for row in chosen:
            original = row.original(whole)
            if row.shape not in originals:
                name = f"entries/{number:03}-{'x'.join(map(str, row.shape or ()))}.png"
                (folder / "entries").mkdir(parents=True, exist_ok=True)
                if not (folder / name).exists():
                    original.save(folder / name, compress_level=1)
                originals[row.shape] = name
            small = original.copy()
            small.thumbnail((SIDE, SIDE), reducing_gap=None)
            file = f"queries/{slug(row.name)}/{number:03}.{row.file.lower().replace('jpeg', 'jpg')}"
            if not (folder / file).exists():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                scene = scene_for(row.name, number, seed, other)
                (folder / file).write_bytes(row.saved(small, scene))
            queries.append(Query(row.name, row.family, number, file, originals[row.shape]))
    drawn = Drawn(
        folder,
        tuple(queries),
        tuple(str(photograph.path.resolve()) for photograph in photographs),
        tuple(str(photograph.path.resolve()) for photograph in pictures),
        seed,
    )
    drawn.write()
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("photographs", type=Path, metavar="PHOTOS")
    parser.add_argument("into", type=Path, metavar="INTO")
    parser.add_argument(
        "--others", type=Path, required=True, metavar="FOLDER",
        help="photographs that stand beside the one looked for, in collages and chats",
    )  # fmt: skip
    parser.add_argument("--pictures", type=int, default=96, help="a row (default: 96)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="rows with this in their name")
    told = parser.parse_args()
    chosen = [row for row in rows() if told.only in row.name]
    drawn = draw(
        in_folders([told.photographs]), in_folders([told.others]), told.into,
        told.pictures, told.seed, chosen,
    )  # fmt: skip
    print(f"{len(drawn.queries)} files of {len(chosen)} rows, {len(drawn.photographs)} entries")


if __name__ == "__main__":
    main()
