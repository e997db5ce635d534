"""Decoding compared in workers and here, also with limits made small in both.

So small that what lies just below, at and just above each of them is a file of some kilobytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hashmatch as hm
from hashmatch.decode import limits
from hashmatch.sandbox.worker import decode_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from hashmatch.decode.policy import Picture
    from hashmatch.sandbox.protocol import Job

PATIENT = hm.WorkerLimits(cpu_seconds=60, wall_seconds=120)
PIXELS = 4_800
SMALL: dict[str, Any] = {
    "MAX_BYTES": 100_000,
    "PIXELS": dict.fromkeys(limits.PIXELS, PIXELS) | {"JPEG": 4 * PIXELS},
    "ARRAY_PIXELS": PIXELS,
    "PROGRESSIVE_JPEG_PIXELS": 3 * PIXELS,
    "TILED_PIXELS": 3 * PIXELS,
    "TILE_PIXELS": 64 * 64,
    "TILES": 6,
    "RUN_LENGTH_BMP_PIXELS": 1_000,
    "WHOLE_JPEG_PIXELS": PIXELS,
    "SCALED_JPEG_SIDE": 40,
    "JPEG_SIDE": 160,
    "JPEG_COEFFICIENT_BYTES": 60_000,
    "JPEG_SCANS": 20,
    "JPEG_SEGMENTS": 50,
    "JPEG_PADDING_BYTES": 100,
    "PNG_CHUNKS": 40,
    "GIF_BLOCKS": 30,
    "FRAMES": 4,
    "FRAME_REACH_PIXELS": 6_000,
    "FRAME_LEAST_PIXELS": 100,
    "FRAME_BLOCKS": 200,
    "TIFF_PAGES": 3,
}


class SmallPool(hm.DecodePool):
    """A pool whose workers have these limits too."""

    _decoder = "small_limits:decode_small"


def decode_small(data: bytes, job: Job, pixels: NDArray[np.uint8]) -> Iterable[Picture]:
    """Decode as workers do, after the limits have been made small."""
    for name, value in SMALL.items():
        setattr(limits, name, value)
    return decode_job(data, job, pixels)


def seen(decode: Callable[[], Iterable[Picture]]) -> list[Any]:
    """Return all that decoding says, comparable."""
    found: list[Any] = []
    try:
        for one in decode():
            shape = one.pixels.shape
            found.append((shape, one.pixels.tobytes(), one.media_type, one.damaged, one.frame))
    except hm.ImageError as error:
        found.append((error.outcome.value, error.reason))
    return found


def agreed(pool: hm.DecodePool, data: bytes, most: int | None = None) -> list[Any]:
    """Return what both ways say of a file, by themselves and with its frames."""
    most = limits.FRAMES if most is None else most
    alone = seen(lambda: [hm.decode_image(data)])
    frames = seen(lambda: hm.decode_frames(data, most))
    assert seen(lambda: [pool.decode_image(data)]) == alone
    assert seen(lambda: pool.decode_frames(data, most)) == frames
    assert frames[0] == alone[0]
    return frames
