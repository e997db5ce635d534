"""JSON lines: one object a line. What ``hashmatch hash`` prints can be read back.

::

    {"hash": "f8f8...f8", "algorithm": "pdq", "id": "42", "labels": ["A1"], "sources": ["demo"],
     "status": "active", "quality": 100, "max_distance": 31, "updated": "2026-01-01T00:00:00Z"}

Only ``hash`` is needed; ``item`` stands in for ``id``; ``updated`` is ISO 8601 or seconds since
1970; other keys are passed over. Lines with an ``outcome`` other than ``hashed`` are taken as
removed. PhotoDNA is counted; its values are not kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import msgspec

from hashmatch.errors import RejectedRow, UsageError
from hashmatch.interfaces import ListOptions, ListRow
from hashmatch.lists.readers import _fields
from hashmatch.lists.readers._json_stream import parsed
from hashmatch.lists.readers._lines import first_lines, numbered_lines

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Line(msgspec.Struct):
    hash: str = ""
    outcome: str = "hashed"
    algorithm: str | None = None
    id: str | int | None = None
    item: str | None = None
    labels: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None
    status: str | None = None
    quality: int | None = None
    max_distance: int | None = None
    updated: str | int | float | None = None


class Jsonl:
    """Reads JSON lines."""

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100."""
        return 90 if any(line.lstrip().startswith("{") for line in first_lines(head)[:1]) else 0

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row. Raises UsageError if `options` tell of columns: there are none."""
        if options.columns:
            raise UsageError("JSON lines have no columns to tell apart")
        for line in numbered_lines(stream):
            if isinstance(line, RejectedRow):
                yield line
                continue
            number, text = line
            record, reason = parsed(text.strip())
            if reason is not None:
                yield RejectedRow(number, reason)
                continue
            try:
                row = msgspec.convert(record, _Line)
            except msgspec.ValidationError as error:
                # msgspec names the place and the type, never the value.
                yield RejectedRow(number, f"not a list row: {error}")
                continue
            updated = None if row.updated is None else _fields.seconds(row.updated)
            if row.updated is not None and updated is None:
                yield RejectedRow(number, "updated is not a time")
                continue
            kind = _fields.own_kind(row.algorithm) if row.algorithm else None
            name = row.item if row.id is None else str(row.id)
            # A line of `hashmatch hash` about a picture without a good hash is no entry.
            status = (row.status or "active") if row.outcome == "hashed" else "removed"
            yield ListRow(
                number,
                row.hash if kind is None else _fields.value_of(kind, row.hash),
                kind,
                name,
                row.labels or (),
                row.sources or (),
                status,
                row.quality,
                row.max_distance,
                updated,
            )
