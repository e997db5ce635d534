"""Who may read a file or a folder: decided here, and checked on what is then read.

Names are looked up once. A file is opened without following a link, and its owner, mode and digest
are those of the open file: nobody can put another in its place between the check and the use.
Folders are checked by name. In a folder that only its owner can write to, nobody else renames.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from hashmatch.errors import StoreError
from hashmatch.records.safeguards import Safeguard, waive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.errors import HashmatchError

CHUNK = 1 << 20
"""Bytes read or written at once."""


class Digest(NamedTuple):
    """What a file holds, as a manifest names it: its SHA-256 in hexadecimal, and its length."""

    sha256: str
    bytes: int


def check_private(
    path: str,
    *,
    allow_readable: bool | None = None,
    follow: bool = False,
    error: type[HashmatchError] = StoreError,
) -> None:
    """Refuse a file or folder that somebody else can read or change.

    It has to belong to us or to the superuser, who can do everything anyway. What may be done is
    taken from the mode, not tried out: the superuser may read what is closed to all. Nobody else
    may ever write to it. Others may read it if that is allowed by `allow_readable` or by name; None
    says that it is a secret, of which nobody can allow that. A link is refused unless `follow`:
    what is checked is then what it leads to.

    Raises an `error` if it is not there or not private; the message says what to do.
    """
    try:
        found = os.stat(path, follow_symlinks=follow)
    except (OSError, ValueError) as reason:
        raise error(str(_unreadable(path, reason, of_store=not follow))) from None
    check_found(path, found, allow_readable=allow_readable, error=error)


def check_found(
    path: str,
    found: os.stat_result,
    *,
    allow_readable: bool | None = None,
    public: bool = False,
    error: type[HashmatchError] = StoreError,
) -> None:
    """Refuse what `check_private` does, as it was found; what is `public` everybody may read."""
    mode = found.st_mode
    if stat.S_ISLNK(mode):
        raise error(str(_is_link(path)))
    is_folder = stat.S_ISDIR(mode)
    if not is_folder and not stat.S_ISREG(mode):
        raise error(f"cannot use {path}: it is neither a file nor a folder. Remove it")
    if found.st_uid not in {0, os.geteuid()}:
        raise error(
            f"cannot use {path}: it belongs to another user (id {found.st_uid}), who can change "
            f"it. Take it over with chown {os.geteuid()}"
        )
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise error(f"cannot use {path}: it can be changed by others. Close it with chmod go-w")
    if public or not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return
    close = f"Close it with chmod {700 if is_folder else 600}"
    if allow_readable is None:
        raise error(f"cannot use {path}: it can be read by others. {close}")
    place = path if is_folder else os.path.dirname(path) or os.curdir
    waive(
        Safeguard.PRIVATE_FILES,
        f"use {path}",
        f"what is in {place} can be read by others",
        error=error,
        allowed=allow_readable,
        advice=close,
    )


@contextmanager
def opened(
    path: str, *, allow_readable: bool | None = None, public: bool = False, follow: bool = False
) -> Iterator[int]:
    """Give the descriptor of a private file, to be read from; StoreError if it is none.

    Arguments are as for `check_private`; what is `public` others may read. Links are not followed
    to files of a store; secrets that are mounted into a container are links.
    """
    # A pipe would wait for its writer; opened so, it does not, and is then refused.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        file = os.open(path, flags)
    except (OSError, ValueError) as error:
        is_link = not follow and isinstance(error, OSError) and error.errno == errno.ELOOP
        raise (
            _is_link(path) if is_link else _unreadable(path, error, of_store=not follow)
        ) from None
    try:
        found = os.fstat(file)
        if stat.S_ISDIR(found.st_mode):
            raise StoreError(f"cannot read {path}: it is a folder. Give the path of a file")
        check_found(path, found, allow_readable=allow_readable, public=public)
        yield file
    finally:
        os.close(file)


def read(
    path: str,
    most: int,
    *,
    allow_readable: bool | None = None,
    public: bool = False,
    follow: bool = False,
) -> bytes:
    """Return what a small private file holds; StoreError if that is more than `most` bytes."""
    with opened(path, allow_readable=allow_readable, public=public, follow=follow) as file:
        data = b"".join(chunks(path, file, most + 1))
    if len(data) > most:
        raise StoreError(
            f"cannot read {path}: it has more than {most:,} bytes, so it is damaged, or another "
            "file"
        )
    return data


def stamp(path: str, *, follow: bool = True) -> tuple[int, ...]:
    """Return what changes when the file at a path does, or another takes its place; () for none."""
    try:
        found = os.stat(path, follow_symlinks=follow)
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def digest(path: str, file: int) -> Digest:
    """Return the digest of an open file, from its beginning; `path` is for messages."""
    total, length = hashlib.sha256(), 0
    for chunk in chunks(path, file):
        total.update(chunk)
        length += len(chunk)
    return Digest(total.hexdigest(), length)


def chunks(path: str, file: int, most: int | None = None) -> Iterator[bytes]:
    """Yield what an open file holds from its beginning, up to `most` bytes."""
    offset = 0
    while most is None or offset < most:
        size = CHUNK if most is None else min(CHUNK, most - offset)
        try:
            chunk = os.pread(file, size, offset)
        except OSError as error:
            raise _unreadable(path, error) from None
        if not chunk:
            return
        offset += len(chunk)
        yield chunk


def _is_link(path: str) -> StoreError:
    return StoreError(
        f"cannot use {path}: it is a link, and a store has none. Put the file itself there"
    )


def _unreadable(path: str, error: OSError | ValueError, *, of_store: bool = True) -> StoreError:
    reason = error.strerror if isinstance(error, OSError) else error
    if not isinstance(error, FileNotFoundError):
        return StoreError(f"cannot read {path}: {reason}")
    remedy = "Restore it, or import the list again" if of_store else "Give another path"
    return StoreError(f"cannot read {path}: {reason}. {remedy}.")
