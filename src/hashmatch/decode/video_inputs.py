"""What may be passed where a video is asked for, as a file that is open for reading."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeAlias, Union, cast

from hashmatch.decode import limits
from hashmatch.decode.inputs import STEP, describe
from hashmatch.errors import HashmatchError, UsageError
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

VideoInput: TypeAlias = Union[
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]", "OpenVideo"
]
"""A path, the bytes of a file, a file object, or what `open_video` makes of them."""


@dataclass(frozen=True, slots=True)
class OpenVideo:
    """A video as a file that is open.

    Parameters
    ----------
    name : str
        What messages call it.
    descriptor : int
        Of a regular file, which is read with ``pread`` alone.
    size : int
        In bytes.
    """

    name: str
    descriptor: int
    size: int

    def chunks(self) -> Iterator[bytes]:
        """Yield its content from the beginning. Raises ImageError, ``failed``, if that fails."""
        at = 0
        while at < self.size:
            try:
                chunk = os.pread(self.descriptor, STEP, at)
            except OSError as error:
                raise ImageError(Outcome.FAILED, f"cannot be read: {error.strerror}") from None
            if not chunk:
                raise ImageError(Outcome.FAILED, "it became shorter while it was read")
            at += len(chunk)
            yield chunk


@contextmanager
def open_video(video: VideoInput, name: str | None = None) -> Iterator[OpenVideo]:
    """Open a video's file, and close it in the end; what is open already is left so.

    A path is read where it is, whatever its size. Bytes, and what a file object has, are put into a
    file in memory.

    Parameters
    ----------
    video : path, bytes, file object or OpenVideo
        A file object is read from its beginning where it can be wound back.
    name : str, optional
        What messages call it; by default the path or file name.

    Yields
    ------
    OpenVideo

    Raises
    ------
    ImageError
        ``failed`` if it cannot be read, ``unsupported`` if it is no regular file, ``refused`` if it
        is larger than `hashmatch.decode.limits.VIDEO_BYTES`.
    UsageError
        If `video` is none of these things.
    """
    if isinstance(video, OpenVideo):
        yield video
        return
    name = describe(cast("IO[bytes]", video)) if name is None else name
    descriptor = _opened(video)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(Outcome.UNSUPPORTED, "not a regular file")
        _check_bytes(status.st_size)
        yield OpenVideo(name, descriptor, status.st_size)
    finally:
        os.close(descriptor)


def _opened(video: VideoInput) -> int:
    try:
        if isinstance(video, str | os.PathLike):
            # Without O_NONBLOCK, opening a FIFO would wait for a writer for ever.
            return os.open(video, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        if isinstance(video, bytes | bytearray | memoryview):
            return _in_memory(iter([memoryview(video).cast("B")]))
        if hasattr(video, "read"):
            return _in_memory(_read(video))
    except HashmatchError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(Outcome.FAILED, f"cannot be read: {reason}") from None
    raise UsageError(
        f"cannot read a video from {type(video).__name__}. Give a path, bytes or a file object"
    )


def _in_memory(chunks: Iterator[bytes | memoryview]) -> int:
    descriptor = os.memfd_create("hashmatch-video")
    size = 0
    try:
        for chunk in chunks:
            size += len(chunk)
            _check_bytes(size)
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _read(file: Any) -> Iterator[bytes]:
    try:
        seekable = getattr(file, "seekable", None)
        if seekable is not None and seekable():
            file.seek(0)
        while chunk := file.read(STEP):
            if isinstance(chunk, str):
                raise UsageError(
                    "cannot read a video from a file object that is open as text. Open it in "
                    "binary mode ('rb')"
                )
            yield chunk
    except UsageError:
        raise
    except Exception as error:  # it is the caller's, or a network's: it may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(Outcome.FAILED, f"cannot be read: {reason}") from None


def _check_bytes(size: int) -> None:
    if size > limits.VIDEO_BYTES:
        raise ImageError(
            Outcome.REFUSED,
            f"{size:,} bytes, the limit is {limits.VIDEO_BYTES:,} bytes for one video",
        )
