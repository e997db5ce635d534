"""A window that moves over a stream of bytes: bounded, searchable, and it knows its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from hashmatch.lists.lines import BOM

if TYPE_CHECKING:
    import re

CHUNK = 64 * 1024


class Window:
    """What is being looked at of `stream`, from ``place`` on; what lies before is forgotten.

    A byte-order mark is passed over.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.buffer = b""
        self.place = 0
        self.ended = False
        self._stream = stream
        self._line = 1
        self._counted = 0
        self.more()
        self.buffer = self.buffer.removeprefix(BOM)

    @property
    def line(self) -> int:
        """The line, from 1, of the place; to be asked for in order."""
        self._line += self.buffer.count(b"\n", self._counted, self.place)
        self._counted = max(self._counted, self.place)
        return self._line

    def more(self) -> None:
        """Read on, as much again as is held, so that growing to any size costs twice that."""
        _ = self.line
        self.buffer = self.buffer[self.place :]
        self._counted -= self.place
        self.place = 0
        data = self._stream.read(max(CHUNK, len(self.buffer)))
        self.ended = not data
        self.buffer += data

    def hold(self, size: int) -> None:
        """Read on until `size` bytes from the place on are held, or all there are."""
        while not self.ended and len(self.buffer) - self.place < size:
            self.more()

    def match(self, pattern: re.Pattern[bytes], limit: int, after: int = 0) -> bytes | None:
        """Return what `pattern` matches `after` bytes from the place; None if nothing.

        The place stays, and at most `limit` bytes from it are looked at. A match that reaches the
        end of what is held might go on: it is tried again with more.
        """
        while True:
            found = pattern.match(self.buffer, self.place + after, self.place + limit)
            if found and (found.end() < len(self.buffer) or self.ended):
                return found[0]
            if self.ended or len(self.buffer) - self.place > limit:
                return None
            self.more()

    def skip(self, pattern: re.Pattern[bytes]) -> None:
        """Pass over what `pattern`, which always matches, does, however long that is."""
        while True:
            found = pattern.match(self.buffer, self.place)
            self.place = found.end() if found else self.place
            if self.place < len(self.buffer) or self.ended:
                return
            self.more()

    def drain(self) -> None:
        """Give the rest up, but read it: the digest of a file is of all of it."""
        while not self.ended:
            self.place = len(self.buffer)
            self.more()
        self.place = len(self.buffer)
