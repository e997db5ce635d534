"""Project VIC's VICS JSON, 1.x and 2.0: media, or cases with media.

::

    {"@odata.context": "http://github.com/VICSDATAMODEL/.../2.0.xml/US/$metadata#Media", "value": [
      {"MediaID": 1, "Category": 1, "MD5": "...", "SHA1": "...", "MimeType": "image/jpeg",
       "DateUpdated": "2024-01-01T00:00:00Z", "Tags": "", "PhotoDNA": "..."}]}
    {"odata.metadata": ".../DataModels/1.3.xml#Cases", "value": [
      {"CaseID": 1, "Media": [{"MediaID": 1, "AlternativeHashes": [
        {"HashName": "PhotoDNA", "HashValue": "..."}]}]}]}

Types differ from maker to maker: numbers and truths come as text as well. A row for each hash. The
category is a label, and 0 (non-pertinent) also the status ``not_pertinent``; tags are labels.
``MediaID`` counts within one file, so there is no id: each hash is its own key. MD5 and SHA of
media whose ``MimeType`` is a video's are kinds of their own. PhotoDNA is counted, never kept. The
specification is given to members only; the fields are those that public readers know (IPED,
Autopsy).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO

from hashmatch.errors import UsageError
from hashmatch.interfaces import ListOptions, ListRow
from hashmatch.lists.readers import _fields
from hashmatch.lists.readers._json_stream import Bracket, page_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.errors import RejectedRow

CASE = re.compile(rb'\{\s*"Case(ID|Number|Name)?"', re.IGNORECASE)
HASHES = ("md5", "sha1", "sha256", "pdq", "photodna")
"""Keys that hold hashes, letters and digits only, besides those called like an algorithm."""
FIELDS = {"AlternativeHashes", "Category", "DateUpdated", "MediaID", "MimeType", "Tags"}


class VicsJson:
    """Reads VICS JSON."""

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100."""
        begins = head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
        named = re.search(rb'(?i)"@?odata\.(context|metadata)"\s*:', head)
        media = re.search(rb'(?i)"(MediaID|CaseID)"\s*:', head) and re.search(
            rb'"value"\s*:', head, re.IGNORECASE
        )
        return 95 if begins and (named or media) else 0

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row. Raises UsageError if `options` name columns: there are none."""
        if options.columns:
            raise UsageError("cannot use columns: VICS JSON has none. Leave out --column")
        yield from page_rows(stream, _rows, _holds, "MediaID", _is_case)


def _holds(place: Bracket) -> bool:
    key = (place.key or "").lower()
    return place.opener == b"[" and (key, place.depth) in {("value", 1), ("media", 3)}


def _is_case(place: Bracket, head: bytes, page: dict[str, Any]) -> bool:
    """Return whether what begins with `head` is a case; its media are the records then."""
    told = any(str(page[key]).endswith("#Cases") for key in page if "odata." in key)
    return (place.key or "").lower() == "value" and (told or CASE.match(head) is not None)


def _rows(line: int, record: Any) -> Iterator[ListRow]:
    _fields.check(record)
    is_video = _fields.text(record, "MimeType").lower().startswith("video")
    category = _fields.number(record, "Category")
    tags = _fields.divided("Tags", _fields.field(record, "Tags"))
    labels = _fields.texts(("" if category is None else f"category {category}", *tags))
    hashes = [(name, _fields.digits(record, name)) for name in _of_hashes(tuple(record))]
    hashes += [
        (_fields.text(other, "HashName"), _fields.digits(other, "HashValue"))
        for other in _fields.objects(record, "AlternativeHashes")
    ]
    hashes = [(name, value) for name, value in hashes if value]
    if not hashes:
        raise _fields.Unusable("the media has no hash")
    for name, value in hashes:
        kind = _fields.algorithm(name, video=is_video)
        yield ListRow(
            line,
            _fields.value_of(kind, value),
            kind,
            labels=labels,
            status="not_pertinent" if category == 0 else "active",
            updated=_fields.time(record, "DateUpdated"),
            encoding="hex",
        )


@lru_cache(maxsize=1024)  # media of a list have the same keys, a million times
def _of_hashes(keys: tuple[str, ...]) -> list[str]:
    """Return which of some keys hold hashes, the usual ones first."""
    named = {_fields.letters(key): key for key in keys if key not in FIELDS}
    usual = [named[name] for name in HASHES if name in named]
    return [*usual, *(key for key in named.values() if _fields.installed(key) and key not in usual)]
