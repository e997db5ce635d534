"""A local folder, with all that is below it, or a single file."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes, unquote_to_bytes

from hashmatch.errors import SourceError
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError, ImageItem, escape_name
from hashmatch.sources._files import identity, look_at, read_local

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.records.enums import Surface


class DirectorySource:
    r"""Everything in a folder that is not a folder, in the order of its keys; or a single file.

    A key is the path below the folder with ``/`` between its parts, written as
    `hashmatch.records.images.escape_name` does; the order is that of the bytes of paths. Links to
    files are followed, links to folders are not: they may lead round in a circle. What cannot be
    read, a pipe for one, is listed all the same and ends in an outcome of its own; so does a folder
    that cannot be listed, ``folder/``. One that is removed during the listing is passed over, and
    counted.

    One folder at a time is held in memory, about 150 bytes for each name in it. A position is the
    path with what is no plain ASCII in it quoted as in a URL.
    """

    def __init__(self, location: str, surface: Surface) -> None:
        self._root = location
        self._surface = surface
        self.passed_over = Counter[str]()

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        """Yield every item once; SourceError if the whole folder cannot be listed."""
        self.passed_over = Counter()
        last = None if after is None else unquote_to_bytes(after)
        for name, path in walk(self._root, last, self.passed_over):
            version, size = look_at(path)
            yield ImageItem(
                key=escape_name(name),
                version=version,
                surface=self._surface,
                location=path,
                position=quote_from_bytes(name),
                size=size,
            )

    def identity(self) -> str:
        """Return its whole path and the surface."""
        return f"{identity(self._root)} {self._surface}"

    def read(self, item: ImageItem) -> bytes:
        """Return the content of `item`; ImageError if it is no file, too large or unreadable.

        ImageChanged, with the content, if it is another file than was listed.
        """
        if item.location.endswith("/"):
            raise ImageError(Outcome.FAILED, "a folder that cannot be listed: see who may read it")
        return read_local(item.location, item)

    def count(self) -> int:
        """Return how many items there are, by listing them all without looking at them."""
        return sum(1 for _ in walk(self._root))

    def close(self) -> None:
        """Do nothing: no file is open between two reads."""


def walk(
    root: str, after: bytes | None = None, passed_over: Counter[str] | None = None
) -> Iterator[tuple[bytes, str]]:
    """Yield name and path of every file below `root`, in the order of names; or `root` itself.

    Only names that come after `after`. A folder that cannot be listed is yielded itself, its name
    with a ``/`` at its end; SourceError if that is `root`, or it is not there.
    """
    place = os.fsencode(root)
    if not os.path.isdir(place):
        if not os.path.lexists(place):
            raise SourceError(
                f"cannot scan {root}: there is no such folder or file. Give one "
                "that is there, or a location such as s3://bucket/folder."
            )
        if after is None:
            yield os.path.basename(place), root
        return
    pending = [b""]
    while pending:
        name = pending.pop()
        path = os.fsdecode(os.path.join(place, name))
        if name and not name.endswith(b"/"):
            yield name, path
            continue
        try:
            inside = _listing(place, name)
        except OSError as error:
            if not name:
                raise SourceError(f"{root}: cannot be listed: {error.strerror}") from None
            if isinstance(error, FileNotFoundError):  # it was there a moment ago
                if passed_over is not None:
                    passed_over["folders that were removed"] += 1
            elif after is None or name > after:
                yield name, path
            continue
        if after is not None:
            # A folder comes after its own name, and is entered if `after` is below it.
            inside = [n for n in inside if n > after or (n.endswith(b"/") and after.startswith(n))]
        pending += sorted(inside, reverse=True)


def _listing(root: bytes, folder: bytes) -> list[bytes]:
    """Return the names of what is directly in `folder`; those of folders end in ``/``.

    With the stroke at the end, sorting one folder at a time gives the order of whole names.
    """
    with os.scandir(os.path.join(root, folder)) as entries:
        return [
            folder + entry.name + (b"/" if entry.is_dir(follow_symlinks=False) else b"")
            for entry in entries
        ]
