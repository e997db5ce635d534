"""``hashmatch scan``: every image of a source against known-hash lists; and ``scan status``."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.command import Command, command, did_you_mean
from hashmatch.cli.console import (
    Exit,
    console,
    flush_output,
    name_problems,
    print_json,
    print_line,
    printable,
)
from hashmatch.cli.lists_and_matcher import MatcherOptions
from hashmatch.cli.options import (
    allow_private_option,
    allow_readable_option,
    breaker_option,
    chrome_option,
    evidence_options,
    hashing_options,
    job_options,
    json_option,
    list_options,
    output_options,
    processors,
    quiet_option,
    shape_options,
    source_options,
    strict_option,
    verbose_option,
    video_options,
    waive_sandbox,
)
from hashmatch.cli.scan_engine import check_engine, is_folder, parted_scan
from hashmatch.cli.scan_output import (
    about_job,
    observers,
    on_screen,
    open_sinks,
    raise_alarms,
    summary,
)
from hashmatch.cli.units import FOLDER, SOURCE
from hashmatch.errors import HashmatchError, SourceError, UsageError
from hashmatch.records.safeguards import Waiver

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

    from hashmatch.cli.scan_output import Sinks
    from hashmatch.interfaces import Source
    from hashmatch.matching.matcher import Matcher
    from hashmatch.scan.checkpoint import Checkpoint
    from hashmatch.scan.events import Observe, Result
    from hashmatch.scan.hash_archive import HashArchive
    from hashmatch.scan.parts.output import Format
    from hashmatch.scan.report import ScanReport
    from hashmatch.scan.scan import ScanOptions

SHOWN = 8
"""Kinds of suffix that are named."""
LOCAL = "tar://", "zip://"


class ScanCommand(Command):
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
            return status.make_context("scan status", args[1:], parent=parent, **extra)
        is_misspelt = len(args) == 2 and bool(did_you_mean(args[0], ["status"]))
        if is_misspelt and not args[1].startswith("-") and not os.path.exists(args[0]):
            raise click.UsageError(
                f"cannot scan {args[0]}: there is no such source. Did you mean 'scan status'?",
                parent,
            )
        return super().make_context(info_name, args, parent=parent, **extra)


@command(
    short_help="Show how far scans have come.",
    epilog="Python: hashmatch.Checkpoint(folder).scans()",
)
@click.argument("state", type=FOLDER)
@allow_readable_option
@json_option
def status(state: str, as_json: bool) -> None:
    """Show how far the scans in STATE have come, the folder of scan --state.

    \b
    hashmatch scan status state
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.errors import CheckpointError
    from hashmatch.scan.checkpoint import FILE, Checkpoint
    from hashmatch.scan.events import Counters
    from hashmatch.scan.parts.manifest import SCANS, Manifest
    from hashmatch.scan.parts.place import open_place

    is_one = os.path.exists(os.path.join(state, FILE))
    is_parted = "://" in state or os.path.isdir(os.path.join(state, SCANS))
    if not is_one and not is_parted:
        raise CheckpointError(
            f"cannot read {state}: it has no state of a scan. Give the folder of scan --state."
        )
    scans = []
    if is_one:
        with Checkpoint(state, reading=True) as checkpoint:
            scans = checkpoint.scans()
    if is_parted:
        scans += [one.status() for one in Manifest.all(open_place(state, new=False))]
    if as_json:
        for scan in scans:
            print_json(scan)
        return
    for scan in scans:
        counters = Counters(outcomes=scan["outcomes"])
        source, _, shard = scan["about"]["source"].partition(" shard=")
        lists = ", ".join(f"{name} {version}" for name, version, _ in scan["about"]["lists"])
        counts = [f"{scan['listed']:,} accounted for", f"{counters.records:,} for review"]
        counts += [f"{n:,} {name}" for name, n in counters.outcomes.items() if n]
        parts = []
        if "parts" in scan:
            known = scan["parts"]
            so_far = "" if known["listing_ended"] else " that are listed so far"
            parts = [f"  parts:  {known['done']:,} of {known['listed']:,} done{so_far}"]
        for line in (
            f"scan {scan['name']}",
            f"  source: {source}{f' ({shard})' if shard else ''}",
            f"  lists:  {lists}",
            f"  begun:  {scan['begun']}",
            f"  ended:  {scan['ended'] or 'not yet'}",
            f"  images: {', '.join(counts)}",
            *parts,
            *(f"  {Waiver(**waiver)}" for waiver in scan["waivers"]),
        ):
            print_line(printable(line))


@contextmanager
def scan_options(
    workers: int, readers: int, limit_rate: float | None, in_process: bool
) -> Iterator[tuple[ScanOptions, str]]:
    """Give what a scan is done with, and what closed in what decodes its images."""
    from hashmatch.retry import Limits, Tries
    from hashmatch.scan.report import ScanReport
    from hashmatch.scan.scan import ScanOptions

    tries = Tries(Limits(rate=limit_rate))
    if in_process:
        waive_sandbox()
        yield ScanOptions(workers, None, tries, readers), ScanReport.sandbox
        return
    from hashmatch.sandbox.pool import DecodePool

    with DecodePool(workers) as pool:
        # A file that holds its worker up may have a thread to itself.
        yield ScanOptions(2 * workers, pool.pictures, tries, readers), pool.report


@contextmanager
def one_scan(
    images: Source,
    matcher: Matcher,
    done: ScanReport,
    observe: Sequence[Observe],
    checkpoint: Checkpoint | None,
    archive: HashArchive | None,
    shadow: int | dict[str, int] | None,
    **options: Any,
) -> Iterator[Iterator[Result]]:
    """Give the results of a scan by this process."""
    from hashmatch.scan.scan import scan_source

    with (
        scan_options(**options) as (how, done.sandbox),
        closing(
            scan_source(
                images, matcher, options=how, checkpoint=checkpoint, archive=archive,
                observe=[done, *observe], shadow=shadow,
            )
        ) as results,
    ):  # fmt: skip
        yield results


@contextmanager
def reporting(path: str | None, done: ScanReport, matcher: Matcher) -> Iterator[None]:
    """Write the report of a scan if it comes to its end; name the alarms whatever happens."""
    from hashmatch._files.atomic import OutputFile

    # Opened before the first image: hours of work are not lost to a slip in a name.
    counts = OutputFile(path) if path is not None else None
    try:
        yield
        done.finish()
    except BaseException:
        if counts is not None:
            counts.abandon()
        raise
    finally:
        raise_alarms(matcher)
    if counts is not None:
        counts.write(done.to_json().decode() + "\n")
        counts.close()


@contextmanager
def told_if_stopped(
    sinks: Sinks, done: ScanReport, total: int | None, out: str | None, quiet: bool
) -> Iterator[None]:
    """Add to the error that stops a scan how far it came and where its records are."""
    try:
        yield
    except BaseException as error:
        sinks.abandon()
        part = Path(f"{out}.part")
        rest = f"; records so far are in {part}" if out != "-" and part.exists() else ""
        of = f" of {total:,}" if total else ""
        stopped = f"stopped after {done.counters.done:,}{of} images{rest}"
        if isinstance(error, HashmatchError):
            raise type(error)(f"{str(error).rstrip('.')}; {stopped}") from None
        if isinstance(error, KeyboardInterrupt) and not quiet:
            click.echo(printable(stopped), err=True)
        raise


@command(
    cls=ScanCommand,
    short_help="Check a folder or bucket of pictures against lists.",
    epilog="Python: hashmatch.scan_source(source, matcher, surface=...)",
)
@click.argument("source", type=SOURCE)
@source_options
@allow_private_option
@list_options
@hashing_options
@video_options
@output_options
@evidence_options
@chrome_option
@breaker_option
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
    surface: str,
    allow_private: tuple[str, ...],
    out: str | None,
    out_format: Format | None,
    review: str | None,
    report: str | None,
    include_hash: bool,
    kept_in: str | None,
    keep_for: timedelta | None,
    state: str | None,
    shard: tuple[int, int] | None,
    shadow: int | dict[str, int] | None,
    engine: str | None,
    part_size: int | None,
    dry_run: bool,
    log_json: str | None,
    metrics: str | None,
    strict: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Check every picture of SOURCE against lists and write a review record for each match.

    SOURCE is a folder or file, or a URL that begins with {schemes}. Buckets are s3://BUCKET/FOLDER,
    gs and az alike; lists of pictures are manifest://FILE?base=PLACE, jsonl and parquet alike, or
    https://HOST/FILE; archives are tar://FILE and zip://FILE.

    Records are JSON lines on standard output unless --out or --review says otherwise. Each record
    is for a person to review: hashmatch takes no action of its own. Records that --benign,
    --min-sources or --breaker suppress are written too, with the reason, but not queued.

    With --state, an interrupted scan resumes where it stopped. --out then has all records of all
    runs, and is the same as if nothing had stopped the scan. With --engine it may be a folder, or
    one of a bucket, with a file for each part and a manifest.

    \b
    hashmatch scan photos/ --list known.csv --surface profile_photo > review.jsonl
    hashmatch scan photos/ --list pdq.csv --list md5=md5.txt --surface public_post
    hashmatch scan s3://photos/2026 --list known.csv --surface profile_photo \\
        --review queue.db --state state --shard 0/8 --limit-rate 50M
    hashmatch scan photos/ --list known.csv --surface profile_photo \\
        --out review.jsonl --engine local:4 --state state
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch import registry
    from hashmatch.records.enums import Surface
    from hashmatch.records.review import ReviewRecord
    from hashmatch.scan.checkpoint import Checkpoint
    from hashmatch.scan.hash_archive import HashArchive
    from hashmatch.scan.report import ScanReport
    from hashmatch.scan.shard import Shard

    if out is None and review is None:
        out = "-"
    where = Surface.parse(surface)
    check_engine(engine, state, part_size, kept_in, options["limit_rate"], out, out_format, shadow)
    rules = MatcherOptions.taken(options)
    matcher = rules.open()(include_hash=include_hash or review is not None)
    if (kept_in is None) != (keep_for is None):
        raise UsageError(
            "cannot keep hashes: --keep-hashes and --keep-for go together. Give both, or neither."
        )
    with ExitStack() as stack:
        images = stack.enter_context(
            closing(registry.open_source(source, where, allow_private=allow_private))
        )
        if shard is not None:
            images = Shard(images, *shard)
        if dry_run:
            show_estimate(source, images, matcher, shard, **options)
            return
        total = images.count()
        if total == 0:
            raise SourceError(f"cannot scan {source}: there are no images in it. Check it.")
        expect(matcher, total, shadow, quiet)
        # Before any file is opened: another scan that is under way keeps its own.
        checkpoint = None
        if engine is None and state is not None:
            checkpoint = stack.enter_context(Checkpoint(state))
        archive = None if kept_in is None else HashArchive(kept_in, keep_for)
        about = about_job(source, surface, shard, matcher)
        told = stack.enter_context(observers(log_json, metrics, out, about))
        done = ScanReport(matcher, shadow=shadow is not None)

        with reporting(report, done, matcher):
            sinks = open_sinks(
                None if is_folder(engine, out) else out, review, source, include_hash
            )
            with (
                told_if_stopped(sinks, done, total, out, quiet),
                on_screen(total, quiet) as screen,
                one_scan(
                    images, matcher, done, [*told, screen], checkpoint, archive, shadow, **options
                )
                if engine is None
                else parted_scan(
                    ctx, rules, matcher, done, [*told, screen],
                    source=source, surface=where, shard=shard, allow_private=allow_private,
                    engine=engine, part_size=part_size, state=state, out=out,
                    out_format=out_format, include_hash=review is None or include_hash, **options,
                ) as results,
            ):  # fmt: skip
                for result in results:
                    done.add(result)
                    if isinstance(result, ReviewRecord):
                        sinks.write(result)
            if not done.counters.listed and shard is None:
                sinks.abandon()
                raise SourceError(
                    f"cannot scan {source}: there are no images in it. Check the path."
                )
            sinks.close()
            flush_output()  # or else the summary would be of records that cannot be written
            done.queued = sinks.queued
    if not quiet:
        name_problems(done.problems, verbose)
        summary(done)
    if strict and done.unhashed:
        ctx.exit(Exit.SOME_UNHASHED)


def expect(
    matcher: Matcher,
    total: int | None,
    shadow: int | dict[str, int] | None = None,
    quiet: bool = False,
) -> None:
    """Say how many false records to expect, by the lists that were calibrated.

    First of all a `shadow` limit is refused that is not above the limit.
    """
    from hashmatch.scan.shadow import shadow_limits

    if shadow is not None:
        shadow_limits(matcher, shadow)
    if quiet or not any(known.calibrations for known in matcher.lists):
        return
    from hashmatch.calibration.report import expectations

    for line in expectations(matcher, total):
        click.echo(printable(line), err=True)


def show_estimate(
    name: str,
    source: Source,
    matcher: Matcher,
    shard: tuple[int, int] | None,
    *,
    workers: int,
    **options: Any,
) -> None:
    """List `source`, read and hash a few of its images, and print what a scan would take."""
    from rich.filesize import decimal

    from hashmatch.scan.estimate import estimate

    with scan_options(workers, **options) as (how, _):
        found = estimate(source, matcher, replace(how, threads=min(workers, processors())))
    if not found.items and shard is None:
        raise SourceError(f"cannot scan {name}: there are no images in it. Check it.")
    screen = console(stderr=False)
    unsized = f", and {found.unsized:,} of unknown size" if found.unsized else ""
    screen.print(f"{printable(name)}: {found.items:,} items, {decimal(found.bytes)}{unsized}",
                 markup=False)  # fmt: skip
    shown = list(found.suffixes.items())[:SHOWN]
    others = found.items - sum(count for _, count in shown)
    parts = [f"{count:,} {suffix or 'without a suffix'}" for suffix, count in shown]
    screen.print(", ".join([*parts, f"{others:,} others"] if others else parts), markup=False)
    if found.failed == found.sampled:
        screen.print(
            f"none of {found.sampled} of them could be read: what a scan would take is not known"
        )
        return
    failed = f", {found.failed} of which could not be read" if found.failed else ""
    screen.print(
        f"{found.sampled} of them{failed}: {1000 * found.read_seconds:,.1f} ms each to read, "
        f"{1000 * found.hash_seconds:,.1f} ms to decode and hash"
    )
    limit = options["limit_rate"]
    rate = f", {decimal(int(limit))} a second" if limit else ""
    screen.print(
        f"a scan would take about {_time(found.seconds)}, with {workers} workers and "
        f"{how.readers} reads at once{rate}"
    )
    if "://" in name and not name.startswith(LOCAL):
        screen.print(f"and about {found.requests:,} requests, as many as fail besides")
    expect(matcher, found.items)
    screen.print("nothing was written, and nothing looked up")


def _time(seconds: float) -> str:
    """Return a time for people."""
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:,.1f} hours"
