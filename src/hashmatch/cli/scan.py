"""``hashmatch scan``: every image of a source against known-hash lists."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

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
from hashmatch.cli.states import ScanCommand, cores, resumed, scanned
from hashmatch.cli.terminal import Exit, console, name_problems, printable, progress
from hashmatch.errors import HashmatchError, SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import timedelta

    from hashmatch.accounting import Result
    from hashmatch.breaker import Trip
    from hashmatch.interfaces import Sink
    from hashmatch.reporting import ScanReport


@click.command(
    cls=ScanCommand,
    short_help="Check a folder or bucket of images against known-hash lists.",
    epilog="Python: hashmatch.scan_source(source, matcher, surface=...)",
)
@click.argument("source")
@click.option(
    "-s",
    "--surface",
    required=True,
    metavar="SURFACE",
    help="Where the images were published: profile_photo, group_photo, user_report or public_post.",
)
@match_options
@variants_option
@click.option(
    "-o",
    "--out",
    default="-",
    metavar="FILE",
    help="Where records go: .jsonl or .csv. [default: -]",
)
@click.option("--report", metavar="FILE", help="Write counts and problems as JSON.")
@click.option(
    "--min-quality",
    type=click.IntRange(0, 100),
    metavar="N",
    help="Least PDQ quality that is searched. [default: 50]",
)
@click.option("--include-hash", is_flag=True, help="Put each image's own hash into its record.")
@protection_options
@keep_options
@click.option(
    "--state",
    metavar="DIR",
    help="Keep there how far the scan has come: the same command goes on where it was stopped, by "
    "whatever. hashmatch scan status DIR says how far that is.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=cores,
    metavar="N",
    help="Images that are worked on at once. [default: as many as there are processors]",
)
@click.option(
    "--in-process",
    is_flag=True,
    help="Decode images in this process, not in ones that are closed in: for trusted images only.",
)
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
    out: str,
    report: str | None,
    min_quality: int | None,
    include_hash: bool,
    benign_paths: tuple[str, ...],
    min_sources: int,
    breaker_limit: int,
    kept_in: str | None,
    keep_for: timedelta | None,
    state: str | None,
    workers: int,
    in_process: bool,
    strict: bool,
    quiet: bool,
    verbose: bool,
    **trust: Any,
) -> None:
    """Check every image of SOURCE and write a review record for each match.

    SOURCE is a folder or file, or a URL: s3://, gs:// or az://BUCKET/FOLDER; manifest://, jsonl://
    or parquet://FILE?base=PLACE; https://HOST/LIST; tar:// or zip://FILE.

    Records are JSON lines on standard output unless --out says otherwise. Those that are
    pending_review wait for a person; hashmatch takes no action of its own. --benign, --min-sources
    and --breaker make some of them suppressed instead: they say why, and wait for nobody.

    \b
    hashmatch scan photos/ --list known.csv --surface profile_photo > review.jsonl
    hashmatch scan photos/ --list pdq.csv --list md5=md5.txt --surface public_post
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch import registry
    from hashmatch.breaker import Breaker
    from hashmatch.records.enums import Surface
    from hashmatch.reporting import ScanReport
    from hashmatch.resuming import about_scan
    from hashmatch.sinks.files import OutputFile

    where = Surface.parse(surface)
    shape = ListShape(list_format, columns, delimiter, encoding)
    lists = open_lists(list_paths, shape, algorithm, skip_bad_rows, trust)
    alarms: list[Trip] = []
    matcher = open_matcher(
        lists,
        benign=open_lists(benign_paths, shape, algorithm, skip_bad_rows, trust),
        min_sources=min_sources,
        # One scan fills one queue, however long it takes.
        breaker=Breaker(breaker_limit, window=None, on_trip=alarms.append)
        if breaker_limit
        else None,
        max_distance=max_distance,
        min_quality=min_quality,
        variants=variants,
        include_hash=include_hash,
    )
    _check_places(source, out, report, kept_in, state)
    if (kept_in is None) != (keep_for is None):
        raise UsageError("--keep-hashes and --keep-for go together: where, and how long")
    keep = None if kept_in is None or keep_for is None else (kept_in, keep_for)
    images = registry.open_source(source, where)
    total = images.count()
    if total == 0:
        raise SourceError(f"{source}: no images in it")
    # Both are opened before the first image: hours of work are not lost to a slip in a name.
    counts = OutputFile(Path(report)) if report is not None else None
    done = ScanReport(matcher, alarms=alarms)
    try:
        sink = registry.open_sink(None if out == "-" else Path(out))
        found: AbstractContextManager[Iterator[Result]]
        if state is None:
            found = scanned(images, matcher, done, workers, in_process, keep)
        else:
            about = about_scan(
                source,
                matcher,
                surface=surface,
                max_distance=max_distance,
                min_quality=min_quality,
                variants=variants,
                include_hash=include_hash,
                min_sources=min_sources,
                breaker=breaker_limit,
            )
            how = workers, in_process, keep
            found = resumed(state, about, images, matcher, done, sink, *how, quiet=quiet)
        _run(found, sink, done, total, out, quiet)
        sink.close()
    except BaseException:
        if counts is not None:
            counts.discard()
        raise
    finally:
        _raise_alarms(alarms)
    done.finish()
    if not quiet:
        name_problems(done.problems, verbose)
        _summary(done)
    if counts is not None:
        counts.write(done.to_json().decode() + "\n")
        counts.close()
    if strict and done.unhashed:
        ctx.exit(Exit.SOME_UNHASHED)


def _raise_alarms(alarms: Sequence[Trip]) -> None:
    """Name the entries that flooded the queue; quiet or not, somebody has to look at them."""
    for trip in alarms:
        entry = printable(f"{trip.entry} of list {trip.list}, version {trip.list_version},")
        click.echo(
            f"alarm: entry {entry} has {trip.records:,} records for review; "
            "records that match nothing else are suppressed",
            err=True,
        )


def _check_places(source: str, out: str, *others: str | None) -> None:
    """Refuse to write where the scan would read, or two things to one place."""
    given = (out if out != "-" else None, *others)
    places = [Path(place).resolve() for place in given if place is not None]
    if len(set(places)) < len(places):
        raise UsageError(f"{out}: records, report, hashes and state go each to a place of its own")
    for place in places:
        if Path(source).is_dir() and place.is_relative_to(Path(source).resolve()):
            raise UsageError(f"{place} is inside of {source}, which is scanned; write it elsewhere")


def _run(
    found: AbstractContextManager[Iterator[Result]],
    sink: Sink,
    report: ScanReport,
    total: int | None,
    out: str,
    quiet: bool,
) -> None:
    """Scan; whatever stops it early is told with how far it came and where its records are."""
    from hashmatch.records.review import ReviewRecord

    try:
        with found as results, progress(total, quiet, "matches", report.listed) as advance:
            for result in results:
                report.add(result)
                if isinstance(result, ReviewRecord):
                    sink.write(result)
                advance(report.records)
    except BaseException as error:
        sink.abandon()
        part = Path(f"{out}.part")
        rest = f"; records so far are in {part}" if out != "-" and part.exists() else ""
        stopped = f"stopped after {report.listed:,} of {total or '?'} images{rest}"
        if isinstance(error, HashmatchError):
            raise type(error)(f"{error}; {stopped}") from None
        if isinstance(error, KeyboardInterrupt) and not quiet:
            click.echo(printable(stopped), err=True)
        raise


def _summary(report: ScanReport) -> None:
    from rich.table import Table

    from hashmatch.records.enums import Outcome

    table = Table(title="What became of the images", title_justify="left")
    table.add_column("outcome")
    table.add_column("images", justify="right")
    for outcome, count in report.outcomes.items():
        if count or outcome in {Outcome.MATCH, Outcome.NO_MATCH}:
            table.add_row(outcome.value, f"{count:,}")
    table.add_section()
    table.add_row("listed", f"{report.listed:,}")
    screen = console()
    screen.print(table)
    matcher = report.matcher
    lists = matcher.lists if matcher is not None else ()
    benign = matcher.protection.lists if matcher is not None else ()
    for what, known in [("list", one) for one in lists] + [("benign list", one) for one in benign]:
        left_out = f", {len(known.rejected):,} bad rows left out" if known.rejected else ""
        screen.print(
            f"{what} {printable(known.name)} version {known.version}: {len(known):,} "
            f"{known.spec.algorithm} entries{left_out}",
            markup=False,
        )
    why = [f"{count:,} {reason}" for reason, count in report.suppressed.items() if count]
    if why:
        screen.print(f"suppressed: {', '.join(why)}", markup=False)
    rate = report.listed / report.seconds if report.seconds else 0.0
    screen.print(
        f"{report.records:,} records for review, in {report.seconds:.1f} s ({rate:,.0f} images/s)"
    )
