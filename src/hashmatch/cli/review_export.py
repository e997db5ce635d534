"""``hashmatch review export``: a queue as a file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from hashmatch.cli.options import quiet_option
from hashmatch.cli.queues import open_queue, queue_argument
from hashmatch.cli.terminal import printable
from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.records.decisions import ConfirmedCase
    from hashmatch.review.queue import ReviewQueue


def _since(ctx: click.Context, parameter: click.Parameter, given: str | None) -> datetime | None:
    """Return the time of an ISO 8601 text; without a zone it is UTC."""
    if given is None:
        return None
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise click.BadParameter(
            f"{given!r} is no time; give 2026-01-31, or with T12:00Z"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@click.command(
    short_help="Write a queue to a file: JSON lines, CSV or Parquet.",
    epilog="Python: hashmatch.review.handing.export.export_cases(queue, path)",
)
@queue_argument
@click.option(
    "-o",
    "--out",
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
    callback=_since,
    metavar="TIME",
    help="Only cases to which something happened since: a record came, or somebody decided.",
)
@click.option(
    "--confirmed",
    is_flag=True,
    help="Only what people confirmed and can no longer undo: what may be acted on.",
)
@quiet_option
def export(
    queue: str,
    out: str,
    states: tuple[str, ...],
    since: datetime | None,
    confirmed: bool,
    quiet: bool,
) -> None:
    """Write every record in QUEUE with its state and what was decided about it.

    A record that joined its case after that was decided is marked as inherited: nobody decided
    about it. --confirmed leaves such records out, and whatever may still be undone. No hash is in
    the file.

    \b
    hashmatch review export queue.db --out queue.parquet
    hashmatch review export queue.db --confirmed --out confirmed.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.handing.export import export_cases, export_confirmed

    if confirmed and states:
        raise UsageError("--confirmed names the state already; leave --state away")
    path = None if out == "-" else out
    with open_queue(queue) as opened:
        if confirmed:
            count = export_confirmed(_finally(opened, since), path)
        else:
            count = export_cases(opened, path, states=states, since=since)
    if not quiet and path is not None:
        click.echo(f"{count:,} records in {printable(out)}", err=True)


def _finally(queue: ReviewQueue, since: datetime | None) -> Iterator[ConfirmedCase]:
    """Yield what was confirmed, if the last who did so did since then."""
    for case in queue.confirmed():
        if since is None or case.decisions[-1].decided_at >= since:
            yield case
