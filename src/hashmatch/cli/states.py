"""``hashmatch scan --state`` and ``hashmatch scan status``: scans that go on where they stopped."""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.terminal import console, print_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from hashmatch.accounting import Result
    from hashmatch.hashing import Decode
    from hashmatch.interfaces import Sink, Source
    from hashmatch.matcher import Matcher
    from hashmatch.reporting import ScanReport


class ScanCommand(click.Command):
    """``hashmatch scan SOURCE ...``, or ``hashmatch scan status DIR``; ./status is a folder."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Return the context of whichever is meant."""
        if args[:1] == ["status"]:
            return status.make_context("status", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)


@click.command(epilog="Python: hashmatch.Ledger(folder).scans()")
@click.argument("state")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a scan.")
def status(state: str, as_json: bool) -> None:
    """Say how far the scans in STATE have come, a folder given as scan --state.

    \b
    hashmatch scan status state/
    """  # noqa: D301  (the backspace tells click to keep the lines)
    import msgspec
    from rich.table import Table

    from hashmatch.errors import LedgerError
    from hashmatch.ledger import FILE, Ledger

    if not os.path.exists(os.path.join(state, FILE)):
        raise LedgerError(f"{state}: no scan keeps its state there")
    with Ledger(state, reading=True) as ledger:
        scans = ledger.scans()
    if as_json:
        for scan in scans:
            print_line(msgspec.json.encode(scan).decode())
        return
    table = Table(title="Scans", title_justify="left")
    for column in ("scan", "of", "lists", "begun", "ended", "images", "match", "not searched"):
        table.add_column(column)
    for scan in scans:
        about, counts = scan["about"], scan["outcomes"]
        lists = ", ".join(f"{name} {version}" for name, version, _ in about.get("lists", ()))
        searched = sum(counts.get(name, 0) for name in ("match", "no_match", "suppressed"))
        table.add_row(
            scan["name"],
            printable(str(about.get("source", ""))),
            printable(lists),
            scan["begun"],
            scan["ended"] or "not yet",
            f"{scan['listed']:,}",
            f"{counts.get('match', 0):,}",
            f"{scan['listed'] - searched:,}",
        )
    console(stderr=False).print(table)


@contextmanager
def resumed(
    folder: str,
    about: dict[str, Any],
    source: Source,
    matcher: Matcher,
    report: ScanReport,
    sink: Sink,
    workers: int,
    in_process: bool,
    keep: tuple[str, timedelta] | None,
    *,
    quiet: bool,
) -> Iterator[Iterator[Result]]:
    """Give the results of what is not accounted for yet; what is goes to the report and the sink.

    Records of the ledger are written again, all of them: what a scan that was killed had written
    may end in the middle of one.
    """
    from hashmatch.keeper import Keeper
    from hashmatch.ledger import Ledger
    from hashmatch.resuming import resume_scan

    with Ledger(folder) as ledger:
        account = ledger.scan(about)
        state = account.state()
        for record in account.records():
            report.add(record)
            sink.write(record)
        report.listed, report.outcomes = state.listed, account.outcomes()
        report.problems += account.problems()
        if state.listed and not quiet:
            how = "was finished before" if state.ended else "goes on"
            click.echo(f"scan {account.name} {how}: {state.listed:,} images are done", err=True)
        keeper = None
        if keep is not None:
            keeper = Keeper(*keep, matcher.lists, scan=account.name)
        with decoder(workers, in_process, report) as decode:
            yield resume_scan(
                source,
                matcher,
                account,
                threads=workers,
                decode=decode,
                keeper=keeper,
                on_listed=report.listed_one,
            )


@contextmanager
def scanned(
    source: Source,
    matcher: Matcher,
    report: ScanReport,
    workers: int,
    in_process: bool,
    keep: tuple[str, timedelta] | None,
) -> Iterator[Iterator[Result]]:
    """Give the results of a scan that is done at one go."""
    from hashmatch.keeper import Keeper
    from hashmatch.scan import scan_source

    keeping = nullcontext() if keep is None else Keeper(*keep, matcher.lists)
    with keeping as keeper, decoder(workers, in_process, report) as decode:
        add = None if keeper is None else keeper.add
        yield scan_source(
            source,
            matcher,
            on_listed=report.listed_one,
            on_hashed=add,
            threads=workers,
            decode=decode,
        )


@contextmanager
def decoder(workers: int, in_process: bool, report: ScanReport) -> Iterator[Decode | None]:
    """Give what decodes untrusted images: processes that are closed in, unless told otherwise."""
    if in_process:
        yield None
        return
    from hashmatch.workers.pool import DecodePool

    with DecodePool(workers) as pool:
        report.sandbox = pool.report
        yield pool.pictures


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
