"""CSV with a header: each column has a role, recognised by its name or told.

Roles: an algorithm's name (``pdq``, ``md5``, ...: the column holds such hashes; there may be
several), ``hash`` with or without ``algorithm``, ``id``, ``label`` (one), ``labels`` (divided by
commas, semicolons or bars, or an array), ``sources``, ``status``, ``quality``, ``max_distance``,
``updated`` (a date and time, or seconds since 1970). Columns that
say by yes or no, or by a time, that an entry is withdrawn or benign (``deleted``, ``is_active``,
``revoked_at``, ...) need no telling; ``state`` or ``action`` is the status where there is no other.
Columns without a role are passed over; where columns are told, all others but these and ``status``.
`hashmatch.lists.readers._fields.KNOWN` has the names that need no telling, among them those of the
threatexchange dataset (``signal_type,signal_str,collab,category,tags``, whose tags are divided by
blanks) and of Interpol's ICSE export.

Above the header may be ``sep=;``, a title and comments, among the rows blank ones, headers that
come again, and what databases print below: ``(100 rows)``, which is held against how many there
are. A label that is one of the dataset's categories, `hashmatch.lists.readers._fields.CATEGORIES`,
is the status too if there is no other. PhotoDNA is counted; its values are not kept.
"""

from __future__ import annotations

import io
import re
from itertools import chain, islice
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from hashmatch.errors import ListError, RejectedRow, RowsMissing, UsageError
from hashmatch.interfaces import ROLES, ListOptions, ListRow
from hashmatch.lists.readers import _fields
from hashmatch.lists.readers._lines import CsvRecords, Line, numbered_lines, shown
from hashmatch.records.hashes import INVISIBLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

DELIMITERS = ",;\t|"
HEAD = 40
"""Lines among which the header has to be."""
HASH = re.compile(r"(?:\W|0x|x)*[0-9a-f]{16,}\W*", re.IGNORECASE | re.ASCII)
"""A cell of a hash, which no header has."""
SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)
RULE = re.compile(r"[-+=|: \t]*[-=][-+=|: \t]*")
NUMBER, ROWS = r"(\d[\d,. ]*?)", r"(?:rows?|records?|entries)"
FOOTER = re.compile(
    rf"\(?(?:total|count|sum|{ROWS})[ :=]*{NUMBER}(?: {ROWS})?\)?"
    rf"|\(?{NUMBER} {ROWS}(?: selected| affected| returned| in set.*)?\.?\)?",
    re.IGNORECASE | re.ASCII,
)
"""What is below a table as databases and spreadsheets print it."""


class Header(NamedTuple):
    """Where the header of a list is, what divides its cells, and the role of each column."""

    line: int
    delimiter: str
    cells: list[str]
    roles: list[str | None]

    @property
    def is_comment(self) -> bool:
        """Whether it is one if there is no other: a column may be called ``#``."""
        first = self.cells[0].strip()
        return first.startswith("#") and first != "#"

    @property
    def rank(self) -> tuple[bool, int, int, int]:
        """The greater, the surer."""
        known = sum(role is not None for role in self.roles)
        return not self.is_comment, known, len(self.cells), -self.line

    def has_row(self, cells: list[str]) -> bool:
        """Return whether some cells are surely a row."""
        return len(cells) == len(self.cells) and any(
            _is_of_hashes(role) and HASH.fullmatch(cell)
            for role, cell in zip(self.roles, cells, strict=True)
        )


class MappedCsv:
    """Reads CSV. A quote that is left open spoils the row it is in only."""

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100."""
        if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"<", b"{", b"["}:
            return 0
        whole = head[: head.rfind(b"\n") + 1] or head  # it may end anywhere
        try:
            found = _header(
                list(islice(numbered_lines(io.BytesIO(whole), returns=True), HEAD)), ListOptions()
            )
        except ListError:
            found = None
        return 0 if found is None else 70 if found.is_comment else 85

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row, once for each hash in it; ListError if no column holds hashes.

        ListError too if the order of dates is not clear. UsageError if `options` names a role or a
        column that does not exist.
        """
        lines = numbered_lines(stream, returns=True)
        head = list(islice(lines, HEAD))
        header = _header(head, options)
        if header is None:
            yield from (line for line in head if isinstance(line, RejectedRow))
            for _ in lines:
                raise ListError(f"none of the first {HEAD} lines can be read")
            return
        _check_names(header)
        records = CsvRecords(chain(head, lines), header.delimiter, header.has_row)
        yield from _fields.dated(_records(records, header), options.dates)


def _header(head: Sequence[Line | RejectedRow], options: ListOptions) -> Header | None:
    """Return the header among the first lines; None if none of them can be read.

    ListError if no column holds hashes, UsageError if there is no column that was told.
    """
    lines = [line for line in head if not isinstance(line, RejectedRow)]
    if not lines:
        return None
    delimiters: Iterable[str] = options.delimiter or DELIMITERS
    if options.delimiter is None and (told := SEPARATOR.fullmatch(lines[0][1].strip(' "\r'))):
        delimiters = told[1]
    found = [
        header
        for delimiter in delimiters
        for header in _headers(lines, delimiter, options.columns or {})
    ]
    if found:
        return max(found, key=lambda header: header.rank)
    first = next((line for line in lines if not line[1].lstrip().startswith("#")), lines[0])
    cells = next(iter(CsvRecords([first], max(delimiters, key=first[1].count))))
    if isinstance(cells, RejectedRow):
        raise ListError(f"line {cells.line} is no header: {cells.reason}")
    names = ", ".join(shown(name) for name in cells[1])
    for name in (options.columns or {}).values():
        if _column(cells[1], name) is None:
            raise UsageError(f"no column {name!r}; the columns are {names}")
    raise ListError(
        f"no column holds hashes; the columns are {names}: say which one does (--column pdq=NAME)"
    )


def _headers(lines: Sequence[Line], delimiter: str, columns: Mapping[str, str]) -> Iterator[Header]:
    """Yield what could be a header: a record with a column of hashes, and no hash in it."""
    for record in CsvRecords(lines, delimiter):
        if isinstance(record, RejectedRow):
            continue
        line, cells = record
        if any(HASH.fullmatch(cell) for cell in cells):
            continue
        roles = _told(cells, columns) if columns else _recognised(cells)
        header = Header(line, delimiter, cells, roles)
        if any(map(_is_of_hashes, roles)) and (len(cells) > 1 or not header.is_comment):
            yield header


def _told(cells: list[str], columns: Mapping[str, str]) -> list[str | None]:
    """Return the role of each column as told; of none if some are not there.

    Of the others only those count that say whether an entry is still one.
    """
    roles: list[str | None] = [None] * len(cells)
    for role, name in columns.items():
        column = _column(cells, name)
        if column is None:
            return [None]
        if roles[column] is not None:
            raise UsageError(f"column {name!r} cannot be both {roles[column]} and {role}")
        if cells.count(name) > 1:
            raise UsageError(f"{cells.count(name)} columns are called {name!r}; rename them")
        roles[column] = role
    for place, known in enumerate(_recognised(cells)):
        if roles[place] is None and known in _fields.STANDING - columns.keys():
            roles[place] = known
    return roles


def _recognised(cells: list[str]) -> list[str | None]:
    """Return the role of each column as its name says."""
    roles = [_fields.role(name) for name in cells]
    names = [_fields.letters(name) for name in cells]
    if {"signaltype", "signalstr"} <= set(names):  # python-threatexchange's, whose tags have none
        return ["tags" if name == "tags" else role for name, role in zip(names, roles, strict=True)]
    return roles


def _column(header: list[str], name: str) -> int | None:
    """Return which column is called `name`, to the letter or else but for case and signs."""
    if name in header:
        return header.index(name)
    plain = [_fields.letters(other) for other in header]
    return plain.index(_fields.letters(name)) if _fields.letters(name) in plain else None


def _is_of_hashes(role: str | None) -> bool:
    return role is not None and (role == "hash" or role not in {*ROLES, *_fields.UNTOLD})


def _check_names(header: Header) -> None:
    """Raise ListError if two columns of which one counts have the same name."""
    names = [
        _fields.letters(name)
        for name, role in zip(header.cells, header.roles, strict=True)
        if role in _fields.FACTS
    ]
    for name in names:
        if names.count(name) > 1:
            raise ListError(f"{names.count(name)} columns are called {name}; rename all but one")


def _records(records: CsvRecords, header: Header) -> Iterator[_fields.Fields | RejectedRow]:
    """Yield the fields of each row below the header."""
    width = len(header.cells)
    columns = [
        (place, role, _is_of_hashes(role))
        for place, role in enumerate(header.roles)
        if role is not None
    ]
    # Of several that may be the id, that which is called so comes first.
    columns.sort(key=lambda c: c[1] == "id" and _fields.letters(header.cells[c[0]]) != "id")
    count = 0
    for record in records:
        if isinstance(record, RejectedRow):
            if record.line > header.line:
                count += 1
                yield record
            continue
        line, cells = record
        if line <= header.line:
            continue
        fields = []
        is_odd = True  # it has no hash, or not surely
        for place, role, is_of_hashes in columns:
            if place < len(cells) and (text := _fields.cell(cells[place])):
                fields.append((role, text))
                is_odd = is_odd and not (is_of_hashes and _is_no_word(text))
        if is_odd:
            stated = _stated(cells, header)
            if stated in {NO_ROW, count}:
                continue
            if stated is not None:
                told = f"the list says {stated:,} rows and has {count:,}"
                yield (RowsMissing if stated > count else RejectedRow)(line, told)
                continue
        count += 1
        if len(cells) > width and any(cell.strip() for cell in cells[width:]):
            yield RejectedRow(line, f"{len(cells)} columns, the header has {width}")
        else:
            yield _fields.Fields(line, fields)


NO_ROW = -1


def _is_no_word(text: str) -> bool:
    """Return whether text in a column of hashes is none that stands in what is no row."""
    return len(text) > 11 and " " not in text and text[0] not in "-=+|("


def _stated(cells: list[str], header: Header) -> int | None:
    """Return how many rows a footer says there are; `NO_ROW` of no row, None of a row."""
    said = [text for cell in cells if (text := cell.strip(INVISIBLE))]
    names = [text for cell in header.cells if (text := cell.strip(INVISIBLE))]
    if all(map(RULE.fullmatch, said)) or said == names:
        return NO_ROW
    footer = FOOTER.fullmatch(" ".join(said))
    digits = re.sub(r"\D", "", footer[1] or footer[2]) if footer else ""
    return int(digits) if 0 < len(digits) < 19 else None
