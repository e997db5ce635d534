"""A scan that goes on where it stopped: each batch is in a ledger before anybody hears of it."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import hashmatch
from hashmatch.bounds import READERS
from hashmatch.decode.policy import POLICY
from hashmatch.observing import Watch
from hashmatch.retrying import Tries
from hashmatch.scan import BATCH, SECONDS, Effort, check_items, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashmatch.accounting import LedgerScan, Result
    from hashmatch.hashing import Decode
    from hashmatch.interfaces import Source
    from hashmatch.keeper import Keeper
    from hashmatch.matcher import Matcher
    from hashmatch.observing import Observe
    from hashmatch.records.items import ImageItem
    from hashmatch.records.lists import HashList
    from hashmatch.scan import Results


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
        items = told(source.items(after=state.position), watch.listed_one, on_listed)
        keep = None if keeper is None else keeper.add
        began = time.monotonic()
        for done in check_items(source, items, matcher, effort, watch, keep):
            pending.append(done)
            if len(pending) >= batch or time.monotonic() - began >= SECONDS:
                yield from commit()
                began = time.monotonic()
            watch.progress()
        yield from commit(ended=True)
