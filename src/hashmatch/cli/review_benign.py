"""``hashmatch review propose``, ``accept``, ``benign``: pictures that turned out to be harmless."""

from __future__ import annotations

import click

from hashmatch.cli.options import quiet_option
from hashmatch.cli.queues import by_option, open_queue, queue_argument, reason_option
from hashmatch.cli.terminal import print_line, printable


@click.command(
    short_help="Print the pictures that decisions propose for the benign list.",
    epilog="Python: hashmatch.review.teaching.proposals(queue)",
)
@queue_argument
@click.option("--all", "every", is_flag=True, help="Also those that were accepted or refused.")
def propose(queue: str, every: bool) -> None:
    """Print a line of JSON for each picture in QUEUE that may be harmless.

    They are those that are not a match, of which the queue has the picture's own hash: records of
    scan --review, or --include-hash. A second person has to accept each for the benign list.

    \b
    hashmatch review propose queue.db
    """  # noqa: D301  (the backspace tells click to keep the lines)
    import msgspec

    from hashmatch.review.teaching import proposals

    with open_queue(queue) as opened:
        for each in proposals(opened):
            if not every and each.verdict != "waiting":
                continue
            line = {
                "case_id": each.case.case_id,
                "verdict": each.verdict,
                "by": each.by,
                "decided_by": each.decision.reviewer,
                "decided_at": each.decision.decided_at,
                "reason": each.decision.reason,
                "records": len(each.decision.record_ids),
                "closest": each.closest._asdict(),
            }
            print_line(msgspec.json.encode(line).decode())


@click.command(
    short_help="Accept a picture for the benign list, as a second person.",
    epilog="Python: hashmatch.review.teaching.answer(queue, case_id, who, accept=True)",
)
@queue_argument
@click.argument("case_id", metavar="CASE")
@by_option
@reason_option
@click.option("--refuse", is_flag=True, help="Say that it is not harmless instead.")
@quiet_option
def accept(queue: str, case_id: str, who: str, reason: str, refuse: bool, quiet: bool) -> None:
    """Accept the picture of CASE, which hashmatch review propose names, for the benign list.

    \b
    hashmatch review accept queue.db 3f0c2a91-17 --by ben --reason "a pattern"
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.teaching import answer

    with open_queue(queue) as opened:
        said = answer(opened, case_id, who, accept=not refuse, reason=reason)
    if not quiet:
        click.echo(
            f"{printable(said.case.case_id)} is {said.verdict} by {printable(who)}", err=True
        )


@click.command(
    short_help="Add the pictures that were accepted to a benign list.",
    epilog="Python: hashmatch.review.benign_file.add_benign(queue, path)",
)
@queue_argument
@click.option("-o", "--out", required=True, metavar="FILE", help="JSON lines; made, or added to.")
@quiet_option
def benign(queue: str, out: str, quiet: bool) -> None:
    """Add the pictures in QUEUE that a second person accepted to FILE, for scan --benign.

    It holds hashes of your users' pictures, and is readable by you only.

    \b
    hashmatch review benign queue.db --out benign.jsonl
    hashmatch scan photos --list known.csv --surface profile_photo --benign benign.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.benign_file import add_benign

    with open_queue(queue) as opened:
        new, total = add_benign(opened, out)
    if not quiet:
        click.echo(f"{new:,} hashes added; {total:,} in {printable(out)}", err=True)
