"""Concurrent pipeline: list, fetch with retries, process; in order and in bounded memory."""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Generic, TypeVar

from hashmatch.decode.limits import MAX_BYTES
from hashmatch.errors import UsageError
from hashmatch.retry import ImageLater, ItemReads, Tries, list_items
from hashmatch.scan.events import Counters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hashmatch.interfaces import Source
    from hashmatch.records.images import ImageItem
    from hashmatch.retry import Fetched

R = TypeVar("R")

#: Requests under way at a time: as many as hide the way to a bucket and back behind decoding.
READERS = 16
MOST_READERS = 1024
#: Bytes that are read and not yet worked on, or taken.
MOST_BYTES = 32 * 2**20
#: Items that go before one that has to be tried again, or takes long, where order is kept.
MOST_AHEAD = 2000
#: What an item counts for whose size is not known before it is read.
UNKNOWN_SIZE = 2**20
#: Items that are listed ahead of those that are read.
CHUNK = 256
#: Seconds without an answer after which whoever waits for it is told.
IDLE = 0.25


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How much there may be of what at a time.

    Parameters
    ----------
    readers : int
        Reads under way. With those that wait for another try there are at most twice as many: a
        server that fails is asked for little else until it has given that.
    threads : int
        Items worked on; if there is no work, 0.
    most_bytes : int
        Bytes that are read, or about to be, and not worked on yet; by the sizes in the listing, or
        else by the header of an answer, whose item then waits for room. An item that is larger by
        itself is read when no other is held.
    most_items : int
        Items begun whose answer has not been taken: so many may go before one that is slow.
    ordered : bool
        Whether answers come in the order of the listing, or as they are there.
    """

    readers: int = READERS
    threads: int = 1
    most_bytes: int = MOST_BYTES
    most_items: int = MOST_AHEAD
    ordered: bool = True


def size_of(item: ImageItem) -> int:
    """Return what an item counts for before it is read."""
    return UNKNOWN_SIZE if item.size is None else item.size


@dataclass(slots=True, eq=False)
class _Task:
    """One item on its way; `number` is its place in the listing."""

    number: int
    reads: ItemReads
    held: int
    fetched: Fetched | None = None
    done: bool = False
    answer: object = None
    error: BaseException | None = None

    def __lt__(self, other: _Task) -> bool:
        return self.number < other.number


class Pipeline(Generic[R]):
    """Reads items and works on them in threads; iterating gives the answers, and ends the threads.

    The naive way, in order and with an answer at a time, is ``(work(read_item(source, item, tries))
    for item in listed)``. An item that waits for another try holds no thread, and answers to those
    behind it are made meanwhile.

    The source is not closed, and `listed` is iterated in a thread of its own. Without `work`,
    answers are items with their content. `tries` is stopped if the iteration ends before its time.
    `wanted` is given how the body of an answer begins, where a source asks, and raises ImageError
    if the rest is not to be read.
    In `counters` are the items that are being read, that wait for another try, and that wait for
    their work, and how long listing (``list``) and all reads together (``read``) took. `on_retry`
    is given the key of an item that is tried again, and why; from any thread. `on_idle` is called
    in the thread that iterates, while there is no answer.
    """

    def __init__(
        self,
        source: Source,
        listed: Iterable[ImageItem],
        work: Callable[[Fetched], R] | None,
        tries: Tries,
        concurrency: Concurrency,
        *,
        wanted: Callable[[bytes], object] | None = None,
        counters: Counters | None = None,
        on_retry: Callable[[str, str], object] | None = None,
        on_idle: Callable[[], object] | None = None,
    ) -> None:
        self._counters = counters or Counters()
        self._source, self._listed, self._work = source, iter(listed), work
        self._tries, self._concurrency = tries, concurrency
        self._on_retry, self._on_idle = on_retry, on_idle
        self._wanted_head = wanted
        self._asking: list[_Task] = []  # a heap of what waits for room for its body
        self._next: deque[ImageItem] = deque()  # listed, not begun
        self._next_bytes = 0
        self._list_ended, self._list_error = False, list[BaseException]()
        self._again: list[tuple[float, _Task]] = []  # a heap of what waits for another try
        self._fetched: list[_Task] = []  # a heap of what waits for its work: the first goes first
        self._line: deque[_Task] = deque()  # begun, or if there is no order done, and not taken
        self._begun = self._out = self._held = 0
        self._stopping = self._failed = False
        lock = threading.Lock()
        self._wanted = threading.Condition(lock)  # the lister waits
        self._room = threading.Condition(lock)  # readers wait, for items, room, and due times
        self._ready = threading.Condition(lock)  # workers wait
        self._freed = threading.Condition(lock)  # those wait that have a header
        self._done = threading.Condition(lock)  # whoever iterates waits
        self._lock = lock

    def __iter__(self) -> Iterator[R]:
        loops = [self._list]
        loops += [self._read] * self._concurrency.readers + [
            self._do_work
        ] * self._concurrency.threads
        threads = [
            threading.Thread(target=loop, name=f"hashmatch{loop.__name__}", daemon=True)
            for loop in loops
        ]

        def end() -> None:
            with self._lock:
                self._stopping = True
                for waiting in (self._wanted, self._room, self._ready, self._freed):
                    waiting.notify_all()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()

        def end_early() -> None:
            self._tries.stop()
            end()

        # The interpreter would wait for the threads of an iterator that is open when it ends.
        atexit.register(end_early)
        try:
            for thread in threads:
                thread.start()
            while (task := self._taken()) is not None:
                if task.error is not None:
                    raise task.error
                yield task.answer  # type: ignore[misc]
                with self._lock:
                    self._out -= 1
                    self._let_go(task)
        except BaseException:  # GeneratorExit, when nobody wants the rest
            self._tries.stop()
            raise
        finally:
            atexit.unregister(end_early)
            end()
        if self._list_error:
            raise self._list_error[0]

    def _taken(self) -> _Task | None:
        """Return the next that is done, waiting for it; None at the end."""
        while True:
            with self._lock:
                if self._line and self._line[0].done:
                    return self._line.popleft()
                if self._list_ended and not self._next and not self._out:
                    return None
                woken = self._done.wait(IDLE)
            if not woken and self._on_idle is not None:
                self._on_idle()

    def _list(self) -> None:
        """Put what is listed where readers find it, some ahead of them."""
        try:
            while True:
                began = time.monotonic()
                item = next(self._listed, None)
                with self._lock:
                    self._counters.seconds["list"] += time.monotonic() - began
                    if item is None:
                        return
                    self._next.append(item)
                    # Some sources list items together with their content.
                    self._next_bytes += item.size or 0
                    self._wake_reader()
                    while not self._stopping and (
                        len(self._next) >= CHUNK
                        or (self._next_bytes >= self._concurrency.most_bytes // 8 and self._next)
                    ):
                        self._wanted.wait()
                    if self._stopping:
                        return
        except BaseException as error:  # raised when all that was listed before has its answer
            self._list_error.append(error)
        finally:
            if hasattr(self._listed, "close"):
                self._listed.close()
            with self._lock:
                self._list_ended = True
                self._done.notify()

    def _read(self) -> None:
        """Read what is due, and what is next."""
        while True:
            with self._lock:
                task = self._to_read()
                if task is None:
                    return
                self._counters.reading += 1
            fetched = error = None
            began = time.monotonic()
            try:
                fetched = task.reads.again(partial(self._admit, task))
                while fetched is not None and isinstance(fetched[1], ImageLater):
                    if not self._await_room(task, fetched[1].size):
                        break
                    fetched = task.reads.again(partial(self._admit, task))
            except BaseException as raised:
                error = raised
            if fetched is None and error is None and self._on_retry is not None:
                self._on_retry(task.reads.item.key, task.reads.reason)
            with self._lock:
                self._counters.seconds["read"] += time.monotonic() - began
                self._counters.reading -= 1
                if fetched is None and error is None:
                    self._hold(task, min(task.held, size_of(task.reads.item)))
                    heappush(self._again, (task.reads.due, task))
                    self._counters.waiting = len(self._again)
                    self._room.notify()
                else:
                    self._has_read(task, fetched, error)
            if fetched is not None and isinstance(fetched[1], bytes):
                size = len(fetched[1])
                del fetched, task
                self._tries.pace(size)

    def _to_read(self) -> _Task | None:
        """Return what a reader is to read, waiting for it; None when it is to end."""
        while not self._stopping:
            wait = self._again[0][0] - time.monotonic() if self._again else None
            if wait is not None and wait <= 0:
                task = heappop(self._again)[1]
                self._counters.waiting = len(self._again)
                return task
            if self._may_begin():
                item = self._next.popleft()
                self._next_bytes -= item.size or 0
                if len(self._next) <= CHUNK // 2:
                    self._wanted.notify()
                reads = ItemReads(self._source, item, self._tries)
                task = _Task(self._begun, reads, size_of(item))
                self._begun += 1
                self._out += 1
                self._held += task.held
                if self._concurrency.ordered:
                    self._line.append(task)
                self._wake_reader()
                return task
            self._room.wait(wait)
        return None

    def _wake_reader(self) -> None:
        if self._may_begin():
            self._room.notify()

    def _may_begin(self) -> bool:
        if not self._next or self._failed or self._out >= self._concurrency.most_items:
            return False
        if (
            self._asking
            or self._counters.reading + len(self._again) >= 2 * self._concurrency.readers
        ):
            return False
        return not self._held or self._held + size_of(self._next[0]) <= self._concurrency.most_bytes

    def _has_read(self, task: _Task, fetched: Fetched | None, error: BaseException | None) -> None:
        if fetched is not None:
            size = len(fetched[1]) if isinstance(fetched[1], bytes) else 0
            self._hold(task, size)
        if error is not None or self._work is None:
            self._finish(task, fetched, error)
        else:
            task.fetched = fetched
            heappush(self._fetched, task)
            self._counters.queued = len(self._fetched)
            self._ready.notify()

    def _do_work(self) -> None:
        work = self._work
        while work is not None:
            with self._lock:
                while not self._fetched and not self._stopping:
                    self._ready.wait()
                if self._stopping:
                    return
                task = heappop(self._fetched)
                self._counters.queued = len(self._fetched)
            answer = error = None
            try:
                answer = work(task.fetched)  # type: ignore[arg-type]
            except BaseException as raised:
                error = raised
            task.fetched = None
            with self._lock:
                self._let_go(task)
                self._finish(task, answer, error)

    def _finish(self, task: _Task, answer: object, error: BaseException | None) -> None:
        task.done, task.answer, task.error = True, answer, error
        self._failed |= error is not None  # nothing is begun any more
        if not self._concurrency.ordered:
            self._line.append(task)
        if self._line[0].done:
            self._done.notify()

    def _let_go(self, task: _Task) -> None:
        self._hold(task, 0)
        self._wake_reader()

    def _hold(self, task: _Task, size: int) -> None:
        """Count an item as so many bytes."""
        is_less = size < task.held
        self._held += size - task.held
        task.held = size
        if is_less and self._asking:
            self._freed.notify_all()

    def _admit(self, task: _Task, size: int | None, head: bytes) -> None:
        """Count a body whose size no listing gave, if there is room for it; see `body_follows`."""
        if self._wanted_head is not None:
            self._wanted_head(head)
        size = MAX_BYTES if size is None else size
        with self._lock:
            others = self._held - task.held
            if size > task.held:
                if self._asking or (others and others + size > self._concurrency.most_bytes):
                    raise ImageLater(size)
                self._hold(task, size)

    def _await_room(self, task: _Task, size: int) -> bool:
        """Wait until there is room for an item, to be read once more; return whether there is.

        Those that wait hold nothing, and go in their order; nothing else is begun meanwhile.
        """
        with self._lock:
            self._hold(task, 0)
            heappush(self._asking, task)
            while not self._stopping and not self._has_room(task, size):
                self._freed.wait()
            self._asking.remove(task)
            heapify(self._asking)
            self._hold(task, size)
            self._freed.notify_all()
            self._wake_reader()
            return not self._stopping

    def _has_room(self, task: _Task, size: int) -> bool:
        if self._asking[0] is not task:
            return False
        # Where answers are taken in order, the others wait for the first of them.
        is_next = self._work is None and self._concurrency.ordered and self._line[0] is task
        return is_next or not self._held or self._held + size <= self._concurrency.most_bytes


def fetch(
    source: Source,
    items: Iterable[ImageItem] | None = None,
    *,
    tries: Tries | None = None,
    threads: int = READERS,
    most_bytes: int = MOST_BYTES,
    ordered: bool = True,
) -> Iterator[Fetched]:
    """Read many items of a source at a time, and yield each exactly once.

    Closing the iterator, or an error, ends it cleanly and stops `tries`: nothing else is begun, and
    what is under way is waited for, which ends by timeouts and deadlines of its own. Closing the
    source is left to the caller.

    Parameters
    ----------
    source : Source
        What to read.
    items : iterable of ImageItem, optional
        What to read of it, all by default; say, `hashmatch.retry.list_items`, from some position.
    tries : Tries, optional
        Limits of retries and bandwidth; counts them, for progress.
    threads : int
        How many reads there are at a time. An item that waits for another try takes none of them.
    most_bytes : int
        How many bytes may be read and not yet taken, by the sizes in the listing. An item that is
        larger by itself is read when no other is held.
    ordered : bool
        In the order of the listing, in which an item that is tried again holds up those after it,
        of which up to `hashmatch.scan.pipeline.MOST_AHEAD` are read meanwhile; otherwise as they
        come.

    Returns
    -------
    iterator of (ImageItem, bytes or ImageError)
        The item, with the version of just these bytes, and its content; or why there is none.

    Raises
    ------
    UsageError
        If `threads` or `most_bytes` is not positive.
    SourceError
        While iterating: the source cannot be listed, or the scan should stop; see
        `hashmatch.retry.read_item`.

    Examples
    --------
    >>> from hashmatch.testing import MemorySource
    >>> source = MemorySource({"a.jpg": b"1", "b.jpg": b"22"}, "public_post")
    >>> [(item.key, len(data)) for item, data in fetch(source, threads=2)]
    [('a.jpg', 1), ('b.jpg', 2)]
    """
    if threads < 1 or most_bytes < 1:
        raise UsageError(
            "cannot run with less than one thread or byte. Give threads and most_bytes of 1 or more"
        )
    tries = tries or Tries()
    listed = list_items(source, tries=tries) if items is None else items
    concurrency = Concurrency(threads, 0, most_bytes, ordered=ordered)
    return iter(Pipeline["Fetched"](source, listed, None, tries, concurrency))
