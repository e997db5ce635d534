"""``hashmatch review`` commands of a queue's owner: purge, settings, reviewers, holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.console import print_json, print_line, printable
from hashmatch.cli.options import (
    by_option,
    case_options,
    json_option,
    open_queue,
    queue_argument,
)
from hashmatch.cli.units import DURATION, format_duration, format_moment
from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command(
    short_help="Remove the records that have expired.",
    epilog="Python: ReviewQueue.purge()",
)
@queue_argument
@click.option("--yes", is_flag=True, help="Remove them; otherwise only show what would be removed.")
@by_option
@json_option
def purge(queue: str, yes: bool, who: str, as_json: bool) -> None:
    """Remove records that nobody decided in time, and those that were not a match some time ago.

    Their ids stay, so that the next scan does not bring them back. What was confirmed or escalated
    is held until it is released. hashmatch review settings says how long.

    \b
    hashmatch review purge queue.db
    hashmatch review purge queue.db --yes
    """  # noqa: D301  (the backspace tells click to keep the lines)
    with open_queue(queue) as opened:
        purged = opened.purge(dry_run=not yes, who=who)
    if as_json:
        print_json({**purged._asdict(), "records": purged.records, "removed": yes})
        return
    what = "were removed" if yes else "would be removed (--yes does it)"
    click.echo(
        f"{purged.pending:,} undecided, {purged.rejected:,} rejected and {purged.confirmed:,} "
        f"released records {what}; {purged.cases:,} cases have none left"
    )


@click.command(
    "settings",
    short_help="Show or change how a queue works.",
    epilog="Python: ReviewQueue.settings, ReviewQueue.change(settings)",
)
@queue_argument
@click.option(
    "--two-reviewers/--one-reviewer",
    "two_reviewers",
    default=None,
    help="Whether a confirmation needs two people, blind to each other.",
)
@click.option("--lease", type=DURATION, help="After which a case that is held comes back.")
@click.option("--undo", type=DURATION, help="How long a decision can be taken back.")
@click.option(
    "--in-a-row", type=click.IntRange(1), metavar="N", help="Cases until a pause is suggested."
)
@click.option("--pause", type=DURATION, help="How long that is.")
@click.option("--keep-pending", type=DURATION, help="How long what nobody decided is kept.")
@click.option("--keep-rejected", type=DURATION, help="How long what is not a match is kept.")
@click.option(
    "--hold-confirmed/--no-hold-confirmed",
    "hold_confirmed",
    default=None,
    help="Whether what was confirmed or escalated is kept until it is released.",
)
@click.option(
    "--same-picture",
    multiple=True,
    metavar="NAME=BITS",
    help="By how many bits hashes of one picture may differ; repeatable.",
)
@click.option(
    "--label-weight",
    multiple=True,
    metavar="LABEL=HOURS",
    help="Hours of waiting that a label is worth, 0 for none; repeatable.",
)
@by_option
@json_option
def settings(
    queue: str,
    same_picture: tuple[str, ...],
    label_weight: tuple[str, ...],
    who: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Show how QUEUE works, or change it. Times are given as 30d, 12h, 10m or 90s.

    How long a decision can be undone is fixed when it is made. With --json, times are in seconds.

    \b
    hashmatch review settings queue.db
    hashmatch review settings queue.db --two-reviewers --label-weight A1=48
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from dataclasses import fields, replace
    from datetime import timedelta

    with open_queue(queue) as opened:
        before = opened.settings
        changes = {name: value for name, value in given.items() if value is not None}
        if same_picture:
            bits = {name: int(value) for name, value in _pairs(same_picture)}
            changes["same_picture"] = {**before.same_picture, **bits}
        if label_weight:
            hours = {**before.label_weights, **dict(_pairs(label_weight))}
            changes["label_weights"] = {name: value for name, value in hours.items() if value}
        after = replace(before, **changes)
        if after != before:
            opened.change(after, who=who)
    values = {field.name: getattr(after, field.name) for field in fields(after)}
    if as_json:
        for name, value in values.items():
            if isinstance(value, timedelta):
                values[name] = value.total_seconds()
        print_json(values)
        return
    for name, value in values.items():
        shown = value
        if isinstance(value, timedelta):
            shown = format_duration(value)
        elif isinstance(value, dict):
            shown = ", ".join(f"{name}={number:g}" for name, number in sorted(value.items()))
        elif isinstance(value, bool):
            shown = "yes" if value else "no"
        click.echo(printable(f"{name.replace('_', '-')}: {shown or 'none'}"))


def _pairs(given: Sequence[str]) -> list[tuple[str, float]]:
    found = []
    for text in given:
        name, equals, number = text.rpartition("=")
        try:
            if not name or not equals:
                raise ValueError
            found.append((name, float(number)))
        except ValueError:
            raise UsageError(f"cannot use {text!r}: it is not NAME=NUMBER") from None
    return found


@click.command(
    short_help="List, add or remove reviewers.",
    epilog="Python: ReviewQueue.reviewers",
)
@queue_argument
@click.option("--add", metavar="NAME", help="Add a reviewer; prints the token to log in with.")
@click.option("--remove", metavar="NAME", help="Remove a reviewer.")
@by_option
@json_option
def reviewers(queue: str, add: str | None, remove: str | None, who: str, as_json: bool) -> None:
    """List the reviewers of QUEUE, or add or remove one.

    A token is shown once; only its digest is kept. Add a reviewer again for another token.

    \b
    hashmatch review reviewers queue.db --add ana
    """  # noqa: D301  (the backspace tells click to keep the lines)
    with open_queue(queue) as opened:
        if remove is not None:
            opened.reviewers.remove(remove, who=who)
            click.echo(f"{printable(remove)} may review no longer", err=True)
        if add is not None:
            was_there = add in opened.reviewers.list()
            token = opened.reviewers.add(add, who=who)
            if was_there:
                click.echo(f"the token that {printable(add)} had is no longer good", err=True)
            if as_json:
                print_json({"name": add, "token": token})
            else:
                print_line(token)
        if add is not None or remove is not None:
            return
        found = opened.reviewers.list()
    for name, since in found.items():
        if as_json:
            print_json({"name": name, "since": since})
        else:
            click.echo(printable(f"{name} since {format_moment(since)}"))
    if not found:
        click.echo("there are no reviewers; --add NAME adds one", err=True)


@click.command(
    "look-again",
    short_help="Ask for a decided case to be reviewed again.",
    epilog="Python: ReviewQueue.look_again(case_id, who, reason)",
)
@click.option(
    "--everything",
    is_flag=True,
    help="Ask about all its records, not only those that joined it since.",
)
@case_options
def look_again(queue: str, case_id: str, everything: bool, who: str, reason: str) -> None:
    """Ask again about CASE: about records that joined it since it was decided, or else about all.

    \b
    hashmatch review look-again queue.db 17 --reason "an appeal" --everything
    """  # noqa: D301  (the backspace tells click to keep the lines)
    with open_queue(queue) as opened:
        case = opened.look_again(case_id, who, reason, everything=everything)
    click.echo(f"{case.case_id} waits for a person: {len(case.asked):,} of its records", err=True)


@click.command(
    short_help="Keep a case regardless of its age.",
    epilog="Python: ReviewQueue.hold(case_id, who, reason)",
)
@case_options
def hold(queue: str, case_id: str, who: str, reason: str) -> None:
    """Keep CASE until it is released, whatever was decided about it.

    \b
    hashmatch review hold queue.db 17 --reason "a court asked for it"
    """  # noqa: D301  (the backspace tells click to keep the lines)
    with open_queue(queue) as opened:
        opened.hold(case_id, who, reason)
    click.echo(f"{printable(case_id)} is kept until it is released", err=True)


@click.command(
    short_help="Let a case expire.", epilog="Python: ReviewQueue.release(case_id, who, reason)"
)
@case_options
def release(queue: str, case_id: str, who: str, reason: str) -> None:
    """Hold CASE no longer: it expires, from now on, as what is not a match does.

    \b
    hashmatch review release queue.db 17 --reason "reported and closed"
    """  # noqa: D301  (the backspace tells click to keep the lines)
    with open_queue(queue) as opened:
        opened.release(case_id, who, reason)
    click.echo(f"{printable(case_id)} is no longer held", err=True)


ADMIN = purge, settings, reviewers, look_again, hold, release
