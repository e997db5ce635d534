"""``hashmatch review report``, ``disable``, ``enable`` and ``disabled``: entries that err."""

from __future__ import annotations

from pathlib import Path

import click

from hashmatch.cli.options import quiet_option
from hashmatch.cli.queues import by_option, open_queue, queue_argument
from hashmatch.cli.terminal import print_line, printable


@click.command(
    short_help="Report entries that match what they should not to a list's owner.",
    epilog="Python: hashmatch.review.reporting.report_entries(queue, name)",
)
@queue_argument
@click.option("-l", "--list", "name", required=True, metavar="NAME", help="As matches name it.")
@click.option(
    "-o", "--out", required=True, metavar="FILE", help="JSON lines, readable by you only."
)
@click.option(
    "--least",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    metavar="N",
    help="Report entries from so many cases on that are not a match.",
)
@click.option(
    "--share",
    type=click.FloatRange(0, 1),
    default=0.9,
    show_default=True,
    metavar="S",
    help="And of which so many of the decided cases are none.",
)
@click.option("--keys", is_flag=True, help="Also name the pictures; they are of your users.")
@quiet_option
def report(
    queue: str, name: str, out: str, least: int, share: float, keys: bool, quiet: bool
) -> None:
    """Write which entries of a list were matched by much in QUEUE that people found to be no match.

    The report has the entries, how many cases were decided how, and the distances; no hash, and
    no picture unless --keys.

    \b
    hashmatch review report queue.db --list hotline --out for-hotline.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.reporting import report_entries, write_report

    with open_queue(queue) as opened:
        found = report_entries(opened, name, least=least, share=share)
    write_report(out, name, found, keys=keys)
    if not quiet:
        click.echo(f"{len(found):,} entries of {printable(name)} in {printable(out)}", err=True)


@click.command(
    short_help="Match an entry of a list no longer, for a reason.",
    epilog="Python: hashmatch.review.teaching.disable(queue, name, entry, who, reason)",
)
@queue_argument
@click.argument("name", metavar="LIST")
@click.argument("entry")
@by_option
@click.option("--reason", required=True, metavar="TEXT", help="Why.")
@quiet_option
def disable(queue: str, name: str, entry: str, who: str, reason: str, quiet: bool) -> None:
    """Note in QUEUE that ENTRY of LIST is not to be matched any more.

    Scans leave it out once they are given the file that hashmatch review disabled writes.

    \b
    hashmatch review disable queue.db hotline img-77 --by ana --reason "a stock photo"
    hashmatch review disabled queue.db --out disabled.jsonl
    hashmatch scan photos --list hotline.csv --surface profile_photo --disabled disabled.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.teaching import disable as disable_entry

    with open_queue(queue) as opened:
        disable_entry(opened, name, entry, who, reason)
    if not quiet:
        click.echo("noted; hashmatch review disabled writes it for scans", err=True)


@click.command(
    short_help="Match an entry again that was disabled.",
    epilog="Python: hashmatch.review.teaching.enable(queue, name, entry, who, reason)",
)
@queue_argument
@click.argument("name", metavar="LIST")
@click.argument("entry")
@by_option
@click.option("--reason", required=True, metavar="TEXT", help="Why.")
@quiet_option
def enable(queue: str, name: str, entry: str, who: str, reason: str, quiet: bool) -> None:
    """Note in QUEUE that ENTRY of LIST is to be matched again.

    \b
    hashmatch review enable queue.db hotline img-77 --by ben --reason "the owner mended it"
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.teaching import enable as enable_entry

    with open_queue(queue) as opened:
        enable_entry(opened, name, entry, who, reason)
    if not quiet:
        click.echo("noted; hashmatch review disabled writes it for scans", err=True)


@click.command(
    short_help="Write the entries that are disabled, for scans to leave out.",
    epilog="Python: hashmatch.review.teaching.disabled(queue)",
)
@queue_argument
@click.option("-o", "--out", default="-", metavar="FILE", help="JSON lines. [default: -]")
def disabled(queue: str, out: str) -> None:
    """Write the entries of lists that are disabled in QUEUE, each with whose reason.

    \b
    hashmatch review disabled queue.db --out disabled.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    import msgspec

    from hashmatch.review.teaching import disabled as disabled_entries
    from hashmatch.sinks.files import OutputFile

    with open_queue(queue) as opened:
        lines = [msgspec.json.encode(each).decode() for each in disabled_entries(opened)]
    if out == "-":
        for line in lines:
            print_line(line)
        return
    file = OutputFile(Path(out))
    try:
        for line in lines:
            file.write(line + "\n")
        file.close()
    except BaseException:
        file.discard()
        raise
