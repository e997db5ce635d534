"""How much the service takes on: work at a time, requests that wait, requests a second of a token.

What cannot be done soon is refused at once, so that callers can do something else about it.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

BURST = 1.0
"""Seconds' worth of requests that a token may make at once."""


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

    Used from one event loop.

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
        self._free = asyncio.Semaphore(running)
        self.inside = 0
        self._seconds = 0.1

    @property
    def expected_wait(self) -> float:
        """Seconds until there is room again, by how long requests took of late."""
        ahead = max(0, self.inside - self.running) + 1
        return max(1.0, ahead * self._seconds / self.running)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Callable[[], asyncio.Future[None]]]:
        """Take a place, at once or not at all; Busy if there is none.

        What it gives is awaited before the work begins, and raises Busy if its turn does not come
        in time: a body is read between the two, so that slow senders hold up nobody.
        """
        if self.inside >= self.running + self.waiting:
            raise Busy(self.expected_wait)
        self.inside += 1
        began = 0.0

        async def turn() -> None:
            nonlocal began
            try:
                async with asyncio.timeout(self.patience):
                    await self._free.acquire()
            except TimeoutError:
                raise Busy(self.expected_wait) from None
            began = time.monotonic()

        try:
            yield turn  # type: ignore[misc]
        finally:
            self.inside -= 1
            if began:
                self._free.release()
                self._seconds += 0.1 * (time.monotonic() - began - self._seconds)


class Rate:
    """A token bucket: so many requests a second, with bursts of a second's worth.

    Parameters
    ----------
    rate : float
        Requests a second.

    Attributes
    ----------
    at : float
        When it was asked last, monotonic seconds.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._most = max(1.0, rate * BURST)
        self._left, self.at = self._most, time.monotonic()

    def take(self, now: float | None = None) -> float:
        """Take one; return 0, or after how many seconds there is one if there is none now."""
        now = time.monotonic() if now is None else now
        self._left = min(self._most, self._left + (now - self.at) * self.rate)
        self.at = now
        if self._left < 1:
            return (1 - self._left) / self.rate
        self._left -= 1
        return 0.0
