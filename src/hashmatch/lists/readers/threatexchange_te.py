"""What python-threatexchange keeps of an exchange: ``simple.<type>.te``, CSV without a header.

::

    f8f8...f8,7,2024-01-01T00:00:00+0000,"demo A1"         indicator,descriptor,added_on,tags
    f8f8...f8,1,7,2024-01-01T00:00:00+0000,"demo A1"       indicator,id,descriptor,added_on,labels

The second is of the matcher that came before (HMA). The id is the indicator's, or the descriptor's
where there is no other; labels are the tags. The kind of hash is in the file's name alone: say it,
unless it is PDQ. A digest with the tag ``media_type_video`` is of a video.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, BinaryIO

from hashmatch import registry
from hashmatch.errors import RejectedRow, UnknownPlugin, UsageError
from hashmatch.interfaces import ListOptions, ListRow
from hashmatch.lists.readers import _fields
from hashmatch.lists.readers._lines import CsvRecords, first_lines, numbered_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOKS_RIGHT = re.compile(
    r'\s*"?[0-9a-f]{16,}"?,"?\d+(\.0+)?"?,("?\d+(\.0+)?"?,)?"?\d{4}-\d\d-\d\dT[^,]*(,|$)',
    re.IGNORECASE,
)
NUMBER = re.compile(r"\d{0,24}", re.ASCII)
OF_VIDEO = "media_type_video"


class ThreatExchangeTe:
    """Reads ``.te`` files."""

    unique_ids = True

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100."""
        lines = first_lines(head)
        return 95 if lines and LOOKS_RIGHT.match(lines[0]) else 0

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row. Raises UsageError if `options` name columns: these are fixed."""
        if options.columns:
            raise UsageError("cannot use columns: those of .te files are fixed. Leave out --column")
        lines = numbered_lines(stream, returns=True)
        for record in CsvRecords(lines, ",", lambda cells: len(cells) in {4, 5}):
            yield record if isinstance(record, RejectedRow) else _row(*record)


def _row(number: int, cells: list[str]) -> ListRow | RejectedRow:
    if len(cells) not in {4, 5}:
        return RejectedRow(number, f"{len(cells)} columns, there ought to be 4 or 5")
    value, *ids, added_on, tags = map(_fields.cell, cells)
    ids = [_fields.id_of("id", name) or "" for name in ids]
    if not all(NUMBER.fullmatch(name) for name in ids):
        return RejectedRow(number, "an id is not a number")
    try:
        updated = _fields.time_of("added_on", added_on, _fields.Dates())
    except _fields.Unusable as error:
        return RejectedRow(number, str(error))
    labels = _fields.texts(tags.split())
    kind = _digest(len(value)) if OF_VIDEO in labels else None
    return ListRow(
        number,
        value if kind is None else _fields.value_of(kind, value),
        kind,
        next(filter(None, ids), None),
        labels,
        updated=updated,
        encoding="hex",
    )


@cache
def _digest(digits: int) -> str | None:
    """Return the kind of a video's digest of so many digits, if there is one."""
    for name in registry.names(registry.HASHERS):
        with suppress(UnknownPlugin):  # of another kind, perhaps
            is_plain = _fields.digests_files(name) and not name.startswith("video_")
            if is_plain and registry.spec(name).bits == 4 * digits:
                return f"video_{name}"
    return None
