"""One video decoded in a worker of its own, which ends with it."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashmatch.decode import limits as decode_limits
from hashmatch.decode.video_formats import planes_in
from hashmatch.errors import WorkersError
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError
from hashmatch.sandbox.protocol import MalformedReply
from hashmatch.sandbox.slot import MALFORMED, UNEXPECTED, CostTooMuch, WorkerLost, WorkerSlot
from hashmatch.sandbox.video_protocol import NEXT_FRAME, VideoJob, VideoReply, VideoReplyKind

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    from numpy.typing import NDArray

    from hashmatch.decode.video_formats import Layout
    from hashmatch.decode.video_inputs import OpenVideo
    from hashmatch.sandbox.confinement import WorkerLimits
    from hashmatch.sandbox.fork_client import ForkServer
    from hashmatch.sandbox.slot import _Worker

log = logging.getLogger("hashmatch.sandbox")


@dataclass(frozen=True, eq=False, slots=True)
class VideoStream:
    """What a file says of its video.

    Parameters
    ----------
    media_type : str
        Of the file.
    width, height : int
        Pixels of a frame as it is stored.
    rate : float
        Frames a second: the average, else the base rate.
    duration : float
        Seconds, as the file says; 0 if it does not.
    """

    media_type: str
    width: int
    height: int
    rate: float
    duration: float


@dataclass(frozen=True, eq=False, slots=True)
class VideoFrame:
    """One decoded frame.

    Parameters
    ----------
    number : int
        Which frame of the video it is, from 0.
    layout : Layout
        How its pixels lie in `planes`.
    is_full : bool
        Luma has 0 to 255, not 16 to 235.
    planes : list of ndarray of uint8
        Views of shared memory, there until the next frame is asked for.
    is_same : bool
        It is that before it, byte for byte.
    """

    number: int
    layout: Layout
    is_full: bool
    planes: list[NDArray[np.uint8]]
    is_same: bool


@dataclass(frozen=True, slots=True)
class VideoEnd:
    """How decoding ended, once there are no more frames.

    Parameters
    ----------
    frame_count : int, optional
        Frames that were decoded; None if that is not known, as the decoder did not come to its end.
    damaged : bool
        Part of the video was not decoded.
    reason : str
        Why it ended before the file did; empty if it did not.
    """

    frame_count: int | None
    damaged: bool
    reason: str


class VideoSlot(WorkerSlot):
    """Decodes one video, in a worker that is started for it; close it then.

    Raises WorkersError if there is no shared memory for it.
    """

    def __init__(self, server: ForkServer, limits: WorkerLimits, video: OpenVideo) -> None:
        self._video = video
        super().__init__(server, limits)

    @staticmethod
    def _most_pixels() -> int:
        return decode_limits.VIDEO_PIXELS

    def _open_input(self) -> int:
        return os.dup(self._video.descriptor)

    def decode_video(self, every: float | None) -> Generator[VideoStream | VideoFrame | VideoEnd]:
        """Yield what the file says, then its frames, then how it ended.

        `every` is as in `VideoJob`. Where a worker is lost, another continues behind the last frame
        that there was. If all tries have lost one, or one was lost to the time or memory that the
        video takes, it ends there, damaged.

        Raises ImageError with the outcome of a video of which no frame was decoded: ``failed`` if
        it was so lost.
        """
        self._given, self._last = 0, -1
        reason = ""
        for attempt in range(1, self._limits.tries + 1):
            try:
                yield from self._frames(every)
                return
            except WorkerLost as lost:
                reason = str(lost)
                log.warning(
                    "decode worker lost, try %d of %d: %s", attempt, self._limits.tries, reason
                )
                if isinstance(lost, CostTooMuch):
                    break
            except OSError as error:  # out of memory, or of descriptors
                self.end_worker()
                raise WorkersError(f"cannot decode in a worker: {error.strerror}") from None
        else:
            if self._limits.tries > 1:
                reason = f"{reason}, in each of {self._limits.tries} tries"
        if not self._given:
            raise ImageError(Outcome.FAILED, reason)
        yield VideoEnd(None, True, reason)

    def _frames(self, every: float | None) -> Generator[VideoStream | VideoFrame | VideoEnd]:
        """Yield what one worker makes of the video. Raises WorkerLost if it does not live to."""
        worker = self.start()
        job = VideoJob(self._video.size, every, self._given)
        message = job.packed()
        planes: list[NDArray[np.uint8]] = []
        has_stream = False
        while True:
            self._send(worker, message)
            message = NEXT_FRAME
            reply = self._video_reply(worker)
            if reply.kind is VideoReplyKind.STREAM and not has_stream:
                has_stream = True
                if not job.skip:
                    yield VideoStream(
                        reply.container.media_type,
                        reply.width,
                        reply.height,
                        reply.rate,
                        reply.duration,
                    )
            elif reply.kind in {VideoReplyKind.FRAME, VideoReplyKind.SAME} and has_stream:
                is_same = reply.kind is VideoReplyKind.SAME
                if not is_same:
                    planes = self._planes(reply)
                yield self._frame(reply, planes, is_same)
            elif reply.kind is VideoReplyKind.END and has_stream:
                yield VideoEnd(reply.number, reply.damaged, reply.reason)
                return
            else:
                raise self._ended(reply)

    def _frame(
        self, reply: VideoReply, planes: list[NDArray[np.uint8]], is_same: bool
    ) -> VideoFrame:
        if not planes or reply.number <= self._last or self._given >= decode_limits.VIDEO_FRAMES:
            raise self._lose(UNEXPECTED)
        self._given, self._last = self._given + 1, reply.number
        return VideoFrame(reply.number, reply.layout, reply.is_full, planes, is_same)

    def _planes(self, reply: VideoReply) -> list[NDArray[np.uint8]]:
        try:
            return planes_in(self._pixels, reply.layout, reply.height, reply.width)
        except ValueError:
            raise self._lose(MALFORMED) from None

    def _ended(self, reply: VideoReply) -> Exception:
        """Return why there are no frames, where the worker says so."""
        if reply.kind is VideoReplyKind.ERROR:
            return ImageError(reply.outcome, reply.reason)
        if reply.kind is VideoReplyKind.OUT_OF_MEMORY:
            mebibytes = self._limits.memory // 2**20
            return CostTooMuch(
                str(self._lose(f"decoding took more than {mebibytes} MiB of memory"))
            )
        return self._lose(UNEXPECTED)

    def _video_reply(self, worker: _Worker) -> VideoReply:
        deadline = time.monotonic() + self._limits.wall_seconds
        try:
            return VideoReply.unpacked(self._receive(worker, deadline))
        except MalformedReply:
            raise self._lose(MALFORMED) from None

    def _processor_time(self) -> str:
        return (
            f"{decode_limits.VIDEO_CPU_SECONDS:g} s of processor time and "
            f"{decode_limits.VIDEO_CPU_PER_SECOND:g} s a second of video"
        )
