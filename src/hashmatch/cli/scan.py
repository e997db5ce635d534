"""``hashmatch scan``: every image of a source against known-hash lists."""

from __future__ import annotations

from contextlib import ExitStack, closing
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
from hashmatch.cli.scan_job import Job, scan_to
from hashmatch.cli.scan_options import Means, job_options, output_options, source_options
from hashmatch.cli.scan_sinks import open_sinks
from hashmatch.cli.scan_summary import summary
from hashmatch.cli.scan_told import about_job, watchers
from hashmatch.cli.states import ScanCommand
from hashmatch.cli.terminal import Exit, name_problems
from hashmatch.errors import SourceError, UsageError

if TYPE_CHECKING:
    from datetime import timedelta


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
    from hashmatch.breaker import Breaker
    from hashmatch.records.enums import Surface
    from hashmatch.reporting import ScanReport
    from hashmatch.resuming import about_scan
    from hashmatch.sharding import Shard

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
            from hashmatch.cli.dry_run import dry_run as only_look

            only_look(source, images, matcher, means)
            return
        total = images.count()
        if total == 0:
            raise SourceError(f"{source}: no images in it")
        ledger = None
        if state is not None:
            from hashmatch.ledger import Ledger

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
