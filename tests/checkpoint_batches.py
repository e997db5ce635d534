"""What tests and the processes that they kill write to a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hashmatch as hm
from hashmatch.testing import example_record

if TYPE_CHECKING:
    from hashmatch.scan.checkpoint import ScanState
    from hashmatch.scan.events import Result

ABOUT = {"source": "photos", "lists": [["demo", "17"]], "options": {"variants": "none"}}


def item(number: int) -> hm.ImageItem:
    return hm.ImageItem(f"photos/{number:05}.jpg", "v1", hm.Surface.PROFILE_PHOTO)


def result(number: int) -> Result:
    """A third each: a record, nothing, and a picture that could not be decoded."""
    key = item(number)
    if number % 3 == 0:
        return example_record()
    outcome = hm.Outcome.NO_MATCH if number % 3 == 1 else hm.Outcome.UNDECODABLE
    reason = "" if number % 3 == 1 else "the file is empty"
    return hm.ItemOutcome(key.key, key.version, key.surface, outcome, reason)


def batch(first: int, count: int) -> list[tuple[hm.ImageItem, Result]]:
    return [(item(number), result(number)) for number in range(first, first + count)]


def commit(
    scan: ScanState, done: list[tuple[hm.ImageItem, Result]], breaker: dict[str, int] | None = None
) -> None:
    """Commit a batch as a scan does, with what has been counted by then."""
    counters = scan.counters()
    for _, one in done:
        counters.add(one)
    scan.commit(done, counters, breaker)
