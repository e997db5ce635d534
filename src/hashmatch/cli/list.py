"""``hashmatch list``: what is in a known-hash list, without showing any of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hashmatch.cli.keys import keygen
from hashmatch.cli.list_changes import import_, update
from hashmatch.cli.list_checks import diff, export, sign, verify
from hashmatch.cli.options import ListShape, algorithm_option, shape_options, verbose_option
from hashmatch.cli.terminal import NAMED_PROBLEMS, Exit, console, print_line, printable

if TYPE_CHECKING:
    from hashmatch.reading import ListFile


@click.group("list")
def list_() -> None:
    """Look into known-hash lists; their hashes are never shown."""


@list_.command(epilog="Python: hashmatch.read_list_file(path)")
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@algorithm_option
@shape_options
@click.option("--strict", is_flag=True, help="Exit with 1 if some row cannot be used.")
@verbose_option
@click.pass_context
def inspect(
    ctx: click.Context,
    *,
    file: str,
    as_json: bool,
    algorithm: str,
    list_format: str | None,
    columns: tuple[str, ...],
    delimiter: str | None,
    encoding: str,
    strict: bool,
    verbose: bool,
) -> None:
    """Say what FILE holds: its format, how many hashes of each kind, and rows that cannot be used.

    --algorithm says what rows hold that do not say it themselves.

    \b
    hashmatch list inspect known.csv
    hashmatch list inspect export.csv --column pdq=Fingerprint --column id=Reference
    """  # noqa: D301  (the backspace tells click to keep the lines)
    import msgspec

    content = ListShape(list_format, columns, delimiter, encoding).read(file, algorithm)
    if as_json:
        summary = {
            "name": content.name,
            "version": content.version,
            "format": content.format,
            "types": content.types,
            "removed": content.removed,
            "rejected": [{"line": row.line, "reason": row.reason} for row in content.rejected],
        }
        print_line(msgspec.json.encode(summary).decode())
    else:
        _show(content, verbose)
    if strict and content.rejected:
        ctx.exit(Exit.SOME_UNHASHED)


def _show(content: ListFile, verbose: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    screen = console(stderr=False)
    table = Table(
        show_header=False, title=escape(f"List {printable(content.name)}"), title_justify="left"
    )
    table.add_row("version", content.version)
    table.add_row("format", content.format)
    for algorithm, count in content.types.items():
        table.add_row(f"{algorithm} entries", f"{count:,}")
    if not content.types:
        table.add_row("entries", "none")
    if content.removed:
        table.add_row("withdrawn rows", f"{content.removed:,}")
    table.add_row("rejected rows", f"{len(content.rejected):,}")
    screen.print(table)
    shown = content.rejected if verbose else content.rejected[:NAMED_PROBLEMS]
    for row in shown:
        click.echo(f"line {row.line}: {row.reason}")
    if len(content.rejected) > len(shown):
        click.echo(f"and {len(content.rejected) - len(shown):,} more; -v names them all")


for command in (import_, update, verify, diff, sign, export, keygen):
    list_.add_command(command)
