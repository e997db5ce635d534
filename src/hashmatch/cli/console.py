"""How the commands talk to people: exit codes, standard error, progress."""

from __future__ import annotations

import io
import sys
import time
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Self

    from rich.console import Console
    from rich.table import Table

    from hashmatch.records.images import HashedImage, ItemOutcome
    from hashmatch.records.videos import HashedVideo


T = TypeVar("T")


class Exit(IntEnum):
    """What the process ends with; the help of ``hashmatch`` explains each."""

    DONE = 0
    SOME_UNHASHED = 1
    USAGE = 2
    BUG = 70
    INTERRUPTED = 130
    PIPE_CLOSED = 141


UNBOUNDED = 10_000
"""Columns of what is no terminal: nothing is cut off or wrapped there."""
WIDE = 100
"""Columns of a terminal that has room for a bar."""
NAMED_PROBLEMS = 20
"""Items that could not be searched and are named on standard error without ``-v``."""


class PipedOutput(io.TextIOWrapper):
    """Standard output that is not a terminal: what is printed within a second is written at once.

    Reading the first line of a short output and leaving, as ``head`` does, is then no error: all of
    it was written before. A reader of a long output waits for a line no longer than about a second.
    """

    HELD = 1.0
    """Seconds that a line is held back for others, if somebody asks for it to be written."""
    SIZE = 65536
    """Bytes that a pipe takes on Linux before anybody reads; more is written when it comes."""

    def __init__(self, descriptor: int) -> None:
        raw = io.FileIO(descriptor, "w", closefd=False)
        super().__init__(io.BufferedWriter(raw, self.SIZE), encoding="utf-8", write_through=True)
        self._since: float | None = None

    def write(self, text: str) -> int:
        """Print text."""
        self._since = time.monotonic() if self._since is None else self._since
        return super().write(text)

    def flush(self) -> None:
        """Write what was printed, unless all of that is newer than a second."""
        if self._since is not None and time.monotonic() - self._since >= self.HELD:
            self.flush_now()

    def flush_now(self) -> None:
        """Write what was printed."""
        self._since = None
        super().flush()


def flush_output() -> None:
    """Write all that was printed to standard output, before a pause or the end."""
    if isinstance(sys.stdout, PipedOutput):
        sys.stdout.flush_now()
    elif sys.stdout is not None:
        sys.stdout.flush()


def console(*, stderr: bool = True) -> Console:
    """Return a rich console; it honours NO_COLOR and draws nothing off a terminal."""
    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self) -> None:  # rich would end the process with 1
            raise BrokenPipeError

    screen = Screen(stderr=stderr, highlight=False, soft_wrap=True)
    if not screen.is_terminal:
        screen.width = UNBOUNDED
    return screen


def print_table(screen: Console, table: Table) -> None:
    """Print a table with lines around it on a terminal, and without any elsewhere."""
    if not screen.is_terminal:
        table.box = None
        table.title_style = ""
    screen.print(table)


class Progress:
    """One line on a terminal that says how far a command has come; elsewhere there is none.

    Use it in a ``with`` statement. Of `total`, if that is known, `done` was done before; the `unit`
    is what is counted, or bytes.
    """

    def __init__(
        self, total: int | None, quiet: bool, *, done: int = 0, unit: str = "images"
    ) -> None:
        self._screen = console()
        self.shown = not quiet and self._screen.is_terminal
        self._total, self._before, self._unit = total, done, unit
        self._said = ""

    def __enter__(self) -> Self:
        if not self.shown:
            return self
        from rich import progress

        of_all = " of {task.total:,}" if self._total else ""
        is_wide = self._screen.width >= WIDE
        columns = [
            progress.DownloadColumn()
            if self._unit == "bytes"
            else progress.TextColumn(f"{{task.completed:,}}{of_all} {self._unit}"),
            *([progress.BarColumn(bar_width=10)] if is_wide else []),
            progress.TaskProgressColumn(),
            progress.TimeRemainingColumn() if self._total else progress.TimeElapsedColumn(),
            *([] if self._unit == "bytes" else [progress.TextColumn("{task.fields[rate]}/s")]),
            progress.TextColumn("{task.fields[said]}", markup=False),
        ]
        self._bar = progress.Progress(
            *columns,
            console=self._screen,
            transient=True,
            # Lines for a file must not pass through the bar, which would swallow them; lines for
            # the same screen must, or both would be torn.
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=False,
            speed_estimate_period=10,
        )
        self._bar.start()
        self._bar.add_task("", total=self._total, completed=self._before, rate="-", said="")
        return self

    def __exit__(self, *error: object) -> None:
        if self.shown:
            self._bar.stop()

    def advance(self, count: int = 1) -> None:
        """Show that so much more is done."""
        if self.shown:
            self.update(int(self._bar.tasks[0].completed) + count)

    def count(self, each: Iterable[T]) -> Iterator[T]:
        """Yield what is worked on, and show that it is done."""
        for one in each:
            yield one
            self.advance()

    def say(self, text: str) -> None:
        """Show what is done now."""
        self.update(None, text)

    def update(self, done: int | None, said: str | None = None) -> None:
        """Show how much is done by now, and what else there is to say; None is as before."""
        if not self.shown:
            return
        task = self._bar.tasks[0]
        self._said = self._said if said is None else said
        total = self._total and max(self._total, done or 0)  # what has changed counts once more
        self._bar.update(task.id, completed=done, total=total, said=self._said)
        speed = task.speed or (task.completed - self._before) / max(task.elapsed or 0.0, 0.001)
        self._bar.update(task.id, rate=f"{speed:,.0f}")


@contextmanager
def working(text: str, quiet: bool) -> Iterator[None]:
    """Say on a terminal what is done, and for how long by now, where nothing can be counted."""
    screen = console()
    if quiet or not screen.is_terminal:
        yield
        return
    from rich import progress

    columns = progress.TextColumn("{task.description}"), progress.TimeElapsedColumn()
    with progress.Progress(
        *columns,
        console=screen,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=False,
    ) as bar:
        bar.add_task(text, total=None)
        yield


def print_line(text: str) -> None:
    """Print a line, through the progress bar if that stands in for standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_json(value: object, *, err: bool = False) -> None:
    """Print a value as a line of JSON, on standard error if that is said."""
    import msgspec

    from hashmatch.records.controls import escape_json

    line = escape_json(msgspec.json.encode(value).decode())
    if err:
        click.echo(line, err=True)
    else:
        print_line(line)


def name_problems(problems: Sequence[ItemOutcome], verbose: bool) -> None:
    """Say on standard error which items were not searched, and why."""
    shown = problems if verbose else problems[:NAMED_PROBLEMS]
    for problem in shown:
        click.echo(printable(f"{problem.key}: {problem.outcome}: {problem.reason}"), err=True)
    if len(problems) > len(shown):
        more = len(problems) - len(shown)
        click.echo(f"and {more:,} more like these; -v or --report FILE names them all", err=True)


def printable(text: str) -> str:
    """Return `text` with control characters escaped: a file's name must not steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def print_hashed(hashed: HashedImage) -> None:
    """Print a hashed image as a line of JSON, with its hash: it is the caller's own picture."""
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
    print_json(fields)


def video_fields(video: HashedVideo) -> dict[str, object]:
    """Return a hashed video as JSON has it, with the hashes: it is the caller's own video."""
    fields: dict[str, object] = {"item": video.item, "outcome": video.outcome}
    if video.reason:
        fields["reason"] = video.reason
    fields |= {"algorithm": video.algorithm, "every": video.every}
    if video.frames is None:
        return fields
    columns = (
        video.frames.frames.tolist(),
        video.frames.times.tolist(),
        video.frames.quality.tolist(),
        video.frames.hashes.to_hex(),
    )
    return fields | {
        "width": video.width,
        "height": video.height,
        "rate": video.rate,
        "duration": video.duration,
        "damaged": video.damaged,
        "frames": [
            {"frame": frame, "time": round(time, 3), "quality": quality, "hash": text}
            for frame, time, quality, text in zip(*columns, strict=True)
        ],
    }
