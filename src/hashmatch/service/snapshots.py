"""The lists that the service answers with: opened, replaced when they change, named in answers."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

from hashmatch import registry
from hashmatch._files.private import stamp
from hashmatch._redact import unseen
from hashmatch.errors import HashmatchError, ListError, UsageError
from hashmatch.lists.exclusions import numbers_disabled, read_disabled
from hashmatch.matching.identity import snapshot_name
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.records.times import timestamp
from hashmatch.records.video_columns import VIDEO_SPEC
from hashmatch.service.banks import names_of
from hashmatch.service.http import Prepared, as_json
from hashmatch.store.watch import watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hashmatch.lists.exclusions import Disabled
    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.hashes import HashSpec
    from hashmatch.service.banks import Banks
    from hashmatch.service.http import Response
    from hashmatch.store.list_store import ListStore

LOG = logging.getLogger("hashmatch.service")
LOG.addHandler(logging.NullHandler())

REMEMBERED = 1000
"""Snapshots whose names are known after they were replaced."""


@dataclass(frozen=True, eq=False)
class Snapshot(Opaque):
    """Lists of certain versions, ready to be matched with.

    Parameters
    ----------
    name : str
        Of its lists, each with its version, ``demo@17``, and of the banks, ``banks@42``. Of lists
        that entries were left out of, it says how many and, by a digest, which. Equal names, equal
        answers.
    matcher : Matcher
        Of those lists.
    since : str
        When it was put in use, UTC.
    off : Matcher, optional
        Of what is switched off: disabled entries of lists, banks of ratio 0, and disabled contents
        of banks.
    bank_of : mapping of str to str
        The bank's name of each list.
    ratios, type_ratios : mapping of str to float
        The share of hashes that is answered of each bank, and of each algorithm; where it is not
        named, all are.
    """

    name: str
    matcher: Matcher
    since: str
    off: Matcher | None = None
    bank_of: Mapping[str, str] = field(default_factory=dict)
    ratios: Mapping[str, float] = field(default_factory=dict)
    type_ratios: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def specs(self) -> dict[str, HashSpec]:
        """The kinds of hash that can be looked up, by algorithm."""
        return {known.spec.algorithm: known.spec for known in self.matcher.lists}

    @cached_property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The header that says its name."""
        return ((b"x-snapshot", self.name.encode("unicode_escape")),)

    @cached_property
    def nothing(self) -> Response:
        """What is answered by HMA's paths where nothing was found: made once, for it is usual."""
        return Prepared(as_json({}, headers=self.headers))

    def ratio(self, list_name: str, algorithm: str) -> float:
        """Return the share of hashes of an algorithm that a list answers."""
        of_bank = self.ratios.get(self.bank_of[list_name], 1.0)
        return min(of_bank, self.type_ratios.get(algorithm, 1.0))


class _Followed(NamedTuple):
    """A store that is served as long as its exchange is there."""

    path: str
    number: int
    stop: threading.Event


class Snapshots:
    """The snapshot in use, and the threads that make the next one when a list changes.

    Parameters
    ----------
    make : callable
        Makes a matcher of some lists.
    fixed : sequence of HashList
        Lists that do not change while the service runs.
    stores : sequence of (ListStore, algorithm or None)
        Stores that are watched, and which hashes of each are used; None for all.
    disabled : path, optional
        A file of entries that are left out, see `hashmatch.lists.exclusions`; watched too.
    banks : Banks, optional
        Banks that are filled over HTTP, and which lists are switched off.
    reference_key : bytes, optional
        The deployment's key of references.
    exchanges : callable, optional
        Returns the stores that are served besides, by their path, as they come and go; asked
        about every second.
    interval : float
        Seconds between two looks at stores and files.

    Attributes
    ----------
    make : callable
        As it was given.
    names : deque of (str, str)
        The last snapshots, each with when it came into use, the latest last.
    changed : callable
        Called with each snapshot that comes into use; does nothing at first.

    Examples
    --------
    >>> import hashmatch as hm
    >>> known = hm.read_list("fixtures/lists/demo-pdq.csv")
    >>> snapshots = Snapshots(lambda lists: hm.Matcher(*lists), fixed=[known])
    >>> snapshots.open()
    >>> snapshots.current.name.partition("@")[0]
    'demo-pdq'
    """

    def __init__(
        self,
        make: Callable[[Sequence[HashList]], Matcher],
        *,
        fixed: Sequence[HashList] = (),
        stores: Sequence[tuple[ListStore, str | None]] = (),
        disabled: str | os.PathLike[str] | None = None,
        banks: Banks | None = None,
        reference_key: bytes | None = None,
        exchanges: Callable[[], Mapping[str, ListStore]] | None = None,
        interval: float = 5.0,
    ) -> None:
        if not fixed and not stores and banks is None:
            raise UsageError("cannot serve without a list. Give --list or --data.")
        self.banks = banks
        self.make, self._key = make, reference_key
        self.changed: Callable[[Snapshot], object] = lambda snapshot: None
        self._lists: dict[int, Sequence[HashList]] = {-1: fixed} if fixed else {}
        self._stores = list(stores)
        # Without these nothing is answered; not known before exchanges were looked at once.
        self._awaited = set(range(len(self._stores))) if exchanges is None else None
        self._disabled = None if disabled is None else os.fspath(disabled)
        self._left_out: tuple[Disabled, ...] = ()
        self._interval = interval
        self._exchanges = exchanges
        self._followed: dict[str, _Followed] = {}
        self._following = threading.Lock()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._count = 0
        self._problems: dict[str, str] = {}
        self._threads: list[threading.Thread] = []
        self.swaps = 0
        self.names: deque[tuple[str, str]] = deque(maxlen=REMEMBERED)
        self.current: Snapshot | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """What keeps newer versions from being used, a line for each list; empty if all is well."""
        return tuple(self._problems.values())

    def open(self) -> None:
        """Read the file of disabled entries, and put the lists in use that are in no store.

        Raises
        ------
        HashmatchError
            If the file cannot be read, or there is no matcher of the lists.
        """
        if self._disabled is not None:
            self._left_out = read_disabled(self._disabled)
        if not self._stores:
            with self._lock:
                self._swap()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Open stores, and look for changes of them and of the file, in threads of their own."""
        for number, (store, algorithm) in enumerate(self._stores):
            self._begin(partial(self._watch, number, store, algorithm, self._stop))
        if self._exchanges is not None:
            self.follow()
            self._begin(self._keep_following)
        if self._disabled is not None:
            self._begin(partial(self._watch_disabled, self._disabled))
        try:
            yield
        finally:
            self._stop.set()
            with self._following:
                for each in self._followed.values():
                    each.stop.set()
            for thread in self._threads:
                thread.join()

    def fresh(self) -> Snapshot | None:
        """Return the snapshot in use, with all that was committed to banks; None if there is none.

        It takes microseconds unless a bank has changed.
        """
        if self.banks is not None and self.banks.has_changed():
            self.follow()  # a bank may be gone because its exchange is
            with self._lock:
                if self.banks.has_changed():
                    self._swap()
        return self.current

    def _begin(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="hashmatch-lists", daemon=True)
        self._threads.append(thread)
        thread.start()

    def follow(self) -> None:
        """Watch stores that have come, and let go of those that are gone."""
        if self._exchanges is None or self._stop.is_set():
            return
        with self._following:
            try:
                there = self._exchanges()
            except HashmatchError as error:
                self._problems["exchanges"] = _said(error)
                return
            self._problems.pop("exchanges", None)
            gone = [self._followed.pop(path) for path in self._followed.keys() - there.keys()]
            for each in gone:
                each.stop.set()
                self._problems.pop(each.path, None)
            for path in there.keys() - self._followed.keys():
                self._count += 1
                number = len(self._stores) + self._count
                new = self._followed[path] = _Followed(path, number, threading.Event())
                self._begin(partial(self._watch, number, there[path], None, new.stop))
            followed = {each.number for each in self._followed.values()}
        with self._lock:
            is_first = self._awaited is None
            if self._awaited is None:
                self._awaited = followed.union(range(len(self._stores)))
            self._awaited.difference_update(each.number for each in gone)
            left = [self._lists.pop(each.number, None) for each in gone]
            if is_first or any(left) or self.current is None:
                self._swap()

    def _keep_following(self) -> None:
        while not self._stop.wait(min(self._interval, 1.0)):
            self.follow()

    def _watch(
        self, number: int, store: ListStore, algorithm: str | None, stop: threading.Event
    ) -> None:
        def use(lists: tuple[HashList, ...]) -> None:
            chosen = tuple(k for k in lists if algorithm in {None, k.spec.algorithm})
            if not chosen:
                raise ListError(f"cannot use {store.path}: it holds no {algorithm} hashes.")
            with self._lock:
                if stop.is_set():
                    return
                before = self._lists.get(number)
                self._lists[number] = chosen
                try:
                    self._swap()
                except BaseException:
                    if before is None:
                        del self._lists[number]
                    else:
                        self._lists[number] = before
                    raise
            self._problems.pop(store.path, None)

        def refused(error: Exception) -> None:
            self._problems[store.path] = _said(error)

        watch(store, use, on_error=refused, interval=self._interval, stop=stop)

    def _watch_disabled(self, path: str) -> None:
        seen = stamp(path)
        while not self._stop.wait(min(self._interval, 1.0)):
            now = stamp(path)
            if now == seen:
                continue
            try:
                left_out = read_disabled(path)
                with self._lock:
                    before, self._left_out = self._left_out, left_out
                    try:
                        self._swap()
                    except BaseException:
                        self._left_out = before
                        raise
                seen = now
                self._problems.pop(path, None)
            except Exception as error:
                self._problems[path] = _said(error)
                LOG.error("entries are disabled as before: %s", _said(error))

    @unseen
    def _swap(self) -> None:
        """Put the lists that there are in use, once there is a version of each.

        That of an exchange which comes later is put in use when it is there.
        """
        if self._awaited is None or not self._lists.keys() >= self._awaited:
            return
        lists = [known for number in sorted(self._lists) for known in self._lists[number]]
        out = [numbers_disabled(known, self._left_out, self._key) for known in lists]
        used = [known.without(numbers) for known, numbers in zip(lists, out, strict=True)]
        name = snapshot_name(lists, used, self._left_out)
        bank_of = names_of(lists)
        off = [known.take(numbers) for known, numbers in zip(lists, out, strict=True) if numbers]
        ratios: Mapping[str, float] = {}
        types: Mapping[str, float] = {}
        if self.banks is not None:
            for bank in set(bank_of.values()) - self.banks.ratios.keys():
                self.banks.add_list(bank)
            self.banks.refresh()
            name = ",".join(filter(None, [name, f"banks@{self.banks.version}"]))
            ratios, types = self.banks.ratios, self.banks.type_ratios

            def is_on(known: HashList) -> bool:
                of_type = types.get(known.spec.algorithm, 1.0)
                return min(ratios.get(bank_of[known.name], 1.0), of_type) > 0

            live = self.banks.lists()
            bank_of |= {known.name: known.name for known in live}
            off += [known for known in (*used, *live) if not is_on(known)]
            off += self.banks.lists(on=False)
            bank_of |= {known.name: known.name for known in off if known.name not in bank_of}
            used = [known for known in (*used, *live) if is_on(known)]
        matcher = self.make(used or [_nothing()])
        snapshot = Snapshot(
            name or "no list", matcher, timestamp(datetime.now(UTC)),
            self.make(off) if off else None, bank_of, ratios, types,
        )  # fmt: skip
        _warm(snapshot)
        self.names.append((snapshot.name, snapshot.since))
        self.current = snapshot  # one assignment: a request has either the one or the other
        self.swaps += 1
        LOG.info("lists in use: %s", name)
        self.changed(snapshot)


def _warm(snapshot: Snapshot) -> None:
    """Look up a hash of each kind, so that no request waits for kernels to load."""
    for spec in snapshot.specs.values():
        if spec != VIDEO_SPEC:  # whose frames are looked up as PDQ
            snapshot.matcher.look_up(HashBatch.from_bytes(spec, bytes(spec.bits // 8)))


def _nothing() -> HashList:
    """Return a list without entries: of banks that are all empty."""
    spec = registry.spec("pdq")
    return HashList("none", "0", spec, HashBatch.from_bytes(spec, b""), ())


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, HashmatchError) else type(error).__name__
