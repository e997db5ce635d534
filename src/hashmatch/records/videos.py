"""One video after hashing: which frames, when they are shown, how good they are, their hashes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NoReturn, TypeAlias

import numpy as np

from hashmatch.errors import UsageError
from hashmatch.records.hashes import HashSpec, Opaque

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch.records.enums import Outcome
    from hashmatch.records.hashes import HashBatch

FRAME_SPEC = HashSpec("pdq", 256)
"""Each frame of a video has a PDQ hash, and so can be looked up among pictures' too."""

VideoAlgorithm: TypeAlias = Literal["vpdq", "vpdq-keyframes"]
"""Frames at the distances that vPDQ takes them, or key frames alone, which is not vPDQ."""


class VideoFrames(Opaque):
    """The hashed frames of one video, as columns of equal length in order of time.

    Parameters
    ----------
    frames : ndarray of int64, shape (n,)
        Numbers of the frames, from 0 and ascending: the n-th frame that decoding gives.
    times : ndarray of float64, shape (n,)
        Seconds: the number divided by the average rate, as vPDQ has it, and not when a file of
        variable rate shows the frame.
    quality : ndarray of uint8, shape (n,)
        PDQ's quality, 0 to 100. Frames of all qualities are kept.
    hashes : HashBatch of pdq (256 bits)
        One for each frame.

    Raises
    ------
    UsageError
        If the columns differ in length, or one has another type or order.

    Examples
    --------
    >>> from hashmatch.records.hashes import HashBatch
    >>> none = HashBatch.from_bytes(FRAME_SPEC, b"")
    >>> len(VideoFrames(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint8), none))
    0
    """

    # Not a dataclass: dataclasses.asdict would lay the hashes open.
    __slots__ = ("frames", "hashes", "quality", "times")

    frames: NDArray[np.int64]
    times: NDArray[np.float64]
    quality: NDArray[np.uint8]
    hashes: HashBatch

    def __init__(
        self,
        frames: NDArray[np.int64],
        times: NDArray[np.float64],
        quality: NDArray[np.uint8],
        hashes: HashBatch,
    ) -> None:
        if hashes.spec != FRAME_SPEC:
            raise UsageError(
                f"cannot use hashes of {hashes.spec} for frames. Give those of {FRAME_SPEC}"
            )
        columns: tuple[tuple[str, NDArray[np.generic], type[np.generic]], ...] = (
            ("frames", frames, np.int64),
            ("times", times, np.float64),
            ("quality", quality, np.uint8),
        )
        for name, given, kind in columns:
            if given.dtype != kind or given.shape != (len(hashes),):
                raise UsageError(
                    f"cannot use {given.dtype} {given.shape} as {name} of {len(hashes)} hashed "
                    f"frames. Give {np.dtype(kind)} of shape ({len(hashes)},)"
                )
            column = given.copy()
            column.flags.writeable = False
            object.__setattr__(self, name, column)
        if len(frames) and (frames[0] < 0 or np.any(np.diff(frames) <= 0)):
            raise UsageError("cannot use these frames: their numbers do not ascend from 0 on")
        object.__setattr__(self, "hashes", hashes)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} is immutable")

    def __len__(self) -> int:
        return len(self.hashes)

    def __repr__(self) -> str:
        return f"<VideoFrames n={len(self)}>"


@dataclass(frozen=True, eq=False, slots=True)
class HashedVideo:
    """What hashing made of one video; always exactly one outcome.

    Parameters
    ----------
    item : str
        The video's name, for messages, as `hashmatch.HashedImage` has it.
    outcome : Outcome
        ``hashed``, or ``low_quality`` where no frame is good enough to be looked up; with any other
        there are no frames.
    reason : str
        Why there are no frames, or none that is good enough; empty if it is ``hashed``.
    frames : VideoFrames, optional
        The hashed frames; None if nothing of the video was decoded.
    algorithm : {"vpdq", "vpdq-keyframes"}
        How frames were chosen.
    every : float, optional
        Seconds between two hashed frames, 0 for every frame; None for key frames.
    duration : float, optional
        Seconds: the number of all decoded frames divided by the rate; for key frames, what the file
        says. Up to the damage of a `damaged` file.
    frame_count : int, optional
        Frames that were decoded, hashed or not.
    width, height : int, optional
        Pixels of a frame as it is stored and hashed, before any rotation.
    rate : float, optional
        Average frames a second.
    damaged : bool
        The rest of the file, or a part of it, could not be decoded; what was before it is hashed.
    media_type : str, optional
        For example ``"video/mp4"``.
    decode_policy : str
        How pixels were made; empty if none were.
    digests : tuple of HashBatch
        ``video_md5``, ``video_sha1`` and ``video_sha256`` of the whole file, as far as they were
        asked for; one hash in each. They are there whether the video could be decoded or not.
    """

    item: str
    outcome: Outcome
    reason: str = ""
    frames: VideoFrames | None = None
    algorithm: VideoAlgorithm = "vpdq"
    every: float | None = 1.0
    duration: float | None = None
    frame_count: int | None = None
    width: int | None = None
    height: int | None = None
    rate: float | None = None
    damaged: bool = False
    media_type: str | None = None
    decode_policy: str = ""
    digests: tuple[HashBatch, ...] = ()
