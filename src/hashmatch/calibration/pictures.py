"""The pictures of a sample with their hashes, from a source or from where hashes are kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hashmatch import registry
from hashmatch.errors import UsageError
from hashmatch.matching.clips import pool_of
from hashmatch.records.enums import Surface
from hashmatch.records.images import ImageError, ItemOutcome
from hashmatch.retry import Tries, list_items
from hashmatch.scan.pipeline import Concurrency, Pipeline
from hashmatch.scan.scan import ScanOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.calibration.calibrate import Picture
    from hashmatch.interfaces import Source
    from hashmatch.matching.matcher import Matcher
    from hashmatch.retry import Fetched
    from hashmatch.scan.rescan import Archive

_DEFAULTS = ScanOptions()


def hashed_pictures(
    source: Source | str | os.PathLike[str], matcher: Matcher, *, options: ScanOptions = _DEFAULTS
) -> Iterator[Picture]:
    """Read and hash every picture of a source as a scan does; nothing is looked up or recorded.

    Parameters
    ----------
    source : Source, str or path
        The sample: a source, or the folder, file or URL of one. It is closed at the end.
    matcher : Matcher
        Says what pictures are hashed as.
    options : ScanOptions
        With how many threads and readers, and what decodes.

    Yields
    ------
    tuple of (ImageItem, sequence of HashedImage or ItemOutcome)
        In the order of the listing.

    Raises
    ------
    SourceError
        If the source cannot be listed, or nothing can be read from it any more.
    """
    if isinstance(source, str | os.PathLike):
        # Nothing is recorded of it, so that it makes no difference on which surface it was.
        source = registry.open_source(os.fspath(source), Surface.PUBLIC_POST)
    tries = options.tries or Tries()
    decode = options.decode or matcher.decode
    pool = pool_of(decode)

    def hash_item(fetched: Fetched) -> Picture:
        item, data = fetched
        if isinstance(data, ImageError):
            found = item.key, item.version, item.surface, data.outcome, data.reason
            return item, ItemOutcome(*found)
        return item, matcher.hash(data, item.key, decode, pool)

    try:
        yield from Pipeline(
            source, list_items(source, tries=tries), hash_item, tries,
            Concurrency(options.readers, options.threads), wanted=matcher.wanted,
        )  # fmt: skip
    finally:
        source.close()


def kept_pictures(archive: Archive, matcher: Matcher) -> Iterator[Picture]:
    """Yield the pictures whose hashes were kept: by ``scan --keep-hashes``, or in a hash table.

    Parameters
    ----------
    archive : HashArchive or hash table
        The sample.
    matcher : Matcher
        Its level and least quality have to be those that the pictures were hashed with.

    Yields
    ------
    tuple of (ImageItem, sequence of HashedImage)

    Raises
    ------
    UsageError
        If they were hashed with others, or not by an algorithm of the lists.
    """
    plan = matcher.plan
    needed = {known.spec for known in matcher.lists}
    for file in archive.files():
        if (file.variants, file.min_quality) != (plan.variants, plan.min_quality):
            least = "the default" if file.min_quality is None else str(file.min_quality)
            raise UsageError(
                "cannot calibrate with these hashes: they were made with --variants "
                f"{file.variants} and --min-quality {least}. Give the same"
            )
        missing = ", ".join(spec.algorithm for spec in needed - set(file.specs))
        if missing:
            raise UsageError(
                f"cannot calibrate with these hashes: a list needs {missing}, and the pictures "
                "have no such hash. Hash them by it as well"
            )
        file.verify()
        for number in range(len(file)):
            yield file[number]
