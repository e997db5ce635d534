"""What key frames alone find: drawn clips listed by vPDQ, asked for after another encoding.

``python benchmarks/video_keyframes.py``. A clip is found if one frame of quality 50 is within 31
bits of one of its list entry's.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import hashmatch as hm

if TYPE_CHECKING:
    from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from video_clips import Clip, make

CLIPS, LIMIT, QUALITY = 10, 31, 50
LISTED = Clip(
    "listed.mp4", rate=Fraction(12), frames=96, width=256, height=144,
    options={"preset": "veryfast"}, speed=2.0,
)  # fmt: skip
ASKED = {
    "key frames at most 2 s apart": replace(LISTED, options={"preset": "veryfast", "g": "24"}),
    "250 frames, the default": replace(LISTED, options={"preset": "veryfast", "crf": "35"}),
    "VP9, 128 frames": replace(
        LISTED, name="asked.webm", codec="libvpx-vp9", options={"deadline": "realtime", "b": "150k"}
    ),
    "smaller by half": replace(LISTED, width=128, height=72),
}


def words(video: hm.HashedVideo) -> NDArray[np.uint64]:
    """Return the hashes of good frames."""
    assert video.frames is not None
    return video.frames.hashes.words[video.frames.quality >= QUALITY]


def nearest(some: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[Any]:
    """Return the distance of each of `some` to the nearest of `others`."""
    return np.asarray(np.bitwise_count(some[:, None] ^ others[None]).sum(2).min(1))


def main() -> None:
    """Print a line for each encoding and each way to ask."""
    with tempfile.TemporaryDirectory() as place, hm.DecodePool(1) as pool:
        folder = Path(place)
        known = [
            words(hm.hash_video(make(replace(LISTED, seed=seed), folder), decode=pool))
            for seed in range(CLIPS)
        ]
        for name, clip in ASKED.items():
            found: Counter[str] = Counter()
            frames: Counter[str] = Counter()
            alike: Counter[str] = Counter()
            others: Counter[str] = Counter()
            for seed in range(CLIPS):
                path = make(replace(clip, seed=seed), folder)
                asked = {
                    "vpdq": hm.hash_video(path, decode=pool),
                    "vpdq-keyframes": hm.hash_video(path, "vpdq-keyframes", decode=pool),
                }
                for way, video in asked.items():
                    query = words(video)
                    near = nearest(query, known[seed]) <= LIMIT
                    found[way] += bool(near.any())
                    frames[way] += len(query)
                    alike[way] += int(near.sum())
                    strangers = np.concatenate(known[:seed] + known[seed + 1 :])
                    others[way] += int((nearest(query, strangers) <= LIMIT).sum())
            for way, count in found.items():
                print(
                    f"{name}, {way}: {count} of {CLIPS} clips found; {alike[way]} of "
                    f"{frames[way]} frames match, {others[way]} those of other clips"
                )


if __name__ == "__main__":
    main()
