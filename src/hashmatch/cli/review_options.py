"""Options and functions of the commands that work with a review queue."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashmatch.review.queue import ReviewQueue

    Command = Callable[..., Any]

queue_argument = click.argument("queue", metavar="QUEUE")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def login() -> str:
    """Return who runs the command, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user, as in some containers
        return "hashmatch"


by_option = click.option(
    "--by",
    "who",
    default=login,
    metavar="NAME",
    help="Who does it, for the history. [default: your login name]",
)
reason_option = click.option("--reason", default="", metavar="TEXT", help="Why, for the history.")


def open_queue(where: str) -> ReviewQueue:
    """Return the queue that a command is about."""
    from hashmatch.review.queue import ReviewQueue

    return ReviewQueue.open(where)
