"""``hashmatch missed``: pictures that the service could not check, listed and checked again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.command import command, group
from hashmatch.cli.console import Exit, print_json, print_line, printable
from hashmatch.cli.lists_and_matcher import MatcherOptions
from hashmatch.cli.options import (
    allow_http_option,
    allow_private_option,
    evidence_options,
    hashing_options,
    json_option,
    list_options,
    quiet_option,
    sandbox_option,
    shape_options,
    source_option,
    video_options,
)
from hashmatch.cli.units import INPUT, QUEUE

if TYPE_CHECKING:
    from hashmatch.service.missed import Missed

database_argument = click.argument("database", type=INPUT, metavar="DB")


@group(short_help="List and check again what the HTTP service could not check.")
def missed() -> None:
    """List the pictures that hashmatch serve could not check, and check them again."""


@command("list", short_help="List what was missed.", epilog="Python: MissedItems(path).items()")
@database_argument
@json_option
def list_(database: str, as_json: bool) -> None:
    """List the pictures in DB that were not checked, oldest first, and why.

    \b
    hashmatch missed list missed.db
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.service.missed import MissedItems

    items = MissedItems(database)
    for item in items.items():
        if as_json:
            print_json(_shown(item))
        else:
            print_line(f"{item.key}: {item.reason}")
    items.close()


@command(
    "run",
    short_help="Check again what was missed.",
    epilog="Python: hashmatch.service.missed.check_missed(items, matcher, ...)",
)
@database_argument
@click.argument("queue", type=QUEUE, metavar="QUEUE")
@list_options
@evidence_options
@shape_options
@hashing_options
@video_options
@source_option
@allow_private_option
@sandbox_option
@allow_http_option
@quiet_option
@click.pass_context
def run(
    ctx: click.Context,
    /,
    database: str,
    queue: str,
    source: str,
    allow_private: tuple[str, ...],
    quiet: bool,
    **options: Any,
) -> None:
    """Check the pictures in DB that were missed, and add records of matches to QUEUE, each once.

    Pictures whose bytes were not kept are read from below --source, by their item_id. What is
    checked is removed from DB. It may be stopped at any moment and run again, and beside a running
    service. Exit code 1 says that some could not be checked this time either.

    \b
    hashmatch missed run missed.db queue.db -l lists/hotline
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.sandbox.pool import DecodePool
    from hashmatch.service.missed import MissedItems, check_missed
    from hashmatch.service.review import Review

    rules = MatcherOptions.taken(options)
    review = Review(queue, source)
    items = MissedItems(database)
    try:
        with DecodePool() as pool:
            matcher = rules.open()(include_hash=True, decode=pool)
            counts = check_missed(
                items, matcher, review.add, source=source, allow_private=allow_private
            )
    finally:
        review.close()
        left, without = items.count(), 0 if source else items.without_bytes()
        items.close()
    if not quiet:
        told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
        click.echo(f"{sum(counts.values())} checked: {told or 'none'}; {left} left", err=True)
        if without:
            click.echo(
                f"of {without} the bytes were not kept. Give --source to read them.",
                err=True,
            )
    if left:
        ctx.exit(Exit.SOME_UNHASHED)


def _shown(item: Missed) -> dict[str, object]:
    return {
        "key": printable(item.key),
        "version": item.version,
        "surface": item.surface,
        "reason": item.reason,
        "has_bytes": item.data is not None,
    }


for each in (list_, run):
    missed.add_command(each)
