"""UTF-16 text with its byte-order mark, as spreadsheets save it, read as UTF-8."""

from __future__ import annotations

import codecs
import io
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

CHUNK = 32 * 1024


class Utf8File(io.RawIOBase):
    """The text of a UTF-16 file as UTF-8, converted while it is read.

    What is no UTF-16, such as half of a pair, becomes U+FFFD, which is in no hash: it spoils its
    row only.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._decoder = codecs.getincrementaldecoder("utf-16")("replace")
        self._held = b""

    @staticmethod
    def suits(head: bytes) -> bool:
        """Return whether a file that begins with `head` is UTF-16."""
        return head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))

    def readable(self) -> bool:
        """Return True: a `io.BufferedReader` asks."""
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Fill `buffer` and return how much of it; 0 at the end."""
        view = memoryview(buffer)
        while not self._held:
            data = self._raw.read(CHUNK)
            self._held = self._decoder.decode(data, final=not data).encode(errors="replace")
            if not data:
                break
        count = min(len(view), len(self._held))
        view[:count] = self._held[:count]
        self._held = self._held[count:]
        return count
