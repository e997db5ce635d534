"""``hashmatch review benign``: pictures that are harmless, for a list that suppresses matches."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from hashmatch.cli.command import command, group
from hashmatch.cli.console import print_json, print_line, printable
from hashmatch.cli.options import (
    case_options,
    json_option,
    open_queue,
    queue_argument,
    quiet_option,
)
from hashmatch.cli.units import LINES, format_moment

if TYPE_CHECKING:
    from hashmatch.review.feedback import Proposal


@group()
def benign() -> None:
    """Keep a list of harmless pictures, which scan --benign takes.

    Decisions propose pictures, a second person accepts or refuses each, and export writes the list.
    """


@command(
    "list",
    short_help="List the pictures that decisions propose.",
    epilog="Python: hashmatch.review.feedback.proposals(queue)",
)
@queue_argument
@click.option("--all", "every", is_flag=True, help="Also those that were accepted or refused.")
@json_option
@quiet_option
def list_(queue: str, every: bool, as_json: bool, quiet: bool) -> None:
    """List the pictures in QUEUE that people found not to be a match.

    Only pictures whose own hash is in the queue are listed: records of scan --review, or of scan
    --include-hash. A second person has to accept each for the benign list.

    \b
    hashmatch review benign list queue.db
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.feedback import proposals

    count = 0
    with open_queue(queue) as opened:
        for each in proposals(opened):
            if not every and each.verdict != "waiting":
                continue
            count += 1
            if as_json:
                print_json(_fields(each))
            else:
                print_line(_line(each))
        undoable = opened.undoable()
    if not quiet and not count:
        click.echo("no picture is proposed", err=True)
    if not quiet and undoable.until is not None:
        click.echo(
            f"{undoable.count:,} decisions propose nothing yet: they can be undone, the last until "
            f"{format_moment(undoable.until)}",
            err=True,
        )


def _fields(proposal: Proposal) -> dict[str, object]:
    return {
        "case_id": proposal.case.case_id,
        "verdict": proposal.verdict,
        "by": proposal.by,
        "decided_by": proposal.decision.reviewer,
        "decided_at": proposal.decision.decided_at,
        "reason": proposal.decision.reason,
        "records": len(proposal.decision.record_ids),
        "closest": proposal.closest._asdict(),
    }


def _line(proposal: Proposal) -> str:
    distance, limit, algorithm, name = proposal.closest
    by = f" by {proposal.by}" if proposal.by else ""
    records = len(proposal.decision.record_ids)
    return printable(
        f"{proposal.case.case_id}  {proposal.verdict}{by}  {algorithm} {distance}/{limit}  {name}  "
        f"{records:,} record{'s' * (records != 1)}  not a match, says "
        f"{proposal.decision.reviewer}  {format_moment(proposal.decision.decided_at)}"
        f"{f'  {proposal.decision.reason}' if proposal.decision.reason else ''}"
    )


@command(
    short_help="Accept a picture, as a second person.",
    epilog="Python: hashmatch.review.feedback.answer_proposal(queue, case_id, who, accept=True)",
)
@case_options
@quiet_option
def accept(queue: str, case_id: str, who: str, reason: str, quiet: bool) -> None:
    """Accept the picture of CASE for the benign list: it is harmless.

    \b
    hashmatch review benign accept queue.db 18 --by ben --reason "a pattern"
    """  # noqa: D301  (the backspace tells click to keep the lines)
    _answer(queue, case_id, who, reason, quiet, accept=True)


@command(
    short_help="Refuse a picture, as a second person.",
    epilog="Python: hashmatch.review.feedback.answer_proposal(queue, case_id, who, accept=False)",
)
@case_options
@quiet_option
def refuse(queue: str, case_id: str, who: str, reason: str, quiet: bool) -> None:
    """Refuse the picture of CASE for the benign list: it is not harmless.

    \b
    hashmatch review benign refuse queue.db 19 --by ben --reason "a crop"
    """  # noqa: D301  (the backspace tells click to keep the lines)
    _answer(queue, case_id, who, reason, quiet, accept=False)


def _answer(queue: str, case_id: str, who: str, reason: str, quiet: bool, *, accept: bool) -> None:
    from hashmatch.review.feedback import answer_proposal

    with open_queue(queue) as opened:
        proposal = answer_proposal(opened, case_id, who, accept=accept, reason=reason)
    if not quiet:
        click.echo(
            f"{printable(proposal.case.case_id)} is {proposal.verdict} by {printable(who)}",
            err=True,
        )


@command(
    short_help="Add the accepted pictures to a benign list.",
    epilog="Python: hashmatch.review.feedback.add_benign(queue, path)",
)
@queue_argument
@click.option(
    "-o",
    "--out",
    required=True,
    type=LINES,
    metavar="FILE",
    help="JSON lines; made, or added to.",
)
@json_option
@quiet_option
def export(queue: str, out: str, as_json: bool, quiet: bool) -> None:
    """Add the hashes of the accepted pictures in QUEUE to the file of --out, for scan --benign.

    Pictures whose cases were reopened, or decided differently since, are removed from it. The file
    has hashes of your users' pictures, and is readable by you only.

    \b
    hashmatch review benign export queue.db --out benign.jsonl
    hashmatch scan photos -l known.csv -s profile_photo --benign benign.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.feedback import add_benign

    before = 0
    with suppress(OSError), open(out, "rb") as file:
        before = sum(1 for line in file if line.strip())
    with open_queue(queue) as opened:
        new, total = add_benign(opened, out)
    gone = before + new - total
    if as_json:
        print_json({"added": new, "removed": gone, "hashes": total, "out": out})
    elif not quiet:
        taken = f", {gone:,} taken out" if gone else ""
        click.echo(f"{new:,} hashes added{taken}; {total:,} in {printable(out)}", err=True)


for each in (list_, accept, refuse, export):
    benign.add_command(each)
