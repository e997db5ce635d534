"""A local folder, with all that is below it, or a single file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes, unquote_to_bytes

from hashmatch.errors import SourceError
from hashmatch.records.images import ImageItem
from hashmatch.sources._files import identity, look_at, read_local

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.records.enums import Surface


class DirectorySource:
    r"""Everything in a folder that is not a folder, in the order of its keys; or a single file.

    A key is the path below the folder with ``/`` between its parts; bytes of a name that are no
    UTF-8 appear as ``\xNN``. Links to files are followed, links to folders are not: they may lead
    round in a circle. What cannot be read, a pipe for one, is listed all the same and ends in an
    outcome of its own. A folder that is removed during the listing is passed over.

    One folder at a time is held in memory, about 150 bytes for each name in it. A position is the
    key with what is no plain ASCII in it quoted as in a URL.
    """

    def __init__(self, location: str, surface: Surface) -> None:
        self._root = location
        self._surface = surface

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        """Yield every item once; SourceError if a folder cannot be listed or is not there."""
        last = None if after is None else os.fsdecode(unquote_to_bytes(after))
        for key, entry_path in walk(self._root, last):
            version, size = look_at(entry_path)
            yield ImageItem(
                key=key,
                version=version,
                surface=self._surface,
                location=entry_path,
                position=quote_from_bytes(os.fsencode(key)),
                size=size,
            )

    def identity(self) -> str:
        """Return its whole path and the surface."""
        return f"{identity(self._root)} {self._surface}"

    def read(self, item: ImageItem) -> bytes:
        """Return the content of `item`; ImageError if it is no file, too large or unreadable.

        ImageChanged, with the content, if it is another file than was listed.
        """
        return read_local(item.location, item)

    def count(self) -> int:
        """Return how many items there are, by listing them all without looking at them."""
        return sum(1 for _ in walk(self._root))

    def close(self) -> None:
        """Do nothing: no file is open between two reads."""


def walk(root: str, after: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield the key and path of every file below `root`, in the order of keys; or `root` itself.

    Only keys that come after `after`. SourceError if a folder cannot be listed, or `root` is not
    there.
    """
    if not os.path.isdir(root):
        if not os.path.lexists(root):
            raise SourceError(f"{root}: no such folder or file")
        if after is None:
            yield os.path.basename(root), root
        return
    pending = [""]
    while pending:
        key = pending.pop()
        if not key or key.endswith("/"):
            inside = _listing(root, key)
            if after is not None:
                # A folder comes after its own name, and is entered if `after` is below it.
                inside = [k for k in inside if k > after or (k[-1] == "/" and after.startswith(k))]
            pending += sorted(inside, reverse=True)
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
    except FileNotFoundError:
        if folder:  # it was there a moment ago
            return []
        raise SourceError(f"{place}: no such folder or file") from None
    except OSError as error:
        raise SourceError(f"{place}: cannot be listed: {error.strerror}") from None
