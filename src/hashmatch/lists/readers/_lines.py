"""Lines and CSV records of text from elsewhere: numbered, bounded, and never trusted."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
from collections import deque
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeAlias

from hashmatch.errors import RejectedRow, UsageError
from hashmatch.records.images import clean_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from typing_extensions import Buffer

Line: TypeAlias = tuple[int, str]
"""A line's number, from 1, and its text without its end."""

MAX_LINE = 64 * 1024
"""Bytes. The longest honest row, a hash with a path and labels, is some hundreds."""

BLOCK = 1 << 15
"""Bytes of lines that are read together: few enough that a bad row costs few others their speed."""

WORD = re.compile(r"[A-Z]?[a-z]+\d{0,4}|[A-Z]+\d{0,4}|\d{1,4}")
"""Of the words of a name: each run of one case, with few digits."""
SHORTEST_HASH = 11
"""Characters of a 64-bit hash in base64, the shortest way to write any."""
HASH_LENGTHS = {11, 12, 13, 22, 24, 26, 27, 28, 32, 43, 44, 52}
"""Characters of a hash of 64, 128, 160 or 256 bits in base64 or base32."""
HEX = re.compile(r"[0-9a-fA-F]{10,}")
LONGEST_SHOWN = 100

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
                raise UsageError(
                    "cannot read a list from a file that is open as text. Give a path, or a file "
                    "open in binary mode"
                )
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


def numbered_lines(
    stream: BinaryIO, *, returns: bool = False, longest: int = MAX_LINE
) -> Iterator[Line | RejectedRow]:
    """Yield each line's number (from 1) and text without its end, or why it cannot be read.

    A byte-order mark and blank lines are passed over; at most `longest` bytes are held. With
    `returns` a line may have carriage returns, as in quoted cells.
    """
    number = 0
    while line := stream.readline(longest + 1):
        number += 1
        if len(line) > longest:
            while not line.endswith(b"\n"):
                line = stream.readline(longest + 1)
                if not line:
                    break
            yield RejectedRow(number, f"the line is longer than {longest:,} bytes")
            continue
        if number == 1:
            line = line.removeprefix(BOM)
        if b"\0" in line:
            yield RejectedRow(number, "the line has a NUL byte")
            continue
        line = line.rstrip(b"\r\n")
        if b"\r" in line and not returns:
            yield RejectedRow(number, IN_LINE)
            continue
        try:
            text = line.decode()
        except UnicodeDecodeError:
            yield RejectedRow(number, NO_TEXT)
            continue
        if text.strip():  # blanks at its ends may be a row's empty cells
            yield number, text


IN_LINE = "a carriage return in the line; end lines with line feeds"
NO_TEXT = "the line is not UTF-8 text; if all of the list is in another, name it (--charset cp1251)"


def whole_lines(head: bytes) -> bytes:
    """Return the beginning of a file, which may end anywhere, up to the end of its last line."""
    return head[: head.rfind(b"\n") + 1] or head


def first_lines(head: bytes) -> list[str]:
    """Return the lines of the beginning of a file that say something; `head` may end anywhere."""
    text = head.removeprefix(BOM).decode(errors="replace")
    lines = (line.rstrip("\r") for line in text.split("\n"))
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


BLANK_AFTER = re.compile(r'(?<=[^"\s,;|])"[ \t]+(?=[,;|]|$)')
"""A closing quote and blanks, which Python's csv takes for more of the cell."""
QUOTES = "a quote is not closed, or stands inside a cell"
MOST_IN_VAIN = 16 << 20
"""Characters that are read again, of one file, after a quote that turned out to be never closed."""


class CsvRecords:
    """The records of CSV, each with the line where it begins; a quoted cell may have line breaks.

    A quote that is not closed within `MAX_LINE` characters, or only after lines that are `rows` by
    themselves, costs the line it is in: the next is read as if nothing had been. The naive way is::

        yield from csv.reader(file, delimiter=delimiter)
    """

    def __init__(
        self,
        lines: Iterable[Line | RejectedRow],
        delimiter: str,
        rows: Callable[[list[str]], bool] | None = None,
    ) -> None:
        self._lines = iter(lines)
        self._delimiter = delimiter
        self._rows = rows or (lambda _: False)
        self._held: deque[Line | RejectedRow] = deque()
        self._in_vain = 0

    def __iter__(self) -> Iterator[tuple[int, list[str]] | RejectedRow]:
        while (line := self._next()) is not None:
            if isinstance(line, RejectedRow):
                yield line
            elif '"' in line[1]:
                yield self._quoted(line)
            elif "\r" in line[1]:
                yield RejectedRow(line[0], IN_LINE)
            else:
                yield line[0], line[1].split(self._delimiter)

    def _next(self) -> Line | RejectedRow | None:
        return self._held.popleft() if self._held else next(self._lines, None)

    def _quoted(self, first: Line) -> tuple[int, list[str]] | RejectedRow:
        """Return the record that begins with a line."""
        taken: list[Line | RejectedRow] = []
        cells = self._cells([BLANK_AFTER.sub('"', first[1])]) or self._cells(
            self._from(first, taken)
        )
        lines = [line for line in taken if not isinstance(line, RejectedRow)]
        if cells is not None and not self._has_rows(first, lines):
            return first[0], cells
        self._in_vain += sum(len(line[1]) for line in taken)
        self._held.extendleft(reversed(taken))
        return RejectedRow(first[0], QUOTES)

    def _has_rows(self, first: Line, lines: Sequence[Line]) -> bool:
        """Return whether the rest of a record has rows of its own, so that its quote is an error.

        The last line closes the quote: what it has behind that is a row only to who does not know
        where the cell began, unless the first line is a row without it.
        """
        if lines and lines[-1][1].count('"') % 2:
            is_whole = self._rows(first[1].split(self._delimiter))
            lines = lines if is_whole else lines[:-1]
        return any(self._rows(self._cells([line[1]]) or []) for line in lines)

    def _from(self, first: Line, taken: list[Line | RejectedRow]) -> Iterator[str]:
        """Yield the text of lines that may be one record; those after the first are `taken`."""
        size = len(first[1])
        yield first[1] + "\n"
        while size <= MAX_LINE and self._in_vain < MOST_IN_VAIN:
            line = self._next()
            if line is None:
                return
            taken.append(line)
            if isinstance(line, RejectedRow):
                return
            size += len(line[1])
            yield line[1] + "\n"

    def _cells(self, lines: Iterable[str]) -> list[str] | None:
        """Return the first record; None if a quote is not closed, or stands inside a cell."""
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True, skipinitialspace=True)
        try:
            return next(reader)
        except (csv.Error, StopIteration):
            return None


def shown(text: str) -> str:
    """Return `text` for a message, or ``(hidden)`` if some of it looks like a hash.

    A file whose header is missing, or whose columns have slipped, has hashes where names are
    expected, and no message may show one.
    """
    tokens = re.split(r"[^\w+/=-]+", text)
    if HEX.search(re.sub(r"[\W_]", "", text)) or any(map(_may_be_hash, tokens)):
        return "(hidden)"
    return clean_name(text)[:LONGEST_SHOWN]


def _may_be_hash(token: str) -> bool:
    """Return whether it is as long as a hash, and no name made of words: few, and with vowels."""
    if len(token) < SHORTEST_HASH or not token.isascii():
        return False
    parts = re.split(r"[_-]+", token)
    words = [word for part in parts for word in WORD.findall(part)]
    is_name = (
        "".join(words) == "".join(parts)
        and sum(map(len, words)) >= 4 * len(words) - 1
        and sum(word[-1].isdigit() for word in words) <= 1
        and all(map(_can_be_said, words))
    )
    if len(token) in HASH_LENGTHS and len(parts) == 1:  # capitals may be base32, others base64
        is_name = is_name and not token.isupper() and min(map(len, words)) >= 4
    return not is_name


def _can_be_said(word: str) -> bool:
    """Return whether a word is short, or has vowels as words have: base32 is all capitals."""
    letters = word.rstrip("0123456789").lower()
    return len(letters) < 7 or (
        4 * len(re.findall("[aeiouy]", letters)) >= len(letters)
        and not re.search("[^aeiouy]{6}", letters)
    )


CHUNK = 64 * 1024
CTRL_Z = b"\x1a"
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Beginnings of text that is not UTF-8; the mark of UTF-32 begins with one of UTF-16."""
UTF8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
ANSI = "cp1252"
"""What Excel's plain CSV is in, in America and western Europe."""


class PlainText(io.RawIOBase):
    """The text of a file as UTF-8 with line feeds, converted while it is read.

    It is in `charset`, or in what its mark says. Without both, the first part of it beyond ASCII
    decides: UTF-8, or Windows-1252 if more of it is not UTF-8 than is. What is no text in a charset
    becomes U+FFFD, or stays what is no UTF-8: it spoils its row only. Where carriage returns alone
    end lines, line feeds do, and the Ctrl-Z that DOS ends a file with is passed over.
    """

    def __init__(self, raw: io.BufferedReader, charset: str | None = None) -> None:
        self._raw = raw
        head = raw.peek(CHUNK)
        if charset is None:
            charset = next((MARKS[mark] for mark in MARKS if head.startswith(mark)), None)
        if charset is None:
            charset = _without_mark(head)
        self._is_utf8 = head.startswith(BOM)
        if charset is not None and codecs.lookup(charset).name in {"utf-8", "utf-8-sig", "ascii"}:
            charset, self._is_utf8 = None, True
        self._decoder = codecs.getincrementaldecoder(charset)("replace") if charset else None
        self._returns: bool | None = None
        self._kept = self._held = b""
        self.is_ansi = False
        """Whether it was read as Windows-1252 without an option for it."""

    def readable(self) -> bool:
        """Return True: a `io.BufferedReader` asks."""
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Fill `buffer` and return how much of it; 0 at the end."""
        view = memoryview(buffer)
        data = b" "
        while data and not self._held:
            data = self._raw.read(CHUNK)
            text = self._utf8(data)
            if not (data or text):
                break
            if self._returns is None and text:
                self._returns = b"\r" in text and b"\n" not in text
            if self._returns:
                text = text.replace(b"\r", b"\n")
            text = self._kept + text
            self._kept = CTRL_Z if text.endswith(CTRL_Z) else b""
            self._held = text.removesuffix(CTRL_Z)
        count = min(len(view), len(self._held))
        view[:count] = self._held[:count]
        self._held = self._held[count:]
        return count

    def _utf8(self, data: bytes) -> bytes:
        """Return what was read, none of it at the end, as UTF-8."""
        if self._decoder is not None:
            return self._decoder.decode(data, final=not data).encode(errors="replace")
        if not (data.isascii() or self._is_utf8 or self.is_ansi):
            data += self._raw.read(3)  # of a character that is cut
            held = [len(found) for found in UTF8.findall(data)]
            stray = sum(byte > 127 for byte in data) - sum(held)
            self.is_ansi = stray > len(held)
            self._is_utf8 = not self.is_ansi
        if self.is_ansi:
            return data.decode(ANSI, "surrogateescape").encode(errors="surrogateescape")
        return data


def _without_mark(head: bytes) -> str | None:
    """Return which UTF-16 a file without a mark is in: that of ASCII has a NUL in every pair."""
    pairs = head[: min(len(head), 64) & ~1]
    first, second = set(pairs[::2]), set(pairs[1::2])
    if len(pairs) >= 8 and second == {0} and 0 not in first:
        return "utf-16-le"
    if len(pairs) >= 8 and first == {0} and 0 not in second:
        return "utf-16-be"
    return None
