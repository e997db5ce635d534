"""``hashmatch scan``: every image of a source against known-hash lists.

One ``hashmatch scan`` from its first image to its last, whatever ends it.

``hashmatch scan --state`` and ``hashmatch scan status``: scans that go on where they stopped.

``hashmatch scan --dry-run``: what there is, and what a scan of it would take.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.console import Exit, console, name_problems, print_line, printable
from hashmatch.cli.options import (
    ListShape,
    keep_options,
    match_options,
    open_lists,
    open_matcher,
    protection_options,
    quiet_option,
    shape_options,
    strict_option,
    variants_option,
    verbose_option,
)
from hashmatch.cli.scan_options import (
    Means,
    job_options,
    output_options,
    processors,
    source_options,
)
from hashmatch.cli.scan_output import (
    Watchers,
    about_job,
    on_screen,
    open_sinks,
    raise_alarms,
    summary,
    watchers,
)
from hashmatch.errors import HashmatchError, SourceError, UsageError

if TYPE_CHECKING:
    from datetime import timedelta

    from hashmatch.cli.scan_output import Sinks
    from hashmatch.interfaces import Sink, Source
    from hashmatch.matching.matcher import Matcher
    from hashmatch.scan.checkpoint import Ledger, LedgerScan
    from hashmatch.scan.events import Observe
    from hashmatch.scan.report import ScanReport
    from hashmatch.scan.scan import Results


class ScanCommand(click.Command):
    """``hashmatch scan SOURCE ...``, or ``hashmatch scan status DIR``; ./status is a folder."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Return the context of whichever is meant."""
        if args[:1] == ["status"]:
            return status.make_context("status", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)


@click.command(epilog="Python: hashmatch.Ledger(folder).scans()")
@click.argument("state")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a scan.")
def status(state: str, as_json: bool) -> None:
    """Say how far the scans in STATE have come, a folder given as scan --state.

    \b
    hashmatch scan status state/
    """  # noqa: D301  (the backspace tells click to keep the lines)
    import msgspec
    from rich.table import Table

    from hashmatch.errors import LedgerError
    from hashmatch.scan.checkpoint import FILE, Ledger

    if not os.path.exists(os.path.join(state, FILE)):
        raise LedgerError(f"{state}: no scan keeps its state there")
    with Ledger(state, reading=True) as ledger:
        scans = ledger.scans()
    if as_json:
        for scan in scans:
            print_line(msgspec.json.encode(scan).decode())
        return
    table = Table(title="Scans", title_justify="left")
    for column in ("scan", "of", "lists", "begun", "ended", "images", "match", "not searched"):
        table.add_column(column)
    for scan in scans:
        about, counts = scan["about"], scan["outcomes"]
        lists = ", ".join(f"{name} {version}" for name, version, _ in about.get("lists", ()))
        searched = sum(counts.get(name, 0) for name in ("match", "no_match", "suppressed"))
        table.add_row(
            scan["name"],
            printable(" ".join(filter(None, (about.get("source", ""), _shard(about))))),
            printable(lists),
            scan["begun"],
            scan["ended"] or "not yet",
            f"{scan['listed']:,}",
            f"{counts.get('match', 0):,}",
            f"{scan['listed'] - searched:,}",
        )
    console(stderr=False).print(table)


def _shard(about: dict[str, Any]) -> str:
    """Return which part of its source a scan is of, if it is not of all."""
    shard = about.get("options", {}).get("shard")
    return f"({shard})" if shard else ""


def taken_up(account: LedgerScan, report: ScanReport, sink: Sink, quiet: bool) -> None:
    """Give the report and the sink what is accounted for already.

    Records of the ledger are written again, all of them: what a scan that was killed had written
    may end in the middle of one.
    """
    state = account.state()
    for record in account.records():
        report.add(record)
        sink.write(record)
    report.listed, report.outcomes = state.listed, account.outcomes()
    report.problems += account.problems()
    if state.listed and not quiet:
        how = "was finished before" if state.ended else "goes on"
        click.echo(f"scan {account.name} {how}: {state.listed:,} images are done", err=True)


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
    from hashmatch.sinks._output import OutputFile

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
    from hashmatch.scan.hash_archive import Keeper
    from hashmatch.scan.scan import resume_scan, scan_source

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


@click.command(
    cls=ScanCommand,
    short_help="Check a folder or bucket of images against known-hash lists.",
    epilog="Python: hashmatch.scan_source(source, matcher, surface=...)",
)
@click.argument("source")
@source_options
@match_options
@variants_option
@output_options
@protection_options
@keep_options
@job_options
@strict_option
@quiet_option
@verbose_option
@shape_options
@click.pass_context
def scan(
    ctx: click.Context,
    /,
    *,
    source: str,
    list_paths: tuple[str, ...],
    algorithm: str,
    max_distance: int | dict[str, int] | None,
    skip_bad_rows: bool,
    list_format: str | None,
    columns: tuple[str, ...],
    delimiter: str | None,
    encoding: str,
    surface: str,
    variants: str,
    out: str | None,
    review: str | None,
    report: str | None,
    min_quality: int | None,
    include_hash: bool,
    benign_paths: tuple[str, ...],
    min_sources: int,
    breaker_limit: int,
    kept_in: str | None,
    keep_for: timedelta | None,
    state: str | None,
    shard: tuple[int, int] | None,
    dry_run: bool,
    workers: int,
    readers: int,
    limit_rate: float | None,
    in_process: bool,
    log_json: str | None,
    metrics: str | None,
    strict: bool,
    quiet: bool,
    verbose: bool,
    **trust: Any,
) -> None:
    """Check every image of SOURCE and write a review record for each match.

    SOURCE is a folder or file, or a URL: s3://, gs:// or az://BUCKET/FOLDER; manifest://, jsonl://
    or parquet://FILE?base=PLACE; https://HOST/LIST; tar:// or zip://FILE.

    Records are JSON lines on standard output unless --out or --review says otherwise. Those that
    are pending_review wait for a person; hashmatch takes no action of its own. --benign,
    --min-sources and --breaker make some of them suppressed instead: they say why, and wait for
    nobody.

    With --state, records are those of all that was ever done there: the file of --out is written
    whole each time, and is the same whatever stopped the scan in between.

    \b
    hashmatch scan photos/ --list known.csv --surface profile_photo > review.jsonl
    hashmatch scan photos/ --list pdq.csv --list md5=md5.txt --surface public_post
    hashmatch scan s3://photos/2026 --list known.csv --surface profile_photo \\
        --review queue.db --state state --shard 0/8 --limit-rate 50M
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch import registry
    from hashmatch.matching.breaker import Breaker
    from hashmatch.records.enums import Surface
    from hashmatch.scan.report import ScanReport
    from hashmatch.scan.scan import about_scan
    from hashmatch.scan.shard import Shard

    if out is None and review is None:
        out = "-"
    where = Surface.parse(surface)
    shape = ListShape(list_format, columns, delimiter, encoding)
    lists = open_lists(list_paths, shape, algorithm, skip_bad_rows, trust)
    matcher = open_matcher(
        lists,
        benign=open_lists(benign_paths, shape, algorithm, skip_bad_rows, trust),
        min_sources=min_sources,
        # One scan fills one queue, however long it takes.
        breaker=Breaker(breaker_limit, window=None) if breaker_limit else None,
        max_distance=max_distance,
        min_quality=min_quality,
        variants=variants,
        include_hash=include_hash or review is not None,
    )
    _check_places(source, out, report, review, kept_in, state, log_json, metrics)
    if (kept_in is None) != (keep_for is None):
        raise UsageError("--keep-hashes and --keep-for go together: where, and how long")
    keep = None if kept_in is None or keep_for is None else (kept_in, keep_for)
    means = Means(workers, readers, limit_rate, in_process)
    with ExitStack() as stack:
        images = stack.enter_context(closing(registry.open_source(source, where)))
        if shard is not None:
            images = Shard(images, *shard)
        if dry_run:
            pass  # moved

            show_estimate(source, images, matcher, means)
            return
        total = images.count()
        if total == 0:
            raise SourceError(f"{source}: no images in it")
        ledger = None
        if state is not None:
            from hashmatch.scan.checkpoint import Ledger

            # Before any file is opened: another scan that is under way keeps its own.
            ledger = stack.enter_context(Ledger(state))
        sinks = open_sinks(out, review, source, include_hash)
        job = Job(images, matcher, sinks, means, total, quiet, keep, ledger)
        if ledger is not None:
            job.about = about_scan(
                source,
                matcher,
                surface=surface,
                shard=None if shard is None else f"{shard[0]}/{shard[1]}",
                max_distance=max_distance,
                min_quality=min_quality,
                variants=variants,
                include_hash=include_hash or review is not None,
                min_sources=min_sources,
                breaker=breaker_limit,
            )
        about = about_job(source, surface, shard, matcher)
        job.observers = stack.enter_context(watchers(log_json, metrics, out, about))
        done = ScanReport(matcher)
        scan_to(job, done, out, report)
    if not quiet:
        name_problems(done.problems, verbose)
        summary(done)
    if strict and done.unhashed:
        ctx.exit(Exit.SOME_UNHASHED)


def _check_places(source: str, out: str | None, *others: str | None) -> None:
    """Refuse to write where the scan would read, or two things to one place."""
    given = (out if out != "-" else None, *others)
    places = [Path(place).resolve() for place in given if place is not None and "://" not in place]
    if len(set(places)) < len(places):
        raise UsageError(f"{out}: records, report, hashes and state go each to a place of its own")
    for place in places:
        if Path(source).is_dir() and place.is_relative_to(Path(source).resolve()):
            raise UsageError(f"{place} is inside of {source}, which is scanned; write it elsewhere")


SHOWN = 8
"""Kinds of suffix that are named."""
LOCAL = "tar://", "zip://"


def show_estimate(name: str, source: Source, matcher: Matcher, means: Means) -> None:
    """List `source`, read and hash a few of its images, and print what a scan would take."""
    from rich.filesize import decimal

    from hashmatch.errors import SourceError
    from hashmatch.scan.estimate import estimate
    from hashmatch.scan.report import ScanReport
    from hashmatch.scan.scan import Effort

    with means.decoder(ScanReport()) as decode:
        effort = Effort(min(means.workers, processors()), decode, means.tries(), means.readers)
        found = estimate(source, matcher, effort)
    if not found.items:
        raise SourceError(f"{name}: no images in it")
    screen = console(stderr=False)
    unsized = f", and {found.unsized:,} of unknown size" if found.unsized else ""
    screen.print(f"{printable(name)}: {found.items:,} items, {decimal(found.bytes)}{unsized}",
                 markup=False)  # fmt: skip
    shown = list(found.suffixes.items())[:SHOWN]
    others = found.items - sum(count for _, count in shown)
    parts = [f"{count:,} {suffix or 'without a suffix'}" for suffix, count in shown]
    screen.print(", ".join([*parts, f"{others:,} others"] if others else parts), markup=False)
    failed = f", {found.failed} of which could not be read" if found.failed else ""
    screen.print(
        f"{found.sampled} of them{failed}: {1000 * found.read_seconds:,.1f} ms each to read, "
        f"{1000 * found.hash_seconds:,.1f} ms to decode and hash"
    )
    rate = f", {decimal(int(means.limit_rate))} a second" if means.limit_rate else ""
    screen.print(
        f"a scan would take about {_time(found.seconds)}, with {means.workers} workers and "
        f"{means.readers} reads at once{rate}"
    )
    if "://" in name and not name.startswith(LOCAL):
        screen.print(f"and about {found.requests:,} requests, as many as fail besides")
    screen.print("nothing was written, and nothing looked up")


def _time(seconds: float) -> str:
    """Return a time for people."""
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:,.1f} hours"
