"""The lanes of a pool: so many at work at once, and others instead of those that are held up."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from hashmatch.errors import WorkersError
from hashmatch.workers.lane import Lane
from hashmatch.workers.starting import CLOSED

if TYPE_CHECKING:
    from hashmatch.workers.limits import WorkerLimits
    from hashmatch.workers.starting import Nursery

HELD_UP = 0.1
"""Seconds at one item, of which a photograph takes some thousandths, after which a lane does not
count as one that works: a hostile file may hold its lane for the time of all its tries, and the
others would wait for it."""
SPARE = 4
"""Lanes there are besides, at least, for those that are held up; none has a worker until then."""


class Lanes:
    """Lanes of which `count` work at once.

    Parameters
    ----------
    nursery : Nursery
        Where workers come from.
    limits : WorkerLimits
        For each item.
    count : int
        At least 1.
    """

    def __init__(self, nursery: Nursery, limits: WorkerLimits, count: int) -> None:
        self.count = count
        self.all = [Lane(nursery, limits) for _ in range(count + max(count, SPARE))]
        self._idle = self.all[::-1]
        self._taken: dict[Lane, float] = {}
        self._held_up: set[Lane] = set()
        self._closed = False
        self._changed = threading.Condition()

    def start(self) -> None:
        """Start the workers of the lanes that work when none is held up."""
        for lane in self.all[: self.count]:
            lane.start()

    def take(self) -> Lane:
        """Return a lane that nobody uses, waiting for one.

        Raises
        ------
        WorkersError
            If the lanes are closed.
        """
        with self._changed:
            while not self._closed:
                if self._idle and len(self._taken) - len(self._held_up) < self.count:
                    lane = self._idle.pop()  # the latest, whose memory is still near
                    self._taken[lane] = time.monotonic()
                    return lane
                if not self._set_aside():
                    self._changed.wait(HELD_UP)
        raise WorkersError(CLOSED)

    def give(self, lane: Lane) -> None:
        """Take back a lane."""
        with self._changed:
            del self._taken[lane]
            self._held_up.discard(lane)
            self._idle.append(lane)
            if self._closed:
                lane.close()
            self._changed.notify()

    def close(self) -> None:
        """End all workers for good; lanes in use are closed when they are given back."""
        with self._changed:
            self._closed = True
            for lane in self.all:
                lane.stop()
            for lane in self._idle:
                lane.close()
            self._changed.notify_all()

    def _set_aside(self) -> bool:
        """Count those out that are held up; return whether there are more than there were."""
        before = len(self._held_up)
        latest = time.monotonic() - HELD_UP
        self._held_up |= {lane for lane, since in self._taken.items() if since < latest}
        return len(self._held_up) > before
