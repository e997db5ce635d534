"""The lists, the stores and the matcher that a command's options describe."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.console import printable
from hashmatch.cli.options import ListShape
from hashmatch.errors import ListError
from hashmatch.matching.list_paths import ListPaths, is_store, reference_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.hash_list import HashList
    from hashmatch.service.snapshots import Snapshots
    from hashmatch.store.list_store import ListStore

    Trust = dict[str, Any]

TRUST = ("trusted", "needed", "grace", "list_key")
"""The options of `trust_options`."""


def open_store(path: str, options: dict[str, Any]) -> ListStore:
    """Return the store at `path`, with what `trust_options` gave; takes them out of `options`."""
    return ListPaths((), **{name: options.pop(name) for name in TRUST}).store(path)


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
            raise ListError(
                f"cannot read {path}: {error.strerror}. Give a folder that you may read."
            ) from None
        pages = [os.path.join(path, name) for name in names if not name.startswith(".")]
        pages = [page for page in pages if os.path.isfile(page)]
        if not pages:
            raise ListError(f"cannot read {path}: there is no file in it. Check the folder.")
        found += pages
    return found


def warn(problems: Sequence[str]) -> None:
    """Say on standard error what was found wrong and did not stop anything."""
    for problem in problems:
        click.echo(f"hashmatch: warning: {printable(problem)}", err=True)


def one_list(path: str, algorithm: str, options: dict[str, Any]) -> HashList:
    """Return the list of `algorithm` in a store, after saying what is wrong with it."""
    (found,) = open_store(path, options).open(algorithm)
    warn(found.problems)
    return found


@dataclass(frozen=True)
class MatcherOptions:
    """What a command's options say of its matcher: `list_options` and those below them.

    What a command has no option for is as a Matcher has it.
    """

    list_paths: tuple[str, ...]
    algorithm: str
    max_distance: int | dict[str, int] | None
    skip_bad_rows: bool
    disabled: str | None
    shape: ListShape
    trust: Trust
    benign_paths: tuple[str, ...] = ()
    min_sources: int = 1
    breaker_limit: int = 0
    hashing: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def taken(cls, options: dict[str, Any]) -> MatcherOptions:
        """Return those of a command, taken out of `options`."""

        def take(*names: str) -> dict[str, Any]:
            return {name: options.pop(name) for name in names if name in options}

        return cls(
            shape=ListShape.taken(options),
            trust=take(*TRUST),
            hashing=take("variants", "min_quality"),
            **take(*(each.name for each in fields(cls))),
        )

    def open(self, version: int | None = None) -> Callable[..., Matcher]:
        """Open the lists, and return what makes the matcher; more of its options may be given.

        With a `version`, that one of each list, which are in stores then.
        """
        lists = self._lists(self.list_paths, version)
        benign = self._benign()

        def make(**how: Any) -> Matcher:
            from hashmatch.matching.breaker import Breaker
            from hashmatch.matching.matcher import Matcher

            return Matcher(
                *lists,
                benign=benign,
                min_sources=self.min_sources,
                # One scan fills one queue, however long it takes.
                breaker=Breaker(self.breaker_limit, window=None) if self.breaker_limit else None,
                max_distance=self.max_distance,
                reference_key=reference_key(),
                **{**self.hashing, **how},
            )

        return make

    def snapshots(self, **how: Any) -> Snapshots:
        """Return the lists for a service: those in stores are watched, others are read once.

        What a command has no option for is as `Snapshots` has it.
        """
        from hashmatch.matching.matcher import Matcher
        from hashmatch.service.snapshots import Snapshots

        benign, key = self._benign(), reference_key()
        paths = self._paths(self.list_paths)
        stores, files = [], []
        for given in self.list_paths:
            kind, path = paths.kind_and_path(given)
            if is_store(path):
                stores.append((paths.store(path), kind))
            else:
                files.append(given)
        every = replace(paths, paths=tuple(files), disabled=None)
        fixed = every.open(format=self.shape.format, on_problems=warn)
        include_hash, decode = how.pop("include_hash", False), how.pop("decode")

        def make(lists: Sequence[HashList]) -> Matcher:
            return Matcher(
                *lists,
                benign=benign,
                min_sources=self.min_sources,
                max_distance=self.max_distance,
                reference_key=key,
                include_hash=include_hash,
                decode=decode,
                **self.hashing,
            )

        return Snapshots(
            make, fixed=fixed, stores=stores, disabled=self.disabled, reference_key=key, **how
        )

    def _benign(self) -> list[HashList]:
        """Return the benign lists; a file that is empty is one that nothing was added to yet."""
        full: list[str] = []
        empty: list[str] = []
        for given in self.benign_paths:
            path = self._paths(()).kind_and_path(given)[1]
            is_empty = os.path.isfile(path) and os.path.getsize(path) == 0
            (empty if is_empty else full).append(given)
        warn([f"the benign list {path} is empty: it suppresses nothing" for path in empty])
        return self._lists(full)

    def _lists(self, paths: Sequence[str], version: int | None = None) -> list[HashList]:
        """Return the list of `algorithm`, or of the one named before the path, at each path."""
        format = self.shape.format
        return self._paths(paths).open(version, format=format, on_problems=warn)

    def _paths(self, paths: Sequence[str]) -> ListPaths:
        return ListPaths(
            tuple(paths), self.algorithm, self.disabled, self.skip_bad_rows, **self.trust
        )
