"""JSON lines: one object a line. What ``hashmatch hash`` prints can be read back.

::

    {"hash": "f8f8...f8", "algorithm": "pdq", "id": "42", "labels": ["A1"], "sources": ["demo"],
     "status": "active", "quality": 100, "max_distance": 31, "updated": "2026-01-01T00:00:00Z"}

Keys are recognised as the columns of CSV are, `hashmatch.lists.readers._fields.KNOWN`; others are
passed over. Only a hash is needed: in ``hash``, or in the key of an algorithm. Numbers may be text,
and texts numbers. Lines with an ``outcome`` other than ``hashed`` are taken as removed. PhotoDNA is
counted; its values are not kept.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, BinaryIO

from hashmatch.errors import RejectedRow, UsageError
from hashmatch.interfaces import ColumnUse
from hashmatch.lists.readers import _fields
from hashmatch.lists.readers._json_stream import parsed
from hashmatch.lists.readers._lines import first_lines, numbered_lines, shown
from hashmatch.records.hashes import DECIMALS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.interfaces import ListOptions, ListRow


MOST_FIELDS = 100
"""Of a report."""
BEGINS = re.compile(r'\s*\{\s*("|\})')


class Jsonl:
    """Reads JSON lines."""

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100."""
        lines = first_lines(head)
        return 90 if lines and BEGINS.match(lines[0]) else 0

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row. Raises UsageError if `options` tell of columns: there are none."""
        if options.columns:
            raise UsageError("JSON lines have no columns to tell apart")
        numbers = options.encoding in DECIMALS
        yield from _fields.dated(_records(stream, numbers), options.dates)

    def columns(self, head: bytes, options: ListOptions) -> list[ColumnUse]:
        """Return what becomes of each field of the lines in `head`."""
        names: dict[str, None] = {}
        for line in numbered_lines(io.BytesIO(head)):
            record, _ = (None, None) if isinstance(line, RejectedRow) else parsed(line[1].strip())
            names |= dict.fromkeys(record if isinstance(record, dict) else ())
        named = {name: "status" if name == "outcome" else _fields.role(name) for name in names}
        return [ColumnUse(None, shown(name), role) for name, role in named.items()][:MOST_FIELDS]


def _records(stream: BinaryIO, numbers: bool) -> Iterator[_fields.Fields | RejectedRow]:
    for line in numbered_lines(stream):
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
        fields = [
            (role, value)
            for key, value in record.items()
            if (role := _fields.role(key)) is not None
        ]
        if record.get("id") is not None:  # the name of a picture is its id only if it has no other
            fields.insert(0, ("id", record["id"]))
        if record.get("outcome", "hashed") != "hashed":
            # A line of `hashmatch hash` about a picture without a good hash is no entry.
            fields.insert(0, ("status", "removed"))
        yield _fields.Fields(number, fields, exact=True, numbers=numbers)
