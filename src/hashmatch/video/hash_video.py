"""Hash a video; each gets exactly one outcome, even if it is broken."""

from __future__ import annotations

import math
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, get_args

import numpy as np

from hashmatch import registry
from hashmatch.decode.video_formats import POLICY, Layout
from hashmatch.decode.video_inputs import VideoInput, open_video
from hashmatch.errors import UsageError
from hashmatch.records.enums import Outcome
from hashmatch.records.hashes import HashBatch
from hashmatch.records.images import ImageError
from hashmatch.records.videos import FRAME_SPEC, HashedVideo, VideoAlgorithm, VideoFrames
from hashmatch.sandbox.pool import DecodePool
from hashmatch.sandbox.video_slot import VideoEnd, VideoFrame, VideoStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hashmatch.decode.video_inputs import OpenVideo

MIN_QUALITY = 50
"""vPDQ looks up no frame of a lower quality, on either side."""
ALGORITHMS: tuple[VideoAlgorithm, ...] = get_args(VideoAlgorithm)


def hash_video(
    video: VideoInput,
    algorithm: VideoAlgorithm = "vpdq",
    *,
    every: float = 1.0,
    digests: Sequence[str] = (),
    item: str | None = None,
    min_quality: int = MIN_QUALITY,
    decode: DecodePool | None = None,
) -> HashedVideo:
    """Hash the frames of one video, as vPDQ does.

    What is wrong with the video is an outcome of the result, never an exception. It is decoded in a
    worker of the sandbox and nowhere else. A video that is damaged, or costs too much, is hashed up
    to there, and so is what can be decoded behind a damage.

    Parameters
    ----------
    video : path, bytes or file object
        The video's file. A path is read where it is, and never in memory as a whole.
    algorithm : {"vpdq", "vpdq-keyframes"}
        ``vpdq`` hashes frames at equal distances; ``vpdq-keyframes`` the key frames alone, wherever
        an encoder has put them: many times as quick, and not vPDQ. `docs/video-hashing.md` says
        what it finds.
    every : float
        Seconds between two hashed frames, 0 for every frame: those whose number is a multiple of
        ``int(every * rate)``, as vPDQ has it. Not for key frames.
    digests : sequence of str
        Names of hashers of the whole file, such as ``video_md5``; they are in the result's
        ``digests``.
    item : str, optional
        Its name in messages; by default the path or file name.
    min_quality : int
        If no frame has this quality, the outcome is ``low_quality``. By default vPDQ's own.
    decode : DecodePool, optional
        The pool to decode in; by default one that is started for this video and closed after it,
        which takes some tenths of a second.

    Returns
    -------
    HashedVideo

    Raises
    ------
    UsageError
        If `video` is none of these things, or an argument is out of its range.
    WorkersError
        If the sandbox cannot be had, or the extra ``video`` is not installed.

    Examples
    --------
    >>> hash_video(b"no video").outcome.value
    'unsupported'
    """
    if algorithm not in ALGORITHMS:
        raise UsageError(
            f"cannot hash videos by {algorithm!r}. Give one of {', '.join(ALGORITHMS)}"
        )
    if not (every >= 0 and math.isfinite(every)):
        raise UsageError(f"cannot hash a frame every {every} s. Give 0 or more")
    if isinstance(digests, str):
        raise UsageError("cannot use text as digests. Give a sequence, such as ['video_md5']")
    for name in digests:
        if registry.hasher(name).reads != "bytes":
            raise UsageError(f"cannot use {name} as a digest: it hashes pixels. Give video_md5")
    if decode is not None and not isinstance(decode, DecodePool):
        raise UsageError(f"cannot decode with {type(decode).__name__}. Give a hashmatch.DecodePool")
    work = _Work(algorithm, None if algorithm == "vpdq-keyframes" else float(every), min_quality)
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(open_video(video, item))
            name = opened.name
            made = digests_of(opened, digests)
        except ImageError as error:
            from hashmatch.decode.inputs import describe

            name = describe(video) if item is None else item  # type: ignore[arg-type]
            return work.failed(name, error)
        pool = stack.enter_context(DecodePool(1)) if decode is None else decode
        return work.hashed(opened, made, pool)


def digests_of(video: OpenVideo, names: Sequence[str]) -> tuple[HashBatch, ...]:
    """Return one digest of a video's file by each of these hashers, reading it once."""
    import hashlib

    hashers = [registry.hasher(name) for name in names]
    states = [
        hashlib.new(hasher.spec.algorithm.removeprefix("video_"), usedforsecurity=False)
        for hasher in hashers
    ]
    if states:
        for chunk in video.chunks():
            for state in states:
                state.update(chunk)
    return tuple(
        HashBatch.from_bytes(hasher.spec, state.digest())
        for hasher, state in zip(hashers, states, strict=True)
    )


class _Work:
    """How one video is hashed, and what has been made of it by now."""

    def __init__(self, algorithm: VideoAlgorithm, every: float | None, min_quality: int) -> None:
        self._algorithm, self._every, self._min_quality = algorithm, every, min_quality
        self._numbers: list[int] = []
        self._quality = bytearray()
        self._words = bytearray()

    def hashed(
        self, video: OpenVideo, digests: tuple[HashBatch, ...], pool: DecodePool
    ) -> HashedVideo:
        """Return what becomes of an open video."""
        stream, end = None, VideoEnd(None, True, "")
        try:
            with closing(pool.decode_video(video, self._every)) as decoded:
                for each in decoded:
                    if isinstance(each, VideoFrame):
                        self._take(each)
                    elif isinstance(each, VideoStream):
                        stream = each
                    else:
                        end = each
        except ImageError as error:
            if not self._numbers:
                return self.failed(video.name, error, digests, stream)
            end = VideoEnd(None, True, error.reason)  # what was before it is hashed
        if stream is None or not self._numbers:
            why = ImageError(Outcome.UNDECODABLE, end.reason or "no frame could be decoded")
            return self.failed(video.name, why, digests, stream)
        frames = self._frames(stream.rate)
        best = int(frames.quality.max())
        outcome, reason = Outcome.HASHED, end.reason
        if best < self._min_quality:
            outcome = Outcome.LOW_QUALITY
            reason = (
                f"quality {best} at most, at least {self._min_quality} is needed for a match to "
                "mean anything"
            )
        duration = stream.duration or None
        if end.frame_count and self._every is not None:
            duration = end.frame_count / stream.rate
        return HashedVideo(
            item=video.name,
            outcome=outcome,
            reason=reason,
            frames=frames,
            algorithm=self._algorithm,
            every=self._every,
            duration=duration,
            frame_count=end.frame_count if self._every is not None else None,
            width=stream.width,
            height=stream.height,
            rate=stream.rate,
            damaged=end.damaged,
            media_type=stream.media_type,
            decode_policy=POLICY,
            digests=digests,
        )

    def failed(
        self,
        name: str,
        why: ImageError,
        digests: tuple[HashBatch, ...] = (),
        stream: VideoStream | None = None,
    ) -> HashedVideo:
        """Return what becomes of a video without any frame."""
        return HashedVideo(
            item=name,
            outcome=why.outcome,
            reason=why.reason,
            algorithm=self._algorithm,
            every=self._every,
            width=stream.width if stream else None,
            height=stream.height if stream else None,
            rate=stream.rate if stream else None,
            media_type=stream.media_type if stream else None,
            digests=digests,
        )

    def _take(self, frame: VideoFrame) -> None:
        self._numbers.append(frame.number)
        if frame.is_same and self._quality:
            self._quality.append(self._quality[-1])
            self._words += self._words[-32:]
            return
        words, quality = hash_frame(frame.layout, frame.is_full, frame.planes)
        self._quality.append(quality)
        self._words += words.tobytes()

    def _frames(self, rate: float) -> VideoFrames:
        numbers = np.array(self._numbers, np.int64)
        words = np.frombuffer(bytes(self._words), np.uint64).reshape(-1, FRAME_SPEC.words)
        return VideoFrames(
            numbers,
            numbers / rate,
            np.frombuffer(bytes(self._quality), np.uint8),
            HashBatch(FRAME_SPEC, words),
        )


def hash_frame(
    layout: Layout, is_full: bool, planes: Sequence[NDArray[np.uint8]]
) -> tuple[NDArray[np.uint64], int]:
    """Return the PDQ hash of a decoded frame, as words (1, 4), and its quality."""
    from hashmatch._kernels import pdq, pdq_numpy, pdq_yuv

    views = [plane.view() for plane in planes]
    for view in views:
        view.flags.writeable = False  # compiled once for all
    words = np.empty((1, FRAME_SPEC.words), np.uint64)
    if layout is Layout.RGB:
        return words, pdq.pdq(views[0], pdq_numpy.DCT, words)
    y, u, v = views
    return words, pdq_yuv.hash_yuv(y, u, v, is_full, words)
