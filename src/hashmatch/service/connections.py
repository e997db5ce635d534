"""Connections to the service: how many there are, and for how long one may keep it waiting.

uvicorn has no limit to how slowly a request comes, and one to connections beyond which everybody
gets a 503. Here a request has a deadline by which all of it is there, and where there are too many
connections, those that have been silent for longest make room.
"""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

MAX_CONNECTIONS = 10_000
"""At a time and process; fewer where it may have few files open."""
REQUEST_SECONDS = 15.0
"""From the first byte of a request, or from the connection, until all of the request is there."""
ANSWER_SECONDS = 30.0
"""Until a client has read so much of an answer that the next part can be written."""


def most_connections() -> int:
    """Return how many connections a process may have: two thirds of the files it may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        MAX_CONNECTIONS if files == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, files * 2 // 3)
    )


class Protocol(HttpToolsProtocol):
    """One connection, which is cut if its client keeps the service waiting for too long."""

    limit = most_connections()
    _cut_at: asyncio.TimerHandle | None = None
    _is_partial = True
    _since = 0.0

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request; if it is one connection too many, end another."""
        super().connection_made(transport)
        self._since = time.monotonic()
        self._wait(REQUEST_SECONDS)
        if len(self.connections) > self.limit:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Parse the bytes received; the clock runs from the first byte of a request to its last."""
        super().data_received(data)
        if self._is_partial and self._cut_at is None:
            self._wait(REQUEST_SECONDS)

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        self._is_partial = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Note that a request is complete."""
        self._is_partial = False
        self._since = time.monotonic()
        self._wait(None)
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Wait for a client who does not read the answer."""
        super().pause_writing()
        self._wait(ANSWER_SECONDS)

    def resume_writing(self) -> None:
        """Stop waiting: the client has read."""
        super().resume_writing()
        self._wait(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._wait(None)
        super().connection_lost(exc)

    def _wait(self, seconds: float | None) -> None:
        if self._cut_at is not None:
            self._cut_at.cancel()
        self._cut_at = None if seconds is None else self.loop.call_later(seconds, self._cut)

    def _cut(self) -> None:
        """End the connection without a word."""
        self.transport.abort()

    def _make_room(self) -> None:
        """End the connection that has been silent for longest; this one if all are being answered.

        A request that is there is answered: it is never one that is cut.
        """
        others: set[Any] = self.connections
        idle = [
            each
            for each in others
            if each is not self and (each.cycle is None or each.cycle.response_complete)
        ]
        min(idle, key=lambda each: each._since, default=self)._cut()
