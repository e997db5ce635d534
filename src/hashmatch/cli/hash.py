"""``hashmatch hash``: the hashes of your own pictures."""

from __future__ import annotations

import os
from itertools import chain

import click

from hashmatch.cli.console import Exit, Progress, hashed_line, print_line
from hashmatch.cli.options import algorithm_option, quiet_option, strict_option


@click.command(
    "hash",
    short_help="Print the hashes of your own pictures.",
    epilog="Python: hashmatch.hash_image(image, algorithm=...)",
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@algorithm_option
@strict_option
@quiet_option
@click.pass_context
def hash_(
    ctx: click.Context, *, paths: tuple[str, ...], algorithm: str, strict: bool, quiet: bool
) -> None:
    """Print the hash of each picture, one line of JSON each; a folder means all below it.

    A picture that cannot be hashed has its outcome and reason instead.

    \b
    hashmatch hash photo.jpg
    hashmatch hash photos/ --algorithm phash > hashes.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch import registry
    from hashmatch.hashing.hash_image import hash_image
    from hashmatch.records.enums import HAVE_HASH
    from hashmatch.sources.directory import walk

    registry.hasher(algorithm)
    for path in paths:  # before the first hash, so that a slip of the pen costs nothing
        next(walk(path), None)
    files = [path for path in paths if not os.path.isdir(path)]
    total = len(files) if len(files) == len(paths) else None
    unhashed = 0
    with Progress(total, quiet) as bar:
        for _, path in chain.from_iterable(walk(path) for path in paths):
            name = os.fsencode(path).decode(errors="backslashreplace")
            hashed = hash_image(path, algorithm, item=name)
            unhashed += hashed.outcome not in HAVE_HASH
            print_line(hashed_line(hashed))
            bar.advance()
    if strict and unhashed:
        ctx.exit(Exit.SOME_UNHASHED)
