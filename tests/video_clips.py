"""Drawn clips, made with PyAV from a seed: of several codecs, containers, rates and layouts."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Clip:
    """How a clip is made; its name has the container's suffix."""

    name: str
    codec: str = "libx264"
    width: int = 320
    height: int = 180
    rate: Fraction = Fraction(25)
    layout: str = "yuv420p"
    frames: int = 30
    options: dict[str, str] = field(default_factory=dict)
    is_full: bool = False
    colorspace: int | None = None
    rotation: int = 0
    pauses: tuple[int, ...] = ()
    """Frames after which nothing happens for a second: the rate varies."""
    seed: int = 1
    speed: float = 1.0


def drawing(clip: Clip, number: int) -> NDArray[np.uint8]:
    """Return frame `number` of a clip in RGB: hills that drift, discs that move, some grain."""
    rng = np.random.default_rng(clip.seed)
    y, x = np.mgrid[0 : clip.height, 0 : clip.width].astype(np.float32)
    time = number / float(clip.rate) * clip.speed
    x, y = x / clip.width, y / clip.height
    planes = []
    for _ in range(3):
        level = np.full_like(x, rng.uniform(60, 160))
        for _ in range(5):
            across, down = rng.uniform(-9, 9, 2)
            level += rng.uniform(25, 60) * np.sin(
                across * x + down * y + rng.uniform(0, 6) + time * rng.uniform(-2, 2)
            )
        planes.append(level)
    picture = np.stack(planes, -1)
    for _ in range(5):
        centre = rng.uniform(0.2, 0.8, 2) + 0.2 * np.sin(time * rng.uniform(0.5, 2, 2))
        inside = (x - centre[0]) ** 2 + ((y - centre[1]) * clip.height / clip.width) ** 2
        picture[inside < rng.uniform(0.05, 0.12) ** 2] = rng.uniform(0, 255, 3)
    picture += np.random.default_rng((clip.seed, number)).normal(0, 2, picture.shape)
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def make(clip: Clip, folder: Path) -> Path:
    """Write a clip; return its path."""
    path = folder / clip.name
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream(clip.codec, rate=clip.rate, options=dict(clip.options))
        stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, clip.layout
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = 1 / clip.rate
        if clip.is_full:
            stream.codec_context.color_range = 2
        if clip.colorspace is not None:
            stream.codec_context.colorspace = clip.colorspace
        if clip.rotation:
            stream.set_display_rotation(clip.rotation)
        for frame in _frames(clip):
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def _frames(clip: Clip) -> Iterator[Any]:
    late = 0
    for number in range(clip.frames):
        frame: Any = av.VideoFrame.from_ndarray(drawing(clip, number), format="rgb24")
        frame = frame.reformat(format=clip.layout, dst_color_range=2 if clip.is_full else 1)
        frame.pts, frame.time_base = number + late, 1 / clip.rate
        late += int(clip.rate) if number in clip.pauses else 0
        yield frame


QUICK = {"preset": "veryfast", "g": "12"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:pools=none:frame-threads=1:keyint=12"}
VPX = {"deadline": "realtime", "cpu-used": "8", "g": "12", "b": "400k"}
AV1 = {"preset": "12", "crf": "40", "g": "12", "svtav1-params": "lp=1"}
NTSC = Fraction(30000, 1001)

CLIPS = [
    Clip("h264.mp4", options=QUICK),
    Clip("h264-ntsc.mp4", rate=NTSC, options=QUICK, seed=2),
    Clip("h264-50.mkv", rate=Fraction(50), options=QUICK, seed=3),
    Clip("h264-12.mov", rate=Fraction(12), width=426, height=240, options=QUICK, seed=4),
    Clip("h264-film.mkv", rate=Fraction(24000, 1001), width=640, height=272, options=QUICK, seed=5),
    Clip("h264-rotated.mp4", options=QUICK, rotation=90, seed=6),
    Clip("h264-variable.mp4", options=QUICK, pauses=(5, 17), seed=7),
    Clip(
        "h264-b-frames.mp4", options=QUICK | {"bf": "8", "x264-params": "b-pyramid=normal"}, seed=8
    ),
    Clip("h264-odd-444.mp4", layout="yuv444p", width=321, height=181, options=QUICK, seed=9),
    Clip("h264-422.mp4", layout="yuv422p", options=QUICK, seed=10),
    Clip("h264-full.mp4", layout="yuvj420p", is_full=True, options=QUICK, seed=11),
    Clip("h264-10-bit.mp4", layout="yuv420p10le", options=QUICK, seed=12),
    Clip("h264-709.mp4", colorspace=1, width=642, height=362, options=QUICK, seed=13),
    Clip("h265.mp4", "libx265", options=X265, seed=14),
    Clip("h265-10-bit.mkv", "libx265", layout="yuv420p10le", options=X265, seed=15),
    Clip("h265-full.mov", "libx265", layout="yuvj420p", is_full=True, options=X265, seed=16),
    Clip("vp9.webm", "libvpx-vp9", options=VPX, seed=17),
    Clip("vp9-odd.webm", "libvpx-vp9", width=321, height=181, options=VPX, seed=18),
    Clip("vp9-full.mkv", "libvpx-vp9", is_full=True, options=VPX, seed=19),
    Clip("vp8.webm", "libvpx", options=VPX, seed=20),
    Clip("av1.mp4", "libsvtav1", options=AV1, seed=21),
    Clip("av1.webm", "libsvtav1", width=480, height=270, options=AV1, seed=22),
    Clip("mpeg4.avi", "mpeg4", options={"g": "12"}, seed=23),
    Clip("mjpeg.mov", "mjpeg", layout="yuvj422p", is_full=True, seed=24),
    Clip("mpeg2.ts", "mpeg2video", options={"g": "12", "b": "600k"}, seed=25),
]
