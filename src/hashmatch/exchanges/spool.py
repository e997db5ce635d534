"""Pages of a fetch on their way into a store, and how it continues: what survives a kill.

::

    fetch/                          0700
      fetch.json                    which pages there are, and the position after the last
      NAME-000001.page              pages as they were served, encrypted if the store is

A page is there before `fetch.json` counts it, so that a fetch that is killed continues after the
last page that was counted. All of it is removed once a version of the store has the pages.
"""

from __future__ import annotations

import io
import os
import shutil
from datetime import datetime  # noqa: TC003 - msgspec reads the annotation
from typing import TYPE_CHECKING

import msgspec

from hashmatch._files import atomic, private
from hashmatch._redact import unseen
from hashmatch.errors import StoreError
from hashmatch.records.typed import from_json
from hashmatch.store.encryption import decrypt, encrypt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashmatch.store.encryption import ListKey

MOST = 1 << 20
"""Bytes of `fetch.json`."""


class Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How far a fetch is.

    Parameters
    ----------
    exchange : str
        What tells exchanges and their options apart.
    since : str, optional
        The checkpoint that it began with; None of a fetch of all of the list.
    at : datetime
        When it began.
    pages, rows : int
        How many there are, and rows in them.
    position : str, optional
        How it continues; None at its beginning.
    checkpoint : str, optional
        Where the next one continues; None until the last page is there.
    refused : bool
        Whether the store has refused the pages.
    """

    exchange: str
    since: str | None
    at: datetime
    pages: int = 0
    rows: int = 0
    position: str | None = None
    checkpoint: str | None = None
    refused: bool = False


class Spool:
    """The folder of a fetch that is under way, or was interrupted.

    Parameters
    ----------
    folder : str
        Where it is; made with the first page.
    name : str
        What its pages are called, before their numbers.
    key : ListKey, optional
        Of the store: pages are encrypted with it.
    """

    def __init__(self, folder: str, name: str, key: ListKey | None) -> None:
        self.folder, self._name, self._key = folder, name, key

    def progress(self) -> Progress | None:
        """Return how far the fetch is; None if there is none, or nothing of it can be used."""
        path = os.path.join(self.folder, "fetch.json")
        if not os.path.lexists(path):
            return None
        try:
            return from_json(private.read(path, MOST), Progress)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return None

    def begin(self, progress: Progress) -> None:
        """Begin anew."""
        self.clear()
        atomic.make_folder(self.folder)
        self.note(progress)

    def note(self, progress: Progress) -> None:
        """Keep how far the fetch is."""
        path = os.path.join(self.folder, "fetch.json")
        atomic.write(path, msgspec.json.encode(progress))

    def put(self, number: int, data: Iterable[bytes]) -> Page:
        """Write a page, whole or not at all, in the place of one of that number."""
        page = self.page(number)
        if self._key is not None:
            encrypt(page.path, data, self._key)
        else:
            with atomic.writing(page.path) as file:
                for piece in data:
                    atomic.put(file, piece)
        return page

    def page(self, number: int) -> Page:
        """Return a page, to be read."""
        name = f"{self._name}-{number:06}.page"
        return Page(os.path.join(self.folder, name), self._key)

    def clear(self) -> None:
        """Remove all of it: first what says that it is there."""
        path = os.path.join(self.folder, "fetch.json")
        try:
            if os.path.lexists(path):
                os.unlink(path)
            if os.path.isdir(self.folder):
                shutil.rmtree(self.folder)
        except OSError as error:
            raise StoreError(
                f"cannot remove {self.folder}: {error.strerror}. Remove it by hand."
            ) from None


class Page(io.RawIOBase):
    """A page as a binary file, which is opened when it is first read, and is read once."""

    def __init__(self, path: str, key: ListKey | None) -> None:
        self.path, self._key = path, key
        self._pieces: Iterator[bytes] | None = None
        self._left = b""

    @property
    def name(self) -> str:
        """Its path, for messages."""
        return self.path

    def __repr__(self) -> str:
        return f"<Page {self.path}>"

    def readable(self) -> bool:
        """Return True."""
        return True

    @unseen
    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read some bytes; none at the end."""
        if self._pieces is None:
            self._pieces = self._read()
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = piece
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def _read(self) -> Iterator[bytes]:
        with private.opened(self.path) as file:
            if self._key is None:
                yield from private.chunks(self.path, file)
            else:
                yield from decrypt(self.path, file, self._key)
