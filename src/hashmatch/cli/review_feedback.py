"""``hashmatch review`` commands for what follows from decisions: benign pictures, bad entries."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from hashmatch.cli.console import console, print_json, print_table, printable
from hashmatch.cli.options import (
    by_option,
    case_options,
    group,
    json_option,
    open_queue,
    queue_argument,
    quiet_option,
)
from hashmatch.cli.units import LINES, format_moment
from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from hashmatch.review.queue import ReviewQueue
    from hashmatch.review.stats import Reach, Share, Threshold


@click.command(
    short_help="Print the pictures that decisions propose for the benign list.",
    epilog="Python: hashmatch.review.feedback.proposals(queue)",
)
@queue_argument
@click.option("--all", "every", is_flag=True, help="Also those that were accepted or refused.")
@quiet_option
def propose(queue: str, every: bool, quiet: bool) -> None:
    """Print a line of JSON for each picture in QUEUE that may be harmless.

    They are those that are not a match, of which the queue has the picture's own hash: records of
    scan --review, or --include-hash. A second person has to accept each for the benign list.

    \b
    hashmatch review propose queue.db
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.feedback import proposals

    count = 0
    with open_queue(queue) as opened:
        for each in proposals(opened):
            if not every and each.verdict != "waiting":
                continue
            count += 1
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
            print_json(line)
        undoable = opened.undoable()
    if not quiet and not count:
        click.echo("no picture is proposed", err=True)
    if not quiet and undoable.until is not None:
        click.echo(
            f"{undoable.count:,} decisions propose nothing yet: they can be undone, the last until "
            f"{format_moment(undoable.until)}",
            err=True,
        )


@click.command(
    short_help="Accept a picture for the benign list, as a second person.",
    epilog="Python: hashmatch.review.feedback.answer_proposal(queue, case_id, who, accept=True)",
)
@case_options
@click.option("--refuse", is_flag=True, help="Refuse it instead: it is not harmless.")
@quiet_option
def accept(queue: str, case_id: str, who: str, reason: str, refuse: bool, quiet: bool) -> None:
    """Accept the picture of CASE, which hashmatch review propose names, for the benign list.

    \b
    hashmatch review accept queue.db 3f0c2a91-17 --by ben --reason "a pattern"
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.feedback import answer_proposal

    with open_queue(queue) as opened:
        proposal = answer_proposal(opened, case_id, who, accept=not refuse, reason=reason)
    if not quiet:
        click.echo(
            f"{printable(proposal.case.case_id)} is {proposal.verdict} by {printable(who)}",
            err=True,
        )


@click.command(
    short_help="Add the pictures that were accepted to a benign list.",
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
@quiet_option
def benign(queue: str, out: str, quiet: bool) -> None:
    """Add the pictures in QUEUE that a second person accepted to FILE, for scan --benign.

    Those whose cases wait again, or were decided in another way since, are taken out of it.
    It holds hashes of your users' pictures, and is readable by you only.

    \b
    hashmatch review benign queue.db --out benign.jsonl
    hashmatch scan photos --list known.csv --surface profile_photo --benign benign.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.feedback import add_benign

    before = 0
    with suppress(OSError), open(out, "rb") as file:
        before = sum(1 for line in file if line.strip())
    with open_queue(queue) as opened:
        new, total = add_benign(opened, out)
    if not quiet:
        gone = before + new - total
        taken = f", {gone:,} taken out" if gone else ""
        click.echo(f"{new:,} hashes added{taken}; {total:,} in {printable(out)}", err=True)


@click.command(
    short_help="Report entries that match what they should not to a list's owner.",
    epilog="Python: hashmatch.review.feedback.report_entries(queue, name)",
)
@queue_argument
@click.option(
    "-l", "--list", "name", required=True, metavar="NAME", help="Name of the list, as in matches."
)
@click.option(
    "-o",
    "--out",
    required=True,
    type=LINES,
    metavar="FILE",
    help="JSON lines, readable by you only.",
)
@click.option(
    "--least",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    metavar="N",
    help="Only entries with at least so many cases that are not a match.",
)
@click.option(
    "--share",
    type=click.FloatRange(0, 1),
    default=0.9,
    show_default=True,
    metavar="S",
    help="Only entries of whose decided cases at least this share is not a match.",
)
@click.option(
    "--keys", is_flag=True, help="Also write the keys of the pictures, which are of your users."
)
@quiet_option
def report(
    queue: str, name: str, out: str, least: int, share: float, keys: bool, quiet: bool
) -> None:
    """Write which entries of a list matched pictures in QUEUE that people found to be no match.

    The report has the entries, how many cases were decided how, and the distances; no hash, and
    no picture unless --keys.

    \b
    hashmatch review report queue.db --list hotline --out for-hotline.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.feedback import report_entries, write_report

    with open_queue(queue) as opened:
        found = report_entries(opened, name, least=least, share=share)
        if not found and not _is_known(opened, name):
            raise UsageError(
                f"cannot report on list {printable(name)}: no case in the queue matches it. "
                "hashmatch review list names the lists."
            )
    write_report(out, name, found, keys=keys)
    if not quiet:
        click.echo(f"{len(found):,} entries of {printable(name)} in {printable(out)}", err=True)


def _is_known(queue: ReviewQueue, name: str) -> bool:
    matches = (
        match for case in queue.cases() for item in case.items for match in item.record.matches
    )
    return any(match.list == name for match in matches)


#: An entry of a list, and who says what of it.
entry_options = group(
    queue_argument,
    click.argument("name", metavar="LIST"),
    click.argument("entry"),
    by_option,
    click.option("--reason", required=True, metavar="TEXT", help="Why, for the history."),
    quiet_option,
)


@click.command(
    short_help="Disable an entry of a list, for a reason.",
    epilog="Python: hashmatch.review.feedback.disable(queue, name, entry, who, reason)",
)
@entry_options
def disable(queue: str, name: str, entry: str, who: str, reason: str, quiet: bool) -> None:
    """Record in QUEUE that ENTRY of LIST is not to be matched any more.

    Scans leave it out once they are given the file that hashmatch review disabled writes.

    \b
    hashmatch review disable queue.db hotline img-77 --by ana --reason "a stock photo"
    hashmatch review disabled queue.db --out disabled.jsonl
    hashmatch scan photos --list hotline.csv --surface profile_photo --disabled disabled.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.feedback import disable as disable_entry

    with open_queue(queue) as opened:
        disable_entry(opened, name, entry, who, reason)
    if not quiet:
        click.echo("recorded; hashmatch review disabled writes it for scans", err=True)


@click.command(
    short_help="Enable an entry that was disabled.",
    epilog="Python: hashmatch.review.feedback.enable(queue, name, entry, who, reason)",
)
@entry_options
def enable(queue: str, name: str, entry: str, who: str, reason: str, quiet: bool) -> None:
    """Record in QUEUE that ENTRY of LIST is to be matched again.

    \b
    hashmatch review enable queue.db hotline img-77 --by ben --reason "the owner mended it"
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.feedback import enable as enable_entry

    with open_queue(queue) as opened:
        enable_entry(opened, name, entry, who, reason)
    if not quiet:
        click.echo("recorded; hashmatch review disabled writes it for scans", err=True)


@click.command(
    short_help="Write the entries that are disabled, for scans to leave out.",
    epilog="Python: hashmatch.review.feedback.disabled(queue)",
)
@queue_argument
@click.option(
    "-o", "--out", default="-", type=LINES, metavar="FILE", help="JSON lines. [default: -]"
)
@quiet_option
def disabled(queue: str, out: str, quiet: bool) -> None:
    """Write the entries of lists that are disabled in QUEUE, each with whose reason.

    \b
    hashmatch review disabled queue.db --out disabled.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.feedback import disabled as disabled_entries
    from hashmatch.review.feedback import write_disabled

    with open_queue(queue) as opened:
        entries = disabled_entries(opened)
    if out != "-":
        write_disabled(out, entries)
        if not quiet:
            click.echo(f"{len(entries):,} entries in {printable(out)}", err=True)
        return
    for entry in entries:
        print_json(entry)
    if not entries and not quiet:
        click.echo("no entry is disabled", err=True)


@click.command(
    short_help="Show up to which distance matches of each list can be trusted.",
    epilog="Python: hashmatch.review.stats.thresholds(queue.statistics().precision, 0.9)",
)
@queue_argument
@click.option(
    "--precision",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.9,
    show_default=True,
    metavar="P",
    help="Share of the cases up to a distance that is to be confirmed.",
)
@json_option
def teach(queue: str, precision: float, as_json: bool) -> None:
    """Show how many of each list's decided cases in QUEUE were confirmed, up to which distance.

    Nothing changes by this: --max-distance and the lists' own limits stay what they are. Choose
    them by the 95 % intervals, which say how much the few decided cases may mislead.

    \b
    hashmatch review teach queue.db --precision 0.95
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.stats import thresholds

    with open_queue(queue) as opened:
        found = thresholds(opened.statistics().precision, precision)
    if as_json:
        _print_json(found)
    else:
        _show(found, precision)


def _print_json(found: list[Threshold]) -> None:
    def share(each: Share) -> dict[str, object]:
        return {"value": each.value, **each._asdict()}

    def reach(each: Reach | None) -> dict[str, object] | None:
        return None if each is None else {"distance": each.distance, **share(each.share)}

    for one in found:
        line = {
            "list": one.list,
            "algorithm": one.algorithm,
            "all": share(one.all),
            "reach": reach(one.reach),
            "sure": reach(one.sure),
        }
        print_json(line)


def _show(found: list[Threshold], precision: float) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="Confirmed, of the cases that were decided", title_justify="left")
    table.add_column("list")
    table.add_column("all distances", justify="right")
    table.add_column(f"up to here {precision:.0%}", justify="right")
    table.add_column("surely", justify="right")
    for one in found:
        table.add_row(
            escape(printable(f"{one.list} {one.algorithm}")),
            _text(one.all),
            "-" if one.reach is None else f"{one.reach.distance}: {_text(one.reach.share)}",
            "-" if one.sure is None else f"{one.sure.distance}: {_text(one.sure.share)}",
        )
    screen = console(stderr=False)
    print_table(screen, table)
    screen.print("Nothing changes by itself: choose --max-distance, or a list's --limit.")


def _text(share: Share) -> str:
    return f"{share.part:,} of {share.whole:,} ({share.low:.0%} to {share.high:.0%})"


FEEDBACK = propose, accept, benign, report, disable, enable, disabled, teach
