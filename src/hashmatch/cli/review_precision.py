"""``hashmatch review precision``: up to which distance matches of each list can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hashmatch.cli.command import command
from hashmatch.cli.console import console, print_json, print_table, printable
from hashmatch.cli.options import json_option, open_queue, queue_argument

if TYPE_CHECKING:
    from hashmatch.records.shares import Share
    from hashmatch.review.stats import Reach, Threshold


@command(
    short_help="Show how often each list was right, by distance.",
    epilog="Python: hashmatch.review.stats.thresholds(queue.statistics().precision, 0.9)",
)
@queue_argument
@click.option(
    "--precision",
    "share",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.9,
    show_default=True,
    metavar="SHARE",
    help="The share of cases up to a distance that should be confirmed.",
)
@json_option
def precision(queue: str, share: float, as_json: bool) -> None:
    """Show up to which distance enough of each list's decided cases in QUEUE were confirmed.

    Nothing is changed. Choose --max-distance, or the lists' own limits, by the 95 % intervals,
    which say how sure the number is.

    \b
    hashmatch review precision queue.db --precision 0.95
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.stats import thresholds

    with open_queue(queue) as opened:
        found = thresholds(opened.statistics().precision, share)
    if as_json:
        _print_json(found)
    else:
        _show(found, share)


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
