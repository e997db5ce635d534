"""ListStore: a list that was received, verified, compiled, and is kept current.

Every byte of a store looked at, and a signature added to what was found whole.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hashmatch._redact import unseen
from hashmatch.errors import StoreError
from hashmatch.records.hashes import Opaque
from hashmatch.store import contents, reference_key, rollback, signing
from hashmatch.store.layout import Folder
from hashmatch.store.signing import Trust
from hashmatch.store.stored_list import StoredList

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hashmatch.store.contents import Content
    from hashmatch.store.encryption import SealingKey
    from hashmatch.store.importer import Change, Changed
    from hashmatch.store.manifest import Manifest
    from hashmatch.store.signing import PrivateKey


class ListStore(Opaque):
    """The store of one list: a folder of immutable versions, of which the latest whole one serves.

    Parameters
    ----------
    path : str or path
        The folder, see `hashmatch.store.layout`.
    trust : Trust
        Whose signatures are asked for.
    key : SealingKey, optional
        What its files are encrypted with; see `hashmatch.store.encryption`.
    allow_readable : bool
        Whether others may read it: whoever can read a list can look its hashes up.
    now : datetime, optional
        The time, in UTC; for tests.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = ListStore(f"{folder}/demo")
    ...     made = store.import_files(["fixtures/lists/demo-pdq.csv"])
    ...     known, = store.open()
    >>> known, made.manifest.counts["pdq"]
    (<HashList demo, version 1, pdq (256 bits), n=207>, {'entries': 207})
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
        lists = self._lists(opened, problems, opened.kinds if algorithm is None else [algorithm])
        if problems and opened.manifest.version not in self.folder.versions():
            return self.open(algorithm)  # it was replaced and removed meanwhile
        return lists

    @unseen
    def _lists(
        self, opened: Content, problems: list[str], algorithms: Iterable[str]
    ) -> tuple[StoredList, ...]:
        """Return some lists of an open version, ready to be searched."""
        secret = reference_key.read(self.folder, self.key, problems)
        indexes = {
            algorithm: contents.open_index(self.folder, opened, algorithm, problems)
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
    def latest(self, *, fresh: bool = True) -> tuple[Content, list[str]]:
        """Return what the latest usable version holds, and the problems there were; see `open`.

        Parameters
        ----------
        fresh : bool
            Whether it is refused if it has expired; not where another is to be made from it.
        """
        self.folder.check()
        place = rollback.place(self.path)
        known = rollback.read(place, allow_readable=self.folder.allow_readable)
        versions = self.folder.versions()
        if not versions:
            raise StoreError(f"{self.path} has no version of a list; import one")
        problems = [known.damage] if known.damage else []
        refused: list[StoreError] = []
        for version in versions:
            try:
                found = self._usable(version, known, len(refused), problems)
                break
            except StoreError as error:
                refused.append(type(error)(f"version {version} is not used: {error}"))
        if refused and self.folder.versions()[:1] != versions[:1]:
            return self.latest(fresh=fresh)  # it was replaced, and perhaps removed, meanwhile
        problems = [*map(str, refused), *problems]
        if len(refused) == len(versions):
            raise type(refused[0])("; ".join(problems))
        if fresh:  # an older version would be no better
            warning = signing.check_fresh(
                known, found.manifest.expires, now=self.now, grace=self.trust.grace
            )
            problems += [warning] if warning else []
        self._note(place, found.manifest, known, problems)
        return found, problems

    def _note(
        self, place: str, manifest: Manifest, known: rollback.Marks, problems: list[str]
    ) -> None:
        """Keep that a version is in use; that this cannot be kept is only a problem."""
        try:
            rollback.raise_to(
                place,
                manifest.version,
                [key.key_id for key in self.trust.keys],
                floor=manifest.version if known.damage else 0,
                now=self.now,
                name=manifest.name,
                allow_readable=self.folder.allow_readable,
            )
        except StoreError as error:
            problems.append(
                f"an older version would not be noticed: {error}; name a folder that can be "
                f"written to in {rollback.PLACE}"
            )

    def _usable(
        self, version: int, known: rollback.Marks, refused: int, problems: list[str]
    ) -> Content:
        """Return what a version holds, if it is whole and to be trusted.

        It may be older than the last one used by as many as come after it and are `refused`.
        """
        data, manifest = self.folder.manifest(version, known.name)
        key_ids = self.trust.check(data, self.folder.signatures(version))
        floor = version if known.damage else 0
        rollback.check(known, version, key_ids, floor=floor, behind=refused)
        return contents.read(self.folder, manifest, self.key, problems)

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
        from hashmatch.store.importer import Change, import_files

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
        from hashmatch.store.importer import Change, update_files

        return update_files(self, paths, change or Change())

    @unseen
    def version(self, version: int) -> Content:
        """Return what a version holds, the latest or not; it is verified, old or expired or not.

        Parameters
        ----------
        version : int
            Its number.

        Raises
        ------
        StoreError
            If there is no such version, or it is damaged or not signed as it should be.
        """
        self.folder.check()
        known = rollback.read(rollback.place(self.path), allow_readable=self.folder.allow_readable)
        data, manifest = self.folder.manifest(version, known.name)
        self.trust.check(data, self.folder.signatures(version))
        return contents.read(self.folder, manifest, self.key, [])

    def verify(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each version, the latest first, and what is wrong with it, if anything is.

        Its manifest, its signatures and every byte of its files and their copies are looked at;
        with the latest also what all versions need.
        """
        pass  # moved

        return verify(self)

    @unseen
    def sign(self, key: PrivateKey) -> Manifest:
        """Add a signature to the latest version, of whom else may sign it; return its manifest.

        Parameters
        ----------
        key : PrivateKey
            Whose signature.

        Raises
        ------
        StoreError
            If that version is not whole: nobody signs what cannot be read.
        """
        pass  # moved

        return sign(self, key)


def verify(store: ListStore) -> Iterator[tuple[int, list[str]]]:
    """Yield each version and what is wrong with it; see `ListStore.verify`."""
    store.folder.check()
    problems: list[str] = []
    place = rollback.place(store.path)
    known = rollback.read(place, allow_readable=store.folder.allow_readable)
    if known.damage:
        problems.append(known.damage)
    try:
        reference_key.read(store.folder, store.key, problems)
    except StoreError as error:
        problems.append(str(error))
    for version in store.folder.versions():
        try:
            for named in store.version(version).manifest.files:
                problems += store.folder.wrong(named)
        except StoreError as error:
            problems.append(str(error))
        yield version, problems
        problems = []


def sign(store: ListStore, key: PrivateKey) -> Manifest:
    """Add a signature to the latest version; see `ListStore.sign`."""
    store.folder.check()
    with store.folder.locked():
        versions = store.folder.versions()
        if not versions:
            raise StoreError(f"{store.path} has no version of a list; import one")
        data, manifest = store.folder.manifest(versions[0])
        contents.read(store.folder, manifest, store.key, [])
        signed = store.folder.signatures(versions[0])
        others = [one for one in signed if one.key_id != key.public.key_id]
        store.folder.sign(versions[0], [*others, signing.sign(data, key)])
        return manifest
