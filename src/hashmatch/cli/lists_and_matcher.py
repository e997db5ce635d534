"""The lists, the stores and the matcher that a command's options describe."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.console import printable
from hashmatch.cli.options import ListShape
from hashmatch.cli.units import VERSIONS
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
    from hashmatch.lists.calibrations import SUFFIX

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
        names = [name for name in names if not name.startswith(".") and not name.endswith(SUFFIX)]
        pages = [os.path.join(path, name) for name in names]
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
    suppress_chrome: bool = False
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
            hashing=take("variants", "min_quality", "every", "video_thresholds"),
            **take(*(each.name for each in fields(cls))),
        )

    def plain(self) -> dict[str, Any]:
        """Return them as plain values, for `open_matcher` in another process, in any folder."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in ("list_paths", "benign_paths"):
            pairs = [self._paths(()).kind_and_path(given) for given in found[name]]
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

    def path_of(self, given: str) -> str:
        """Return the path that one of the lists is given with."""
        return self._paths(()).kind_and_path(given)[1]

    def versions(self, lists: Sequence[HashList]) -> list[int | None]:
        """Return the version of each list that is in a store, as it was opened."""
        return [
            int(known.version) if is_store(self._paths(()).kind_and_path(given)[1]) else None
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
                suppress_chrome=self.suppress_chrome,
                # One scan fills one queue, however long it takes.
                breaker=Breaker(self.breaker_limit, window=None) if self.breaker_limit else None,
                max_distance=self.max_distance,
                reference_key=reference_key(),
                **{**self._how_hashed(), **how},
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
                suppress_chrome=self.suppress_chrome,
                max_distance=self.max_distance,
                reference_key=key,
                include_hash=include_hash,
                decode=decode,
                **self._how_hashed(),
            )

        others = {os.path.realpath(store.path) for store, _ in stores}
        followed = None if exchanges is None else self._stores_of(exchanges, others)
        return Snapshots(
            make, fixed=fixed, stores=stores, disabled=self.disabled, reference_key=key,
            exchanges=followed, **how,
        )  # fmt: skip

    def _how_hashed(self) -> dict[str, Any]:
        """Return the matcher's arguments that are in `hashing`."""
        found = dict(self.hashing)
        if given := found.get("video_thresholds"):
            from hashmatch.matching.videos import VideoThresholds

            found["video_thresholds"] = VideoThresholds(**given)
        return found

    def _stores_of(self, folder: str, others: set[str]) -> Callable[[], dict[str, ListStore]]:
        """Return what returns the stores of the exchanges of a folder, but for `others`."""
        from hashmatch.exchanges.config import Exchanges

        exchanges = Exchanges(folder)
        opened: dict[str, ListStore] = {}

        def stores() -> dict[str, ListStore]:
            there = {os.path.realpath(each.store) for each in exchanges.all()} - others
            for path in opened.keys() - there:
                del opened[path]
            for path in there - opened.keys():  # a list that was there is not let go of silently
                if os.path.isdir(os.path.join(path, VERSIONS)):
                    opened[path] = open_store(path, dict(self.trust))
            return dict(opened)

        return stores

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

    def _lists(
        self, paths: Sequence[str], version: int | Sequence[int | None] | None = None
    ) -> list[HashList]:
        """Return the list of `algorithm`, or of the one named before the path, at each path."""
        format = self.shape.format
        return self._paths(paths).open(version, format=format, on_problems=warn)

    def _paths(self, paths: Sequence[str]) -> ListPaths:
        return ListPaths(
            tuple(paths), self.algorithm, self.disabled, self.skip_bad_rows, **self.trust
        )


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
