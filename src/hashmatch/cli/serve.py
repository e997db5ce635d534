"""``hashmatch serve`` and ``token``: the HTTP service, who may ask it, and going back a version."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.command import Command, command, group, option, section
from hashmatch.cli.console import print_json, printable
from hashmatch.cli.list_store import rollback
from hashmatch.cli.lists_and_matcher import MatcherOptions
from hashmatch.cli.options import (
    allow_http_option,
    allow_private_option,
    chrome_option,
    drafts_option,
    evidence_options,
    exchanges_option,
    fetch_from_option,
    hashing_options,
    host_option,
    json_option,
    lists_section,
    pictures_option,
    port_option,
    recent_key_option,
    recent_option,
    review_option,
    sandbox_option,
    shape_options,
    source_option,
    tls_options,
    video_options,
)
from hashmatch.cli.units import FOLDER, INPUT, LOG, OUTPUT, SOME_TIME
from hashmatch.errors import UsageError, install

if TYPE_CHECKING:
    from hashmatch.sandbox.pool import DecodePool
    from hashmatch.service.snapshots import Snapshots

SCOPES = ("hash", "match", "curate", "admin")


class ServeCommand(Command):
    """``hashmatch serve ...``, or ``hashmatch serve rollback``, which is that of ``list``."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Return the context of whichever is meant."""
        if args[:1] == ["rollback"]:
            return rollback.make_context("serve rollback", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)


@command(
    cls=ServeCommand,
    short_help="Serve checks of pictures and hashes over HTTP.",
    epilog="Python: hashmatch.service.server.serve(Serving(...))",
)
@lists_section(required=False)
@evidence_options
@chrome_option
@shape_options
@hashing_options
@video_options
@section(
    "Who can ask",
    host_option,
    port_option(8480),
    option(
        "--name",
        "names",
        multiple=True,
        metavar="[https://]HOST[:PORT]",
        help="The host name of this server, if clients use one; with https:// if a proxy in front "
        "of it speaks TLS. Repeatable.",
    ),
    option(
        "--tokens",
        type=INPUT,
        metavar="FILE",
        help="Answer only requests with a token of this file, which hashmatch token makes.",
    ),
    option("--no-auth", is_flag=True, help="Answer every program of this machine, without tokens."),
    tls_options,
)
@section(
    "Work",
    option(
        "--workers",
        type=click.IntRange(1, 256),
        default=1,
        show_default=True,
        metavar="N",
        help="The processes that answer; they share the memory of the lists.",
    ),
    option(
        "--decoders",
        type=click.IntRange(1, 256),
        metavar="N",
        help="The processes that decode pictures, for each worker. [default: its share of the "
        "cores]",
    ),
    option(
        "--max-waiting",
        type=click.IntRange(0),
        default=64,
        show_default=True,
        metavar="N",
        help="The pictures that may wait for a decoder, for each worker; more are refused with "
        "503.",
    ),
    fetch_from_option,
)
@section(
    "Output",
    option(
        "--data",
        type=FOLDER,
        metavar="DIR",
        help="The folder of the banks that are made and filled over HTTP.",
    ),
    exchanges_option,
    review_option,
    source_option,
    option(
        "--review-page",
        is_flag=True,
        help="Serve the page on which people review that queue, below /review. Needs --workers 1.",
    ),
    pictures_option,
    drafts_option,
    option(
        "--page-token",
        type=INPUT,
        metavar="FILE",
        help="A file with a token that every request for the page must have.",
    ),
    option(
        "--missed",
        type=OUTPUT,
        metavar="DB",
        help="Note the pictures that could not be checked, for hashmatch missed run.",
    ),
    option("--keep-missed-bytes", is_flag=True, help="Keep those pictures until they are checked."),
    recent_option,
    option(
        "--recent-for",
        type=SOME_TIME,
        default="1h",
        show_default=True,
        help="How long --recent keeps them, such as 30d, 36h or 10m.",
    ),
    option(
        "--recent-items",
        type=click.IntRange(1, 10_000_000),
        default=100_000,
        show_default=True,
        metavar="N",
        help="The pictures whose hashes --recent keeps at most; the oldest give way.",
    ),
    recent_key_option,
    option(
        "--access-log",
        type=LOG,
        metavar="FILE",
        help="Append a line of JSON for each request: no hash, key or address of a picture.",
    ),
)
@allow_private_option
@sandbox_option
@allow_http_option
def serve(**options: Any) -> None:
    """Serve checks of pictures and of hashes over HTTP, until it is stopped.

    Lists in stores are watched, and newer versions put in use without a pause. The interface of its
    own is below /v1, described at /openapi.json; that of Hasher-Matcher-Actioner 1.1.7 below /h, /m
    and /c. Other machines need a token, or a certificate. Needs the extra service. To make an
    earlier version of a list serve again, see hashmatch serve rollback --help.

    \b
    hashmatch token add tokens.json uploads --scope match
    hashmatch serve -l lists/hotline --tokens tokens.json --review queue.db
    hashmatch serve rollback lists/hotline 17
    """  # noqa: D301  (the backspace tells click to keep the lines)
    try:
        from hashmatch.service.server import Serving
        from hashmatch.service.server import serve as serve_it
        from hashmatch.service.service import Limits
    except ImportError:
        raise UsageError(
            f"cannot serve: a part of it is not installed. {install('service')}"
        ) from None
    if options.pop("no_auth") == bool(options["tokens"] or options["client_ca"]):
        raise UsageError("cannot serve: say who may ask. Give one of --tokens, --no-auth.")
    data = options.pop("data")
    rules = MatcherOptions.taken(options)
    limits = Limits(max_waiting=options.pop("max_waiting"))
    cores = len(os.sched_getaffinity(0))
    options["decoders"] = options["decoders"] or max(1, cores // options["workers"])

    exchanges = exchanges_folder(options.pop("exchanges"), data)

    def snapshots(pool: DecodePool) -> Snapshots:
        from hashmatch.service.banks import Banks

        banks = Banks(data) if data is not None else None
        return rules.snapshots(
            exchanges, banks=banks, decode=pool, include_hash=options["review"] is not None
        )

    serving = Serving(snapshots, limits=limits, exchanges=exchanges, **options)
    scheme = "https" if serving.tls_cert else "http"

    def started(port: int) -> None:
        name = f"[{serving.host}]" if ":" in serving.host else serving.host
        click.echo(f"{scheme}://{name}:{port}/", err=True)

    serve_it(serving, started)


def exchanges_folder(given: str | None, data: str | None) -> str | None:
    """Return the folder of the exchanges that a service serves; None if it serves none."""
    from hashmatch.exchanges.config import FOLDER as USUAL
    from hashmatch.exchanges.config import VARIABLE

    if given is not None and data is None:
        raise UsageError("cannot serve exchanges: each is a bank. Give --data DIR for these.")
    return None if data is None else given or os.environ.get(VARIABLE) or os.path.join(data, USUAL)


@group(short_help="Make, list and revoke the tokens of the HTTP service.")
def token() -> None:
    """Make, list and revoke the tokens that requests to hashmatch serve carry."""


file_argument = click.argument("file", type=INPUT, metavar="FILE")
name_argument = click.argument("name", metavar="NAME")


@command(short_help="Make a token.", epilog="Python: TokenFile(path).add(name, scopes)")
@click.argument("file", type=OUTPUT, metavar="FILE")
@name_argument
@option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    help="What it is good for. Repeatable; admin includes the others.",
)
@option(
    "--rate", type=click.FloatRange(0, min_open=True), metavar="N",
    help="Requests a second that are answered, on average.",
)  # fmt: skip
def add(file: str, name: str, scopes: tuple[str, ...], rate: float | None) -> None:
    """Make a token for NAME and print it, once; FILE has a digest of it.

    \b
    hashmatch token add tokens.json uploads --scope match --rate 200
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.service.tokens import TokenFile

    click.echo(TokenFile(file).add(name, scopes, rate))


@command("list", short_help="List the tokens.", epilog="Python: TokenFile(path).read()")
@file_argument
@json_option
def list_(file: str, as_json: bool) -> None:
    """List the names, scopes and rates of the tokens in FILE.

    \b
    hashmatch token list tokens.json
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.service.tokens import TokenFile

    for each in TokenFile(file).read():
        shown = {
            "name": each.name, "scopes": each.scopes, "rate": each.rate,
            "created_at": each.created_at,
        }  # fmt: skip
        if as_json:
            print_json(shown)
        else:
            rate = "" if each.rate is None else f", {each.rate:g} requests a second"
            click.echo(f"{each.name}: {', '.join(each.scopes)}{rate}, made {each.created_at}")


@command(short_help="Revoke a token.", epilog="Python: TokenFile(path).revoke(name)")
@file_argument
@name_argument
def revoke(file: str, name: str) -> None:
    """Revoke the token of NAME; a running service refuses it within two seconds.

    \b
    hashmatch token revoke tokens.json clients
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.service.tokens import TokenFile

    TokenFile(file).revoke(name)
    click.echo(f"revoked {printable(name)}", err=True)


for each in (add, list_, revoke):
    token.add_command(each)
