"""Review records as answers of HMA, facebook/ThreatExchange's hasher-matcher-actioner."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hashmatch.records.review import ReviewRecord

HALF = 2**52
"""Content ids of HMA are whole numbers, and JavaScript reads those below 2**53 exactly. Entries
that are numbers of the lower half keep them; others get one of the upper half."""


class HmaMatch(TypedDict):
    """One match, as HMA's ``MatchWithDistance`` (schemas/matching.py): the distance is text."""

    bank_content_id: int
    distance: str


def to_hma(
    record: ReviewRecord, *, banks: Mapping[str, str] | None = None
) -> dict[str, dict[str, list[HmaMatch]]]:
    """Return what HMA answers to ``POST /m/lookup`` with the picture.

    What it answers to ``GET /m/lookup?signal=...`` is that of one algorithm, and what it answers to
    ``GET /m/raw_lookup?...&include_distance=true`` is ``{"matches": ...}`` with the matches of all
    banks in a row.

    Parameters
    ----------
    record : ReviewRecord
        What matched. Its lists are banks, its algorithms signal types. A suppressed record waits
        for nobody, and is answered as if nothing had matched.
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
                "distance": str(match.distance),
            }
        )
    return answer


def hma_content_id(list: str, entry: str) -> int:
    """Return the number that stands for an entry in `to_hma`; always the same, below 2**53.

    Parameters
    ----------
    list, entry : str
        As matches name them.
    """
    if entry.isascii() and entry.isdigit() and str(int(entry)) == entry and int(entry) < HALF:
        return int(entry)
    name = f"{len(list)} {list}{entry}".encode(errors="surrogatepass")
    digest = hashlib.blake2b(name, digest_size=8, person=b"hashmatch-hma-id").digest()
    return HALF + int.from_bytes(digest) % HALF


def _bank(name: str) -> str:
    """Return a name that HMA takes: of A-Z, 0-9 and _, and no digit first (bank_name_ok)."""
    bank = re.sub(r"[^A-Z0-9_]+", "_", name.upper())
    return bank if re.match(r"[A-Z_]", bank) else f"_{bank}"
