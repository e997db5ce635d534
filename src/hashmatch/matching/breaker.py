"""Breaker: one entry of a list cannot flood the people who review its matches."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from hashmatch.errors import UsageError
from hashmatch.records.times import timestamp
from hashmatch.records.typed import converted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hashmatch.records.review import RecordMatch

SCHEMA: Final = "hashmatch.matching.breaker/1"
_Key: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Trip:
    """The alarm about one entry: it has had as many records as are let through.

    Parameters
    ----------
    list, list_version : str
        Of the match that was the last one let through.
    algorithm : str
        Of the entry.
    entry : str
        Its external id, else its keyed reference.
    records : int
        Pending records that it has had.
    tripped_at : str
        UTC, ISO 8601 to the second.
    """

    list: str
    list_version: str
    algorithm: str
    entry: str
    records: int
    tripped_at: str


@dataclass(slots=True)
class _Count:
    """What is known of one entry: of the window that began at `since`."""

    since: float
    records: int = 0
    tripped: bool = False
    list_version: str = ""
    tripped_at: str = ""


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    """One entry of an exported state."""

    list: str
    algorithm: str
    entry: str
    since: float
    records: int
    tripped: bool
    list_version: str = ""
    tripped_at: str = ""


class _State(msgspec.Struct, forbid_unknown_fields=True):
    """An exported state."""

    schema: str
    entries: tuple[_Saved, ...]


class Breaker:
    """Counts the pending records of each entry, and trips at a limit. Safe to use from threads.

    An entry that has had `limit` pending records within a window is *tripped*: a record whose
    matches are all with tripped entries is suppressed from then on, and no other. It stays so
    until somebody calls `reset`: an entry that matches a hundred different pictures in a day is
    either wrong or an event, and both want a person. Were it to start over each day, a wrong one
    would bring a hundred pictures a day for ever.

    Entries are distinguished by the name of their list, whatever its version, the algorithm, and
    their external id or reference. References of a list without a key change with it, see
    `HashList.own_key`: counts continue across its versions if the matcher has a ``reference_key``.

    Parameters
    ----------
    limit : int
        Pending records that an entry may have in a window, at least 1.
    window : timedelta, optional
        How long records are counted together, from the first on; by default a day, so that an entry
        which is right once a day never trips. None counts all of them, as of one scan.
    on_trip : callable, optional
        Called with each `Trip`, once, in the thread that matched; it must not raise.
    now : callable, optional
        Tells the time; for tests.

    Raises
    ------
    UsageError
        If the limit or the window is not positive.

    Examples
    --------
    >>> import hashmatch as hm
    >>> known = hm.read_list("fixtures/lists/demo-pdq.csv")
    >>> trips = []
    >>> matcher = hm.Matcher(known, breaker=Breaker(limit=2, on_trip=trips.append))
    >>> picture = "fixtures/images/plain/landscape-dusk.jpg"
    >>> for user in ("user/1", "user/2", "user/3"):
    ...     print(matcher.check(picture, surface="profile_photo", item_id=user).status)
    pending_review
    pending_review
    suppressed
    >>> len(trips) > 0, trips[0].records
    (True, 2)
    """

    def __init__(
        self,
        limit: int = 100,
        *,
        window: timedelta | None = timedelta(days=1),
        on_trip: Callable[[Trip], object] | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        if not isinstance(limit, int) or limit < 1:
            raise UsageError(
                f"cannot use {limit!r} as a breaker's limit. Give a whole number from 1"
            )
        if window is not None and window <= timedelta(0):
            raise UsageError("cannot use a breaker's window of no time. Give a longer one")
        self.limit = limit
        self.window = window
        self._on_trip = on_trip
        self._now = now or (lambda: datetime.now(UTC))
        self._counts: dict[_Key, _Count] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Breaker limit={self.limit}, tripped={len(self.tripped)}>"

    def lets_through(self, matches: Iterable[RecordMatch]) -> bool:
        """Count a record that is about to be pending, unless all that it matches is tripped.

        Parameters
        ----------
        matches : iterable of RecordMatch
            All that the record matches, not only what it names.

        Returns
        -------
        bool
            Whether it may be pending. False counts nothing.
        """
        now = self._now()
        seconds = now.timestamp()
        of = {(match.list, match.algorithm, match.entry): match for match in matches}
        trips = []
        with self._lock:
            untripped = {key: self._current(key, seconds) for key in of}
            untripped = {key: count for key, count in untripped.items() if not count.tripped}
            for key, count in untripped.items():
                count.records += 1
                self._counts[key] = count
                if count.records >= self.limit:
                    trip = _trip(of[key], count.records, now)
                    count.tripped = True
                    count.list_version, count.tripped_at = trip.list_version, trip.tripped_at
                    trips.append(trip)
        for trip in trips:  # outside of the lock: whoever is told may ask the breaker something
            if self._on_trip is not None:
                self._on_trip(trip)
        return bool(untripped)

    @property
    def tripped(self) -> tuple[tuple[str, str, str], ...]:
        """The entries that are, as (list, algorithm, entry), in the order of their names."""
        with self._lock:
            return tuple(sorted(key for key, count in self._counts.items() if count.tripped))

    @property
    def trips(self) -> tuple[Trip, ...]:
        """The alarms about the entries that are tripped, also those from before `restore`."""
        with self._lock:
            return tuple(
                Trip(name, count.list_version, algorithm, entry, count.records, count.tripped_at)
                for (name, algorithm, entry), count in sorted(
                    self._counts.items(), key=lambda item: item[0]
                )
                if count.tripped
            )

    def reset(self, list: str | None = None, entry: str | None = None) -> int:
        """Let entries through again, counted from nothing, once a person has looked at them.

        Parameters
        ----------
        list : str, optional
            The name of their list; by default of any.
        entry : str, optional
            The one entry; by default all.

        Returns
        -------
        int
            How many of them were tripped.
        """
        with self._lock:
            asked = [
                key for key in self._counts if list in {None, key[0]} and entry in {None, key[2]}
            ]
            return sum(self._counts.pop(key).tripped for key in asked)

    def to_json(self) -> dict[str, Any]:
        """Return all counts as plain data: what `restore` takes in another process, later."""
        with self._lock:
            now = self._now().timestamp()
            entries = [
                dict(zip(("list", "algorithm", "entry"), key, strict=True)) | asdict(count)
                for key, count in sorted(self._counts.items(), key=lambda item: item[0])
                if count.tripped or not self._is_over(count, now)
            ]
        return {"schema": SCHEMA, "entries": entries}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `to_json` gave, instead of the counts so far, without new alarms.

        Parameters
        ----------
        state : mapping
            As `to_json` gives it.

        Raises
        ------
        UsageError
            If it is something else.
        """
        try:
            saved = converted(dict(state), _State)
        except (msgspec.MsgspecError, TypeError, ValueError) as error:
            raise UsageError(f"cannot read the state of a breaker: {error}") from None
        if saved.schema != SCHEMA:
            raise UsageError(f"cannot read the state of a breaker: its schema is not {SCHEMA}")
        with self._lock:
            self._counts = {
                (one.list, one.algorithm, one.entry): _Count(
                    one.since, one.records, one.tripped, one.list_version, one.tripped_at
                )
                for one in saved.entries
            }

    def _current(self, key: _Key, now: float) -> _Count:
        """Return the count that a record adds to: a new one if its window is over."""
        count = self._counts.get(key)
        if count is None or (not count.tripped and self._is_over(count, now)):
            return _Count(now)
        return count

    def _is_over(self, count: _Count, now: float) -> bool:
        return self.window is not None and now - count.since >= self.window.total_seconds()


class DeferredBreaker(Breaker):
    """Lets everything through, and keeps what it was asked about, for another breaker to count.

    A breaker counts in the order of a scan. Where parts of one are scanned at the same time, one
    like this stands in for it in each, and `hashmatch.matching.suppression.tripped` is asked about
    the records when they are in order.
    """

    def __init__(self, limit: int, window: timedelta | None) -> None:
        super().__init__(limit, window=window)
        self._asked = threading.local()

    def lets_through(self, matches: Iterable[RecordMatch]) -> bool:
        """Keep the matches, as those of this thread; True.

        Parameters
        ----------
        matches : iterable of RecordMatch
            All that the record matches.
        """
        self._asked.matches = tuple(matches)
        return True

    @property
    def asked(self) -> tuple[RecordMatch, ...]:
        """What it was last asked about by this thread."""
        return getattr(self._asked, "matches", ())


def _trip(match: RecordMatch, records: int, now: datetime) -> Trip:
    at = timestamp(now)
    return Trip(match.list, match.list_version, match.algorithm, match.entry, records, at)
