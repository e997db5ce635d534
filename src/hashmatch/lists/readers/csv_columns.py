"""CSV with a header: each column has a role, recognised by its name or given.

Roles: an algorithm's name (``pdq``, ``md5``, ...: the column holds such hashes; there may be
several), ``hash`` with or without ``algorithm``, ``id``, ``label`` (one), ``labels`` (divided by
commas, semicolons or bars, or an array), ``sources``, ``status``, ``quality``, ``max_distance``,
``updated`` (a date and time, or seconds since 1970). Columns that
say by yes or no, or by a time, that an entry is withdrawn or benign (``deleted``, ``is_active``,
``revoked_at``, ...) need no telling; ``state`` or ``action`` is the status where there is no other.
Columns without a role are passed over; where columns are named, all others but these and
``status``. `hashmatch.lists.readers._fields.KNOWN` has the names that need no telling, among them
those of the threatexchange dataset (``signal_type,signal_str,collab,category,tags``, whose tags are
divided by blanks) and of Interpol's ICSE export.

Above the header may be ``sep=;``, a title and comments, among the rows blank ones, headers that
come again, and what databases print below: ``(100 rows)``, which is held against how many there
are. A label that is one of the dataset's categories, `hashmatch.lists.readers._fields.CATEGORIES`,
is the status too if there is no other. PhotoDNA is counted; its values are not kept.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from hashmatch import registry
from hashmatch.errors import ListError, RejectedRow, RowsMissing, UsageError
from hashmatch.interfaces import ColumnUse, ListOptions, ListRow, PlainRows
from hashmatch.lists.readers import _fields
from hashmatch.lists.readers._lines import CsvRecords, Line, numbered_lines, shown, whole_lines
from hashmatch.lists.statuses import KEEP_OUT
from hashmatch.records.hashes import INVISIBLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DELIMITERS = ",;\t|"
HEAD, MOST_COMMENTS = 40, 1000
"""Lines among which the header has to be, and comments among them that are not counted."""
HASH = re.compile(
    r"(?:\W|0x|x)*[0-9a-f]{16,}\W*|[\w+/-]{43}=|[\w+/-]{27}=|[\w+/-]{22}==|[\w+/-]{11}=",
    re.IGNORECASE | re.ASCII,
)
"""A cell of a hash, which no header has: in hexadecimal, or in base64."""
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
    has_names: bool = True
    """Whether it is there: else the cells are the columns' numbers."""

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
            _fields.is_of_hashes(role) and HASH.fullmatch(cell)
            for role, cell in zip(self.roles, cells, strict=True)
        )


class Table(NamedTuple):
    """What some lines are if one sign divides their cells, whatever the columns are called.

    ``first`` is the line of the first row that holds a hash, None if none does; ``line`` and
    ``cells`` are those of the record above it if that may be its header, else 0 and none; ``ends``
    is the last line above the table. ``hashes`` are the places of columns of hashes.
    """

    delimiter: str
    first: int | None
    line: int
    cells: list[str]
    ends: int
    width: int
    hashes: list[int]

    @property
    def rank(self) -> tuple[bool, int]:
        """The greater, the surer."""
        return self.first is not None, self.width


class MappedCsv:
    """Reads CSV. A quote that is left open spoils the row it is in only."""

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100; less where it cannot tell which column is what."""
        if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"<", b"{", b"["}:
            return 0
        lines = _lines_of(_head(numbered_lines(io.BytesIO(whole_lines(head)), returns=True)))
        found = _found(lines, ListOptions())
        if found is not None:
            return 70 if found.is_comment else 85
        table = _table(lines, DELIMITERS) if lines else None
        return 60 if table is not None and table.first and (table.line or table.width > 1) else 0

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row, once for each hash in it; ListError if no column holds hashes.

        ListError too if the order of dates is not clear, or if a column that is ignored says that
        entries are withdrawn. UsageError if `options` names a role or a column that does not exist.
        """
        for row in self._rows(stream, options, together=False):
            if not isinstance(row, PlainRows):
                yield row

    def plain_rows(
        self, stream: BinaryIO, options: ListOptions
    ) -> Iterator[ListRow | PlainRows | RejectedRow]:
        """Yield every row as `rows` does, some hundreds together where they are plain."""
        yield from self._rows(stream, options, together=True)

    def _rows(
        self, stream: BinaryIO, options: ListOptions, *, together: bool
    ) -> Iterator[ListRow | PlainRows | RejectedRow]:
        lines = numbered_lines(stream, returns=True)
        head = _head(lines)
        header = _header(_lines_of(head), options)
        if header is None:
            yield from (line for line in head if isinstance(line, RejectedRow))
            for _ in lines:
                raise ListError(f"cannot find a header: none of the first {HEAD} lines can be read")
            return
        _check_names(header)
        records = CsvRecords(chain(head, lines), header.delimiter, header.has_row)
        ignored = [] if options.columns else _ignored(header)
        plain = _Plain.of(header) if together else None
        yield from _fields.dated(_records(records, header, ignored, plain), options.dates)

    def columns(self, head: bytes, options: ListOptions) -> list[ColumnUse]:
        """Return what becomes of each column of a file that begins with `head`, whole lines."""
        lines = _lines_of(_head(numbered_lines(io.BytesIO(head), returns=True)))
        header = _found(lines, options)
        if header is None:
            return []
        hashes = _table(lines, header.delimiter).hashes
        said = {
            place
            for record in CsvRecords(lines, header.delimiter)
            if not isinstance(record, RejectedRow) and record[0] > header.line
            for place, cell in enumerate(record[1])
            if cell.strip().lower() in KEEP_OUT
        }
        lost = {**dict.fromkeys(said, "statuses"), **dict.fromkeys(hashes, "hashes")}
        names = [shown(name.strip()) if header.has_names else "" for name in header.cells]
        return [
            ColumnUse(place + 1, names[place], role, None if role else lost.get(place))
            for place, role in enumerate(header.roles)
        ]


def _head(lines: Iterator[Line | RejectedRow]) -> list[Line | RejectedRow]:
    """Take the lines from `lines` among which the header has to be."""
    head: list[Line | RejectedRow] = []
    counted = 0
    while counted < HEAD and len(head) < MOST_COMMENTS and (line := next(lines, None)):
        head.append(line)
        counted += isinstance(line, RejectedRow) or not line[1].lstrip().startswith("#")
    return head


def _lines_of(head: Sequence[Line | RejectedRow]) -> list[Line]:
    return [line for line in head if not isinstance(line, RejectedRow)]


def _delimiters(lines: Sequence[Line], options: ListOptions) -> str:
    """Return the signs that may divide cells: one that is given, or any."""
    if options.delimiter is not None:
        return options.delimiter
    told = SEPARATOR.fullmatch(lines[0][1].strip(' "\r'))
    return told[1] if told else DELIMITERS


def _header(lines: Sequence[Line], options: ListOptions) -> Header | None:
    """Return the header among the first lines; None if there are none.

    ListError if no column holds hashes, UsageError if a column that was named is missing.
    """
    found = _found(lines, options)
    if found is None and lines:
        table = _table(lines, _delimiters(lines, options))
        _check_told(table, options.columns or {})
        raise ListError(_advice(table))
    return found


def _found(lines: Sequence[Line], options: ListOptions) -> Header | None:
    """Return the header among the first lines, if its columns are recognised or were named."""
    if not lines:
        return None
    delimiters, columns = _delimiters(lines, options), options.columns or {}
    found = [header for each in delimiters for header in _headers(lines, each, columns)]
    if found:
        return max(found, key=lambda header: header.rank)
    return _by_number(_table(lines, delimiters), columns)


def _table(lines: Sequence[Line], delimiters: str) -> Table:
    """Return what some lines are, divided by that sign of which most comes."""
    tables = [_divided(lines, delimiter) for delimiter in delimiters]
    return max(tables, key=lambda table: table.rank)


def _divided(lines: Sequence[Line], delimiter: str) -> Table:
    records = [one for one in CsvRecords(lines, delimiter) if not isinstance(one, RejectedRow)]
    holding = [(line, cells) for line, cells in records if any(map(HASH.fullmatch, cells))]
    if not holding:
        plain = (one for one in records if not one[1][0].lstrip().startswith("#"))
        line, cells = next(plain, (0, []))
        return Table(delimiter, None, line, cells, line, len(cells), [])
    first, width = holding[0][0], max(len(cells) for _, cells in holding)
    held = Counter(
        place for _, cells in holding for place, cell in enumerate(cells) if HASH.fullmatch(cell)
    )
    hashes = sorted(place for place, count in held.items() if 2 * count > len(holding))
    hashes = hashes or [held.most_common(1)[0][0]]
    above = [one for one in records if one[0] < first]
    headers = [
        (line, cells)
        for line, cells in above
        if len(cells) == width
        and (width > 1 or not cells[0].lstrip().startswith("#"))
        and any(cells[place].strip() for place in hashes)  # else it is a row whose hash was blanked
    ]
    line, cells = headers[-1] if headers else (0, [])
    ends = max((number for number, other in above if len(other) != width), default=0)
    return Table(delimiter, first, line, cells, ends, width, hashes)


def _by_number(table: Table, columns: Mapping[str, str]) -> Header | None:
    """Return the header of a table whose columns are named by their numbers; it may have none."""
    if not columns or not all(name.isdecimal() for name in columns.values()):
        return None
    names = table.cells if table.line else list(map(str, range(1, table.width + 1)))
    header = Header(
        table.line or table.ends, table.delimiter, names, _told(names, columns), bool(table.line)
    )
    return header if table.first and any(map(_fields.is_of_hashes, header.roles)) else None


def _check_told(table: Table, columns: Mapping[str, str]) -> None:
    """Raise UsageError if a column that was named is missing."""
    for role, name in columns.items():
        if _column(table.cells or [""] * table.width, name) is None:
            names = ", ".join(_numbered(table.cells)) if table.cells else f"1 to {table.width}"
            raise UsageError(
                f"cannot find column {name!r}: the columns are {names}. Give the name or the "
                f"number of one (--column {role}=NAME)"
            )


def _advice(table: Table) -> str:
    """Say why it is not known which column holds hashes, and what to give."""
    names = _numbered(table.cells)
    if not table.hashes:
        return (
            f"no column holds hashes; the columns are {', '.join(names)}. Say which one does "
            "(--column pdq=NAME, or its number)"
        )
    first = table.hashes[0]
    if not names:
        advice = (
            f"no header says which column is what; column {first + 1} of {table.width} holds "
            f"hashes. Give the number of each that counts (--column hash={first + 1}"
        )
        if table.width > 1:
            advice += f" --column id={2 if first != 1 else 1} and so on"
        if first == 0 and table.delimiter != "|":
            advice += "), or, if what follows a hash is a name, its format (--list-format pdq-text"
        return f"{advice})"
    roles = _recognised(table.cells)
    unknown = [
        text
        for place, (text, role) in enumerate(zip(names, roles, strict=True))
        if role is None and place not in table.hashes
    ]
    advice = _options(table.cells, roles, "hash", first)
    if unknown:
        advice += f". Ignored without more of these options: {', '.join(unknown)}"
    if len(table.hashes) > 1:
        which = " and ".join(names[place] for place in table.hashes)
        return (
            f"columns {which} may hold hashes, and no name tells which do. Say it, as in {advice}"
        )
    return f"column {names[first]} holds hashes, and is not known by that name. Give {advice}"


def _options(cells: Sequence[str], roles: Sequence[str | None], role: str, place: int) -> str:
    """Return the options for a column, and for all that are recognised and may be named."""
    known = [(each, _word(cells, number)) for number, each in enumerate(roles)]
    return _fields.options(role, _word(cells, place), known)


def _numbered(cells: Sequence[str]) -> list[str]:
    """Return the number and the name of each column, for a message."""
    return [f"{number} {shown(cell.strip())}".rstrip() for number, cell in enumerate(cells, 1)]


def _word(cells: Sequence[str], place: int) -> str:
    """Return what names a column: its name, or, if that is unsure or hidden, its number."""
    name = cells[place].strip()
    is_sure = name and shown(name) == name and sum(map(name.__eq__, map(str.strip, cells))) == 1
    return name if is_sure else str(place + 1)


def _ignored(header: Header) -> list[int]:
    """Return the places of columns that nothing is made of."""
    return [place for place, role in enumerate(header.roles) if role is None]


def _headers(lines: Sequence[Line], delimiter: str, columns: Mapping[str, str]) -> Iterator[Header]:
    """Yield what could be a header: a record with a column of hashes, and no hash in it."""
    for record in CsvRecords(lines, delimiter):
        if isinstance(record, RejectedRow):
            continue
        line, cells = record
        if any(HASH.fullmatch(cell) for cell in cells):
            continue
        if columns and not any(_by_name(cells, name) is not None for name in columns.values()):
            continue
        roles = _told(cells, columns) if columns else _recognised(cells)
        header = Header(line, delimiter, cells, roles)
        if any(map(_fields.is_of_hashes, roles)) and (len(cells) > 1 or not header.is_comment):
            yield header


def _told(cells: list[str], columns: Mapping[str, str]) -> list[str | None]:
    """Return the role of each column as named; of none if some are not there.

    Of the others only those count that say whether an entry is still one.
    """
    roles: list[str | None] = [None] * len(cells)
    for role, name in columns.items():
        column = _column(cells, name)
        if column is None:
            return [None]
        if roles[column] is not None:
            raise UsageError(
                f"cannot use column {name!r} as both {roles[column]} and {role}. Give each role a "
                "column of its own"
            )
        if cells.count(name) > 1:
            raise UsageError(
                f"cannot choose a column: {cells.count(name)} are called {name!r}. Give the "
                f"number of one, --column {role}={column + 1}"
            )
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
    """Return the place of the column that is called `name`, or has that number, from 1."""
    place = _by_name(header, name)
    if place is None and name.isdecimal() and 0 < int(name) <= len(header):
        return int(name) - 1
    return place


def _by_name(header: list[str], name: str) -> int | None:
    """Return which column is called `name`, to the letter or else but for case and signs."""
    if name in header:
        return header.index(name)
    plain = [_fields.letters(other) for other in header]
    return plain.index(_fields.letters(name)) if _fields.letters(name) in plain else None


def _check_names(header: Header) -> None:
    """Raise ListError if two columns of which one counts have the same name."""
    names = [
        _fields.letters(name)
        for name, role in zip(header.cells, header.roles, strict=True)
        if role in _fields.FACTS
    ]
    for name in names:
        if names.count(name) > 1:
            raise ListError(
                f"cannot choose a column: {names.count(name)} are called {name}. Rename all but one"
            )


PLAIN_HASH = re.compile("[0-9A-Fa-f]{16,128}")
PLAIN_ID = re.compile("[A-Za-z][A-Za-z0-9_.:/-]{0,99}[0-9]")
"""An id that is neither a number nor a word for an empty cell."""
PLAIN_ROWS = 500


class _Plain:
    """Takes rows of a hash and an id as they are, some hundreds together.

    Parameters
    ----------
    width : int
        Columns of a row.
    of_hash, of_id : int
        Which of them holds the hash, and which the id.
    algorithm : str, optional
        Of the hashes, if the column says it.
    """

    def __init__(self, width: int, of_hash: int, of_id: int, algorithm: str | None) -> None:
        self._width, self._hash, self._id, self._algorithm = width, of_hash, of_id, algorithm
        self._first, self._values, self._ids = 0, list[bytes](), list[bytes]()

    @classmethod
    def of(cls, header: Header) -> _Plain | None:
        """Return one for the columns of a header; None if it has others."""
        roles = header.roles
        if len(roles) != 2 or "id" not in roles or roles[0] == roles[1]:
            return None
        of_id = roles.index("id")
        role = roles[1 - of_id]
        if role is None or not _fields.is_of_hashes(role):
            return None
        kind = None if role == "hash" else _fields.own_kind(role)
        if kind is not None and not registry.hashes(kind):
            return None
        return cls(len(roles), 1 - of_id, of_id, kind)

    def take(self, line: int, cells: list[str]) -> bool:
        """Take a row, if it is plain and the next after those that are held."""
        if (
            len(cells) != self._width
            or PLAIN_HASH.fullmatch(cells[self._hash]) is None
            or PLAIN_ID.fullmatch(cells[self._id]) is None
            or (self._values and line != self._first + len(self._values))
        ):
            return False
        if not self._values:
            self._first = line
        self._values.append(cells[self._hash].encode())
        self._ids.append(cells[self._id].encode())
        return True

    def taken(self, least: int = 1) -> Iterator[PlainRows]:
        """Yield the rows that are held, if they are so many."""
        if len(self._values) >= least:
            nothing = [b""] * len(self._values)
            yield PlainRows(self._first, self._values, nothing, self._ids, self._algorithm)
            self._values, self._ids = [], []


def _records(
    records: CsvRecords, header: Header, ignored: Sequence[int], plain: _Plain | None
) -> Iterator[_fields.Fields | PlainRows | RejectedRow]:
    """Yield the fields of each row below the header; ListError if what is ignored is a status."""
    width = len(header.cells)
    columns = [
        (place, role, _fields.is_of_hashes(role))
        for place, role in enumerate(header.roles)
        if role is not None
    ]
    # Of several that may be the id, that which is called so comes first.
    columns.sort(key=lambda c: c[1] == "id" and _fields.letters(header.cells[c[0]]) != "id")
    count = 0
    for record in records:
        if plain is not None:
            is_row = not isinstance(record, RejectedRow) and record[0] > header.line
            if is_row and plain.take(*record):
                count += 1
                yield from plain.taken(PLAIN_ROWS)
                continue
            yield from plain.taken()
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
        for place in ignored:
            if place < len(cells) and cells[place].strip().lower() in KEEP_OUT:
                raise ListError(_status_is_ignored(line, header, place))
        if len(cells) > width and any(cell.strip() for cell in cells[width:]):
            yield RejectedRow(line, f"{len(cells)} columns, the header has {width}")
        else:
            yield _fields.Fields(line, fields)
    if plain is not None:
        yield from plain.taken()


def _status_is_ignored(line: int, header: Header, place: int) -> str:
    """Say that a column that is ignored says that an entry is out, and what to give."""
    return (
        f"line {line}: column {_numbered(header.cells)[place]} says that an entry is withdrawn or "
        "benign, and is not known by that name. Give "
        f"{_options(header.cells, header.roles, 'status', place)}; to ignore it, all but the first"
    )


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
