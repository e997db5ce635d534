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

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 1 << 20
"""Bytes read or written at once."""


class Digest(NamedTuple):
    """What a file holds, as a manifest names it: its SHA-256 in hexadecimal, and its length."""

    sha256: str
    bytes: int


def check_private(
    path: str, *, allow_readable: bool | None = None, follow: bool = False, any_owner: bool = False
) -> None:
    """Refuse a file or folder that somebody else can read or change.

    It has to belong to us or to the superuser, who can do everything anyway; with `any_owner`, to
    anybody. What may be done is taken from the mode, not tried out: the superuser may read what is
    closed to all. Nobody else may ever write to it. Others may read it if `allow_readable`; None is
    False, of what nobody can allow others to read. A link is refused unless `follow`: what is
    checked is then what it leads to.

    Raises StoreError if it is not there or not private; the message says what to do.
    """
    try:
        found = os.stat(path, follow_symlinks=follow)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error, of_store=not follow) from None
    _check(path, found, allow_readable, any_owner)


def _check(
    path: str, found: os.stat_result, allow_readable: bool | None, any_owner: bool = False
) -> None:
    mode = found.st_mode
    if stat.S_ISLNK(mode):
        raise _is_link(path)
    is_folder = stat.S_ISDIR(mode)
    if not is_folder and not stat.S_ISREG(mode):
        raise StoreError(f"{path} is neither a file nor a folder; remove it")
    if found.st_uid not in {0, os.geteuid()} and not any_owner:
        raise StoreError(
            f"{path} belongs to another user (id {found.st_uid}), who can change it; "
            f"take it over with chown {os.geteuid()}"
        )
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StoreError(f"{path} can be changed by others; close it with chmod go-w")
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and not allow_readable:
        hint = "" if allow_readable is None else ", or allow that by name"
        raise StoreError(
            f"{path} can be read by others; close it with chmod {700 if is_folder else 600}{hint}"
        )


@contextmanager
def opened(path: str, *, allow_readable: bool | None = None, follow: bool = False) -> Iterator[int]:
    """Give the descriptor of a private file, to be read from; StoreError if it is none.

    Arguments are as for `check_private`. Links are not followed to files of a store; secrets that
    are mounted into a container are links.
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
            raise StoreError(f"{path} is a folder; a file belongs there")
        _check(path, found, allow_readable)
        yield file
    finally:
        os.close(file)


def read(
    path: str, most: int, *, allow_readable: bool | None = None, follow: bool = False
) -> bytes:
    """Return what a small private file holds; StoreError if that is more than `most` bytes."""
    with opened(path, allow_readable=allow_readable, follow=follow) as file:
        data = b"".join(chunks(path, file, most + 1))
    if len(data) > most:
        raise StoreError(f"{path} has more than {most:,} bytes; it is damaged, or something else")
    return data


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
    return StoreError(f"{path} is a link, and a store has none; put the file itself there")


def _unreadable(path: str, error: OSError | ValueError, *, of_store: bool = True) -> StoreError:
    reason = error.strerror if isinstance(error, OSError) else error
    if not isinstance(error, FileNotFoundError):
        return StoreError(f"{path} cannot be read: {reason}")
    remedy = "Restore it, or import the list again" if of_store else "Give another path"
    return StoreError(f"cannot read {path}: {reason}. {remedy}.")
