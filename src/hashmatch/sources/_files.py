"""Reads files of this machine together with the version of what was read."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from hashlib import blake2b, file_digest
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

from hashmatch.decode import limits
from hashmatch.decode.inputs import read_file
from hashmatch.errors import SourceError
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageChanged, ImageError

if TYPE_CHECKING:
    from hashmatch.records.images import ImageItem

#: How often a file that is being written is read before it is given up.
TRIES = 3

UNKNOWN = "unknown"


def version(status: os.stat_result) -> str:
    """Return modification time in nanoseconds and size, which change when the content does."""
    return f"{status.st_mtime_ns}-{status.st_size}"


def identity(path: str) -> str:
    """Return the URL of a file or folder, whatever the working directory; links are followed."""
    return "file://" + quote_from_bytes(os.fsencode(os.path.realpath(path)))


def content_identity(path: str, known: str) -> str:
    """Return the same, with a digest of what is in a file that is still of the version `known`.

    SourceError if it is not, or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            found = file_digest(file, lambda: blake2b(digest_size=16))
            if version(os.fstat(file.fileno())) != known:
                raise SourceError(
                    f"cannot read {path}: it changed since it was opened. Start again"
                )
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from None
    return f"{identity(path)} content={found.hexdigest()}"


def look_at(path: str) -> tuple[str, int | None]:
    """Return the version of the file at `path` and its size in bytes; None if it is no file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # gone, or a link to nothing: reading it will say so
        return UNKNOWN, None
    return version(status), status.st_size if stat.S_ISREG(status.st_mode) else None


def read_local(path: str, item: ImageItem) -> bytes:
    """Return the content of a regular file; ImageChanged, with it, if `item` is another version.

    Pipes, sockets and devices are never opened: a device may act on it. ImageError: ``unsupported``
    if it is no regular file, ``refused`` if it is larger than `hashmatch.decode.limits.MAX_BYTES`,
    ``failed`` if it cannot be read, or was written to each time that it was read.
    """
    for _ in range(TRIES):
        before = _status(path)
        if stat.S_ISDIR(before.st_mode):
            raise ImageError(Outcome.UNSUPPORTED, "a folder, not a regular file")
        if not stat.S_ISREG(before.st_mode):
            raise ImageError(Outcome.UNSUPPORTED, "not a regular file")
        limits.check_bytes(before.st_size)
        data = read_file(path)
        now = version(before)
        if now != version(_status(path)):
            continue
        if now != item.version:
            changed = replace(item, version=now, size=len(data))
            raise ImageChanged(Outcome.FAILED, "it changed since it was listed", changed, data)
        return data
    raise ImageError(Outcome.FAILED, "it changed each time that it was read")


def _status(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(Outcome.FAILED, f"cannot be read: {reason}") from None


def read_part(path: str, known: str, start: int, length: int) -> bytes:
    """Return a part of the file at `path`, which is still of the version `known`.

    ImageError, ``failed``, if it is not, or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            if version(os.fstat(file.fileno())) != known:
                raise ImageError(Outcome.FAILED, "the file that it is in has changed")
            file.seek(start)
            return file.read(length)
    except OSError as error:
        raise ImageError(Outcome.FAILED, f"cannot be read: {error.strerror}") from None
