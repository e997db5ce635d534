"""The lists and the matcher that a command's options describe.

Options and functions of the commands that work with list stores.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.console import console, printable
from hashmatch.errors import ListError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hashmatch.cli.options import ListShape
    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.hash_list import HashList
    from hashmatch.store.list_store import ListStore

    Command = Callable[..., Any]
    Trust = dict[str, Any]

TRUSTED = "HASHMATCH_TRUSTED_KEYS"
"""The environment variable that names files of public keys, separated by colons."""


def trust_options(command: Command) -> Command:
    """Add what says whom to trust, and how a store is opened."""
    for option in (
        click.option(
            "--allow-readable",
            is_flag=True,
            help="Use a store that others can read, though whoever reads it can look hashes up.",
        ),
        click.option(
            "--list-key",
            metavar="FILE",
            help="The key of encrypted stores, if HASHMATCH_LIST_KEY does not hold it.",
        ),
        click.option(
            "--grace",
            metavar="DAYS",
            type=click.FloatRange(0, 36500),
            default=7,
            show_default=True,
            help="How long a list is used after it has expired.",
        ),
        click.option(
            "--signatures",
            "needed",
            metavar="N",
            type=click.IntRange(1),
            default=1,
            show_default=True,
            help="How many trusted keys have to have signed.",
        ),
        click.option(
            "--trust",
            "trusted",
            multiple=True,
            metavar="FILE.pub",
            help="Use only stores that this key has signed; repeatable. "
            f"[default: the files in {TRUSTED}]",
        ),
    ):
        command = option(command)
    return command


def open_store(path: str, options: dict[str, Any]) -> ListStore:
    """Return the store at `path`, with what `trust_options` gave; takes them out of `options`."""
    from hashmatch.store.encryption import list_key
    from hashmatch.store.list_store import ListStore
    from hashmatch.store.signing import Trust, load_public

    files = options.pop("trusted") or tuple(
        name for name in os.environ.get(TRUSTED, "").split(os.pathsep) if name
    )
    keys = [load_public(name) for name in files]
    trust = Trust(keys, options.pop("needed"), timedelta(days=options.pop("grace")))
    key = list_key(options.pop("list_key"))
    allow_readable = options.pop("allow_readable")
    return ListStore(path, trust=trust, key=key, allow_readable=allow_readable)


def is_store(path: str) -> bool:
    """Return whether a path is a folder: a list file is none."""
    return os.path.isdir(path)


def list_files(paths: Sequence[str]) -> list[str]:
    """Return the files that are meant, those of a folder by their names."""
    found: list[str] = []
    for path in paths:
        if not os.path.isdir(path):
            found.append(path)
            continue
        try:
            names = sorted(os.listdir(path))
        except OSError as error:
            raise ListError(f"{path}: cannot be read: {error.strerror}") from None
        pages = [os.path.join(path, name) for name in names if not name.startswith(".")]
        pages = [page for page in pages if os.path.isfile(page)]
        if not pages:
            raise ListError(f"{path}: there is no file in this folder")
        found += pages
    return found


def days(number: float | None) -> timedelta | None:
    """Return a number of days as a time."""
    return None if number is None else timedelta(days=number)


def warn(problems: Sequence[str]) -> None:
    """Say on standard error what was found wrong and did not stop anything."""
    for problem in problems:
        click.echo(f"hashmatch: warning: {printable(problem)}", err=True)


@contextmanager
def reading(
    paths: Sequence[str], quiet: bool
) -> Iterator[tuple[Callable[[int], object], Callable[[str], object]]]:
    """Show how much of some files is read, and what is done with it, on a terminal."""
    screen = console()
    if quiet or not screen.is_terminal:
        yield (lambda count: None), (lambda step: None)
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    total = sum(os.path.getsize(path) for path in paths if os.path.isfile(path))
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=False,
    ) as bar:
        task = bar.add_task("reading", total=total)
        yield (
            lambda count: bar.update(task, advance=count),
            lambda step: bar.update(task, description=step),
        )


def one_list(path: str, algorithm: str, options: dict[str, Any]) -> HashList:
    """Return the list of `algorithm` in a store, after saying what is wrong with it."""
    store = open_store(path, options)
    lists = store.open(algorithm)
    warn(lists[0].problems)
    return lists[0]


def check_reveal(reveal_hashes: bool) -> None:
    """Raise UsageError unless hashes may be shown."""
    if not reveal_hashes:
        raise UsageError(
            "this writes the hashes of a list, which tell something of what they show; "
            "give --reveal-hashes if that is meant"
        )


REFERENCE_KEY = "HASHMATCH_REFERENCE_KEY"


def open_lists(
    paths: Sequence[str], shape: ListShape, algorithm: str, skip_bad_rows: bool, trust: Trust
) -> list[HashList]:
    """Return the list of `algorithm`, or of the one named before the path, at each path."""
    from hashmatch import registry
    from hashmatch.lists.exclusions import leave_out, read_disabled
    from hashmatch.lists.read import read_list

    trust = dict(trust)
    disabled = trust.pop("disabled", None)
    key = reference_key()
    out = () if disabled is None else read_disabled(disabled)
    lists: list[HashList] = []
    for given in paths:
        name, separator, rest = given.partition("=")
        known = registry.names(registry.HASHERS)
        named = separator and name in known
        if separator and not named and os.sep not in name and not os.path.exists(given):
            raise UsageError(
                f"{given}: no such file, and no algorithm is called {name!r}; there are "
                f"{', '.join(known)}"
            )
        kind, path = (name, rest) if named else (algorithm, given)
        if is_store(path):
            found: HashList = one_list(path, kind, dict(trust))
        else:
            found = read_list(path, kind, format=shape.format(kind), skip_bad_rows=skip_bad_rows)
        for other in lists:  # every match would be counted twice
            if (found.name, found.version, found.spec) == (other.name, other.version, other.spec):
                raise UsageError(f"{path}: its {kind} hashes are given twice")
        lists.append(leave_out(found, out, key))
    return lists


def open_matcher(lists: list[HashList], **options: Any) -> Matcher:
    """Return a matcher, with the deployment's reference key if the environment has one."""
    from hashmatch.matching.matcher import Matcher

    return Matcher(*lists, reference_key=reference_key(), **options)


def reference_key() -> bytes | None:
    """Return the deployment's reference key, if the environment has one."""
    from hashmatch.matching.lookup import LONGEST_KEY, SHORTEST_KEY

    key = os.environb.get(REFERENCE_KEY.encode(), b"")
    if key and not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise UsageError(
            f"{REFERENCE_KEY} has {len(key)} bytes; a key has {SHORTEST_KEY} to {LONGEST_KEY}"
        )
    return key or None
