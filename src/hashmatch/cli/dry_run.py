"""``hashmatch scan --dry-run``: what there is, and what a scan of it would take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch.cli.scan_options import processors
from hashmatch.cli.terminal import console, printable

if TYPE_CHECKING:
    from hashmatch.cli.scan_options import Means
    from hashmatch.interfaces import Source
    from hashmatch.matcher import Matcher

SHOWN = 8
"""Kinds of suffix that are named."""
LOCAL = "tar://", "zip://"


def dry_run(name: str, source: Source, matcher: Matcher, means: Means) -> None:
    """List `source`, read and hash a few of its images, and print what a scan would take."""
    from hashmatch.errors import SourceError
    from hashmatch.estimating import estimate
    from hashmatch.reporting import ScanReport
    from hashmatch.scan import Effort

    with means.decoder(ScanReport()) as decode:
        effort = Effort(min(means.workers, processors()), decode, means.tries(), means.readers)
        found = estimate(source, matcher, effort)
    if not found.items:
        raise SourceError(f"{name}: no images in it")
    screen = console(stderr=False)
    unsized = f", and {found.unsized:,} of unknown size" if found.unsized else ""
    screen.print(f"{printable(name)}: {found.items:,} items, {_size(found.bytes)}{unsized}",
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
    rate = f", {_size(int(means.limit_rate))} a second" if means.limit_rate else ""
    screen.print(
        f"a scan would take about {_time(found.seconds)}, with {means.workers} workers and "
        f"{means.readers} reads at once{rate}"
    )
    if "://" in name and not name.startswith(LOCAL):
        screen.print(f"and about {found.requests:,} requests, as many as fail besides")
    screen.print("nothing was written, and nothing looked up")


def _size(count: int) -> str:
    """Return a number of bytes for people, in thousands."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.4g} TB"


def _time(seconds: float) -> str:
    """Return a time for people."""
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:,.1f} hours"
