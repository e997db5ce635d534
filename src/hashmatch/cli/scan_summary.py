"""What ``hashmatch scan`` says to people at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hashmatch.cli.terminal import console, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.breaker import Trip
    from hashmatch.reporting import ScanReport


def raise_alarms(alarms: Sequence[Trip]) -> None:
    """Name the entries that flooded the queue; quiet or not, somebody has to look at them."""
    for trip in alarms:
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
