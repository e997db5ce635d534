"""``hashmatch list keygen``: a key to sign lists with, and the one to trust them by."""

from __future__ import annotations

import click

from hashmatch.cli.terminal import printable


@click.command(
    short_help="Make a pair of keys, to sign lists with and to trust them by.",
    epilog="Python: hashmatch.store.keys.PrivateKey.generate().save(path)",
)
@click.argument("name")
def keygen(name: str) -> None:
    """Make a pair of keys: NAME.key to sign lists with, NAME.pub to trust them by.

    NAME.key is readable by its owner only, and encrypted if HASHMATCH_KEY_PASSPHRASE is set.
    Nothing is written over.

    \b
    hashmatch list keygen lists-2026
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.store.keys import (
        PASSPHRASE,
        PrivateKey,
        given_passphrase,
        load_private,
        save_pair,
    )

    passphrase = given_passphrase()
    key = PrivateKey.generate()
    save_pair(name, key, passphrase)
    # Read back, so that nobody signs for months with what can never be opened again.
    load_private(f"{name}.key", passphrase)
    shown = printable(name)
    click.echo(f"key id {key.public.key_id}")
    secrecy = "encrypted" if passphrase else f"not encrypted; {PASSPHRASE} would have it encrypted"
    click.echo(f"{shown}.key signs lists ({secrecy}). Keep it where lists are made, and a copy.")
    click.echo(f"{shown}.pub is what lists are trusted by. Give it to whoever uses them.")
