"""``hashmatch scan --state`` and ``hashmatch scan status``: scans that go on where they stopped."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.terminal import console, print_line, printable

if TYPE_CHECKING:
    from hashmatch.accounting import LedgerScan
    from hashmatch.interfaces import Sink
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
            printable(" ".join(filter(None, (about.get("source", ""), _shard(about))))),
            printable(lists),
            scan["begun"],
            scan["ended"] or "not yet",
            f"{scan['listed']:,}",
            f"{counts.get('match', 0):,}",
            f"{scan['listed'] - searched:,}",
        )
    console(stderr=False).print(table)


def _shard(about: dict[str, Any]) -> str:
    """Return which part of its source a scan is of, if it is not of all."""
    shard = about.get("options", {}).get("shard")
    return f"({shard})" if shard else ""


def taken_up(account: LedgerScan, report: ScanReport, sink: Sink, quiet: bool) -> None:
    """Give the report and the sink what is accounted for already.

    Records of the ledger are written again, all of them: what a scan that was killed had written
    may end in the middle of one.
    """
    state = account.state()
    for record in account.records():
        report.add(record)
        sink.write(record)
    report.listed, report.outcomes = state.listed, account.outcomes()
    report.problems += account.problems()
    if state.listed and not quiet:
        how = "was finished before" if state.ended else "goes on"
        click.echo(f"scan {account.name} {how}: {state.listed:,} images are done", err=True)
