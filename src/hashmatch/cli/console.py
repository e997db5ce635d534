"""How the commands talk to people: exit codes, standard error, progress."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

    from hashmatch.records.images import HashedImage, ItemOutcome


class Exit(IntEnum):
    """What the process ends with; the help of ``hashmatch`` explains each."""

    DONE = 0
    SOME_UNHASHED = 1
    USAGE = 2
    BUG = 70
    INTERRUPTED = 130
    PIPE_CLOSED = 141


NAMED_PROBLEMS = 20
"""Items that could not be searched and are named on standard error without ``-v``."""


def console(*, stderr: bool = True) -> Console:
    """Return a rich console; it honours NO_COLOR and draws nothing off a terminal."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


@contextmanager
def progress(total: int | None, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show count, rate and time left while stderr is a terminal; yields what to call each time."""
    screen = console()
    if quiet or not screen.is_terminal:
        yield lambda: None
        return
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = [
        TextColumn("{task.completed:,}" + (f" of {total:,} images" if total else " images")),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}/s"),
        TimeRemainingColumn(),
    ]
    with Progress(
        *columns,
        console=screen,
        transient=True,
        # Lines for a file must not pass through the bar, which would swallow them; lines for the
        # same screen must, or both would be torn.
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=False,
    ) as bar:
        task = bar.add_task("", total=total, rate="-")

        def advance() -> None:
            speed = bar.tasks[0].speed
            bar.update(task, advance=1, rate=f"{speed:,.0f}" if speed else "-")

        yield advance


def print_line(text: str) -> None:
    """Print a line of data, through the progress bar if that stands in for standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def name_problems(problems: Sequence[ItemOutcome], verbose: bool) -> None:
    """Say on standard error which items were not searched, and why."""
    shown = problems if verbose else problems[:NAMED_PROBLEMS]
    for problem in shown:
        name_problem(problem.key, problem.outcome, problem.reason)
    if len(problems) > len(shown):
        more = len(problems) - len(shown)
        click.echo(f"and {more:,} more like these; -v or --report FILE names them all", err=True)


def name_problem(item: str, outcome: str, reason: str) -> None:
    """Say on standard error why one item has no good hash."""
    click.echo(f"{printable(item)}: {outcome}: {reason}", err=True)


def printable(text: str) -> str:
    """Return `text` with control characters escaped: a file's name must not steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def hashed_line(hashed: HashedImage) -> str:
    """Return a hashed image as a line of JSON, with its hash: it is the caller's own picture."""
    import msgspec

    fields: dict[str, object] = {"item": hashed.item, "outcome": hashed.outcome}
    if len(hashed.hashes):
        fields |= {
            "algorithm": hashed.spec.algorithm,
            "hash": hashed.hex,
            "quality": hashed.quality,
            "width": hashed.width,
            "height": hashed.height,
            "damaged": hashed.damaged,
        }
    if hashed.reason:
        fields["reason"] = hashed.reason
    return msgspec.json.encode(fields).decode()
