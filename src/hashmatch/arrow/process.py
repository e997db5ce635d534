"""What a process opens once for all batches: decode workers and lists; and how many cores it has.

Engines call from several threads (Dask), fork (Spark) and keep processes for many jobs. So what is
open is found by configuration under a lock, never used in a fork, and opened anew when a list has
changed. Decode workers end with the process.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from hashmatch.sandbox.pool import DecodePool

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator
    from concurrent.futures import Future

    from hashmatch.hashing.hash_image import Decode

R = TypeVar("R")

AHEAD = 4
"""Pictures that wait for each thread: as many as keep it busy while one takes longer."""


def cores() -> int:
    """Return how many cores the engine gives to this process; those it may use without an engine.

    Ray: what was assigned to the task or actor. Spark: ``spark.task.cpus``. Dask: the threads of
    the worker.
    """
    for granted in (_of_ray, _of_spark, _of_dask):
        count = granted()
        if count:
            return max(1, int(count))
    return len(os.sched_getaffinity(0))


def _of_ray() -> float | None:
    ray: Any = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    context = ray.get_runtime_context()
    if context.worker.mode != ray.WORKER_MODE:
        return None
    return float(context.get_assigned_resources().get("CPU", 1))


def _of_spark() -> int | None:
    pyspark: Any = sys.modules.get("pyspark")
    task = None if pyspark is None else pyspark.TaskContext.get()
    return None if task is None else int(task.cpus())


def _of_dask() -> int | None:
    distributed: Any = sys.modules.get("distributed")
    try:
        return None if distributed is None else int(distributed.get_worker().state.nthreads)
    except ValueError:  # this is no worker
        return None


class Threads:
    """The decode workers of this process, and as many threads that hash what they decode."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.pool = DecodePool(count)
        self._executor = ThreadPoolExecutor(count, "hashmatch-arrow")

    @property
    def decode(self) -> Decode:
        """What decodes, see `DecodePool.pictures`."""
        return self.pool.pictures

    def map(self, work: Callable[..., R], given: Iterable[tuple[Any, ...]]) -> Iterator[R]:
        """Yield ``work(*each)`` of each that is given, in order, some of them at a time.

        No more are taken ahead than the threads need.
        """
        waiting: deque[Future[R]] = deque()
        try:
            for each in given:
                waiting.append(self._executor.submit(work, *each))
                if len(waiting) > AHEAD * self._count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class _Opened:
    """What is open in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: dict[int, Threads] = {}
        self._of: dict[Hashable, tuple[Hashable, Any]] = {}

    def threads(self, count: int) -> Threads:
        with self._lock:
            if count not in self._threads:
                self._threads[count] = Threads(count)
            return self._threads[count]

    def once(self, what: Hashable, state: Hashable, make: Callable[[], R]) -> R:
        with self._lock:  # of several threads that need it, one makes it
            before, made = self._of.get(what, (None, None))
            if made is None or before != state:
                made = make()
                self._of[what] = state, made
            return made  # type: ignore[no-any-return]


@cache
def _opened() -> _Opened:
    return _Opened()


# What another process opened is not used: its threads and workers are not there in a fork.
os.register_at_fork(after_in_child=_opened.cache_clear)


def threads(count: int | None) -> Threads:
    """Return the threads of this process, as many as it is given cores unless `count` says."""
    return _opened().threads(cores() if count is None else count)


def once(what: Hashable, state: Hashable, make: Callable[[], R]) -> R:
    """Return what `make` made for `what` in this process; made anew when `state` is another."""
    return _opened().once(what, state, make)
