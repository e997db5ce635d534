"""``hashmatch warm``: compile the kernels ahead of time, as for a container image."""

from __future__ import annotations

import os

import click

from hashmatch.cli.command import command
from hashmatch.cli.console import print_json, printable
from hashmatch.cli.options import json_option
from hashmatch.errors import UsageError


@command(
    short_help="Compile ahead of time, as for a container image.", epilog="Python: hashmatch.warm()"
)
@json_option
def warm(as_json: bool) -> None:
    """Compile the kernels now, so that the first hash and the first search need not wait.

    The compiled code is kept beside the installed package, or in the user's cache directory if that
    cannot be written; NUMBA_CACHE_DIR names another folder. Run it as the last step of building a
    container image: containers then start at once, as any user and on a read-only file system. It
    is for the kind of processor that it runs on; another kind compiles again.

    \b
    hashmatch warm
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.warmup import warm as warm_all

    warmed = warm_all()
    if not warmed.is_kept:
        raise UsageError(
            "cannot keep what was compiled: no cache folder is writable and private to this user. "
            "Name one in NUMBA_CACHE_DIR."
        )
    if as_json:
        print_json(
            {
                "compiled": warmed.compiled,
                "seconds": warmed.seconds,
                "folders": [os.fsdecode(folder) for folder in warmed.folders],
            }
        )
        return
    done = f"Compiled {warmed.compiled} kernels" if warmed.compiled else "Nothing left to compile"
    click.echo(f"{done}, in {warmed.seconds:.1f} s")
    for folder in warmed.folders:
        click.echo(f"kept in {printable(os.fsdecode(folder))}")
