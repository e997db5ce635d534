"""vpdq: what hashes of videos are. Videos are hashed by their frames, never as one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NoReturn

from hashmatch.errors import UsageError
from hashmatch.records.video_columns import VIDEO_SPEC

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Vpdq:
    """vPDQ: a PDQ hash of every so many frames of a video.

    `max_distance` and `min_quality` are of a frame, the distance inclusive; they are those of the
    vPDQ README and of python-threatexchange (the C++ matcher leaves 31 out).
    """

    spec: ClassVar = VIDEO_SPEC
    reads: ClassVar[Literal["video"]] = "video"
    max_distance: ClassVar = 31
    min_quality: ClassVar = 50
    min_side: ClassVar = 0

    def hash(self, data: NDArray[np.uint8]) -> NoReturn:
        """Raise UsageError: a video has no hash as a whole."""
        raise UsageError("cannot hash a picture by vpdq: it is of videos. Give a video file")
