"""Videos and lists of them, of hashes that are made up; shared by tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

import hashmatch as hm
from hashmatch.records.hashes import HashBatch
from hashmatch.records.video_columns import VIDEO_SPEC, Videos, video_key
from hashmatch.records.videos import FRAME_SPEC, VideoFrames
from hashmatch.testing import random_hashes

if TYPE_CHECKING:
    from collections.abc import Sequence


def video_frames(
    hashes: HashBatch, quality: int | Sequence[int] = 100, rate: int = 30, every: float = 1.0
) -> VideoFrames:
    """A video of such hashes, one every so many seconds."""
    numbers = np.arange(len(hashes)) * int(rate * every)
    qualities = np.broadcast_to(np.array(quality, np.uint8), len(hashes)).copy()
    return VideoFrames(numbers, numbers / rate, qualities, hashes)


def drawn_video(seed: int, count: int) -> VideoFrames:
    """A video of so many frames that have nothing in common."""
    return video_frames(random_hashes(FRAME_SPEC, count, seed=seed))


def signal_of(frames: Sequence[tuple[int, int, str, float]]) -> str:
    """A signal of frames: number, quality, hash and time of each."""
    return json.dumps(
        {str(n): {"quality": q, "hash": text, "timestamp": time} for n, q, text, time in frames}
    )


def video_list(
    videos: Sequence[VideoFrames],
    entries: Sequence[hm.Entry] | None = None,
    name: str = "clips",
    max_distance: int | None = None,
) -> hm.HashList:
    """A list of some videos, called v0, v1 and so on."""
    keys = HashBatch.from_bytes(VIDEO_SPEC, b"".join(map(video_key, videos)))
    if entries is None:
        entries = [hm.Entry(f"v{number}") for number in range(len(videos))]
    return hm.HashList(
        name, "1", VIDEO_SPEC, keys, entries, (), max_distance, videos=Videos.of(videos)
    )
