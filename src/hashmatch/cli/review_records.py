"""``hashmatch review init`` and ``add``: a queue, and records into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hashmatch.cli.options import quiet_option
from hashmatch.cli.queues import by_option, open_queue, queue_argument
from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from hashmatch.records.decisions import Origin
    from hashmatch.records.review import ReviewRecord


@click.command(
    short_help="Make a review queue.",
    epilog="Python: hashmatch.review.queue.ReviewQueue.open(path, create=True)",
)
@queue_argument
def init(queue: str) -> None:
    """Make a review queue, a file that only you can read, or tables of PostgreSQL.

    One that is there is left as it is.

    \b
    hashmatch review init queue.db
    hashmatch review init postgresql://reviewers@db.internal/moderation
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.queue import ReviewQueue

    ReviewQueue.open(queue, create=True).close()


@click.command(
    short_help="Put review records into a queue.",
    epilog="Python: ReviewQueue.add(records)",
)
@queue_argument
@click.argument("records", nargs=-1, required=True, type=click.File("rb"), metavar="FILE...")
@click.option(
    "--source",
    default="",
    metavar="SOURCE",
    help="Where the pictures are, as it was given to hashmatch scan.",
)
@click.option("--again", is_flag=True, help="Take in again what has expired.")
@by_option
@quiet_option
def add(
    queue: str, records: tuple[BinaryIO, ...], source: str, again: bool, who: str, quiet: bool
) -> None:
    """Put the records in files of JSON lines into QUEUE; - is standard input.

    Records are known by their ids: those that are there already are passed over. Scan with
    --include-hash, and records of one picture are one case.

    \b
    hashmatch review add queue.db review.jsonl --source s3://profile-photos
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.records.decisions import Origin

    with open_queue(queue) as opened:
        added = opened.add(_read(records, Origin(source)), again=again, who=who)
    if not quiet:
        click.echo(
            f"{added.new:,} records in {added.cases:,} new cases; {added.known:,} were known, "
            f"{added.suppressed:,} are suppressed",
            err=True,
        )


def _read(files: tuple[BinaryIO, ...], origin: Origin) -> Iterator[tuple[ReviewRecord, Origin]]:
    from hashmatch.records.review import ReviewRecord

    for file in files:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                yield ReviewRecord.from_json(line), origin
            except UsageError as error:
                name = getattr(file, "name", "-")
                raise UsageError(f"{name}, line {number}: {error}") from None
