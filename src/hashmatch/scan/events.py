"""What a scan is doing, told while it does it: events with counters, and nothing secret in them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from hashmatch.errors import HashmatchError
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ItemOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hashmatch.decode.inputs import ImageInput
    from hashmatch.decode.policy import Picture
    from hashmatch.hashing.hash_image import Decode
    from hashmatch.matching.breaker import Breaker, Trip
    from hashmatch.records.images import ImageItem
    from hashmatch.retry import Tries
    from hashmatch.scan.checkpoint import Result
    from hashmatch.scan.pipeline import Pipeline

Kind: TypeAlias = Literal["begin", "batch", "progress", "problem", "retry", "alarm", "end", "stop"]
Observe: TypeAlias = "Callable[[Event], object]"

OFTEN = 0.25
"""Seconds between two events of progress, at least."""
STAGES = "list", "read", "decode", "hash", "search", "write"


@dataclass(frozen=True, slots=True)
class Counters:
    """How far a scan has come. What was done before it went on counts in the first line only.

    Parameters
    ----------
    listed, outcomes, records, suppressed : int, dict of str to int, int, int
        Items listed, how many ended in each outcome, and records that wait for a person and that do
        not. Those of a state are counted once they are on the disk.
    fetched, bytes, retries : int
        Items read, their bytes, and tries that were not the first.
    decoded : int
        Items given to the decoder. One that takes a worker with it is given once all the same.
    alarms : int
        Entries that the breaker has tripped for.
    reading, waiting, queued : int
        Items that are being read, that wait for another try, and that wait to be decoded, now.
    seconds : dict of str to float
        Time in each of `STAGES`, of all threads together: listing, reading, decoding (with waiting
        for a worker), hashing (with what asks for variants), searching, writing the state.
    """

    listed: int
    outcomes: dict[str, int]
    records: int
    suppressed: int
    fetched: int
    bytes: int
    retries: int
    decoded: int
    alarms: int
    reading: int
    waiting: int
    queued: int
    seconds: dict[str, float]

    @property
    def done(self) -> int:
        """Items that have ended in an outcome."""
        return sum(self.outcomes.values())


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a scan tells whoever observes it. It holds no hash, no key, no list entry.

    Parameters
    ----------
    kind : str
        ``begin``; ``batch``, some items are done, and with a state on the disk; ``progress``, a
        fraction of a second has passed; ``problem``, an item was not searched; ``retry``, an item
        could not be read, or the source listed, and will be tried again; ``alarm``, an entry of a
        list has had as many records as are let through; ``end``; ``stop``, for `reason`, before
        the end.
    counters : Counters
        At that moment.
    item, outcome, reason : str
        Of a problem or retry: which, what became of it, and why. A retry of no item is one of the
        listing.
    list, list_version, algorithm : str
        Of an alarm: where the entry is; the report of the scan names it.
    """

    kind: Kind
    counters: Counters
    item: str = ""
    outcome: str = ""
    reason: str = ""
    list: str = ""
    list_version: str = ""
    algorithm: str = ""


@dataclass(eq=False)
class Watch:
    """Counts what one scan does, and tells `observe`, always in the thread that iterates it.

    Parameters
    ----------
    observe : callable or None
        Told of each `Event`; what it raises ends the scan.
    tries : Tries
        Of the scan.
    breaker : Breaker or None
        Of the matcher.
    listed, outcomes : int, mapping of Outcome to int
        What was done before, in a scan that goes on.
    """

    observe: Observe | None
    tries: Tries
    breaker: Breaker | None = None
    listed: int = 0
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    flow: Pipeline[Any] | None = None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._decoded = 0
        counts = {o.value: 0 for o in Outcome if o is not Outcome.HASHED}
        self._outcomes = counts | {o.value: count for o, count in self.outcomes.items()}
        self._retries: deque[tuple[str, str]] = deque()
        self._alarms: tuple[Trip, ...] = ()
        self._told = 0.0

    def __enter__(self) -> Watch:
        self._alarms = self.breaker.trips if self.breaker is not None else ()
        self._tell("begin")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._pending()
        if kind is None:
            self._tell("end")
        else:
            # Only what hashmatch says itself is known to hold no secret.
            reason = str(error) if isinstance(error, HashmatchError) else kind.__name__
            self._tell("stop", reason=reason)

    @property
    def counters(self) -> Counters:
        """All of them, now."""
        flow, tries, counts = self.flow, self.tries, dict(self._outcomes)
        with self._lock:
            seconds = dict(self._seconds)
        return Counters(
            self.listed,
            counts,
            counts[Outcome.MATCH],
            counts[Outcome.SUPPRESSED],
            tries.successes,
            tries.received,
            tries.retries,
            self._decoded,
            len(self._alarms),
            *((0, 0, 0) if flow is None else (flow.reading, flow.waiting, flow.queued)),
            seconds=seconds if flow is None else seconds | flow.seconds,
        )

    def listed_one(self, item: ImageItem) -> None:
        """Count an item that is listed, in the thread that lists."""
        self.listed += 1

    def retried(self, item: str, reason: str) -> None:
        """Take down, in any thread, that an item will be tried again."""
        if self.observe is not None:
            self._retries.append((_shown(item), reason))

    def ended(self, result: Result) -> None:
        """Count what became of an item, and tell of it if it was not searched."""
        self._outcomes[result.outcome] += 1
        if isinstance(result, ItemOutcome) and result.reason and self.observe is not None:
            self._tell(
                "problem",
                item=_shown(result.key),
                outcome=result.outcome.value,
                reason=result.reason,
            )

    def batch(self) -> None:
        """Tell that a batch is done."""
        self._pending()
        self._tell("batch")

    def progress(self) -> None:
        """Tell how it goes, if that was not told just now."""
        if self.observe is not None and time.monotonic() - self._told >= OFTEN:
            self._pending()
            self._tell("progress")

    def timed_decode(self, decode: Decode) -> Decode:
        """Return `decode` as it is, but for its time being counted."""

        def timed(image: ImageInput, frames: bool) -> Iterator[Picture]:
            with self._lock:
                self._decoded += 1
            pictures = decode(image, frames)
            try:
                while True:
                    with self.timed("decode", "hash"):
                        picture = next(pictures, None)
                    if picture is None:
                        return
                    yield picture
                    del picture  # its pixels may be a view of what the next is put into
            finally:
                if isinstance(pictures, Generator):
                    pictures.close()

        return timed

    @contextmanager
    def timed(self, stage: str, instead_of: str | None = None) -> Iterator[None]:
        """Count the time of a block for `stage`, and not for the stage that it is a part of."""
        began = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - began
            with self._lock:
                self._seconds[stage] += took
                if instead_of is not None:
                    self._seconds[instead_of] -= took

    def _pending(self) -> None:
        """Tell of what was taken down in other threads, and of new alarms."""
        while self._retries:
            item, reason = self._retries.popleft()
            self._tell("retry", item=item, reason=reason)
        trips = self.breaker.trips if self.breaker is not None else ()
        known, self._alarms = set(self._alarms), trips
        for trip in trips:
            if trip not in known:
                self._tell(
                    "alarm", list=trip.list, list_version=trip.list_version,
                    algorithm=trip.algorithm,
                )  # fmt: skip

    def _tell(self, kind: Kind, **fields: str) -> None:
        if self.observe is not None:
            if kind in {"batch", "progress"}:
                self._told = time.monotonic()
            self.observe(Event(kind, self.counters, **fields))


def _shown(key: str) -> str:
    """Return a key without what follows the ``?`` of a URL: there are the signatures."""
    return key.partition("?")[0] if "://" in key else key
