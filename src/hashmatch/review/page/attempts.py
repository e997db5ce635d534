"""How often somebody may try to log in."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WITHIN = 300.0
"""Seconds that a failure counts for."""
MOST = {"name": 10, "address": 50}
"""Failures after which no other try is looked at. Behind a proxy many people share an address."""
REMEMBERED = 10_000
"""Names and addresses; beyond, the one that failed the longest ago is forgotten."""


class Attempts:
    """Counts failures to log in by name and by address.

    Parameters
    ----------
    clock : callable
        Seconds, monotonic.

    Examples
    --------
    >>> attempts = Attempts(clock=lambda: 0.0)
    >>> for _ in range(10):
    ...     attempts.failed("ana", "127.0.0.1")
    >>> attempts.wait("ana", "127.0.0.1"), attempts.wait("eve", "127.0.0.1")
    (300, 0)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[tuple[str, str], deque[float]] = {}
        self._lock = threading.Lock()

    def wait(self, name: str, address: str) -> int:
        """Return for how many seconds there is no other try; 0 if there is one."""
        now, waits = self._clock(), [0.0]
        with self._lock:
            for key in (("name", name), ("address", address)):
                times = self._failures.get(key)
                if times is not None and len(times) >= MOST[key[0]]:
                    waits.append(times[0] + WITHIN - now)
        return math.ceil(max(waits))

    def failed(self, name: str, address: str) -> None:
        """Count a failure."""
        with self._lock:
            for key in (("name", name), ("address", address)):
                times = self._failures.pop(key, deque(maxlen=MOST[key[0]]))
                times.append(self._clock())
                self._failures[key] = times  # at the end: the latest
            while len(self._failures) > REMEMBERED:
                del self._failures[next(iter(self._failures))]

    def succeeded(self, name: str) -> None:
        """Forget the failures of a name."""
        with self._lock:
            self._failures.pop(("name", name), None)
