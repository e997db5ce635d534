"""Review records in the shapes of Coop, HMA and python-threatexchange."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import urlsplit

from msgspec import UNSET

from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from hashmatch.records.review import RecordMatch, ReviewRecord, VideoMatch

FACTS = (
    "record_id", "created_at", "surface", "algorithm", "distance", "max_distance", "list", "entry",
    "labels", "match_count",
)  # fmt: skip
"""What `to_coop` can tell besides the picture; of the closest match, where it is of a match."""
HALF = 2**52
"""Content ids of HMA are whole numbers, and JavaScript reads those below 2**53 exactly. Entries
that are numbers of the lower half keep them; others get one of the upper half."""


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
    """Return a record as an item of Coop, the review tool of ROOST (roostorg/coop).

    Send it to Coop's ``POST /api/v1/items/async/`` with an ``X-API-KEY`` header. Coop then runs its
    rules; route the item to a queue with one on the fields below. Reports to NCMEC are Coop's own
    task.

    Parameters
    ----------
    record : ReviewRecord
        A record that waits for review.
    type_id : str
        The item type, as set up in Coop. Its schema has a field ``images``, an array of images, and
        one for each fact.
    url : str
        Where the picture is: Coop fetches it when it is sent, and the reviewer's browser when it is
        looked at, both without credentials. A signed URL has to outlive the queue.
    item_id : str, optional
        Id of the item on the platform; by default the record's key.
    facts : collection of str
        Which of ``record_id``, ``created_at`` (a datetime), ``surface``, ``algorithm``, ``list``,
        ``entry`` (strings), ``distance``, ``max_distance``, ``match_count`` (numbers) and
        ``labels`` (an array of strings) to send: those that the schema has.

    Returns
    -------
    dict
        The body of the request, to be sent as JSON.

    Raises
    ------
    UsageError
        If the record is suppressed, a browser cannot fetch `url`, or there is no such fact.

    Examples
    --------
    >>> from hashmatch.testing import example_record
    >>> url = "https://media.example/a.jpg?signature=x"
    >>> to_coop(example_record(), type_id="photo", url=url, facts=["surface", "distance"])
    {'items': [{'id': 'profiles/1.jpg', 'typeId': 'photo', 'data': {'images': \
['https://media.example/a.jpg?signature=x'], 'surface': 'profile_photo', 'distance': 4}}]}
    """
    if record.status != "pending_review":
        raise UsageError(f"cannot send record {record.record_id} to Coop: it is suppressed")
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise UsageError("cannot send this URL to Coop: it has to begin with https:// or http://")
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
            raise UsageError(f"cannot send fact {fact!r}: there are only {', '.join(FACTS)}")
    data = {"images": [url]} | {name: known[name] for name in FACTS if name in facts}
    name = record.item.key if item_id is None else item_id
    return {"items": [{"id": name, "typeId": type_id, "data": data}]}


class HmaMatch(TypedDict):
    """One match, as HMA's ``MatchWithDistance`` (schemas/matching.py): the distance is text.

    Of a video it is both of vPDQ's percentages, see `video_percentages`.
    """

    bank_content_id: int
    distance: str


def to_hma(
    record: ReviewRecord, *, banks: Mapping[str, str] | None = None
) -> dict[str, dict[str, list[HmaMatch]]]:
    """Return a record as HMA, facebook/ThreatExchange's hasher-matcher-actioner, answers.

    It is the answer to ``POST /m/lookup`` with the picture. The answer to ``GET
    /m/lookup?signal=...`` is that of one algorithm, and the answer to ``GET
    /m/raw_lookup?...&include_distance=true`` is ``{"matches": ...}`` with the matches of all banks
    in a row.

    Parameters
    ----------
    record : ReviewRecord
        Its lists are banks, its algorithms signal types. A suppressed record waits for nobody, and
        is answered as if nothing had matched.
    banks : mapping of str to str, optional
        The bank of a list. By default the list's name in upper case with ``_`` in the place of what
        HMA lets no bank's name have: ``demo-pdq`` is ``DEMO_PDQ``. Coop looks for banks that it
        made itself, ``COOP_<ORG>_<NAME>``.

    Returns
    -------
    dict
        ``{"pdq": {"DEMO_PDQ": [{"bank_content_id": 7, "distance": "4"}]}}``, closest first. A
        content id is the entry's own if that is a number below 2**52, else `hma_content_id`.

    Examples
    --------
    >>> from hashmatch.testing import example_record
    >>> to_hma(example_record())
    {'pdq': {'DEMO': [{'bank_content_id': 5521678644462323, 'distance': '4'}]}}
    """
    answer: dict[str, dict[str, list[HmaMatch]]] = {record.hash.algorithm: {}}
    if record.status != "pending_review":  # it waits for nobody: as if nothing had matched
        return answer
    for match in record.matches:
        bank = (banks or {}).get(match.list) or _bank(match.list)
        answer.setdefault(match.algorithm, {}).setdefault(bank, []).append(
            {
                "bank_content_id": hma_content_id(match.list, match.entry),
                "distance": str(match.distance)
                if match.video is UNSET
                else video_distance(match.video),
            }
        )
    return answer


def video_percentages(video: VideoMatch) -> dict[str, float]:
    """Return vPDQ's two numbers as python-threatexchange names them, in percent.

    Its *query* is the video that was checked, and what it *compared* it with is the entry. Of an
    entry that is a picture there is only the first.
    """
    shares = {"query_match_percent": video.query_matched / max(1, video.query_frames)}
    if video.entry_share is not UNSET:
        shares["compared_match_percent"] = video.entry_share
    return {name: round(100 * share, 2) for name, share in shares.items()}


def video_distance(video: VideoMatch) -> str:
    """Return what stands in the place of a distance, which a video has none of.

    Examples
    --------
    >>> from hashmatch.records.review import VideoMatch
    >>> video_distance(VideoMatch((), 0, 10, 8, 0.8, 0.8, 40, 8, 0.2, 0.2))
    'query_match_percent 80, compared_match_percent 20'
    """
    return ", ".join(f"{name} {value:g}" for name, value in video_percentages(video).items())


def hma_content_id(list: str, entry: str) -> int:
    """Return the number that stands for an entry in `to_hma`; always the same, below 2**53."""
    if entry.isascii() and entry.isdigit() and str(int(entry)) == entry and int(entry) < HALF:
        return int(entry)
    name = f"{len(list)} {list}{entry}".encode(errors="surrogatepass")
    digest = hashlib.blake2b(name, digest_size=8, person=b"hashmatch-hma-id").digest()
    return HALF + int.from_bytes(digest) % HALF


def _bank(name: str) -> str:
    """Return a name that HMA takes: of A-Z, 0-9 and _, and no digit first (bank_name_ok)."""
    bank = re.sub(r"[^A-Z0-9_]+", "_", name.upper())
    return bank if re.match(r"[A-Z_]", bank) else f"_{bank}"


@dataclass(order=True)
class Distance:
    """A distance as ``SignalSimilarityInfoWithIntDistance``, where that is not installed."""

    distance: int

    def pretty_str(self) -> str:
        """Return it as text."""
        return str(self.distance)


@dataclass(slots=True)
class IndexMatch:
    """A match as ``IndexMatchUntyped``, where python-threatexchange is not installed."""

    similarity_info: Distance
    metadata: RecordMatch = field(repr=False)


def to_pytx(record: ReviewRecord, algorithm: str = "pdq") -> list[IndexMatch]:
    """Return what ``SignalTypeIndex.query`` of python-threatexchange returns.

    Where the package ``threatexchange`` is installed, results are its own ``IndexMatchUntyped``
    with ``SignalSimilarityInfoWithIntDistance``; elsewhere classes with the same attributes.

    Parameters
    ----------
    record : ReviewRecord
        A suppressed record waits for nobody: nothing is returned of it.
    algorithm : str
        The signal type: an index of theirs holds one.

    Returns
    -------
    list
        Closest first. Each has ``similarity_info``, with ``distance`` and ``pretty_str()``, and
        ``metadata``, which is the `RecordMatch`.

    Examples
    --------
    >>> from hashmatch.testing import example_record
    >>> [(m.similarity_info.pretty_str(), m.metadata.entry) for m in to_pytx(example_record())]
    [('4', 'made-up-4')]
    """
    info: Any = Distance
    match: Any = IndexMatch
    try:
        from threatexchange.signal_type import index
    except ImportError:
        pass
    else:
        info, match = index.SignalSimilarityInfoWithIntDistance, index.IndexMatchUntyped
    if record.status != "pending_review":
        return []
    return [match(info(one.distance), one) for one in record.matches if one.algorithm == algorithm]
