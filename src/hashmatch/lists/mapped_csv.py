"""CSV with a header: each column has a role, recognised by its name or told.

Roles: an algorithm's name (``pdq``, ``md5``, ...: the column holds such hashes; there may be
several), ``hash`` with or without ``algorithm``, ``id``, ``label`` (one), ``labels`` (separated by
blanks, commas or semicolons), ``sources``, ``status``, ``quality``, ``max_distance``. Columns
without a role are passed over. `KNOWN` has the names that need no telling, among them those of the
threatexchange dataset (``signal_type,signal_str,collab,category,tags``) and of Interpol's ICSE
export.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, BinaryIO

from hashmatch.errors import ListError, UsageError
from hashmatch.interfaces import ROLES, ListOptions, ListRow
from hashmatch.lists._lines import first_lines, numbered_lines, shown
from hashmatch.records.lists import RejectedRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Algorithms that are recognised as column names; others are told with ``columns``.
HASHES = {"pdq", "phash", "dhash", "ahash", "whash", "md5", "sha1", "sha256"}

#: A column's name, lower case, letters and digits only, and its role.
KNOWN = {
    **{name: name for name in HASHES},
    "pdqhash": "pdq",
    "hash": "hash",
    "hashvalue": "hash",
    "signalstr": "hash",
    "algorithm": "algorithm",
    "hashtype": "algorithm",
    "signaltype": "algorithm",
    "type": "algorithm",
    "id": "id",
    "entry": "id",
    "externalid": "id",
    "imageid": "id",
    "filename": "id",
    "filepath": "id",
    "item": "id",
    "label": "label",
    "category": "label",
    "classification": "label",
    "labels": "labels",
    "tags": "labels",
    "source": "sources",
    "sources": "sources",
    "collab": "sources",
    "status": "status",
    "quality": "quality",
    "maxdistance": "max_distance",
}
DELIMITERS = ",;\t|"


class MappedCsv:
    """Reads CSV. Each line is a row of its own, so a quote left open spoils one row only."""

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100."""
        lines = first_lines(head)
        if not lines:
            return 0
        roles = {KNOWN.get(_plain(name)) for name in _cells(lines[0], _delimiter(lines[0])) or []}
        return 85 if roles & (HASHES | {"hash"}) else 0

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row, once for each hash in it.

        Raises
        ------
        ListError
            If no column holds hashes.
        UsageError
            If `options` names a role or a column that does not exist.
        """
        roles: list[str | None] | None = None
        delimiter = options.delimiter
        for line in numbered_lines(stream):
            if isinstance(line, RejectedRow):
                yield line
                continue
            number, text = line
            if delimiter is None:
                delimiter = _delimiter(text)
            cells = _cells(text, delimiter)
            if cells is None:
                yield RejectedRow(number, "a quote is not closed, or stands inside a cell")
            elif roles is None:
                roles = _roles(cells, options.columns or {})
            elif any(cell.strip() for cell in cells[len(roles) :]):
                yield RejectedRow(number, f"{len(cells)} columns, the header has {len(roles)}")
            else:
                yield from _rows(number, cells, roles)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _delimiter(header: str) -> str:
    return max(DELIMITERS, key=header.count)


def _cells(text: str, delimiter: str) -> list[str] | None:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return None


def _roles(header: list[str], columns: Mapping[str, str]) -> list[str | None]:
    """Return the role of each column; what the caller told outranks what is recognised."""
    roles = [KNOWN.get(_plain(name)) for name in header]
    names = ", ".join(shown(name) for name in header)
    if columns:
        plain = [_plain(name) for name in header]
        roles = [None] * len(header)
        for role, name in columns.items():
            if _plain(name) not in plain:
                raise UsageError(f"no column {name!r}; the columns are {names}")
            roles[plain.index(_plain(name))] = role
    if not any(role and (role == "hash" or role not in ROLES) for role in roles):
        raise ListError(
            f"no column holds hashes; the columns are {names}: name one, for example pdq=COLUMN"
        )
    return roles


def _rows(
    number: int, cells: list[str], roles: list[str | None]
) -> Iterator[ListRow | RejectedRow]:
    hashes: list[tuple[str | None, str]] = []
    fields: dict[str, str] = {}
    for role, cell in zip(roles, cells, strict=False):
        text = cell.strip()
        if role is None or not text:
            continue
        if role in ROLES - {"hash"}:
            fields[role] = text
        else:
            hashes.append((None if role == "hash" else role, text))
    if not hashes:
        yield RejectedRow(number, "the hash is empty")
    numbers: dict[str, int] = {}
    for role in ("quality", "max_distance"):
        if role in fields:
            if not fields[role].isdecimal():
                yield RejectedRow(number, f"{role} is not a number")
                return
            numbers[role] = int(fields[role])
    label = (fields["label"],) if "label" in fields else ()
    for column, text in hashes:
        algorithm = column or fields.get("algorithm")
        yield ListRow(
            number,
            text,
            algorithm.lower() if algorithm else None,
            fields.get("id"),
            label + _split(fields.get("labels", "")),
            _split(fields.get("sources", "")),
            fields.get("status", "active"),
            numbers.get("quality"),
            numbers.get("max_distance"),
        )


def _split(text: str) -> tuple[str, ...]:
    return tuple(re.split(r"[\s,;]+", text)) if text else ()
