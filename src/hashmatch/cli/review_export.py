"""``hashmatch review export``, ``push`` and ``secret``: decisions as files and as webhooks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from hashmatch.cli.console import Exit, print_json, printable
from hashmatch.cli.options import (
    allow_private_option,
    json_option,
    open_queue,
    queue_argument,
    quiet_option,
)
from hashmatch.cli.units import DURATION, INPUT, MOMENT, OUTPUT, TABLE, format_moment
from hashmatch.errors import ReviewError, UsageError

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from hashmatch.review.history import Head
    from hashmatch.review.queue import ReviewQueue
    from hashmatch.review.results import NotFinal
    from hashmatch.review.webhook.outbox import Outbox
    from hashmatch.review.webhook.sender import Pushed


@click.command(
    short_help="Write a queue to a file: JSON lines, CSV or Parquet.",
    epilog="Python: hashmatch.review.export.export_cases(queue, path)",
)
@queue_argument
@click.option(
    "-o",
    "--out",
    type=TABLE,
    default="-",
    metavar="FILE",
    help="Ends in .jsonl, .csv or .parquet; readable by you only. [default: -]",
)
@click.option(
    "--state",
    "states",
    multiple=True,
    metavar="STATE",
    help="Only cases in this state: pending_review, in_review, confirmed, not_a_match, unsure or "
    "escalated. Repeatable.",
)
@click.option(
    "--since",
    type=MOMENT,
    metavar="TIME",
    help="Only cases to which something happened since: a record came, or somebody decided.",
)
@click.option(
    "--confirmed",
    is_flag=True,
    help="Only what people confirmed and can no longer undo: what may be acted on.",
)
@json_option
@quiet_option
def export(
    queue: str,
    out: str,
    states: tuple[str, ...],
    since: datetime | None,
    confirmed: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write every record in QUEUE with its state and what was decided about it.

    A record that joined its case after that was decided is marked as inherited: nobody decided
    about it. --confirmed leaves such records out, and whatever may still be undone, and says how
    much and until when. No hash is in the file. With --json, what it came to is JSON: on standard
    output, or standard error if records go there.

    \b
    hashmatch review export queue.db --out queue.parquet
    hashmatch review export queue.db --confirmed --out confirmed.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.export import export_cases, export_confirmed

    if confirmed and states:
        raise UsageError("cannot use --state with --confirmed. Leave one of them out.")
    path = None if out == "-" else out
    left_out = None
    with open_queue(queue) as opened:
        if confirmed:
            cases = (
                case
                for case in opened.confirmed()
                if since is None or case.decisions[-1].decided_at >= since
            )
            count = export_confirmed(cases, path)
            left_out = opened.not_yet_confirmed()
        else:
            count = export_cases(opened, path, states=states, since=since)
    if as_json:
        fields: dict[str, object] = {"records": count, "out": path}
        if left_out is not None:
            fields["not_final"] = left_out
        print_json(fields, err=path is None)
    elif not quiet:
        if path is not None:
            click.echo(f"{count:,} records in {printable(out)}", err=True)
        if left_out is not None and left_out.until is not None:
            click.echo(
                f"{left_out.count:,} confirmed cases are left out: decisions can be undone until "
                f"{format_moment(left_out.until)}",
                err=True,
            )


@click.command(
    short_help="Send what people decided to a webhook, signed.",
    epilog="Python: hashmatch.review.webhook.sender.Webhook(queue, endpoint, keys).push()",
)
@queue_argument
@click.option("--url", required=True, metavar="URL", help="URL to post to; https, or this machine.")
@click.option(
    "--secret-file",
    type=INPUT,
    metavar="FILE",
    help="Secrets to sign messages with, one a line; hashmatch review secret makes one.",
)
@click.option(
    "--every",
    type=DURATION,
    default="10s",
    show_default=True,
    metavar="TIME",
    help="Look for new messages so often, until interrupted.",
)
@click.option("--once", is_flag=True, help="Look once; exit with 1 if something was not delivered.")
@click.option(
    "--tries",
    type=click.IntRange(1, 1000),
    default=16,
    show_default=True,
    metavar="N",
    help="How often a message is tried, in the course of a day, before it is given up.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 600),
    default=10,
    show_default=True,
    metavar="SECONDS",
    help="How long one request may take.",
)
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the endpoint in the queue, so that its URL may change. [default: its host]",
)
@allow_private_option
@click.option("--from-now", is_flag=True, help="Do not send a new endpoint what happened before.")
@click.option("--dead", is_flag=True, help="Print the messages that were given up, and exit.")
@click.option("--again", is_flag=True, help="Send the messages that were given up again.")
@json_option
@quiet_option
@click.pass_context
def push(
    ctx: click.Context,
    /,
    queue: str,
    url: str,
    secret_file: str | None,
    every: timedelta,
    once: bool,
    tries: int,
    timeout: float,
    name: str | None,
    allow_private: tuple[str, ...],
    from_now: bool,
    dead: bool,
    again: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Post what people decided in QUEUE to --url, each message until it is taken.

    What may still be undone is not told yet; how much that is, and until when, is said. Messages
    are signed as Standard Webhooks has it, and the same message has the same Idempotency-Key each
    time. They are not logged.

    \b
    hashmatch review secret hook.secret
    hashmatch review push queue.db --url https://moderation.example/hook --secret-file hook.secret
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.webhook.client import Endpoint
    from hashmatch.review.webhook.outbox import Outbox
    from hashmatch.review.webhook.sender import Webhook
    from hashmatch.review.webhook.signing import Secrets

    endpoint = Endpoint(url, timeout=timeout, allow_private=allow_private)
    with open_queue(queue) as opened:
        if dead:
            _print_dead(opened, Outbox(opened, name or endpoint.name), quiet)
            return
        if secret_file is None:
            raise UsageError("cannot sign messages without a secret. Give --secret-file FILE.")
        keys = Secrets.load(secret_file)
        hook = Webhook(opened, endpoint, keys, name=name, tries=tries, from_now=from_now)
        if again:
            count = hook.outbox.resend_dead()
            if not quiet:
                click.echo(f"{count:,} messages are sent again", err=True)
        before = None
        while True:
            pushed, later = hook.push(), hook.outbox.not_final()
            if as_json:
                fields = {"not_final": later, "history_head": str(opened.head())}
                print_json(pushed._asdict() | fields)
            elif not quiet and (pushed.sent or pushed.failed or later != before):
                _print_pushed(pushed, later, opened.head())
            before = later
            if once:
                break
            time.sleep(every.total_seconds())
    if pushed.failed:
        ctx.exit(Exit.SOME_UNHASHED)


def _print_pushed(pushed: Pushed, later: NotFinal, head: Head) -> None:
    """Print what a round came to."""
    parts = [f"{pushed.sent:,} sent"]
    if pushed.failed:
        parts.append(f"{pushed.failed:,} failed ({printable(pushed.problem)})")
    if pushed.dead:
        parts.append(f"{pushed.dead:,} given up (--dead shows, --again sends them)")
    if pushed.waiting:
        parts.append(f"{pushed.waiting:,} wait")
    if later.until is not None:
        parts.append(
            f"{later.count:,} not yet: decisions can be undone until {format_moment(later.until)}"
        )
    parts.append(f"history head {head}")
    click.echo("; ".join(parts), err=True)


def _print_dead(queue: ReviewQueue, outbox: Outbox, quiet: bool) -> None:
    dead = outbox.dead()
    if not dead and not quiet:
        click.echo("no message was given up", err=True)
    for letter in dead:
        line = {
            "case_id": f"{queue.name}-{letter.case_number}",
            "event": letter.event,
            "tries": letter.tries,
            "since": letter.since,
            "problem": letter.problem,
        }
        print_json(line)


@click.command(
    short_help="Make a secret to sign messages with.",
    epilog="Python: hashmatch.review.webhook.signing.new_secret()",
)
@click.argument("file", type=OUTPUT)
@quiet_option
def secret(file: str, quiet: bool) -> None:
    """Make a new FILE, readable by you only, with a secret that messages are signed with.

    Give the receiver the same. For a while a file may have an old and a new one, each on a line:
    messages are then signed with both.

    \b
    hashmatch review secret hook.secret
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch._files.atomic import write
    from hashmatch.review.webhook.signing import new_secret

    write(file, new_secret().encode() + b"\n", replace=False, error=ReviewError)
    if not quiet:
        click.echo(f"a new secret is in {printable(file)}", err=True)


EXPORT = export, push, secret
