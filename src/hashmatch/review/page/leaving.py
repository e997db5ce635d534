"""Cases whose page was closed: given back in a moment, unless the page is there again by then."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE = 10.0
"""Seconds: a page that is loaded anew says first that it is closed, and then asks again."""


class Leaving:
    """Remembers which cases are about to be given back.

    Parameters
    ----------
    clock : callable
        Seconds, monotonic.

    Examples
    --------
    >>> leaving = Leaving(clock=lambda: 0.0)
    >>> leaving.left("q-1", "ana")
    >>> leaving.due(), leaving.due(now=11.0)
    ([], [('q-1', 'ana')])
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def left(self, case_id: str, reviewer: str) -> None:
        """Note that a page was closed."""
        with self._lock:
            self._at[case_id, reviewer] = self._clock() + GRACE

    def back(self, case_id: str, reviewer: str) -> None:
        """Note that it is there, or that the case is no longer held."""
        with self._lock:
            self._at.pop((case_id, reviewer), None)

    def due(self, now: float | None = None) -> list[tuple[str, str]]:
        """Return those whose time is over, each once."""
        moment = self._clock() if now is None else now
        with self._lock:
            over = [pair for pair, at in self._at.items() if at <= moment]
            for pair in over:
                del self._at[pair]
        return over
