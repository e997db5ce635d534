"""ThreatExchange ``threat_updates`` pages, as its API gives them.

::

    {"data": [{"id": "1", "indicator": "f8f8...f8", "type": "HASH_PDQ", "last_updated": 1720000000,
      "should_delete": false, "descriptors": {"data": [{"id": "7", "owner": {"id": "123"},
       "status": "MALICIOUS", "tags": {"data": [{"text": "demo"}]},
       "reactions": [{"key": "DISAGREE_WITH_TAGS", "value": "456,789"}]}]}}],
     "paging": {"next": "..."}}

The id is the indicator's, labels are tags, sources are the owners of descriptors. An indicator with
``should_delete``, or without descriptors (python-threatexchange issue 834), is deleted. The status
is the gravest of its descriptors'. Owners who call it malicious, after the first, and those who
find a descriptor ``HELPFUL`` agree with it; owners who call it non-malicious and those who
``DISAGREE_WITH_TAGS`` do not. ``HASH_MD5`` with the tag ``media_type_video`` is of a video.
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

OF_VIDEO = "media_type_video"
GRAVITY = ("malicious", "suspicious", "unknown", "non_malicious")


class ThreatExchangeJson:
    """Reads ThreatExchange JSON."""

    unique_ids = True

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100."""
        page = re.search(rb'(?i)"data"\s*:\s*\[', head)
        mine = re.search(
            rb'"(indicator|descriptors|should_delete|last_updated)"\s*:', head, re.IGNORECASE
        )
        if not page or not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return 0
        if mine:
            return 95
        return 92 if re.search(rb'(?i)"data"\s*:\s*\[\s*\]', head) else 0  # the last page is empty

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row. Raises UsageError if `options` name columns: there are none."""
        if options.columns:
            raise UsageError("cannot use columns: ThreatExchange JSON has none. Leave out --column")
        yield from page_rows(stream, _rows, array_at("data"), "indicator")


def _rows(line: int, record: Any) -> Iterator[ListRow]:
    _fields.check(record)
    descriptors = _fields.objects(record, "descriptors")
    tags = _fields.texts(tag for descriptor in descriptors for tag in _tags(descriptor))
    kind = _fields.algorithm(
        _fields.text(record, "type").upper().removeprefix("HASH_"), video=OF_VIDEO in tags
    )
    identity = _fields.text(record, "id")
    value = _fields.value_of(kind, _fields.digits(record, "indicator"))
    updated = _fields.time(record, "last_updated")
    if updated is None:
        times = [_fields.time(descriptor, "added_on") for descriptor in descriptors]
        updated = max((time for time in times if time is not None), default=None)
    deleted = _fields.truth(record, "should_delete") or not descriptors
    statuses = {_fields.text(descriptor, "status").lower() for descriptor in descriptors}
    statuses -= {""}
    gravest = next((status for status in GRAVITY if status in statuses), None)
    agree, disagree = _votes(descriptors)
    yield ListRow(
        line,
        value,
        kind,
        identity or None,
        tags,
        _fields.texts(_owner(descriptor) for descriptor in descriptors),
        "deleted" if deleted else gravest or min(statuses, default="unknown"),
        updated=updated,
        upvotes=agree,
        downvotes=disagree,
        encoding="hex",
    )


def _owner(descriptor: dict[str, Any]) -> str:
    return _fields.text(_fields.mapping(descriptor, "owner"), "id")


def _tags(descriptor: dict[str, Any]) -> Iterator[str]:
    """Yield the tags: objects under ``data``, or a bare list of texts or of objects."""
    tags = descriptor.get("tags")
    tags = tags.get("data") if isinstance(tags, dict) else tags
    if not isinstance(tags, list | None):
        raise _fields.Unusable("tags is not an array")
    for tag in tags or ():
        yield _fields.text(tag if isinstance(tag, dict) else {"text": tag}, "text")


def _votes(descriptors: list[dict[str, Any]]) -> tuple[int, int]:
    """Return how many parties agree with the first that lists it, and how many do not.

    What the owner of a descriptor says outranks a reaction of theirs.
    """
    owners: dict[str, bool] = {}
    reactions: dict[str, bool] = {}
    for descriptor in descriptors:
        status = _fields.text(descriptor, "status").upper()
        if status in {"MALICIOUS", "NON_MALICIOUS"} and (owner := _owner(descriptor)):
            owners[owner] = owners.get(owner, False) or status == "MALICIOUS"
        for name in ("reactions", "my_reactions"):
            for reaction in _reactions(descriptor, name):
                kind = _fields.text(reaction, "key").upper()
                for party in _fields.text(reaction, "value").split(","):
                    if kind == "HELPFUL":
                        reactions[party.strip()] = True
                    elif kind == "DISAGREE_WITH_TAGS":
                        reactions.setdefault(party.strip(), False)
    listers = [owner for owner, agrees in owners.items() if agrees]
    votes = reactions | owners
    if listers:
        del votes[listers[0]]
    return sum(votes.values()), len(votes) - sum(votes.values())


def _reactions(descriptor: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the reactions; one's own may be a bare list of what they are."""
    value = descriptor.get(name)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [{"key": item, "value": "me"} for item in value]
    return _fields.objects(descriptor, name)
