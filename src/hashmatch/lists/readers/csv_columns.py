"""CSV with a header: each column has a role, recognised by its name or told.

Roles: an algorithm's name (``pdq``, ``md5``, ...: the column holds such hashes; there may be
several), ``hash`` with or without ``algorithm``, ``id``, ``label`` (one), ``labels`` (separated by
blanks, commas or semicolons), ``sources``, ``status``, ``quality``, ``max_distance``, ``updated``
(ISO 8601 or seconds since 1970). Columns without a role are passed over. `KNOWN` has the names that
need no telling, among them those of the threatexchange dataset
(``signal_type,signal_str,collab,category,tags``) and of Interpol's ICSE export.

A label that is one of the dataset's categories, `CATEGORIES`, is the status too if there is no
other. PhotoDNA is counted; its values are not kept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO

from hashmatch import registry
from hashmatch.errors import ListError, RejectedRow, UsageError
from hashmatch.interfaces import ROLES, ListOptions, ListRow
from hashmatch.lists.readers import _fields
from hashmatch.lists.readers._lines import cells_of, first_lines, numbered_lines, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: A column's name, lower case, letters and digits only, and its role; the name of an installed
#: algorithm is one too.
KNOWN = {
    name: role
    for role, names in {
        "pdq": "pdqhash",
        "hash": "hash hashvalue signalstr",
        "algorithm": "algorithm hashtype signaltype type",
        "id": "id entry externalid imageid filename filepath item",
        "label": "label category classification",
        "labels": "labels tags",
        "sources": "source sources collab",
        "status": "status",
        "quality": "quality",
        "max_distance": "maxdistance",
        "updated": "updated updatedat updatedon lastupdated dateupdated",
        "photodna": "photodna",
    }.items()
    for name in names.split()
}

#: What python-threatexchange says of a hash as a whole; negative and disputed ones are kept out.
CATEGORIES = {"POSITIVE_CLASS", "NEGATIVE_CLASS", "DISPUTED", "INVESTIGATION_SEED"}
DELIMITERS = ",;\t|"
SMALL_NUMBER = re.compile(r"[0-9]{1,9}")


class MappedCsv:
    """Reads CSV. Each line is a row of its own, so a quote left open spoils one row only."""

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100."""
        lines = first_lines(head)
        if not lines:
            return 0
        roles = [_role(name) or "" for name in cells_of(lines[0], _delimiter(lines[0])) or []]
        return 85 if any(role == "hash" or registry.hashes(role) for role in roles) else 0

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row, once for each hash in it; ListError if no column holds hashes.

        UsageError if `options` names a role or a column that does not exist.
        """
        roles: list[str | None] | None = None
        delimiter = options.delimiter
        for line in numbered_lines(stream):
            if isinstance(line, RejectedRow):
                yield line
                continue
            number, text = line
            if roles is None and text.lstrip().startswith("#"):
                continue  # a comment before the header
            if delimiter is None:
                delimiter = _delimiter(text)
            cells = cells_of(text, delimiter)
            if cells is None:
                yield RejectedRow(number, "a quote is not closed, or stands inside a cell")
            elif roles is None:
                roles = _roles(cells, options.columns or {})
            elif any(cell.strip() for cell in cells[len(roles) :]):
                yield RejectedRow(number, f"{len(cells)} columns, the header has {len(roles)}")
            else:
                yield from _rows(number, cells, roles)


def _role(name: str) -> str | None:
    """Return what a column is that nothing was told of."""
    return KNOWN.get(_fields.letters(name)) or _fields.installed(name)


def _delimiter(header: str) -> str:
    return max(DELIMITERS, key=header.count)


def _roles(header: list[str], columns: Mapping[str, str]) -> list[str | None]:
    """Return the role of each column: as told, or else as recognised."""
    names = ", ".join(shown(name) for name in header)
    if columns:
        roles: list[str | None] = [None] * len(header)
        for role, name in columns.items():
            column = _column(header, name)
            if column is None:
                raise UsageError(f"no column {name!r}; the columns are {names}")
            if roles[column] is not None:
                raise UsageError(f"column {name!r} cannot be both {roles[column]} and {role}")
            roles[column] = role
    else:
        roles = [_role(name) for name in header]
    if not any(role and (role == "hash" or role not in ROLES) for role in roles):
        raise ListError(
            f"no column holds hashes; the columns are {names}: "
            "say which one does (--column pdq=NAME)"
        )
    return roles


def _column(header: list[str], name: str) -> int | None:
    """Return which column is called `name`, to the letter or else but for case and signs."""
    if name in header:
        return header.index(name)
    plain = [_fields.letters(other) for other in header]
    return plain.index(_fields.letters(name)) if _fields.letters(name) in plain else None


def _rows(
    number: int, cells: list[str], roles: list[str | None]
) -> Iterator[ListRow | RejectedRow]:
    hashes: list[tuple[str | None, str]] = []
    told: dict[str, str] = {}
    labels: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    for role, cell in zip(roles, cells, strict=False):
        text = cell.strip()
        if role is None or not text:
            continue
        if role == "label":
            labels += (text,)
        elif role == "labels":
            labels += _split(text)
        elif role == "sources":
            sources += _split(text)
        elif role in ROLES - {"hash"}:
            told.setdefault(role, text)  # of two columns of one role the first counts
        else:
            hashes.append((None if role == "hash" else role, text))
    numbers: dict[str, int] = {}
    for role in ("quality", "max_distance"):
        if role in told:
            if not SMALL_NUMBER.fullmatch(told[role]):
                yield RejectedRow(number, f"{role} is not a number")
                return
            numbers[role] = int(told[role])
    updated = _fields.seconds(told["updated"]) if "updated" in told else None
    if "updated" in told and updated is None:
        yield RejectedRow(number, "updated is not a time")
        return
    status = told.get("status") or next((one for one in labels if one in CATEGORIES), "active")
    if not hashes and "status" not in told:  # withdrawn entries often come without their hash
        yield RejectedRow(number, "the hash is empty")
        return
    for column, value in hashes or [(None, "")]:
        name = column or told.get("algorithm")
        kind = _fields.own_kind(name) if name else None
        yield ListRow(
            number,
            value if kind is None else _fields.value_of(kind, value),
            kind,
            told.get("id"),
            labels,
            sources,
            status,
            numbers.get("quality"),
            numbers.get("max_distance"),
            updated,
        )


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[\s,;]+", text) if part)
