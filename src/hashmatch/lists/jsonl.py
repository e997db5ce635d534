"""JSON lines: one object a line. What ``hashmatch hash`` prints can be read back.

::

    {"hash": "f8f8...f8", "algorithm": "pdq", "id": "42", "labels": ["A1"], "sources": ["demo"],
     "status": "active", "quality": 100, "max_distance": 31}

Only ``hash`` is needed; ``item`` stands in for ``id``; other keys are passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import msgspec

from hashmatch.interfaces import ListOptions, ListRow
from hashmatch.lists._lines import first_lines, numbered_lines
from hashmatch.records.lists import RejectedRow

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Line(msgspec.Struct):
    hash: str
    algorithm: str | None = None
    id: str | int | None = None
    item: str | None = None
    labels: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    status: str = "active"
    quality: int | None = None
    max_distance: int | None = None


class Jsonl:
    """Reads JSON lines."""

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100."""
        return 90 if any(line.startswith("{") for line in first_lines(head)[:1]) else 0

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row; nothing in `options` applies."""
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
            yield ListRow(
                number,
                row.hash,
                row.algorithm.lower() if row.algorithm else None,
                name,
                row.labels,
                row.sources,
                row.status,
                row.quality,
                row.max_distance,
            )
