"""``hashmatch review reviewer``: the people who may log in to the page of a queue."""

from __future__ import annotations

import click

from hashmatch.cli.command import command, group
from hashmatch.cli.console import print_json, print_line, printable
from hashmatch.cli.options import by_option, json_option, open_queue, queue_argument, quiet_option
from hashmatch.cli.units import format_moment


@group(short_help="List, add and remove the people who review.")
def reviewer() -> None:
    """List the people who may log in to the page of a queue, add and remove them."""


@command(
    "list",
    short_help="List the reviewers of a queue.",
    epilog="Python: ReviewQueue.reviewers.list()",
)
@queue_argument
@json_option
def list_(queue: str, as_json: bool) -> None:
    """List the reviewers of QUEUE, each with the time of its token.

    \b
    hashmatch review reviewer list queue.db
    """  # noqa: D301  (the backspace tells click to keep the lines)
    with open_queue(queue) as opened:
        found = opened.reviewers.list()
    for name, since in found.items():
        if as_json:
            print_json({"name": name, "since": since})
        else:
            print_line(printable(f"{name} since {format_moment(since)}"))
    if not found and not as_json:
        click.echo("there are no reviewers; hashmatch review reviewer add adds one", err=True)


@command(
    short_help="Add a reviewer, or make another token for one.",
    epilog="Python: ReviewQueue.reviewers.add(name, who)",
)
@queue_argument
@click.argument("name")
@by_option
@json_option
def add(queue: str, name: str, who: str, as_json: bool) -> None:
    """Let NAME log in to the page of QUEUE, and print the token to log in with.

    The token is shown once; only its digest is kept. Add a reviewer again for another token: the
    one before is no longer good then.

    \b
    hashmatch review reviewer add queue.db ana
    """  # noqa: D301  (the backspace tells click to keep the lines)
    with open_queue(queue) as opened:
        was_there = name in opened.reviewers.list()
        token = opened.reviewers.add(name, who=who)
    if was_there:
        click.echo(f"the token that {printable(name)} had is no longer good", err=True)
    if as_json:
        print_json({"name": name, "token": token})
    else:
        print_line(token)


@command(
    short_help="Remove a reviewer.",
    epilog="Python: ReviewQueue.reviewers.remove(name, who)",
)
@queue_argument
@click.argument("name")
@by_option
@quiet_option
def remove(queue: str, name: str, who: str, quiet: bool) -> None:
    """Let NAME log in to the page of QUEUE no longer. What NAME decided stays.

    \b
    hashmatch review reviewer remove queue.db ana
    """  # noqa: D301  (the backspace tells click to keep the lines)
    with open_queue(queue) as opened:
        opened.reviewers.remove(name, who=who)
    if not quiet:
        click.echo(f"{printable(name)} may review no longer", err=True)


for each in (list_, add, remove):
    reviewer.add_command(each)
