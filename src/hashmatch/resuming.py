"""A scan that goes on where it stopped: each batch is in a ledger before anybody hears of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import hashmatch
from hashmatch.decode.policy import POLICY
from hashmatch.scan import check_items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashmatch.accounting import LedgerScan, Result
    from hashmatch.hashing import Decode
    from hashmatch.interfaces import Source
    from hashmatch.keeper import Keeper
    from hashmatch.matcher import Matcher
    from hashmatch.records.items import HashedImage, ImageItem
    from hashmatch.records.lists import HashList

BATCH = 256
"""Items that are committed together, and done again at most after a kill: a commit waits for the
disk about 5 ms, less for each of them than hashing it takes."""
SECONDS = 2.0
"""After which a batch is committed though it is not full: a slow source loses no more than that."""


def about_scan(source: str, matcher: Matcher, **options: Any) -> dict[str, Any]:
    """Return all that the results of a scan depend on, for `Ledger.scan`.

    Parameters
    ----------
    source : str
        What it scans.
    matcher : Matcher
        Whose lists and benign lists count.
    **options : JSON-able
        What else was asked for: the surface, limits, variants and rules.
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
) -> Iterator[Result]:
    """Check the images of a source that are not accounted for yet; one result for each.

    A result is yielded once it is in the ledger: whoever is given it may act on it, and what is not
    yielded when a process dies is done again by the next.

    Parameters
    ----------
    source : Source
        Listed on from where the account ends.
    matcher : Matcher
        The same each time. If it has a breaker, that goes on from what the ledger knows of it.
    account : LedgerScan
        See `Ledger.scan` and `about_scan`.
    threads : int
        As for `scan_source`.
    decode : callable, optional
        As for `scan_source`.
    keeper : Keeper, optional
        Keeps the hashes of what is scanned; made with ``scan=account.name``.
    batch : int
        Items that are committed together.
    on_listed : callable, optional
        Told of each item as it is listed.

    Raises
    ------
    LedgerError
        If a batch cannot be written: the scan stops, and what was yielded is kept.
    """
    state = account.state()
    if state.ended:
        return
    breaker = matcher.protection.breaker
    if breaker is not None and state.breaker is not None:
        breaker.restore(state.breaker)
    listed, pending = state.listed, list[tuple["ImageItem", "Result"]]()
    keep: Callable[[ImageItem, list[HashedImage]], object] | None = None
    if keeper is not None:
        keep = keeper.add

    def commit(*, ended: bool = False) -> Iterator[Result]:
        nonlocal listed
        if keeper is not None:
            keeper.flush(listed)
        account.commit(pending, None if breaker is None else breaker.to_json(), ended=ended)
        listed += len(pending)
        yield from (result for _, result in pending)
        pending.clear()

    def items() -> Iterator[ImageItem]:
        for item in source.items(after=state.position):
            if on_listed is not None:
                on_listed(item)
            yield item

    began = time.monotonic()
    for item, result in check_items(source, items(), matcher, keep, threads, decode):
        pending.append((item, result))
        if len(pending) >= batch or time.monotonic() - began >= SECONDS:
            yield from commit()
            began = time.monotonic()
    yield from commit(ended=True)
