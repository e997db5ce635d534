"""How hard to try: pauses between tries, when to give up, and how many bytes a second."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashmatch.errors import SourceError, UsageError

if TYPE_CHECKING:
    from hashmatch.records.images import ImageItem


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
        helped by more requests: the scan stops, and goes on when it is started again.
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
            raise UsageError("limits are not negative")
        if self.rate is not None and not self.rate > 0:
            raise UsageError(f"a rate is more than 0 bytes a second, not {self.rate}")

    def delay(self, attempt: int, chance: random.Random) -> float:
        """Return how many seconds to wait before another try.

        Parameters
        ----------
        attempt : int
            How many tries there were, less one.
        chance : random.Random
            Where the jitter comes from.
        """
        return chance.uniform(0, min(self.longest_delay, self.first_delay * 2 ** min(attempt, 60)))


class Tries:
    """Keeps one scan's `Limits`, and counts; used by many threads.

    Attributes
    ----------
    successes, retries : int
        Reads that succeeded, and tries that were not the first.
    received : int
        Bytes of content.
    last_success : float
        When the last read succeeded, on the monotonic clock; at first, when this was made.
    last_read : ImageItem or None
        What was read then.

    Examples
    --------
    >>> tries = Tries(Limits(spare_retries=1, first_delay=0.0))
    >>> tries.pause(0, deadline=time.monotonic() + 9)
    True
    >>> tries.pause(1, deadline=time.monotonic() + 9)
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
        """Count that `item`, of `size` bytes, was read."""
        with self._lock:
            self.last_read = item
            self.successes += 1
            self.received += size
            self.last_success = time.monotonic()

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
                    f"{self.retries:,} {'retry' if self.retries == 1 else 'retries'} for "
                    f"{self.successes:,} items read: the server fails too often; try again later"
                )
            self.retries += 1
        return delay

    def pause(self, attempt: int, deadline: float) -> bool:
        """Wait until it is time for another try; see `delay`.

        Parameters
        ----------
        attempt, deadline : int, float
            As for `delay`.

        Returns
        -------
        bool
            False if there shall be none.
        """
        delay = self.delay(attempt, deadline)
        return delay is not None and self.wait(delay)

    def wait(self, seconds: float) -> bool:
        """Wait, and return True; or False as soon as `stop` is called."""
        return not self._stopped.wait(max(0.0, seconds))

    def pace(self, size: int) -> None:
        """Wait for as long as the rate asks for after `size` bytes were received, or until `stop`.

        A bucket of tokens that holds a second's worth: after a quiet time there may be as much at
        once, and no more than the rate over any longer time.
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
