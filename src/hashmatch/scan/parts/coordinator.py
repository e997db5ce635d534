"""A scan whose parts are given to an engine; its results are those of one uninterrupted scan.

The source is listed once, into parts of so many items, while the first of them are scanned. Results
are given in the order of the listing, as soon as the parts before are done; a breaker counts them
then, in that order. Whatever dies, the same scan resumes with the parts that are not done.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hashmatch import registry
from hashmatch._files.atomic import locked
from hashmatch.errors import CheckpointError, EngineError, StoreError
from hashmatch.interfaces import passed_over
from hashmatch.matching.lookup import in_range
from hashmatch.matching.suppression import tripped
from hashmatch.records.enums import Outcome, Surface
from hashmatch.records.review import ReviewRecord
from hashmatch.records.safeguards import allowed, note, waivers
from hashmatch.retry import Tries, list_items
from hashmatch.scan.events import Counters, Monitor, is_marked
from hashmatch.scan.parts.engine import EngineName
from hashmatch.scan.parts.manifest import Manifest, Part, Row, as_bytes, as_text
from hashmatch.scan.parts.place import open_place
from hashmatch.scan.parts.worker import Job, open_lists
from hashmatch.scan.scan import about
from hashmatch.scan.shard import Shard
from hashmatch.sources._streams import HeldItem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hashmatch.interfaces import Source
    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.images import ImageItem
    from hashmatch.records.safeguards import Waiver
    from hashmatch.scan.events import Observe, Result
    from hashmatch.scan.parts.engine import Engine
    from hashmatch.scan.parts.manifest import Line, PartResults
    from hashmatch.scan.parts.output import PartOutput
    from hashmatch.scan.parts.worker import Answer
    from hashmatch.scan.scan import Results

PART_ITEMS = 5000
"""Items of a part: half a minute of one core with PDQ, and some minutes with variants."""
FEWEST_ITEMS = 100
"""Items of a part at least, where a source that knows how many it has is split among workers."""
PARTS_EACH = 8
"""Parts that there are then for each process, so that the last ones are not waited for long."""
TRIES = 5
"""Tries of a part, after which it is given up."""
MOST_GIVEN_UP = 3
"""Parts given up after which no other is begun: it is not they that are to blame."""
TICK = 0.25
"""Seconds between two looks at what is done, while nothing is."""


@dataclass(frozen=True, slots=True)
class PartOptions:
    """How a scan is shared among workers; its results do not depend on it.

    Parameters
    ----------
    part_items : int, optional
        Items of a part; by default 5,000, or less of a source that knows how few it has.
    decoders : int, optional
        Processes of each worker that decode pictures; by default its share of the processors, or
        as many as a worker of Dask has threads. 0 decodes them in the worker itself, for input that
        is trusted.
    readers : int
        Pictures that each worker reads at once.
    rate : float, optional
        Most bytes a second that each worker reads.

    Raises
    ------
    UsageError
        If a number is out of its range.
    """

    part_items: int | None = None
    decoders: int | None = None
    readers: int = 16
    rate: float | None = None

    def __post_init__(self) -> None:
        in_range("part_items", self.part_items, 1, 1_000_000)
        in_range("decoders", self.decoders, 0, 256)
        in_range("readers", self.readers, 1, 1024)


_DEFAULTS = PartOptions()


class PartedScan:
    """A scan in parts: `results` gives what `hashmatch.scan_source` would give.

    Parameters
    ----------
    source : str
        The location of a source, which all workers can reach.
    arguments : mapping of str to JSON-able
        What `opener` is called with, by name; no secrets.
    surface : Surface or str
        Where the images were published.
    engine : str
        ``local:N``, for N processes of this machine, or ``dask://HOST:PORT``.
    state : str
        A folder that all workers share, or ``s3://BUCKET/FOLDER``, gs and az alike.
    opener : callable
        Opens the lists and returns a `Matcher`: a function that workers can import; by default
        `hashmatch.scan.parts.worker.open_lists`.
    matcher : Matcher, optional
        What `opener` returns, where it was called already.
    options : PartOptions
        How large parts are, and so on.
    shard : tuple of int, optional
        Scan one of so many shards; see `hashmatch.scan.shard.Shard`.
    allow_private : sequence of str
        Hosts and networks that the source may dial though they are not public.
    observe : callable or sequence of callable
        As of `hashmatch.scan_source`.
    output : PartOutput, optional
        Where records are written besides, a file for each part.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scan = PartedScan(
    ...         "fixtures/images/flat",
    ...         {"paths": ["fixtures/lists/demo-pdq.csv"]},
    ...         surface="public_post",
    ...         engine="local:1",
    ...         state=folder,
    ...     )
    ...     [result.outcome.value for result in scan.results()]
    ['low_quality', 'low_quality']
    """

    def __init__(
        self,
        source: str,
        arguments: Mapping[str, Any],
        *,
        surface: Surface | str,
        engine: str,
        state: str,
        opener: Callable[..., Matcher] = open_lists,
        matcher: Matcher | None = None,
        options: PartOptions = _DEFAULTS,
        shard: tuple[int, int] | None = None,
        allow_private: Sequence[str] = (),
        observe: Observe | Sequence[Observe] = (),
        output: PartOutput | None = None,
    ) -> None:
        self._engine = EngineName.parse(engine)
        self._surface = Surface.parse(surface)
        self._location, self._shard, self._allow_private = source, shard, tuple(allow_private)
        self._opener, self._arguments = opener, dict(arguments)
        self._options = options
        self._matcher = matcher or opener(**self._arguments)
        self._place = open_place(state)
        self._state, self._output = state, output
        observers = (observe,) if callable(observe) else tuple(observe)
        self.counters = Counters()
        self.tries = Tries()
        breaker = self._matcher.protection.breaker
        self.monitor = Monitor(observers, self.tries, breaker, self.counters)
        self._ahead: dict[int, Counters] = {}
        """What parts have come to whose turn it is not yet."""
        self._failed: dict[int, str] = {}
        """Parts with items that could not be read, to be tried again, and who did them."""
        self._again: set[int] = set()
        """Those that were tried again."""
        self._sandboxes: list[str] = []
        self._waivers: list[Waiver] = []

    @property
    def sandbox(self) -> str:
        """What closed in the processes that decoded the images."""
        return "; ".join(self._sandboxes)

    def results(self) -> Results:
        """Yield a record for each image that matches, and each that was not searched.

        Those that were searched and match nothing are counted, and not given. EngineError if a part
        fails each time, or workers cannot be used; SourceError if the source cannot be listed;
        CheckpointError if the state cannot be kept.
        """
        with ExitStack() as stack:
            source: Source = registry.open_source(
                self._location, self._surface, allow_private=self._allow_private
            )
            stack.enter_context(closing(source))
            if self._shard is not None:
                source = Shard(source, *self._shard)
            said = about(source, self._matcher, self.tries)
            manifest = Manifest.begin(self._place, said, self._part_items(source))
            if self._place.folder is not None:
                stack.enter_context(_alone(self._place.folder, manifest.name))
            if self._output is not None:
                self._output.begin(manifest)
            self._again = set(manifest.done(again=True))
            for number, found in manifest.totals(manifest.done(), self._again):
                self._take(number, found, number in self._again)
            self.counters.before = self.counters.done
            before = "was finished before" if manifest.ended() else "resumes"
            listing = _Listing(source, manifest, self)
            is_begun = self._ahead or self._failed
            with self.monitor.running(before if is_begun else ""):
                stack.enter_context(closing(listing))
                engine = stack.enter_context(closing(_Engine(self._engine, self._job(manifest))))
                yield from self._run(manifest, listing, engine)
                if listing.parts:
                    own = [waiver for waiver in waivers() if waiver not in self._waivers]
                    if self._output is not None:
                        self._output.end(self.counters)
                    manifest.end(self.counters, [*self._waivers, *own])

    def _part_items(self, source: Source) -> int:
        count = None if self._options.part_items else source.count()
        if count is None or not self._engine.processes:
            return self._options.part_items or PART_ITEMS
        each = -(-count // (PARTS_EACH * self._engine.processes))
        return min(PART_ITEMS, max(FEWEST_ITEMS, each))

    def _job(self, manifest: Manifest) -> Job:
        function = self._opener
        return Job(
            manifest.name, self._state, self._location, self._surface,
            f"{function.__module__}:{function.__qualname__}", self._arguments,
            list(self._allow_private), self._shard, self._options.decoders, self._options.readers,
            self._options.rate, list(allowed()),
        )  # fmt: skip

    def _run(self, manifest: Manifest, listing: _Listing, engine: _Engine) -> Results:
        """Give parts to the engine, and yield what they have come to, until all are done."""
        todo = deque((number, True) for number in self._failed)
        running: set[tuple[int, bool]] = set()
        failures = _Failures()
        merged = 0
        while listing.parts is None or merged < listing.parts:
            todo += [(number, False) for number in listing.taken() if not self._is_known(number)]
            while todo and not failures.is_hopeless and engine.room() > 0:
                number, again = todo.popleft()
                engine.submit(number, again, self._failed.get(number, ""))
                running.add((number, again))
            if merged in self._ahead:
                yield from self._merge(manifest, merged)
                merged += 1
            elif running:
                for answer in engine.wait(TICK):
                    running.discard((answer.part, answer.again))
                    if not answer.error:
                        self._count(manifest, answer.part, answer.again)
                    if answer.part in self._failed and not answer.again:
                        todo.append((answer.part, True))
                    elif answer.part not in self._ahead and failures.add(answer):
                        # At once: where all fail, few of them have to, until that is noticed.
                        todo.appendleft((answer.part, answer.again))
            elif listing.is_over and (not todo or failures.is_hopeless):
                listing.check()
                raise failures.error(listing.parts)
            else:
                listing.wait(TICK)
            self.monitor.progress()

    def _is_known(self, number: int) -> bool:
        return number in self._ahead or number in self._failed

    def _count(self, manifest: Manifest, number: int, again: bool) -> None:
        """Count a part that is done, and what that took."""
        for _, found in manifest.totals([number], {number} if again else ()):
            took = found.counters
            self.tries.add(took.fetched, took.bytes, took.retries)
            self.counters.decoded += took.decoded
            for stage, seconds in took.seconds.items():
                self.counters.seconds[stage] += seconds
            self._take(number, found, again)

    def _take(self, number: int, found: PartResults, again: bool) -> None:
        """Take what a part has come to, unless some of its items are to be tried again."""
        if again:
            self._again.add(number)
        elif found.failed:
            self._failed[number] = found.worker
            return
        self._done(number, found.counters)

    def _done(self, number: int, found: Counters) -> None:
        """Count what a part has come to, before it is its turn."""
        self._ahead[number] = found
        self.counters.merge(found)

    def _merge(self, manifest: Manifest, number: int) -> Results:
        """Yield what a part has come to, after the breaker has counted it."""
        found = manifest.results(number, again=number in self._again)
        if found is None:
            raise CheckpointError(
                f"cannot find the results of part {number} of the scan {manifest.name}: they were "
                "removed. Start a new scan, with another --state"
            )
        self.counters.merge(self._ahead.pop(number), -1)
        self.counters.merge(found.counters)
        if found.sandbox not in self._sandboxes:
            self._sandboxes.append(found.sandbox)
        for waiver in found.waivers:
            if waiver not in self._waivers:
                self._waivers.append(waiver)
                note(waiver)
        for line in found.lines:
            result = self._settled(line)
            self.monitor.ended(result)
            if self._output is not None and isinstance(result, ReviewRecord):
                self._output.write(result)
            yield result
        if self._output is not None:
            self._output.end_part(number)
        self.monitor.batch()

    def _settled(self, line: Line) -> Result:
        """Return a result as the breaker leaves it."""
        record, breaker = line.record, self._matcher.protection.breaker
        if record is None or breaker is None or record.outcome is not Outcome.MATCH:
            return line.result
        by = tripped(breaker, (*record.matches, *line.others))
        if by is None:
            return record
        record = replace(record, status="suppressed", suppressed_by=by)
        self.counters.outcomes[Outcome.MATCH] -= 1
        self.counters.mostly_chrome -= is_marked(record)  # it is counted once more
        self.counters.add(record)
        return record


@dataclass(slots=True)
class _Failures:
    """Parts that failed, and how often."""

    tries: dict[int, int] = field(default_factory=dict)
    given_up: dict[int, str] = field(default_factory=dict)

    def add(self, answer: Answer) -> bool:
        """Count a failure; return whether there is to be another try."""
        if answer.is_unfit:
            raise EngineError(answer.error)
        number = answer.part
        self.tries[number] = self.tries.get(number, 0) + 1
        if self.tries[number] < TRIES:
            return True
        self.given_up[number] = answer.error
        return False

    @property
    def is_hopeless(self) -> bool:
        """Whether it is not a part that is to blame."""
        return len(self.given_up) >= MOST_GIVEN_UP

    def error(self, parts: int | None) -> EngineError:
        """Return what to say of it."""
        number, reason = min(self.given_up.items())
        of = "" if parts is None else f" of {parts}"
        return EngineError(
            f"cannot finish the scan: part {number}{of} failed {TRIES} times, at last because "
            f"{reason.rstrip('.')}. What is done is kept: repair that, and run the same scan again"
        )


class _Engine:
    """An engine that is opened for the first part: a scan that is finished needs none."""

    def __init__(self, name: EngineName, job: Job) -> None:
        self._name, self._job = name, job
        self._opened: Engine | None = None

    def _open(self) -> Engine:
        if self._opened is None:
            self._opened = self._name.open(self._job)
        return self._opened

    def room(self) -> int:
        return self._open().room()

    def submit(self, part: int, again: bool, avoid: str) -> None:
        self._open().submit(part, again, avoid)

    def wait(self, seconds: float) -> list[Answer]:
        return self._open().wait(seconds)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()


class _Listing:
    """Lists a source into parts, in a thread of its own, from where it was listed to before.

    ``parts`` is how many there are, once that is known.
    """

    def __init__(self, source: Source, manifest: Manifest, scan: PartedScan) -> None:
        self._source, self._manifest, self._scan = source, manifest, scan
        self.parts: int | None = None
        self._found: deque[int] = deque()
        self._error: BaseException | None = None
        self._changed, self._is_stopped = threading.Condition(), False
        self._last: bytes | None = None
        self._next = 0
        self._thread: threading.Thread | None = None
        counters = scan.counters
        listed = manifest.listed()
        if listed is not None:
            self.parts = listed["parts"]
            self._found.extend(range(listed["parts"]))
            counters.listed, counters.passed_over = listed["items"], listed["passed_over"]
            return
        while (part := manifest.part(self._next)) is not None:
            self._add(part)
        self._resumes = self._next > 0
        self._thread = threading.Thread(target=self._list, name="hashmatch-list", daemon=True)
        self._thread.start()

    def _add(self, part: Part) -> None:
        """Count a part that is written."""
        self._last = part.last
        with self._changed:
            self._found.append(self._next)
            self._next += 1
            self._scan.counters.listed += part.count
            self._changed.notify()

    @property
    def is_over(self) -> bool:
        """Whether no other part will come."""
        return self.parts is not None or self._error is not None

    def taken(self) -> list[int]:
        """Return the parts that were found since this was last asked."""
        with self._changed:
            found = list(self._found)
            self._found.clear()
        return found

    def wait(self, seconds: float) -> None:
        """Wait until there is something new, at most so long."""
        with self._changed:
            if not self._found and not self.is_over:
                self._changed.wait(seconds)

    def check(self) -> None:
        """Raise what ended the listing."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End the listing."""
        self._is_stopped = True
        self._scan.tries.stop()
        if self._thread is not None:
            self._thread.join()

    def _list(self) -> None:
        try:
            while not self._is_listed():
                pass  # another has written the part before us: its successor is listed next
        except BaseException as error:  # raised when all that was listed before is done
            self._error = error
        with self._changed:
            self._changed.notify()

    def _is_listed(self) -> bool:
        """List what comes after the last part; return False if another has listed it, too."""
        after, size = self._last, self._manifest.part_items
        place = None if after is None else as_text(after)
        batch: list[ImageItem] = []
        for item in self._items(place):
            batch.append(item)
            if len(batch) == size:
                if not self._written(batch):
                    return False
                batch = []
        if self._is_stopped or (batch and not self._written(batch)):
            return self._is_stopped
        passed = passed_over(self._source)
        if self._resumes and passed:  # of what is behind that place, perhaps
            for _ in self._items(None):
                pass
            passed = passed_over(self._source)
        self._scan.counters.passed_over = passed
        if self._next:
            self._manifest.end_listing(self._next, self._scan.counters.listed, passed)
        self.parts = self._next
        return True

    def _items(self, after: str | None) -> Iterator[ImageItem]:
        scan = self._scan
        listed = list_items(self._source, after, tries=scan.tries, on_retry=scan.monitor.retried)
        for item in listed:
            if self._is_stopped:
                return
            yield item

    def _written(self, batch: list[ImageItem]) -> bool:
        """Write a part, or take that of another; return whether it is ours."""
        rows = None if any(map(_stays, batch)) else list(map(Row.of, batch))
        last = as_bytes(batch[-1].position)
        part = Part(self._last, last, len(batch), rows)
        is_ours = self._manifest.add_part(self._next, part)
        if not is_ours:
            found = self._manifest.part(self._next)
            if found is None:
                raise CheckpointError(
                    f"cannot list the scan {self._manifest.name}: another has ended it meanwhile. "
                    "Run the same scan again"
                )
            part = found
        self._add(part)
        return is_ours


def _stays(item: ImageItem) -> bool:
    """Return whether an item is not written down: its content comes with it, or a secret may."""
    return isinstance(item, HeldItem) or "?" in item.location.partition("://")[2]


@contextmanager
def _alone(folder: str, name: str) -> Iterator[None]:
    """Hold the lock of a scan: two of it would list, and do, everything twice."""
    busy = f"cannot use {folder}: another scan uses it. Wait for it, or give another folder"
    try:
        os.makedirs(os.path.join(folder, name), mode=0o700, exist_ok=True)
        with locked(os.path.join(folder, name, "lock"), busy):
            yield
    except StoreError as error:
        raise CheckpointError(str(error)) from None
