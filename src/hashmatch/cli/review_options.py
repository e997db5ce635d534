"""Options and helpers that the commands of a review queue share."""

from __future__ import annotations

import getpass
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashmatch.review.queue import ReviewQueue

    Command = Callable[..., Any]

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

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
    help="Name of who does it, for the history. [default: your login name]",
)
reason_option = click.option("--reason", default="", metavar="TEXT", help="Why, for the history.")


class Span(click.ParamType):  # type: ignore[type-arg]
    """A time such as 30d, 12h, 10m or 90s."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Return it."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,9})([smhd])", str(value))
        if found is None:
            self.fail(f"{value!r} is no time; give it as 30d, 12h, 10m or 90s", param, ctx)
        return timedelta(seconds=int(found[1]) * UNITS[found[2]])


def span(time: timedelta) -> str:
    """Return a time as `Span` takes it."""
    seconds = int(time.total_seconds())
    for unit in "dhm":
        if seconds and seconds % UNITS[unit] == 0:
            return f"{seconds // UNITS[unit]}{unit}"
    return f"{seconds}s"


def open_queue(where: str) -> ReviewQueue:
    """Return the queue that a command is about."""
    from hashmatch.review.queue import ReviewQueue

    return ReviewQueue.open(where)
