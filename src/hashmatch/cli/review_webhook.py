"""``hashmatch review webhook``: decisions as signed messages to a service."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from hashmatch.cli.command import command, group
from hashmatch.cli.console import Exit, flush_output, print_json, print_line, printable
from hashmatch.cli.options import (
    allow_private_option,
    json_option,
    open_queue,
    queue_argument,
    quiet_option,
)
from hashmatch.cli.units import INPUT, OUTPUT, SOME_TIME, format_moment
from hashmatch.errors import QueueUnavailable, ReviewError, UsageError

if TYPE_CHECKING:
    from datetime import timedelta

    from hashmatch.review.history import Head
    from hashmatch.review.queue import ReviewQueue
    from hashmatch.review.results import NotFinal
    from hashmatch.review.webhook.outbox import Outbox
    from hashmatch.review.webhook.sender import Pushed


@group(short_help="Send decisions to a service, as signed messages.")
def webhook() -> None:
    """Send what people decided to a service of yours, as signed messages."""


@command(
    short_help="Send decisions to a webhook, signed.",
    epilog="Python: hashmatch.review.webhook.sender.Webhook(queue, endpoint, keys).push()",
)
@queue_argument
@click.option(
    "--url",
    required=True,
    metavar="URL",
    help="The URL to post to: https, or an address of this machine.",
)
@click.option(
    "--secret-file",
    type=INPUT,
    metavar="FILE",
    help="The secrets that sign messages, one a line, from hashmatch review webhook secret.",
)
@click.option(
    "--every",
    type=SOME_TIME,
    default="10s",
    show_default=True,
    help="How often to look for new decisions, until interrupted.",
)
@click.option(
    "--once", is_flag=True, help="Look once. The exit code is 1 if a message was not delivered."
)
@click.option(
    "--tries",
    type=click.IntRange(1, 1000),
    default=16,
    show_default=True,
    metavar="N",
    help="How often a message is tried, within about a day, before it is given up.",
)
@click.option(
    "--timeout",
    type=SOME_TIME,
    default="10s",
    show_default=True,
    help="How long one request may take.",
)
@click.option(
    "--endpoint",
    "name",
    metavar="NAME",
    help="The name of the endpoint in the queue, so that its URL can change. "
    "[default: the host of --url]",
)
@allow_private_option
@click.option("--from-now", is_flag=True, help="Do not send earlier decisions to a new endpoint.")
@click.option("--dead", is_flag=True, help="List the messages that were given up, and exit.")
@click.option(
    "--resend-dead",
    "again",
    is_flag=True,
    help="Send the messages that were given up again.",
)
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
    timeout: timedelta,
    name: str | None,
    allow_private: tuple[str, ...],
    from_now: bool,
    dead: bool,
    again: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Post the decisions in QUEUE to --url, and retry each message until it is accepted.

    Decisions that can still be undone are not sent yet, but counted. Messages are signed as
    Standard Webhooks says. A message that is sent again has the same Idempotency-Key. Messages are
    not logged.

    \b
    hashmatch review webhook secret hook.secret
    hashmatch review webhook push queue.db --secret-file hook.secret \\
        --url https://moderation.example/hook
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.webhook.client import Endpoint
    from hashmatch.review.webhook.outbox import Outbox
    from hashmatch.review.webhook.sender import Webhook
    from hashmatch.review.webhook.signing import Secrets

    endpoint = Endpoint(url, timeout=timeout.total_seconds(), allow_private=allow_private)
    with open_queue(queue) as opened:
        if dead:
            _print_dead(opened, Outbox(opened, name or endpoint.name), as_json, quiet)
            return
        if secret_file is None:
            raise UsageError("cannot sign messages without a secret. Give --secret-file FILE.")
        keys = Secrets.load(secret_file)
        hook = Webhook(opened, endpoint, keys, name=name, tries=tries, from_now=from_now)
        if again:
            count = hook.outbox.resend_dead()
            if not quiet:
                click.echo(f"{count:,} messages are sent again", err=True)
        before, outage = None, ""
        while True:
            try:
                pushed, later, head = hook.push(), hook.outbox.not_final(), opened.head()
            except QueueUnavailable as error:  # its server may be restarted, or others write
                if once:
                    raise
                said, outage = outage, printable(str(error)).removesuffix(".")
                if outage != said:
                    click.echo(f"hashmatch: {outage}. Trying again.", err=True)
                time.sleep(every.total_seconds())
                continue
            outage = ""
            if as_json:
                fields = {"not_final": later, "history_head": str(head)}
                print_json(pushed._asdict() | fields)
            elif not quiet and (pushed.sent or pushed.failed or later != before):
                _print_pushed(pushed, later, head)
            before = later
            if once:
                break
            flush_output()
            time.sleep(every.total_seconds())
    if pushed.failed:
        ctx.exit(Exit.SOME_UNHASHED)


def _print_pushed(pushed: Pushed, later: NotFinal, head: Head) -> None:
    """Print what a round came to."""
    parts = [f"{pushed.sent:,} sent"]
    if pushed.failed:
        parts.append(f"{pushed.failed:,} failed ({printable(pushed.problem)})")
    if pushed.dead:
        parts.append(f"{pushed.dead:,} given up (--dead shows, --resend-dead sends them)")
    if pushed.waiting:
        parts.append(f"{pushed.waiting:,} wait")
    if later.until is not None:
        parts.append(
            f"{later.count:,} not yet: decisions can be undone until {format_moment(later.until)}"
        )
    parts.append(f"history head {head}")
    click.echo("; ".join(parts), err=True)


def _print_dead(queue: ReviewQueue, outbox: Outbox, as_json: bool, quiet: bool) -> None:
    dead = outbox.dead()
    if not dead and not quiet:
        click.echo("no message was given up", err=True)
    for letter in dead:
        case_id = f"{queue.name}-{letter.case_number}"
        if as_json:
            print_json(
                {
                    "case_id": case_id,
                    "event": letter.event,
                    "tries": letter.tries,
                    "since": letter.since,
                    "problem": letter.problem,
                }
            )
        else:
            since = format_moment(letter.since)
            print_line(
                printable(
                    f"{case_id}  event {letter.event}  {letter.tries} tries since {since}  "
                    f"{letter.problem}"
                )
            )


@command(
    short_help="Make a secret to sign messages with.",
    epilog="Python: hashmatch.review.webhook.signing.new_secret()",
)
@click.argument("file", type=OUTPUT)
@quiet_option
def secret(file: str, quiet: bool) -> None:
    """Make FILE, readable by you only, with a new secret that signs messages.

    Give the receiver the same secret. To change it, put the new secret on a second line: messages
    are then signed with both.

    \b
    hashmatch review webhook secret hook.secret
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch._files.atomic import write
    from hashmatch.review.webhook.signing import new_secret

    write(file, new_secret().encode() + b"\n", replace=False, error=ReviewError)
    if not quiet:
        click.echo(f"a new secret is in {printable(file)}", err=True)


for each in (push, secret):
    webhook.add_command(each)
