"""Work on many things at once, with the results in the order of the things."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 4
"""Things in work for each thread: one that takes long does not leave the others idle."""


def in_order(things: Iterable[T], work: Callable[[T], R], threads: int) -> Iterator[tuple[T, R]]:
    """Yield each thing and what `work` made of it, in order, while others are worked on.

    The naive way is ``((thing, work(thing)) for thing in things)``; with one thread this is it. The
    next things are asked for only as results are taken, so that no more than some are held.

    Parameters
    ----------
    things : iterable
        Asked for by the caller's thread.
    work : callable
        Called in other threads. What it raises is raised here, in the thing's turn.
    threads : int
        How many at once.

    Examples
    --------
    >>> list(in_order("abc", str.upper, threads=2))
    [('a', 'A'), ('b', 'B'), ('c', 'C')]
    """
    if threads == 1:
        for thing in things:
            yield thing, work(thing)
        return
    waiting: deque[tuple[T, Future[R]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="hashmatch")
    try:
        for thing in things:
            waiting.append((thing, pool.submit(work, thing)))
            if len(waiting) >= AHEAD * threads:
                first, made = waiting.popleft()
                yield first, made.result()
        while waiting:
            first, made = waiting.popleft()
            yield first, made.result()
    finally:
        # What has begun ends; what has not is never begun. The caller may have been interrupted.
        pool.shutdown(wait=True, cancel_futures=True)
