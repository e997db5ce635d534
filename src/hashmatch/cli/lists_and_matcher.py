"""The lists, the stores and the matcher that a command's options describe."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass, field, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.command import did_you_mean
from hashmatch.cli.console import printable
from hashmatch.cli.options import ListShape
from hashmatch.cli.units import TRUSTED
from hashmatch.errors import ListError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.hash_list import HashList
    from hashmatch.service.snapshots import Snapshots
    from hashmatch.store.list_store import ListStore

    Trust = dict[str, Any]

REFERENCE_KEY = "HASHMATCH_REFERENCE_KEY"


def open_store(path: str, options: dict[str, Any]) -> ListStore:
    """Return the store at `path`, with what `trust_options` gave; takes them out of `options`."""
    from hashmatch.store.encryption import list_key
    from hashmatch.store.list_store import ListStore
    from hashmatch.store.signing import Trust, load_public

    files = options.pop("trusted") or tuple(
        name for name in os.environ.get(TRUSTED, "").split(os.pathsep) if name
    )
    keys = [load_public(name) for name in files]
    trust = Trust(keys, options.pop("needed"), options.pop("grace"))
    key = list_key(options.pop("list_key"))
    return ListStore(path, trust=trust, key=key)


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
            trust=take("trusted", "needed", "grace", "list_key"),
            hashing=take("variants", "min_quality"),
            **take(*(each.name for each in fields(cls))),
        )

    def plain(self) -> dict[str, Any]:
        """Return them as plain values, for `open_matcher` in another process, in any folder."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in ("list_paths", "benign_paths"):
            pairs = [self._kind_and_path(given) for given in found[name]]
            found[name] = [f"{kind}={os.path.abspath(path)}" for kind, path in pairs]
        if self.disabled is not None:
            found["disabled"] = os.path.abspath(self.disabled)
        trust = dict(self.trust)
        trust["trusted"] = [os.path.abspath(path) for path in trust.get("trusted", ())]
        if trust.get("list_key"):
            trust["list_key"] = os.path.abspath(trust["list_key"])
        if trust.get("grace") is not None:
            trust["grace"] = trust["grace"].total_seconds()
        return found | {"shape": asdict(self.shape), "trust": trust}

    def versions(self, lists: Sequence[HashList]) -> list[int | None]:
        """Return the version of each list that is in a store, as it was opened."""
        return [
            int(known.version) if is_store(self._kind_and_path(given)[1]) else None
            for given, known in zip(self.list_paths, lists, strict=True)
        ]

    def open(self, version: int | Sequence[int | None] | None = None) -> Callable[..., Matcher]:
        """Open the lists, and return what makes the matcher; more of its options may be given.

        With a `version`, that one of each list, which are in stores then; or of several, that of
        each list, the latest where it is None.
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

    def snapshots(self, exchanges: str | None = None, **how: Any) -> Snapshots:
        """Return the lists for a service: those in stores are watched, others are read once.

        Lists of the folder of `exchanges` are served as long as these are there. What a command has
        no option for is as `Snapshots` has it.
        """
        from hashmatch.matching.matcher import Matcher
        from hashmatch.service.snapshots import Snapshots

        benign, key = self._benign(), reference_key()
        stores, fixed = [], []
        for given in self.list_paths:
            kind, path = self._kind_and_path(given)
            if is_store(path):
                stores.append((open_store(path, dict(self.trust)), kind))
            else:
                fixed.append(self._list(kind, path, None))
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

        others = {os.path.realpath(store.path) for store, _ in stores}
        followed = None if exchanges is None else self._stores_of(exchanges, others)
        return Snapshots(
            make, fixed=fixed, stores=stores, disabled=self.disabled, reference_key=key,
            exchanges=followed, **how,
        )  # fmt: skip

    def _stores_of(self, folder: str, others: set[str]) -> Callable[[], dict[str, ListStore]]:
        """Return what returns the stores of the exchanges of a folder, but for `others`."""
        from hashmatch.exchanges.config import Exchanges

        exchanges = Exchanges(folder)
        opened: dict[str, ListStore] = {}

        def stores() -> dict[str, ListStore]:
            there = {os.path.realpath(each.store) for each in exchanges.all()} - others
            for path in there - opened.keys():
                opened[path] = open_store(path, dict(self.trust))
            return {path: opened[path] for path in there}

        return stores

    def _benign(self) -> list[HashList]:
        """Return the benign lists; a file that is empty is one that nothing was added to yet."""
        full: list[str] = []
        empty: list[str] = []
        for given in self.benign_paths:
            path = self._kind_and_path(given)[1]
            is_empty = os.path.isfile(path) and os.path.getsize(path) == 0
            (empty if is_empty else full).append(given)
        warn([f"the benign list {path} is empty: it suppresses nothing" for path in empty])
        return self._lists(full)

    def _lists(
        self, paths: Sequence[str], version: int | Sequence[int | None] | None = None
    ) -> list[HashList]:
        """Return the list of `algorithm`, or of the one named before the path, at each path."""
        from hashmatch.lists.exclusions import leave_out, read_disabled

        key = reference_key()
        out = () if self.disabled is None else read_disabled(self.disabled)
        lists: list[HashList] = []
        versions = version if isinstance(version, Sequence) else [version] * len(paths)
        for given, wanted in zip(paths, versions, strict=True):
            kind, path = self._kind_and_path(given)
            found = self._list(kind, path, wanted)
            for other in lists:  # every match would be counted twice
                if (found.name, found.version, found.spec) == (
                    other.name, other.version, other.spec,
                ):  # fmt: skip
                    raise UsageError(
                        f"cannot match {path}: its {kind} hashes are given twice. "
                        "Leave out one --list."
                    )
            lists.append(leave_out(found, out, key))
        return lists

    def _kind_and_path(self, given: str) -> tuple[str, str]:
        from hashmatch import registry

        name, separator, rest = given.partition("=")
        known = registry.names(registry.HASHERS)
        if separator and name in known:
            return name, rest
        if separator and os.sep not in name and not os.path.exists(given):
            raise UsageError(
                f"cannot read {given}: there is no such file, and no algorithm is called {name!r}."
                f"{did_you_mean(name, known)} Give NAME=PATH with one of {', '.join(known)}."
            )
        return self.algorithm, given

    def _list(self, kind: str, path: str, version: int | None) -> HashList:
        from hashmatch.lists.read import read_list

        if version is not None:
            return self._earlier(kind, path, version)
        if is_store(path):
            return one_list(path, kind, dict(self.trust))
        how = self.shape.format(kind)
        found = read_list(path, kind, format=how, skip_bad_rows=self.skip_bad_rows)
        warn(found.problems)
        return found

    def _earlier(self, kind: str, path: str, version: int) -> HashList:
        """Return a version of a list; an empty one if it had no hashes of that kind then."""
        from hashmatch import registry
        from hashmatch.records.hash_list import HashList
        from hashmatch.records.hashes import HashBatch

        if not is_store(path):
            raise UsageError(
                f"cannot use version {version} of {path}: it is not a list store. "
                "Import it with hashmatch list import."
            )
        store = open_store(path, dict(self.trust))
        content = store.version(version)
        if kind in content.kinds:
            return store.open(kind, version)[0]
        spec = registry.spec(kind)
        name = content.manifest.name
        return HashList(name, str(version), spec, HashBatch.from_hex(spec, []), ())


def open_matcher(rules: dict[str, Any], versions: list[int | None], include_hash: bool) -> Matcher:
    """Return the matcher that `MatcherOptions.plain` describes, of those versions of its lists."""
    shape, trust = dict(rules["shape"]), dict(rules["trust"])
    for name, value in shape.items():  # what was plain lists on the way
        if isinstance(value, list):
            shape[name] = tuple(tuple(one) if isinstance(one, list) else one for one in value)
    if trust.get("grace") is not None:
        trust["grace"] = timedelta(seconds=trust["grace"])
    known = rules | {"shape": ListShape(**shape), "trust": trust}
    with redirect_stderr(io.StringIO()):  # whoever describes it has said what is wrong
        return MatcherOptions(**known).open(versions)(include_hash=include_hash)


def reference_key() -> bytes | None:
    """Return the deployment's reference key, if the environment has one."""
    from hashmatch.matching.lookup import LONGEST_KEY, SHORTEST_KEY

    key = os.environb.get(REFERENCE_KEY.encode(), b"")
    if key and not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise UsageError(
            f"cannot use {REFERENCE_KEY}: it has {len(key)} bytes. "
            f"Give {SHORTEST_KEY} to {LONGEST_KEY}."
        )
    return key or None
