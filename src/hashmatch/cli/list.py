"""``hashmatch list``: the group of commands, and ``inspect``, which shows no hash."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.command import command, group
from hashmatch.cli.console import NAMED_PROBLEMS, Exit, console, print_json, print_table, printable
from hashmatch.cli.list_exchange import exchange, fetch
from hashmatch.cli.list_hubs import hubs
from hashmatch.cli.list_probe import probe
from hashmatch.cli.list_store import (
    columns_as_json,
    columns_in_words,
    diff,
    export,
    import_,
    in_words,
    keygen,
    log,
    name_ids,
    rollback,
    sign,
    update,
    verify,
)
from hashmatch.cli.lists_and_matcher import open_store, warn
from hashmatch.cli.options import (
    ListShape,
    algorithm_option,
    json_option,
    shape_options,
    trust_options,
    verbose_option,
)
from hashmatch.cli.units import INPUT
from hashmatch.matching.list_paths import is_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hashmatch.lists.read import ListFile


@command(
    short_help="Show what a list file, or a list store, holds.",
    epilog="Python: hashmatch.read_list_file(path), hashmatch.ListStore(path).open()",
)
@click.argument("path", type=INPUT, metavar="FILE")
@json_option
@algorithm_option
@shape_options
@click.option("--strict", is_flag=True, help="Exit with 1 if some row cannot be used.")
@verbose_option
@trust_options
@click.pass_context
def inspect(
    ctx: click.Context,
    /,
    *,
    path: str,
    as_json: bool,
    algorithm: str,
    strict: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Show what FILE holds: its format, how many hashes of each kind, and rows that cannot be used.

    FILE may be the folder of a list store: its latest version is shown then, with what changed in
    it and who signed it. --algorithm is that of rows that do not name one.

    \b
    hashmatch list inspect known.csv
    hashmatch list inspect export.csv --column pdq=Print --column id=Reference
    hashmatch list inspect lists/hotline --json
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.lists.read import read_list_file

    shape = ListShape.taken(options)
    if is_store(path):
        facts = _of_store(path, options)
    else:
        facts = _of_file(read_list_file(path, shape.format(algorithm)))
    if as_json:
        print_json(facts)
    else:
        _show(facts, verbose)
    if strict and facts["rows"]["rejected"]:
        ctx.exit(Exit.SOME_UNHASHED)


def _of_file(content: ListFile) -> dict[str, Any]:
    from hashmatch.records.entries import Entries

    labels: Counter[str] = Counter()
    for known in content.lists:
        labels += Entries.of(known.entries).labels()
    return {
        "name": content.name,
        "version": content.version,
        "format": content.format,
        "types": content.types,
        "labels": dict(sorted(labels.items())),
        "rows": _sorts(content.rows),
        "unmatchable": content.unmatchable,
        "unknown_statuses": content.statuses,
        "without_effect": content.without_effect,
        "warnings": content.warnings,
        "remarks": content.remarks,
        "columns": columns_as_json(content.columns),
        "degenerate": content.quarantined,
        "rejected": [{"line": row.line, "reason": row.reason} for row in content.rejected],
    }


def _of_store(path: str, trust: dict[str, Any]) -> dict[str, Any]:
    from hashmatch.lists.ingest import UNKNOWN_STATUS, UNMATCHABLE
    from hashmatch.store.compaction import QUARANTINED, SET_ASIDE
    from hashmatch.store.importer import EFFECTS, ROWS

    store = open_store(path, trust)
    opened, problems = store.latest()
    warn(problems)
    manifest = opened.manifest
    labels: Counter[str] = Counter()
    for kind in opened.kinds.values():
        labels += kind.entries.labels()
    rows = manifest.counts[ROWS]
    quarantined = {
        algorithm: {
            name.removeprefix(QUARANTINED): count
            for name, count in counts.items()
            if name.startswith((QUARANTINED, SET_ASIDE)) and count
        }
        for algorithm, counts in manifest.counts.items()
    }
    return {
        "name": manifest.name,
        "version": str(manifest.version),
        "format": "store",
        "created": manifest.created,
        "expires": manifest.expires,
        "expires_after_days": manifest.days,
        "rolled_back_to": manifest.rolled_back_to,
        "signed_by": [signed.key_id for signed in store.folder.signatures(manifest.version)],
        "encrypted": manifest.encrypted,
        "encoding": manifest.encoding,
        "bits": manifest.bits,
        "keep_ids": manifest.keep_ids,
        "statuses": manifest.statuses,
        "types": {name: manifest.counts[name]["entries"] for name in opened.kinds},
        "labels": dict(sorted(labels.items())),
        "effects": manifest.counts[EFFECTS],
        "ignored_as_older": [name for name in opened.ids.older if name],
        "without_effect": [name for name in opened.ids.without_effect if name],
        "rows": _sorts(rows),
        "unmatchable": _named(rows, UNMATCHABLE),
        "unknown_statuses": _named(rows, UNKNOWN_STATUS),
        "columns": columns_as_json(manifest.columns),
        "degenerate": {algorithm: found for algorithm, found in quarantined.items() if found},
    }


def _named(rows: Mapping[str, int], beginning: str) -> dict[str, int]:
    """Return the counts of rows whose names begin so, by the rest."""
    return {
        name.removeprefix(beginning): count
        for name, count in rows.items()
        if name.startswith(beginning)
    }


def _sorts(rows: Mapping[str, int]) -> dict[str, int]:
    """Return the counts of rows that have no other name in them."""
    return {name: count for name, count in rows.items() if ": " not in name}


def _show(facts: dict[str, Any], verbose: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    screen = console(stderr=False)
    title = escape(f"List {printable(facts['name'])}")
    table = Table(show_header=False, title=title, title_justify="left")
    for name in ("version", "format", "created", "expires"):
        if name in facts:
            table.add_row(name, escape(printable(str(facts[name] or "never"))))
    if facts.get("expires_after_days") is not None:
        table.add_row("later versions expire after", f"{facts['expires_after_days']:g} days")
    if facts.get("rolled_back_to") is not None:
        table.add_row("rolled back to version", str(facts["rolled_back_to"]))
    if "signed_by" in facts:
        table.add_row("signed by", ", ".join(facts["signed_by"]) or "nobody")
        table.add_row("encrypted", "yes" if facts["encrypted"] else "no")
        table.add_row("hashes are written in", ", ".join((facts["encoding"], *facts["bits"])))
        table.add_row("ids are kept", ", ".join(facts["keep_ids"]) or "unless they may be hashes")
    for algorithm, count in facts["types"].items():
        table.add_row(f"{algorithm} entries", f"{count:,}")
    if not facts["types"]:
        table.add_row("entries", "none")
    for algorithm, reasons in facts["degenerate"].items():
        for reason, count in reasons.items():
            table.add_row(f"{algorithm} degenerate: {reason}", f"{count:,}")
    for label, count in facts["labels"].items():
        table.add_row(escape(f"label {printable(label)}"), f"{count:,}")
    for name, count in facts.get("effects", {}).items():
        table.add_row(in_words(name), f"{count:,}")
    for name, count in facts["rows"].items():
        table.add_row(f"rows {in_words(name)}", f"{count:,}")
    for kind, count in facts["unmatchable"].items():
        table.add_row(escape(f"{printable(kind)} rows, not matched here"), f"{count:,}")
    for status, count in facts["unknown_statuses"].items():
        table.add_row(escape(f"unknown status '{printable(status)}'"), f"{count:,}")
    print_table(screen, table)
    for line in columns_in_words(facts.get("columns", ())):
        click.echo(line)
    warn(facts.get("warnings", ()))
    for remark in facts.get("remarks", ()):
        click.echo(f"remark: {printable(remark)}")
    of_store = "effects" in facts
    name_ids("ignored as older", facts.get("ignored_as_older", ()), every=verbose, err=False)
    idle = "without effect" if of_store else "withdrawn without effect"
    name_ids(idle, facts.get("without_effect", ()), every=verbose, err=False)
    rejected = facts.get("rejected", ())
    shown = rejected if verbose else rejected[:NAMED_PROBLEMS]
    for row in shown:
        click.echo(f"line {row['line']}: {printable(row['reason'])}")
    more = facts["rows"]["rejected"] - len(shown)
    if rejected and more > 0 and not verbose:
        click.echo(f"and {more:,} more; -v names them all")


@group("list", short_help="Look into lists of known hashes, and keep them in stores.")
def list_() -> None:
    """Look into lists of known hashes, and keep them in stores. Their hashes are never shown.

    A list is read from files of any format. A store is a folder with its versions: import makes it,
    update adds what has changed, fetch does both from an exchange, and sign, verify, diff and
    rollback look after it.
    """


for each in (
    *(inspect, probe, hubs, import_, update, fetch, exchange, verify, diff, sign, log, rollback),
    *(export, keygen),
):
    list_.add_command(each)
