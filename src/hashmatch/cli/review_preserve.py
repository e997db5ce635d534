"""``hashmatch review preserve``: how long cases that were reported are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hashmatch.cli.command import command, group, options
from hashmatch.cli.console import print_json, print_line, printable
from hashmatch.cli.options import (
    by_option,
    case_options,
    json_option,
    open_queue,
    queue_argument,
    quiet_option,
)
from hashmatch.cli.units import MOMENT, format_moment

if TYPE_CHECKING:
    from datetime import datetime

    from hashmatch.review.holds import Preservation


@group(short_help="Keep cases that were reported for a year.")
def preserve() -> None:
    """Keep cases that were reported for a year or longer, and know what ends next.

    hashmatch files no report. Once a person has, the number of the report starts the clock: nothing
    removes the case before its time is over. Two people together extend it or end it. This is no
    legal advice.
    """


@command(
    short_help="Enter the number of a report; it starts the clock.",
    epilog="Python: hashmatch.review.preservation.preserve(queue, case_id, number, filed, who)",
)
@queue_argument
@click.argument("case_id", metavar="CASE")
@click.option(
    "--report", "number", required=True, metavar="NUMBER", help="The number of the report."
)
@click.option("--filed", type=MOMENT, required=True, help="When the report was filed.")
@by_option
@quiet_option
def add(queue: str, case_id: str, number: str, filed: datetime, who: str, quiet: bool) -> None:
    """Enter the number of a report that a person filed about CASE, an id or its number.

    The case is kept for --keep-reported of hashmatch review settings from then on.

    \b
    hashmatch review preserve add queue.db 17 --report 9900001 --filed 2026-01-31
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.preservation import preserve as preserve_case

    with open_queue(queue) as opened:
        found = preserve_case(opened, case_id, number, filed, who)
    _say(found, quiet)


@command(
    "list",
    short_help="List what is preserved, and what has no report.",
    epilog="Python: hashmatch.review.preservation.preservations(queue), unreported(queue)",
)
@queue_argument
@json_option
def list_(queue: str, as_json: bool) -> None:
    """List the cases of QUEUE that are preserved, what ends next first.

    Behind them come the confirmed cases for which no number of a report was entered.

    \b
    hashmatch review preserve list queue.db
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.preservation import preservations, unreported

    with open_queue(queue) as opened:
        found, missing = preservations(opened), list(unreported(opened))
    if as_json:
        for each in found:
            print_json(_fields(each))
        for case_id in missing:
            print_json({"case_id": case_id, "reports": [], "until": None, "asked": None})
        return
    for each in found:
        print_line(_line(each))
    for case_id in missing:
        print_line(printable(f"{case_id}  confirmed, and no report was entered"))
    if not found and not missing:
        click.echo("nothing is preserved", err=True)


#: A case whose preservation is to change, and who asks, on what ground.
ask_options = options(
    queue_argument,
    click.argument("case_id", metavar="CASE"),
    by_option,
    click.option("--reason", required=True, metavar="TEXT", help="Why, for the history."),
    quiet_option,
)


@command(
    short_help="Ask that a case is preserved for longer.",
    epilog='Python: hashmatch.review.preservation.ask(queue, case_id, "extend", who, ...)',
)
@ask_options
@click.option("--until", type=MOMENT, required=True, help="Until when it is to be preserved.")
def extend(queue: str, case_id: str, who: str, reason: str, until: datetime, quiet: bool) -> None:
    """Ask that CASE is preserved for longer; a second person approves or refuses that.

    Until then it is kept.

    \b
    hashmatch review preserve extend queue.db 17 --until 2049-06-30 \\
        --reason "letter of 3 May"
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.preservation import ask

    with open_queue(queue) as opened:
        found = ask(opened, case_id, "extend", who, reason, until)
    _say(found, quiet)


@command(
    short_help="Ask that a case is no longer preserved.",
    epilog='Python: hashmatch.review.preservation.ask(queue, case_id, "release", who, ...)',
)
@ask_options
def release(queue: str, case_id: str, who: str, reason: str, quiet: bool) -> None:
    """Ask that CASE is no longer preserved; a second person approves or refuses that.

    \b
    hashmatch review preserve release queue.db 17 --reason "order of 3 May"
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.preservation import ask

    with open_queue(queue) as opened:
        found = ask(opened, case_id, "release", who, reason)
    _say(found, quiet)


@command(
    short_help="Approve what another person asked for.",
    epilog="Python: hashmatch.review.preservation.answer(queue, case_id, who, approve=True)",
)
@case_options
@quiet_option
def approve(queue: str, case_id: str, who: str, reason: str, quiet: bool) -> None:
    """Approve what somebody else asked for CASE: to preserve it for longer, or no longer.

    \b
    hashmatch review preserve approve queue.db 16
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.preservation import answer

    with open_queue(queue) as opened:
        found = answer(opened, case_id, who, approve=True, reason=reason)
    _say(found, quiet)


@command(
    short_help="Refuse what another person asked for.",
    epilog="Python: hashmatch.review.preservation.answer(queue, case_id, who, approve=False)",
)
@case_options
@quiet_option
def refuse(queue: str, case_id: str, who: str, reason: str, quiet: bool) -> None:
    """Refuse what somebody else asked for CASE: to preserve it for longer, or no longer.

    \b
    hashmatch review preserve refuse queue.db 16 --reason "no letter says so"
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.preservation import answer

    with open_queue(queue) as opened:
        found = answer(opened, case_id, who, approve=False, reason=reason)
    _say(found, quiet)


def _say(found: Preservation, quiet: bool) -> None:
    if not quiet:
        click.echo(_line(found), err=True)


def _line(found: Preservation) -> str:
    numbers = ", ".join(report.number for report in found.reports)
    until = "released" if found.until is None else f"until {format_moment(found.until)}"
    asked = ""
    if found.asked is not None:
        asked = f"  {found.asked.who} asked to {found.asked.action} it: {found.asked.reason}"
    return printable(f"{found.case_id}  {until}  report {numbers}{asked}")


def _fields(found: Preservation) -> dict[str, object]:
    return {
        "case_id": found.case_id,
        "reports": [{"number": one.number, "filed_at": one.filed_at} for one in found.reports],
        "until": found.until,
        "asked": found.asked
        and {
            "action": found.asked.action,
            "who": found.asked.who,
            "reason": found.asked.reason,
            "until": found.asked.until,
        },
    }


for each in (add, list_, extend, release, approve, refuse):
    preserve.add_command(each)
