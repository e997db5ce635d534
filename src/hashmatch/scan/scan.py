"""A scan: every item that a source lists ends in exactly one result.

With a checkpoint it resumes where it stopped: each batch is on the disk before anybody hears of it.
However often it was stopped, or finished, each run looks at the whole listing: from where the last
one stopped to the end, then at what is before that. What is accounted for is not read again.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

from hashmatch import registry
from hashmatch.decode.formats import FORMATS
from hashmatch.errors import UsageError
from hashmatch.interfaces import passed_over
from hashmatch.matching.clips import pool_of
from hashmatch.matching.lookup import in_range
from hashmatch.records import VERSION
from hashmatch.records.enums import Outcome, Surface
from hashmatch.records.images import UNLISTED, ImageError, ItemOutcome
from hashmatch.retry import Tries, list_items, until_available
from hashmatch.scan.events import Counters, Monitor, tap
from hashmatch.scan.hash_archive import PICTURES
from hashmatch.scan.pipeline import MOST_READERS, READERS, Concurrency, Pipeline
from hashmatch.scan.shadow import Shadow
from hashmatch.scan.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from hashmatch.hashing.hash_image import Decode
    from hashmatch.interfaces import Source
    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.hash_list import HashList
    from hashmatch.records.images import HashedImage, ImageItem
    from hashmatch.records.review import ReviewRecord
    from hashmatch.records.videos import HashedVideo
    from hashmatch.retry import Fetched
    from hashmatch.sandbox.pool import DecodePool
    from hashmatch.scan.checkpoint import Checkpoint, ScanState
    from hashmatch.scan.events import Observe, Result
    from hashmatch.scan.hash_archive import ArchiveWriter, HashArchive

    OnListed = Callable[[ImageItem], object]
    Hashed = list[HashedImage | HashedVideo] | ItemOutcome

MOST_THREADS = 1024
BATCH = 256
"""Items that are committed together, and done again at most after a kill: a commit waits for the
disk about 5 ms, less for each of them than hashing it takes."""
SECONDS = 2.0
"""After which a batch is committed though it is not full: a slow source loses no more than that."""

Results: TypeAlias = "Generator[ReviewRecord | ItemOutcome, None, None]"


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How much of what a scan uses; its results do not depend on it.

    Parameters
    ----------
    threads : int
        How many images are decoded and hashed at once.
    decode : callable, optional
        `DecodePool.pictures`, so that images are parsed in processes of their own only; by default
        in this one, which is for input that is trusted.
    tries : Tries, optional
        Limits of retries and bandwidth, of the whole scan; counts what is read.
    readers : int
        How many images are read at once.
    batch : int
        Items that are committed together, if there is a checkpoint.

    Raises
    ------
    UsageError
        If a number is out of its range.
    """

    threads: int = 1
    decode: Decode | None = None
    tries: Tries | None = None
    readers: int = READERS
    batch: int = BATCH

    def __post_init__(self) -> None:
        in_range("threads", self.threads, 1, MOST_THREADS)
        in_range("readers", self.readers, 1, MOST_READERS)
        in_range("batch", self.batch, 1, 2**31)


_DEFAULTS = ScanOptions()


def scan_source(
    source: Source | str | os.PathLike[str],
    matcher: Matcher,
    *,
    surface: Surface | str | None = None,
    options: ScanOptions = _DEFAULTS,
    checkpoint: Checkpoint | None = None,
    archive: HashArchive | None = None,
    observe: Observe | Sequence[Observe] = (),
    on_listed: Callable[[ImageItem], object] | None = None,
    shadow: int | Mapping[str, int] | None = None,
) -> Results:
    """Check every image of a source, in its order, one result for each.

    Listing, reading, decoding with hashing, and looking up run at the same time. Items are read
    ahead, `hashmatch.scan.pipeline` says how far. At the end, whatever it is, the source is closed.

    Parameters
    ----------
    source : Source, str or path
        A source, or the folder, file or URL of one.
    matcher : Matcher
        What to check against.
    surface : Surface or str, optional
        Where the images were published; needed unless `source` is a Source, which knows it.
    options : ScanOptions
        With how many threads, and so on.
    checkpoint : Checkpoint, optional
        Keeps what was done, so that the same scan resumes where it was stopped: the same source,
        rules and archive. A breaker continues from what it knew then. A result is given once it is
        on the disk; what earlier runs recorded or could not search comes again first, since the
        receiver may have died with them. What is new in the source or has another version since
        is scanned, wherever in the listing it is, and so is what could not be read; an item whose
        version the listing does not tell is read to see. One that has changed counts once more.
    archive : HashArchive, optional
        Keeps the hashes of what is scanned.
    observe : callable or sequence of callable
        Called with each `hashmatch.scan.events.Event`, in the thread that iterates; what it raises
        ends the scan.
    on_listed : callable, optional
        Called with each item as it is listed, before it is read; from the thread that lists.
    shadow : int or mapping of str to int, optional
        Larger limits in bits, as of `Matcher`: what they would bring into review besides is counted
        in `Counters.shadow`, and nothing is recorded of it.

    Returns
    -------
    generator of ReviewRecord or ItemOutcome
        A record for each image that matches, pending review unless a rule of the matcher
        suppresses it; otherwise what became of it. Iterating raises SourceError if the source
        cannot be listed, or nothing can be read from it any more, and CheckpointError if a batch
        cannot be written.

    Raises
    ------
    UsageError
        If `surface` is missing or none of the four, there is no such kind of source, or it cannot
        say which it is and there is a checkpoint.

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
            raise UsageError(
                f"cannot scan {source} without a surface. Say on which one its images were "
                "published"
            )
        source = registry.open_source(source, Surface.parse(surface))
    elif surface is not None:
        raise UsageError(
            "cannot use a surface for a source that is open: it knows that of its images. Leave "
            "it out"
        )
    whole = source.whole if isinstance(source, Shard) else source
    if checkpoint is not None and not hasattr(whole, "identity"):
        raise UsageError(
            f"cannot resume a scan of a {type(whole).__name__}: it does not say which source "
            "it is (Source.identity). Scan it without a checkpoint"
        )
    observers = (observe,) if callable(observe) else tuple(observe)
    scan = _Scan(source, matcher, options, observers, shadow)
    return scan.run(checkpoint, archive, on_listed)


def about(
    source: Source, matcher: Matcher, tries: Tries, archive: HashArchive | None = None
) -> dict[str, Any]:
    """Return all that the results of a scan depend on, and what is kept of them; no secrets.

    SourceError if the source cannot say which it is.
    """
    kept = None
    if archive is not None and archive.keep_for is not None:
        folder = os.fsencode(os.path.realpath(archive.folder)).decode(errors="backslashreplace")
        kept = [folder, archive.keep_for.total_seconds()]
    return {
        "source": until_available(source.identity, tries),
        "rules": matcher.identity,
        "lists": list(map(_named, matcher.lists)),
        "benign": list(map(_named, matcher.protection.lists)),
        "formats": sorted(FORMATS),  # an extra that is installed since reads more
        "include_hash": matcher.include_hash,
        "kept": kept,
        "hashmatch": VERSION,
    }


class _Scan:
    """One run of a scan."""

    def __init__(
        self,
        source: Source,
        matcher: Matcher,
        options: ScanOptions,
        observers: Sequence[Observe],
        shadow: int | Mapping[str, int] | None = None,
    ) -> None:
        self.source, self.matcher, self.options = source, matcher, options
        self.shadow = None if shadow is None else Shadow(matcher, shadow)
        self.tries = options.tries or Tries()
        self.breaker = matcher.protection.breaker
        self.counters = Counters()
        self.monitor = Monitor(observers, self.tries, self.breaker, self.counters)
        self._shadowed: list[str] = []
        """What the shadow limit has found since results were last accounted for."""
        self._keeps_hashes = True
        self._counting = threading.Lock()
        self._under_way: dict[str, bool] = {}
        """With a state: keys of what is listed and not accounted for, and whether the listing gave
        the version."""

    def run(
        self, checkpoint: Checkpoint | None, archive: HashArchive | None, on_listed: OnListed | None
    ) -> Results:
        self._keeps_hashes = archive is not None
        with ExitStack() as stack:
            stack.enter_context(closing(self.source))
            state, before = None, ""
            if checkpoint is not None:
                state = stack.enter_context(closing(checkpoint.scan(self._about(archive))))
                before = self._taken_up(state)
            writer = None
            if archive is not None:
                variants, quality = self.matcher.plan.variants, self.matcher.plan.min_quality
                writer = archive.writer(variants, quality, None if state is None else state.token)
            with self.monitor.running(before):
                try:
                    if state is None:
                        yield from self._results(None, writer, on_listed)
                    else:
                        known = state.number
                        yield from state.results()
                        yield from self._results(state, writer, on_listed)
                        yield from state.failures(known)  # what is not listed any more
                finally:
                    if state is None and writer is not None:  # what was scanned was scanned
                        writer.flush(self.counters.done)

    def _about(self, archive: HashArchive | None) -> dict[str, Any]:
        """Return all that its results and counts depend on."""
        said = about(self.source, self.matcher, self.tries, archive)
        return said if self.shadow is None else said | {"shadow": self.shadow.limits}

    def _set_counts(self, counted: Counters) -> None:
        self.counters.outcomes = counted.outcomes
        self.counters.suppressed_by = counted.suppressed_by
        self.counters.shadow = counted.shadow
        self.counters.mostly_chrome = counted.mostly_chrome
        self._shadowed.clear()

    def _taken_up(self, state: ScanState) -> str:
        """Continue from what was counted before, and return what there is to say of it."""
        before = state.counters()
        self._set_counts(before)
        self.counters.listed = self.counters.before = state.listed
        if self.breaker is not None and state.breaker is not None:
            self.breaker.restore(state.breaker)
        if state.ended:
            return "was finished before"
        return "resumes" if state.number else ""

    def _results(
        self, state: ScanState | None, writer: ArchiveWriter | None, on_listed: OnListed | None
    ) -> Results:
        """Yield what becomes of the items that are not accounted for yet."""
        pending: list[tuple[ImageItem, Result]] = []
        by_name: list[str] = []
        position: str | None = None

        def settle(*, ended: bool = False) -> Iterator[Result]:
            """Account for what is pending, and give it."""
            counted = self.counters.copy()
            again = 0 if state is None else state.failed(item for item, _ in pending)
            counted.outcomes[Outcome.FAILED] -= again
            for _, result in pending:
                counted.add(result)
            counted.add_shadow(self._shadowed)
            with self.monitor.timed("write"):
                if writer is not None and (state is not None or len(writer) >= PICTURES):
                    writer.flush(self.counters.done if state is None else state.number)
                if state is not None:
                    breaker = None if self.breaker is None else self.breaker.to_json()
                    state.commit(
                        pending, counted, breaker, position=position, by_name=by_name, ended=ended
                    )
            self._set_counts(counted)
            self._count(-again)
            self.counters.before -= again
            for item, _ in pending:
                self._under_way.pop(item.key, None)
            for key in by_name:
                self._under_way.pop(key, None)
            for _, result in pending:
                self.monitor.ended(result)
                yield result
            pending.clear()
            by_name.clear()

        number, began = 0, time.monotonic()
        for item, hashed, result in self._decided(state, on_listed):
            position = item.position
            if not self._under_way.get(item.key, True):
                by_name.append(item.key)
            if result is None:  # as it was when it was accounted for
                self._count(-1)
                self._under_way.pop(item.key, None)
            else:
                if writer is not None and isinstance(hashed, list):
                    writer.add(item, hashed, result)
                pending.append((item, result))
            number += 1
            full = number >= self.options.batch or time.monotonic() - began >= SECONDS
            if full or state is None:
                yield from settle()
            if full:
                self.monitor.batch()
                number, began = 0, time.monotonic()
            self.monitor.progress()
        yield from settle(ended=True)
        self.monitor.batch()

    def _listed(self, state: ScanState | None) -> Iterator[ImageItem]:
        """Yield what is not accounted for: from where the scan stopped on, then what is before."""

        def listing(after: str | None) -> Iterator[ImageItem]:
            return list_items(self.source, after, tries=self.tries, on_retry=self.monitor.retried)

        if state is None:
            yield from listing(None)
            self.counters.passed_over = passed_over(self.source)
            return
        start = state.position
        for item in listing(start):
            known = item.version not in UNLISTED
            if not (known and state.is_done(item)):
                self._under_way[item.key] = known
                yield item
        self.counters.passed_over = passed_over(self.source)
        if start is None:
            return
        is_before = True
        for item in listing(None):
            is_before &= item.position != start
            if not is_before and not passed_over(self.source):
                return  # all that was passed over has been counted behind it
            if not is_before:
                continue
            by_name = item.version in UNLISTED
            if item.key not in self._under_way and not state.is_done(item, by_name=by_name):
                self._under_way[item.key] = not by_name
                yield item
        self.counters.passed_over = passed_over(self.source)

    def _count(self, more: int) -> None:
        with self._counting:  # some are listed meanwhile
            self.counters.listed += more

    def _decided(
        self, state: ScanState | None, on_listed: OnListed | None
    ) -> Iterator[tuple[ImageItem, Hashed | None, Result | None]]:
        """Yield each item that was listed, in order, with its hashes and what becomes of it.

        None of an item that turns out to be accounted for.
        """
        monitor, options = self.monitor, self.options
        decode = monitor.timed_decode(options.decode or self.matcher.decode)
        pool = pool_of(options.decode or self.matcher.decode)

        def hash_item(fetched: Fetched) -> tuple[ImageItem, Hashed | None]:
            item, data = fetched
            if isinstance(data, bytes) and item.version in UNLISTED:
                content = blake2b(data, digest_size=16).hexdigest()
                item = replace(item, version=f"blake2b-{content}")
            if state is not None and state.is_done(item):
                return item, None
            with monitor.timed("hash"):
                return self._hash(decode, pool, item, data)

        pipeline = Pipeline(
            self.source, tap(self._listed(state), lambda _: self._count(1), on_listed), hash_item,
            self.tries, Concurrency(options.readers, options.threads),
            wanted=self.matcher.wanted, counters=self.counters,
            on_retry=monitor.retried, on_idle=monitor.progress,
        )  # fmt: skip
        # Looking up is quick, and a breaker counts: that is done here, in the order of the listing.
        for item, hashed in pipeline:
            if hashed is None or isinstance(hashed, ItemOutcome):
                yield item, hashed, hashed
                continue
            with monitor.timed("search"):
                result = self.matcher.decide(item, hashed)
                place = None if self.shadow is None else self.shadow.look_up(hashed, result)
            self._shadowed += [] if place is None else [place]
            yield item, hashed, result

    def _hash(
        self, decode: Decode, pool: DecodePool | None, item: ImageItem, data: bytes | ImageError
    ) -> tuple[ImageItem, Hashed]:
        """Hash one item that was read; or say what became of it if it could not be.

        The item comes with the version of what was read: it may have changed since it was listed.
        """
        if isinstance(data, ImageError):
            outcome, reason = data.outcome, data.reason
            return item, ItemOutcome(item.key, item.version, item.surface, outcome, reason)
        if self._keeps_hashes or self.shadow is not None:
            keep = self._keeps_hashes
            return item, self.matcher.hash(data, item.key, decode, pool, to_keep=keep)
        return item, self.matcher.hash_to_decide(data, item, decode, pool)


def _named(known: HashList) -> list[str]:
    return [known.name, known.version, known.spec.algorithm]
