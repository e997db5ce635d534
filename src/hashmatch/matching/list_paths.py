"""Lists by their paths, files and stores alike, as the command line and batch jobs name them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from hashmatch.lists.exclusions import Disabled
    from hashmatch.lists.ingest import ListFormat
    from hashmatch.records.hash_list import HashList
    from hashmatch.store.list_store import ListStore

REFERENCE_KEY = "HASHMATCH_REFERENCE_KEY"
TRUSTED = "HASHMATCH_TRUSTED_KEYS"
"""The environment variable that names files of public keys, separated by colons."""


@dataclass(frozen=True)
class ListPaths:
    """Where lists lie and how they are opened: holds paths, and no hash.

    Parameters
    ----------
    paths : tuple of str
        List files and folders of stores; ``md5=PATH`` for another kind of hash than `algorithm`.
    algorithm : str
        Which hashes of each are used, unless its path says it.
    disabled : str, optional
        A file of entries that are left out, see `hashmatch.read_disabled`.
    skip_bad_rows : bool
        Leave out rows of list files that cannot be used.
    trusted : tuple of str
        Files of the public keys that have to have signed stores; by default those that
        ``HASHMATCH_TRUSTED_KEYS`` names.
    needed : int
        How many of them have to have signed.
    grace : timedelta, optional
        How long a list is used after it has expired.
    list_key : str, optional
        The file of the key of encrypted stores; by default ``HASHMATCH_LIST_KEY`` holds it.
    """

    paths: tuple[str, ...]
    algorithm: str = "pdq"
    disabled: str | None = None
    skip_bad_rows: bool = False
    trusted: tuple[str, ...] = ()
    needed: int = 1
    grace: timedelta | None = None
    list_key: str | None = None

    def open(
        self,
        version: int | Sequence[int | None] | None = None,
        *,
        format: Callable[[str], ListFormat] | None = None,
        on_problems: Callable[[tuple[str, ...]], object] | None = None,
    ) -> list[HashList]:
        """Return the lists without what is disabled, in the order of their paths.

        Parameters
        ----------
        version : int or sequence, optional
            That version of each, which are in stores then; or of several, that of each, the latest
            where it is None.
        format : callable, optional
            Given an algorithm, returns how list files are to be read; detected by default.
        on_problems : callable, optional
            Given what was found wrong in a list and did not keep it from being used.

        Raises
        ------
        ListError
            If a list cannot be used.
        UsageError
            If one is given twice, or no list store where a version is asked for.
        """
        from hashmatch.lists.exclusions import leave_out

        key, out = reference_key(), self.left_out()
        lists: list[HashList] = []
        versions = version if isinstance(version, Sequence) else [version] * len(self.paths)
        for given, wanted in zip(self.paths, versions, strict=True):
            kind, path = self.kind_and_path(given)
            found = self._open(kind, path, wanted, format)
            if on_problems is not None:
                on_problems(found.problems)
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

    def changed(self, since: int) -> list[HashList]:
        """Return of each list the entries that are new or changed since a version of it.

        Parameters
        ----------
        since : int
            A version of each list, which are in stores.
        """
        from hashmatch.lists.exclusions import leave_out
        from hashmatch.store.diff import new_or_changed

        key, out = reference_key(), self.left_out()
        lists = []
        for given in self.paths:
            kind, path = self.kind_and_path(given)
            store = self._stored(path, since)
            after, _ = store.latest()
            if kind not in after.kinds:
                store.open(kind)  # says what it holds
            found = new_or_changed(store.version(since), after, kind)
            lists.append(leave_out(found, out, key))
        return lists

    def left_out(self) -> tuple[Disabled, ...]:
        """Return the entries that are disabled, of any list."""
        from hashmatch.lists.exclusions import read_disabled

        return () if self.disabled is None else read_disabled(self.disabled)

    def kind_and_path(self, given: str) -> tuple[str, str]:
        """Return the algorithm and the path that one of `paths` says.

        Parameters
        ----------
        given : str
            A path, or ``NAME=PATH``.
        """
        from hashmatch import registry

        name, separator, rest = given.partition("=")
        known = registry.names(registry.HASHERS)
        if separator and name in known:
            return name, rest
        if separator and os.sep not in name and not os.path.exists(given):
            near = get_close_matches(name, list(known), n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(
                f"cannot read {given}: there is no such file, and no algorithm is called {name!r}."
                f"{meant} Give NAME=PATH with one of {', '.join(known)}."
            )
        return self.algorithm, given

    def store(self, path: str) -> ListStore:
        """Return the list store at a path, with whom and what it is trusted by.

        Parameters
        ----------
        path : str
            Its folder.
        """
        from hashmatch.store.encryption import list_key
        from hashmatch.store.list_store import ListStore
        from hashmatch.store.signing import GRACE, Trust, load_public

        files = self.trusted or tuple(
            name for name in os.environ.get(TRUSTED, "").split(os.pathsep) if name
        )
        keys = [load_public(name) for name in files]
        trust = Trust(keys, self.needed, GRACE if self.grace is None else self.grace)
        return ListStore(path, trust=trust, key=list_key(self.list_key))

    def stamps(self) -> tuple[tuple[int, ...], ...]:
        """Return what changes when a file does, or a store has another version."""
        from hashmatch._files.private import stamp

        found = []
        for given in self.paths:
            path = self.kind_and_path(given)[1]
            found.append((self.store(path).latest_version(),) if is_store(path) else stamp(path))
        return (*found, () if self.disabled is None else stamp(self.disabled))

    def _open(
        self,
        kind: str,
        path: str,
        version: int | None,
        format: Callable[[str], ListFormat] | None,
    ) -> HashList:
        from hashmatch.lists.read import read_list

        if version is not None:
            return self._earlier(kind, path, version)
        if is_store(path):
            return self.store(path).open(kind)[0]
        how = None if format is None else format(kind)
        return read_list(path, kind, format=how, skip_bad_rows=self.skip_bad_rows)

    def _earlier(self, kind: str, path: str, version: int) -> HashList:
        """Return a version of a list; an empty one if it had no hashes of that kind then."""
        from hashmatch import registry
        from hashmatch.records.hash_list import HashList
        from hashmatch.records.hashes import HashBatch

        store = self._stored(path, version)
        content = store.version(version)
        if kind in content.kinds:
            return store.open(kind, version)[0]
        spec = registry.spec(kind)
        name = content.manifest.name
        return HashList(name, str(version), spec, HashBatch.from_hex(spec, []), ())

    def _stored(self, path: str, version: int) -> ListStore:
        if not is_store(path):
            raise UsageError(
                f"cannot use version {version} of {path}: it is not a list store. "
                "Import it with hashmatch list import."
            )
        return self.store(path)


def is_store(path: str) -> bool:
    """Return whether a path is a folder: a list file is none."""
    return os.path.isdir(path)


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
