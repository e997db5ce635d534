"""JSON lines: one object a line. What ``hashmatch hash`` prints can be read back.

::

    {"hash": "f8f8...f8", "algorithm": "pdq", "id": "42", "labels": ["A1"], "sources": ["demo"],
     "status": "active", "quality": 100, "max_distance": 31}

Only ``hash`` is needed; ``item`` stands in for ``id``; other keys are passed over. Lines with an
``outcome`` other than ``hashed`` are taken as removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import msgspec

from hashmatch.errors import UsageError
from hashmatch.interfaces import ListOptions, ListRow
from hashmatch.lists.lines import first_lines, numbered_lines
from hashmatch.records.lists import RejectedRow

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


class Jsonl:
    """Reads JSON lines."""

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100."""
        return 90 if any(line.lstrip().startswith("{") for line in first_lines(head)[:1]) else 0

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row. Raises UsageError if `options` tell of columns: there are none."""
        if options.columns:
            raise UsageError("JSON lines have no columns to tell apart")
        decoder = msgspec.json.Decoder(_Line)
        for line in numbered_lines(stream):
            if isinstance(line, RejectedRow):
                yield line
                continue
            number, text = line
            try:
                row = decoder.decode(text)
            except (msgspec.MsgspecError, RecursionError) as error:
                # msgspec names the place and the type, never the value.
                yield RejectedRow(number, f"not a list row: {error}")
                continue
            name = row.item if row.id is None else str(row.id)
            # A line of `hashmatch hash` about a picture without a good hash is no entry.
            status = (row.status or "active") if row.outcome == "hashed" else "removed"
            yield ListRow(
                number,
                row.hash,
                row.algorithm.lower() if row.algorithm else None,
                name,
                row.labels or (),
                row.sources or (),
                status,
                row.quality,
                row.max_distance,
            )
