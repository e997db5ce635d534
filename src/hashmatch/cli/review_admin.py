"""``hashmatch review purge`` and ``settings``: how long a queue keeps what, and how it works."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import click

from hashmatch.cli.command import command
from hashmatch.cli.console import print_json, printable, working
from hashmatch.cli.options import by_option, json_option, open_queue, queue_argument, quiet_option
from hashmatch.cli.units import DURATION, LABEL_TIME, NAME_BITS, once_each
from hashmatch.records.times import format_duration

HOUR = timedelta(hours=1)
"""What a label's weight is in, in Python."""


@command(
    short_help="Remove records that have expired.",
    epilog="Python: ReviewQueue.purge()",
)
@queue_argument
@click.option(
    "--yes", is_flag=True, help="Remove them. Without this, only count what would be removed."
)
@by_option
@json_option
@quiet_option
def purge(queue: str, yes: bool, who: str, as_json: bool, quiet: bool) -> None:
    """Remove records that have expired: not decided in time, or found not to be a match.

    Their ids stay, so that the next scan does not add them again. Cases that are confirmed or
    escalated are kept until they are released, and cases that were reported until their time is
    over. See --keep-pending and --keep-rejected of hashmatch
    review settings.

    \b
    hashmatch review purge queue.db
    hashmatch review purge queue.db --yes
    """  # noqa: D301  (the backspace tells click to keep the lines)
    with open_queue(queue) as opened, working("looking for what has expired", quiet):
        purged = opened.purge(dry_run=not yes, who=who)
    if as_json:
        print_json({**purged._asdict(), "records": purged.records, "removed": yes})
        return
    if quiet:
        return
    what = "were removed" if yes else "would be removed (--yes does it)"
    click.echo(
        f"{purged.pending:,} undecided, {purged.rejected:,} rejected and {purged.confirmed:,} "
        f"released records {what}; {purged.cases:,} cases have none left"
    )


@command(
    "settings",
    short_help="Show or change the settings of a queue.",
    epilog="Python: ReviewQueue.settings, ReviewQueue.change(settings)",
)
@queue_argument
@click.option(
    "--two-reviewers/--one-reviewer",
    "two_reviewers",
    default=None,
    help="Whether two people must confirm, without seeing each other's answer.",
)
@click.option("--lease", type=DURATION, help="How long a case stays with the person who took it.")
@click.option("--undo", type=DURATION, help="How long a decision can be undone.")
@click.option(
    "--in-a-row",
    type=click.IntRange(1),
    metavar="N",
    help="How many cases until a pause is suggested.",
)
@click.option("--pause", type=DURATION, help="How long the suggested pause is.")
@click.option("--keep-pending", type=DURATION, help="How long records without a decision are kept.")
@click.option(
    "--keep-rejected", type=DURATION, help="How long records that are not a match are kept."
)
@click.option(
    "--keep-reported",
    type=DURATION,
    help="How long cases that were reported are preserved: 368d, which is a year, or longer.",
)
@click.option(
    "--hold-confirmed/--no-hold-confirmed",
    "hold_confirmed",
    default=None,
    help="Whether confirmed and escalated cases are kept until they are released.",
)
@click.option(
    "--same-picture",
    multiple=True,
    type=NAME_BITS,
    callback=once_each,
    help="Most bits that hashes of one picture differ in, by algorithm. Repeatable.",
)
@click.option(
    "--label-weight",
    multiple=True,
    type=LABEL_TIME,
    callback=once_each,
    help="How much waiting time a label counts as; 0s removes it. Repeatable.",
)
@by_option
@json_option
def settings(
    queue: str,
    same_picture: tuple[tuple[str, int], ...],
    label_weight: tuple[tuple[str, timedelta], ...],
    who: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Show or change the settings of QUEUE.

    Times are 30d, 12h, 10m or 90s; with --json they are printed in seconds. How long a decision
    can be undone is fixed when it is made.

    \b
    hashmatch review settings queue.db
    hashmatch review settings queue.db --two-reviewers --label-weight A1=48h
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from dataclasses import fields, replace

    with open_queue(queue) as opened:
        before = opened.settings
        changes = {name: value for name, value in given.items() if value is not None}
        if same_picture:
            changes["same_picture"] = {**before.same_picture, **dict(same_picture)}
        if label_weight:
            weights = {name: time / HOUR for name, time in label_weight}
            changes["label_weights"] = {
                name: hours for name, hours in {**before.label_weights, **weights}.items() if hours
            }
        after = replace(before, **changes)
        if after != before:
            opened.change(after, who=who)
    values = {field.name: getattr(after, field.name) for field in fields(after)}
    values["label_weights"] = {
        name: hours * HOUR for name, hours in sorted(after.label_weights.items())
    }
    if as_json:
        print_json(_in_seconds(values))
        return
    for name, value in values.items():
        click.echo(printable(f"{name.replace('_', '-')}: {_shown(value)}"))


def _in_seconds(value: Any) -> Any:
    """Return a setting for JSON."""
    if isinstance(value, Mapping):
        return {name: _in_seconds(each) for name, each in value.items()}
    return value.total_seconds() if isinstance(value, timedelta) else value


def _shown(value: Any) -> str:
    """Return a setting for people, as options take it."""
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_shown(each)}" for name, each in value.items()) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
