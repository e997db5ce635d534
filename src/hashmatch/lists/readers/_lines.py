"""Lines of a text file from elsewhere, UTF-8 or UTF-16: numbered, bounded, and never trusted."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
from typing import TYPE_CHECKING, BinaryIO, Protocol

from hashmatch.errors import RejectedRow, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Buffer

MAX_LINE = 64 * 1024
"""Bytes. The longest honest row, a hash with a path and labels, is some hundreds."""

BLOCK = 1 << 15
"""Bytes of lines that are read together: few enough that a bad row costs few others their speed."""

NAME = re.compile(r"[A-Za-z0-9]{1,10}(?:[ _-][A-Za-z0-9]{1,10}){0,3}")
"""A plain name: up to four short words. A 64-bit hash takes eleven characters even in base64."""

HEX = re.compile(r"[0-9a-fA-F]{10,}")

BOM = b"\xef\xbb\xbf"


class Readable(Protocol):
    """A binary file object; it may be a pipe, or what comes over a network."""

    def read(self, size: int, /) -> bytes | None:
        """Return some bytes, none of them at the end."""
        ...


class DigestingFile(io.RawIOBase):
    """A file that is digested as it is read, once, so that a pipe will do as well."""

    def __init__(self, raw: Readable, on_read: Callable[[int], object] | None = None) -> None:
        self._raw = raw
        self._on_read = on_read
        self.size = 0
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        """Return True: a `io.BufferedReader` asks."""
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Fill `buffer`, all of it before the end, and return how much of it."""
        view, count = memoryview(buffer), 0
        while count < len(view):
            data = self._raw.read(len(view) - count)
            if not isinstance(data, bytes):
                raise UsageError("a list is read of a path, or of a file open in binary mode")
            if not data:
                break
            view[count : count + len(data)] = data
            count += len(data)
        self.digest.update(view[:count])
        self.size += count
        if self._on_read is not None:
            self._on_read(count)
        return count


def blocks_of_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the number of the first of some whole lines, and the lines; see `numbered_lines`.

    A line that is too long is cut to one byte more than `MAX_LINE`.
    """
    number = 1
    while block := stream.read(BLOCK):
        if not block.endswith(b"\n"):
            rest = stream.readline(MAX_LINE + 1)
            block += rest
            if len(rest) > MAX_LINE:
                while (rest := stream.readline(MAX_LINE + 1)) and not rest.endswith(b"\n"):
                    pass
            if not block.endswith(b"\n"):
                block += b"\n"
        if number == 1:
            block = block.removeprefix(BOM)
        yield number, block
        number += block.count(b"\n")


def numbered_lines(stream: BinaryIO) -> Iterator[tuple[int, str] | RejectedRow]:
    """Yield each line's number (from 1) and text without its end, or why it cannot be read.

    A byte-order mark and blank lines are passed over; at most `MAX_LINE` bytes are held.
    """
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            while not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE + 1)
                if not line:
                    break
            yield RejectedRow(number, f"the line is longer than {MAX_LINE:,} bytes")
            continue
        if number == 1:
            line = line.removeprefix(BOM)
        if b"\0" in line:
            yield RejectedRow(number, "the line has a NUL byte")
            continue
        line = line.rstrip(b"\r\n")
        if b"\r" in line:
            yield RejectedRow(number, "a carriage return in the line; end lines with line feeds")
            continue
        try:
            text = line.decode()
        except UnicodeDecodeError:
            yield RejectedRow(number, "the line is not UTF-8 text")
            continue
        if text.strip():  # blanks at its ends may be a row's empty cells
            yield number, text


def first_lines(head: bytes) -> list[str]:
    """Return the lines of the beginning of a file that say something; `head` may end anywhere."""
    text = head.removeprefix(BOM).decode(errors="replace")
    lines = (line.rstrip("\r") for line in text.split("\n"))
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def cells_of(text: str, delimiter: str = ",") -> list[str] | None:
    """Return the cells of a line of CSV; None if a quote is not closed, or stands inside one."""
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return None


def shown(text: str) -> str:
    """Return `text` for a message, or ``(hidden)`` if it is not surely a plain name.

    A file whose header is missing, or whose columns have slipped, has hashes where names are
    expected, and no message may show one.
    """
    digits = re.sub(r"[ _-]", "", text)
    plain = NAME.fullmatch(text) and not HEX.fullmatch(digits)
    return text if plain else "(hidden)"


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
