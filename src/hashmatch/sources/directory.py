"""A local folder, with all that is below it, or a single file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hashmatch.decode.inputs import read_file
from hashmatch.errors import SourceError
from hashmatch.records.items import ImageItem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.records.enums import Surface


class DirectorySource:
    r"""Everything in a folder that is not a folder, in the order of its keys.

    A key is the path below the folder with ``/`` between its parts; bytes of a name that are no
    UTF-8 appear as ``\xNN``. Links to files are followed, links to folders are not: they may
    lead round in a circle. What cannot be read, a pipe for one, is listed all the same and ends
    in an outcome of its own.

    Parameters
    ----------
    location : str
        The folder or file.
    surface : Surface
        Of everything in it.
    """

    def __init__(self, location: str, surface: Surface) -> None:
        self._root = location
        self._surface = surface

    def items(self) -> Iterator[ImageItem]:
        """Yield every item once.

        Raises
        ------
        SourceError
            If the folder, or one below it, cannot be listed or is not there.
        """
        for key, entry_path in walk(self._root):
            yield ImageItem(
                key=key,
                version=_version(entry_path),
                surface=self._surface,
                location=entry_path,
            )

    def read(self, item: ImageItem) -> bytes:
        """Return the content of `item`; ImageError if it is no regular file or unreadable."""
        return read_file(Path(item.location))

    def count(self) -> int:
        """Return how many items there are, by listing them all without looking at them."""
        return sum(1 for _ in walk(self._root))


def walk(root: str) -> Iterator[tuple[str, str]]:
    """Yield the key and path of every file below `root`, in the order of keys; or `root` itself.

    Raises
    ------
    SourceError
        If a folder cannot be listed, or `root` is not there.
    """
    if not os.path.isdir(root):
        if not os.path.lexists(root):
            raise SourceError(f"{root}: no such folder or file")
        yield os.path.basename(root), root
        return
    pending = [""]
    while pending:
        key = pending.pop()
        if not key or key.endswith("/"):
            pending += sorted(_listing(root, key), reverse=True)
        else:
            yield key, os.path.join(root, key)


def _listing(root: str, folder: str) -> list[str]:
    """Return the keys of what is directly in `folder`; those of folders end in ``/``.

    With the stroke at the end, sorting one folder at a time gives the order of whole keys.
    """
    place = os.path.join(root, folder)
    try:
        with os.scandir(place) as entries:
            return [
                folder + entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "")
                for entry in entries
            ]
    except OSError as error:
        raise SourceError(f"{place}: cannot be listed: {error.strerror}") from None


def _version(path: str) -> str:
    """Return modification time in nanoseconds and size, which change when the content does."""
    try:
        status = os.stat(path)
    except OSError:  # gone since it was listed, or a link to nothing: reading it will say so
        return "unknown"
    return f"{status.st_mtime_ns}-{status.st_size}"
