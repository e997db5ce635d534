"""ListStore: a list that was received, verified, compiled, and is kept current.

Hashes of a version stay on the disk until they are needed.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from hashmatch import registry
from hashmatch._redact import unseen
from hashmatch.errors import IndexFileError, StoreError, UntrustedList
from hashmatch.index.hash_index import HashIndex
from hashmatch.lists.calibrations import kept_calibrations
from hashmatch.lists.hubs import hubs_of_made_up_pictures
from hashmatch.lists.redact_ids import log_loaded
from hashmatch.records.entries import concatenated
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.records.safeguards import Safeguard, waive
from hashmatch.store import contents, reference_key, rollback, signing
from hashmatch.store import manifest as manifests
from hashmatch.store.importer import Change, Importer
from hashmatch.store.layout import Folder
from hashmatch.store.signing import Trust

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashmatch.lists.detect import Source
    from hashmatch.records.entries import Column
    from hashmatch.records.hashes import HashSpec
    from hashmatch.store.contents import AlgorithmContent, Content
    from hashmatch.store.encryption import ListKey
    from hashmatch.store.importer import Changed
    from hashmatch.store.manifest import Manifest
    from hashmatch.store.signing import PrivateKey


NAMED_HUBS = 10
"""Entries that a message names."""


class StoredHashes(Opaque):
    """Hashes of a list in a store; see `hashmatch.records.hash_list.Storage`."""

    def __init__(
        self, spec: HashSpec, words: Column, secret: bytes, digest: bytes | None = None
    ) -> None:
        self._spec, self._words = spec, words
        self.secret, self.digest = secret, digest

    def __getitem__(self, rows: slice) -> HashBatch:
        return HashBatch(self._spec, self._words[rows], owned=True)

    def __len__(self) -> int:
        return len(self._words)


@unseen
def stored_list(
    folder: Folder, content: Content, algorithm: str, secret: bytes, problems: list[str]
) -> HashList:
    """Return one kind of hash of an open version as a list, with an index; of videos without one.

    `secret` is the key of references, see `hashmatch.store.reference_key`; what is wrong with the
    index is added to `problems`.
    """
    kind, manifest = content.kinds[algorithm], content.manifest
    entries = kind.entries
    digest = hashlib.blake2b(manifests.encode(manifest), key=secret).digest()
    hashes = StoredHashes(kind.spec, kind.words, secret, digest)
    name, version, limit = manifest.name, str(manifest.version), content.limits.get(algorithm)
    known = HashList(name, version, kind.spec, hashes, entries, (), limit, videos=kind.videos)
    if known.videos is not None:
        return known  # frames are indexed with those of other lists
    index = _stored_index(folder, kind, problems)
    if index is None:
        return replace(known, index=HashIndex.build(known, registry.hasher(algorithm).max_distance))
    added = None
    if len(kind.segments) > 1:  # of the first, the index is stored
        words = HashBatch(kind.spec, kind.words[kind.segments[0].rows :], owned=True)
        rows = concatenated([segment.entries for segment in kind.segments[1:]])
        added = replace(known, storage=words, entries=rows)
    index = index.with_changes(added, (), f"{name} {version}")
    return replace(known, index=index.without(entries.gone))


def _stored_index(folder: Folder, kind: AlgorithmContent, problems: list[str]) -> HashIndex | None:
    if kind.index is None:
        return None
    try:
        path, file = folder.find(kind.index, problems)
        os.close(file)
        return HashIndex.open(path, check=False)  # all of it was just read, and is as it was
    except (StoreError, IndexFileError) as error:
        problems.append(f"{error}; its index was made anew")
        return None


LOG = logging.getLogger("hashmatch.store")
LOG.addHandler(logging.NullHandler())


class ListStore(Opaque):
    """The store of one list: a folder of immutable versions, of which the latest whole one serves.

    Parameters
    ----------
    path : str or path
        The folder, see `hashmatch.store.layout`.
    trust : Trust
        Whose signatures are asked for.
    key : ListKey, optional
        What its files are encrypted with; see `hashmatch.store.encryption`.
    allow_readable : bool
        Whether others may read it: anyone who can read a list can look its hashes up.
    unsigned : bool
        Whether it is used with no key in `trust` though somebody has signed it, at any time: who
        can write to the folder can take signatures away.
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
        key: ListKey | None = None,
        allow_readable: bool = False,
        unsigned: bool = False,
        now: datetime | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.folder = Folder(self.path, allow_readable=allow_readable)
        self.trust = trust or Trust()
        self.key = key
        self.unsigned = unsigned
        self._now = now

    @property
    def now(self) -> datetime:
        """The time, in whole seconds."""
        return (self._now or datetime.now(UTC)).replace(microsecond=0)

    @unseen
    def open(
        self, algorithm: str | None = None, version: int | None = None
    ) -> tuple[HashList, ...]:
        """Return the lists of the latest version that can be used, one for each kind of hash.

        One that is damaged, or not signed as it should be, is passed over: the last good version
        serves, and `HashList.problems` says why.

        Parameters
        ----------
        algorithm : str, optional
            Of the one list that is wanted.
        version : int, optional
            Another version than the latest, see `version`.

        Raises
        ------
        StoreError
            If there is none.
        UntrustedList
            If the latest that is whole was not made by whom we trust, or an older one was put in
            its place, or it expired too long ago.
        """
        opened, problems = self.latest() if version is None else (self.version(version), [])
        if algorithm is not None and algorithm not in opened.kinds:
            held = ", ".join(opened.kinds) or "nothing that can be matched"
            raise StoreError(
                f"cannot use {self.path}: it holds no {algorithm} hashes but {held}. Say which "
                "(--algorithm)"
            )
        lists = self.lists(opened, problems, algorithm)
        if version is None and problems and opened.manifest.version not in self.folder.versions():
            return self.open(algorithm)  # it was replaced and removed meanwhile
        return lists

    @unseen
    def lists(
        self, content: Content, problems: list[str], algorithm: str | None = None
    ) -> tuple[HashList, ...]:
        """Return the lists of a version that `latest` or `version` opened.

        Parameters
        ----------
        content : Content
            The version.
        problems : list of str
            What was found wrong; what is found now is added.
        algorithm : str, optional
            Of the one list that is wanted.
        """
        secret = reference_key.read(self.folder, self.key, problems)
        lists = [
            stored_list(self.folder, content, each, secret, problems)
            for each in (content.kinds if algorithm is None else [algorithm])
        ]
        for problem in problems:
            LOG.warning("%s", problem)
        for known in lists:
            log_loaded(LOG, known)
        calibrations, unread = kept_calibrations(self.path)
        return tuple(
            replace(known, problems=(*problems, *unread), calibrations=calibrations)
            for known in lists
        )

    def latest_version(self) -> int:
        """Return the number of the latest version that there is, whether it can be used or not.

        Only names of files are looked at, so that it can be asked often. Once it is another, or was
        signed, `open` may have something new; `hashmatch.watch` sees to both.

        Raises
        ------
        StoreError
            If there is no store, or no version in it.
        """
        self.folder.check()
        versions = self.folder.versions()
        if not versions:
            raise StoreError(f"cannot open {self.path}: it has no version of a list. Import one")
        return versions[0]

    @unseen
    def latest(self, *, fresh: bool = True) -> tuple[Content, list[str]]:
        """Return what the latest usable version holds, and the problems there were; see `open`.

        Parameters
        ----------
        fresh : bool
            Whether it is refused if it has expired; not where another is to be made from it.
        """
        self.latest_version()
        known = self.folder.marks()
        versions = self.folder.versions()
        problems = [known.damage] if known.damage else []
        refused: list[tuple[int, StoreError]] = []
        for version in versions:
            try:
                found = self._usable(version, known, len(refused), problems)
                break
            except StoreError as error:
                refused.append((version, error))
        if refused and self.folder.versions()[:1] != versions[:1]:
            return self.latest(fresh=fresh)  # it was replaced, and perhaps removed, meanwhile
        problems = [*_not_used(refused), *problems]
        if len(refused) == len(versions):
            raise type(refused[0][1])("; ".join(problems))
        if fresh:  # an older version would be no better
            warning = signing.check_fresh(
                known, found.manifest.expires, now=self.now, grace=self.trust.grace
            )
            problems += [warning] if warning else []
        self._note(found.manifest, known, problems)
        return found, problems

    def _note(self, manifest: Manifest, known: rollback.Marks, problems: list[str]) -> None:
        """Keep that a version is in use; that this cannot be kept is only a problem."""
        try:
            rollback.advance(
                rollback.place(self.path),
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
        key_ids = self._signers(data, manifest, known)
        floor = version if known.damage else 0
        rollback.check(known, version, key_ids, floor=floor, behind=refused)
        return contents.read(self.folder, manifest, self.key, problems)

    def _signers(self, data: bytes, manifest: Manifest, known: rollback.Marks) -> tuple[str, ...]:
        """Return the ids of the trusted keys that signed a version; UntrustedList if too few did.

        With no key that is trusted, it is refused if there ever was a signature.
        """
        if not self.trust.keys and (
            manifest.key_ids or known.key_ids or self.folder.has_signatures()
        ):
            waive(
                Safeguard.SIGNATURES,
                "use the list store",
                f"somebody has signed {self.path}, and no key is trusted",
                error=UntrustedList,
                allowed=self.unsigned,
            )
        return self.trust.check(data, self.folder.signatures(manifest.version))

    @unseen
    def import_files(self, paths: Sequence[Source], change: Change | None = None) -> Changed:
        """Make a new version of all that some files say; the store is made if it is not there.

        They are pages of one list: in any order, and some of them twice.

        Parameters
        ----------
        paths : sequence of paths or binary file objects
            The files; an object with a ``name`` is called so in messages and in the manifest.
        change : Change, optional
            How.

        Raises
        ------
        ListError
            If a file cannot be read, or the list would change so much that somebody has to accept
            it by name. The version before keeps serving.
        """
        change = change or Change()
        return self._made(self._importer(change).import_files(paths, change))

    @unseen
    def update_files(self, paths: Sequence[Source], change: Change | None = None) -> Changed:
        """Make a new version of the last one and of what some files say has changed since.

        Parameters
        ----------
        paths : sequence of paths or binary file objects
            Pages, in any order; what they say of an entry stands if it is later than what was said
            before, and what has no time of its own is said now.
        change : Change, optional
            How.

        Raises
        ------
        ListError
            As for `import_files`.
        """
        change = change or Change()
        return self._made(self._importer(change).update_files(paths, change))

    @unseen
    def roll_back(self, version: int, change: Change | None = None) -> Changed:
        """Make a new version that holds what an earlier one does; the next update builds on it.

        Numbers of versions never sink, so that nobody takes an old version for the current one. It
        expires as the earlier one did, counted from now, and has its limits.

        Parameters
        ----------
        version : int
            The number of the earlier one, which has to be there still.
        change : Change, optional
            Who signs it, what is accepted, when it expires, and how long old versions are kept.

        Raises
        ------
        StoreError
            If there is no such version, it is damaged, not signed as it should be, or serves now;
            or if the list would change so much that somebody has to accept it by name.
        """
        change = change or Change()
        return self._made(self._importer(change).roll_back(version, change))

    def trusting(self, signer: PrivateKey | None) -> ListStore:
        """Return the store as the signer of its next version opens it.

        They trust themselves, if nobody else, with the last one.

        Parameters
        ----------
        signer : PrivateKey, optional
            Whose key it is; None where it is not signed.
        """
        if self.trust.keys or signer is None or not self.folder.has_signatures():
            return self
        trust = replace(self.trust, keys=(signer.public,))
        readable = self.folder.allow_readable
        return ListStore(self.path, trust=trust, key=self.key, allow_readable=readable)

    def _importer(self, change: Change) -> Importer:
        base = self.trusting(change.signer)
        latest, now = partial(base.latest, fresh=False), self._now or datetime.now(UTC)
        return Importer(self.folder, self.key, self.trust, now, latest, self.version)

    def _made(self, changed: Changed) -> Changed:
        version = changed.manifest.version
        LOG.info("version %d is published", version)
        if any(changed.effects.counts.values()):
            changed = changed._replace(problems=[*changed.problems, *self._hubs(changed.manifest)])
        for problem in changed.problems:
            LOG.warning("%s", problem)
        return changed

    def _hubs(self, made: Manifest) -> list[str]:
        """Return, in words, which entries of a version just made match what they should not.

        A signed version need not be trusted by the process that made it.
        """
        lists = self.lists(contents.read(self.folder, made, self.key, []), [])
        return [
            f"{len(hubs):,} {known.spec.algorithm} entries are near made-up pictures, and will "
            "match many that are harmless: "
            f"{', '.join(hub.entry for hub in hubs[:NAMED_HUBS])}"
            f"{' ...' if len(hubs) > NAMED_HUBS else ''} (hashmatch list hubs names them, and "
            "--out leaves them out)"
            for known, hubs in hubs_of_made_up_pictures(lists)
        ]

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
        versions = self.folder.versions()
        if version not in versions:
            there = ", ".join(map(str, reversed(versions))) or "none"
            raise StoreError(
                f"cannot open version {version} of {self.path}: it has {there}. Give one of those"
            )
        known = self.folder.marks()
        data, manifest = self.folder.manifest(version, known.name)
        self._signers(data, manifest, known)
        return contents.read(self.folder, manifest, self.key, [])

    def versions(self) -> list[Manifest]:
        """Return what each version says of itself, the latest first; no hash is in it.

        Returns
        -------
        list of Manifest
            Of all versions that can be read, whether or not their signatures are trusted.

        Raises
        ------
        StoreError
            If there is no store, or the manifest of a version is damaged.
        """
        self.folder.check()
        return [self.folder.manifest(version)[1] for version in self.folder.versions()]

    def verify(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each version, the latest first, and what is wrong with it, if anything is.

        Its manifest, its signatures and every byte of its files and their copies are looked at;
        with the latest also what all versions need.
        """
        self.folder.check()
        known = self.folder.marks()
        problems = [known.damage] if known.damage else []
        try:
            reference_key.read(self.folder, self.key, problems)
        except StoreError as error:
            problems.append(str(error))
        for version in self.folder.versions():
            try:
                for named in self.version(version).manifest.files:
                    problems += self.folder.wrong(named)
            except StoreError as error:
                problems.append(str(error))
            yield version, problems
            problems = []

    @unseen
    def sign(self, key: PrivateKey) -> Manifest:
        """Add another signer's signature to the latest version; return its manifest.

        Parameters
        ----------
        key : PrivateKey
            Whose signature.

        Raises
        ------
        StoreError
            If that version is not whole: nobody signs what cannot be read.
        """
        self.folder.check()
        with self.folder.locked():
            version = self.latest_version()
            data, manifest = self.folder.manifest(version)
            contents.read(self.folder, manifest, self.key, [])
            others = [
                one for one in self.folder.signatures(version) if one.key_id != key.public.key_id
            ]
            self.folder.sign(version, [*others, signing.sign(data, key)])
            return manifest


def _not_used(refused: Sequence[tuple[int, StoreError]]) -> list[str]:
    """Say which versions are not used and why: once, where several have one reason."""
    by_reason: dict[str, list[int]] = {}
    for version, error in refused:
        by_reason.setdefault(str(error).rstrip("."), []).append(version)
    return [
        f"version {versions[0]} is not used: {reason}"
        if len(versions) == 1
        else f"versions {', '.join(map(str, versions))} are not used: {reason}"
        for reason, versions in by_reason.items()
    ]
