"""How kernels are compiled, and where their compiled code is kept.

Numba's own cache (``cache=True``) is not enough in three ways. It never reads from where it cannot
write, so what was compiled into a container image is compiled again by every container. It takes
any folder that it can write to, be it another user's. And it numbers the code of all signatures of
a function in one index: two processes that compile two of them at once may give both the same
number, and one runs the other's code ever after. So here each signature, processor and version of
numba and of the sources has files of its own. They are written and read with parts of numba that
are not public: if one of them is missing or fails, numba's own cache takes over, and the logger
``hashmatch.kernels`` warns once. It also says at INFO what is being compiled, and for how long.

What is kept is code that will be run, so anyone who can write to such a folder can make us run what
they likes. Of the folders that are not trusted as the package itself is, only one that nobody else
can write to is read from at all.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import stat
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import numba
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

F = TypeVar("F", bound="Callable[..., Any]")

LOG = logging.getLogger("hashmatch.kernels")
kernels: list[Any] = []
"""Every kernel of this process that is kept, as numba's dispatcher."""


def _digest() -> str:
    """Return what changes whenever any kernel's source does."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


DIGEST = _digest()


def kernel(function: F) -> F:
    """Compile `function` without the GIL, kept on disk where that is possible and safe.

    Nothing is compiled before the first call. IEEE order of operations is kept (no fastmath):
    PDQ's bits depend on it. Where kernels are kept, `cache_folders` says.
    """
    compiled: Any = njit(nogil=True, error_model="numpy")(function)
    if compiled is not function:  # as it is with the JIT disabled
        file = Path(inspect.getfile(function))
        if file.is_file() and function.__closure__ is None:  # else its file does not say what it is
            kernels.append(compiled)
            try:
                compiled._cache = KernelCache(compiled, file)
            except Exception as error:
                use_numba_cache(compiled, error)
    return cast("F", compiled)


def inlined(function: F) -> F:
    """Compile `function` into every kernel that calls it, as if it were written there."""
    return cast("F", njit(inline="always", error_model="numpy")(function))


class KernelCache:
    """What numba asks before it compiles a kernel, and gives what it has compiled.

    Parameters
    ----------
    dispatcher : numba dispatcher
        The kernel. AttributeError is raised if it wants to be given another kind of cache.
    file : Path
        Its source.
    """

    def __init__(self, dispatcher: Any, file: Path) -> None:
        self._dispatcher, self._none = dispatcher, dispatcher._cache
        asked = {name for name in dir(self._none) if not name.startswith("_")}
        if unknown := sorted(asked - {*dir(self)}):
            raise AttributeError(f"its dispatchers ask a cache for {', '.join(unknown)}")
        self._package, self._name = file.parent, f"{file.stem}.{dispatcher.py_func.__qualname__}"
        own = hashlib.sha256(file.read_bytes()).hexdigest()
        self._stamp = f"{sys.implementation.cache_tag} {numba.__version__} {DIGEST} {own}"
        self._numba_cache: Any = None
        self._is_unreadable = False
        self._context: Any = None
        self._kept: list[Path | None] = []

    @property
    def cache_path(self) -> str | None:
        """The folder in which its compiled code is; None if some of it is not kept."""
        if self._numba_cache is not None:
            return cast("str | None", self._numba_cache.cache_path)
        return None if None in self._kept or not self._kept else str(self._kept[-1])

    def load_overload(self, *args: Any) -> Any:
        """Return the code kept for a signature and a target, None if there is none."""
        return self._or_numba("load_overload", self._load, *args)

    def save_overload(self, *args: Any) -> None:
        """Keep the code of a signature."""
        self._or_numba("save_overload", self._save, *args)

    def enable(self) -> None:
        """Do nothing: it always is."""

    disable = flush = enable

    def _or_numba(self, name: str, own: Callable[..., Any], *args: Any) -> Any:
        """Do something our own way or, once that has failed, as numba's own cache does it."""
        if self._numba_cache is None:
            try:
                return own(*args)
            except Exception as error:
                self._dispatcher._cache = self._none
                use_numba_cache(self._dispatcher, error)
                self._numba_cache, self._dispatcher._cache = self._dispatcher._cache, self
        with suppress(Exception):  # nothing of this may cost more than compiling again
            return getattr(self._numba_cache, name)(*args)
        return None

    @property
    def _folders(self) -> CacheFolders:
        return cache_folders(self._package, numba.config.CACHE_DIR)

    def _file(self, folder: Path, key: Any) -> Any:
        digest = hashlib.sha256(repr((self._stamp, key)).encode()).hexdigest()[:16]
        name = f"{self._name}-{digest}".replace("<", "").replace(">", "")
        return _parts()[0](str(folder), name, self._stamp)

    def _load(self, signature: Any, context: Any) -> Any:
        self._context = context
        context.refresh()
        _, rebuild = _parts()
        key = signature, context.codegen().magic_tuple()  # of the processor
        for folder in self._folders.read:
            try:
                kept = self._file(folder, key).load(key)
                if kept is not None:
                    result = rebuild(context, *kept)
                    self._kept.append(folder)
                    return result
            except Exception:  # a file cut short by a crash, or not to be read: compiling mends it
                self._is_unreadable = True
        return None

    def _save(self, signature: Any, result: Any) -> None:
        folder = None if result.library.has_dynamic_globals else self._folders.write
        if folder is None:
            self._warn("no folder can be written that is private to this user")
            return
        key = signature, result.codegen.magic_tuple()
        file = self._file(folder, key)
        try:
            file.flush()  # an index cut short would be read before it is written
            file.save(key, result._reduce())
        except OSError as error:  # the disk is full, or the folder gone
            self._warn(f"{folder}: {error.strerror}")
            return
        if self._is_unreadable:  # was it the file, or can numba no longer read what it writes?
            _parts()[1](self._context, *file.load(key))
        self._kept.append(folder)

    def _warn(self, reason: str) -> None:
        self._kept.append(None)
        warn_once(
            "folder",
            f"compiled kernels cannot be kept, so every process compiles them again: {reason}. Set "
            "NUMBA_CACHE_DIR to such a folder, or run `hashmatch warm` as a user who may write to "
            "the installed package.",
        )


def _parts() -> tuple[Any, Any]:
    """Return what is not public of numba and needed, or fail before any of it is used."""
    from numba.core.caching import IndexDataCacheFile
    from numba.core.codegen import CodeLibrary
    from numba.core.compiler import CompileResult

    _ = CompileResult._reduce, CodeLibrary.has_dynamic_globals
    return IndexDataCacheFile, CompileResult._rebuild


def use_numba_cache(dispatcher: Any, error: Exception) -> None:
    """Let numba's own cache keep a kernel, and warn once what of numba failed."""
    warn_once(
        "numba",
        f"numba {numba.__version__} lacks a part that keeps compiled kernels "
        f"({type(error).__name__}: {error}): its own cache is used instead, and kernels may be "
        "compiled again. Update hashmatch, or install an older numba.",
    )
    with suppress(Exception):  # RuntimeError, where it has no folder to write to
        dispatcher.enable_caching()


_warned: set[str] = set()


def warn_once(of: str, text: str) -> None:
    """Warn, unless this process was warned of the same before."""
    if of not in _warned:
        _warned.add(of)
        LOG.warning(text)


class CacheFolders(NamedTuple):
    """Folders to look for kernels in, in this order, and the one to keep new ones in, if any."""

    read: tuple[Path, ...]
    write: Path | None


@cache
def cache_folders(package: Path, chosen: str = "") -> CacheFolders:
    """Return where kernels of the sources in a folder are kept: up to the first writable one.

    1. the folder that was `chosen` by setting NUMBA_CACHE_DIR;
    2. ``__pycache__`` beside the sources, where Python's own compiled code is;
    3. the user's cache directory, XDG_CACHE_HOME or else ``~/.cache``;
    4. ``hashmatch-<user id>`` in the directory for temporary files.

    Kernels are also read from those before the writable one, so that what was compiled when an
    image was built is found by a process that may not write there. The last two, which others may
    have been able to put something into, count only if they are private to the user.

    Parameters
    ----------
    package : Path
        The folder of the sources.
    chosen : str, optional
        An absolute path; other kernels may be kept there too.
    """
    read = []
    for folder, must_be_private in _candidates(package, chosen):
        if not _is_usable(folder, must_be_private):
            continue
        read.append(folder)
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:  # full, or not ours to write to
            continue
        return CacheFolders(tuple(read), folder)
    return CacheFolders(tuple(read), None)


def _candidates(package: Path, chosen: str) -> Iterator[tuple[Path, bool]]:
    """Yield folders, and whether they have to be private."""
    # Packages of one name may be installed in several environments.
    own = f"{package.name}-{hashlib.sha256(os.fsencode(package)).hexdigest()[:12]}"
    if chosen:
        yield Path(chosen).absolute() / own, False
    yield package / "__pycache__", False
    # A user whom the system does not know, as in a container, has no home: "~" then stays "~".
    for user in (os.environ.get("XDG_CACHE_HOME", ""), os.path.expanduser("~/.cache")):
        if os.path.isabs(user):
            yield Path(os.path.realpath(user), "hashmatch", own), True
            break
    for temporary in (os.environ.get("TMPDIR", ""), "/tmp", "/var/tmp"):  # noqa: S108  (private)
        if os.path.isabs(temporary):
            yield Path(os.path.realpath(temporary), f"hashmatch-{os.geteuid()}-{own}"), True


def _is_usable(folder: Path, must_be_private: bool) -> bool:
    """Make a folder, unless it is there, and say whether it is now and may be used."""
    try:
        folder.mkdir(mode=0o700 if must_be_private else 0o777, parents=True, exist_ok=True)
        return is_private(folder) if must_be_private else os.access(folder, os.R_OK | os.X_OK)
    except OSError:
        return False


def is_private(folder: Path) -> bool:
    """Say whether only this user and root can put files into a folder, or another in its place.

    Each folder above it must belong to one of them too, and be writable for nobody else unless it
    is sticky, as /tmp is: there, nobody can move what belongs to others.
    """
    for at in (folder, *folder.parents):
        found = at.lstat()
        is_sticky = at != folder and found.st_mode & stat.S_ISVTX
        is_open = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not is_sticky
        if not stat.S_ISDIR(found.st_mode) or is_open:
            return False
        if found.st_uid not in {0, os.geteuid()}:
            return False
    return True


def _report_compiling() -> None:
    """Have the log say which kernel somebody waits for, and for how long."""
    from numba.core import event

    class Reporter(event.Listener):  # type: ignore[misc]
        depth, start = 0, 0.0  # one thread at a time compiles a kernel, and within it what it calls

        def on_start(self, begun: Any) -> None:
            if begun.data["dispatcher"] in kernels:
                self.depth += 1
                if self.depth == 1:
                    self.start = time.perf_counter()
                    LOG.info("compiling kernel %s for this processor", _name(begun))

        def on_end(self, ended: Any) -> None:
            if ended.data["dispatcher"] in kernels:
                self.depth -= 1
                if self.depth == 0:
                    seconds = time.perf_counter() - self.start
                    text = "compiled kernel %s in %.1f s"
                    LOG.info(text, _name(ended), seconds, extra={"seconds": seconds})

    def _name(event: Any) -> str:
        function = event.data["dispatcher"].py_func
        return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"

    event.register("numba:compile", Reporter())


with suppress(Exception):  # where numba has no such events, nothing is said of it
    _report_compiling()
