"""The decode policy ``video/1``: which frames a video has, and their pixels as vPDQ sees them.

It runs in workers of the sandbox and nowhere else: FFmpeg (by PyAV, the extra ``video``) is a
million lines of C that strangers' files are fed to. Of it only the demuxers of
`hashmatch.decode.video_formats` and the decoders of `DECODERS` are let in, nothing opens a second
file, and one thread decodes. `docs/video-hashing.md` says what is done with each property of a
video, and why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from hashmatch.decode import limits
from hashmatch.decode.video_formats import (
    HEAD,
    Container,
    Layout,
    identify_video,
    is_cut_off,
    plane_shapes,
)
from hashmatch.decode.video_skipping import FrameNumbers, can_skip
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

DECODERS = (
    "h264", "hevc", "libdav1d", "av1", "vp8", "vp9", "vp6", "vp6f", "vp6a", "mpeg4", "mpeg1video",
    "mpeg2video", "h263", "flv", "mjpeg", "theora", "wmv1", "wmv2", "wmv3", "vc1", "msmpeg4v1",
    "msmpeg4v2", "msmpeg4", "svq1", "svq3", "dvvideo", "prores", "dnxhd", "gif",
)  # fmt: skip
"""Names of FFmpeg's decoders that are let in."""
READ_BYTES = 2**18
"""Bytes of the file that are read at once."""
PROBED_BYTES = 5_000_000
"""Bytes that are read to find out what is in a file: FFmpeg's own default."""
COMPARED_ROWS = 4
"""Rows of a frame by which nearly every one is distinguished from that before it."""


LAYOUTS = {
    "yuv420p": (Layout.HALVED, False),
    "yuvj420p": (Layout.HALVED, True),
    "yuv422p": (Layout.NARROWED, False),
    "yuvj422p": (Layout.NARROWED, True),
}
"""FFmpeg's names of layouts that are hashed from their planes, and whether they are of full range.
All others are converted to RGB, as libswscale does for vPDQ."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a file says of its video.

    Parameters
    ----------
    container : Container
        What the file is.
    width, height : int
        Pixels of a frame as it is stored.
    rate : float
        Frames a second: the average, else the base rate.
    duration : float
        Seconds, as the file says; 0 if it does not.
    """

    container: Container
    width: int
    height: int
    rate: float
    duration: float


@dataclass(frozen=True, eq=False, slots=True)
class DecodedFrame:
    """One frame: its number, and arrays of the `plane_shapes` of its layout."""

    number: int
    layout: Layout
    is_full: bool
    height: int
    width: int
    planes: list[NDArray[np.uint8]]


class VideoDecoder:
    """Decodes the first video stream of a file.

    Parameters
    ----------
    read : callable
        Returns so many bytes of the file from an offset on.
    size : int
        Bytes of the file.
    spend : callable
        Called with the seconds of video that were passed by now, so that processor time can be held
        against them.

    Raises
    ------
    ImageError
        ``unsupported``, ``undecodable`` or ``refused``, with the reason.
    """

    def __init__(
        self, read: Callable[[int, int], bytes], size: int, spend: Callable[[float], None]
    ) -> None:
        container = identify_video(read(0, HEAD)) if size else None
        if container is None:
            raise ImageError(
                Outcome.UNSUPPORTED if size else Outcome.UNDECODABLE,
                "not a video in a container that is read" if size else "the file is empty",
            )
        self.damaged = is_cut_off(container, read, size)
        """Whether some of the file could not be decoded, as far as is known by now."""
        self.stopped = ""
        """Why decoding has ended before the file did; empty if it has not."""
        self.frame_count = 0
        """Frames that there were by now, those that were left out or are broken included."""
        self._broken = 0
        self._spend = spend
        av.logging.set_level(None)
        try:
            self._file: Any = av.open(
                _File(read, size),
                format=container.demuxer,
                buffer_size=READ_BYTES,
                io_open=_open_nothing,
                container_options={
                    "format_whitelist": container.demuxer,
                    "codec_whitelist": ",".join(DECODERS),
                    "protocol_whitelist": "none",
                    "max_streams": str(limits.VIDEO_STREAMS + 1),
                    "probesize": str(PROBED_BYTES),
                },
            )
        except Exception as error:
            raise _of_error(error, container) from None
        self._stream = self._first_stream(container)
        self.info = self._checked(container)
        context = self._stream.codec_context
        context.thread_count, context.thread_type = 1, "NONE"
        context.options = {"max_pixels": str(limits.VIDEO_PIXELS)}
        self._reformatter = VideoReformatter()

    def _first_stream(self, container: Container) -> Any:
        streams = self._file.streams
        if len(streams) > limits.VIDEO_STREAMS:
            raise ImageError(
                Outcome.REFUSED,
                f"{container.media_type}: more than {limits.VIDEO_STREAMS} streams",
            )
        # vPDQ takes the cover of a film for the film if it is in front of it.
        moving = [s for s in streams.video if not s.disposition & s.disposition.attached_pic]
        stream = next(iter([*moving, *streams.video]), None)
        if stream is None:
            raise ImageError(Outcome.UNSUPPORTED, f"{container.media_type}: no video stream")
        name = getattr(stream.codec_context, "name", None)
        if name not in DECODERS:
            raise ImageError(
                Outcome.UNSUPPORTED, f"{container.media_type}: video of {name} is not read"
            )
        return stream

    def _checked(self, container: Container) -> StreamInfo:
        stream, kind = self._stream, container.media_type
        width, height = stream.codec_context.width, stream.codec_context.height
        if width < 1 or height < 1:
            raise ImageError(Outcome.UNDECODABLE, f"{kind}: no size of its frames")
        _check_size(width, height)
        rate = float(stream.average_rate or stream.base_rate or 0)
        if not (rate > 0 and math.isfinite(rate)):
            raise ImageError(Outcome.UNDECODABLE, f"{kind}: no frame rate")
        duration = 0.0
        if stream.duration is not None and stream.time_base is not None:
            duration = max(0.0, float(stream.duration * stream.time_base))
        elif self._file.duration is not None:
            duration = max(0.0, self._file.duration / av.time_base)
        if duration > limits.VIDEO_SECONDS:
            raise ImageError(
                Outcome.REFUSED,
                f"{kind} of {duration / 3600:,.0f} hours, the limit is "
                f"{limits.VIDEO_SECONDS / 3600:g}",
            )
        return StreamInfo(container, width, height, rate, duration)

    def frames(self, every: float | None) -> Iterator[DecodedFrame]:
        """Yield each frame that is asked for, until the end of the file or a limit.

        Parameters
        ----------
        every : float, optional
            Seconds between two frames, 0 for every frame: number n is given if n is a multiple of
            ``int(every * rate)``, at least 1, as in vPDQ. None for key frames alone, whose number
            is then the time at which they are shown, times the rate.

        Raises
        ------
        ImageError
            ``refused``, if a frame is larger than is allowed.
        """
        rate = self.info.rate
        if every is None:
            yield from self._key_frames()
            return
        step = max(1, int(every * rate))
        if step > 1 and can_skip(self.info.container, self._stream.codec_context.name):
            yield from self._some(step)
            return
        for packet in chain(self._video_packets(), [None]):
            for frame in self._of_packet(packet):
                number = self.frame_count
                self.frame_count += 1
                if number % step == 0:
                    yield self._laid_out(frame, number)

    def _some(self, step: int) -> Iterator[DecodedFrame]:
        """Yield every `step`-th frame, without decoding each of those between."""
        numbers = FrameNumbers(step)
        context = self._stream.codec_context
        for packet, may_skip in chain(numbers.ahead(self._video_packets()), [(None, False)]):
            context.skip_frame = "NONREF" if may_skip else "DEFAULT"
            was_broken = self._broken
            frames = list(self._of_packet(packet))
            if packet is not None and not may_skip and self._broken == was_broken:
                numbers.await_frame(packet)
            for frame in frames:
                number = numbers.of(frame)
                self.frame_count = number + 1
                if number % step == 0:
                    yield self._laid_out(frame, number)
        self.frame_count = numbers.count

    def _key_frames(self) -> Iterator[DecodedFrame]:
        self._stream.codec_context.skip_frame = "NONKEY"
        last = -1
        for packet in chain(self._video_packets(keys_only=True), [None]):
            for frame in self._of_packet(packet):
                last = max(last + 1, self._number_at(frame.pts))
                yield self._laid_out(frame, last)

    def _number_at(self, pts: int | None) -> int:
        """Return the number of a frame by the time at which it is shown; 0 if that is not known."""
        stream = self._stream
        if pts is None or not stream.time_base:
            return 0
        at = float((pts - (stream.start_time or 0)) * stream.time_base)
        return int(min(max(at, 0.0), limits.VIDEO_SECONDS) * self.info.rate + 0.5)

    def _video_packets(self, *, keys_only: bool = False) -> Iterator[Any]:
        """Yield the packets of the video, until the end of the file or a limit."""
        number = self._stream.index
        packets = video_packets = 0
        each = max(1e-3, min(1.0, 1 / self.info.rate))
        for packet in self._packets():
            packets += 1
            if packets > limits.VIDEO_PACKETS:
                self._stop(f"more than {limits.VIDEO_PACKETS:,} packets")
                return
            if packet.stream_index != number or (packet.size == 0 and packet.dts is None):
                continue  # of another stream, or the end, for which the decoder gets None
            video_packets += 1
            self._spend(video_packets * each)
            if video_packets / self.info.rate > limits.VIDEO_SECONDS:
                self._stop(f"more than {limits.VIDEO_SECONDS / 3600:g} hours")
                return
            if keys_only and not packet.is_keyframe:
                continue
            if packet.is_corrupt:
                self.damaged = True
            yield packet
            if self.frame_count >= limits.VIDEO_FRAMES:
                self._stop(f"more than {limits.VIDEO_FRAMES:,} frames")
                return

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._file.demux()
        except MemoryError:
            raise
        except (av.FFmpegError, ValueError):
            self.damaged = True

    def _of_packet(self, packet: Any) -> Iterator[Any]:
        """Yield the frames that the decoder gives for a packet, or for None at the end."""
        try:
            frames = self._stream.codec_context.decode(packet)
        except MemoryError:
            raise
        except (av.FFmpegError, ValueError):
            # What is behind it is decoded: one broken packet must not hide the rest of a film.
            self.damaged = True
            self._broken += packet is not None
            self.frame_count += packet is not None  # the times of those behind it stay right
            return
        for frame in frames:
            if frame.is_corrupt:
                self.damaged = True
            yield frame

    def _stop(self, reason: str) -> None:
        self.damaged, self.stopped = True, reason

    def _laid_out(self, frame: Any, number: int) -> DecodedFrame:
        height, width = frame.height, frame.width
        _check_size(width, height)
        name = frame.format.name
        layout, is_full = LAYOUTS.get(name, (Layout.RGB, False))
        if layout is Layout.RGB or height % 2:
            layout = Layout.RGB
            frame = self._reformatter.reformat(
                frame,
                format="rgb24",
                src_colorspace=Colorspace.ITU601,
                dst_colorspace=Colorspace.ITU601,
                src_color_range=(ColorRange.JPEG if name.startswith("yuvj") else ColorRange.MPEG),
                dst_color_range=ColorRange.JPEG,
                interpolation=Interpolation.AREA,
                threads=1,
            )
        planes = []
        for plane, shape in zip(frame.planes, plane_shapes(layout, height, width), strict=True):
            used = math.prod(shape[1:])
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            planes.append(rows[: shape[0], :used].reshape(shape))
        return DecodedFrame(number, layout, is_full, height, width, planes)


class _File:
    """What FFmpeg reads from: a file that can be read and wound, and nothing else."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self._size, self._at = read, size, 0

    def read(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end."""
        data = self._read(self._at, count)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to an offset from the beginning, from here or from the end; return where it is."""
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        """Return where it is."""
        return self._at

    def seekable(self) -> bool:
        """Return that it can be wound."""
        return True


def _open_nothing(url: str, flags: int, options: dict[str, str]) -> Any:
    """Refuse whatever else a file names."""
    raise PermissionError


def _check_size(width: int, height: int) -> None:
    if width * height > limits.VIDEO_PIXELS or max(width, height) > limits.VIDEO_SIDE:
        raise ImageError(
            Outcome.REFUSED,
            f"frames of {width} x {height} pixels, the limit is "
            f"{limits.VIDEO_PIXELS // limits.MEGAPIXEL} megapixels and {limits.VIDEO_SIDE:,} on a "
            "side",
        )


def _of_error(error: Exception, container: Container) -> ImageError:
    """Return the outcome of a file that could not be opened."""
    if isinstance(error, MemoryError):
        return ImageError(Outcome.REFUSED, "not enough memory to decode it")
    return ImageError(
        Outcome.UNDECODABLE,
        f"{container.media_type}: {getattr(error, 'strerror', None) or type(error).__name__}",
    )


def is_same(frame: DecodedFrame, planes: list[NDArray[np.uint8]]) -> bool:
    """Return whether a frame is, byte for byte, what is in `planes` of its shapes."""
    for one, other in zip(frame.planes, planes, strict=True):
        some = slice(None, None, max(1, len(one) // COMPARED_ROWS))
        if not np.array_equal(one[some], other[some]):
            return False
    return all(map(np.array_equal, frame.planes, planes))
