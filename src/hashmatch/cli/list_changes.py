"""``hashmatch list import`` and ``update``: files that were received, to a version of a store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.options import ListShape, algorithm_option, quiet_option, shape_options
from hashmatch.cli.stores import days, list_files, open_store, reading, trust_options, warn
from hashmatch.cli.terminal import NAMED_PROBLEMS, console, print_line, printable
from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashmatch.records.hashes import HashBatch
    from hashmatch.store.change import Change, Changed
    from hashmatch.store.manifest import Manifest

    Command = Callable[..., Any]

ACCEPTABLE = "bad-rows", "size-change", "damage"


def change_options(command: Command) -> Command:
    """Add what says how a version is made."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option(
            "--keep",
            metavar="DAYS",
            type=click.FloatRange(0, 36500),
            default=30,
            show_default=True,
            help="How long versions are kept that no longer serve.",
        ),
        click.option(
            "--expires",
            metavar="DAYS",
            type=click.FloatRange(0, 36500),
            help="Refuse the version when it is so old and was not updated. [default: never]",
        ),
        click.option(
            "--default-pictures",
            "pictures",
            multiple=True,
            metavar="FOLDER",
            help="Pictures that many users have, as default avatars: entries near them match too "
            "much, and are put into quarantine. Repeatable.",
        ),
        click.option(
            "--limit",
            "limits",
            multiple=True,
            metavar="NAME=N",
            help="The list's own limit in bits for an algorithm; it outranks --max-distance.",
        ),
        click.option(
            "--keep-disputed",
            is_flag=True,
            help="List entries that more members are against than for.",
        ),
        click.option(
            "--accept",
            multiple=True,
            type=click.Choice(ACCEPTABLE),
            help="Go on though more than 0.1 % of rows are bad, the list changes by more than "
            "20 %, or the last version is damaged. Repeatable.",
        ),
        click.option("--sign", "signer", metavar="FILE.key", help="Sign the version."),
        click.option(
            "--name",
            metavar="NAME",
            help="What matches call the list. [default: the folder's name]",
        ),
    ):
        command = option(command)
    return command


@click.command(
    "import",
    short_help="Make a list store, or its next version, of all that files say.",
    epilog="Python: hashmatch.ListStore(path).import_files(paths)",
)
@click.argument("files", nargs=-1, required=True)
@click.option("--store", required=True, metavar="FOLDER", help="Where the list is kept.")
@change_options
@algorithm_option
@shape_options
@trust_options
@quiet_option
def import_(files: tuple[str, ...], store: str, **options: Any) -> None:
    """Make a version of the list that is kept in --store of all that FILES say.

    FILES are pages of one list, or folders of them, in any order. What they say of an entry last
    counts. The version takes the place of the one before, which is kept for a while. A list that
    changes too much, or has too many bad rows, is refused until somebody has looked at it.

    \b
    hashmatch list import hotline/ --store lists/hotline --sign lists-2026.key
    hashmatch scan photos --list lists/hotline --surface profile_photo
    """  # noqa: D301  (the backspace tells click to keep the lines)
    _make(store, files, "import_files", options)


@click.command(
    short_help="Make the next version of a list store, of what has changed.",
    epilog="Python: hashmatch.ListStore(path).update_files(paths)",
)
@click.argument("store")
@click.argument("files", nargs=-1, required=True)
@change_options
@algorithm_option
@shape_options
@trust_options
@quiet_option
def update(store: str, files: tuple[str, ...], **options: Any) -> None:
    """Make a version of the list in STORE with what FILES say has changed since.

    An entry that comes again, by its id or without one by its hash, takes the place of what was
    said of it before, if it was said later; withdrawn entries are taken out. Rows that have no time
    of their own are said now.

    \b
    hashmatch list update lists/hotline changes/ --sign lists-2026.key
    """  # noqa: D301  (the backspace tells click to keep the lines)
    _make(store, files, "update_files", options)


def _make(store: str, files: tuple[str, ...], how: str, options: dict[str, Any]) -> None:
    from hashmatch.store.change import ROWS

    as_json, quiet = options.pop("as_json"), options.pop("quiet")
    opened = open_store(store, options)
    paths = list_files(files)
    change = _change(options)
    with reading(paths, quiet) as (on_read, on_step):
        made: Changed = getattr(opened, how)(
            paths, replace(change, on_read=on_read, on_step=on_step)
        )
    warn(made.problems)
    if as_json:
        _print_json(made)
    elif not quiet:
        _show(made.manifest, ROWS)
    for path, row in made.rejected[: 0 if quiet else NAMED_PROBLEMS]:
        click.echo(f"{printable(path)}, line {row.line}: {row.reason}", err=True)


def _change(options: dict[str, Any]) -> Change:
    from hashmatch.store.change import Change
    from hashmatch.store.keys import given_passphrase, load_private

    shape = ListShape(
        options["list_format"], options["columns"], options["delimiter"], options["encoding"]
    ).shape(options["algorithm"], options["keep_disputed"])
    limits = _limits(options["limits"])
    pictures = _pictures(options["pictures"]) if options["pictures"] else None
    signer = options["signer"]
    return Change(
        name=options["name"],
        shape=shape,
        signer=load_private(signer, given_passphrase()) if signer else None,
        accept=options["accept"],
        expires_in=days(options["expires"]),
        keep=timedelta(days=options["keep"]),
        pictures=pictures,
        limits=limits,
    )


def _pictures(folders: tuple[str, ...]) -> dict[str, HashBatch]:
    """Return the hashes of default pictures, of every algorithm that hashes pixels."""
    from hashmatch import registry
    from hashmatch.quarantine import degenerate_pictures
    from hashmatch.records.hashes import HashBatch

    return {
        algorithm: HashBatch.concatenate(
            [degenerate_pictures(folder, algorithm) for folder in folders]
        )
        for algorithm in registry.names(registry.HASHERS)
        if registry.hasher(algorithm).reads == "pixels"
    }


def _limits(given: tuple[str, ...]) -> dict[str, int] | None:
    limits = {}
    for text in given:
        name, _, number = text.partition("=")
        if not number.isascii() or not number.isdigit():
            raise UsageError(f"--limit {text}: give NAME=N, for example pdq=20")
        limits[name] = int(number)
    return limits or None


def _print_json(made: Changed) -> None:
    import msgspec

    manifest = made.manifest
    summary = {
        "name": manifest.name,
        "version": manifest.version,
        "created": manifest.created,
        "expires": manifest.expires,
        "key_ids": manifest.key_ids,
        "counts": manifest.counts,
        "rejected": [
            {"file": path, "line": row.line, "reason": row.reason} for path, row in made.rejected
        ],
        "problems": made.problems,
    }
    print_line(msgspec.json.encode(summary).decode())


def _show(manifest: Manifest, rows: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    title = f"List {printable(manifest.name)}, version {manifest.version}"
    table = Table(title=escape(title), title_justify="left", show_header=False)
    for algorithm, counts in manifest.counts.items():
        if algorithm != rows:
            for name, count in counts.items():
                table.add_row(f"{algorithm} {name}", f"{count:,}")
    table.add_section()
    for name, count in manifest.counts[rows].items():
        table.add_row(f"rows {name}", f"{count:,}")
    screen = console()
    screen.print(table)
    signed = ", ".join(manifest.key_ids) or "nobody (--sign FILE.key)"
    screen.print(f"signed by {signed}; expires {manifest.expires or 'never'}")
