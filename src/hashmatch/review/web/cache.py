"""What takes long to count in a queue: counted by one thread, for everybody, now and then."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MAX_WAIT = 0.5
"""Seconds that a page waits for a count."""


class Cached(Generic[T]):
    """A value that is good for `max_age` seconds, or until it is `outdated`.

    A caller waits for a new one for `MAX_WAIT` at most, and then gets the one before, unless it
    is older than `max_stale` seconds.

    Examples
    --------
    >>> cached = Cached(lambda: "counted", max_age=1.0, max_stale=60.0)
    >>> cached.get()
    'counted'
    """

    def __init__(self, count: Callable[[], T], *, max_age: float, max_stale: float) -> None:
        self._count = count
        self._max_age, self._max_stale = max_age, max_stale
        self._changed = threading.Condition()
        self._is_counting = False
        self._changes = 0
        self._value: tuple[T, float, int] | None = None
        self._failure: tuple[Exception, float] | None = None

    def outdated(self) -> None:
        """Note that something has changed: what was begun to be counted before is out of date."""
        with self._changed:
            self._changes += 1

    def get(self, *, same: bool = False) -> T | None:
        """Return the value; None if it is still being counted, and there is none of before.

        With `same`, it may be as old as `max_stale`, so that what belongs to a page is as the page
        is. Raises what counting raised.
        """
        asked = time.monotonic()
        with self._changed:
            while not self._is_good(self._max_stale if same else self._max_age):
                if self._failure is not None and self._failure[1] >= asked:
                    raise self._failure[0]
                if not self._is_counting:
                    self._is_counting = True
                    threading.Thread(target=self._refresh, daemon=True).start()
                if not self._changed.wait(asked + MAX_WAIT - time.monotonic()):
                    break
            if self._value is None or time.monotonic() - self._value[1] > self._max_stale:
                return None
            return self._value[0]

    def _is_good(self, max_age: float) -> bool:
        if self._value is None:
            return False
        _, at, changes = self._value
        return changes == self._changes and time.monotonic() - at <= max_age

    def _refresh(self) -> None:
        changes, failure = self._changes, None
        try:
            value = self._count()
        except Exception as error:  # raised where it is asked for
            failure = error
        with self._changed:
            self._is_counting, now = False, time.monotonic()
            if failure is None:
                self._value = value, now, changes
            else:
                self._failure = failure, now
            self._changed.notify_all()
