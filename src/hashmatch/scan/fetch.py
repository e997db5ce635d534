"""Reads many items of any source at a time, each until it is read or there is no hope for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch.errors import UsageError
from hashmatch.retry import Tries, list_items
from hashmatch.scan.pipeline import MOST_BYTES, READERS, Concurrency, Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashmatch.interfaces import Source
    from hashmatch.records.images import ImageItem
    from hashmatch.retry import Fetched


def fetch(
    source: Source,
    items: Iterable[ImageItem] | None = None,
    *,
    tries: Tries | None = None,
    threads: int = READERS,
    most_bytes: int = MOST_BYTES,
    ordered: bool = True,
) -> Iterator[Fetched]:
    """Read many items of a source at a time, and yield each exactly once.

    Closing the iterator, or an error, ends it cleanly and stops `tries`: nothing else is begun, and
    what is under way is waited for, which ends by timeouts and deadlines of its own. Closing the
    source is left to the caller.

    Parameters
    ----------
    source : Source
        What to read.
    items : iterable of ImageItem, optional
        What to read of it, all by default; say, `hashmatch.retry.list_items`, from some position.
    tries : Tries, optional
        Limits of retries and bandwidth; counts them, for progress.
    threads : int
        How many reads there are at a time. An item that waits for another try takes none of them.
    most_bytes : int
        How many bytes may be read and not yet taken, by the sizes in the listing. An item that is
        larger by itself is read when no other is held.
    ordered : bool
        In the order of the listing, in which an item that is tried again holds up those after it,
        of which up to `hashmatch.scan.pipeline.MOST_AHEAD` are read meanwhile; otherwise as they
        come.

    Returns
    -------
    iterator of (ImageItem, bytes or ImageError)
        The item, with the version of just these bytes, and its content; or why there is none.

    Raises
    ------
    UsageError
        If `threads` or `most_bytes` is not positive.
    SourceError
        While iterating: the source cannot be listed, or the scan should stop; see
        `hashmatch.retry.read_item`.

    Examples
    --------
    >>> from hashmatch.testing import MemorySource
    >>> source = MemorySource({"a.jpg": b"1", "b.jpg": b"22"}, "public_post")
    >>> [(item.key, len(data)) for item, data in fetch(source, threads=2)]
    [('a.jpg', 1), ('b.jpg', 2)]
    """
    if threads < 1 or most_bytes < 1:
        raise UsageError("threads and most_bytes are at least 1")
    tries = tries or Tries()
    listed = list_items(source, tries=tries) if items is None else items
    concurrency = Concurrency(threads, 0, most_bytes, ordered=ordered)
    return iter(Pipeline["Fetched"](source, listed, None, tries, concurrency))
