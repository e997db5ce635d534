"""The options of ``hashmatch scan`` that no other command has, and what they come to."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.units import RATE
from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashmatch.hashing.hash_image import Decode
    from hashmatch.retry import Tries
    from hashmatch.scan.report import ScanReport

    Command = Callable[..., Any]

READERS = 16
"""`hashmatch.scan.pipeline.READERS`, which help does without loading."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a scan is done with, as the command line tells it; results do not depend on it."""

    workers: int
    readers: int
    limit_rate: float | None
    in_process: bool

    @property
    def threads(self) -> int:
        """How many threads there are: a file that holds its worker up may have one to itself."""
        return self.workers if self.in_process else 2 * self.workers

    def tries(self) -> Tries:
        """Return the limits of one scan."""
        from hashmatch.retry import Limits, Tries

        return Tries(Limits(rate=self.limit_rate))

    @contextmanager
    def decoder(self, report: ScanReport) -> Iterator[Decode | None]:
        """Give what decodes untrusted images: closed-in processes, unless told otherwise."""
        if self.in_process:
            yield None
            return
        from hashmatch.sandbox.pool import DecodePool

        with DecodePool(self.workers) as pool:
            report.sandbox = pool.report
            yield pool.pictures


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers() -> int:
    """Return one more: while a picture is hashed here, its worker has nothing to do."""
    return processors() + 1


def _shard(
    ctx: click.Context, parameter: click.Parameter, given: str | None
) -> tuple[int, int] | None:
    """Return which shard, and of how many."""
    from hashmatch.scan.shard import parse_shard

    try:
        return None if given is None else parse_shard(given)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None


def _added(command: Command, *options: Callable[[Command], Command]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def source_options(command: Command) -> Command:
    """Add what is scanned, besides the source itself."""
    return _added(
        command,
        click.option(
            "-s",
            "--surface",
            required=True,
            metavar="SURFACE",
            help="Where the images were published: profile_photo, group_photo, user_report or "
            "public_post.",
        ),
    )


def output_options(command: Command) -> Command:
    """Add where records and reports go."""
    return _added(
        command,
        click.option(
            "-o",
            "--out",
            metavar="FILE",
            help="Where records go: .jsonl or .csv. [default: -, unless there is --review]",
        ),
        click.option(
            "--review",
            metavar="QUEUE",
            help="Put records into this queue of hashmatch review, each once however often it is "
            "found. It keeps each picture's own hash, as --state does then, so that a picture that "
            "was found a hundred times is looked at once.",
        ),
        click.option("--report", metavar="FILE", help="Write counts and problems as JSON."),
        click.option(
            "--min-quality",
            type=click.IntRange(0, 100),
            metavar="N",
            help="Least PDQ quality that is searched. [default: 50]",
        ),
        click.option(
            "--include-hash", is_flag=True, help="Put each image's own hash into its record."
        ),
    )


def job_options(command: Command) -> Command:
    """Add what makes a scan a job: its state, its share, its means, and what is told of it."""
    return _added(
        command,
        click.option(
            "--state",
            metavar="DIR",
            help="Keep there how far the scan has come: the same command goes on where it was "
            "stopped, by whatever. hashmatch scan status DIR says how far that is.",
        ),
        click.option(
            "--shard",
            callback=_shard,
            metavar="I/N",
            help="Scan one of N parts of SOURCE, from 0/N on: for N jobs that know nothing of each "
            "other. Parts have no image in common, and all of them together are SOURCE.",
        ),
        click.option(
            "--dry-run",
            is_flag=True,
            help="Only list SOURCE and say what is in it, and what a scan would take, going by a "
            "few images that are read and hashed. Nothing is written.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(1, 256),
            default=workers,
            metavar="N",
            help="Images that are decoded and hashed at once. [default: one more than there are "
            "processors]",
        ),
        click.option(
            "--readers",
            type=click.IntRange(1, 1024),
            default=READERS,
            show_default=True,
            metavar="N",
            help="Images that are read at once: how many requests a server has to bear.",
        ),
        click.option(
            "--limit-rate",
            type=RATE,
            help="Most bytes a second that are read: 500k, 10M, 1.5G, in thousands.",
        ),
        click.option(
            "--in-process",
            is_flag=True,
            help="Decode images in this process, not in ones that are closed in: for trusted "
            "images only.",
        ),
        click.option(
            "--log-json",
            metavar="FILE",
            help="Append there what happens, a JSON object a line: problems, retries, alarms, and "
            "how it goes. - is standard output.",
        ),
        click.option(
            "--metrics",
            metavar="FILE",
            help="Keep counters there in the text format of Prometheus, for node_exporter's "
            "textfile collector: FILE.prom in its folder.",
        ),
    )
