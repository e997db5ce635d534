"""``hashmatch review``: makes, fills, serves, verifies and exports a queue of matches."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.choices import STATE, STATES
from hashmatch.cli.command import command, group
from hashmatch.cli.console import Progress, print_json, printable, working
from hashmatch.cli.options import (
    allow_http_option,
    allow_private_option,
    by_option,
    drafts_option,
    host_option,
    json_option,
    open_queue,
    pictures_option,
    port_option,
    queue_argument,
    quiet_option,
    sandbox_option,
    source_option,
    tls_options,
)
from hashmatch.cli.review_admin import purge, settings
from hashmatch.cli.review_benign import benign
from hashmatch.cli.review_case import case
from hashmatch.cli.review_draft import draft
from hashmatch.cli.review_entry import entry
from hashmatch.cli.review_history import history
from hashmatch.cli.review_precision import precision
from hashmatch.cli.review_preserve import preserve
from hashmatch.cli.review_request import request
from hashmatch.cli.review_reviewer import reviewer
from hashmatch.cli.review_webhook import webhook
from hashmatch.cli.units import HEADS, INPUT, MOMENT, TABLE, format_moment
from hashmatch.errors import UsageError, install

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from typing import BinaryIO

    from hashmatch.records.cases import Origin
    from hashmatch.records.review import ReviewRecord
    from hashmatch.review.history import Head
    from hashmatch.review.stats import Statistics


@command(
    short_help="Serve the page on which people review cases.",
    epilog="Python: hashmatch.review.web.server.serve(Serving(...), queue)",
)
@queue_argument
@host_option
@port_option(8470)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="[https://]HOST[:PORT]",
    help="The host name of this server, if browsers use one; with https:// if a proxy in front of "
    "it speaks TLS. Repeatable.",
)
@click.option(
    "--token-file",
    type=INPUT,
    metavar="FILE",
    help="A file with a token that every request must have.",
)
@tls_options
@pictures_option
@drafts_option
@allow_private_option
@sandbox_option
@allow_http_option
def serve(queue: str, **options: Any) -> None:
    """Serve the page on which people review the cases of QUEUE, until interrupted.

    Other machines can reach it only with TLS, by this server or a proxy in front of it, and a token
    or client certificates. People log in with their name and the token that hashmatch review
    reviewer add shows once. Pictures come from --pictures, are shown covered, and are stored
    nowhere. Needs the extra review.

    \b
    hashmatch review serve queue.db --pictures s3://profile-photos
    hashmatch review serve queue.db --pictures photos \\
        --name https://review.example.org
    """  # noqa: D301  (the backspace tells click to keep the lines)
    try:
        from hashmatch.review.web.server import Serving
        from hashmatch.review.web.server import serve as serve_it
    except ImportError:
        raise UsageError(
            f"cannot serve the page: a part of it is not installed. {install('review')}"
        ) from None
    from hashmatch.review.queue import ReviewQueue

    serving = Serving(**options)
    with ReviewQueue.open(queue) as opened:
        if not opened.reviewers.list():
            raise UsageError(
                "cannot serve the page: there are no reviewers. "
                f"Run hashmatch review reviewer add {printable(queue)} NAME."
            )
        scheme = "https" if serving.speaks_tls else "http"

        def started(where: int) -> None:
            name = f"[{serving.host}]" if ":" in serving.host else serving.host
            click.echo(f"{scheme}://{name}:{where}/", err=True)

        serve_it(serving, opened, started)


@command(
    short_help="Make a review queue.",
    epilog="Python: hashmatch.review.queue.ReviewQueue.open(path, create=True)",
)
@queue_argument
@quiet_option
def init(queue: str, quiet: bool) -> None:
    """Make a review queue: a file that only you can read, or tables in PostgreSQL.

    A queue that exists is left as it is.

    \b
    hashmatch review init queue.db
    hashmatch review init postgresql://reviewers@db.internal/moderation
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.queue import ReviewQueue

    with ReviewQueue.open(queue, create=True) as opened:
        if not quiet:
            what = "is made" if opened.is_new else "was there, and is as it was"
            click.echo(f"review queue {printable(opened.where)} {what}", err=True)


@command(
    short_help="Add review records to a queue.",
    epilog="Python: ReviewQueue.add(records)",
)
@queue_argument
@click.argument("records", nargs=-1, required=True, type=click.File("rb"), metavar="FILE...")
@source_option
@click.option("--again", is_flag=True, help="Also add records that have expired.")
@by_option
@json_option
@quiet_option
def add(
    queue: str,
    records: tuple[BinaryIO, ...],
    source: str,
    again: bool,
    who: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Add the records in files of JSON lines to QUEUE. - reads standard input.

    Records that QUEUE has already are skipped, by their ids. If they were made with scan
    --include-hash, all records of one picture become one case.

    \b
    hashmatch review add queue.db review.jsonl --source s3://profile-photos
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.records.cases import Origin

    with open_queue(queue) as opened, Progress(None, quiet, unit="records") as bar:
        added = opened.add(bar.count(_read(records, Origin(source))), again=again, who=who)
    if as_json:
        print_json(added._asdict())
    elif not quiet:
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


@command(
    short_help="Count cases by state, and show statistics.",
    epilog="Python: ReviewQueue.counts(), ReviewQueue.statistics()",
)
@queue_argument
@json_option
def status(queue: str, as_json: bool) -> None:
    """Show how many cases are in each state, how long they wait, and the precision of each list.

    \b
    hashmatch review status queue.db
    """  # noqa: D301  (the backspace tells click to keep the lines)
    with open_queue(queue) as opened:
        counts = {state.value: count for state, count in opened.counts().items()}
        inherited = {state.value: count for state, count in opened.inherited().items()}
        undoable = opened.undoable()
        figures = opened.statistics()
    if as_json:
        from hashmatch.records.safeguards import waiver_fields
        from hashmatch.review.results import statistics_fields

        fields = {"cases": counts, "inherited": inherited, "undoable": undoable}
        print_json(fields | statistics_fields(figures) | {"waivers": waiver_fields()})
        return
    if not any(counts.values()):
        click.echo("the queue is empty")
    for state, count in counts.items():
        if count:
            click.echo(f"{state}: {count:,}")
    for state, count in inherited.items():
        if count:
            click.echo(f"records that joined {state} cases after the decision: {count:,}")
    if undoable.until is not None:
        until = format_moment(undoable.until)
        click.echo(f"decisions that can be undone: {undoable.count:,}, the last until {until}")
    _print_statistics(figures)


def _print_statistics(figures: Statistics) -> None:
    if figures.oldest is not None:
        hours = figures.oldest.total_seconds() / 3600
        click.echo(f"the oldest has waited for {hours:,.1f} hours")
    if figures.agreement.whole:
        part, whole, low, high = figures.agreement
        click.echo(f"two reviewers agreed: {part:,} of {whole:,} (95 %: {low:.3f} to {high:.3f})")
    for name, algorithm, distance, (part, whole, low, high), _ in figures.precision:
        if distance is None:
            click.echo(
                f"list {printable(f'{name}, {algorithm}')}: {part:,} of {whole:,} confirmed "
                f"(95 %: {low:.3f} to {high:.3f})"
            )


@command(
    short_help="Check that nobody has edited a queue.",
    epilog="Python: ReviewQueue.verify(head)",
)
@queue_argument
@click.option(
    "--head",
    "heads",
    type=HEADS,
    multiple=True,
    metavar="HEAD|FILE",
    help="An earlier head of the history, or a file with some. Repeatable.",
)
@json_option
@quiet_option
def verify(queue: str, heads: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Check the history of QUEUE, and every row against it.

    The head that it prints, NUMBER:DIGEST, is of all the history. It also stands in each message of
    a webhook, in the lines of review webhook push and at the foot of the page. Keep heads where
    nobody who can write to the queue can change them, and give them the next time: a history that
    was cut off or rewritten is refused then. A file may be any text with heads in it, as a log.

    \b
    hashmatch review verify queue.db
    hashmatch review verify queue.db > heads.log
    hashmatch review verify queue.db --head heads.log
    """  # noqa: D301  (the backspace tells click to keep the lines)
    seen = [head for given in heads for head in _heads(given)]
    with open_queue(queue) as opened, working("checking the history", quiet):
        verified = opened.verify(*seen)
    if as_json:
        print_json(verified._asdict())
    else:
        click.echo(f"sound: {verified.events:,} events, head {verified.head}")


def _heads(given: str) -> list[Head]:
    """Return the heads that an option means: itself, or what is in the file of that name."""
    from hashmatch.review.history import Head

    if not os.path.exists(given):
        return [Head.parse(given)]
    found: list[Head] = []
    try:
        with open(given, encoding="utf-8", errors="replace") as file:
            for line in file:
                found += Head.find_all(line)
    except OSError as error:
        raise UsageError(
            f"cannot read {given}: {error.strerror}. Give a file that you may read."
        ) from None
    if not found:
        raise UsageError(
            f"cannot use {given}: there is no head of a history, NUMBER:DIGEST, in it. "
            "Give a file that has one."
        )
    return found


@command(
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
    help="Where records go, a file that ends in .jsonl, .csv or .parquet, readable by you only. "
    "[default: -]",
)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=STATE,
    metavar="STATE",
    help=f"Only cases in this state: {', '.join(STATES)}. Repeatable.",
)
@click.option(
    "--since",
    type=MOMENT,
    help="Only what has changed since.",
)
@click.option(
    "--confirmed",
    is_flag=True,
    help="Only records that people confirmed and can no longer undo: those to act on.",
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
    """Write every record in QUEUE with its state and decisions.

    A record that joined its case after the decision is marked as inherited: nobody decided about
    it. --confirmed leaves out such records, and decisions that can still be undone, and counts
    those. No hash is in the file. With --json, the summary is JSON: on standard output, or on
    standard error if records go to standard output.

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
            with Progress(None, quiet, unit="cases") as bar:
                count = export_confirmed(bar.count(cases), path)
            left_out = opened.not_yet_confirmed()
        else:
            with working("writing records", quiet):
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


@group("review", short_help="Let people decide about matches, with a history.")
def review() -> None:
    """Let people decide about matches, and keep a history of who decided what.

    QUEUE is a file, or postgresql://USER@HOST/DATABASE.
    """


for each in (
    *(init, add, serve, status, history, verify, export, purge, settings, precision),
    *(case, entry, benign, draft, preserve, request, reviewer, webhook),
):
    review.add_command(each)
