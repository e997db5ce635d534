"""What a scan has done, counted, and proved to add up."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from hashmatch.errors import HashmatchError
from hashmatch.records.enums import HAVE_HASH
from hashmatch.records.images import ItemOutcome
from hashmatch.records.safeguards import Waiver, waivers
from hashmatch.scan.events import Counters
from hashmatch.scan.shadow import shadow_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.matching.breaker import Trip
    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.hash_list import HashList
    from hashmatch.scan.events import Event, Result


@dataclass
class ScanReport:
    """What a scan has done: give it as ``observe=``, and each result to `add`.

    Parameters
    ----------
    matcher : Matcher, optional
        Whose lists and alarms the report names.
    counters : Counters
        Of the last event.
    problems : list of ItemOutcome
        The items that were not searched.
    started, seconds : float
        When it began, on the monotonic clock, and how long it took.
    queued : dict of str to int, optional
        What became of the records that were given to a review queue; None if there is none.
    sandbox : str
        What closed in the processes that decoded the images, `DecodePool.report`.
    shadow : bool
        Whether a shadow limit was looked up.
    waivers : sequence of Waiver
        Safeguards that it went on without, since `hashmatch.records.safeguards.collecting` began.

    Examples
    --------
    >>> import hashmatch as hm
    >>> matcher = hm.Matcher(hm.read_list("fixtures/lists/demo-pdq.csv"))
    >>> report, images = ScanReport(matcher), "fixtures/images/flat"
    >>> for result in hm.scan_source(images, matcher, surface="public_post", observe=report):
    ...     report.add(result)
    >>> report.finish()
    >>> report.counters.listed, [problem.outcome.value for problem in report.problems]
    (2, ['low_quality', 'low_quality'])
    """

    matcher: Matcher | None = None
    counters: Counters = field(default_factory=Counters)
    problems: list[ItemOutcome] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    queued: dict[str, int] | None = None
    sandbox: str = "none: images were decoded in this process"
    shadow: bool = False
    waivers: Sequence[Waiver] = ()

    def __call__(self, event: Event) -> None:
        """Take the counters of an event."""
        self.counters = event.counters

    def add(self, result: Result) -> None:
        """Keep an item that was not searched.

        Parameters
        ----------
        result : ReviewRecord or ItemOutcome
            As `scan_source` gives it.
        """
        if isinstance(result, ItemOutcome) and result.reason:
            self.problems.append(result)

    def finish(self) -> None:
        """Stop the clock. Raises HashmatchError if some item has not ended in an outcome."""
        self.seconds = time.monotonic() - self.started
        self.waivers = waivers()
        listed, done = self.counters.listed, self.counters.done
        if done != listed:
            raise HashmatchError(
                f"cannot account for every item: {listed} were listed, {done} have an outcome. "
                "This is a bug in hashmatch"
            )

    @property
    def alarms(self) -> tuple[Trip, ...]:
        """The entries that the breaker has tripped for, also before a scan went on."""
        breaker = None if self.matcher is None else self.matcher.protection.breaker
        return () if breaker is None else breaker.trips

    @property
    def unhashed(self) -> int:
        """Items for which no hash could be made."""
        return sum(n for name, n in self.counters.outcomes.items() if name not in HAVE_HASH)

    def to_json(self) -> bytes:
        """Return the report as JSON: the counts, the lists, and each item that was not searched."""
        matcher, counters = self.matcher, self.counters
        report = {
            "listed": counters.listed,
            "done_before": counters.before,
            "passed_over": counters.passed_over,
            "outcomes": counters.outcomes,
            "records": counters.records,
            "queued": self.queued,
            "suppressed": counters.suppressed_by,
            "mostly_chrome": counters.mostly_chrome,
            "shadow": [row._asdict() for row in shadow_rows(counters.shadow)],
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
            "waivers": [waiver._asdict() for waiver in self.waivers],
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
            "rejected": known.bad_rows,
        }
        for known in lists
    ]
