"""``hashmatch review history``: who did what in a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.command import command, did_you_mean
from hashmatch.cli.console import print_json, print_line, printable
from hashmatch.cli.options import json_option, open_queue, queue_argument
from hashmatch.cli.units import MOMENT, format_moment
from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from hashmatch.review.results import Event


@command(
    short_help="Show who did what: log-ins, views of pictures, decisions.",
    epilog="Python: ReviewQueue.history()",
)
@queue_argument
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="Only events of this kind, such as logged_in, uncovered or decided. Repeatable.",
)
@click.option("--who", metavar="NAME", help="Only events of this person.")
@click.option("--since", type=MOMENT, help="Only what has changed since.")
@json_option
def history(
    queue: str, kinds: tuple[str, ...], who: str | None, since: datetime | None, as_json: bool
) -> None:
    """Print a line for each event in QUEUE, oldest first: who did what, and when.

    \b
    hashmatch review history queue.db --kind uncovered --kind logged_in
    hashmatch review history queue.db --who ana --since 2026-11-01
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.history import KINDS

    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(
                f"cannot show events of kind {kind!r}: it is none of {', '.join(KINDS)}."
                f"{did_you_mean(kind, KINDS)}"
            )
    with open_queue(queue) as opened:
        for event in opened.history():
            if (
                (kinds and event.kind not in kinds)
                or (who is not None and event.who != who)
                or (since is not None and event.at < since)
            ):
                continue
            if as_json:
                print_json(event_fields(event))
            else:
                case = f"  {event.case_id}" if event.case_id else ""
                print_line(f"{event.number}  {event_line(event)}{case}")


def event_fields(event: Event) -> dict[str, Any]:
    """Return an event for JSON, without the digest of a reviewer's token."""
    from dataclasses import asdict

    fields = asdict(event)
    fields["body"] = {name: value for name, value in event.body.items() if name != "token"}
    return fields


def event_line(event: Event) -> str:
    """Return an event as a line for people."""
    text = f"{format_moment(event.at)} {event.who}: {event.kind} {_detail(event)}"
    return printable(text.rstrip())


def _detail(event: Event) -> str:
    from hashmatch.review.text import moment

    body = event.body
    if event.kind == "login_failed":
        name = "unknown names" if body["name"] is None else f"the name {body['name']}"
        return f"{body['count']:,} with {name}"
    if event.kind == "uncovered":
        second = f", at {body['second']:g} s" if "second" in body else ""
        return f"{body['record']}, {body['extent']}{second}"
    if event.kind == "exif_viewed":
        return str(body["record"])
    if event.kind == "draft_chosen":
        values = "; ".join(body["values"]) or "none of them"
        return f"{body['destination']}, {body['question']}: {values}"
    if event.kind == "preserved":
        return f"for report {body['report']}, until {format_moment(moment(body['until']))}"
    if event.kind == "preservation_asked":
        return f"to {body['action']}: {body['reason']}"
    if event.kind == "request_answered":
        return f"{body['reference']}, given to {body['to']}"
    if event.kind == "added":
        return f"{body['records']:,} records"
    if event.kind == "purged":
        return f"{len(body['items']):,} records"
    if event.kind in {"disabled", "enabled"}:
        return f"{body['entry']} of {body['list']}: {body['reason']}"
    names = ("verdict", "reason", "name", "endpoint", "destination", "reference")
    return next((str(body[name]) for name in names if body.get(name)), "")
