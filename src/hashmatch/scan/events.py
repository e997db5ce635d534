"""Events and counters of a running scan, without anything secret."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from hashmatch.errors import HashmatchError
from hashmatch.records.enums import SEARCHED, Outcome
from hashmatch.records.images import ItemOutcome
from hashmatch.records.review import REASONS, ReviewRecord, SuppressedBy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hashmatch.decode.inputs import ImageInput
    from hashmatch.decode.policy import Picture
    from hashmatch.hashing.hash_image import Decode
    from hashmatch.matching.breaker import Breaker, Trip
    from hashmatch.retry import Tries

Kind: TypeAlias = Literal["begin", "batch", "progress", "problem", "retry", "alarm", "end", "stop"]
Observe: TypeAlias = "Callable[[Event], object]"
Result: TypeAlias = ReviewRecord | ItemOutcome
Item = TypeVar("Item")

OFTEN = 0.25
"""Seconds between two events of progress, at least."""
STAGES = "list", "read", "decode", "hash", "search", "write"


@dataclass(slots=True)
class Counters:
    """How far a scan has come. What was done before it went on counts in the outcomes only.

    Parameters
    ----------
    listed : int
        Items listed that were not accounted for, with those that were.
    before : int
        How many of them earlier runs of the scan have accounted for.
    outcomes : dict of str to int
        How many ended in each outcome. Those of a checkpoint are counted once they are on the disk.
    suppressed_by : dict of str to int
        How many records each rule suppressed; see `hashmatch.matching.suppression`.
    mostly_chrome : int
        How many records are marked as mostly chrome, suppressed or not; see
        `hashmatch.matching.chrome`.
    fetched, bytes, retries : int
        Items read, their bytes, and tries of reading or listing that were not the first.
    decoded : int
        Items given to the decoder. One that takes a worker with it is given once all the same.
    alarms : int
        Entries that the breaker has tripped for.
    passed_over : dict of str to int
        What the source has passed over in this listing, which is no item: folders, say.
    reading, waiting, queued : int
        Items that are being read, that wait for another try, and that wait to be decoded, now.
    shadow : dict of str to int
        What a shadow limit would bring into review, see `hashmatch.scan.shadow.shadow_rows`.
    seconds : dict of str to float
        Time in each of `STAGES`, of all threads together: listing, reading, decoding (with waiting
        for a worker), hashing (with what asks for variants), searching, writing the checkpoint.
    """

    listed: int = 0
    before: int = 0
    outcomes: dict[str, int] = field(
        default_factory=lambda: {o.value: 0 for o in Outcome if o is not Outcome.HASHED}
    )
    suppressed_by: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    mostly_chrome: int = 0
    fetched: int = 0
    bytes: int = 0
    retries: int = 0
    decoded: int = 0
    alarms: int = 0
    passed_over: dict[str, int] = field(default_factory=dict)
    reading: int = 0
    waiting: int = 0
    queued: int = 0
    shadow: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    def copy(self) -> Counters:
        """Return them as they are now."""
        outcomes, suppressed_by, seconds = self.outcomes, self.suppressed_by, self.seconds
        return replace(
            self,
            outcomes=dict(outcomes),
            suppressed_by=dict(suppressed_by),
            passed_over=dict(self.passed_over),
            shadow=dict(self.shadow),
            seconds=dict(seconds),
        )

    def add(self, result: Result) -> None:
        """Count what became of an item.

        Parameters
        ----------
        result : ReviewRecord or ItemOutcome
            As `scan_source` gives it.
        """
        self.outcomes[result.outcome] += 1
        if isinstance(result, ReviewRecord) and isinstance(result.suppressed_by, SuppressedBy):
            self.suppressed_by[result.suppressed_by.reason] += 1
        self.mostly_chrome += is_marked(result)

    def add_shadow(self, places: Iterable[str]) -> None:
        """Count what a shadow limit would bring into review.

        Parameters
        ----------
        places : iterable of str
            What `hashmatch.scan.shadow.Shadow.look_up` has returned, one for each picture.
        """
        for place in places:
            self.shadow[place] = self.shadow.get(place, 0) + 1

    def merge(self, other: Counters, sign: int = 1) -> None:
        """Count what another has counted of outcomes, in some other part of the items.

        Parameters
        ----------
        other : Counters
            Its outcomes, and what was suppressed, are added.
        sign : int
            -1 takes them away.
        """
        for name, count in other.outcomes.items():
            self.outcomes[name] += sign * count
        for name, count in other.suppressed_by.items():
            self.suppressed_by[name] += sign * count
        self.mostly_chrome += sign * other.mostly_chrome

    @property
    def records(self) -> int:
        """Records that wait for a person."""
        return self.outcomes[Outcome.MATCH]

    @property
    def suppressed(self) -> int:
        """Records that wait for nobody."""
        return self.outcomes[Outcome.SUPPRESSED]

    @property
    def done(self) -> int:
        """Items that have ended in an outcome."""
        return sum(self.outcomes.values())

    @property
    def not_searched(self) -> int:
        """Items that ended without having been looked up."""
        return sum(n for outcome, n in self.outcomes.items() if outcome not in SEARCHED)


def is_marked(result: Result | None) -> bool:
    """Return whether a result is a record that is marked as mostly chrome."""
    return isinstance(result, ReviewRecord) and result.mostly_chrome is True


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a scan reports to its observers. It holds no hash, no key, no list entry.

    Parameters
    ----------
    kind : str
        ``begin``; ``batch``, some items are done, and with a checkpoint on the disk; ``progress``,
        a fraction of a second has passed; ``problem``, an item was not searched; ``retry``, an item
        could not be read, or the source listed, and will be tried again; ``alarm``, an entry of a
        list has had as many records as are let through; ``end``; ``stop``, for `reason`, before
        the end.
    counters : Counters
        At that moment.
    item, outcome, reason : str
        Of a problem or retry: which, what became of it, and why. A retry of no item is one of the
        listing. A beginning has a reason if some of it was done before.
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


class _Timer:
    """A block whose time is counted; there are several for each item."""

    __slots__ = ("_began", "_instead_of", "_monitor", "_stage")

    def __init__(self, monitor: Monitor, stage: str, instead_of: str | None) -> None:
        self._monitor, self._stage, self._instead_of = monitor, stage, instead_of

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        took = time.monotonic() - self._began
        self._monitor.add_seconds(took, self._stage, self._instead_of)


class Monitor:
    """Tells what one scan does, always in the thread that iterates it.

    Each observer is called with every `Event`; what one raises ends the scan. `tries` counts what
    is read, `counters` everything else.
    """

    def __init__(
        self,
        observers: Sequence[Observe],
        tries: Tries,
        breaker: Breaker | None,
        counters: Counters,
    ) -> None:
        self.counters = counters
        self._observers, self._tries, self._breaker = observers, tries, breaker
        self._lock = threading.Lock()
        self._retries: deque[tuple[str, str]] = deque()
        self._alarms: tuple[Trip, ...] = ()
        self._progress_at = 0.0

    @contextmanager
    def running(self, before: str = "") -> Iterator[None]:
        """Report the beginning and the end; `before` is what it says if it is no new scan."""
        self._alarms = self._trips()
        self._tell("begin", reason=before)
        try:
            yield
        except BaseException as error:
            self._tell_pending()
            # Only what hashmatch says itself is known to hold no secret.
            known = isinstance(error, HashmatchError)
            self._tell("stop", reason=str(error) if known else type(error).__name__)
            raise
        self._tell_pending()
        self._tell("end")

    def retried(self, item: str, reason: str) -> None:
        """Take down, in any thread, that something will be tried again."""
        if self._observers:
            self._retries.append((_shown(item), reason))

    def ended(self, result: Result) -> None:
        """Report an item that was not searched."""
        if isinstance(result, ItemOutcome) and result.reason:
            self._tell(
                "problem",
                item=_shown(result.key),
                outcome=result.outcome.value,
                reason=result.reason,
            )

    def batch(self) -> None:
        """Tell that a batch is done."""
        self._tell_pending()
        self._tell("batch")

    def progress(self) -> None:
        """Report progress, if that was not done just now."""
        if self._observers and time.monotonic() - self._progress_at >= OFTEN:
            self._tell_pending()
            self._tell("progress")

    def timed_decode(self, decode: Decode) -> Decode:
        """Return `decode` as it is, but for its time being counted."""

        def timed(image: ImageInput, frames: bool) -> Iterator[Picture]:
            with self._lock:
                self.counters.decoded += 1
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

    def timed(self, stage: str, instead_of: str | None = None) -> _Timer:
        """Count the time of a block for `stage`, and not for the stage that it is a part of."""
        return _Timer(self, stage, instead_of)

    def add_seconds(self, seconds: float, stage: str, instead_of: str | None) -> None:
        """Count time for `stage`, in any thread."""
        with self._lock:
            self.counters.seconds[stage] += seconds
            if instead_of is not None:
                self.counters.seconds[instead_of] -= seconds

    def _trips(self) -> tuple[Trip, ...]:
        return () if self._breaker is None else self._breaker.trips

    def _tell_pending(self) -> None:
        """Report what was noted in other threads, and new alarms."""
        while self._retries:
            item, reason = self._retries.popleft()
            self._tell("retry", item=item, reason=reason)
        known, self._alarms = set(self._alarms), self._trips()
        for trip in self._alarms:
            if trip not in known:
                self._tell(
                    "alarm", list=trip.list, list_version=trip.list_version,
                    algorithm=trip.algorithm,
                )  # fmt: skip

    def _tell(self, kind: Kind, **fields: str) -> None:
        if not self._observers:
            return
        if kind in {"batch", "progress"}:
            self._progress_at = time.monotonic()
        counters = self.counters.copy()
        counters.fetched, counters.bytes = self._tries.successes, self._tries.received
        counters.retries, counters.alarms = self._tries.retries, len(self._alarms)
        for observe in self._observers:
            observe(Event(kind, counters, **fields))


def tap(items: Iterable[Item], *observers: Callable[[Item], object] | None) -> Iterator[Item]:
    """Yield each of `items` after passing it to every observer."""
    for item in items:
        for observe in observers:
            if observe is not None:
                observe(item)
        yield item


def _shown(key: str) -> str:
    """Return a key without what follows the ``?`` of a URL: there are the signatures."""
    return key.partition("?")[0] if "://" in key else key
