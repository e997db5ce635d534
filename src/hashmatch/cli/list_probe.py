"""``hashmatch list probe``: which hash of a known picture another tool has made."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from hashmatch.cli.command import command
from hashmatch.cli.console import Exit, print_json
from hashmatch.cli.options import json_option, sandbox_option
from hashmatch.cli.units import INPUT
from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.lists.probe import Found, Probe


@command(
    short_help="Find which algorithm another tool made a hash with.",
    epilog="Python: hashmatch.lists.probe.probe([(picture, hash)])",
    context_settings={"ignore_unknown_options": True},  # a signed number begins with -
)
@click.argument(
    "pairs",
    nargs=-1,
    metavar="[PICTURE HASH]...",
    type=click.UNPROCESSED,
    shell_complete=INPUT.shell_complete,
)
@click.option(
    "--pairs",
    "file",
    type=INPUT,
    metavar="FILE.csv",
    help="Read pairs from a CSV file with the columns picture and hash; paths are relative to its "
    "folder.",
)
@sandbox_option
@json_option
@click.pass_context
def probe(ctx: click.Context, *, pairs: tuple[str, ...], file: str | None, as_json: bool) -> None:
    """Find which algorithm and encoding made the HASH of a PICTURE, and how to import such lists.

    PICTURE is one of your own, such as those of fixtures/images, and HASH what the sender of a list
    makes of it: never use an entry of the list itself. - reads the hash from standard input. Every
    algorithm is tried, in every orientation and frame of the picture, in every encoding and bit
    order. Several pairs are surer than one; five or more also show how far the hashes of one
    picture are apart.

    The exit code is 1 if the hashes match nothing that hashmatch can compute.

    \b
    hashmatch list probe fixtures/images/plain/tiles.png d0496e043497fbe5
    hashmatch list probe --pairs from-the-sender.csv --json
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.lists import probe as logic
    from hashmatch.sandbox.pool import DecodePool

    known = [*_given(pairs), *(_listed(file) if file else ())]
    with DecodePool(1) as pool:
        found = logic.probe(known, decode=pool)
    if as_json:
        print_json(_as_json(found))
    else:
        click.echo(str(found))
        if found.best is not None:
            click.echo(f"The odds that chance brings it as near are 1 in 10^{-found.chance:.0f}.")
        for line in found.advice:
            click.echo(line)
    if found.best is None:
        ctx.exit(Exit.SOME_UNHASHED)


def _given(words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if len(words) % 2:
        raise click.UsageError(
            "cannot pair the arguments: a PICTURE has no HASH. Give a HASH after each PICTURE."
        )
    for picture, text in zip(words[::2], words[1::2], strict=True):
        yield picture, sys.stdin.readline() if text == "-" else text


def _listed(file: str) -> Iterator[tuple[str, str]]:
    import csv

    try:
        with open(file, encoding="utf-8-sig", newline="") as lines:
            for row in csv.DictReader(lines):
                picture, text = row.get("picture"), row.get("hash")
                if not picture or not text:
                    raise UsageError(
                        f"cannot read {file}: a row has no picture or no hash. Name its two "
                        "columns picture and hash, and fill both."
                    )
                yield os.path.join(os.path.dirname(file), picture), text
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or "it is no CSV in UTF-8"
        raise UsageError(f"cannot read {file}: {why}") from None


def _as_json(found: Probe) -> dict[str, object]:
    return {
        "verdict": found.verdict,
        "says": str(found),
        "best": None if found.best is None else _fields(found.best),
        "also_equal": found.equals,
        "chance_log10": round(found.chance, 2),
        "tried": found.tried,
        "options": found.options,
        "variants": found.variants or None,
        "advice": found.advice,
        "nearest": [_fields(each) for each in found.nearest[:10]],
    }


def _fields(found: Found) -> dict[str, object]:
    source, encoding, orders = found.what
    return {
        "algorithm": source.algorithm,
        "bits": source.bits,
        "seen": source.seen,
        "frame": source.frame,
        "encoding": encoding,
        "bits_order": orders,
        "distances": found.distances,
        "limit": source.max_distance,
        "within_limit": found.within,
    }
