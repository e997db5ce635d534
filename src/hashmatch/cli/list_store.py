"""``hashmatch list``: import, update, verify, sign, log, rollback, diff, export and keygen."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.choices import Choice
from hashmatch.cli.command import command, option, section
from hashmatch.cli.console import (
    NAMED_PROBLEMS,
    Exit,
    Progress,
    console,
    print_json,
    print_line,
    print_table,
    printable,
    working,
)
from hashmatch.cli.lists_and_matcher import list_files, one_list, open_store, warn
from hashmatch.cli.options import (
    ListShape,
    algorithm_option,
    json_option,
    quiet_option,
    sandbox_option,
    shape_options,
    trust_options,
    verbose_option,
)
from hashmatch.cli.units import (
    DURATION,
    INPUT,
    LISTED,
    NAME_BITS,
    STORE,
    TIME_OR_NEVER,
    WRITTEN_STORE,
    complete_version,
    once_each,
)
from hashmatch.errors import StoreError, UsageError
from hashmatch.matching.list_paths import is_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.interfaces import ColumnUse
    from hashmatch.records.hashes import HashBatch
    from hashmatch.store.importer import Change, Changed
    from hashmatch.store.manifest import Manifest

ACCEPTABLE = "bad-rows", "size-change", "damage", "spreadsheet", "kind", "unknown-status"


sign_option = option(
    "--sign", "signer", type=INPUT, metavar="FILE.key", help="Sign the version with this key."
)
#: How long a version lasts, and the others; and how it is told of.
lasting_options = section(
    "Versions",
    option(
        "--expires",
        type=TIME_OR_NEVER,
        metavar="TIME",
        help="How long the version is used without an update, such as 90d, or never: for ever. "
        "[default: as the version before, or never]",
    ),
    option(
        "--keep",
        type=DURATION,
        default="30d",
        show_default=True,
        help="How long replaced versions are kept.",
    ),
)
#: What says how a version is made of files.
change_options = section(
    "Versions",
    option(
        "--name",
        metavar="NAME",
        help="The name of the list in matches. [default: the folder's name]",
    ),
    sign_option,
    option(
        "--accept",
        multiple=True,
        type=Choice(ACCEPTABLE),
        help="Accept a problem: bad-rows (over five and 0.1 % of all), size-change (over 20 %), "
        "damage (of the last version), spreadsheet (hashes that one destroyed), kind (hashes that "
        "look like another algorithm's), unknown-status. Repeatable.",
    ),
    option(
        "--keep-disputed",
        is_flag=True,
        help="Match entries that more members dispute than support.",
    ),
    option(
        "--limit",
        "limits",
        multiple=True,
        type=NAME_BITS,
        callback=once_each,
        help="The list's own limit for an algorithm; it outranks --max-distance. Repeatable.",
    ),
    option(
        "--default-pictures",
        "pictures",
        multiple=True,
        type=INPUT,
        metavar="DIR",
        help="Pictures that many users have, such as default avatars: entries near them are put "
        "into quarantine. Repeatable.",
    ),
    sandbox_option,
    lasting_options,
)


@command(
    "import",
    short_help="Import files as the next version of a list.",
    epilog="Python: hashmatch.ListStore(path).import_files(paths)",
)
@click.argument("files", nargs=-1, required=True, type=INPUT)
@click.option(
    "--store", required=True, type=WRITTEN_STORE, metavar="DIR", help="The folder of the store."
)
@change_options
@algorithm_option
@shape_options
@trust_options
@json_option
@quiet_option
def import_(files: tuple[str, ...], store: str, **options: Any) -> None:
    """Import FILES, a whole list, as the next version in --store.

    FILES are pages of one list, or folders of them, in any order. If several rows are about one
    entry, the latest counts; an id has one hash only where ids are unique. The version replaces the
    one before, which is kept for --keep. A list that changes too much, or has too many bad rows, is
    refused unless you --accept that.

    \b
    hashmatch list import hotline/ --store lists/hotline --sign lists-2026.key
    hashmatch list import dhashes.csv --store lists/p -a dhash \\
        --encoding base64 --bits inverted
    hashmatch scan photos --list lists/hotline --surface profile_photo
    """  # noqa: D301  (the backspace tells click to keep the lines)
    _make(store, files, "import_files", options)


@command(
    short_help="Import changes as the next version of a list.",
    epilog="Python: hashmatch.ListStore(path).update_files(paths)",
)
@click.argument("store", type=WRITTEN_STORE)
@click.argument("files", nargs=-1, required=True, type=INPUT)
@change_options
@algorithm_option
@shape_options
@trust_options
@json_option
@quiet_option
def update(store: str, files: tuple[str, ...], **options: Any) -> None:
    """Import FILES, the changes of a list, as the next version in STORE.

    An entry that comes again replaces its earlier state, unless its time is older; withdrawn
    entries are removed. An id replaces the hash that it had only where ids are unique, see
    --unique-ids. Rows without a time are taken as of now.

    \b
    hashmatch list update lists/hotline changes/ --sign lists-2026.key
    """  # noqa: D301  (the backspace tells click to keep the lines)
    _make(store, files, "update_files", options)


def _make(store: str, files: tuple[str, ...], how: str, options: dict[str, Any]) -> None:
    as_json, quiet = options.pop("as_json"), options.pop("quiet")
    opened = open_store(store, options)
    paths = list_files(files)
    change = given_change(options)
    size = sum(os.path.getsize(path) for path in paths if os.path.isfile(path))
    with Progress(size, quiet, unit="bytes") as bar:
        bar.say("reading")
        made: Changed = getattr(opened, how)(
            paths, replace(change, on_read=bar.advance, on_step=bar.say)
        )
    warn(made.problems)
    if as_json:
        print_json(changed_as_json(made))
    elif not quiet:
        _show(made.manifest)
        if made.manifest.base is None:
            for line in columns_in_words(columns_as_json(made.manifest.columns)):
                click.echo(line, err=True)
        name_ids("ignored as older", made.effects.older, err=True)
        name_ids("without effect", made.effects.without_effect, err=True)
    if quiet:
        return
    for path, row in made.rejected[:NAMED_PROBLEMS]:
        click.echo(printable(f"{path}, line {row.line}: {row.reason}"), err=True)
    more = sum(row.rows for _, row in made.rejected[NAMED_PROBLEMS:])
    if more:
        click.echo(f"and {more:,} more rows that cannot be used", err=True)


def given_change(options: dict[str, Any]) -> Change:
    """Return what `change_options` and those of lists gave."""
    from hashmatch.store.importer import Change
    from hashmatch.store.signing import given_passphrase, load_private

    pictures = _pictures(options["pictures"]) if options["pictures"] else None
    shape, signer = ListShape.taken(options), options["signer"]
    return Change(
        name=options["name"],
        format=shape.format(options["algorithm"], options["keep_disputed"]),
        signer=load_private(signer, given_passphrase()) if signer else None,
        accept=options["accept"],
        expires_in=options["expires"],
        keep=options["keep"],
        pictures=pictures,
        limits=dict(options["limits"]) or None,
    )


def _pictures(folders: tuple[str, ...]) -> dict[str, HashBatch]:
    """Return the hashes of default pictures, of every algorithm that hashes pixels."""
    from hashmatch import registry
    from hashmatch.lists.degenerate import degenerate_pictures
    from hashmatch.records.hashes import HashBatch
    from hashmatch.sandbox.pool import DecodePool

    with DecodePool(1) as pool:
        return {
            algorithm: HashBatch.concatenate(
                [degenerate_pictures(folder, algorithm, decode=pool) for folder in folders]
            )
            for algorithm in registry.names(registry.HASHERS)
            if registry.hasher(algorithm).reads == "pixels"
        }


def changed_as_json(made: Changed) -> dict[str, Any]:
    """Return what a change has made, for JSON."""
    manifest = made.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "created": manifest.created,
        "expires": manifest.expires,
        "key_ids": manifest.key_ids,
        "counts": manifest.counts,
        "ignored_as_older": [name for name in made.effects.older if name],
        "without_effect": [name for name in made.effects.without_effect if name],
        "rejected": [
            {"file": path, "line": row.line, "reason": row.reason} for path, row in made.rejected
        ],
        "columns": columns_as_json(manifest.columns),
        "problems": made.problems,
    }


IN_WORDS = {
    "superseded": "superseded by a later row of the same id",
    "dropped": "no longer in the files",
    "withdrawal": "of withdrawals",
}


def in_words(name: str) -> str:
    """Return what a count is called in output for people."""
    return IN_WORDS.get(name, name)


def name_ids(what: str, ids: Sequence[str | None], *, every: bool = False, err: bool) -> None:
    """Name the first ids of entries that something is to be said of, or every one."""
    known = [name for name in ids if name]
    shown = known if every else known[:NAMED_PROBLEMS]
    if shown:
        click.echo(f"{what}: {', '.join(map(printable, shown))}", err=err)
    if len(ids) > len(shown):
        more = f"and {len(ids) - len(shown):,} more" if shown else f"{len(ids):,} without an id"
        click.echo(f"{what}: {more}", err=err)


def columns_as_json(columns: Sequence[ColumnUse]) -> list[dict[str, Any]]:
    """Return what became of each column, or field, for JSON."""
    return [
        {"number": each.number, "name": each.name, "role": each.role, "loses": each.loses}
        for each in columns
    ]


def columns_in_words(columns: Sequence[dict[str, Any]]) -> list[str]:
    """Return what became of columns, or fields, of a list in lines for people."""
    named = [(f"{each['number'] or ''} {each['name']}".strip(), each["role"]) for each in columns]
    what = "fields" if any(each["number"] is None for each in columns) else "columns"
    used = [f"{name} is {role}" for name, role in named if role]
    ignored = [name for name, role in named if not role]
    lines = {f"{what}": used, f"{what} ignored": ignored}
    said = [f"{told}: {printable(', '.join(names))}" for told, names in lines.items() if names]
    roles = {role for _, role in named}
    lacking = [
        f"--column {role}=NAME"
        for role, others in (("id", {"filename"}), ("status", {"state", "outcome"}))
        if roles.isdisjoint({role, *others})
    ]
    if ignored and lacking:
        said[-1] += f". If one of them says it, give {' or '.join(lacking)}"
    return said


def lasting(manifest: Manifest) -> str:
    """Return when a version expires, and how long one lasts."""
    if manifest.expires is None:
        return "never"
    later = f"later versions too after {manifest.days:g} days, unless --expires says otherwise"
    return f"{manifest.expires}; {later}"


def _show(manifest: Manifest) -> None:
    from rich.markup import escape
    from rich.table import Table

    from hashmatch.store.importer import EFFECTS, ROWS

    title = f"List {printable(manifest.name)}, version {manifest.version}"
    table = Table(title=escape(title), title_justify="left", show_header=False)
    for algorithm, counts in manifest.counts.items():
        if algorithm not in {ROWS, EFFECTS}:
            for name, count in counts.items():
                table.add_row(f"{algorithm} {name}", f"{count:,}")
    table.add_section()
    for name, count in manifest.counts[EFFECTS].items():
        table.add_row(in_words(name), f"{count:,}")
    table.add_section()
    for name, count in manifest.counts[ROWS].items():
        table.add_row(escape(f"rows {in_words(printable(name))}"), f"{count:,}")
    screen = console()
    print_table(screen, table)
    signed = ", ".join(manifest.key_ids) or "nobody (--sign FILE.key)"
    screen.print(f"signed by {signed}; expires {lasting(manifest)}")
    if manifest.rolled_back_to is not None:
        screen.print(f"rolled back to version {manifest.rolled_back_to}")


@command(
    short_help="Check every version of a store for damage.",
    epilog="Python: hashmatch.ListStore(path).verify()",
)
@click.argument("store", type=STORE)
@json_option
@trust_options
@quiet_option
@click.pass_context
def verify(ctx: click.Context, /, store: str, as_json: bool, quiet: bool, **options: Any) -> None:
    """Check every byte of every version in STORE, and the signatures.

    The exit code is 1 if something is damaged or missing.

    \b
    hashmatch list verify lists/hotline --trust lists-2026.pub
    """  # noqa: D301  (the backspace tells click to keep the lines)
    opened = open_store(store, options)
    opened.folder.check()
    count, bad = 0, 0
    with Progress(len(opened.folder.versions()), quiet, unit="versions") as bar:
        for version, problems in opened.verify():
            count += 1
            bad += bool(problems)
            if as_json:
                print_json({"version": version, "problems": problems})
            else:
                print_line(f"version {version}: {'sound' if not problems else 'NOT SOUND'}")
                for problem in problems:
                    print_line(f"  {printable(problem)}")
            bar.advance()
    if not count:
        raise StoreError(
            f"cannot verify {store}: it has no version of a list. Run hashmatch list import."
        )
    if not opened.trust.keys and not as_json and not quiet:
        click.echo("signatures were not looked at: no key is trusted (--trust FILE.pub)", err=True)
    if bad:
        ctx.exit(Exit.SOME_UNHASHED)


@command(
    short_help="Add a signature to the latest version of a store.",
    epilog="Python: hashmatch.ListStore(path).sign(key)",
)
@click.argument("store", type=STORE)
@click.option(
    "--sign",
    "signer",
    required=True,
    type=INPUT,
    metavar="FILE.key",
    help="Sign the version with this key.",
)
@json_option
@quiet_option
@trust_options
def sign(store: str, signer: str, as_json: bool, quiet: bool, **options: Any) -> None:
    """Add a signature to the latest version in STORE. Those that it has are kept.

    hashmatch list keygen makes keys. HASHMATCH_KEY_PASSPHRASE has the passphrase of an encrypted
    one.

    \b
    hashmatch list sign lists/hotline --sign lists-2026.key
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.store.signing import given_passphrase, load_private

    key = load_private(signer, given_passphrase())
    with working("reading the latest version", quiet):
        manifest = open_store(store, options).sign(key)
    if as_json:
        print_json(
            {"name": manifest.name, "version": manifest.version, "key_id": key.public.key_id}
        )
    elif not quiet:
        print_line(f"version {manifest.version} is signed by {key.public.key_id}")


@command(
    short_help="Go back to an earlier version of a list.",
    epilog="Python: hashmatch.ListStore(path).roll_back(version)",
)
@click.argument("store", type=WRITTEN_STORE)
@click.argument("version", type=click.IntRange(1), shell_complete=complete_version)
@sign_option
@click.option(
    "--accept",
    multiple=True,
    type=Choice(["size-change"]),
    help="Accept a problem: size-change (over 20 %).",
)
@lasting_options
@trust_options
@json_option
@quiet_option
def rollback(
    store: str,
    version: int,
    signer: str | None,
    accept: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Make a new version in STORE with the content of the earlier VERSION.

    The new version has the next number, and the next update builds on it. It expires as VERSION
    did, counted from now. hashmatch list log shows the versions, and hashmatch list diff what
    would change. A running hashmatch serve follows without a pause; hashmatch serve rollback is
    the same command.

    \b
    hashmatch list diff lists/hotline 1 2
    hashmatch list rollback lists/hotline 1 --sign lists-2026.key
    hashmatch serve rollback lists/hotline 1
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.store.importer import Change
    from hashmatch.store.signing import given_passphrase, load_private

    change = Change(
        signer=load_private(signer, given_passphrase()) if signer else None,
        accept=accept,
        expires_in=options.pop("expires"),
        keep=options.pop("keep"),
    )
    made = open_store(store, options).roll_back(version, change)
    warn(made.problems)
    if as_json:
        print_json(changed_as_json(made))
    elif not quiet:
        _show(made.manifest)


@command(
    short_help="Show the versions of a store, and how each was made.",
    epilog="Python: hashmatch.ListStore(path).versions()",
)
@click.argument("store", type=STORE)
@json_option
@trust_options
def log(store: str, as_json: bool, **options: Any) -> None:
    """Show the versions of the list in STORE, the latest first.

    Of each: when and how it was made, with which options and of which files, what it holds, and
    who signed it. No hash is shown.

    \b
    hashmatch list log lists/hotline
    """  # noqa: D301  (the backspace tells click to keep the lines)
    found = open_store(store, options).versions()
    if not found:
        raise StoreError(
            f"cannot show versions of {store}: it has none. Run hashmatch list import."
        )
    for manifest in found:
        if as_json:
            print_json(_logged(manifest))
            continue
        for line in _log_lines(manifest):
            click.echo(printable(line))


def _logged(manifest: Manifest) -> dict[str, Any]:
    from hashmatch.store.importer import EFFECTS, ROWS

    counts = manifest.counts.items()
    return {
        "version": manifest.version,
        "created": manifest.created,
        "made_by": manifest.made_by,
        "base": manifest.base,
        "rolled_back_to": manifest.rolled_back_to,
        "hashmatch": manifest.hashmatch,
        "options": manifest.options,
        "files": [file.name for file in manifest.sources],
        "entries": {name: each["entries"] for name, each in counts if name not in {ROWS, EFFECTS}},
        "effects": manifest.counts.get(EFFECTS, {}),
        "expires": manifest.expires,
        "key_ids": manifest.key_ids,
    }


def _log_lines(manifest: Manifest) -> list[str]:
    """Return what there is to say of a version, in lines for people."""
    said = _logged(manifest)
    of = {
        "import": "imported",
        "update": f"updated from version {manifest.base}",
        "rollback": f"rolled back to version {manifest.rolled_back_to}",
    }[manifest.made_by]
    lines = [f"version {manifest.version}, {manifest.created:%Y-%m-%d %H:%M:%S} UTC: {of}"]
    entries = [f"{count:,} {name}" for name, count in said["entries"].items()]
    effects = [f"{count:,} {in_words(name)}" for name, count in said["effects"].items() if count]
    lines.append(f"  entries: {', '.join(entries)}; {', '.join(effects) or 'nothing changed'}")
    if manifest.options:
        words = (
            f"--{name}" + ("" if value == "yes" else f" {shlex.quote(value)}")
            for name, values in manifest.options.items()
            for value in values
        )
        lines.append(f"  options: {' '.join(words)}")
    names = said["files"]
    if names and manifest.made_by != "rollback":
        more = f" and {len(names) - NAMED_PROBLEMS:,} more" if len(names) > NAMED_PROBLEMS else ""
        lines.append(f"  files: {', '.join(names[:NAMED_PROBLEMS])}{more}")
    signed = ", ".join(manifest.key_ids) or "nobody"
    expires = "never" if manifest.expires is None else f"{manifest.expires:%Y-%m-%d %H:%M:%S} UTC"
    lines.append(f"  signed by {signed}; expires {expires}")
    return lines


@command(
    short_help="Show what changed between two versions.",
    epilog="Python: hashmatch.store.diff.difference(before, after)",
)
@click.argument("store", type=STORE)
@click.argument("before", type=int, required=False, shell_complete=complete_version)
@click.argument("after", type=int, required=False, shell_complete=complete_version)
@json_option
@verbose_option
@trust_options
def diff(
    store: str, before: int | None, after: int | None, as_json: bool, verbose: bool, **options: Any
) -> None:
    """Show what was added, changed and removed in STORE between versions BEFORE and AFTER.

    Without versions, the last two are compared. Entries are named by their ids; those without one
    are counted.

    \b
    hashmatch list diff lists/hotline
    hashmatch list diff lists/hotline 1 2
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.store.diff import EFFECTS, difference
    from hashmatch.store.importer import EFFECTS as MADE

    opened = open_store(store, options)
    opened.folder.check()
    versions = opened.folder.versions()
    if before is None:
        if len(versions) < 2:
            raise StoreError(
                f"cannot compare versions of {store}: it has only one version. "
                "Update the list first."
            )
        before, after = versions[1], versions[0]
    elif after is None:
        after = versions[0] if versions else before
    later = opened.version(after)
    found = difference(opened.version(before), later)
    made = later.manifest.counts[MADE] if later.manifest.base == before else {}
    idle = {name: made[name] for name in ("ignored as older", "without effect") if name in made}
    if as_json:
        algorithms = {
            each.algorithm: {
                **{name: len(getattr(each, name)) for name in EFFECTS},
                **{f"{name}_ids": [one for one in getattr(each, name) if one] for name in EFFECTS},
            }
            for each in found
        }
        summary = {"before": before, "after": after, "algorithms": algorithms}
        summary |= {name.replace(" ", "_"): count for name, count in idle.items()}
        print_json(summary)
        return
    click.echo(f"from version {before} to version {after}")
    for each in found:
        counts = ", ".join(f"{len(getattr(each, name)):,} {in_words(name)}" for name in EFFECTS)
        click.echo(f"{each.algorithm}: {counts}")
        for sign_of, names in (("+", each.added), ("~", each.changed), ("-", each.removed)):
            known = [name for name in names if name]
            shown = known if verbose else known[:NAMED_PROBLEMS]
            for name in shown:
                click.echo(f"  {sign_of} {printable(name)}")
            if len(known) > len(shown):
                click.echo(f"  {sign_of} and {len(known) - len(shown):,} more; -v names them all")
            if len(names) > len(known):
                click.echo(f"  {sign_of} {len(names) - len(known):,} without an id")
    if any(idle.values()):
        click.echo("rows: " + ", ".join(f"{count:,} {name}" for name, count in idle.items()))


@command(epilog="Python: hashmatch.write_list(known, path, reveal_hashes=True)")
@click.argument("store", type=STORE)
@click.option(
    "--format",
    "form",
    type=Choice(["jsonl", "pdq-text", "vpdq-text", "vpdq-json", "vpdq-by-frame"]),
    default="jsonl",
    show_default=True,
    help="JSON lines keep all that is known of an entry; vpdq-* are of videos.",
)
@click.option("--reveal-hashes", is_flag=True, help="Needed: this writes the hashes of the list.")
@click.option(
    "-o",
    "--out",
    type=LISTED,
    metavar="FILE",
    help="A new file, readable by you only.  [default: -]",
)
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
    """Write the hashes and entries of STORE, or of a list file, as text.

    It needs --reveal-hashes: anyone who has the hashes can look for the pictures, and hashes tell
    something of what they show.

    \b
    hashmatch list export lists/hotline --reveal-hashes --out hotline.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.lists.export import reveal, write_list
    from hashmatch.lists.read import read_list

    if not reveal_hashes:
        raise UsageError(
            "cannot export the list: this writes its hashes, which tell something of the pictures. "
            "Give --reveal-hashes if that is what you want."
        )
    known = one_list(store, algorithm, options) if is_store(store) else read_list(store, algorithm)
    if out in {None, "-"}:
        reveal(known, sys.stdout.buffer, form)
        return
    with working("writing entries", quiet):
        count = write_list(known, out or "", form, reveal_hashes=True)
    if not quiet:
        click.echo(f"{count:,} entries in {printable(out or '')}", err=True)


@command(
    short_help="Make a pair of keys to sign and trust lists.",
    epilog="Python: hashmatch.store.signing.PrivateKey.generate().save(path)",
)
@click.argument("name")
@json_option
def keygen(name: str, as_json: bool) -> None:
    """Make a pair of keys: NAME.key signs lists, NAME.pub is what --trust takes.

    NAME.key is readable by you only, and encrypted if HASHMATCH_KEY_PASSPHRASE is set. Files that
    exist are never overwritten.

    \b
    hashmatch list keygen lists-2026
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.store.signing import (
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
    if as_json:
        print_json(
            {
                "key_id": key.public.key_id,
                "private": f"{name}.key",
                "public": f"{name}.pub",
                "encrypted": bool(passphrase),
            }
        )
        return
    shown = printable(name)
    click.echo(f"key id {key.public.key_id}")
    secrecy = "encrypted" if passphrase else f"not encrypted; {PASSPHRASE} would have it encrypted"
    click.echo(f"{shown}.key signs lists ({secrecy}). Keep it where lists are made, and a copy.")
    click.echo(f"{shown}.pub is what lists are trusted by. Give it to those who use them.")
