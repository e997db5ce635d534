"""The matched frames of a video, as pictures: a strip of them, covered, and any one by itself.

There is no player and no sound: what is decoded is still frames, at times that the record names.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
from msgspec import UNSET

from hashmatch.decode.video_formats import Layout
from hashmatch.sandbox.video_slot import VideoFrame, VideoStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hashmatch.records.review import ReviewRecord
    from hashmatch.sandbox.pool import DecodePool

MOST = 12
"""Frames of a strip."""
SLACK = 0.001
"""Seconds that times in a record are rounded by."""


def is_video(record: ReviewRecord) -> bool:
    """Return whether a record is of a video."""
    return (record.item.media_type or "").startswith("video/")


def moments(record: ReviewRecord) -> tuple[float, ...]:
    """Return the times, in seconds, of the frames that a strip shows; none of a picture.

    They are spread over the segments of the closest match that has any, at most `MOST` of them.

    Examples
    --------
    >>> from hashmatch.testing import example_record
    >>> moments(example_record())
    ()
    """
    if not is_video(record):
        return ()
    found = next((match.video for match in record.matches if match.video is not UNSET), None)
    if found is None or not found.segments:
        return (0.0,)
    longest = sorted(found.segments, key=lambda each: -each.frames)[:MOST]
    share = max(1, MOST // len(longest))
    times = {
        round(float(time), 3)
        for each in longest
        for time in np.linspace(*each.query, min(share, each.frames))
    }
    return tuple(sorted(times))


def frames_at(
    pool: DecodePool, content: bytes, times: Sequence[float], every: float
) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames that a video shows at some times, ascending, as RGB (height, width, 3).

    Of frames that are `every` so many seconds apart, each is the first that is not before its time.
    Fewer are yielded if the video ends before.
    """
    rate, wanted = 1.0, list(times)
    with closing(pool.decode_video(content, every)) as decoded:
        for each in decoded:
            if isinstance(each, VideoStream):
                rate = each.rate
            elif isinstance(each, VideoFrame):
                while wanted and each.number / rate >= wanted[0] - SLACK:
                    wanted.pop(0)
                    yield to_rgb(each)
                if not wanted:
                    return


def to_rgb(frame: VideoFrame) -> NDArray[np.uint8]:
    """Return a decoded frame as RGB (height, width, 3), to be looked at: BT.601, nearest chroma."""
    if frame.layout is Layout.RGB:
        return frame.planes[0].copy()
    luma, *colours = (plane.astype(np.float32) for plane in frame.planes)
    height, width = luma.shape
    rows = np.minimum(np.arange(height) * colours[0].shape[0] // height, len(colours[0]) - 1)
    columns = np.minimum(np.arange(width) // 2, colours[0].shape[1] - 1)
    u, v = (plane[rows][:, columns] - 128 for plane in colours)
    if not frame.is_full:
        luma = (luma - 16) * (255 / 219)
        u, v = u * (255 / 224), v * (255 / 224)
    rgb = np.stack([luma + 1.402 * v, luma - 0.344136 * u - 0.714136 * v, luma + 1.772 * u], 2)
    shown: NDArray[np.uint8] = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    return shown


def strip(frames: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return frames of one size side by side."""
    return np.concatenate(list(frames), axis=1)
