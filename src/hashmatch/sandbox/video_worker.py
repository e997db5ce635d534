"""What runs in a worker for one video: decode it, put frame after frame into shared memory, end.

Named as a pool's decoder, it brings its own `serve` and `warm_up`. PyAV is imported by its fork
server and nowhere else.
"""

from __future__ import annotations

import io
import os
import signal
import time
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from hashmatch.decode import limits as decode_limits
from hashmatch.decode.video import DECODERS, VideoDecoder, is_same
from hashmatch.decode.video_formats import planes_in
from hashmatch.records.images import ImageError
from hashmatch.sandbox.confinement import confine
from hashmatch.sandbox.protocol import MAX_MESSAGE_BYTES, Reply, ReplyKind
from hashmatch.sandbox.video_protocol import NEXT_FRAME, VideoJob, VideoReply, VideoReplyKind

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from mmap import mmap

    from numpy.typing import NDArray

    from hashmatch.decode.video import DecodedFrame
    from hashmatch.decode.video_formats import Layout
    from hashmatch.sandbox.confinement import WorkerLimits
    from hashmatch.sandbox.layers import Layers

    Decode = Callable[[int, VideoJob], Iterator[tuple[VideoReply, DecodedFrame | None]]]

SAME = VideoReplyKind.SAME
HEAD_ALONE = bytes(4) + b"ftypisom" + bytes(52)
"""The beginning of a file that is broken behind it."""


def warm_up() -> None:
    """Have PyAV load all that it will need, by a clip of one frame: a worker can open no file."""
    clip = io.BytesIO()
    with av.open(clip, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        file.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        file.mux(stream.encode(None))
    data = clip.getvalue()
    decoder = VideoDecoder(lambda at, count: data[at : at + count], len(data), lambda _: None)
    for frame in decoder.frames(0.0):
        is_same(frame, frame.planes)
    for name in DECODERS:
        with suppress(Exception):  # this FFmpeg may lack one
            av.CodecContext.create(name, "r").open()  # makes the tables that it decodes with
    other = av.VideoFrame(64, 64, "yuv444p")
    VideoReformatter().reformat(other, format="rgb24", threads=1)
    with suppress(ImageError):
        VideoDecoder(lambda at, count: HEAD_ALONE[at : at + count], len(HEAD_ALONE), lambda _: None)


def serve(
    channel: socket.socket,
    item: int,
    shared: mmap,
    limits: WorkerLimits,
    layers: Layers,
    *,
    decode: Decode,
) -> None:
    """Confine this process, decode the one video that is asked for, and end.

    `item` is the descriptor of the video's file; frames go to `shared`. `layers` hold already.
    """
    pixels = np.frombuffer(shared, np.uint8)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # whose default is to end the process at once
    layers |= confine(limits.address_space, limits.memory)
    channel.send(Reply(ReplyKind.READY, frame=layers.value).packed())
    message = channel.recv(MAX_MESSAGE_BYTES)
    if not message:
        return
    spend(0.0)
    shown = SharedFrame(pixels)
    is_first = True
    try:
        for said, frame in decode(item, VideoJob.unpacked(message)):
            # Only now: what was decoded meanwhile has cost whoever looks at the last one no time.
            if not is_first and channel.recv(MAX_MESSAGE_BYTES) != NEXT_FRAME:
                return
            is_first = False
            reply = said if frame is None or not shown.show(frame) else replace(said, kind=SAME)
            channel.send(reply.packed())
    except ImageError as error:
        reply = VideoReply(VideoReplyKind.ERROR, error.outcome, reason=error.reason)
    except MemoryError:
        reply = VideoReply(VideoReplyKind.OUT_OF_MEMORY)
    except Exception as error:  # a decoder may raise anything on a broken file
        reply = VideoReply(VideoReplyKind.ERROR, reason=type(error).__name__)
    else:
        channel.recv(MAX_MESSAGE_BYTES)
        return
    if is_first or channel.recv(MAX_MESSAGE_BYTES) == NEXT_FRAME:
        channel.send(reply.packed())
        channel.recv(MAX_MESSAGE_BYTES)


class SharedFrame:
    """The memory that one frame after the other is put into."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._pixels = pixels
        self._form: tuple[Layout, bool, int, int] | None = None
        self._planes: list[NDArray[np.uint8]] = []

    def show(self, frame: DecodedFrame) -> bool:
        """Put a frame into memory; return whether it is there already, byte for byte."""
        form = frame.layout, frame.is_full, frame.height, frame.width
        if form == self._form and is_same(frame, self._planes):
            return True
        if form != self._form:
            self._planes = planes_in(self._pixels, frame.layout, frame.height, frame.width)
            self._form = form
        for plane, there in zip(frame.planes, self._planes, strict=True):
            there[:] = plane
        return False


def spend(seconds: float) -> None:
    """Allow this process the processor time of so many seconds of video, from its beginning."""
    allowed = decode_limits.VIDEO_CPU_SECONDS + decode_limits.VIDEO_CPU_PER_SECOND * seconds
    signal.setitimer(signal.ITIMER_PROF, max(1e-3, allowed - time.process_time()))


def decode_video(item: int, job: VideoJob) -> Iterator[tuple[VideoReply, DecodedFrame | None]]:
    """Yield what there is to say of the video in the file `item`, with its frames."""
    decoder = VideoDecoder(lambda at, count: os.pread(item, count, at), job.size, spend)
    info = decoder.info
    stream = VideoReply(
        VideoReplyKind.STREAM,
        container=info.container,
        height=info.height,
        width=info.width,
        rate=info.rate,
        duration=info.duration,
    )
    yield stream, None
    for frame in islice(decoder.frames(job.every), job.skip, None):
        said = VideoReply(
            VideoReplyKind.FRAME,
            layout=frame.layout,
            is_full=frame.is_full,
            damaged=decoder.damaged,
            height=frame.height,
            width=frame.width,
            number=frame.number,
        )
        yield said, frame
    end = VideoReply(
        VideoReplyKind.END,
        damaged=decoder.damaged,
        number=decoder.frame_count,
        reason=decoder.stopped,
    )
    yield end, None
