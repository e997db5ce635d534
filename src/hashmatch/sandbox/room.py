"""Room for pixels in shared memory: large pictures take turns, small ones need none.

However many workers there are, and whatever they decode, what they share with this process is at
most `ROOM_BYTES`, which the largest picture takes, and for each slot what a worker may use without
asking, `hashmatch.sandbox.protocol.FREE_BYTES`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Protocol

from hashmatch.decode.limits import most_decoded_pixels

ROOM_BYTES = 3 * most_decoded_pixels()
PATIENCE_SECONDS = 60.0
"""Time without a change after which a picture goes before its turn: a caller that holds one large
picture and asks for another waits for itself."""


class Holder(Protocol):
    """A slot, which has shared memory of its own."""

    def give_back(self) -> None:
        """Give back what it keeps between items."""


class PixelRoom:
    """Shared memory that the pictures of all slots may take together.

    A slot keeps some of it between two items, so that the next picture meets memory that is there
    already. That is taken from idle slots when there is no other room.
    """

    def __init__(self, most: int = ROOM_BYTES) -> None:
        self._most = most
        self._claims: dict[Holder, int] = {}
        self._idle: dict[Holder, None] = {}  # those that keep some, the longest idle first
        self._line: deque[object] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def begin(self, slot: Holder) -> None:
        """Note that a slot is in use: what it keeps is its own."""
        with self._changed:
            self._idle.pop(slot, None)

    def claim(self, slot: Holder, size: int) -> None:
        """Let a slot in use have `size` bytes, waiting for its turn."""
        with self._changed:
            has = self._claims.get(slot, 0)
            if has >= size:
                return
            ticket = object()
            self._line.append(ticket)
            ends = time.monotonic() + PATIENCE_SECONDS
            while not self._closed and (self._line[0] is not ticket or self._is_full(slot, size)):
                if self._line[0] is ticket and self._idle:
                    self._take(next(iter(self._idle)))
                    continue
                if self._claims.get(slot):
                    self._take(slot)  # what waits has nothing that others wait for
                if self._changed.wait(ends - time.monotonic()):
                    ends = time.monotonic() + PATIENCE_SECONDS
                elif time.monotonic() >= ends:
                    break
            self._line.remove(ticket)
            self._claims[slot] = size
            self._changed.notify_all()

    def keep(self, slot: Holder, most: int) -> None:
        """Note that a slot is idle, and keeps `most` bytes of what it has."""
        with self._changed:
            if slot in self._claims:
                self._claims[slot] = min(self._claims[slot], most)
                self._idle[slot] = None
                self._changed.notify_all()

    def drop(self, slot: Holder) -> None:
        """Note that a slot has no memory any more."""
        with self._changed:
            self._idle.pop(slot, None)
            if self._claims.pop(slot, None) is not None:
                self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _is_full(self, slot: Holder, size: int) -> bool:
        others = sum(self._claims.values()) - self._claims.get(slot, 0)
        return others > 0 and others + size > self._most

    def _take(self, slot: Holder) -> None:
        """Take from a slot what it keeps."""
        self._idle.pop(slot, None)
        del self._claims[slot]
        slot.give_back()
        self._changed.notify_all()
