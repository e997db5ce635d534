"""Makes small clips of drawn pictures; needs PyAV, the extra ``video``."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

RATE = 10
"""Frames a second."""
SIDES = 176, 144


def scene(seed: int, size: tuple[int, int] = SIDES) -> NDArray[np.uint8]:
    """A drawn picture with much in it, twice as large as what is shown of it."""
    width, height = 2 * size[0], 2 * size[1]
    random = np.random.default_rng(seed)
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = random.integers(0, 256, 3)
    for _ in range(60):
        wide, high = random.integers(width // 16, width // 3), random.integers(8, height // 3)
        left, top = random.integers(0, width - wide), random.integers(0, height - high)
        picture[top : top + high, left : left + wide] = random.integers(0, 256, 3)
    return picture


def panned(
    picture: NDArray[np.uint8], seconds: float, size: tuple[int, int] = SIDES, rate: float = RATE
) -> Iterable[NDArray[np.uint8]]:
    """The frames of a slow pan over a picture."""
    width, height = size
    room = picture.shape[1] - width, picture.shape[0] - height
    count = int(seconds * rate)
    for number in range(count):
        part = number / max(1, count - 1)
        left, top = int(room[0] * part), int(room[1] * part / 2)
        yield picture[top : top + height, left : left + width]


def shots(
    seed: int, seconds: int, each: float = 3.0, rate: float = RATE
) -> list[NDArray[np.uint8]]:
    """The frames of a clip of several shots, each a pan over a picture of its own."""
    frames: list[NDArray[np.uint8]] = []
    number = 0
    while len(frames) < seconds * rate:
        frames += panned(scene(1000 * seed + number), each, rate=rate)
        number += 1
    return frames[: int(seconds * rate)]


def encoded(
    frames: Iterable[NDArray[np.uint8]],
    *,
    rate: float = RATE,
    codec: str = "libx264",
    container: str = "mp4",
    options: dict[str, str] | None = None,
) -> bytes:
    """A clip of such frames, all of one size."""
    from fractions import Fraction

    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=Fraction(rate).limit_denominator(1000))
        stream.options = options or {"preset": "ultrafast", "crf": "23"}
        stream.pix_fmt = "yuv420p"
        for number, pixels in enumerate(frames):
            if not number:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()
