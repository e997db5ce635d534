"""``hashmatch list fetch`` and ``list exchange``: exchanges of hashes, and fetching them."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.choices import EXCHANGE_KIND
from hashmatch.cli.command import command, group, option
from hashmatch.cli.console import (
    NAMED_PROBLEMS,
    Exit,
    flush_output,
    print_json,
    print_line,
    printable,
    working,
)
from hashmatch.cli.list_store import change_options, changed_as_json, given_change
from hashmatch.cli.lists_and_matcher import open_store, warn
from hashmatch.cli.options import (
    algorithm_option,
    allow_http_option,
    allow_private_option,
    exchanges_option,
    json_option,
    quiet_option,
    shape_options,
    trust_options,
)
from hashmatch.cli.units import INPUT, KEY_VALUE, SOME_TIME, WRITTEN_STORE, once_each
from hashmatch.errors import HashmatchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hashmatch.exchanges.config import ExchangeConfig, Exchanges
    from hashmatch.exchanges.fetch import Fetched
    from hashmatch.interfaces import ExchangeField
    from hashmatch.store.importer import Change

LONGEST_CREDENTIALS = 1 << 20

name_argument = click.argument("name", metavar="NAME")


def open_exchanges(folder: str | None) -> Exchanges:
    """Return the exchanges of a folder, of that of the environment, or of the usual one."""
    from hashmatch.exchanges.config import FOLDER as USUAL
    from hashmatch.exchanges.config import VARIABLE, Exchanges

    return Exchanges(folder or os.environ.get(VARIABLE) or USUAL)


@command(
    short_help="Fetch lists from their exchanges into stores.",
    epilog="Python: hashmatch.exchanges.fetch.fetch(exchanges, name, store)",
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@exchanges_option
@option(
    "--every",
    type=SOME_TIME,
    metavar="TIME",
    help="Fetch again so long after each beginning, such as 10m, until it is stopped.",
)
@option("--full", is_flag=True, help="Fetch all of the list again, not what is new since.")
@change_options
@algorithm_option
@shape_options
@trust_options
@allow_private_option
@allow_http_option
@json_option
@quiet_option
@click.pass_context
def fetch(
    ctx: click.Context,
    /,
    names: tuple[str, ...],
    exchanges: str | None,
    every: Any,
    full: bool,
    allow_private: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Fetch what is new of the exchanges NAME into their stores, as next versions.

    Without a NAME, all that are enabled are fetched. Pages are kept until the last is there, and
    then checked and merged as by hashmatch list import and update: nothing of half a list is used.
    Stopped or killed, a fetch continues where it was. A list that changes too much is refused,
    and its last version stays, unless the same is fetched again with --accept.

    \b
    hashmatch list fetch hotline --sign lists-2026.key
    hashmatch list fetch --every 10m --sign lists-2026.key
    """  # noqa: D301  (the backspace tells click to keep the lines)
    opened = open_exchanges(exchanges)
    if options["name"] is not None and len(names) != 1:
        raise UsageError("cannot call several lists alike. Give --name with one NAME.")
    trust = {name: options.pop(name) for name in ("trusted", "needed", "grace", "list_key")}
    change = given_change(options)
    for name in names:
        opened.get(name)
    while True:
        began = time.monotonic()
        failed = 0
        tried = 0
        for name in names or opened.names():
            try:
                if not names and not opened.get(name).enabled:
                    continue
                tried += 1
                found = _fetch(opened, name, change, trust, allow_private, full, quiet)
            except HashmatchError as error:
                if len(names) == 1 and every is None:
                    raise
                failed += 1
                if as_json:
                    print_json({"exchange": name, "error": str(error)})
                click.echo(f"hashmatch: {name}: {printable(str(error))}", err=True)
                continue
            _show(found, as_json, quiet)
        if not tried + failed and not quiet:
            warn(["no exchange is enabled: nothing is fetched"])
        if every is None:
            ctx.exit(Exit.USAGE if failed else Exit.DONE)
        full = False
        flush_output()
        time.sleep(max(1.0, began + every.total_seconds() - time.monotonic()))


def _fetch(
    exchanges: Exchanges,
    name: str,
    change: Change,
    trust: Mapping[str, Any],
    allow_private: Sequence[str],
    full: bool,
    quiet: bool,
) -> Fetched:
    from hashmatch.exchanges.fetch import fetch as fetch_it

    store = open_store(exchanges.get(name).store, dict(trust))
    with working(f"fetching {name}", quiet):
        return fetch_it(exchanges, name, store, change, allow_private=allow_private, full=full)


def _show(found: Fetched, as_json: bool, quiet: bool) -> None:
    changed = found.changed
    warn(changed.problems if changed else ())
    if as_json:
        made = changed_as_json(changed) if changed else {"version": None}
        print_json({"exchange": found.config.name, "pages": found.pages, **made})
    elif not quiet:
        print_line(f"{printable(found.config.name)}: {printable(str(found))}")
    if changed is None or quiet:
        return
    for path, row in changed.rejected[:NAMED_PROBLEMS]:
        place = f"{os.path.basename(path)}, line {row.line}"
        click.echo(printable(f"{place}: {row.reason}"), err=True)


@group(short_help="Say which exchanges are fetched, and with which credentials.")
def exchange() -> None:
    """Say which exchanges are fetched, into which stores, and with which credentials.

    hashmatch list fetch fetches them. All that is kept can be read by its owner only; credentials
    are never shown.
    """


@command(
    short_help="Add an exchange.",
    epilog="Python: hashmatch.exchanges.config.Exchanges(folder).add(name, kind, options)",
)
@name_argument
@click.argument("kind", type=EXCHANGE_KIND, metavar="KIND")
@exchanges_option
@option(
    "--store",
    "store",
    type=WRITTEN_STORE,
    metavar="DIR",
    help="The folder of the store that the list is kept in. [default: in the folder of the "
    "exchange]",
)
@option(
    "--option",
    "given",
    multiple=True,
    type=KEY_VALUE,
    callback=once_each,
    help="What this kind of exchange needs; hashmatch list exchange kinds shows it. Repeatable.",
)
@option(
    "--credentials",
    "credentials_file",
    type=INPUT,
    metavar="FILE",
    help="Read the credentials from this file, each time. [default: those that hashmatch list "
    "exchange credentials keeps]",
)
@option(
    "--credentials-variable",
    metavar="NAME",
    help="Read the credentials from this variable of the environment.",
)
def add(
    name: str, kind: str, exchanges: str | None, given: tuple[tuple[str, str], ...], **how: Any
) -> None:
    """Add an exchange of the KIND {exchange kinds}, to be called NAME.

    Nothing is fetched yet. Credentials are a JSON object, in a file or a variable; no option takes
    them, since others can see the arguments of a command.

    \b
    hashmatch list exchange add te threatexchange --option privacy_group=123456 \\
        --store lists/te --credentials-variable TE_TOKEN
    hashmatch list exchange add demo url --option url=https://lists.example/a.csv
    """  # noqa: D301  (the backspace tells click to keep the lines)
    made = open_exchanges(exchanges).add(name, kind, dict(given), **how)
    click.echo(f"{printable(made.name)} is fetched into {printable(made.store)}", err=True)


@command(
    "list",
    short_help="List the exchanges, and how their last fetches went.",
    epilog="Python: hashmatch.exchanges.config.Exchanges(folder).names()",
)
@exchanges_option
@json_option
@click.pass_context
def list_(ctx: click.Context, /, exchanges: str | None, as_json: bool) -> None:
    """List the exchanges: kind, store, options, and how the last fetch went.

    \b
    hashmatch list exchange list
    """  # noqa: D301  (the backspace tells click to keep the lines)
    opened = open_exchanges(exchanges)
    failed = 0
    for name in opened.names():
        try:
            config = opened.get(name)
            facts = _facts(opened, config)
        except HashmatchError as error:
            failed += 1
            if as_json:
                print_json({"name": name, "error": str(error)})
            click.echo(f"hashmatch: {printable(name)}: {printable(str(error))}", err=True)
            continue
        if as_json:
            print_json(facts)
            continue
        shown = ", ".join(f"{key}={value}" for key, value in facts["options"].items())
        state = "" if config.enabled else ", disabled"
        print_line(printable(f"{config.name}: {config.kind}{state}, into {config.store}"))
        print_line(printable(f"  options: {shown or 'none'}"))
        print_line(f"  credentials: {'set' if facts['has_credentials'] else 'none'}")
        print_line(printable(f"  last fetch: {_last(facts)}"))
    ctx.exit(Exit.USAGE if failed else Exit.DONE)


def _facts(exchanges: Exchanges, config: ExchangeConfig) -> dict[str, Any]:
    from hashmatch.exchanges.config import shown_options

    status = exchanges.status(config.name)
    return {
        "name": config.name,
        "kind": config.kind,
        "enabled": config.enabled,
        "store": config.store,
        "options": shown_options(config),
        "has_credentials": exchanges.has_credentials(name=config.name),
        "started": status.started,
        "completed": status.completed,
        "succeeded": status.succeeded,
        "problem": status.problem,
    }


def _last(facts: Mapping[str, Any]) -> str:
    if facts["started"] is None:
        return "never"
    if facts["problem"]:
        return f"{facts['started']}: {facts['problem']}"
    return str(facts["completed"] or f"{facts['started']}, not ended")


@command(
    short_help="Show which kinds of exchange there are, and what they need.",
    epilog="Python: hashmatch.registry.names(hashmatch.registry.EXCHANGES)",
)
@json_option
def kinds(as_json: bool) -> None:
    """Show the kinds of exchange that can be fetched, with their options and credentials.

    \b
    hashmatch list exchange kinds
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch import registry
    from hashmatch.exchanges.config import credential_fields, option_fields

    for kind in registry.names(registry.EXCHANGES):
        options, credentials = option_fields(kind), credential_fields(kind)
        if as_json:
            print_json(
                {
                    "kind": kind,
                    "options": [each._asdict() for each in options],
                    "credentials": [each._asdict() for each in credentials],
                }
            )
            continue
        print_line(kind)
        for fields, sign in ((options, "--option "), (credentials, "credential ")):
            for each in fields:
                print_line(f"  {sign}{each.name}: {_described(each)}")


def _described(field: ExchangeField) -> str:
    words = [field.help]
    if not field.required:
        words.append(f"[default: {field.default}]" if field.default else "[optional]")
    return " ".join([*words, *(f"\n    {choice}" for choice in field.choices)])


@command(
    short_help="Set the credentials of an exchange.",
    epilog="Python: Exchanges(folder).set_credentials(credentials, name=name)",
)
@name_argument
@exchanges_option
@option("--remove", "is_removed", is_flag=True, help="Remove them instead.")
def credentials(name: str, exchanges: str | None, is_removed: bool) -> None:
    """Keep the credentials of the exchange NAME, which are read from standard input.

    They are a JSON object; on a terminal they are asked for one by one, and not shown.

    \b
    hashmatch list exchange credentials hotline < hotline-credentials.json
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.exchanges.config import credential_fields, parse_credentials

    opened = open_exchanges(exchanges)
    fields = credential_fields(opened.get(name).kind)
    if is_removed:
        opened.set_credentials(None, name=name)
        return
    if sys.stdin.isatty():
        given: dict[str, object] = {
            each.name: click.prompt(f"{each.name} ({each.help})", hide_input=True, default="",
                                    show_default=False, err=True)
            for each in fields
        }  # fmt: skip
    else:
        data = sys.stdin.buffer.read(LONGEST_CREDENTIALS)
        given = parse_credentials(data, fields, "standard input")
    opened.set_credentials(given, name=name)
    click.echo(f"the credentials of {printable(name)} are kept", err=True)


@command(
    short_help="Have an exchange fetched again where none is named.",
    epilog="Python: Exchanges(folder).change(name, enabled=True)",
)
@name_argument
@exchanges_option
def enable(name: str, exchanges: str | None) -> None:
    """Have the exchange NAME fetched by hashmatch list fetch without a name.

    \b
    hashmatch list exchange enable hotline
    """  # noqa: D301  (the backspace tells click to keep the lines)
    open_exchanges(exchanges).change(name, enabled=True)


@command(
    short_help="Do not fetch an exchange where none is named.",
    epilog="Python: Exchanges(folder).change(name, enabled=False)",
)
@name_argument
@exchanges_option
def disable(name: str, exchanges: str | None) -> None:
    """Have the exchange NAME fetched only where it is named. Its list stays in use.

    \b
    hashmatch list exchange disable hotline
    """  # noqa: D301  (the backspace tells click to keep the lines)
    open_exchanges(exchanges).change(name, enabled=False)


@command(short_help="Remove an exchange.", epilog="Python: Exchanges(folder).remove(name)")
@name_argument
@exchanges_option
def remove(name: str, exchanges: str | None) -> None:
    """Remove the exchange NAME with its credentials; a store that has a folder of its own stays.

    \b
    hashmatch list exchange remove hotline
    """  # noqa: D301  (the backspace tells click to keep the lines)
    opened = open_exchanges(exchanges)
    if not opened.remove(name):
        opened.get(name)  # says which there are
    click.echo(f"removed {printable(name)}", err=True)


for each in (add, list_, kinds, credentials, enable, disable, remove):
    exchange.add_command(each)
