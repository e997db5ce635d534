"""``hashmatch rescan``: hashes that earlier scans kept, against the lists of today."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.command import command, option
from hashmatch.cli.console import Progress, console, flush_output
from hashmatch.cli.lists_and_matcher import MatcherOptions, warn
from hashmatch.cli.options import (
    allow_private_option,
    breaker_option,
    evidence_options,
    list_options,
    quiet_option,
    shape_options,
    video_threshold_option,
)
from hashmatch.cli.scan_output import raise_alarms
from hashmatch.cli.units import FOLDER, RECORDS
from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from hashmatch.matching.matcher import Matcher
    from hashmatch.scan.rescan import Archive, KeptHashes


def open_archive(kept: str, allow_private: tuple[str, ...]) -> Archive:
    """Return the kept hashes of scans in a folder, or tables of hashes."""
    from hashmatch.scan.hash_archive import HashArchive

    if "://" not in kept and not _is_table(kept):
        return HashArchive(kept)
    from hashmatch.arrow.hash_table import HashTable

    return HashTable(kept, allow_private=allow_private)


def _is_table(path: str) -> bool:
    """Return whether a path is a table of hashes, or a folder of tables."""
    if path.endswith(".parquet"):
        return True
    return os.path.isdir(path) and any(name.endswith(".parquet") for name in os.listdir(path))


def is_kept(path: str) -> bool:
    """Return whether hashes are kept at a path, and no pictures."""
    from hashmatch.scan.hash_archive import SUFFIX

    if "://" in path:
        return False
    return _is_table(path) or (
        os.path.isdir(path) and any(name.endswith(SUFFIX) for name in os.listdir(path))
    )


@command(
    short_help="Match kept hashes with the lists of today.",
    epilog="Python: hashmatch.rescan_archive(folder, make_matcher)",
)
@click.argument("kept", type=FOLDER)
@list_options
@evidence_options
@video_threshold_option
@breaker_option
@option(
    "--since-version",
    "since",
    type=click.IntRange(1),
    metavar="N",
    help="Leave out the records that version N of the lists makes, which must be stores. "
    "[default: leave out the records of the scans]",
)
@option(
    "-o",
    "--out",
    type=RECORDS,
    default="-",
    metavar="FILE",
    help="Where records go, a file that ends in {endings}. [default: -]",
)
@allow_private_option
@quiet_option
@shape_options
def rescan(
    *,
    kept: str,
    since: int | None,
    out: str,
    quiet: bool,
    allow_private: tuple[str, ...],
    **options: Any,
) -> None:
    """Match kept hashes with the lists of today, and write the records that are new.

    KEPT is the folder of scan --keep-hashes, or a table of hash --out, a folder of tables or a
    bucket's, s3://BUCKET/FOLDER. No picture is fetched again. Hashes older than their --keep-for
    are removed first. Of a table, all records are written, unless there is --since-version.

    Give the lists, limits and rules that a scan would get. --variants and --min-quality are those
    of the scans.

    \b
    hashmatch scan photos --list lists/hotline --surface profile_photo \\
        --keep-hashes kept --keep-for 30d --out review.jsonl
    hashmatch list update lists/hotline changes.jsonl
    hashmatch rescan kept --list lists/hotline --out more.jsonl
    hashmatch hash photos --surface profile_photo --out hashes.parquet
    hashmatch rescan hashes.parquet --list lists/hotline --out review.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch import registry
    from hashmatch.scan.hash_archive import HashArchive
    from hashmatch.scan.rescan import rescan_archive

    archive = open_archive(kept, allow_private)
    rules = MatcherOptions.taken(options)
    open_matcher, before = rules.open(), None if since is None else rules.open(since)
    matchers: list[Matcher] = []
    removed = archive.purge() if isinstance(archive, HashArchive) else 0
    pictures = records = 0
    passed_over: dict[str, int] = {}

    def make(**how: Any) -> Matcher:
        matchers.append(open_matcher(**how))
        return matchers[-1]

    def looked_up(file: KeptHashes, reason: str) -> None:
        nonlocal pictures
        pictures += len(file)
        bar.advance(len(file))
        if reason:
            passed_over[reason] = passed_over.get(reason, 0) + len(file)

    if isinstance(archive, HashArchive) and not removed and next(archive.files(), None) is None:
        raise UsageError(f"cannot rescan {kept}: no kept hashes are in it. Check the folder.")
    sink = registry.open_sink(None if out == "-" else Path(out))
    bar = Progress(None, quiet, unit="pictures")
    try:
        with bar:
            for record in rescan_archive(archive, make, before=before, on_file=looked_up):
                sink.write(record)
                records += 1
    except BaseException:
        sink.abandon()
        raise
    finally:
        for matcher in matchers:
            raise_alarms(matcher)
    sink.close()
    flush_output()  # or else the summary would be of records that cannot be written
    warn([f"{n:,} pictures were not looked up: {reason}" for reason, n in passed_over.items()])
    if not quiet:
        expired = f"; {removed:,} files were too old, and removed" if removed else ""
        left_out = sum(passed_over.values())
        of_them = f", {pictures - left_out:,} of them looked up" if left_out else ""
        console().print(
            f"{pictures:,} pictures kept{of_them}, {records:,} records for review{expired}",
            markup=False,
        )
