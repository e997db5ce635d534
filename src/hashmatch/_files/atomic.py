"""What is written to a store: whole and on the disk before it has its name, or not there at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hashmatch._files.private import CHUNK, Digest, check_private, chunks, opened
from hashmatch.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = re.compile(r"[.].+[.][0-9a-f]{16}[.]part")
"""What a file is called until it is whole."""


def make_folder(path: str, *, allow_readable: bool = False) -> None:
    """Make a folder that only its owner may enter; one that is there is checked instead.

    Parameters
    ----------
    path : str
        The folder above it must be there.
    allow_readable : bool
        As for `check_private`.

    Raises
    ------
    StoreError
        If it cannot be made, or is none of our own.
    """
    try:
        os.mkdir(path, 0o700)
        sync(os.path.dirname(path) or os.curdir)
    except FileExistsError:
        if stat.S_ISREG(os.lstat(path).st_mode):
            raise StoreError(f"{path} is in the way of a folder; move it elsewhere") from None
        check_private(path, allow_readable=allow_readable)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreError(f"{path!r} cannot be made: {reason}") from None


def copy(source: str, target: str, expected: Digest, *, allow_readable: bool = False) -> None:
    """Copy a file, or leave nothing: StoreError if it is not what its digest says.

    Parameters
    ----------
    source, target : str
        Paths; a `target` that is there is replaced.
    expected : Digest
        Of the bytes that are copied.
    allow_readable : bool
        As for `check_private`, of `source`. The copy is private.
    """
    total, length = hashlib.sha256(), 0
    with opened(source, allow_readable=allow_readable) as file, writing(target) as copied:
        for chunk in chunks(source, file):
            total.update(chunk)
            length += len(chunk)
            put(copied, chunk)
        if Digest(total.hexdigest(), length) != expected:
            raise StoreError(f"{source} is damaged: it is not what was written; use another copy")


def write(path: str, data: bytes, *, replace: bool = True) -> None:
    """Write a small file whole, or leave what is there; see `writing`."""
    with writing(path, replace=replace) as file:
        put(file, data)


@contextmanager
def writing(path: str, *, replace: bool = True) -> Iterator[int]:
    """Give the descriptor of a new private file, which is at `path` when the block has ended.

    It is on the disk before it has that name, and so is the name before this returns. If the block
    raises, nothing has changed. Parts that writers which were killed left behind are removed.

    Parameters
    ----------
    path : str
        A link there is replaced, not what it leads to.
    replace : bool
        Whether it may take the place of another. Of two writers that may not, one is refused.

    Raises
    ------
    StoreError
        If it cannot be written, or is there already and may not be replaced.
    """
    folder, name = os.path.split(path)
    folder = folder or os.curdir
    try:
        file, part = _part(folder, name)
        try:
            yield file
            os.fsync(file)
            _name(part, path, replace)
        except BaseException:
            with suppress(OSError):
                os.unlink(part)
            raise
        finally:
            os.close(file)
        sync(folder)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from None
    _remove_left_over(folder)


def put(file: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of some bytes at the end of an open file."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view[:CHUNK]) :]


def _part(folder: str, name: str) -> tuple[int, str]:
    """Make a file of a name of its own, locked for as long as it is open."""
    while True:
        part = os.path.join(folder, f".{name}.{secrets.token_hex(8)}.part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            file = os.open(part, flags, 0o600)
        except ValueError as error:  # a null in the path
            raise StoreError(f"{part!r} cannot be written: {error}") from None
        with suppress(OSError):  # no locks on this file system; then none are taken for stale
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file).st_nlink:
            return file, part
        os.close(file)  # another writer locked it first, and removed it as left over


def _name(part: str, path: str, replace: bool) -> None:
    if replace:
        os.replace(part, path)
        return
    try:
        os.link(part, path)  # unlike renaming, this replaces nothing
    except FileExistsError:
        raise StoreError(f"{path} is there already, and is never written over") from None
    os.unlink(part)


def _remove_left_over(folder: str) -> None:
    """Remove parts that nobody holds a lock on: their writers are dead."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not PART.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
                continue
            with suppress(OSError):
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                file = os.open(entry.path, flags)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(entry.path)
                finally:
                    os.close(file)


def sync(folder: str) -> None:
    """Have the names in a folder on the disk."""
    inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(inside)
    finally:
        os.close(inside)
