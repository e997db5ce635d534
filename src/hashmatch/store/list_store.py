"""ListStore: a list that was received, verified, compiled, and is kept current."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hashmatch.errors import StoreError, UntrustedList
from hashmatch.records.hashes import Opaque
from hashmatch.store import content, freshness, marks, signatures
from hashmatch.store.folder import Folder
from hashmatch.store.stored_list import StoredList
from hashmatch.unseen import unseen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hashmatch.store.changing import Change, Changed
    from hashmatch.store.content import Content
    from hashmatch.store.keys import PrivateKey, PublicKey
    from hashmatch.store.manifest import Manifest
    from hashmatch.store.sealing_keys import SealingKey


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe that a list is what it says.

    Parameters
    ----------
    keys : sequence of PublicKey
        Without any, nobody's signature is asked for: a list is then only as good as its folder.
    needed : int
        How many of them have to have signed.
    grace : timedelta
        How long a list is used after it has expired.
    """

    keys: Sequence[PublicKey] = ()
    needed: int = 1
    grace: timedelta = freshness.GRACE

    def check(self, data: bytes, signed: Sequence[signatures.Signature]) -> tuple[str, ...]:
        """Return the ids of the keys that signed a manifest; UntrustedList if too few did."""
        if not self.keys:
            return ()
        return signatures.verify(data, signed, self.keys, self.needed)


class ListStore(Opaque):
    """The store of one list: a folder of immutable versions, of which the latest whole one serves.

    Parameters
    ----------
    path : str or path
        The folder, see `hashmatch.store.folder`.
    trust : Trust
        Whose signatures are asked for.
    key : SealingKey, optional
        What its files are encrypted with; see `hashmatch.store.sealing_keys`.
    allow_readable : bool
        Whether others may read it: whoever can read a list can look its hashes up.
    now : datetime, optional
        The time, in UTC; for tests.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        trust: Trust | None = None,
        key: SealingKey | None = None,
        allow_readable: bool = False,
        now: datetime | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.folder = Folder(self.path, allow_readable=allow_readable)
        self.trust = trust or Trust()
        self.key = key
        self._now = now

    @property
    def now(self) -> datetime:
        """The time, in whole seconds."""
        return (self._now or datetime.now(UTC)).replace(microsecond=0)

    @unseen
    def open(self, algorithm: str | None = None) -> tuple[StoredList, ...]:
        """Return the lists of the latest version that can be used, one for each kind of hash.

        One that is damaged, or not signed as it should be, is passed over: the last good version
        serves, and `StoredList.problems` says why.

        Parameters
        ----------
        algorithm : str, optional
            Of the one list that is wanted.

        Raises
        ------
        StoreError
            If there is none.
        UntrustedList
            If the latest that is whole was not made by whom we trust, or an older one was put in
            its place, or it expired too long ago.
        """
        opened, problems = self.latest()
        if algorithm is not None and algorithm not in opened.kinds:
            held = ", ".join(opened.kinds) or "nothing that can be matched"
            raise StoreError(f"{self.path}: no {algorithm} hashes in it; it holds {held}")
        return self.lists(opened, problems, opened.kinds if algorithm is None else [algorithm])

    @unseen
    def lists(
        self, opened: Content, problems: list[str], algorithms: Iterable[str]
    ) -> tuple[StoredList, ...]:
        """Return some lists of an open version, ready to be searched."""
        secret = self.folder.secret()
        indexes = {
            algorithm: content.open_index(self.folder, opened, algorithm, problems)
            for algorithm in algorithms
        }
        return tuple(
            StoredList(
                opened.manifest.name,
                str(opened.manifest.version),
                opened.kinds[algorithm],
                index,
                opened.limits.get(algorithm),
                secret,
                tuple(problems),
            )
            for algorithm, index in indexes.items()
        )

    @unseen
    def latest(self) -> tuple[Content, list[str]]:
        """Return what the latest usable version holds, and the problems there were; see `open`."""
        self.folder.check()
        place = marks.place(self.path)
        known = marks.read(place, allow_readable=self.folder.allow_readable)
        problems = [known.damage] if known.damage else []
        refused: list[str] = []
        versions = self.folder.versions()
        if not versions:
            raise StoreError(f"{self.path} has no version of a list; import one")
        for version in versions:
            try:
                found, _key_ids = self._usable(version, known, versions, problems)
            except StoreError as error:
                refused.append(f"version {version} is not used: {error}")
                continue
            problems = [*refused, *problems]
            self._note(place, version, known, problems)
            return found, problems
        raise UntrustedList("; ".join([*refused, *problems]))

    def _note(self, place: str, version: int, known: marks.Marks, problems: list[str]) -> None:
        """Keep that a version is in use; that this cannot be kept is only a problem."""
        ids = tuple(key.key_id for key in self.trust.keys)
        readable = self.folder.allow_readable
        floor = version if known.damage else 0
        try:
            marks.raise_to(place, version, ids, floor=floor, now=self.now, allow_readable=readable)
        except StoreError as error:
            problems.append(
                f"an older version would not be noticed: {error}; name a folder that can be "
                f"written to in {marks.PLACE}"
            )

    def _usable(
        self,
        version: int,
        known: marks.Marks,
        versions: list[int],
        problems: list[str],
    ) -> tuple[Content, tuple[str, ...]]:
        data, manifest = self.folder.manifest(version)
        key_ids = self.trust.check(data, self.folder.signatures(version))
        marks.check(
            known,
            version,
            key_ids,
            floor=version if known.damage else 0,
            behind=versions[0] - version,
        )
        warning = freshness.check_fresh(
            known, manifest.expires, now=self.now, grace=self.trust.grace
        )
        found = content.read(self.folder, manifest, self.key, problems)
        if warning:
            problems.append(warning)
        return found, key_ids

    @unseen
    def import_files(self, paths: Sequence[str], change: Change | None = None) -> Changed:
        """Make a new version of all that some files say; the store is made if it is not there.

        They are pages of one list: in any order, and some of them twice.

        Parameters
        ----------
        paths : sequence of str
        change : Change, optional
            How.

        Raises
        ------
        ListError
            If a file cannot be read, or the list would change so much that somebody has to accept
            it by name. The version before goes on serving.
        """
        from hashmatch.store.changing import Change, import_files

        return import_files(self, paths, change or Change())

    @unseen
    def update_files(self, paths: Sequence[str], change: Change | None = None) -> Changed:
        """Make a new version of the last one and of what some files say has changed since.

        Parameters
        ----------
        paths : sequence of str
            Pages, in any order; what they say of an entry stands if it is later than what was said
            before, and what has no time of its own is said now.
        change : Change, optional
            How.

        Raises
        ------
        ListError
            As for `import_files`.
        """
        from hashmatch.store.changing import Change, update_files

        return update_files(self, paths, change or Change())

    @unseen
    def version(self, version: int) -> Content:
        """Return what a version holds, the latest or not; it is verified, old or expired or not.

        Raises
        ------
        StoreError
            If there is no such version, or it is damaged or not signed as it should be.
        """
        self.folder.check()
        data, manifest = self.folder.manifest(version)
        self.trust.check(data, self.folder.signatures(version))
        return content.read(self.folder, manifest, self.key, [])

    def verify(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each version, the latest first, and what is wrong with it, if anything is.

        Its manifest, its signatures and every byte of its files and their copies are looked at.
        """
        self.folder.check()
        for version in self.folder.versions():
            problems: list[str] = []
            try:
                opened = self.version(version)
                for named in opened.manifest.files:
                    problems += self.folder.wrong(named)
            except StoreError as error:
                problems.append(str(error))
            yield version, problems

    @unseen
    def sign(self, key: PrivateKey) -> Manifest:
        """Add a signature to the latest version, of whom else may sign it; return its manifest.

        Raises
        ------
        StoreError
            If that version is not whole: nobody signs what cannot be read.
        """
        versions = self.folder.versions()
        if not versions:
            raise StoreError(f"{self.path} has no version of a list; import one")
        data, manifest = self.folder.manifest(versions[0])
        content.read(self.folder, manifest, self.key, [])
        others = [
            one for one in self.folder.signatures(versions[0]) if one.key_id != key.public.key_id
        ]
        self.folder.sign(versions[0], [*others, signatures.sign(data, key)])
        return manifest
