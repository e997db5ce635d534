"""The hashed frames of a video hold together, cannot be changed, and are not shown."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hashmatch.errors import HashesAreOpaque, UsageError
from hashmatch.records.enums import Outcome
from hashmatch.records.hashes import HashBatch, HashSpec
from hashmatch.records.videos import FRAME_SPEC, HashedVideo, VideoFrames

if TYPE_CHECKING:
    from numpy.typing import NDArray


def some_frames(count: int = 3) -> VideoFrames:
    return VideoFrames(
        np.arange(count) * 25,
        np.arange(count, dtype=np.float64),
        np.full(count, 90, np.uint8),
        HashBatch(FRAME_SPEC, np.full((count, 4), 0x1234567890ABCDEF, np.uint64)),
    )


def test_columns_are_copies_and_read_only() -> None:
    numbers = np.arange(3)
    frames = VideoFrames(numbers, np.zeros(3), np.zeros(3, np.uint8), some_frames().hashes)
    numbers[0] = 9
    assert frames.frames.tolist() == [0, 1, 2]
    for column in (frames.frames, frames.times, frames.quality):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1
    with pytest.raises(AttributeError):
        frames.times = np.zeros(3)


@pytest.mark.parametrize(
    ("frames", "times", "quality"),
    [
        (np.arange(2), np.zeros(3), np.zeros(3, np.uint8)),
        (np.arange(3), np.zeros(2), np.zeros(3, np.uint8)),
        (np.arange(3), np.zeros(3), np.zeros((3, 1), np.uint8)),
        (np.arange(3), np.zeros(3), np.zeros(3, np.int64)),
        (np.arange(3.0), np.zeros(3), np.zeros(3, np.uint8)),
        (np.array([0, 2, 2]), np.zeros(3), np.zeros(3, np.uint8)),
        (np.array([-1, 0, 1]), np.zeros(3), np.zeros(3, np.uint8)),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    frames: NDArray[Any], times: NDArray[Any], quality: NDArray[Any]
) -> None:
    with pytest.raises(UsageError, match="cannot use"):
        VideoFrames(frames, times, quality, some_frames().hashes)


def test_frames_have_pdq_hashes() -> None:
    others = HashBatch(HashSpec("phash", 64), np.zeros((3, 1), np.uint64))
    with pytest.raises(UsageError, match="Give those of pdq"):
        VideoFrames(np.arange(3), np.zeros(3), np.zeros(3, np.uint8), others)


def test_frames_are_never_shown_or_pickled() -> None:
    frames = some_frames()
    video = HashedVideo("clip.mp4", Outcome.HASHED, frames=frames)
    assert repr(frames) == "<VideoFrames n=3>"
    assert "12345678" not in repr(video)
    assert copy.deepcopy(frames) is frames
    for value in (frames, video):
        with pytest.raises(HashesAreOpaque):
            pickle.dumps(value)
