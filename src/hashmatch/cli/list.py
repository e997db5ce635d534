"""``hashmatch list``: the group of commands, and ``inspect``, which shows no hash."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.console import NAMED_PROBLEMS, Exit, console, print_json, print_table, printable
from hashmatch.cli.list_store import diff, export, import_, keygen, sign, update, verify
from hashmatch.cli.lists_and_matcher import is_store, open_store, warn
from hashmatch.cli.options import (
    ListShape,
    algorithm_option,
    shape_options,
    trust_options,
    verbose_option,
)
from hashmatch.cli.units import INPUT

if TYPE_CHECKING:
    from hashmatch.lists.read import ListFile

UNMATCHABLE = "unmatchable: "
"""How counts of rows begin that are of kinds which are not matched here."""


@click.command(
    short_help="Say what a list file, or a list store, holds.",
    epilog="Python: hashmatch.read_list_file(path), hashmatch.ListStore(path).open()",
)
@click.argument("path", type=INPUT, metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
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
    """Say what FILE holds: its format, how many hashes of each kind, and rows that cannot be used.

    FILE may be the folder of a list store: then of its latest version, what rows of the files that
    it was made from came to, and who has signed it. --algorithm says what rows hold that do not say
    it themselves.

    \b
    hashmatch list inspect known.csv
    hashmatch list inspect export.csv --column pdq=Fingerprint --column id=Reference
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
    if strict and facts["rejected"]:
        ctx.exit(Exit.SOME_UNHASHED)


def _of_file(content: ListFile) -> dict[str, Any]:
    from hashmatch.lists.degenerate import by_reason, degenerate
    from hashmatch.records.entries import Entries

    labels: Counter[str] = Counter()
    quarantined = {}
    for known in content.lists:
        labels += Entries.of(known.entries).labels()
        found = by_reason(degenerate(known.hashes))
        if found:
            quarantined[known.spec.algorithm] = found
    return {
        "name": content.name,
        "version": content.version,
        "format": content.format,
        "types": content.types,
        "labels": _shown(labels),
        "removed": content.removed,
        "benign": content.benign,
        "disputed": content.disputed,
        "unmatchable": content.unmatchable,
        "degenerate": quarantined,
        "rejected": [{"line": row.line, "reason": row.reason} for row in content.rejected],
    }


def _of_store(path: str, trust: dict[str, Any]) -> dict[str, Any]:
    from hashmatch.store.compaction import QUARANTINED
    from hashmatch.store.importer import ROWS

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
            if name.startswith(QUARANTINED) and count
        }
        for algorithm, counts in manifest.counts.items()
    }
    return {
        "name": manifest.name,
        "version": str(manifest.version),
        "format": "store",
        "created": manifest.created,
        "expires": manifest.expires,
        "signed_by": [signed.key_id for signed in store.folder.signatures(manifest.version)],
        "encrypted": manifest.encrypted,
        "types": {name: manifest.counts[name]["entries"] for name in opened.kinds},
        "labels": _shown(labels),
        "removed": rows.get("removed", 0),
        "benign": rows.get("benign", 0),
        "disputed": rows.get("disputed", 0),
        "unmatchable": {
            name.removeprefix(UNMATCHABLE): count
            for name, count in rows.items()
            if name.startswith(UNMATCHABLE)
        },
        "degenerate": {algorithm: found for algorithm, found in quarantined.items() if found},
        "rejected": rows.get("rejected", 0),
    }


def _show(facts: dict[str, Any], verbose: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    screen = console(stderr=False)
    title = escape(f"List {printable(facts['name'])}")
    table = Table(show_header=False, title=title, title_justify="left")
    rejected = facts["rejected"]
    for name in ("version", "format", "created", "expires"):
        if name in facts:
            table.add_row(name, str(facts[name] or "never"))
    if "signed_by" in facts:
        table.add_row("signed by", ", ".join(facts["signed_by"]) or "nobody")
        table.add_row("encrypted", "yes" if facts["encrypted"] else "no")
    for algorithm, count in facts["types"].items():
        table.add_row(f"{algorithm} entries", f"{count:,}")
    if not facts["types"]:
        table.add_row("entries", "none")
    for algorithm, reasons in facts["degenerate"].items():
        for reason, count in reasons.items():
            table.add_row(f"{algorithm} degenerate: {reason}", f"{count:,}")
    for label, count in facts["labels"].items():
        table.add_row(escape(f"label {printable(label)}"), f"{count:,}")
    for what, name in (("withdrawn", "removed"), ("benign", "benign"), ("disputed", "disputed")):
        if facts[name]:
            table.add_row(f"{what} rows", f"{facts[name]:,}")
    for kind, count in facts["unmatchable"].items():
        table.add_row(escape(f"{printable(kind)} rows, not matched here"), f"{count:,}")
    count = rejected if isinstance(rejected, int) else len(rejected)
    table.add_row("rejected rows", f"{count:,}")
    print_table(screen, table)
    if isinstance(rejected, int):
        return
    shown = rejected if verbose else rejected[:NAMED_PROBLEMS]
    for row in shown:
        click.echo(f"line {row['line']}: {row['reason']}")
    if count > len(shown):
        click.echo(f"and {count - len(shown):,} more; -v names them all")


def _shown(labels: Counter[str]) -> dict[str, int]:
    """Return how many entries have each label; what may be a hash in a label's place is hidden."""
    from hashmatch.lists.redact_ids import DIGITS

    counts: Counter[str] = Counter()
    for label, count in labels.items():
        counts["(hidden)" if DIGITS.search(label) else label] += count
    return dict(sorted(counts.items()))


@click.group("list")
def list_() -> None:
    """Look into known-hash lists, and keep them in stores; their hashes are never shown."""


for command in (inspect, import_, update, verify, diff, sign, export, keygen):
    list_.add_command(command)
