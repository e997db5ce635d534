"""What a scan has done, counted, and proved to add up."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from hashmatch.errors import HashmatchError
from hashmatch.records.enums import HAVE_HASH, Outcome
from hashmatch.records.review import REASONS, ReviewRecord, SuppressedBy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.matching.breaker import Trip
    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.hash_list import HashList
    from hashmatch.records.images import ImageItem, ItemOutcome


@dataclass
class ScanReport:
    """Counts what a scan does, and proves at its end that nothing was lost.

    Parameters
    ----------
    matcher : Matcher, optional
        Whose lists the report names.
    listed, records : int
        Items listed, and records that wait for a person.
    outcomes : dict of Outcome to int
        How many items ended in each.
    suppressed : dict of str to int
        How many records each rule suppressed; see `hashmatch.matching.suppression`.
    alarms : list of Trip
        Those of the matcher's breaker: give it ``on_trip=report.alarms.append``, or take them from
        `Breaker.trips` at the end, which has those from before a scan went on.
    problems : list of ItemOutcome
        The items that were not searched.
    started, seconds : float
        When it began, on the monotonic clock, and how long it took.
    sandbox : str
        What closed in the processes that decoded the images, `DecodePool.report`.

    Examples
    --------
    >>> report = ScanReport()
    >>> report.listed_one()
    >>> report.finish()
    Traceback (most recent call last):
    hashmatch.errors.HashmatchError: 1 listed, 0 accounted for: this is a bug in hashmatch
    """

    matcher: Matcher | None = None
    listed: int = 0
    records: int = 0
    outcomes: dict[Outcome, int] = field(
        default_factory=lambda: {o: 0 for o in Outcome if o is not Outcome.HASHED}
    )
    suppressed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    alarms: list[Trip] = field(default_factory=list)
    problems: list[ItemOutcome] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    sandbox: str = "none: images were decoded in this process"

    def listed_one(self, item: ImageItem | None = None) -> None:
        """Count an item that the source has listed.

        Parameters
        ----------
        item : ImageItem, optional
            Which; it makes no difference.
        """
        self.listed += 1

    def add(self, result: ReviewRecord | ItemOutcome) -> None:
        """Count what became of an item, and keep it if it was not searched.

        Parameters
        ----------
        result : ReviewRecord or ItemOutcome
            As `scan_source` gives it.
        """
        self.outcomes[result.outcome] += 1
        if isinstance(result, ReviewRecord):
            if isinstance(result.suppressed_by, SuppressedBy):
                self.suppressed[result.suppressed_by.reason] += 1
            else:
                self.records += 1
        elif result.reason:
            self.problems.append(result)

    def finish(self) -> None:
        """Stop the clock. Raises HashmatchError if some item has not ended in an outcome."""
        self.seconds = time.monotonic() - self.started
        accounted = sum(self.outcomes.values())
        if accounted != self.listed:
            raise HashmatchError(
                f"{self.listed} listed, {accounted} accounted for: this is a bug in hashmatch"
            )

    @property
    def unhashed(self) -> int:
        """Items for which no hash could be made."""
        return sum(n for outcome, n in self.outcomes.items() if outcome not in HAVE_HASH)

    def to_json(self) -> bytes:
        """Return the report as JSON: the counts, the lists, and each item that was not searched."""
        matcher = self.matcher
        report = {
            "listed": self.listed,
            "outcomes": {outcome.value: count for outcome, count in self.outcomes.items()},
            "records": self.records,
            "suppressed": self.suppressed,
            "alarms": [
                {
                    "list": trip.list,
                    "list_version": trip.list_version,
                    "entry": trip.entry,
                    "records": trip.records,
                }
                for trip in self.alarms
            ],
            "lists": _described(matcher.lists if matcher is not None else ()),
            "benign": _described(matcher.protection.lists if matcher is not None else ()),
            "seconds": round(self.seconds, 3),
            "sandbox": self.sandbox,
            "not_searched": [
                {"item": problem.key, "outcome": problem.outcome, "reason": problem.reason}
                for problem in self.problems
            ],
        }
        return msgspec.json.format(msgspec.json.encode(report), indent=2)


def _described(lists: Sequence[HashList]) -> list[dict[str, object]]:
    return [
        {
            "name": known.name,
            "version": known.version,
            "algorithm": known.spec.algorithm,
            "entries": len(known),
            "rejected": len(known.rejected),
        }
        for known in lists
    ]
