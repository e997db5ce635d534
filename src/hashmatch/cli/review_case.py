"""``hashmatch review case``: the cases of a queue, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hashmatch.cli.choices import STATE, STATES, SURFACE
from hashmatch.cli.command import command, group
from hashmatch.cli.console import print_json, print_line, printable
from hashmatch.cli.options import case_options, json_option, open_queue, queue_argument
from hashmatch.cli.review_history import event_fields, event_line
from hashmatch.cli.units import format_moment

if TYPE_CHECKING:
    from hashmatch.records.cases import Case


@group(short_help="List, show, reopen, hold and release cases.")
def case() -> None:
    """List and show the cases of a queue, reopen them, hold and release them.

    A case is what people decide about at once: the records of one picture. They decide on the page
    of hashmatch review serve, where they see it.
    """


@command(
    "list",
    short_help="List the cases of a queue.",
    epilog="Python: ReviewQueue.cases(state)",
)
@queue_argument
@click.option(
    "--state",
    type=STATE,
    metavar="STATE",
    help=f"Only cases in this state: {', '.join(STATES)}.",
)
@click.option("--label", metavar="LABEL", help="Only cases with this label.")
@click.option(
    "--surface", type=SURFACE, metavar="SURFACE", help="Only cases with pictures from this surface."
)
@click.option(
    "--inherited", is_flag=True, help="Only cases that got more records after the decision."
)
@json_option
def list_(
    queue: str,
    state: str | None,
    label: str | None,
    surface: str | None,
    inherited: bool,
    as_json: bool,
) -> None:
    """Print a line for each case of QUEUE, oldest first.

    \b
    hashmatch review case list queue.db --state escalated
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.records.enums import Surface

    where = None if surface is None else Surface.parse(surface)
    count = 0
    with open_queue(queue) as opened:
        for case in opened.cases(state, label=label, surface=where):
            if inherited and not any(item.inherited for item in case.items):
                continue
            count += 1
            if as_json:
                from hashmatch.records.safeguards import waiver_fields
                from hashmatch.review.results import case_fields

                print_json(case_fields(case) | {"waivers": waiver_fields()})
            else:
                print_line(_line(case))
    if not count and not as_json:
        is_part = state or label or surface or inherited
        click.echo("there is no such case" if is_part else "the queue is empty", err=True)


def _line(case: Case) -> str:
    distance, limit, algorithm, name = case.closest
    items = f"{len(case.items):,} item{'s' * (len(case.items) != 1)}"
    labels = ",".join(case.labels) or "-"
    return printable(
        f"{case.case_id}  {case.state}  {algorithm} {distance}/{limit}  {name}  {labels}  "
        f"{','.join(case.surfaces)}  {items}  {format_moment(case.opened_at)}"
    )


@command(
    short_help="Show a case: its records, decisions and history.",
    epilog="Python: ReviewQueue.case(case_id), ReviewQueue.history(case_id)",
)
@queue_argument
@click.argument("case_id", metavar="CASE")
@json_option
def show(queue: str, case_id: str, as_json: bool) -> None:
    """Show the records, decisions and history of CASE, an id or its number. No picture is shown.

    \b
    hashmatch review case show queue.db 17
    """  # noqa: D301  (the backspace tells click to keep the lines)
    with open_queue(queue) as opened:
        case = opened.case(case_id)
        events = list(opened.history(case_id))
    if as_json:
        from hashmatch.records.safeguards import waiver_fields
        from hashmatch.review.results import case_fields

        fields = {"history": [event_fields(event) for event in events], "waivers": waiver_fields()}
        print_json(case_fields(case) | fields)
        return
    click.echo(_line(case))
    for item in case.items:
        how = "inherited, not decided" if item.inherited else "asked about"
        click.echo(printable(f"  {item.record.item.key} ({item.record.record_id}): {how}"))
    for event in events:
        click.echo(f"  {event_line(event)}")


@command(
    short_help="Put a decided case back into the queue.",
    epilog="Python: ReviewQueue.look_again(case_id, who, reason)",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Ask about all of its records in any case.",
)
@case_options
def reopen(queue: str, case_id: str, everything: bool, who: str, reason: str) -> None:
    """Put CASE, which is decided, back into the queue.

    It asks about the records that joined it after the decision; if there are none, about all.

    \b
    hashmatch review case reopen queue.db 17 --reason "an appeal" --all
    """  # noqa: D301  (the backspace tells click to keep the lines)
    with open_queue(queue) as opened:
        case = opened.look_again(case_id, who, reason, everything=everything)
    click.echo(f"{case.case_id} waits for a person: {len(case.asked):,} of its records", err=True)


@command(
    short_help="Keep a case from expiring.",
    epilog="Python: ReviewQueue.hold(case_id, who, reason)",
)
@case_options
def hold(queue: str, case_id: str, who: str, reason: str) -> None:
    """Keep CASE until it is released, whatever its age and decision.

    \b
    hashmatch review case hold queue.db 17 --reason "a court asked for it"
    """  # noqa: D301  (the backspace tells click to keep the lines)
    with open_queue(queue) as opened:
        opened.hold(case_id, who, reason)
    click.echo(f"{printable(case_id)} is kept until it is released", err=True)


@command(
    short_help="Let a case expire again.",
    epilog="Python: ReviewQueue.release(case_id, who, reason)",
)
@case_options
def release(queue: str, case_id: str, who: str, reason: str) -> None:
    """Let CASE expire again: from now on it is kept as long as what is not a match.

    \b
    hashmatch review case release queue.db 15 --reason "the court's order ended"
    """  # noqa: D301  (the backspace tells click to keep the lines)
    with open_queue(queue) as opened:
        opened.release(case_id, who, reason)
    click.echo(f"{printable(case_id)} is no longer held", err=True)


for each in (list_, show, reopen, hold, release):
    case.add_command(each)
