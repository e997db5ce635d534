"""Whether the intervals of a calibration hold: half of the pictures, predicted by the others.

    python -m benchmarks.calibration_coverage FOLDER...

Pictures are tiles of the photographs of some folders, no two with a point in common. In each of 200
runs, the photographs are shared out at random: the tiles of some are a list, of which entries are
drawn; the others are harmless, and halved. One half calibrates the list, and the number of records
in the other is compared with the 95 % interval that is predicted, at limits from 20 to 96
bits. In every second run some entries of the list are flat pictures drawn alike, which match
many harmless pictures of their kind, a tenth of all.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from hashmatch.calibration.calibrate import calibrate
from hashmatch.decode.policy import decode_image
from hashmatch.hashers.pdq import Pdq
from hashmatch.matching.matcher import Matcher
from hashmatch.records.entries import Entry
from hashmatch.records.enums import Outcome, Surface
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch
from hashmatch.records.images import HashedImage, ImageItem

RUNS = 200
SIDE = 96
"""Pixels of a tile."""
MOST_TILES = 24
"""Of one photograph."""
LIMITS = tuple(range(20, 98, 4))
LIST, BENIGN = 1500, 4000
"""Entries, and harmless pictures: both halves."""
SCREENS = 600


def tiles_of(folders: list[str], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the hashes of tiles, and of which photograph each is; flat ones are left out."""
    hasher, chance = Pdq(), np.random.default_rng(seed)
    words: list[np.ndarray] = []
    of: list[int] = []
    paths = sorted(path for folder in folders for path in Path(folder).rglob("*") if path.is_file())
    for number, path in enumerate(paths):
        pixels = decode_image(str(path)).pixels
        rows, columns = pixels.shape[0] // SIDE, pixels.shape[1] // SIDE
        places = [(row, column) for row in range(rows) for column in range(columns)]
        chance.shuffle(places)
        for row, column in places[:MOST_TILES]:
            tile = pixels[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
            hashes, quality = hasher.hash(np.ascontiguousarray(tile))
            if quality is not None and quality >= 50:
                words.append(hashes.words[0])
                of.append(number)
    return np.stack(words), np.array(of)


def screens(count: int, seed: int = 0) -> np.ndarray:
    """Return the hashes of drawn profile pages: one app's bar and disc, other texts."""
    hasher, chance = Pdq(), np.random.default_rng(seed)
    words: list[np.ndarray] = []
    while len(words) < count:
        image = Image.new("RGB", (270, 540), "white")
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, 0, 270, 180), "#075e54")
        draw.ellipse((85, 100, 185, 200), "#d0d0d0")
        for y in range(230, 520, int(chance.integers(28, 40))):
            draw.rectangle((20, y, int(chance.integers(60, 250)), y + 14), "#333333")
        hashes, quality = hasher.hash(np.asarray(image))
        if quality is not None and quality >= 50:
            words.append(hashes.words[0])
    return np.stack(words)


def picture(number: int, words: np.ndarray) -> tuple[ImageItem, list[HashedImage]]:
    """Return what a scan would know of a picture with such a hash."""
    name, batch = str(number), HashBatch(Pdq().spec, words)
    hashed = HashedImage(
        name, batch.spec, Outcome.HASHED, batch, quality=100, variants=("upright",)
    )
    return ImageItem(name, "1", Surface.PUBLIC_POST), [hashed]


def one_run(
    words: np.ndarray, of: np.ndarray, drawn: np.ndarray, run: int
) -> list[tuple[int, int, int, bool]]:
    """Return of each limit what was counted in either half, and whether the interval held it."""
    chance = np.random.default_rng(run)
    photographs = chance.permutation(int(of.max()) + 1)
    is_listed = np.isin(of, photographs[: len(photographs) // 3])
    entries = chance.choice(np.flatnonzero(is_listed), min(LIST, int(is_listed.sum())), False)
    benign = chance.permutation(np.flatnonzero(~is_listed))[:BENIGN]
    listed, harmless = words[entries], words[benign]
    if run % 2:
        order = chance.permutation(len(drawn))
        listed = np.concatenate([listed, drawn[order[:5]]])
        harmless = np.concatenate([harmless, drawn[order[5 : 5 + len(harmless) // 10]]])
        harmless = harmless[chance.permutation(len(harmless))]
    spec = Pdq().spec
    names = tuple(Entry(f"e{number}") for number in range(len(listed)))
    known = HashList("tiles", str(run), spec, HashBatch(spec, listed), names)
    half = len(harmless) // 2
    counted = []
    for part in (harmless[:half], harmless[half:]):
        pictures = [picture(number, part[number : number + 1]) for number in range(len(part))]
        found = calibrate(pictures, Matcher(known, max_distance=31))
        counted.append(found.lists[0].calibration)
    first, second = counted
    rows = []
    for limit in LIMITS:
        expected = first.expected(limit, second.pictures)
        truth = second.counted(limit).records
        if expected is None:
            raise SystemExit(f"cannot predict at {limit} bits")
        rows.append((limit, first.counted(limit).records, truth,
                     expected.low <= truth <= expected.high))  # fmt: skip
    return rows


def main() -> None:
    """Print how often the interval held, by limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--runs", type=int, default=RUNS)
    given = parser.parse_args()
    words, of = tiles_of(given.folders)
    drawn = screens(SCREENS)
    print(f"{len(words):,} tiles of {len(np.unique(of)):,} photographs", file=sys.stderr)
    rows = []
    for run in range(given.runs):
        rows += [(run % 2, *row) for row in one_run(words, of, drawn, run)]
    table = np.array(rows, np.int64)
    print("limit  tiles: records (median), held   with screens: records (median), held")
    for limit in LIMITS:
        own = table[table[:, 1] == limit]
        plain, mixed = (own[own[:, 0] == kind] for kind in (0, 1))
        print(
            f"{limit:5}  {np.median(plain[:, 2]):23.0f}  {plain[:, 4].mean():6.1%}"
            f"   {np.median(mixed[:, 2]):28.0f}  {mixed[:, 4].mean():6.1%}"
        )
    print(f"all: {table[:, 4].mean():.1%} of {len(table):,}")
    seen = table[table[:, 2] > 0]
    print(f"where the first half had any: {seen[:, 4].mean():.1%} of {len(seen):,}")


if __name__ == "__main__":
    main()
