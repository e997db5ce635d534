"""A file of a hash list, or a page of one, to rows: its format detected, each row read."""

from __future__ import annotations

import io
import logging
import os
import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from hashmatch import registry
from hashmatch.errors import ListError, UsageError
from hashmatch.interfaces import ListOptions, has_columns, reads_plain
from hashmatch.lists.readers._lines import (
    BOM,
    DigestingFile,
    PlainText,
    Readable,
    first_lines,
    whole_lines,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashmatch.interfaces import ColumnUse
    from hashmatch.lists.ingest import ListFormat, Rows

LOG = logging.getLogger("hashmatch.lists")
HEAD = 64 * 1024
"""Bytes of a file that its format is detected by, as far as they are whole lines."""
NAMELESS = "the file object"
"""What a file object is called that does not say its name."""


Source: TypeAlias = str | os.PathLike[str] | Readable

#: Beginnings of files that hold no text we read, and what to do about it.
FOREIGN = {
    b"\x1f\x8b": "is compressed with gzip. Unpack it first",
    b"BZh": "is compressed with bzip2. Unpack it first",
    b"\xfd7zXZ": "is compressed with xz. Unpack it first",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd. Unpack it first",
    b"7z\xbc\xaf": "is a 7z archive. Unpack it first",
    b"Rar!": "is a RAR archive. Unpack it first",
    b"PK\x03\x04": "is a zip archive, or a workbook. Unpack it, or save it as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook. Save it as CSV UTF-8",
    b"PAR1": "is a Parquet table. Export it as CSV",
    b"ARROW1": "is an Arrow table. Export it as CSV",
    b"Obj\x01": "is an Avro table. Export it as CSV",
    b"ORC": "is an ORC table. Export it as CSV",
    b"\x93NUMPY": "is a NumPy array. Export it as CSV",
    b"SQLite format 3\0": "is an SQLite database. Export the table as CSV",
    b"%PDF-": "is a PDF. Ask for the list as CSV",
    b"{\\rtf": "is a document. Ask for the list as CSV",
    b"HTTP/": "is what a server answered, not what it served. Download the list again",
}
PAGE = re.compile(
    rb"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
"""The beginning of a web page, as servers send one in the place of a list that they do not have."""


class FileRead(NamedTuple):
    """A list file, or one page of several, that was read."""

    reader: str
    sha256: str
    """Of its bytes, in hexadecimal."""
    size: int
    """Bytes."""
    columns: tuple[ColumnUse, ...] = ()
    """What became of each, of formats that have any."""


def lost_columns(columns: Iterable[ColumnUse]) -> list[str]:
    """Return a warning for each column that is ignored though it holds what counts."""
    what = {
        "hashes": "may hold hashes, and is ignored; to have them too, give --column pdq=NAME",
        "statuses": "says that entries are withdrawn or benign, and is ignored; if it is to count, "
        "give --column status=NAME",
    }
    return [
        f"column {each.number} {each.name}".rstrip() + f" {what[each.loses]}"
        for each in columns
        if each.loses is not None
    ]


def place_of(source: Source) -> str:
    """Return the path of a list file, or what a file object says its name is; for messages too."""
    if isinstance(source, str | bytes | os.PathLike):
        return os.fsdecode(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) and name else NAMELESS


def read_rows(
    source: Source,
    format: ListFormat,
    rows: Rows,
    on_read: Callable[[int], object] | None = None,
) -> FileRead:
    """Read every row of a file into `rows`; a file object is read from where it is to its end.

    It stays open. `on_read` is given how many more bytes were read, for progress. ListError if the
    file cannot be read, is empty or is in no known format.
    """
    place = place_of(source)
    try:
        if isinstance(source, str | bytes | os.PathLike):
            with open(source, "rb", buffering=0) as file:
                return _read(place, file, format, rows, on_read)
        return _read(place, source, format, rows, on_read)
    except OSError as error:
        raise ListError(f"cannot read {place}: {error.strerror or error}") from None
    except ValueError as error:  # a path with a NUL in it, or a file object that is closed
        if isinstance(error, UsageError):
            raise
        raise ListError(f"cannot read {place!r}: {error}") from None


def _read(
    place: str,
    file: Readable,
    format: ListFormat,
    rows: Rows,
    on_read: Callable[[int], object] | None,
) -> FileRead:
    digesting = DigestingFile(file, on_read)
    raw: io.BufferedReader = io.BufferedReader(digesting, 64 * 1024)
    head = raw.peek(HEAD)[:HEAD]
    foreign = [advice for beginning, advice in FOREIGN.items() if head.startswith(beginning)]
    del head  # so that no traceback shows what the list begins with
    if foreign:
        raise ListError(f"cannot read {place}: it {foreign[0]}")
    text = PlainText(raw, format.charset)
    stream: io.BufferedReader = io.BufferedReader(text, HEAD)
    beginning = bytes(stream.peek(HEAD)[:HEAD])
    if len(beginning) == HEAD or raw.peek(1):  # the last line may be cut
        beginning = whole_lines(beginning)
    elif not beginning.endswith(b"\n"):
        beginning += b"\n" if beginning else b""
    name = _format(place, beginning, format)
    reader = registry.list_reader(name)
    read = reader.plain_rows if reads_plain(reader) else reader.rows
    encoding = format.encoding or "hex"
    detected = format.reader is None
    options = ListOptions(format.columns, format.delimiter, format.dates, detected, encoding)
    try:
        columns = reader.columns(beginning, options) if has_columns(reader) else ()
        del beginning
        rows.take(read(stream, options), unique_ids=getattr(reader, "unique_ids", False))
        rows.check_spreadsheet()
    except (ListError, UsageError) as error:
        raise type(error)(f"cannot read {place}: {error}") from None
    rows.is_ansi |= text.is_ansi
    return FileRead(name, digesting.digest.hexdigest(), digesting.size, tuple(columns))


def _format(place: str, head: bytes, format: ListFormat) -> str:
    """Return the format that was given, or that the beginning of the file shows."""
    told, empty, unknown = format.reader, not head, None
    if told is None and format.columns:  # of formats with any, JSON lines are surely told from CSV
        told = "jsonl" if registry.list_reader("jsonl").detects(head) else "csv"
    if told is None and not empty:
        told, unknown = _detected(head)
    del head  # so that no traceback shows what the list begins with
    if empty:
        raise ListError(f"cannot read {place}: the list is empty")
    if unknown:
        raise ListError(f"cannot read {place}: {unknown}")
    return told or ""


def _detected(head: bytes) -> tuple[str | None, str | None]:
    """Return the format that is the surest, ours before those of plug-ins, or why there is none."""
    names, sure = registry.names(registry.LISTS), {}
    for name in sorted(names, key=lambda name: registry.maker(registry.LISTS, name)):
        try:
            sure[name] = registry.list_reader(name).detects(head)
        except Exception as error:
            made_by = registry.maker(registry.LISTS, name)
            if not made_by:
                raise
            LOG.warning(
                "cannot detect the list format %s of %s: it failed with %s",
                name,
                made_by,
                type(error).__name__,
            )
    told = max(sure, key=sure.__getitem__)
    return (told, None) if sure[told] else (None, _unknown(head, names))


def _unknown(head: bytes, formats: list[str]) -> str:
    """Say what text in no known format probably is, and what to do."""
    text = head.removeprefix(BOM).lstrip()
    if PAGE.match(text):
        return "it is a web page, perhaps the error of a server. Download the list again"
    if not first_lines(head):
        where = "" if len(head) < HEAD // 2 else f" in the first {len(head):,} bytes"
        return f"there is no row{where}, only blank lines or comments. Get the list again"
    if text[:1] in {b"[", b"{"}:
        return (
            "it is JSON, but of no exchange that is known, and not one object a line. Write it so "
            + ("(jq -c '.[]' FILE)" if text[:1] == b"[" else "(jq -c '.KEY[]' FILE, its array)")
        )
    if text[:1] == b"<":
        return (
            "it is XML, but no page of NCMEC's hash sharing (queryResult). Get the page as it was "
            "served, all of it"
        )
    return (
        f"it is in none of the formats {', '.join(formats)}. If it is one, say which "
        "(--list-format NAME), and in CSV which column holds hashes (--column pdq=NAME)"
    )
