"""``hashmatch list``: what is done with known-hash lists, without showing any of them."""

from __future__ import annotations

import click

from hashmatch.cli.keys import keygen
from hashmatch.cli.list_changes import import_, update
from hashmatch.cli.list_checks import diff, export, sign, verify
from hashmatch.cli.list_inspect import inspect


@click.group("list")
def list_() -> None:
    """Look into known-hash lists, and keep them in stores; their hashes are never shown."""


for command in (inspect, import_, update, verify, diff, sign, export, keygen):
    list_.add_command(command)
