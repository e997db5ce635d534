"""JSON lines: one object a line. What ``hashmatch hash`` prints can be read back.

::

    {"hash": "f8f8...f8", "algorithm": "pdq", "id": "42", "labels": ["A1"], "sources": ["demo"],
     "status": "active", "quality": 100, "max_distance": 31, "updated": "2026-01-01T00:00:00Z"}

Keys are recognised, or named by options, as the columns of CSV are,
`hashmatch.lists.readers._fields.KNOWN`; others are passed over, unless they hold what would be
lost. Only a hash is needed: in ``hash``, or in the key of an algorithm. Numbers may be text, and
texts numbers. Lines with an ``outcome`` other than ``hashed`` are taken as removed. A video has
``frames`` in the place of a hash, or all of them as one text, see `hashmatch.lists.vpdq_signal`.
PhotoDNA is counted; its values are not kept.
"""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any, BinaryIO

from hashmatch.errors import ListError, RejectedRow, UsageError
from hashmatch.interfaces import ColumnUse
from hashmatch.lists.readers import _fields
from hashmatch.lists.readers._json_stream import MAX_RECORD, parsed
from hashmatch.lists.readers._lines import first_lines, numbered_lines, shown
from hashmatch.lists.statuses import KEEP_OUT
from hashmatch.records.hashes import DECIMALS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hashmatch.interfaces import ListOptions, ListRow


MOST_FIELDS, MOST_KEPT = 100, 10_000
"""Of a report; and whose roles are kept while a list is read."""
LONGEST = 200
"""Characters of a hash, or of a status."""
HASH = re.compile(r"(?:0x|\\x)?[0-9a-f]{16,}|[\w+/-]{42,43}=|[\w+/-]{11}=", re.I | re.ASCII)
BEGINS = re.compile(r'\s*\{\s*("|\})')


class Jsonl:
    """Reads JSON lines."""

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100."""
        lines = first_lines(head)
        return 90 if lines and BEGINS.match(lines[0]) else 0

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row.

        UsageError if none of the keys that `options` name is there.
        ListError if what holds hashes, or says that entries are withdrawn, is in a key that is not
        known, unless `options` name keys: then all others are passed over, as columns are.
        """
        numbers = options.encoding in DECIMALS
        records = _records(stream, options.columns or {}, numbers)
        yield from _fields.dated(records, options.dates)

    def columns(self, head: bytes, options: ListOptions) -> list[ColumnUse]:
        """Return what becomes of each field of the lines in `head`."""
        names: dict[str, None] = {}
        for line in numbered_lines(io.BytesIO(head)):
            record, _ = (None, None) if isinstance(line, RejectedRow) else parsed(line[1].strip())
            names |= dict.fromkeys(record if isinstance(record, dict) else ())
        roles = _Roles(options.columns or {})
        uses = [ColumnUse(None, shown(name), roles[name]) for name in names]
        return uses[:MOST_FIELDS]


class _Roles(dict[str, "str | None"]):
    """The role of each key, as options or its name say."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._told = {_fields.letters(name): role for role, name in columns.items()}

    def __missing__(self, key: str) -> str | None:
        role = self._told.get(_fields.letters(key))
        if role is None:
            role = "status" if key == "outcome" else _fields.role(key)
            if self._told and role not in _fields.STANDING - set(self._told.values()):
                role = None
        if len(self) < MOST_KEPT:
            self[key] = role
        return role


def _records(
    stream: BinaryIO, told: Mapping[str, str], numbers: bool
) -> Iterator[_fields.Fields | RejectedRow]:
    roles, is_sure, is_told = _Roles(told), False, not told
    for line in numbered_lines(stream, longest=MAX_RECORD):
        if isinstance(line, RejectedRow):
            yield line
            continue
        number, text = line
        record, reason = parsed(text.strip())
        if reason is None and not isinstance(record, dict):
            reason = "the record is not an object"
        if reason is not None:
            yield RejectedRow(number, reason)
            continue
        if isinstance(record.get("frames"), list):  # of `hashmatch hash`, about a video
            record = {"algorithm": "vpdq", **record, "hash": json.dumps(record["frames"])}
            del record["frames"]
        fields = [
            (role, value)
            for key, value in record.items()
            if (role := roles[key]) is not None and key != "outcome"
        ]
        if not told:
            is_sure = is_sure or any(map(_fields.is_of_hashes, map(roles.__getitem__, record)))
            _check(number, record, roles, is_sure=is_sure)
            if record.get("id") is not None:  # the name of a picture is its id only without another
                fields.insert(0, ("id", record["id"]))
        if record.get("outcome", "hashed") != "hashed":
            # A line of `hashmatch hash` about a picture without a good hash is no entry.
            fields.insert(0, ("status", "removed"))
        is_told = is_told or not told.keys().isdisjoint(map(roles.__getitem__, record))
        yield _fields.Fields(number, fields, exact=True, numbers=numbers)
    if not is_told:
        raise UsageError(
            "cannot find the keys of --column: no record has any of "
            f"{', '.join(told.values())}. Give keys that are there (--column pdq=KEY)"
        )


def _check(line: int, record: dict[str, Any], roles: _Roles, *, is_sure: bool) -> None:
    """Raise ListError if a key that is not known holds what would be lost.

    It is sure which holds hashes once a record has one.
    """
    known = [(roles[key], key) for key in record]
    for role, key in known:
        value = record[key]
        if not is_sure and isinstance(value, list) and (role is None or role == "hash"):
            if any(isinstance(each, dict) or _may_be_hash(each) for each in value[:1]):
                raise ListError(
                    f"line {line}: the key {shown(key)} holds a whole list. Write its hashes one a "
                    f"line (jq -c '.\"{shown(key)}\"[]' FILE)"
                )
            continue
        if role is not None or not isinstance(value, str) or len(value) > LONGEST:
            continue
        told = None
        if value.strip().lower() in KEEP_OUT:
            told, what = "status", "says that an entry is withdrawn or benign"
        elif not is_sure and _may_be_hash(value):
            told, what = "hash", "holds what may be a hash"
        if told is not None:
            options = _fields.options(told, shown(key), ((role, shown(key)) for role, key in known))
            ignored = "; to ignore it, all but the first" if told == "status" else ""
            raise ListError(
                f"line {line}: the key {shown(key)} {what}, and is not known by that name. Give "
                f"{options}{ignored}"
            )


def _may_be_hash(value: object) -> bool:
    return isinstance(value, str) and HASH.fullmatch(value) is not None
