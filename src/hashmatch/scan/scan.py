"""The flow over a source: every item listed ends in exactly one result.

A scan that goes on where it stopped: each batch is in a ledger before anybody hears of it.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import hashmatch
from hashmatch import registry
from hashmatch.decode.policy import POLICY
from hashmatch.errors import UsageError
from hashmatch.hashing.hash_image import decode_here
from hashmatch.matching.lookup import in_range
from hashmatch.records.enums import Surface
from hashmatch.records.images import ImageError, ItemOutcome
from hashmatch.retry import Tries, list_items
from hashmatch.scan.events import Watch
from hashmatch.scan.pipeline import MOST_READERS, READERS, Concurrency, Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from hashmatch.hashing.hash_image import Decode
    from hashmatch.interfaces import Source
    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.hash_list import HashList
    from hashmatch.records.images import HashedImage, ImageItem
    from hashmatch.records.review import ReviewRecord
    from hashmatch.retry import Fetched
    from hashmatch.scan.checkpoint import LedgerScan, Result
    from hashmatch.scan.events import Observe
    from hashmatch.scan.hash_archive import Keeper

MOST_THREADS = 1024
BATCH = 256
"""Items that are committed together to a state, and done again at most after a kill: a commit waits
for the disk about 5 ms, less for each of them than hashing it takes."""
SECONDS = 2.0
"""After which a batch is committed though it is not full: a slow source loses no more than that."""

OnHashed: TypeAlias = "Callable[[ImageItem, list[HashedImage]], object]"
Results: TypeAlias = "Generator[ReviewRecord | ItemOutcome, None, None]"


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of what a scan uses; its results do not depend on it. See `scan_source`."""

    threads: int = 1
    decode: Decode | None = None
    tries: Tries = field(default_factory=Tries)
    readers: int = READERS

    def __post_init__(self) -> None:
        in_range("threads", self.threads, 1, MOST_THREADS)
        in_range("readers", self.readers, 1, MOST_READERS)


def scan_source(
    source: Source | str | os.PathLike[str],
    matcher: Matcher,
    *,
    surface: Surface | str | None = None,
    on_listed: Callable[[ImageItem], object] | None = None,
    on_hashed: OnHashed | None = None,
    threads: int = 1,
    decode: Decode | None = None,
    tries: Tries | None = None,
    readers: int = READERS,
    observe: Observe | None = None,
) -> Results:
    """Check every image of a source, in its order, one result for each.

    Listing, reading, decoding with hashing, and looking up go on at the same time. Items are read
    ahead, `hashmatch.scan.pipeline` says how far. At the end, whatever it is, the source is closed.

    Parameters
    ----------
    source : Source, str or path
        A source, or the folder, file or URL of one.
    matcher : Matcher
        What to check against.
    surface : Surface or str, optional
        Where the images were published; needed unless `source` is a Source, which knows it.
    on_listed : callable, optional
        Told of each item as it is listed, before it is read; from the thread that lists.
    on_hashed : callable, optional
        Told of each item with what hashing made of it, before it is looked up; say
        `hashmatch.scan.hash_archive.Keeper.add`.
    threads : int
        How many images are decoded and hashed at once. Results do not depend on it.
    decode : callable, optional
        `DecodePool.pictures`, so that images are parsed in processes of their own only; by default
        in this one, which is for input that is trusted.
    tries : Tries, optional
        Limits of retries and bandwidth, of the whole scan; counts what is read.
    readers : int
        How many images are read at once.
    observe : callable, optional
        Told of each `hashmatch.scan.events.Event`, in the thread that iterates; what it raises ends
        the scan.

    Returns
    -------
    generator of ReviewRecord or ItemOutcome
        A record for each image that matches, pending review unless a rule of the matcher
        suppresses it; otherwise what became of it. Iterating raises SourceError if the source
        cannot be listed, or nothing can be read from it any more.

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
    effort = Effort(threads, decode, tries or Tries(), readers)
    watch = Watch(observe, effort.tries, matcher.protection.breaker)
    return _results(source, matcher, on_listed, on_hashed, effort, watch)


def _results(
    source: Source,
    matcher: Matcher,
    on_listed: Callable[[ImageItem], object] | None,
    on_hashed: OnHashed | None,
    effort: Effort,
    watch: Watch,
) -> Results:
    # Apart from scan_source, so that what is wrong with the call is said at the call.
    with closing(source), watch:
        listed = list_items(source, tries=effort.tries, on_retry=watch.retried)
        items = told(listed, watch.listed_one, on_listed)
        number, began = 0, time.monotonic()
        for _, result in check_items(source, items, matcher, effort, watch, on_hashed):
            watch.ended(result)
            number += 1
            if number == BATCH or time.monotonic() - began >= SECONDS:
                watch.batch()
                number, began = 0, time.monotonic()
            watch.progress()
            yield result
        watch.batch()


def told(
    items: Iterable[ImageItem], *whom: Callable[[ImageItem], object] | None
) -> Iterator[ImageItem]:
    """Yield `items`, and tell of each as it comes."""
    for item in items:
        for one in whom:
            if one is not None:
                one(item)
        yield item


def check_items(
    source: Source,
    items: Iterable[ImageItem],
    matcher: Matcher,
    effort: Effort,
    watch: Watch,
    on_hashed: OnHashed | None,
) -> Iterator[tuple[ImageItem, ReviewRecord | ItemOutcome]]:
    """Yield each of some items of `source`, in order, and what becomes of it."""
    decode = watch.timed_decode(effort.decode or decode_here)

    def work(fetched: Fetched) -> tuple[ImageItem, list[HashedImage] | ItemOutcome]:
        with watch.timed("hash"):
            return hash_fetched(matcher, decode, *fetched)

    flow = Pipeline(
        source, items, work, effort.tries, Concurrency(effort.readers, effort.threads),
        on_retry=watch.retried, on_idle=watch.progress,
    )  # fmt: skip
    watch.flow = flow
    # Looking up is quick, and a breaker counts: that is done here, in the order of the listing.
    for item, hashed in flow:
        if isinstance(hashed, ItemOutcome):
            yield item, hashed
            continue
        if on_hashed is not None:
            on_hashed(item, hashed)
        with watch.timed("search"):
            result = matcher.check_hashed(item, *hashed)
        yield item, result


def hash_fetched(
    matcher: Matcher, decode: Decode, item: ImageItem, data: bytes | ImageError
) -> tuple[ImageItem, list[HashedImage] | ItemOutcome]:
    """Hash one item that was read; or say what became of it if it could not be.

    The item comes with the version of what was read, which may have changed since it was listed.
    """
    if isinstance(data, ImageError):
        return item, ItemOutcome(item.key, item.version, item.surface, data.outcome, data.reason)
    return item, matcher.hash(data, item.key, decode)


def about_scan(source: str, matcher: Matcher, **options: Any) -> dict[str, Any]:
    """Return all that the results of a scan depend on, for `Ledger.scan`.

    Parameters
    ----------
    source : str
        What it scans.
    matcher : Matcher
        Whose lists and benign lists count.
    **options : JSON-able
        What else was asked for: the surface, the shard, limits, variants and rules.
    """
    return {
        "source": source,
        "lists": [_named(known) for known in matcher.lists],
        "benign": [_named(known) for known in matcher.protection.lists],
        "options": options,
        "decode_policy": POLICY,
        "hashmatch": hashmatch.__version__,
    }


def _named(known: HashList) -> list[str]:
    return [known.name, known.version, known.spec.algorithm, *map(str, known.left_out)]


def resume_scan(
    source: Source,
    matcher: Matcher,
    account: LedgerScan,
    *,
    threads: int = 1,
    decode: Decode | None = None,
    keeper: Keeper | None = None,
    batch: int = BATCH,
    on_listed: Callable[[ImageItem], object] | None = None,
    tries: Tries | None = None,
    readers: int = READERS,
    observe: Observe | None = None,
) -> Results:
    """Check the images of a source that are not accounted for yet; one result for each.

    A result is yielded once it is in the ledger: whoever is given it may act on it, and what is not
    yielded when a process dies is done again by the next.

    Parameters
    ----------
    source : Source
        Listed on from where the account ends; closed at the end, whatever it is.
    matcher : Matcher
        The same each time. If it has a breaker, that goes on from what the ledger knows of it, its
        alarms included: `Breaker.trips`.
    account : LedgerScan
        See `Ledger.scan` and `about_scan`.
    threads, decode : int, callable
        As for `scan_source`.
    keeper : Keeper, optional
        Keeps the hashes of what is scanned; made with ``scan=account.name``.
    batch : int
        Items that are committed together.
    on_listed, tries, readers, observe : callable, Tries, int, callable
        As for `scan_source`. Whoever observes is told of what is in the ledger only.

    Returns
    -------
    generator of ReviewRecord or ItemOutcome
        As of `scan_source`.

    Raises
    ------
    LedgerError
        If a batch cannot be written: the scan stops, and what was yielded is kept.
    """
    effort = Effort(threads, decode, tries or Tries(), readers)
    return _resumed(source, matcher, account, keeper, batch, on_listed, effort, observe)


def _resumed(
    source: Source,
    matcher: Matcher,
    account: LedgerScan,
    keeper: Keeper | None,
    batch: int,
    on_listed: Callable[[ImageItem], object] | None,
    effort: Effort,
    observe: Observe | None,
) -> Results:
    state = account.state()
    breaker = matcher.protection.breaker
    if breaker is not None and state.breaker is not None:
        breaker.restore(state.breaker)
    watch = Watch(observe, effort.tries, breaker, state.listed, account.outcomes())
    listed, pending = state.listed, list[tuple["ImageItem", "Result"]]()

    def commit(*, ended: bool = False) -> Iterator[Result]:
        nonlocal listed
        with watch.timed("write"):
            if keeper is not None:
                keeper.flush(listed)
            account.commit(pending, None if breaker is None else breaker.to_json(), ended=ended)
        listed += len(pending)
        for _, result in pending:
            watch.ended(result)
            yield result
        watch.batch()
        pending.clear()

    with closing(source), watch:
        if state.ended:
            return
        items = list_items(source, state.position, tries=effort.tries, on_retry=watch.retried)
        items = told(items, watch.listed_one, on_listed)
        keep = None if keeper is None else keeper.add
        began = time.monotonic()
        for done in check_items(source, items, matcher, effort, watch, keep):
            pending.append(done)
            if len(pending) >= batch or time.monotonic() - began >= SECONDS:
                yield from commit()
                began = time.monotonic()
            watch.progress()
        yield from commit(ended=True)
