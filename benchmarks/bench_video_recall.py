"""Print which changed clips are found again: `python benchmarks/bench_video_recall.py`.

Clips of drawn shots, and of photographs that are panned over, are changed as platforms and people
do, and looked for among the originals, at several distances between hashed frames on both sides.
Beside it stand the matches between different clips.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if __package__ in {None, ""}:  # run as a file, not with -m: the folders are not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
from PIL import Image

import hashmatch as hm
from benchmarks.photographs import shipped
from drawn_shots import encoded, panned, scene
from hashmatch.matching.videos import IndexedVideos, VideoThresholds
from hashmatch.records.entries import Limit
from video_lists import video_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from hashmatch.records.videos import VideoFrames

    Frames = list[NDArray[np.uint8]]

SIZE, RATE = (320, 240), 10
SHOT = 3.0
"""Seconds of a shot. Drawn ones move by all of their width in it, those of photographs by 15 %."""
SLOW = 1.15
SAMPLINGS = ((1.0, 1.0), (0.25, 1.0), (1.0, 0.0), (0.25, 0.0))
"""Seconds between hashed frames: of the query, of the entry."""
ANY = VideoThresholds(1e-9, 1e-9, 1e-9)
SHARES = (0.2, 0.5, 0.8)
SECONDS = (5.0, 10.0)
DEFAULT = VideoThresholds()


class Change(NamedTuple):
    """How a clip is changed: its frames, and how they are encoded."""

    name: str
    frames: Callable[[Frames, Frames], Frames]
    crf: int = 23
    rate: float = RATE


def drawn(number: int, seconds: float) -> Frames:
    """A clip of drawn shots."""
    frames: Frames = []
    for shot in range(int(seconds / SHOT)):
        frames += panned(scene(1000 * number + shot, SIZE), SHOT, SIZE, RATE)
    return frames


def of_photographs(pictures: Sequence[NDArray[np.uint8]], seconds: float) -> Frames:
    """A clip of photographs that are panned over."""
    frames: Frames = []
    for picture in pictures[: int(seconds / SHOT)]:
        image = Image.fromarray(picture)
        wide = max(SIZE[0] * SLOW / image.width, SIZE[1] * SLOW / image.height)
        image = image.resize((round(image.width * wide), round(image.height * wide)))
        frames += panned(np.asarray(image), SHOT, SIZE, RATE)
    return frames


def letterboxed(frames: Frames) -> Frames:
    """Bars of an eighth of the height above and below."""
    bar = np.zeros((SIZE[1] // 8, SIZE[0], 3), np.uint8)
    return [np.concatenate([bar, frame, bar]) for frame in frames]


def captioned(frames: Frames) -> Frames:
    """A white box with dark strokes over an eighth of the height."""
    found = []
    for frame in frames:
        changed = frame.copy()
        place = changed[SIZE[1] * 13 // 16 : SIZE[1] * 15 // 16, SIZE[0] // 8 : SIZE[0] * 7 // 8]
        place[:] = 255
        place[4:-4:2, 4:-4:6] = 20
        found.append(changed)
    return found


def resized(frames: Frames) -> Frames:
    half = SIZE[0] // 2, SIZE[1] // 2
    return [np.asarray(Image.fromarray(frame).resize(half)) for frame in frames]


def excerpt(frames: Frames) -> Frames:
    """A tenth, from between two seconds on."""
    first = int(len(frames) * 0.43) // RATE * RATE + RATE // 2
    return frames[first : first + len(frames) // 10]


CHANGES = (
    Change("as it is", lambda own, others: own),
    Change("re-encoded, crf 28", lambda own, others: own, 28),
    Change("re-encoded, crf 36", lambda own, others: own, 36),
    Change("re-encoded, crf 46", lambda own, others: own, 46),
    Change("resized to half", lambda own, others: resized(own)),
    Change("frame rate halved", lambda own, others: own[::2], rate=RATE / 2),
    Change("letterboxed", lambda own, others: letterboxed(own)),
    Change("mirrored", lambda own, others: [frame[:, ::-1] for frame in own]),
    Change("captioned", lambda own, others: captioned(own)),
    Change("excerpt of 10 %", lambda own, others: excerpt(own)),
    Change(
        "in a clip ten times as long",
        lambda own, others: [*others[: 4 * len(own) + 3], *own, *others[4 * len(own) + 3 :]],
    ),
    Change(
        "excerpt of 40 % in another clip",
        lambda own, others: [*others[: len(own)], *own[7 : 7 + len(own) * 2 // 5]],
    ),
    Change("speed 1.25", lambda own, others: [f for n, f in enumerate(own) if n % 5]),
)


class Seen(NamedTuple):
    """How much of a clip and of an entry matched."""

    query: float
    entry: float
    seconds: float
    is_found: bool


def hashed(clip: bytes, pool: hm.DecodePool, every: float) -> VideoFrames:
    found = hm.hash_video(clip, every=every, decode=pool).frames
    assert found is not None
    return found


def made(frames: Frames, crf: int = 23, rate: float = RATE) -> bytes:
    return encoded(frames, rate=rate, options={"preset": "ultrafast", "crf": str(crf)})


def seen(index: IndexedVideos, video: VideoFrames) -> dict[str, Seen]:
    """Return what is found of each entry, by its id, however little that is."""
    found = {}
    for hit in index.find(video):
        match = hit.match.video
        assert isinstance(match, hm.VideoMatch)
        seconds = max(part.query[1] - part.query[0] for part in match.segments)
        counted = float(match.query_counted or 0), float(match.entry_counted or 0)
        is_found = counted[0] >= DEFAULT.query_share or counted[1] >= DEFAULT.entry_share
        is_found = is_found or float(match.query_covered or 0) >= DEFAULT.query_share
        is_found = is_found or seconds >= DEFAULT.segment_seconds
        found[hit.match.entry] = Seen(*counted, seconds, is_found)
    return found


def clips(count: int, seconds: float) -> Iterator[tuple[str, Frames]]:
    """Yield clips and their names: drawn ones, and of photographs."""
    photographs = [picture.pixels() for picture in shipped()]
    each = int(seconds / SHOT)
    for number in range(count):
        yield f"drawn {number}", drawn(number, seconds)
    for number in range(min(count, len(photographs) // each)):
        pictures = photographs[number * each : (number + 1) * each]
        yield f"photographs {number}", of_photographs(pictures, seconds)


class Table(NamedTuple):
    """What was found with one sampling: of each change and kind of clip; and of other clips."""

    of_change: dict[tuple[str, str], list[Seen]]
    others: list[Seen]
    asked: list[int]


def measured(
    originals: Sequence[tuple[str, Frames]], seconds: float, pool: hm.DecodePool
) -> dict[tuple[float, float], Table]:
    """Return what was found with each sampling."""
    entries = [hm.Entry(name) for name, _ in originals]
    files = [made(frames) for _, frames in originals]
    indexes = {
        every: IndexedVideos(
            0,
            video_list([hashed(file, pool, every) for file in files], entries),
            Limit(31, "algorithm"),
            bytes(16),
            None,
            ANY,
        )
        for every in {entry for _, entry in SAMPLINGS}
    }
    padding = [frame for number in range(50, 59) for frame in drawn(number, seconds)]
    tables = {sampling: Table({}, [], []) for sampling in SAMPLINGS}
    for name, frames in originals:
        for change in CHANGES:
            clip = made(change.frames(frames, padding), change.crf, change.rate)
            videos = {every: hashed(clip, pool, every) for every in {q for q, _ in SAMPLINGS}}
            for (query, entry), table in tables.items():
                found = seen(indexes[entry], videos[query])
                key = change.name, name.partition(" ")[0]
                mine = found.pop(name, Seen(0, 0, 0, False))
                table.of_change.setdefault(key, []).append(mine)
                table.others.extend(found.values())
                table.asked.append(len(originals) - 1)
    return tables


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=3, help="of each kind")
    parser.add_argument("--seconds", type=float, default=18.0, help="of each clip")
    given = parser.parse_args(arguments)
    originals = list(clips(given.clips, given.seconds))
    with hm.DecodePool(1) as pool:
        tables = measured(originals, given.seconds, pool)
    kinds = sorted({name.partition(" ")[0] for name, _ in originals})
    counts = [sum(name.startswith(kind) for name, _ in originals) for kind in kinds]
    what = ", ".join(f"{count} {kind}" for count, kind in zip(counts, kinds, strict=True))
    print(f"Clips of {given.seconds:g} s: {what}. Of each kind, how many are found:\n")
    for sampling, table in tables.items():
        _print(sampling, table, kinds)
    return 0


def _print(sampling: tuple[float, float], table: Table, kinds: Sequence[str]) -> None:
    query, entry = sampling
    print(f"A frame every {query:g} s of the query and {entry:g} s of the entry\n")
    titles = ["change", "found"]
    titles += [f"{side} {share:.0%}" for side in ("query", "entry") for share in SHARES]
    titles += [f"{least:g} s" for least in SECONDS]
    print("| " + " | ".join(titles) + " |\n|---|" + "---:|" * (len(titles) - 1))
    for change in CHANGES:
        rows = [table.of_change[change.name, kind] for kind in kinds]
        tests: list[Callable[[Seen], bool]] = [lambda row: row.is_found]
        tests += [lambda row, s=share: row.query >= s - 1e-9 for share in SHARES]  # type: ignore[misc]
        tests += [lambda row, s=share: row.entry >= s - 1e-9 for share in SHARES]  # type: ignore[misc]
        tests += [lambda row, s=least: row.seconds >= s for least in SECONDS]  # type: ignore[misc]
        cells = ["+".join(str(sum(map(test, some))) for some in rows) for test in tests]
        print(f"| {change.name} | " + " | ".join(cells) + " |")
    most = [max((getattr(row, each) for row in table.others), default=0) for each in Seen._fields]
    print(
        f"\nBetween different clips, {sum(table.asked)} pairs: {len(table.others)} share any "
        f"frame, {sum(row.is_found for row in table.others)} are found; at most {most[0]:.0%} of "
        f"the query, {most[1]:.0%} of the entry, {most[2]:.1f} s\n"
    )


if __name__ == "__main__":
    sys.exit(main())
