"""DecodePool: pictures decoded in workers that are closed in, hashed here.

The lanes of a pool: so many at work at once, and others instead of those that are held up.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
import weakref
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from hashmatch.decode.animation import MOST
from hashmatch.decode.inputs import ImageInput, load
from hashmatch.decode.policy import decode_image
from hashmatch.errors import UsageError, WorkersError
from hashmatch.sandbox.confinement import Layers, described
from hashmatch.sandbox.fork_client import CLOSED, Nursery
from hashmatch.sandbox.limits import WorkerLimits
from hashmatch.sandbox.slot import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from concurrent.futures import Future
    from types import TracebackType

    from hashmatch.decode.policy import Picture
    from hashmatch.sandbox.fork_client import Ended

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


Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 4
"""Items taken for each worker before their results are: one in work, one that may be held up, and
as many that follow."""


class DecodePool:
    """Decodes untrusted pictures in processes of their own. Safe to use from several threads.

    Each worker has one item at a time. It is closed in by every layer that the kernel offers, and
    what a file does to it, to crash, hang or fill its memory, costs that file one of its tries.
    Pixels come back in shared memory, the same as in-process decoding gives, and are hashed here.

    Parameters
    ----------
    workers : int, optional
        Processes; by default one for each core that this process may use.
    limits : WorkerLimits, optional
        What one item may cost.

    Raises
    ------
    WorkersError
        If workers cannot be started.
    UsageError
        If `workers` is less than 1.

    Warns
    -----
    RuntimeWarning
        If the kernel, or the container around, offers fewer layers than `Layers` names.

    Examples
    --------
    >>> import hashmatch as hm
    >>> with hm.DecodePool(workers=1) as pool:
    ...     hashed = hm.hash_all(b"not a picture", ["pdq"], decode=pool.pictures)
    >>> hashed[0].outcome.value
    'unsupported'
    """

    _decoder = "hashmatch.sandbox.worker:decoded"
    """What workers decode with; tests have others."""

    def __init__(self, workers: int | None = None, limits: WorkerLimits | None = None) -> None:
        count = len(os.sched_getaffinity(0)) if workers is None else workers
        if count < 1:
            raise UsageError(f"workers is {workers}, at least 1 is needed")
        self.limits = WorkerLimits() if limits is None else limits
        self._owner = os.getpid()
        self._nursery = Nursery(self.limits, self._decoder)
        self._lanes = Lanes(self._nursery, self.limits, count)
        self._end = weakref.finalize(self, _close, self._owner, self._lanes, self._nursery)
        try:
            self._lanes.start()
        except BaseException:
            self.close()
            raise
        missing = ~self.layers
        if missing:
            warnings.warn(f"decode workers: {self.report}", RuntimeWarning, stacklevel=2)

    @property
    def workers(self) -> int:
        """Processes that decode at once."""
        return self._lanes.count

    @property
    def layers(self) -> Layers:
        """What closes every worker in."""
        common = ~Layers(0)
        for lane in self._lanes.all[: self.workers]:
            common &= lane.layers
        return common

    @property
    def report(self) -> str:
        """One line on what closes the workers in, and what does not."""
        return described(self.layers)

    @property
    def ended(self) -> list[Ended]:
        """How the latest workers ended, for tests and measurements."""
        return [ended for lane in self._lanes.all for ended in lane.ended]

    @property
    def pids(self) -> list[int]:
        """The processes of the pool that there are at the moment: nursery first, then workers."""
        return [self._nursery.pid, *(lane.pid for lane in self._lanes.all if lane.pid is not None)]

    def pictures(self, image: ImageInput, frames: bool = False) -> Generator[Picture]:
        """Decode a file as `hashmatch.hash_all` asks for it: without copying a pixel.

        Pixels are a view of shared memory, and each picture's are there until the next is asked
        for or the iterator ends. To keep them, use `decode_image` or `decode_frames`.

        Parameters
        ----------
        image : path, bytes, file object or ndarray of uint8
            As for `hashmatch.decode_image`. An array is pixels already, and is left as it is.
        frames : bool
            As `hashmatch.decode_frames` does; else the picture alone.

        Yields
        ------
        Picture

        Raises
        ------
        ImageError
            As in-process decoding does; besides ``failed``, with its reason, if each try lost a
            worker.
        UsageError
            If `image` is an open Pillow image, which this process has begun to parse.
        WorkersError
            If the pool is closed, or workers end before they are ready.
        """
        yield from self._decoded(image, MOST if frames else 0)

    def decode_image(self, image: ImageInput) -> Picture:
        """Return what `hashmatch.decode_image` returns, decoded in a worker; see `pictures`.

        Parameters
        ----------
        image : path, bytes, file object or ndarray of uint8
            As for `pictures`.
        """
        (picture,) = map(_copied, self._decoded(image, 0))
        return picture

    def decode_frames(self, image: ImageInput, most: int = MOST) -> Iterator[Picture]:
        """Yield what `hashmatch.decode_frames` yields, decoded in a worker; see `pictures`.

        Parameters
        ----------
        image : path, bytes, file object or ndarray of uint8
            As for `pictures`.
        most : int
            Frames given, the first one included.
        """
        if most < 1:
            raise UsageError(f"most is {most}; at least the first frame is given")
        return map(_copied, self._decoded(image, most))

    def map(
        self, work: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Do `work` on each of many items, one at a time for each worker, and each exactly once.

        Parameters
        ----------
        work : callable
            Called in threads; say, to hash an item with ``decode=pool.pictures``.
        items : iterable
            Taken as they are needed: four for each worker at most are ahead of their results.

        Yields
        ------
        tuple of item and result
            As they are ready, in no order. What `work` raises is raised here, and ends it.

        Examples
        --------
        >>> with DecodePool(workers=1) as pool:
        ...     sorted(pool.map(len, ["one", "three"]))
        [('one', 3), ('three', 5)]
        """
        threads = ThreadPoolExecutor(2 * self.workers, "hashmatch-decode")
        running: dict[Future[Result], Item] = {}
        try:
            for item in items:
                running[threads.submit(work, item)] = item
                if len(running) >= AHEAD * self.workers:
                    yield from _finished(running)
            while running:
                yield from _finished(running)
        finally:
            threads.shutdown(cancel_futures=True)

    def close(self) -> None:
        """End every process of the pool; whoever waits for one is told. Once is enough."""
        self._end()

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _decoded(self, image: ImageInput, most: int) -> Iterator[Picture]:
        loaded = load(image)
        if loaded.error is not None or isinstance(loaded.pixels, np.ndarray):
            yield decode_image(loaded)
            return
        if loaded.data is None:
            raise UsageError("a decode pool takes files, and no image that is open here already")
        if os.getpid() != self._owner:
            raise WorkersError("a pool of decode workers is of use only in the process it is of")
        lane = self._lanes.take()
        try:
            yield from lane.pictures(loaded.data, most)
        finally:
            self._lanes.give(lane)


def _copied(picture: Picture) -> Picture:
    return replace(picture, pixels=picture.pixels.copy())


def _finished(running: dict[Future[Result], Item]) -> Iterator[tuple[Item, Result]]:
    """Yield at least one of the items that are `running`, and forget it."""
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        yield running.pop(future), future.result()


def _close(owner: int, lanes: Lanes, nursery: Nursery) -> None:
    """Close a pool; apart from it, so that it can be done when nobody has it any more."""
    if os.getpid() != owner:
        return  # a fork of the process that the pool is of
    lanes.close()
    nursery.close()
