"""``hashmatch rescan``: hashes that earlier scans kept, against what was added to a list since."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.console import console
from hashmatch.cli.lists_and_matcher import open_store, trust_options
from hashmatch.cli.options import (
    algorithm_option,
    disabled_option,
    max_distance_option,
    open_matcher,
    quiet_option,
)
from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.hash_list import HashList


@click.command(
    short_help="Match kept hashes with what was added to a list.",
    epilog="Python: hashmatch.rescan_kept(folder, store, make_matcher)",
)
@click.argument("kept")
@click.option("-l", "--list", "store", required=True, metavar="STORE", help="A list store.")
@algorithm_option
@max_distance_option
@click.option(
    "--since",
    type=click.IntRange(1),
    metavar="N",
    help="Match what version N of the list had not. [default: that of each scan]",
)
@click.option(
    "-o",
    "--out",
    default="-",
    metavar="FILE",
    help="Where records go: .jsonl or .csv. [default: -]",
)
@disabled_option
@trust_options
@quiet_option
def rescan(
    kept: str,
    store: str,
    algorithm: str,
    max_distance: int | dict[str, int] | None,
    since: int | None,
    out: str,
    disabled: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Match the hashes in KEPT with what was added to a list since they were scanned.

    KEPT is a folder that hashmatch scan --keep-hashes filled. No image is fetched again. Hashes
    that may no longer be kept are removed first.

    \b
    hashmatch scan photos --list lists/hotline --surface profile_photo \\
        --keep-hashes kept --keep-for 30d --out review.jsonl
    hashmatch list update lists/hotline changes.jsonl
    hashmatch rescan kept --list lists/hotline --out more.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch import registry
    from hashmatch.cli.lists_and_matcher import reference_key
    from hashmatch.lists.exclusions import leave_out, read_disabled
    from hashmatch.scan.hash_archive import purge
    from hashmatch.scan.rescan import rescan_kept

    if out != "-" and Path(out).resolve().is_relative_to(Path(kept).resolve()):
        raise UsageError(f"{out} is inside of {kept}; write it elsewhere")
    opened = open_store(store, options)
    left_out = () if disabled is None else read_disabled(disabled)
    removed = purge(kept)
    pictures = records = 0

    def looked_up(count: int) -> None:
        nonlocal pictures
        pictures += count

    def make(known: HashList) -> Matcher:
        known = leave_out(known, left_out, reference_key())
        return open_matcher([known], max_distance=max_distance)

    sink = registry.open_sink(None if out == "-" else Path(out))
    try:
        for record in rescan_kept(
            kept, opened, make, algorithm=algorithm, since=since, on_pictures=looked_up
        ):
            sink.write(record)
            records += 1
    except BaseException:
        sink.abandon()
        raise
    sink.close()
    if not quiet:
        expired = f"; {removed:,} files were too old, and removed" if removed else ""
        console().print(
            f"{pictures:,} pictures kept, {records:,} records for review{expired}", markup=False
        )
