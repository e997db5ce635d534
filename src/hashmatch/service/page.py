"""The review page below the service, at ``/review``: its own log-in, middleware and limits.

Nothing is shared with the rest but the port: a token of the service opens no page, and the cookie
of a page answers nothing else. Sessions live in the process, so that there is one.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from hashmatch.review.queue import ReviewQueue
from hashmatch.review.web.app import pages
from hashmatch.review.web.context import Context
from hashmatch.review.web.middleware import SecurityMiddleware
from hashmatch.review.web.pictures import Pictures

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping
    from typing import Any

    from hashmatch.review.web.server import Serving
    from hashmatch.service.http import Receive, Scope, Send
    from hashmatch.service.metrics import Metrics

ROOT = "/review"
ROUTE = "the review page"
"""What its requests are counted as: their paths have cases in them."""


class Page:
    """The page of a queue, as a part of the service.

    Parameters
    ----------
    queue : str
        The queue.
    serving : hashmatch.review.web.server.Serving
        By which names browsers reach it, and where pictures are.
    port : int
        Where the service listens.

    Raises
    ------
    ReviewError
        If there is no queue.
    UsageError
        If there is no such source of pictures.
    StoreError
        If others can read the file with its token, or the folder of drafts.
    """

    def __init__(self, queue: str, serving: Serving, port: int) -> None:
        serving.check_pictures()
        serving.check_drafts()
        self._queue = ReviewQueue.open(queue)
        self._pictures = Pictures(serving.pictures, allow_private=serving.allow_private)
        context = Context(
            self._queue, self._pictures, serving.tls, root=ROOT, drafts=serving.drafts
        )
        self._pages = pages(context)
        self._guarded = SecurityMiddleware(self._pages, serving.access_policy(port))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run what it needs besides requests: cases of closed pages are given back."""
        try:
            async with self._pages.router.lifespan_context(self._pages):
                yield
        finally:
            self._pictures.close()
            self._queue.close()

    def has(self, path: str) -> bool:
        """Return whether a path is one of the page's."""
        return path == ROOT or path.startswith(f"{ROOT}/")

    async def answer(self, scope: Scope, receive: Receive, send: Send, metrics: Metrics) -> None:
        """Answer a request for a path below `ROOT`, and count it."""
        began, status = perf_counter(), 0

        async def sent(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        below = {**scope, "root_path": ROOT}
        if scope["path"] == ROOT:
            below |= {"path": f"{ROOT}/", "raw_path": f"{ROOT}/".encode()}
        await self._guarded(below, receive, sent)
        metrics.request(ROUTE, status, perf_counter() - began)
