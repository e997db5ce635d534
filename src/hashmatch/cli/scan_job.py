"""One ``hashmatch scan`` from its first image to its last, whatever ends it."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.scan_summary import raise_alarms
from hashmatch.cli.scan_told import Watchers, on_screen
from hashmatch.cli.states import taken_up
from hashmatch.cli.terminal import printable
from hashmatch.errors import HashmatchError

if TYPE_CHECKING:
    from datetime import timedelta

    from hashmatch.cli.scan_options import Means
    from hashmatch.cli.scan_sinks import Sinks
    from hashmatch.interfaces import Sink, Source
    from hashmatch.ledger import Ledger
    from hashmatch.matcher import Matcher
    from hashmatch.observing import Observe
    from hashmatch.reporting import ScanReport
    from hashmatch.scan import Results


@dataclass
class Job:
    """One scan that is to be done.

    Parameters
    ----------
    source, matcher, means, total, quiet : Source, Matcher, Means, int, bool
        What, against what, with what, how many images there are if that is known, and how loud.
    keep : tuple of str and timedelta, optional
        Where hashes are kept, and how long.
    ledger, about : Ledger, mapping
        What keeps its state, if anything does, and what makes it this scan.
    observers : list of callable
        Told of its events.
    sinks : Sinks
        Given each record.
    """

    source: Source
    matcher: Matcher
    sinks: Sinks
    means: Means
    total: int | None
    quiet: bool
    keep: tuple[str, timedelta] | None
    ledger: Ledger | None = None
    about: dict[str, Any] = field(default_factory=dict)
    observers: list[Observe] = field(default_factory=list)


def scan_to(job: Job, done: ScanReport, out: str | None, report: str | None) -> None:
    """Scan, with records, alarms and counts going where they should, or left as they are."""
    from hashmatch.sinks.files import OutputFile

    # All are opened before the first image: hours of work are not lost to a slip in a name.
    counts = OutputFile(Path(report)) if report is not None else None
    breaker = job.matcher.protection.breaker
    try:
        _run(job, job.sinks, done, out)
        job.sinks.close()
        done.alarms = [] if breaker is None else list(breaker.trips)
        done.finish()
    except BaseException:
        if counts is not None:
            counts.discard()
        raise
    finally:
        raise_alarms(() if breaker is None else breaker.trips)
    if counts is not None:
        counts.write(done.to_json().decode() + "\n")
        counts.close()


def _run(job: Job, sink: Sink, report: ScanReport, out: str | None) -> None:
    """Scan; whatever stops it early is told with how far it came and where its records are."""
    from hashmatch.records.review import ReviewRecord

    try:
        with ExitStack() as stack:
            for result in _results(job, sink, report, stack):
                report.add(result)
                if isinstance(result, ReviewRecord):
                    sink.write(result)
    except BaseException as error:
        sink.abandon()
        part = Path(f"{out}.part")
        rest = f"; records so far are in {part}" if out != "-" and part.exists() else ""
        count = sum(report.outcomes.values())
        stopped = f"stopped after {count:,} of {job.total or '?'} images{rest}"
        if isinstance(error, HashmatchError):
            raise type(error)(f"{error}; {stopped}") from None
        if isinstance(error, KeyboardInterrupt) and not job.quiet:
            click.echo(printable(stopped), err=True)
        raise


def _results(job: Job, sink: Sink, report: ScanReport, stack: ExitStack) -> Results:
    """Return the results of what is not accounted for yet; what is goes to report and sink."""
    from hashmatch.keeper import Keeper
    from hashmatch.resuming import resume_scan
    from hashmatch.scan import scan_source

    account = None if job.ledger is None else job.ledger.scan(job.about)
    if account is not None:
        taken_up(account, report, sink, job.quiet)
    keeper = None
    if job.keep is not None:
        name = None if account is None else account.name
        keeper = Keeper(*job.keep, job.matcher.lists, scan=name)
    decode = stack.enter_context(job.means.decoder(report))
    screen = stack.enter_context(on_screen(job.total, report.listed, job.quiet))
    observers = [*job.observers, *screen]
    common: dict[str, Any] = {
        "on_listed": report.listed_one,
        "threads": job.means.threads,
        "decode": decode,
        "tries": job.means.tries(),
        "readers": job.means.readers,
        "observe": Watchers(observers) if observers else None,
    }
    if account is not None:
        found = resume_scan(job.source, job.matcher, account, keeper=keeper, **common)
    else:
        if keeper is not None:
            stack.enter_context(keeper)
            common["on_hashed"] = keeper.add
        found = scan_source(job.source, job.matcher, **common)
    return stack.enter_context(closing(found))
