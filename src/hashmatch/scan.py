"""The flow over a source: every item listed ends in exactly one result."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from hashmatch import registry
from hashmatch.errors import HashmatchError, ImageError, UsageError
from hashmatch.fetching import read_item
from hashmatch.overlapping import in_order
from hashmatch.records.enums import HAVE_HASH, Outcome, Surface
from hashmatch.records.items import ItemOutcome
from hashmatch.records.review import REASONS, ReviewRecord, SuppressedBy
from hashmatch.searched import in_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hashmatch.breaker import Trip
    from hashmatch.hashing import Decode
    from hashmatch.interfaces import Source
    from hashmatch.matcher import Matcher
    from hashmatch.records.items import HashedImage, ImageItem
    from hashmatch.records.lists import HashList

MOST_THREADS = 1024


def scan_source(
    source: Source | str | os.PathLike[str],
    matcher: Matcher,
    *,
    surface: Surface | str | None = None,
    on_listed: Callable[[ImageItem], object] | None = None,
    on_hashed: Callable[[ImageItem, list[HashedImage]], object] | None = None,
    threads: int = 1,
    decode: Decode | None = None,
) -> Iterator[ReviewRecord | ItemOutcome]:
    """Check every image of a source, in its order, one result for each.

    Parameters
    ----------
    source : Source, str or path
        A source, or the folder, file or URL of one.
    matcher : Matcher
        What to check against.
    surface : Surface or str, optional
        Where the images were published; needed unless `source` is a Source, which knows it.
    on_listed : callable, optional
        Told of each item as it is listed, before it is read.
    on_hashed : callable, optional
        Told of each item with what hashing made of it, before it is looked up; say
        `hashmatch.keeper.Keeper.add`.
    threads : int
        How many images are read, decoded and hashed at once. Results do not depend on it.
    decode : callable, optional
        `DecodePool.pictures`, so that images are parsed in processes of their own only; by default
        in this one, which is for input that is trusted.

    Returns
    -------
    iterator of ReviewRecord or ItemOutcome
        A record for each image that matches, pending review unless a rule of the matcher
        suppresses it; otherwise what became of it. Iterating raises SourceError if the source
        cannot be listed.

    Raises
    ------
    UsageError
        If `surface` is missing or none of the four, or there is no such kind of source.

    Examples
    --------
    >>> import hashmatch as hm
    >>> matcher = hm.Matcher(hm.read_list("fixtures/lists/demo-pdq.csv"))
    >>> results = list(scan_source("fixtures/images/flat", matcher, surface="public_post"))
    >>> {result.outcome.value for result in results}
    {'low_quality'}
    """
    if isinstance(source, str | os.PathLike):
        source = os.fspath(source)
        if surface is None:
            raise UsageError(f"{source}: say on which surface its images were published")
        source = registry.open_source(source, Surface.parse(surface))
    elif surface is not None:
        raise UsageError("a source knows the surface of its images; give it none besides")
    in_range("threads", threads, 1, MOST_THREADS)
    return _results(source, matcher, on_listed, on_hashed, threads, decode)


def _results(
    source: Source,
    matcher: Matcher,
    on_listed: Callable[[ImageItem], object] | None,
    on_hashed: Callable[[ImageItem, list[HashedImage]], object] | None,
    threads: int,
    decode: Decode | None,
) -> Iterator[ReviewRecord | ItemOutcome]:
    # Apart from scan_source, so that what is wrong with the call is said at the call.
    items = (_told(item, on_listed) for item in source.items())
    for _, result in check_items(source, items, matcher, on_hashed, threads, decode):
        yield result


def _told(item: ImageItem, on_listed: Callable[[ImageItem], object] | None) -> ImageItem:
    if on_listed is not None:
        on_listed(item)
    return item


def check_items(
    source: Source,
    items: Iterable[ImageItem],
    matcher: Matcher,
    on_hashed: Callable[[ImageItem, list[HashedImage]], object] | None,
    threads: int,
    decode: Decode | None = None,
) -> Iterator[tuple[ImageItem, ReviewRecord | ItemOutcome]]:
    """Yield each of some items of `source`, in order, and what becomes of it."""
    # Looking up is quick, and a breaker counts: that is done here, in the order of the listing.
    for _, (item, hashed) in in_order(items, partial(hash_item, source, matcher, decode), threads):
        if isinstance(hashed, ItemOutcome):
            yield item, hashed
            continue
        if on_hashed is not None:
            on_hashed(item, hashed)
        yield item, matcher.check_hashed(item, *hashed)


def hash_item(
    source: Source, matcher: Matcher, decode: Decode | None, item: ImageItem
) -> tuple[ImageItem, list[HashedImage] | ItemOutcome]:
    """Read and hash one item of `source`; or say what became of it if it cannot be read.

    The item comes with the version of what was read, which may have changed since it was listed.
    """
    item, data = read_item(source, item)
    if isinstance(data, ImageError):
        return item, ItemOutcome(item.key, item.version, item.surface, data.outcome, data.reason)
    return item, matcher.hash(data, item.key, decode)


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
        How many records each rule suppressed; see `hashmatch.protection`.
    alarms : list of Trip
        Those of the matcher's breaker: give it ``on_trip=report.alarms.append``.
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
