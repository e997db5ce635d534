"""StopNCII v1 pages, as its ``FetchHashes`` gives them.

::

    {"count": 1, "nextPageToken": "", "nextSetTimestamp": 1700000000, "hasMoreRecords": false,
     "hashRecords": [{"lastModtimestamp": 1700000000, "signalType": "ImagePDQ",
      "hashValue": "f8f8...f8", "hashStatus": "Active", "hashRegions": ["UK"],
      "caseNumbers": {"11111111-1111-1111-1111-111111111111": "Active"},
      "CSPFeedbacks": [{"source": "demo", "feedbackValue": "Blocked", "tags": ["x"]}]}]}

There is no id: the hash is its own key. Labels are the regions and the tags of platforms that
block it; those that blocked it agree, those that found it ``NotBlocked`` do not. ``hashStatus``
``Withdrawn`` and ``Deleted`` take it out (python-threatexchange keeps those). Case numbers are of
people and are not kept. A value that the API gains later costs no record.
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


class StopNciiJson:
    """Reads StopNCII JSON."""

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100."""
        begins = head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
        return 95 if begins and re.search(rb'(?i)"(hashRecords|nextSetTimestamp)"\s*:', head) else 0

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row. Raises UsageError if `options` name columns: there are none."""
        if options.columns:
            raise UsageError("cannot use columns: StopNCII JSON has none. Leave out --column")
        yield from page_rows(stream, _rows, array_at("hashRecords"), "hashValue", counted=True)


def _rows(line: int, record: Any) -> Iterator[ListRow]:
    _fields.check(record)
    kind = _fields.algorithm(_fields.text(record, "signalType"))
    if not kind.startswith("unknown"):
        value = _fields.value_of(kind, _fields.digits(record, "hashValue"))
    else:
        kind, value = "other", ""
    agree, disagree, tags = _feedback(record)
    yield ListRow(
        line,
        value,
        kind,
        labels=_fields.texts((*_fields.strings(record, "hashRegions"), *tags)),
        status=_fields.text(record, "hashStatus") or "unknown",
        updated=_fields.time(record, "lastModtimestamp"),
        upvotes=len(agree),
        downvotes=len(disagree),
        encoding="hex",
    )


def _feedback(record: dict[str, Any]) -> tuple[set[str], set[str], list[str]]:
    """Return which platforms block it, which do not, and the tags of those that do.

    A platform that says both, at different times maybe, is taken to block it.
    """
    agree: set[str] = set()
    disagree: set[str] = set()
    tags: list[str] = []
    for feedback in _fields.objects(record, "CSPFeedbacks"):
        says = _fields.text(feedback, "feedbackValue").lower()
        if says == "blocked":
            agree.add(_fields.text(feedback, "source"))
            tags += _fields.strings(feedback, "tags")
        elif says == "notblocked":
            disagree.add(_fields.text(feedback, "source"))
    return agree, disagree - agree, tags
