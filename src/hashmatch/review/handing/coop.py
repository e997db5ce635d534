"""Review records as items of Coop, the review tool of ROOST (roostorg/coop)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import urlsplit

from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from hashmatch.records.review import ReviewRecord

FACTS = (
    "record_id", "created_at", "surface", "algorithm", "distance", "max_distance", "list", "entry",
    "labels", "match_count",
)  # fmt: skip
"""What `to_coop` can tell besides the picture; of the closest match, where it is of a match."""


class CoopItem(TypedDict):
    """One item, as Coop takes it (docs/api/items.md)."""

    id: str
    typeId: str
    data: dict[str, Any]


class CoopItems(TypedDict):
    """The body of ``POST /api/v1/items/async/``."""

    items: list[CoopItem]


def to_coop(
    record: ReviewRecord,
    *,
    type_id: str,
    url: str,
    item_id: str | None = None,
    facts: Collection[str] = FACTS,
) -> CoopItems:
    """Return the body of Coop's ``POST /api/v1/items/async/``, sent with an ``X-API-KEY`` header.

    Coop then runs its rules; route the item to a queue with one on the fields below. Reports to
    NCMEC are Coop's own task.

    Parameters
    ----------
    record : ReviewRecord
        What matched; one that waits for review.
    type_id : str
        The item type, as set up in Coop. Its schema has a field ``images``, an array of images, and
        one for each fact.
    url : str
        Where the picture is: Coop fetches it when it is sent, and the reviewer's browser when it is
        looked at, both without credentials. A signed URL has to outlive the queue.
    item_id : str, optional
        What the platform calls it; by default the record's key.
    facts : collection of str
        Which of ``record_id``, ``created_at`` (a datetime), ``surface``, ``algorithm``, ``list``,
        ``entry`` (strings), ``distance``, ``max_distance``, ``match_count`` (numbers) and
        ``labels`` (an array of strings) to send: those that the schema has.

    Raises
    ------
    UsageError
        If the record is suppressed, `url` is none that a browser can fetch, or there is no such
        fact.

    Examples
    --------
    >>> from hashmatch.testing import example_record
    >>> url = "https://media.example/a.jpg?signature=x"
    >>> to_coop(example_record(), type_id="photo", url=url, facts=["surface", "distance"])
    {'items': [{'id': 'profiles/1.jpg', 'typeId': 'photo', 'data': {'images': \
['https://media.example/a.jpg?signature=x'], 'surface': 'profile_photo', 'distance': 4}}]}
    """
    if record.status != "pending_review":
        raise UsageError(f"record {record.record_id} is suppressed: it waits for nobody's review")
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise UsageError("Coop fetches a picture from a URL that begins with https:// or http://")
    closest = record.matches[0]
    known = {
        "record_id": record.record_id,
        "created_at": record.created_at,
        "surface": record.item.surface.value,
        "algorithm": closest.algorithm,
        "distance": closest.distance,
        "max_distance": closest.max_distance,
        "list": closest.list,
        "entry": closest.entry,
        "labels": [*closest.labels],
        "match_count": record.match_count,
    }
    for fact in facts:
        if fact not in known:
            raise UsageError(f"there is no fact {fact!r}; there are {', '.join(FACTS)}")
    data = {"images": [url]} | {name: known[name] for name in FACTS if name in facts}
    name = record.item.key if item_id is None else item_id
    return {"items": [{"id": name, "typeId": type_id, "data": data}]}
