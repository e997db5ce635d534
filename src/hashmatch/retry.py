"""Retries: backoff between tries, deadline, retry budget, and the rate limit in bytes a second.

Sources try once. What tries again is here, for items, listings and whatever else a source fetches,
all within the budget of one scan.
"""

from __future__ import annotations

import math
import random
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from hashmatch.errors import SourceError, SourceUnavailable, UsageError
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageChanged, ImageError, ImageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashmatch.interfaces import Source
    from hashmatch.records.images import ImageItem

Fetched: TypeAlias = "tuple[ImageItem, bytes | ImageError]"
T = TypeVar("T")

FIRST_ANSWER = 3.0
"""Seconds to try at most before a listing's first item: what is wrong then is mostly a name."""
MOST_CHANGES = 3
"""How often an item is read again that is another each time."""


class ImageLater(ImageError):
    """There is no room now for an item of `size` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(Outcome.FAILED, "there is no room for it now")
        self.size = size


Admit: TypeAlias = "Callable[[int | None, bytes], object]"
_ADMIT: ContextVar[Admit | None] = ContextVar("admit", default=None)

_STOPPED = ImageError(Outcome.FAILED, "the scan was stopped before it was read")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a scan may ask of a server.

    Parameters
    ----------
    deadline : float
        Seconds from the first try of an item, or of a page of a listing, after which there is no
        other. The default outlasts the restart of a server.
    first_delay, longest_delay : float
        Before try n + 1 there is a pause of ``uniform(0, min(longest_delay, first_delay * 2**n))``
        seconds: full jitter, so that what failed together does not come back together (M. Brooker,
        "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    spare_retries : int
        How many tries there may be besides the first ones, whatever succeeds.
    retry_ratio : float
        How many more there may be for each success. A server that fails more than that is not
        helped by more requests: the scan stops, and resumes when it is started again.
    rate : float, optional
        Most bytes a second; None for no limit.

    Examples
    --------
    >>> Limits(rate=1e6).deadline
    60.0
    """

    deadline: float = 60.0
    first_delay: float = 0.1
    longest_delay: float = 5.0
    spare_retries: int = 1000
    retry_ratio: float = 0.5
    rate: float | None = None

    def __post_init__(self) -> None:
        numbers = (self.deadline, self.first_delay, self.longest_delay)
        if min(*numbers, self.spare_retries, self.retry_ratio) < 0:
            raise UsageError("cannot use a negative limit. Give 0 or more")
        if self.rate is not None and not self.rate > 0:
            raise UsageError(f"cannot use a rate of {self.rate} bytes a second. Give more than 0")

    def delay(self, attempt: int, chance: random.Random) -> float:
        """Return how many seconds to wait before another try.

        Parameters
        ----------
        attempt : int
            How many tries there were, less one.
        chance : random.Random
            Spreads the pauses of many.
        """
        return chance.uniform(0, min(self.longest_delay, self.first_delay * 2 ** min(attempt, 60)))


class Tries:
    """Keeps one scan's `Limits`, and counts; used by many threads.

    Parameters
    ----------
    limits : Limits, optional
        Of pauses, tries and bandwidth.
    seed : int, optional
        Of the pauses, for tests.

    Attributes
    ----------
    successes, retries : int
        Reads that succeeded, and tries of anything that were not the first.
    received : int
        Bytes of content.
    last_success : float
        When the last read succeeded, on the monotonic clock; at first, when this was made.
    last_read : ImageItem or None
        What was read then.

    Examples
    --------
    >>> tries = Tries(Limits(spare_retries=1, first_delay=0.0))
    >>> tries.delay(0, deadline=time.monotonic() + 9)
    0.0
    >>> tries.delay(1, deadline=time.monotonic() + 9)
    Traceback (most recent call last):
    hashmatch.errors.SourceError: 1 retry for 0 items read: ...
    """

    def __init__(self, limits: Limits | None = None, seed: int | None = None) -> None:
        self.limits = limits or Limits()
        self.successes = 0
        self.retries = 0
        self.received = 0
        self.last_success = time.monotonic()
        self.last_read: ImageItem | None = None
        self._random = random.Random(seed)  # noqa: S311  (nobody gains by guessing a pause)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._free_at = self.last_success - 1.0

    def succeeded(self, item: ImageItem, size: int) -> None:
        """Count what was read.

        Parameters
        ----------
        item : ImageItem
            The item.
        size : int
            Of its content, in bytes.
        """
        with self._lock:
            self.last_read = item
            self.successes += 1
            self.received += size
            self.last_success = time.monotonic()

    def add(self, successes: int, received: int, retries: int) -> None:
        """Count what others have read for the same scan.

        Parameters
        ----------
        successes, received, retries : int
            As of the attributes.
        """
        with self._lock:
            self.successes += successes
            self.received += received
            self.retries += retries

    def delay(self, attempt: int, deadline: float) -> float | None:
        """Count another try, and return how many seconds there are to wait before it.

        Parameters
        ----------
        attempt : int
            How many tries there were, less one.
        deadline : float
            When there is to be no other, on the monotonic clock.

        Returns
        -------
        float or None
            None if there shall be no other: the deadline would pass, or `stop` was called.

        Raises
        ------
        SourceError
            If the scan's budget of retries is spent.
        """
        with self._lock:
            delay = self.limits.delay(attempt, self._random)
            if time.monotonic() + delay > deadline or self._stopped.is_set():
                return None
            allowed = self.limits.spare_retries + self.limits.retry_ratio * self.successes
            if self.retries >= allowed:
                raise SourceError(
                    f"cannot continue to read: the server fails too often, {self.retries:,} "
                    f"{'retry' if self.retries == 1 else 'retries'} for {self.successes:,} "
                    "items read. Try again later"
                )
            self.retries += 1
        return delay

    def wait(self, seconds: float) -> bool:
        """Wait, and return True; or False as soon as `stop` is called.

        Parameters
        ----------
        seconds : float
            How long.
        """
        return not self._stopped.wait(max(0.0, seconds))

    def pace(self, size: int) -> None:
        """Wait for as long as the rate asks for, or until `stop`.

        A bucket of tokens that holds a second's worth: after a quiet time there may be as much at
        once, and no more than the rate over any longer time.

        Parameters
        ----------
        size : int
            Bytes that were received.
        """
        if self.limits.rate is None:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now - 1.0) + size / self.limits.rate
            delay = self._free_at - now
        if delay > 0:
            self.wait(delay)

    def stop(self) -> None:
        """End all waiting: no other try, no other read."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()


class Retry:
    """The tries of one thing: how many there were, and when there may be another.

    None is after so many seconds from now on, or the deadline of the scan.
    """

    def __init__(self, tries: Tries, seconds: float = math.inf) -> None:
        self.count = 0
        self.began = time.monotonic()
        self._tries = tries
        self._deadline = self.began + min(tries.limits.deadline, seconds)

    def delay(self) -> float | None:
        """Count a try that failed, and return the seconds to wait before the next; None for none.

        Raises SourceError if the scan's budget of retries is spent.
        """
        self.count += 1
        return self._tries.delay(self.count - 1, self._deadline)

    def wait(self) -> bool:
        """Count a try that failed, and wait until the next; False if there is none. See `delay`."""
        delay = self.delay()
        return delay is not None and self._tries.wait(delay)


def until_available(operation: Callable[[], T], tries: Tries) -> T:
    """Return what `operation` does, which is tried again while it raises SourceUnavailable.

    It asks something of a source, say `Source.identity`. Raises SourceError if there is no hope for
    it; the last one that it raised, or the budget is spent.
    """
    retry = Retry(tries)
    while True:
        try:
            return operation()
        except SourceUnavailable:
            if not retry.wait():
                raise


def list_items(
    source: Source,
    after: str | None = None,
    *,
    tries: Tries | None = None,
    on_retry: Callable[[str, str], object] | None = None,
) -> Iterator[ImageItem]:
    """Yield the items of a source, through whatever the network does.

    Parameters
    ----------
    source : Source
        What to list.
    after : str, optional
        Only what comes after the item of this position.
    tries : Tries, optional
        Keeps the limits of the scan, and counts; by default this listing's own.
    on_retry : callable, optional
        Called with "" and why the listing continues with another try.

    Raises
    ------
    SourceError
        If the source cannot be listed.

    Examples
    --------
    >>> from hashmatch.testing import MemorySource
    >>> [item.key for item in list_items(MemorySource({"a": b"", "b": b""}, "public_post"), "a")]
    ['b']
    """
    tries = tries or Tries()
    retry, answered = Retry(tries, FIRST_ANSWER), False
    while True:
        try:
            for item in source.items(after):
                after, answered = item.position, True
                yield item
            return
        except SourceUnavailable as error:
            if answered:  # each page has the whole deadline
                retry, answered = Retry(tries), False
            if not retry.wait():
                raise
            if on_retry is not None:
                on_retry("", str(error))


def body_follows(size: int | None, head: bytes) -> None:
    """Say what is about to be read: called by sources, in `Source.read`.

    Between the header of an answer and its body, where the listing did not tell its size. A source
    that does not call it may fill the memory of a scan with answers of any size.

    Parameters
    ----------
    size : int or None
        Bytes of the whole body, as the header has it.
    head : bytes
        How the body begins.

    Raises
    ------
    ImageError
        If the rest is not wanted: it is no picture, or there is no room for it now, and the item
        is read again when there is.
    """
    admit = _ADMIT.get()
    if admit is not None:
        admit(size, head)


class ItemReads:
    """The tries of reading one item. Each is made by `again`, which never waits for its time.

    That is `due`, when the next try may be, on the monotonic clock; `reason` is why the last one
    failed.
    """

    def __init__(self, source: Source, item: ImageItem, tries: Tries) -> None:
        self.item = item
        self.due = 0.0
        self.reason = ""
        self._source = source
        self._tries = tries
        self._retry: Retry | None = None

    def again(self, admit: Admit | None = None) -> Fetched | None:
        """Try once, and return what `read_item` does; None if there is to be another try.

        `admit` is what `body_follows` calls meanwhile. Raises SourceError as `read_item` does.
        """
        before = _ADMIT.set(admit)
        try:
            return self._again()
        finally:
            _ADMIT.reset(before)

    def _again(self) -> Fetched | None:
        if self._retry is None:
            self._retry = Retry(self._tries)
        elif self._tries.stopped:
            return self.item, _STOPPED
        for _ in range(MOST_CHANGES + 1):
            try:
                data = self._source.read(self.item)
            except ImageChanged as changed:
                self.item = changed.item
                if changed.data is None:
                    continue
                data = changed.data
            except ImageUnavailable as error:
                return self._failed(error, self._retry)
            except ImageError as error:
                if isinstance(error, ImageLater):
                    self._retry = None  # its time begins when there is room
                return self.item, error
            self._tries.succeeded(self.item, len(data))
            return self.item, data
        return self.item, ImageError(Outcome.FAILED, "it changed each time that it was read")

    def _failed(self, error: ImageUnavailable, retry: Retry) -> Fetched | None:
        tries, self.reason = self._tries, error.reason
        delay = retry.delay()
        if delay is not None:
            self.due = time.monotonic() + delay
            return None
        if tries.stopped:
            return self.item, _STOPPED
        if tries.last_success < retry.began and not self._source_answers():
            seconds = time.monotonic() - retry.began
            raise SourceError(
                f"cannot continue to read: {self.item.key} {error.reason}, like all others for "
                f"{seconds:.0f} s. Try again later"
            ) from None
        return self.item, ImageError(error.outcome, f"{error.reason}, in {retry.count} tries")

    def _source_answers(self) -> bool:
        """Return whether the source still gives what it gave before: then one item is to blame."""
        if self._tries.last_read is None:
            return False
        try:
            self._source.read(self._tries.last_read)
        except ImageUnavailable:
            return False
        except ImageError:
            pass
        return True


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
        If the scan should stop rather than continue without this item: until the deadline passed
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
    reads = ItemReads(source, item, tries)
    while (fetched := reads.again()) is None:
        tries.wait(reads.due - time.monotonic())
    if isinstance(fetched[1], bytes):
        tries.pace(len(fetched[1]))
    return fetched
