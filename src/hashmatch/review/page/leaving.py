"""Cases whose page was closed: given back in a moment, unless the page is there again by then."""

from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE = 10.0
"""Seconds for somebody who closed it by mistake to open it again."""


class Leaving:
    """Remembers which page of a case is the latest, and which cases are about to be given back.

    A page that is loaded anew may say that it was closed only when it is there again. So each has
    an id, and only the latest one counts.

    Parameters
    ----------
    clock : callable
        Seconds, monotonic.

    Examples
    --------
    >>> leaving = Leaving(clock=lambda: 0.0)
    >>> before, now = leaving.opened("q-1", "ana"), leaving.opened("q-1", "ana")
    >>> leaving.left("q-1", "ana", before)
    >>> leaving.due(now=11.0)
    []
    >>> leaving.left("q-1", "ana", now)
    >>> leaving.due(now=9.0), leaving.due(now=11.0)
    ([], [('q-1', 'ana')])
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pages: dict[tuple[str, str], str] = {}
        self._at: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def opened(self, case_id: str, reviewer: str) -> str:
        """Note that a page is shown, and return its id."""
        page = secrets.token_urlsafe(12)
        with self._lock:
            self._pages[case_id, reviewer] = page
            self._at.pop((case_id, reviewer), None)
        return page

    def left(self, case_id: str, reviewer: str, page: str) -> None:
        """Note that a page was closed."""
        with self._lock:
            if self._pages.get((case_id, reviewer)) == page:
                self._at[case_id, reviewer] = self._clock() + GRACE

    def done(self, case_id: str, reviewer: str) -> None:
        """Forget a case, which is no longer held."""
        with self._lock:
            self._pages.pop((case_id, reviewer), None)
            self._at.pop((case_id, reviewer), None)

    def due(self, now: float | None = None) -> list[tuple[str, str]]:
        """Return those whose time is over, each once."""
        moment = self._clock() if now is None else now
        with self._lock:
            over = [pair for pair, at in self._at.items() if at <= moment]
            for pair in over:
                del self._at[pair]
        return over
