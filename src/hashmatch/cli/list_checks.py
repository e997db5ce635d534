"""``hashmatch list verify``, ``sign``, ``diff`` and ``export``: of a list kept in a store."""

from __future__ import annotations

import sys
from typing import Any

import click

from hashmatch.cli.options import algorithm_option, quiet_option
from hashmatch.cli.stores import check_reveal, is_store, one_list, open_store, trust_options
from hashmatch.cli.terminal import NAMED_PROBLEMS, Exit, print_line, printable
from hashmatch.errors import StoreError


@click.command(
    short_help="Look at every byte of every version of a store.",
    epilog="Python: hashmatch.ListStore(path).verify()",
)
@click.argument("store")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a version.")
@trust_options
@click.pass_context
def verify(ctx: click.Context, /, store: str, as_json: bool, **options: Any) -> None:
    """Look at every byte of every version in STORE; exit with 1 if something is wrong.

    \b
    hashmatch list verify lists/hotline --trust lists-2026.pub
    """  # noqa: D301  (the backspace tells click to keep the lines)
    import msgspec

    opened = open_store(store, options)
    count, bad = 0, 0
    for version, problems in opened.verify():
        count += 1
        bad += bool(problems)
        if as_json:
            print_line(msgspec.json.encode({"version": version, "problems": problems}).decode())
            continue
        click.echo(f"version {version}: {'sound' if not problems else 'NOT SOUND'}")
        for problem in problems:
            click.echo(f"  {printable(problem)}")
    if not count:
        raise StoreError(f"{store} has no version of a list; import one")
    if not opened.trust.keys and not as_json:
        click.echo("signatures were not looked at: no key is trusted (--trust FILE.pub)", err=True)
    if bad:
        ctx.exit(Exit.SOME_UNHASHED)


@click.command(
    short_help="Add a signature to the latest version of a store.",
    epilog="Python: hashmatch.ListStore(path).sign(key)",
)
@click.argument("store")
@click.option("--key", "signer", required=True, metavar="FILE.key", help="Whose signature.")
@trust_options
def sign(store: str, signer: str, **options: Any) -> None:
    """Sign the latest version in STORE, besides whoever has signed it already.

    Make keys with hashmatch list keygen; a passphrase is taken from HASHMATCH_KEY_PASSPHRASE.

    \b
    hashmatch list sign lists/hotline --key lists-2026.key
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.store.keys import given_passphrase, load_private

    key = load_private(signer, given_passphrase())
    manifest = open_store(store, options).sign(key)
    click.echo(f"version {manifest.version} is signed by {key.public.key_id}")


@click.command(
    short_help="Say what became of a list between two versions.",
    epilog="Python: hashmatch.store.comparing.difference(before, after)",
)
@click.argument("store")
@click.argument("before", type=int, required=False)
@click.argument("after", type=int, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-v", "--verbose", is_flag=True, help="Name every entry, not only the first 20.")
@trust_options
def diff(
    store: str, before: int | None, after: int | None, as_json: bool, verbose: bool, **options: Any
) -> None:
    """Say what version AFTER of the list in STORE has that BEFORE has not, and the other way round.

    By default of the last two versions. Entries are named by their external ids; those without one
    are counted.

    \b
    hashmatch list diff lists/hotline
    hashmatch list diff lists/hotline 16 18
    """  # noqa: D301  (the backspace tells click to keep the lines)
    import msgspec

    from hashmatch.store.comparing import difference

    opened = open_store(store, options)
    opened.folder.check()
    versions = opened.folder.versions()
    if before is None:
        if len(versions) < 2:
            raise StoreError(f"{store} has only one version; there is nothing to compare it with")
        before, after = versions[1], versions[0]
    elif after is None:
        after = versions[0] if versions else before
    found = difference(opened.version(before), opened.version(after))
    if as_json:
        algorithms = {
            each.algorithm: {
                "added": len(each.added),
                "removed": len(each.removed),
                "added_ids": [name for name in each.added if name],
                "removed_ids": [name for name in each.removed if name],
            }
            for each in found
        }
        summary = {"before": before, "after": after, "algorithms": algorithms}
        print_line(msgspec.json.encode(summary).decode())
        return
    click.echo(f"from version {before} to version {after}")
    for each in found:
        click.echo(f"{each.algorithm}: {len(each.added):,} added, {len(each.removed):,} removed")
        for sign_of, names in (("+", each.added), ("-", each.removed)):
            known = [name for name in names if name]
            shown = known if verbose else known[:NAMED_PROBLEMS]
            for name in shown:
                click.echo(f"  {sign_of} {printable(name)}")
            if len(known) > len(shown):
                click.echo(f"  {sign_of} and {len(known) - len(shown):,} more; -v names them all")
            if len(names) > len(known):
                click.echo(f"  {sign_of} {len(names) - len(known):,} without an id")


@click.command(epilog="Python: hashmatch.write_list(known, path, reveal_hashes=True)")
@click.argument("store")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "pdq-text"]),
    default="jsonl",
    show_default=True,
    help="JSON lines keep all that is known of an entry.",
)
@click.option("--reveal-hashes", is_flag=True, help="Needed: this writes the hashes of the list.")
@click.option("-o", "--out", metavar="FILE", help="A new file, readable by you only.  [default: -]")
@algorithm_option
@trust_options
@quiet_option
def export(
    store: str,
    form: str,
    reveal_hashes: bool,
    out: str | None,
    algorithm: str,
    quiet: bool,
    **options: Any,
) -> None:
    """Write the list in STORE, or in a list file, as text. Only with --reveal-hashes.

    \b
    hashmatch list export lists/hotline --reveal-hashes --out hotline.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.reading import read_list
    from hashmatch.revealing import reveal, write_list

    check_reveal(reveal_hashes)
    known = one_list(store, algorithm, options) if is_store(store) else read_list(store, algorithm)
    if out in {None, "-"}:
        reveal(known, sys.stdout.buffer, form)
        return
    count = write_list(known, out or "", form, reveal_hashes=True)
    if not quiet:
        click.echo(f"{count:,} entries in {printable(out or '')}", err=True)
