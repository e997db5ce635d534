"""A file of a hash list, or a page of one, to statements: detect its format, read every row."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hashmatch import registry
from hashmatch.errors import ListError, UsageError
from hashmatch.interfaces import ROLES, ListOptions
from hashmatch.lists.ingest import Rows
from hashmatch.lists.readers._lines import DigestingFile, Utf8File
from hashmatch.records.hashes import ENCODINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HEAD = 8192
"""Bytes of a file that formats are told apart by."""

#: Beginnings of files that hold no text we read, and what to do about it.
FOREIGN = {
    b"\x1f\x8b": "is compressed with gzip; unpack it first",
    b"PK\x03\x04": "is a zip archive; unpack it first",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """How list files are to be read; see `read_list_file`."""

    algorithm: str = "pdq"
    format: str | None = None
    columns: Mapping[str, str] | None = None
    delimiter: str | None = None
    encoding: str = "hex"
    keep_disputed: bool = False

    def __post_init__(self) -> None:
        registry.spec(self.algorithm)
        if self.encoding not in ENCODINGS:
            raise UsageError(
                f"hash encoding {self.encoding!r} is not one of {', '.join(ENCODINGS)}"
            )
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise UsageError(f"a delimiter is one character, not {len(self.delimiter)}")
        for role in self.columns or ():
            if role not in ROLES and role not in registry.names(registry.HASHERS):
                raise UsageError(
                    f"no column can be {role!r}; a role is an algorithm's name or one of "
                    f"{', '.join(sorted(ROLES))}"
                )

    def rows(self, now: float) -> Rows:
        """Return where the rows of files of this shape go; see `Rows`."""
        return Rows(self.algorithm, self.encoding, now, self.keep_disputed)


class Page(NamedTuple):
    """A list file, or one page of several, that was read."""

    format: str
    sha256: str
    """Of its bytes, in hexadecimal."""
    size: int
    """Bytes."""


def read_page(
    place: str, shape: Shape, rows: Rows, on_read: Callable[[int], object] | None = None
) -> Page:
    """Read every row of a file into `rows`.

    Parameters
    ----------
    place : str
        Its path.
    shape : Shape
    rows : Rows
    on_read : callable, optional
        Told how many more bytes were read, for progress.

    Raises
    ------
    ListError
        If the file cannot be read, is empty or is in no known format.
    """
    format = "csv" if shape.columns and shape.format is None else shape.format
    try:
        with open(place, "rb", buffering=0) as raw:
            digesting = DigestingFile(raw, on_read)
            stream: io.BufferedReader = io.BufferedReader(digesting, 64 * 1024)
            if Utf8File.suits(stream.peek(2)):
                stream = io.BufferedReader(Utf8File(stream), 64 * 1024)
            format = _format(place, stream, format)
            reader = registry.list_reader(format)
            read = getattr(reader, "plain_rows", reader.rows)
            try:
                rows.take(read(stream, ListOptions(shape.columns, shape.delimiter)))
            except (ListError, UsageError) as error:
                raise type(error)(f"{place}: {error}") from None
    except OSError as error:
        raise ListError(f"{place}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a path with a NUL in it
        if isinstance(error, UsageError):
            raise
        raise ListError(f"{place!r}: cannot be read: {error}") from None
    return Page(format, digesting.digest.hexdigest(), digesting.size)


def _format(place: str, stream: io.BufferedReader, told: str | None) -> str:
    """Return the format that was told, or that the beginning of the file shows."""
    head = bytes(stream.peek(HEAD)[:HEAD])
    empty = not head
    foreign = [advice for beginning, advice in FOREIGN.items() if head.startswith(beginning)]
    sure = {
        name: registry.list_reader(name).detects(head) for name in registry.names(registry.LISTS)
    }
    del head  # so that no traceback shows what the list begins with
    if empty:
        raise ListError(f"{place}: the list is empty")
    if foreign:
        raise ListError(f"{place}: {foreign[0]}")
    if told is not None:
        return told
    best = max(sure, key=sure.__getitem__)
    if not sure[best]:
        raise ListError(
            f"{place}: in none of the formats {', '.join(sorted(sure))}; if it is one, say which "
            "(--list-format NAME), and in CSV which column holds hashes (--column pdq=NAME)"
        )
    return best
