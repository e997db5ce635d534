"""``hashmatch review teach``: what decisions say about the distances of lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hashmatch.cli.queues import json_option, open_queue, queue_argument
from hashmatch.cli.terminal import console, print_line, printable

if TYPE_CHECKING:
    from hashmatch.review.intervals import Share
    from hashmatch.review.thresholds import Reach, Threshold


@click.command(
    short_help="Say up to which distance the matches of each list can be trusted.",
    epilog="Python: hashmatch.review.thresholds.thresholds(queue.statistics().precision, 0.9)",
)
@queue_argument
@click.option(
    "--precision",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.9,
    show_default=True,
    metavar="P",
    help="Of the cases up to a distance, how many are to be confirmed.",
)
@json_option
def teach(queue: str, precision: float, as_json: bool) -> None:
    """Say how many of each list's decided cases in QUEUE were confirmed, and up to which distance.

    Nothing changes by this: --max-distance and the lists' own limits stay what they are. Choose
    them by the 95 % intervals, which say how much the few decided cases may mislead.

    \b
    hashmatch review teach queue.db --precision 0.95
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.thresholds import thresholds

    with open_queue(queue) as opened:
        found = thresholds(opened.statistics().precision, precision)
    if as_json:
        _print_json(found)
    else:
        _show(found, precision)


def _print_json(found: list[Threshold]) -> None:
    import msgspec

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
        print_line(msgspec.json.encode(line).decode())


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
            escape(f"{printable(one.list)} {one.algorithm}"),
            _text(one.all),
            "-" if one.reach is None else f"{one.reach.distance}: {_text(one.reach.share)}",
            "-" if one.sure is None else f"{one.sure.distance}: {_text(one.sure.share)}",
        )
    screen = console(stderr=False)
    screen.print(table)
    screen.print("Nothing changes by itself: choose --max-distance, or a list's --limit.")


def _text(share: Share) -> str:
    return f"{share.part:,} of {share.whole:,} ({share.low:.0%} to {share.high:.0%})"
