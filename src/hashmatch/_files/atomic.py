"""The one write-then-rename: a file appears whole and on the disk, or what was there stays.

It is written as ``.NAME.<16 hexadecimal digits>.part`` in the same folder, and locked while its
writer lives. Another writer that finds such a part is refused if it is locked; otherwise its
writer is dead, and it is removed. A file that is added to, or written anew for as long as a command
runs, is locked itself. On file systems without locks the last of two writers wins.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from hashmatch._files.private import CHUNK, Digest, check_found, check_private, chunks, opened
from hashmatch.errors import SinkError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from hashmatch.errors import HashmatchError

PART = re.compile(r"[.](.+)[.][0-9a-f]{16}[.]part", re.DOTALL)
"""What a file is called until it is whole; the group is its name."""
TRIES = 5
"""Two writers that begin at one moment find each other; one of them is first the next time."""
BUSY = "it is being written by another process. Wait, or choose another name."
OPEN_FILES = frozenset({"/dev", "/dev/fd", "/proc/self/fd"})
"""Folders of links to what this process has open: never replaced."""


class NewFile:
    """A file on its way to its place. What goes wrong is an OSError; the functions below word it.

    A link at `path` is replaced, not what it leads to. `mode` is less what the umask takes away,
    and `replace` whether it may take the place of another. `file` is its descriptor, open for
    reading and writing. `ours` says that what is there is locked by ourselves.
    """

    def __init__(
        self, path: str, *, mode: int = 0o600, replace: bool = True, ours: bool = False
    ) -> None:
        self._path, self._replace = path, replace
        folder, name = os.path.split(path)
        self._folder = folder or os.curdir
        if "\0" in path:
            raise OSError(errno.EINVAL, "its name has a null in it")
        with suppress(FileNotFoundError):
            found = os.lstat(path).st_mode
            if not replace:
                raise _already_there()
            if not (stat.S_ISREG(found) or stat.S_ISLNK(found)):
                is_folder = stat.S_ISDIR(found)
                raise OSError(0, "it is a folder" if is_folder else "it is no ordinary file")
            if stat.S_ISREG(found) and not ours and _is_locked(path):
                raise OSError(errno.EBUSY, BUSY)
        self.file, self._part = _part(self._folder, name, mode)
        self._is_open = True

    def commit(self, *, keep_open: bool = False) -> None:
        """Put it in its place: it is on the disk before, and so is its name before this returns.

        With `keep_open` it stays locked until its descriptor is closed.
        """
        os.fsync(self.file)
        if self._replace:
            os.replace(self._part, self._path)
        else:
            _name_new(self._part, self._path)
        if keep_open:
            self._is_open = False
        else:
            self._close()
        sync(self._folder)

    def discard(self, keep_as: str | None = None) -> None:
        """Remove it, or leave what there is of it, if anything, under another name."""
        if self._is_open:
            with suppress(OSError):
                if keep_as is None or not os.fstat(self.file).st_size:
                    os.unlink(self._part)
                else:
                    os.replace(self._part, keep_as)
            self._close()

    def _close(self) -> None:
        self._is_open = False
        with suppress(OSError):  # it is synced by now, or of no use
            os.close(self.file)


@contextmanager
def writing(
    path: str,
    *,
    mode: int = 0o600,
    replace: bool = True,
    error: type[HashmatchError] = StoreError,
) -> Iterator[int]:
    """Give the descriptor of a new file, which is at `path` when the block has ended.

    `path`, `mode` and `replace` are as for `NewFile`. If the block raises, nothing has changed. An
    `error` is raised if it cannot be written, if another process is writing it, or if it is there
    already and may not be replaced; an OSError of the block becomes one too.
    """
    try:
        new = NewFile(path, mode=mode, replace=replace)
        try:
            yield new.file
            new.commit()
        finally:
            new.discard()
    except OSError as reason:
        raise _cannot_write(path, reason, error) from None


def write(
    path: str,
    data: bytes,
    *,
    mode: int = 0o600,
    replace: bool = True,
    error: type[HashmatchError] = StoreError,
) -> None:
    """Write a small file whole, or leave what is there; see `writing`."""
    with writing(path, mode=mode, replace=replace, error=error) as file:
        put(file, data)


def write_new(path: str, data: bytes, *, error: type[HashmatchError] = StoreError) -> bool:
    """Write a small file whole, unless there is one; return whether it is ours.

    Of several writers at once, whichever machine they are on, the first to finish wins, and none
    waits for another: one that hangs holds up nobody. Raises an `error` if it cannot be written.
    """
    folder, name = os.path.split(path)
    part = os.path.join(folder, f".{name}.{secrets.token_hex(8)}.part")
    try:
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with suppress(OSError):  # no locks on this file system
                fcntl.flock(file, fcntl.LOCK_EX)
            put(file, data)
            os.fsync(file)
            _name_new(part, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(part)
            raise
        finally:
            os.close(file)
        sync(folder or os.curdir)
    except FileExistsError:
        return False
    except OSError as reason:
        raise _cannot_write(path, reason, error) from None
    return True


def put(file: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of some bytes at the end of an open file."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view[:CHUNK]) :]


class LiveFile:
    """A small file that is written anew again and again, and by nobody else meanwhile.

    Raises an `error` as `writing` does. `close` leaves the file, for others to write.
    """

    def __init__(self, path: str, *, mode: int = 0o600, error: type[HashmatchError]) -> None:
        self._path, self._mode, self._error = path, mode, error
        self._held: int | None = None

    def write(self, data: bytes) -> None:
        """Put `data` in its place, whole."""
        try:
            new = NewFile(self._path, mode=self._mode, ours=self._held is not None)
            try:
                put(new.file, data)
                new.commit(keep_open=True)
            except BaseException:
                new.discard()
                raise
        except OSError as reason:
            raise _cannot_write(self._path, reason, self._error) from None
        self.close()
        self._held = new.file

    def close(self) -> None:
        """Let others write it."""
        if self._held is not None:
            os.close(self._held)
            self._held = None


class OutputFile:
    """Text for standard output, or for a file that appears when it is finished.

    Pipes and devices are written as they are. A ``with`` statement closes it, or abandons it after
    an error. Raises SinkError if it cannot be written, or another process is writing it.

    A `path` of None is standard output. A file is readable by its owner only: records are about
    people. With `keep`, what there is of an abandoned file is left as ``NAME.part``; otherwise
    nothing is. With `append` it adds to what is there, as to a log: each `write` is there at once,
    a line that was cut off by a kill is ended first, and nobody else adds to it meanwhile.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None, *, keep: bool = False, append: bool = False
    ) -> None:
        self._path = "standard output" if path is None else os.fspath(path)
        self._part = f"{self._path}.part" if keep else None
        self._new: NewFile | None = None
        self._file: TextIO | None = None
        if path is None:
            return
        try:
            if append or _is_stream(self._path):
                how = os.O_RDWR | os.O_CREAT if append else os.O_WRONLY
                flags = how | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
                file = os.open(self._path, flags, 0o600)
                if append and not _is_stream(self._path):
                    _check_log(file, self._path)
                    _lock_alone(file, self._path)
            else:
                self._new = NewFile(self._path)
                file = self._new.file
            is_ours = self._new is None
            self._file = open(file, "w", encoding="utf-8", newline="", closefd=is_ours)  # noqa: SIM115
        except OSError as error:
            raise _cannot_write(self._path, error, SinkError) from None
        if append and _is_torn(file):
            self.write("\n")

    def write(self, text: str) -> None:
        """Write `text` and hand it to the system: a record survives the end of the process.

        The command line hands over what goes to a pipe within about a second.
        """
        # Standard output is looked up each time: a progress bar may stand in for it by now.
        file = sys.stdout if self._file is None else self._file
        try:
            file.write(text)
            file.flush()
        except BrokenPipeError:  # the reader has seen enough; the command line ends quietly
            raise
        except OSError as error:
            self.abandon()
            raise _cannot_write(self._path, error, SinkError) from None

    def close(self) -> None:
        """Put a finished file in its place, and remove what an abandoned one has left."""
        try:
            if self._file is not None:
                self._file.close()
            if self._new is not None:
                self._new.commit()
                if self._part is not None:
                    with suppress(OSError):
                        os.unlink(self._part)
        except BaseException as error:
            self.abandon()
            if isinstance(error, OSError):
                raise _cannot_write(self._path, error, SinkError) from None
            raise

    def abandon(self) -> None:
        """Stop early."""
        if self._file is not None:
            # What could not be written has been reported already, as the reason to stop.
            with suppress(OSError):
                self._file.close()
        if self._new is not None:
            self._new.discard(self._part)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


def copy(source: str, target: str, expected: Digest, *, allow_readable: bool = False) -> None:
    """Copy a file, or leave nothing: StoreError if it is not what its digest says.

    A `target` that is there is replaced; the copy is private. `allow_readable` is as for
    `check_private`, of `source`.
    """
    total, length = hashlib.sha256(), 0
    with opened(source, allow_readable=allow_readable) as file, writing(target) as copied:
        for chunk in chunks(source, file):
            total.update(chunk)
            length += len(chunk)
            put(copied, chunk)
        if Digest(total.hexdigest(), length) != expected:
            raise StoreError(
                f"cannot read {source}: it is damaged, and not what was written. Use another copy"
            )


def move(path: str, target: str) -> None:
    """Give a file that is on the disk another name in its folder, on the disk too."""
    os.replace(path, target)
    sync(os.path.dirname(target) or os.curdir)


def make_folder(path: str, *, allow_readable: bool = False) -> None:
    """Make a folder that only its owner may enter; one that is there is checked instead.

    The folder above it must be there; `allow_readable` is as for `check_private`. Raises StoreError
    if it cannot be made, or is none of our own.
    """
    try:
        os.mkdir(path, 0o700)
        sync(os.path.dirname(path) or os.curdir)
    except FileExistsError:
        if stat.S_ISREG(os.lstat(path).st_mode):
            raise StoreError(
                f"cannot make a folder in the place of {path}: it is a file. Move it elsewhere"
            ) from None
        check_private(path, allow_readable=allow_readable)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreError(f"cannot make {path!r}: {reason}") from None


@contextmanager
def locked(path: str, busy: str | None = None) -> Iterator[None]:
    """Hold the lock of a file made for that; the system lets go of it for a process that dies.

    If somebody else holds it, that is waited for, or with `busy` a StoreError says so.
    """
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"cannot make {path}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except OSError as error:
            raise StoreError(busy or f"{path} cannot be locked: {error.strerror}") from None
        yield
    finally:
        os.close(lock)


def sync(folder: str) -> None:
    """Have the names in a folder on the disk, where there is a way to."""
    try:
        inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(inside)
        finally:
            os.close(inside)
    except OSError as error:
        # A folder that we may write to and not read, or a file system that syncs none.
        if error.errno not in {errno.EACCES, errno.EINVAL}:
            raise


def remove_left_over(folder: str, name: str | None = None, besides: str | None = None) -> bool:
    """Remove the parts of dead writers, and return whether there is one of a writer that lives.

    They are parts of the file called `name` in a folder, or of every file there; the one at the
    path `besides` is not looked at.
    """
    is_written = False
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = PART.fullmatch(entry.name)
            if found is None or name not in {None, found[1]} or entry.path == besides:
                continue
            if entry.is_file(follow_symlinks=False) and not _removed(entry.path):
                is_written = True
    return is_written


def _removed(part: str) -> bool:
    """Remove a part, or return False because its writer lives."""
    try:
        file = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # it has just been renamed, or is of somebody else
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(part)  # if its writer has just renamed it, nothing has this name any more
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        os.close(file)
    return True


def _part(folder: str, name: str, mode: int) -> tuple[int, str]:
    """Make a part and lock it; nobody else is writing that name."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    for _ in range(TRIES):
        part = os.path.join(folder, f".{name}.{secrets.token_hex(8)}.part")
        file = os.open(part, flags, mode)
        with suppress(OSError):  # no locks on this file system
            fcntl.flock(file, fcntl.LOCK_EX)
        # Another writer may have locked it first, and removed it as left over.
        if os.fstat(file).st_nlink and not remove_left_over(folder, name, part):
            return file, part
        with suppress(OSError):
            os.unlink(part)
        os.close(file)
        time.sleep(secrets.randbelow(20) / 1000)
    raise OSError(errno.EBUSY, BUSY)


def _is_locked(path: str) -> bool:
    """Return whether somebody adds to a file, or writes it anew, as long as they run."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # what we may not read is no log of ours
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # two who ask do not find each other
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(file)
    return False


def _check_log(file: int, path: str) -> None:
    """Refuse a file that others can read or write; close it then."""
    try:
        check_found(path, os.fstat(file), allow_readable=False, error=SinkError)
    except SinkError:
        os.close(file)
        raise


def _lock_alone(file: int, path: str) -> None:
    """Lock a file that is added to; close it, and raise OSError, if somebody else writes it."""
    folder, name = os.path.split(path)
    for _ in range(TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # or somebody only asks whether it is locked
            time.sleep(secrets.randbelow(20) / 1000)
            continue
        except OSError:  # no locks on this file system
            return
        if not remove_left_over(folder or os.curdir, name):
            return
        break
    os.close(file)
    raise OSError(errno.EBUSY, BUSY)


def _name_new(part: str, path: str) -> None:
    """Give a part its name, unless something has that by now."""
    try:
        os.link(part, path)  # unlike renaming, this replaces nothing
    except FileExistsError:
        raise _already_there() from None
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP} or os.path.lexists(path):
            raise
        os.rename(part, path)  # no links on this file system
    else:
        os.unlink(part)


def _is_stream(path: str) -> bool:
    """Return whether a path is a pipe, a device, or a name of what is open already."""
    if os.path.dirname(os.path.abspath(path)) in OPEN_FILES:
        return True
    with suppress(FileNotFoundError, ValueError):
        found = os.stat(path).st_mode
        return not (stat.S_ISREG(found) or stat.S_ISDIR(found))
    return False


def _is_torn(file: int) -> bool:
    """Return whether what is in a file does not end with the end of a line."""
    try:
        size = os.lseek(file, 0, os.SEEK_END)
        return size > 0 and os.pread(file, 1, size - 1) != b"\n"
    except OSError:  # a pipe or a terminal
        return False


def _already_there() -> OSError:
    return FileExistsError(errno.EEXIST, "it is there already, and is never written over")


def _cannot_write(path: str, reason: OSError, error: type[HashmatchError]) -> HashmatchError:
    name = repr(path) if "\0" in path else path
    return error(f"cannot write {name}: {reason.strerror or reason}")
