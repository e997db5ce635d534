"""``hashmatch missed``: pictures that the service could not check, listed and checked again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.command import command, group, option
from hashmatch.cli.console import Exit, print_json, print_line, printable
from hashmatch.cli.lists_and_matcher import MatcherOptions
from hashmatch.cli.options import (
    allow_http_option,
    allow_private_option,
    evidence_options,
    fetch_from_option,
    hashing_options,
    json_option,
    list_options,
    quiet_option,
    recent_key_option,
    recent_option,
    sandbox_option,
    shape_options,
    source_option,
    video_options,
)
from hashmatch.cli.units import INPUT, QUEUE
from hashmatch.errors import UsageError
from hashmatch.records.enums import Outcome

if TYPE_CHECKING:
    from hashmatch.service.fetch import Fetcher
    from hashmatch.service.missed import Missed
    from hashmatch.service.recent import Recent

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
@fetch_from_option
@recent_option
@recent_key_option
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
    fetch_from: tuple[str, ...],
    recent: str | None,
    recent_key: str | None,
    allow_private: tuple[str, ...],
    quiet: bool,
    **options: Any,
) -> None:
    """Check the pictures in DB that were missed, and add records of matches to QUEUE, each once.

    Pictures whose bytes were not kept are read from below --source, by their item_id; those that
    are named by their address, from below --fetch-from. What is checked is removed from DB. It may
    be stopped at any moment and run again, and beside a running service. Exit code 1 says that some
    could not be checked this time either.

    \b
    hashmatch missed run missed.db queue.db -l lists/hotline
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.sandbox.pool import DecodePool
    from hashmatch.service.missed import MissedItems, check_missed
    from hashmatch.service.review import Review

    rules = MatcherOptions.taken(options)
    fetcher, kept = _fetcher(fetch_from, allow_private), _recent(recent, recent_key)
    review = Review(queue, source)
    items = MissedItems(database)
    try:
        with DecodePool() as pool:
            matcher = rules.open()(include_hash=True, decode=pool)
            counts = check_missed(
                items, matcher, review.add, source=source, allow_private=allow_private,
                fetcher=fetcher, recent=kept,
            )  # fmt: skip
    finally:
        for used in (review, fetcher, kept):
            if used is not None:
                used.close()
        left, without = items.count(), 0 if source or fetcher else items.without_bytes()
        items.close()
    if not quiet:
        told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
        click.echo(f"{sum(counts.values())} checked: {told or 'none'}; {left} left", err=True)
        if without:
            click.echo(
                f"of {without} the bytes were not kept. Give --source, or --fetch-from, to read "
                "them.",
                err=True,
            )
    if left:
        ctx.exit(Exit.SOME_UNHASHED)


@command(
    "settle",
    short_help="Remove what nobody will check.",
    epilog="Python: MissedItems(path).settle(keys)",
)
@database_argument
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@option(
    "--reason-prefix",
    default="",
    metavar="TEXT",
    help="Remove those that were not checked for a reason that begins so, as hashmatch missed list "
    "shows it.",
)
@json_option
def settle(database: str, keys: tuple[str, ...], reason_prefix: str, as_json: bool) -> None:
    """Remove pictures from DB that cannot be checked any more, for example since they are deleted.

    Each is shown, with its outcome, failed, and why: keep that where you keep the outcomes of
    scans. No picture is removed that is not named, by its KEY or by the reason.

    \b
    hashmatch missed settle missed.db --reason-prefix "there is no picture"
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.service.missed import MissedItems

    if not keys and not reason_prefix:
        raise UsageError("cannot tell what to settle. Give a KEY or --reason-prefix.")
    items, settled = MissedItems(database), set()
    for item in items.settle(keys, reason_prefix):
        settled.add(item.key)
        if as_json:
            print_json({**_shown(item), "outcome": Outcome.FAILED})
        else:
            print_line(f"{printable(item.key)}: {Outcome.FAILED}, {item.reason}")
    items.close()
    if unknown := sorted({*keys} - settled):
        raise UsageError(
            f"cannot settle {printable(unknown[0])}: it was not missed. See hashmatch missed list."
        )


def _fetcher(prefixes: tuple[str, ...], allow_private: tuple[str, ...]) -> Fetcher | None:
    if not prefixes:
        return None
    from hashmatch.service.fetch import Fetcher

    return Fetcher(prefixes, allow_private)


def _recent(path: str | None, key_file: str | None) -> Recent | None:
    if path is None:
        return None
    from hashmatch.service.recent import Recent, recent_key

    return Recent(path, recent_key(key_file))


def _shown(item: Missed) -> dict[str, object]:
    return {
        "key": printable(item.key),
        "version": item.version,
        "surface": item.surface,
        "reason": item.reason,
        "has_bytes": item.data is not None,
    }


for each in (list_, run, settle):
    missed.add_command(each)
