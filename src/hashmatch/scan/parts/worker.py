"""Does one part of a scan in a worker process of an engine."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from hashmatch import registry
from hashmatch.errors import (
    CheckpointError,
    EngineError,
    HashmatchError,
    SourceError,
    SourceUnavailable,
)
from hashmatch.interfaces import passed_over
from hashmatch.matching.breaker import DeferredBreaker
from hashmatch.records.enums import Outcome, Surface
from hashmatch.records.images import ItemOutcome
from hashmatch.records.review import ReviewRecord, SuppressedBy
from hashmatch.records.safeguards import Safeguard, allowing, collecting
from hashmatch.records.typed import converted
from hashmatch.retry import Limits, Tries, list_items
from hashmatch.scan.checkpoint import scan_name
from hashmatch.scan.events import Counters, is_marked
from hashmatch.scan.parts.journal import Journal, open_journal
from hashmatch.scan.parts.manifest import Line, Manifest, Part, PartResults, as_text
from hashmatch.scan.parts.place import open_place
from hashmatch.scan.report import ScanReport
from hashmatch.scan.scan import BATCH, SECONDS, ScanOptions, about, scan_source
from hashmatch.scan.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hashmatch.interfaces import Source
    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.hash_list import HashList
    from hashmatch.records.images import ImageItem
    from hashmatch.records.review import RecordMatch
    from hashmatch.records.safeguards import Waiver
    from hashmatch.scan.events import Event


class Job(msgspec.Struct, frozen=True):
    """What a worker has to know of a scan: names and paths, plain values, no secrets.

    Parameters
    ----------
    scan : str
        Its name.
    state : str
        Where it is kept.
    source : str
        The location of its source.
    surface : str
        Where its images were published.
    opener : str
        ``module:function`` that opens the lists and returns the matcher.
    arguments : dict
        What it is called with.
    allow_private : list of str
        Hosts and networks that the source may dial.
    shard : tuple of int, optional
        Which part of the source is scanned, and of how many.
    decoders : int, optional
        Processes that decode pictures; 0 decodes them in the worker itself, and None leaves it to
        the engine.
    readers : int
        Pictures that are read at once.
    rate : float, optional
        Most bytes a second that a worker reads.
    allowed : list of str
        Safeguards that it may do without.
    """

    scan: str
    state: str
    source: str
    surface: str
    opener: str
    arguments: dict[str, Any]
    allow_private: list[str] = []
    shard: tuple[int, int] | None = None
    decoders: int | None = None
    readers: int = 16
    rate: float | None = None
    allowed: list[str] = []


class Answer(msgspec.Struct, frozen=True):
    """What became of a part that a worker was given.

    Parameters
    ----------
    part : int
        Its number.
    error : str
        Why it is not done, in one line; empty if it is.
    is_unfit : bool
        Whether it is the worker that cannot do any: without a list, say.
    again : bool
        Whether it was only to try again what could not be read.
    """

    part: int
    error: str = ""
    is_unfit: bool = False
    again: bool = False


class _Unfit(HashmatchError):
    """No part of a scan can be done by the process."""


@dataclass(slots=True)
class _Opened:
    """What is opened once for all parts that a process does of a scan."""

    manifest: Manifest
    source: Source
    surface: Surface
    matcher: Matcher
    breaker: DeferredBreaker | None
    options: ScanOptions
    sandbox: str
    waivers: list[Waiver]
    rate: float | None
    stack: ExitStack
    users: int = 0


_lock = threading.Lock()
_opened: dict[str, _Opened] = {}


def open_lists(paths: Sequence[str], **rules: Any) -> Matcher:
    """Return a matcher of list files and list stores.

    Parameters
    ----------
    paths : sequence of str
        Files are lists in a format that is detected; folders are list stores.
    **rules
        As of `hashmatch.Matcher`.
    """
    from hashmatch.lists.read import read_list
    from hashmatch.matching.matcher import Matcher
    from hashmatch.store.list_store import ListStore

    lists: list[HashList] = []
    for path in paths:
        lists += ListStore(path).open() if os.path.isdir(path) else [read_list(path)]
    return Matcher(*lists, **rules)


def prepare(job: Mapping[str, Any]) -> str:
    """Open what the parts of a scan need; return why that cannot be, or nothing.

    Parameters
    ----------
    job : mapping
        A `Job`, as plain values.
    """
    try:
        with _using(converted(job, Job)):
            return ""
    except HashmatchError as error:
        return str(error)


def do_part(job: Mapping[str, Any], number: int, again: bool = False, worker: str = "") -> Answer:
    """Do a part of a scan, unless it is done, and write what it has come to.

    Parameters
    ----------
    job : mapping
        A `Job`, as plain values.
    number : int
        Of the part, from 0.
    again : bool
        Only try again what could not be read when the part was done.
    worker : str
        The name of this one to its engine.

    Returns
    -------
    Answer
        Errors are answers, without what was on the way to them.
    """
    try:
        with _using(converted(job, Job)) as opened:
            (_do_again if again else _do)(opened, number, worker)
    except HashmatchError as error:
        return Answer(number, str(error), isinstance(error, _Unfit), again)
    except Exception as error:  # its text may be anything
        said = f"it raised {type(error).__name__} in {_where(error)}. Report this"
        return Answer(number, said, again=again)
    return Answer(number, again=again)


def _where(error: Exception) -> str:
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return "hashmatch" if last is None else f"{last.tb_frame.f_code.co_name}, line {last.tb_lineno}"


@contextmanager
def _using(job: Job) -> Iterator[_Opened]:
    """Give what is open for a scan, opened now if it is not; others that nobody uses are closed."""
    name = msgspec.json.encode(job).decode()
    with _lock:
        if name not in _opened:
            for other in [key for key, one in _opened.items() if not one.users]:
                _opened.pop(other).stack.close()
            try:
                with ExitStack() as stack:
                    opened = _open_all(job, stack)
                    opened.stack = stack.pop_all()
            except SourceUnavailable:  # for now
                raise
            except HashmatchError as error:
                # Lists are named by the paths that they were given by.
                raise _Unfit(f"{socket.gethostname()} cannot take part: {error}") from None
            _opened[name] = opened
        opened = _opened[name]
        opened.users += 1
    try:
        yield opened
    finally:
        with _lock:
            opened.users -= 1


def _open_all(job: Job, stack: ExitStack) -> _Opened:
    stack.enter_context(allowing(*(Safeguard[name] for name in job.allowed)))
    waivers = stack.enter_context(collecting())
    manifest = Manifest(open_place(job.state, new=False), job.scan)
    matcher = _matcher(job)
    surface = Surface.parse(job.surface)
    source = registry.open_source(job.source, surface, allow_private=job.allow_private)
    stack.enter_context(closing(source))
    next(list_items(source), None)  # raises where it is not there: a folder that is not mounted
    if job.shard is not None:
        source = Shard(source, *job.shard)
    _check_same(manifest.about, about(source, matcher, Tries()))
    breaker = None
    if (counted := matcher.protection.breaker) is not None:
        breaker = DeferredBreaker(counted.limit, counted.window)
        matcher.protection.breaker = breaker
    decoders = 1 if job.decoders is None else job.decoders
    if decoders == 0:
        options, sandbox = ScanOptions(2, None, None, job.readers), ScanReport.sandbox
    else:
        from hashmatch.sandbox.pool import DecodePool

        pool = stack.enter_context(DecodePool(decoders))
        options, sandbox = (
            ScanOptions(2 * decoders, pool.pictures, None, job.readers),
            (pool.report),
        )
    return _Opened(
        manifest, source, surface, matcher, breaker, options, sandbox, waivers, job.rate, stack
    )  # fmt: skip


def _matcher(job: Job) -> Matcher:
    module, _, function = job.opener.partition(":")
    matcher: Matcher = getattr(import_module(module), function)(**job.arguments)
    return matcher


def _check_same(scan: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Raise EngineError if results of this process would be those of another scan."""
    here = msgspec.json.decode(msgspec.json.encode(here))
    if scan_name(scan) == scan_name(here):
        return
    for what, label in (("lists", "list"), ("benign", "benign list")):
        for (name, version, _), (_, found, _) in zip(scan[what], here[what], strict=False):
            if version != found:
                raise EngineError(
                    f"cannot match the {label} {name}: the scan is of version {version}, and here "
                    f"is version {found}. Bring all machines to one version"
                )
    different = sorted(name for name in scan if scan[name] != here.get(name))
    words = {
        "rules": "entries, limits or rules of its lists, or their reference key",
        "source": "its source",
        "formats": "the picture formats that can be read",
        "hashmatch": f"the version of hashmatch ({here['hashmatch']}, not {scan['hashmatch']})",
    }
    what = " and ".join(words.get(name, name) for name in different)
    raise EngineError(f"cannot match: the scan differs here in {what}. Make all machines alike")


class _PartSource:
    """The items of one part that are not done yet, as a source; the whole is not closed."""

    def __init__(
        self,
        whole: Source,
        part: Part,
        surface: Surface,
        done: int,
        only: frozenset[str] | None = None,
    ) -> None:
        self._whole, self._part, self._surface = whole, part, surface
        self._begun, self._only = done, only
        self._numbers: dict[str, int] = {}

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        """Yield those behind a position, or all that are not done."""
        start = self._begun if after is None else self._numbers[after] + 1
        for number, item in enumerate(islice(self._all(), start, None), start):
            if self._only is None or item.key in self._only:
                self._numbers[item.position] = number
                yield item

    def _all(self) -> Iterator[ImageItem]:
        if self._part.rows is not None:
            yield from (row.item(self._surface) for row in self._part.rows)
            return
        after = None if self._part.after is None else as_text(self._part.after)
        for number, item in enumerate(self._whole.items(after), 1):
            yield item
            if number == self._part.count:
                if item.position == as_text(self._part.last):
                    return
                break
        raise SourceError(
            "cannot scan the part: its source does not list what it listed before. Start a new "
            "scan, with another --state"
        )

    def identity(self) -> str:
        """Return that of the whole."""
        return self._whole.identity()

    def read(self, item: ImageItem) -> bytes:
        """Return the content of an item."""
        return self._whole.read(item)

    @property
    def passed_over(self) -> dict[str, int]:
        """What the whole passes over."""
        return passed_over(self._whole)

    def count(self) -> int:
        """Return how many items there are."""
        return self._part.count - self._begun

    def close(self) -> None:
        """Do nothing: the next part needs the whole."""


def _do(opened: _Opened, number: int, worker: str) -> None:
    manifest = opened.manifest
    part = None if manifest.is_done(number) else manifest.part(number)
    if part is None:
        if manifest.is_done(number):  # by another, a moment ago
            return
        raise _no_items(manifest, number)
    journal = open_journal(manifest, number)
    try:
        counters = _took(_scan(opened, part, journal))
        results = PartResults(part.count, journal.attempts, counters, sandbox=opened.sandbox)
        results.waivers, results.worker = list(opened.waivers), worker
        for outcome, suppressed_by, line in journal.entries:
            counters.outcomes[outcome] += 1
            if suppressed_by:
                counters.suppressed_by[suppressed_by] += 1
            if line is not None:
                counters.mostly_chrome += is_marked(line.record)
                results.lines.append(line)
        manifest.commit(number, results)
        journal.close(remove=True)
    finally:
        journal.close()


def _no_items(manifest: Manifest, number: int) -> CheckpointError:
    return CheckpointError(
        f"cannot find part {number} of the scan {manifest.name}: its items are not there. "
        "Start a new scan, with another --state"
    )


def _do_again(opened: _Opened, number: int, worker: str) -> None:
    """Try again what could not be read of a part that is done."""
    manifest = opened.manifest
    before, part = manifest.results(number), manifest.part(number)
    if manifest.is_done(number, again=True):
        return
    if before is None or part is None:
        raise _no_items(manifest, number)
    failed = {
        line.result.key: place
        for place, line in enumerate(before.lines)
        if isinstance(line.result, ItemOutcome) and line.result.outcome is Outcome.FAILED
    }
    lines: list[Line | None] = list(before.lines)
    journal = Journal()
    counters = _took(_scan(opened, part, journal, only=frozenset(failed)))
    counters.merge(before.counters)
    # Items come in the order of the listing, as lines do.
    for (outcome, suppressed_by, line), place in zip(
        journal.entries, sorted(failed.values()), strict=True
    ):
        lines[place] = line
        counters.outcomes[Outcome.FAILED] -= 1
        counters.outcomes[outcome] += 1
        if suppressed_by:
            counters.suppressed_by[suppressed_by] += 1
        counters.mostly_chrome += line is not None and is_marked(line.record)
    kept = [line for line in lines if line is not None]
    results = replace(before, counters=counters, lines=kept, worker=worker)
    manifest.commit(number, results, again=True)


def _took(seen: Counters) -> Counters:
    """Return what was read and decoded, without outcomes, which are counted of all results."""
    none = Counters()
    return replace(seen, outcomes=none.outcomes, suppressed_by=none.suppressed_by, mostly_chrome=0)


def _scan(
    opened: _Opened, part: Part, journal: Journal, only: frozenset[str] | None = None
) -> Counters:
    """Scan what is not done of a part, or `only` some of it, and return what that took."""
    seen = [Counters()]

    def observe(event: Event) -> None:
        seen[0] = event.counters

    breaker = opened.breaker
    count = part.count if only is None else len(only)
    if len(journal.entries) < count:
        done = len(journal.entries)
        source = _PartSource(opened.source, part, opened.surface, done, only)
        options = replace(opened.options, tries=Tries(Limits(rate=opened.rate)))
        flushed = time.monotonic()
        for result in scan_source(source, opened.matcher, options=options, observe=observe):
            suppressed_by = ""
            others: tuple[RecordMatch, ...] = ()
            if isinstance(result, ReviewRecord):
                if isinstance(result.suppressed_by, SuppressedBy):
                    suppressed_by = result.suppressed_by.reason
                elif breaker is not None:
                    others = breaker.asked[len(result.matches) :]
            journal.add(result.outcome, suppressed_by, Line.of(result, others))
            if len(journal.entries) % BATCH == 0 or time.monotonic() - flushed >= SECONDS:
                journal.flush()
                flushed = time.monotonic()
    if len(journal.entries) != count:
        raise SourceError("cannot scan the part: not every item of it has an outcome. Try again")
    return seen[0]
