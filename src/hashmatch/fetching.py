"""Reads many items of any source at a time, each until it is read or there is no hope for it."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeAlias

from hashmatch.errors import (
    HashmatchError,
    ImageChanged,
    ImageError,
    ImageUnavailable,
    SourceError,
    UsageError,
)
from hashmatch.records.enums import Outcome
from hashmatch.retrying import Tries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from hashmatch.interfaces import Source
    from hashmatch.records.items import ImageItem

#: Requests under way at a time: as many as hide the way to a bucket and back behind decoding.
THREADS = 16
#: Bytes that are read and not yet taken.
MOST_BYTES = 128 * 2**20
#: What an item counts for whose size is not known before it is read.
UNKNOWN_SIZE = 2**20
#: How often an item is read again that is another each time.
MOST_CHANGES = 3
#: Items that are read ahead of one that has to be tried again, where order is kept.
MOST_AHEAD = 1000
#: Items that are listed together, ahead of those that are read.
CHUNK = 256

Fetched: TypeAlias = "tuple[ImageItem, bytes | ImageError]"


def read_item(source: Source, item: ImageItem, tries: Tries | None = None) -> Fetched:
    """Read one item, until it is read or there is no hope for it.

    Parameters
    ----------
    source : Source
        Where it is from.
    item : ImageItem
        As it was listed.
    tries : Tries, optional
        Keeps the limits of the scan, and counts; by default this item's own.

    Returns
    -------
    tuple of ImageItem and bytes or ImageError
        The item, with the version of just these bytes, and its content; or why there is none.

    Raises
    ------
    SourceError
        If the scan should stop rather than go on without this item: until the deadline passed
        nothing could be read from the source, not even what had been read before; or the budget of
        retries is spent.

    Examples
    --------
    >>> from hashmatch.testing import MemorySource
    >>> source = MemorySource({"a.jpg": b"..."}, "public_post")
    >>> [read_item(source, item)[1] for item in source.items()]
    [b'...']
    """
    tries = tries or Tries()
    start = time.monotonic()
    deadline = start + tries.limits.deadline
    attempt = changes = 0
    while True:
        try:
            data = source.read(item)
        except ImageChanged as changed:
            item = changed.item
            if changed.data is not None:
                data = changed.data
            elif (changes := changes + 1) <= MOST_CHANGES:
                continue
            else:
                return item, ImageError(changed.outcome, "it changed each time that it was read")
        except ImageUnavailable as error:
            if tries.pause(attempt, deadline):
                attempt += 1
                continue
            if tries.stopped:
                return item, _STOPPED
            if tries.last_success < start and not _answers(source, tries):
                seconds = time.monotonic() - start
                raise SourceError(
                    f"{item.key} {error.reason}, like all others for {seconds:.0f} s; "
                    "try again later"
                ) from None
            return item, ImageError(error.outcome, f"{error.reason}, in {attempt + 1} tries")
        except ImageError as error:
            return item, error
        tries.succeeded(item, len(data))
        tries.pace(len(data))
        return item, data


def _answers(source: Source, tries: Tries) -> bool:
    """Return whether the source still gives what it gave before: then one item is to blame."""
    if tries.last_read is None:
        return False
    try:
        source.read(tries.last_read)
    except ImageUnavailable:
        return False
    except ImageError:
        pass
    return True


_STOPPED = ImageError(Outcome.FAILED, "the scan was stopped before it was read")


def fetch(
    source: Source,
    items: Iterable[ImageItem] | None = None,
    *,
    tries: Tries | None = None,
    threads: int = THREADS,
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
        What to read of it, all by default; say, ``source.items(after=position)``.
    tries : Tries, optional
        Limits of retries and bandwidth; counts them, for progress.
    threads : int
        How many reads there are at a time.
    most_bytes : int
        How many bytes may be read and not yet taken, by the sizes in the listing. An item that is
        larger by itself is read when no other is held.
    ordered : bool
        In the order of the listing, in which an item that is tried again holds up those after it,
        of which up to `MOST_AHEAD` are read meanwhile; otherwise as they come.

    Returns
    -------
    iterator of (ImageItem, bytes or ImageError)
        The item, with the version of just these bytes, and its content; or why there is none.

    Raises
    ------
    UsageError
        If `threads` or `most_bytes` is not positive.
    SourceError
        While iterating: the source cannot be listed, or the scan should stop; see `read_item`.

    Examples
    --------
    >>> from hashmatch.testing import MemorySource
    >>> source = MemorySource({"a.jpg": b"1", "b.jpg": b"22"}, "public_post")
    >>> [(item.key, len(data)) for item, data in fetch(source, threads=2)]
    [('a.jpg', 1), ('b.jpg', 2)]
    """
    if threads < 1 or most_bytes < 1:
        raise UsageError("threads and most_bytes are at least 1")
    listed = source.items() if items is None else items
    return _fetched(source, iter(listed), tries or Tries(), threads, most_bytes, ordered)


def _fetched(
    source: Source,
    listed: Iterator[ImageItem],
    tries: Tries,
    threads: int,
    most_bytes: int,
    ordered: bool,
) -> Iterator[Fetched]:
    with (
        ThreadPoolExecutor(1, thread_name_prefix="list") as lister,
        ThreadPoolExecutor(threads, thread_name_prefix="fetch") as pool,
    ):
        failures: list[HashmatchError] = []
        upcoming = _ahead(listed, lister, most_bytes, failures)
        line: deque[Future[Fetched]] = deque()
        done: SimpleQueue[Future[Fetched]] = SimpleQueue()
        cost: dict[Future[Fetched], int] = {}
        waiting = next(upcoming, None)
        held, most = 0, max(MOST_AHEAD if ordered else 0, 4 * threads)
        try:
            while waiting is not None or cost:
                while waiting is not None and len(cost) < most:
                    size = UNKNOWN_SIZE if waiting.size is None else waiting.size
                    if cost and held + size > most_bytes:
                        break
                    read = pool.submit(read_item, source, waiting, tries)
                    cost[read] = size
                    held += size
                    if ordered:
                        line.append(read)
                    else:
                        read.add_done_callback(done.put)
                    waiting = next(upcoming, None)
                ready = line.popleft() if ordered else done.get()
                yield ready.result()
                held -= cost.pop(ready)  # what was yielded is held until the next is asked for
        except BaseException:  # GeneratorExit, when nobody wants the rest
            tries.stop()
            pool.shutdown(cancel_futures=True)
            raise
    if failures:
        raise failures[0]


def _ahead(
    listed: Iterator[ImageItem],
    lister: ThreadPoolExecutor,
    most_bytes: int,
    failures: list[HashmatchError],
) -> Iterator[ImageItem]:
    """Yield what is `listed`, of which a chunk is being listed while another is read.

    Chunks end before `most_bytes`: some sources list items together with their content. What ends
    the listing goes to `failures`, for when all that was listed before has been read.
    """

    def chunk() -> tuple[list[ImageItem], bool]:
        items: list[ImageItem] = []
        size = 0
        try:
            while len(items) < CHUNK and size < most_bytes // 8:
                items.append(next(listed))
                size += items[-1].size or 0
        except StopIteration:
            return items, True
        except HashmatchError as error:
            failures.append(error)
            return items, True
        return items, False

    ended = False
    pending = lister.submit(chunk)
    while not ended:
        items, ended = pending.result()
        if not ended:
            pending = lister.submit(chunk)
        yield from items
