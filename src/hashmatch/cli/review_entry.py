"""``hashmatch review entry``: entries of lists that match what they should not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hashmatch.cli.command import command, group, options
from hashmatch.cli.console import print_json, print_line, printable
from hashmatch.cli.options import (
    by_option,
    json_option,
    open_queue,
    queue_argument,
    quiet_option,
)
from hashmatch.cli.units import LINES
from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from hashmatch.review.queue import ReviewQueue


@group(short_help="Disable bad entries of lists, and report them.")
def entry() -> None:
    """Disable entries of lists that match harmless pictures, and report them to the list's owner.

    hashmatch review precision says how often each list was right.
    """


@command(
    short_help="Write bad entries to a file for the list's owner.",
    epilog="Python: hashmatch.review.feedback.report_entries(queue, name)",
)
@queue_argument
@click.argument("name", metavar="LIST")
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
    help="Only entries with at least N cases that are not a match.",
)
@click.option(
    "--share",
    type=click.FloatRange(0, 1),
    default=0.9,
    show_default=True,
    metavar="SHARE",
    help="Only entries of whose decided cases at least this share are not a match.",
)
@click.option(
    "--include-keys",
    "keys",
    is_flag=True,
    help="Also write the keys of the pictures, which belong to your users.",
)
@quiet_option
def report(
    queue: str, name: str, out: str, least: int, share: float, keys: bool, quiet: bool
) -> None:
    """Write a report on the entries of LIST whose cases in QUEUE were mostly not a match.

    It has the entries, counts of decisions and distances, for the owner of the list. No hash is in
    it, and no key of a picture unless --include-keys.

    \b
    hashmatch review entry report queue.db hotline --out for-hotline.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.feedback import report_entries, write_report

    with open_queue(queue) as opened:
        found = report_entries(opened, name, least=least, share=share)
        if not found and not _is_known(opened, name):
            raise UsageError(
                f"cannot report on list {printable(name)}: no case in the queue matches it. "
                "hashmatch review case list names the lists."
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
entry_options = options(
    queue_argument,
    click.argument("name", metavar="LIST"),
    click.argument("entry"),
    by_option,
    click.option("--reason", required=True, metavar="TEXT", help="Why, for the history."),
    quiet_option,
)


@command(
    short_help="Disable an entry of a list, for a reason.",
    epilog="Python: hashmatch.review.feedback.disable(queue, name, entry, who, reason)",
)
@entry_options
def disable(queue: str, name: str, entry: str, who: str, reason: str, quiet: bool) -> None:
    """Record in QUEUE that ENTRY of LIST should not be matched any more.

    Scans leave it out once they get the file of hashmatch review entry list --out.

    \b
    hashmatch review entry disable queue.db hotline img-77 --reason "stock photo"
    hashmatch review entry list queue.db --out disabled.jsonl
    hashmatch scan photos -l known.csv -s profile_photo --disabled disabled.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.feedback import disable as disable_entry

    with open_queue(queue) as opened:
        disable_entry(opened, name, entry, who, reason)
    if not quiet:
        click.echo("recorded; hashmatch review entry list --out writes it for scans", err=True)


@command(
    short_help="Enable an entry that was disabled.",
    epilog="Python: hashmatch.review.feedback.enable(queue, name, entry, who, reason)",
)
@entry_options
def enable(queue: str, name: str, entry: str, who: str, reason: str, quiet: bool) -> None:
    """Record in QUEUE that ENTRY of LIST should be matched again.

    \b
    hashmatch review entry enable queue.db hotline img-78 --reason "corrected"
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.feedback import enable as enable_entry

    with open_queue(queue) as opened:
        enable_entry(opened, name, entry, who, reason)
    if not quiet:
        click.echo("recorded; hashmatch review entry list --out writes it for scans", err=True)


@command(
    "list",
    short_help="List the entries that are disabled.",
    epilog="Python: hashmatch.review.feedback.disabled(queue)",
)
@queue_argument
@click.option(
    "-o",
    "--out",
    type=LINES,
    metavar="FILE",
    help="Write them as JSON lines to this file, for scan --disabled.",
)
@json_option
@quiet_option
def list_(queue: str, out: str | None, as_json: bool, quiet: bool) -> None:
    """List the entries of lists that are disabled in QUEUE, with who disabled them and why.

    scan, match and rescan leave them out if --disabled names the file of --out.

    \b
    hashmatch review entry list queue.db
    hashmatch review entry list queue.db --out disabled.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.feedback import disabled, write_disabled

    with open_queue(queue) as opened:
        entries = disabled(opened)
    if out is not None and out != "-":
        write_disabled(out, entries)
        if not quiet:
            click.echo(f"{len(entries):,} entries in {printable(out)}", err=True)
        return
    for each in entries:
        if as_json or out == "-":
            print_json(each)
        else:
            print_line(
                printable(
                    f"{each.list}  {each.entry}  disabled by {each.by}  {each.at}  {each.reason}"
                )
            )
    if not entries and not quiet:
        click.echo("no entry is disabled", err=True)


for each in (list_, disable, enable, report):
    entry.add_command(each)
