"""Where records of a scan go, who observes it, and what it says to people at its end."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.console import Progress, console, print_table, printable
from hashmatch.cli.units import LOCAL
from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashmatch.interfaces import Sink
    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.review import ReviewRecord
    from hashmatch.review.sink import ReviewSink
    from hashmatch.scan.events import Counters, Event, Observe
    from hashmatch.scan.report import ScanReport


class Sinks:
    """Hands each record to each of some sinks, in their order.

    With ``--state``, a scan that resumes hands over all records again, from the first: a sink that
    keeps what it was given before knows them by their ``record_id``. With each sink comes whether
    it gets records with the hashes of their images.
    """

    def __init__(self, sinks: Sequence[tuple[Sink, bool]], queue: ReviewSink | None = None) -> None:
        self._sinks, self._queue = tuple(sinks), queue

    @property
    def queued(self) -> dict[str, int] | None:
        """What became of the records that were given to a queue, None if there is none."""
        return None if self._queue is None else self._queue.added._asdict()

    def write(self, record: ReviewRecord) -> None:
        """Hand over one record."""
        from msgspec import UNSET

        for sink, with_hash in self._sinks:
            hidden = replace(record, hash=replace(record.hash, value=UNSET))
            sink.write(record if with_hash else hidden)

    def close(self) -> None:
        """Finish each; if one cannot, those after it are left as they are when a scan stops."""
        for number, (sink, _) in enumerate(self._sinks):
            try:
                sink.close()
            except BaseException:
                for other, _ in self._sinks[number + 1 :]:
                    other.abandon()
                raise

    def abandon(self) -> None:
        """Stop early."""
        for sink, _ in self._sinks:
            sink.abandon()


def open_sinks(out: str | None, review: str | None, source: str, include_hash: bool) -> Sinks:
    """Return what takes the records of a scan; all of it is opened before the first image.

    `out` is a file, or ``-`` for standard output; `include_hash` says whether hashes of images go
    anywhere but into the queue.
    """
    from hashmatch import registry

    sinks: list[tuple[Sink, bool]] = []
    queue = None
    if review is not None:
        from hashmatch.review.sink import ReviewSink

        queue = ReviewSink(review, anywhere(source), who="scan")
        sinks.append((queue, True))
    if out is not None:
        sink = registry.open_sink(None if out == "-" else Path(out))
        sinks.append((sink, review is None or include_hash))
    return Sinks(sinks, queue)


def anywhere(source: str) -> str:
    """Return `source` as it is called from any folder: paths on this machine in full.

    Examples
    --------
    >>> anywhere("s3://photos/2026"), anywhere("tar:///srv/photos.tar")
    ('s3://photos/2026', 'tar:///srv/photos.tar')
    """
    scheme, separator, rest = source.partition("://")
    if not separator:
        return os.path.abspath(source)
    if scheme in LOCAL and not rest.startswith("/") and "://" not in rest.partition("?")[0]:
        return f"{scheme}://{os.path.abspath(rest)}"
    return source


@contextmanager
def observers(
    log: str | None, metrics: str | None, out: str | None, about: dict[str, Any]
) -> Iterator[list[Observe]]:
    """Yield the observers besides the screen; their files are opened before the first image."""
    from hashmatch.scan.json_log import JsonLog
    from hashmatch.scan.prometheus import MetricsFile

    if log == "-" and out == "-":
        raise UsageError(
            "cannot write the log to standard output: records go there. Give a file to --log-json "
            "or --out."
        )
    with ExitStack() as stack:
        found: list[Observe] = []
        if log is not None:
            json = JsonLog(None if log == "-" else log, about)
            stack.callback(json.close)
            found.append(json)
        if metrics is not None:
            file = MetricsFile(metrics)
            stack.callback(file.close)
            found.append(file)
        yield found


def about_job(
    source: str, surface: str, shard: tuple[int, int] | None, matcher: Matcher
) -> dict[str, Any]:
    """Return what the first line of a log says; nothing behind a ``?``, where URLs have secrets."""
    from hashmatch.records import VERSION

    return {
        "hashmatch": VERSION,
        "source": source.partition("?")[0],
        "surface": surface,
        "shard": None if shard is None else f"{shard[0]}/{shard[1]}",
        "lists": [
            {"name": known.name, "version": known.version, "algorithm": known.spec.algorithm}
            for known in matcher.lists
        ],
    }


@contextmanager
def on_screen(total: int | None, quiet: bool) -> Iterator[Observe]:
    """Give who shows how a scan goes, in one line while stderr is a terminal."""
    with ExitStack() as stack:
        bar: Progress | None = None

        def show(event: Event) -> None:
            nonlocal bar
            sys.stdout.flush()  # of records that have waited for others long enough
            done = event.counters.done
            if event.kind == "begin":
                if event.reason and not quiet:
                    click.echo(f"the scan {event.reason}: {done:,} images are done", err=True)
                bar = stack.enter_context(Progress(total, quiet, done=done))
            elif bar is not None and bar.shown and event.kind in {"batch", "progress", "end"}:
                bar.update(done, _said(event.counters))

        yield show


def _said(counters: Counters) -> str:
    """Return what there is to say besides how many are done; what is nothing is left out."""
    parts = [f"{counters.records:,} matches"]
    for count, what in (
        (counters.not_searched, "not searched"),
        (counters.queued, "queued"),
        (counters.retries, "retries"),
        (counters.alarms, "alarms"),
    ):
        if count:
            parts.append(f"{count:,} {what}")
    return "  ".join(parts)


def raise_alarms(matcher: Matcher) -> None:
    """Name the entries that flooded the queue; quiet or not, somebody has to look at them."""
    breaker = matcher.protection.breaker
    for trip in () if breaker is None else breaker.trips:
        entry = printable(f"{trip.entry} of list {trip.list}, version {trip.list_version},")
        click.echo(
            f"alarm: entry {entry} has {trip.records:,} records for review; "
            "records that match nothing else are suppressed",
            err=True,
        )


def summary(report: ScanReport) -> None:
    """Say what became of the images, and by which lists."""
    from rich.table import Table

    from hashmatch.records.enums import Outcome
    from hashmatch.scan.shadow import shadow_rows

    table = Table(title="What became of the images", title_justify="left")
    table.add_column("outcome")
    table.add_column("images", justify="right")
    counters = report.counters
    for outcome, count in counters.outcomes.items():
        if count or outcome in {Outcome.MATCH, Outcome.NO_MATCH}:
            table.add_row(outcome, f"{count:,}")
    table.add_section()
    table.add_row("listed", f"{counters.listed:,}")
    screen = console()
    print_table(screen, table)
    if passed := [f"{count:,} {what}" for what, count in counters.passed_over.items()]:
        screen.print(printable(f"passed over: {', '.join(passed)}"), markup=False)
    matcher = report.matcher
    lists = matcher.lists if matcher is not None else ()
    benign = matcher.protection.lists if matcher is not None else ()
    for what, known in [("list", one) for one in lists] + [("benign list", one) for one in benign]:
        left_out = f", {known.bad_rows:,} bad rows left out" if known.rejected else ""
        screen.print(
            f"{what} {printable(known.name)} version {known.version}: {len(known):,} "
            f"{known.spec.algorithm} entries{left_out}",
            markup=False,
        )
    if report.queued is not None:
        queued = [f"{count:,} {what}" for what, count in report.queued.items()]
        screen.print(f"review queue: {', '.join(queued)}", markup=False)
    why = [f"{count:,} {reason}" for reason, count in counters.suppressed_by.items() if count]
    if why:
        screen.print(f"suppressed: {', '.join(why)}", markup=False)
    if counters.mostly_chrome:
        screen.print(
            f"mostly chrome: {counters.mostly_chrome:,}, matched by little but plain colour, text "
            "and lines; they wait behind others",
            markup=False,
        )
    if counters.shadow:
        total = sum(counters.shadow.values())
        screen.print(f"the shadow limit would bring {total:,} more records into review:")
        for row in shadow_rows(counters.shadow):
            said = printable(f"list {row.list}, {row.algorithm} at {row.distance} bits")
            screen.print(f"  {said}: {row.records:,}", markup=False)
    elif report.shadow:
        screen.print("the shadow limit would bring no more records into review")
    new = counters.listed - counters.before
    before = f"{new:,} new or changed, {counters.before:,} done before; " if counters.before else ""
    looked_up = counters.listed - counters.not_searched
    if not looked_up:
        before += "no image was looked up; "
    rate = new / report.seconds if report.seconds else 0.0
    screen.print(
        f"{before}{counters.records:,} records for review, in {report.seconds:.1f} s "
        f"({rate:,.0f} images/s)"
    )
