"""Decoders of videos for tests, run in a worker: they do what workers should not."""

from __future__ import annotations

import ctypes
import os
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import hashmatch as hm
from hashmatch.decode import limits
from hashmatch.sandbox.video_protocol import VideoReplyKind
from hashmatch.sandbox.video_worker import decode_video, serve, warm_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.decode.video import DecodedFrame
    from hashmatch.sandbox.video_protocol import VideoJob, VideoReply

    Said = Iterator[tuple[VideoReply, DecodedFrame | None]]

__all__ = ["serve", "warm_up"]

BREAKS_AT = 5
"""The frame before which a worker does something else, unless its name says otherwise."""


def pool_with(name: str, limits: hm.WorkerLimits | None = None) -> hm.DecodePool:
    """Return a pool whose workers decode videos with one of the functions below."""
    made = type("VideoHooks", (hm.DecodePool,), {"_video_decoder": f"video_hooks:{name}"})
    pool = made(1, limits)
    assert isinstance(pool, hm.DecodePool)
    return pool


def _then(item: int, job: VideoJob) -> Said:
    """Yield what there is before one frame; a worker that was lost there goes on behind it."""
    for said, frame in decode_video(item, job):
        if frame is not None and said.number >= BREAKS_AT:
            return
        yield said, frame


def crash(item: int, job: VideoJob) -> Said:
    """Crash each time."""
    yield from _then(item, job)
    ctypes.string_at(0)


def crash_once(item: int, job: VideoJob) -> Said:
    """Crash in the first try alone."""
    if job.skip:
        yield from decode_video(item, job)
    yield from crash(item, job)


def spin(item: int, job: VideoJob) -> Said:
    """Take processor time for ever, of which there is little."""
    limits.VIDEO_CPU_SECONDS, limits.VIDEO_CPU_PER_SECOND = 0.5, 0.0
    yield from _then(item, job)
    for _ in count():
        pass


def bloat(item: int, job: VideoJob) -> Said:
    """Fill memory."""
    yield from _then(item, job)
    kept = []
    while True:
        kept.append(bytearray(2**26))


def leave(item: int, job: VideoJob) -> Said:
    """End at once."""
    yield from () if item else decode_video(item, job)
    os._exit(3)


def backwards(item: int, job: VideoJob) -> Said:
    """Give frame 0 for ever."""
    for said, frame in decode_video(item, job):
        yield replace(said, number=0), frame


def giant(item: int, job: VideoJob) -> Said:
    """Say that a frame is larger than the memory it is in."""
    for said, frame in decode_video(item, job):
        if said.kind is VideoReplyKind.FRAME:
            yield replace(said, width=2**31, height=2**31), None
        yield said, frame


def headless(item: int, job: VideoJob) -> Said:
    """Say nothing of the stream."""
    said = decode_video(item, job)
    next(said)
    yield from said


def without_frame(item: int, job: VideoJob) -> Said:
    """Say that the first frame is that before it."""
    for said, frame in decode_video(item, job):
        yield (replace(said, kind=VideoReplyKind.SAME) if frame else said), None
