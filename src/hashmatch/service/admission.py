"""How much the service takes on: work at a time, requests that wait, requests a second of a token.

What cannot be done soon is refused at once, so that callers can do something else about it.
"""

from __future__ import annotations

import asyncio
import fcntl
import math
import mmap
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

BURST = 1.0
"""Seconds' worth of requests that a token may make at once."""
ROWS, NEAR = 2**14, 16
"""Buckets that there is room for, and those of them that one holder's may be; a token file holds
some thousand tokens at most."""
WORDS = 3
"""Of 8 bytes in a bucket: whose, how many requests it has left, and when that was."""


class Busy(Exception):
    """There is no room for a request now.

    Parameters
    ----------
    seconds : float
        After which it may be worth trying again.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(seconds)


class Admission:
    """A bounded number of requests at work, and a bounded number that wait for them.

    Used from one event loop. Requests that are ready are queued for the threads that do the work,
    so that these take the next one by themselves, however busy the loop is with refusing others.

    Parameters
    ----------
    running : int
        Requests at work at a time.
    waiting : int
        Requests that may wait; more are refused.
    patience : float
        Seconds that one may wait before it is refused after all.
    """

    def __init__(self, running: int, waiting: int, patience: float) -> None:
        self.running, self.waiting, self.patience = running, waiting, patience
        self.inside = 0
        self.coming = 0
        """Requests that were let in by their head, and are not inside yet."""
        self._threads = ThreadPoolExecutor(running, "hashmatch-check")
        self._seconds = 0.1

    @property
    def taken(self) -> int:
        """Places that are taken, or kept for requests that are coming."""
        return self.inside + self.coming

    @property
    def is_full(self) -> bool:
        """Whether another request would be refused."""
        return self.taken >= self.running + self.waiting

    @property
    def expected_wait(self) -> float:
        """Seconds until there is room again, by how long requests took of late."""
        ahead = max(0, self.inside - self.running) + 1
        return max(1.0, ahead * self._seconds / self.running)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place, at once or not at all; Busy if there is none.

        It is taken before the body is read, and the work is done once that is there, so that slow
        senders hold up nobody.
        """
        if self.is_full:
            raise Busy(self.expected_wait)
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    async def work(self, work: Callable[[], T]) -> T:
        """Do the work of a request that has a place; Busy if its turn does not come in time."""
        future = self._threads.submit(self._timed, work)
        giving_up = asyncio.get_running_loop().call_later(self.patience, future.cancel)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                raise Busy(self.expected_wait) from None
            raise
        finally:
            giving_up.cancel()

    def close(self) -> None:
        """End the threads; queued requests are refused."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _timed(self, work: Callable[[], T]) -> T:
        began = time.monotonic()
        try:
            return work()
        finally:
            self._seconds += 0.1 * (time.monotonic() - began - self._seconds)


class Rates:
    """Token buckets, one for each holder: so many requests a second, with bursts of a second's.

    Processes that are forked from the one that makes it count together.

    Parameters
    ----------
    is_shared : bool
        Whether several processes use it.
    """

    def __init__(self, *, is_shared: bool = False) -> None:
        table = memoryview(mmap.mmap(-1, 8 * WORDS * ROWS))
        self._keys, self._numbers = table.cast("Q"), table.cast("d")
        # Locks of a file are given back by whoever dies.
        self._lock = os.memfd_create("hashmatch-rates") if is_shared else None

    def take(self, key: int, rate: float, now: float | None = None) -> float:
        """Take one request; return 0, or after how many seconds there is one if there is none now.

        Parameters
        ----------
        key : int
            Whose it is: 64 random bits, not 0.
        rate : float
            Requests a second.
        now : float, optional
            Monotonic seconds.
        """
        now = time.monotonic() if now is None else now
        first = key % (ROWS // NEAR) * NEAR
        if self._lock is not None:
            fcntl.lockf(self._lock, fcntl.LOCK_EX, NEAR, first)
        try:
            return self._take(first, key, rate, now)
        finally:
            if self._lock is not None:
                fcntl.lockf(self._lock, fcntl.LOCK_UN, NEAR, first)

    def _take(self, first: int, key: int, rate: float, now: float) -> float:
        keys, numbers = self._keys, self._numbers
        left = most = max(1.0, rate * BURST)
        oldest, row = math.inf, first * WORDS
        for place in range(first * WORDS, (first + NEAR) * WORDS, WORDS):
            if keys[place] == key:
                row = place
                left = min(most, numbers[place + 1] + (now - numbers[place + 2]) * rate)
                break
            if numbers[place + 2] < oldest:  # who asked last so long ago has a full bucket again
                oldest, row = numbers[place + 2], place
        wait = 0.0 if left >= 1 else (1 - left) / rate
        keys[row], numbers[row + 1], numbers[row + 2] = key, left if wait else left - 1, now
        return wait
