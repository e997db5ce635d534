"""Who is told of what a scan does: the screen, a log, a file of metrics."""

from __future__ import annotations

import sys
import time
from collections import deque
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from hashmatch.cli.terminal import console
from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashmatch.matcher import Matcher
    from hashmatch.observing import Counters, Event, Observe

WIDE = 100
"""Columns of a terminal that has room for a bar."""
RECENT = 40
"""Events that the rate is of: about ten seconds."""


class Watchers:
    """Tells each of some observers."""

    def __init__(self, observers: Sequence[Observe]) -> None:
        self._observers = tuple(observers)

    def __call__(self, event: Event) -> None:
        """Tell of an event."""
        for observer in self._observers:
            observer(event)


@contextmanager
def watchers(
    log: str | None, metrics: str | None, out: str | None, about: dict[str, Any]
) -> Iterator[list[Observe]]:
    """Give who is told besides the screen; their files are opened before the first image."""
    from hashmatch.metrics import MetricsFile
    from hashmatch.scan_log import JsonLog

    if log == "-" and out == "-":
        raise UsageError("--log-json - is where records go; send one of them to a file")
    with ExitStack() as stack:
        found: list[Observe] = []
        if log is not None:
            json = JsonLog(None if log == "-" else log, about)
            stack.callback(json.close)
            found.append(json)
        if metrics is not None:
            found.append(MetricsFile(metrics))
        yield found


def about_job(
    source: str, surface: str, shard: tuple[int, int] | None, matcher: Matcher
) -> dict[str, Any]:
    """Return what the first line of a log says; nothing behind a ``?``, where URLs have secrets."""
    import hashmatch

    return {
        "hashmatch": hashmatch.__version__,
        "source": source.partition("?")[0],
        "surface": surface,
        "shard": None if shard is None else f"{shard[0]}/{shard[1]}",
        "lists": [
            {"name": known.name, "version": known.version, "algorithm": known.spec.algorithm}
            for known in matcher.lists
        ],
    }


@contextmanager
def on_screen(total: int | None, done: int, quiet: bool) -> Iterator[list[Observe]]:
    """Show how a scan goes in one line, while stderr is a terminal; `done` were done before."""
    screen = console()
    if quiet or not screen.is_terminal:
        yield []
        return
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns: list[ProgressColumn] = [
        TextColumn("{task.completed:,}" + (f" of {total:,} images" if total else " images")),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[said]}"),
    ]
    if screen.width >= WIDE:
        columns.insert(1, BarColumn(bar_width=10))
    with Progress(
        *columns,
        console=screen,
        transient=True,
        # Lines for a file must not pass through the bar, which would swallow them; lines for the
        # same screen must, or both would be torn.
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=False,
    ) as bar:
        task = bar.add_task("", total=total, completed=done, said="")
        recent = deque([(time.monotonic(), done)], maxlen=RECENT)

        def show(event: Event) -> None:
            if event.kind in {"batch", "progress", "end"}:
                count = event.counters.done
                recent.append((time.monotonic(), count))
                seconds = max(recent[-1][0] - recent[0][0], 0.001)
                said = _said(event.counters, (count - recent[0][1]) / seconds)
                bar.update(task, completed=count, said=said)

        yield [show]


def _said(counters: Counters, speed: float) -> str:
    """Return what there is to say besides how many are done; what is nothing is left out."""
    outcomes = counters.outcomes
    searched = sum(outcomes[name] for name in ("match", "no_match", "suppressed"))
    parts = [f"{speed:,.0f}/s", f"{outcomes['match']:,} matches"]
    for count, what in (
        (counters.done - searched, "not searched"),
        (counters.queued, "queued"),
        (counters.retries, "retries"),
        (counters.alarms, "alarms"),
    ):
        if count:
            parts.append(f"{count:,} {what}")
    return "  ".join(parts)
