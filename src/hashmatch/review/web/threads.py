"""Threads for what blocks: so many at a time, and nobody waits for one for ever."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MAX_PAGES = 100
"""Pages that are made at a time; most threads only wait, for the database or to write to it."""
PAGE_DEADLINE = 5.0
"""Seconds until a request for a page is answered with an error. Calls of a database that is locked
or gone end far sooner by themselves; this is for one that has stopped answering."""
RETRY_AFTER = 2
"""Seconds after which a browser may ask again for what was late."""


def start(call: Callable[[], T]) -> asyncio.Future[T]:
    """Call something in a thread of its own, and return what is done with the call.

    A thread that hangs does not keep the process from its end. Cancelling does not wait.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def work() -> None:
        try:
            finish = partial(future.set_result, call())
        except BaseException as error:  # raised where it is waited for
            finish = partial(future.set_exception, error)
        with suppress(RuntimeError):  # the server has ended meanwhile
            loop.call_soon_threadsafe(finish)

    # If nobody waits any more when it ends, nobody has to hear of its error.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())

    threading.Thread(target=work, daemon=True).start()
    return future


class Threads:
    """Runs calls, `most` at a time; one that is late keeps its place until it ends."""

    def __init__(self, most: int = MAX_PAGES, deadline: float = PAGE_DEADLINE) -> None:
        self.deadline = deadline
        self._free = asyncio.Semaphore(most)

    async def run(self, call: Callable[[], T]) -> T:
        """Return what a call returns; TimeoutError if that takes too long, the wait included."""
        async with asyncio.timeout(self.deadline):
            await self._free.acquire()
            try:
                future = start(call)
            except BaseException:
                self._free.release()
                raise
            future.add_done_callback(lambda _: self._free.release())
            return await asyncio.shield(future)
