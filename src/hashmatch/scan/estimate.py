"""What a scan would take: what a source lists, and what a few of its items cost."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashmatch.retry import ItemReads, Tries, list_items
from hashmatch.scan.shard import Shard

if TYPE_CHECKING:
    from hashmatch.hashing.hash_image import Decode
    from hashmatch.interfaces import Source
    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.images import ImageItem
    from hashmatch.scan.scan import ScanOptions

SAMPLE = 32
PAGE = 1000
"""Objects that one request to list gives at most, of S3 and Google Cloud Storage."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What there is, and what it would take.

    `items` are listed, and have so many `bytes` together by the listing, which gives no size of
    `unsized`. `suffixes` are how many keys end in what, the most frequent first; empty is none, or
    an odd one. So many were `sampled`, of which some `failed`; what one took by itself, on average,
    are `read_seconds` and `hash_seconds`. A scan would take `seconds`: the longest of listing,
    reading, at its rate, and hashing, which run at the same time. `requests` are to a bucket: one
    for each item and each 1,000 that are listed.
    """

    items: int
    bytes: int
    unsized: int
    suffixes: dict[str, int]
    sampled: int
    failed: int
    read_seconds: float
    hash_seconds: float
    list_seconds: float
    seconds: float
    requests: int


def estimate(
    source: Source, matcher: Matcher, options: ScanOptions, *, sample: int = SAMPLE, seed: int = 0
) -> Estimate:
    """List a source, read and hash a few of its items one after the other, and reckon.

    Parameters
    ----------
    source : Source
        It is not closed.
    matcher : Matcher
        Says what is hashed; nothing is looked up.
    options : ScanOptions
        What a scan would be done with.
    sample : int
        How many items are read, chosen at random (J. S. Vitter, "Random Sampling with a Reservoir",
        algorithm R, 1985).
    seed : int
        Of that choice.

    Raises
    ------
    SourceError
        If it cannot be listed.

    Examples
    --------
    >>> import hashmatch as hm
    >>> from hashmatch.testing import MemorySource
    >>> matcher = hm.Matcher(hm.read_list("fixtures/lists/demo-pdq.csv"))
    >>> source = MemorySource({"a.jpg": b"12345", "b.JPG": b"1"}, "public_post")
    >>> found = estimate(source, matcher, hm.ScanOptions())
    >>> found.items, found.bytes, found.suffixes, found.requests
    (2, 6, {'.jpg': 2}, 3)
    """
    tries = options.tries or Tries()
    chance = random.Random(seed)  # noqa: S311  (nobody gains by guessing it)
    chosen: list[ImageItem] = []
    suffixes = Counter[str]()
    items = total = unsized = 0
    began = time.monotonic()
    for item in list_items(source, tries=tries):
        place = items if items < sample else chance.randrange(items + 1)
        if items < sample:
            chosen.append(item)
        elif place < sample:
            chosen[place] = item
        items += 1
        total += item.size or 0
        unsized += item.size is None
        found = re.search(r"\.[A-Za-z0-9]{1,5}$", item.key)
        suffixes[found[0].lower() if found else ""] += 1
    listing = time.monotonic() - began
    reading, hashing, failed, held = _measured(source, matcher, options.decode, tries, chosen)
    each = 1 / max(1, len(chosen))
    parts = source.parts if isinstance(source, Shard) else 1  # each lists the whole source
    everything = total + unsized * held * each
    rate = tries.limits.rate
    return Estimate(
        items, total, unsized, dict(suffixes.most_common()), len(chosen), failed,
        reading * each, hashing * each, listing,
        seconds=max(
            listing,
            items * reading * each / options.readers,
            items * hashing * each / options.threads,
            everything / rate if rate else 0.0,
        ),
        requests=items + -(-items * parts // PAGE),
    )  # fmt: skip


def _measured(
    source: Source,
    matcher: Matcher,
    decode: Decode | None,
    tries: Tries,
    chosen: list[ImageItem],
) -> tuple[float, float, int, int]:
    """Return the seconds that reading and hashing took, how many failed, and the bytes read."""
    reading = hashing = 0.0
    failed = held = 0
    for number, item in enumerate(chosen):
        began = time.monotonic()
        _, data = ItemReads(source, item, tries).again() or (item, None)
        reading += time.monotonic() - began
        if not isinstance(data, bytes):
            failed += 1
            continue
        held += len(data)
        if number == 0:  # the first one pays for what is loaded
            matcher.hash(data, item.key, decode, to_keep=False)
        began = time.monotonic()
        matcher.hash(data, item.key, decode, to_keep=False)
        hashing += time.monotonic() - began
    return reading, hashing, failed, held
