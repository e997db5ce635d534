"""Where compiled kernels may be kept. What is kept there is code that will be run.

Whoever can write to such a folder can have us run what he likes. So of the folders that are not
trusted as the package itself is, only one that nobody else can write to is read from at all.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Places(NamedTuple):
    """Folders to look for kernels in, in this order, and the one to keep new ones in, if any."""

    read: tuple[Path, ...]
    write: Path | None


@cache
def places(package: Path, chosen: str = "") -> Places:
    """Return where kernels of the sources in a folder are kept: up to the first writable place.

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
        if not _is_there(folder, must_be_private):
            continue
        read.append(folder)
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:  # full, or not ours to write to
            continue
        return Places(tuple(read), folder)
    return Places(tuple(read), None)


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


def _is_there(folder: Path, must_be_private: bool) -> bool:
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
