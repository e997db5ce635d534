"""Tech Against Terrorism's hash list, as pages of its API.

::

    {"count": 1, "next": null, "previous": null, "checkpoint": "1704067200,1", "results": [
      {"hash_digest": "f8f8...f8", "algorithm": "PDQ", "ideology": "...", "file_type": "image/jpeg",
       "deleted": false, "updated_on": "2024-01-01T00:00:00Z", "created_on": "...", "id": 1}]}

The label is the ideology. ``deleted`` takes the id out. ``file_type`` says which MD5 and SHA are of
videos. ``count`` is of all pages, so it is held against the records of a page that has no others.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, BinaryIO

from hashmatch.errors import UsageError
from hashmatch.interfaces import ListOptions, ListRow
from hashmatch.lists.readers import _fields
from hashmatch.lists.readers._json_stream import array_at, page_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.errors import RejectedRow

#: How names of video files end, for lists whose ``file_type`` is a suffix.
VIDEO = re.compile(r"video\b.*|\.?(mp4|m4v|mov|avi|mkv|webm|wmv|flv|mpe?g|3gp|ts)", re.IGNORECASE)


class TatJson:
    """Reads Tech Against Terrorism JSON."""

    unique_ids = True

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100."""
        if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return 0
        page = re.search(rb'(?i)"results"\s*:\s*\[', head)
        mine = re.search(rb'(?i)"(hash_digest|checkpoint)"\s*:', head)
        return 95 if page and mine else 0

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row. Raises UsageError if `options` name columns: there are none."""
        if options.columns:
            raise UsageError(
                "cannot use columns: Tech Against Terrorism JSON has none. Leave out --column"
            )
        yield from page_rows(stream, _rows, array_at("results"), "hash_digest", counted=True)


def _rows(line: int, record: Any) -> Iterator[ListRow]:
    _fields.check(record)
    is_video = VIDEO.fullmatch(_fields.text(record, "file_type")) is not None
    kind = _fields.algorithm(_fields.text(record, "algorithm"), video=is_video)
    updated = _fields.time(record, "updated_on")
    yield ListRow(
        line,
        _fields.value_of(kind, _fields.digits(record, "hash_digest")),
        kind,
        _fields.text(record, "id") or None,
        _fields.texts((_fields.text(record, "ideology"),)),
        status="deleted" if _fields.truth(record, "deleted") else "active",
        updated=_fields.time(record, "created_on") if updated is None else updated,
        encoding="hex",
    )
