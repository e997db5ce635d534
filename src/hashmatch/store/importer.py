"""Makes the next version of a list, of files that were received: all of it, or what has changed."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import UNSET, structs

from hashmatch import registry
from hashmatch.errors import IndexFileError, StoreError, UntrustedList, UsageError
from hashmatch.index.hash_index import HashIndex
from hashmatch.lists.bit_order import UNCHANGED
from hashmatch.lists.detect import lost_columns, place_of, read_rows
from hashmatch.lists.ingest import MOMENT, ListFormat, Rows, shown_id
from hashmatch.lists.merge import Withdrawals, counted, joined, settle
from hashmatch.lists.statuses import MEANINGS
from hashmatch.records import VERSION
from hashmatch.records.hash_shapes import hidden, masked
from hashmatch.records.images import clean_name
from hashmatch.records.times import format_duration
from hashmatch.store import contents, reference_key, signing
from hashmatch.store.compaction import VersionBuilder, appended, is_small, live, merged, rewritten
from hashmatch.store.contents import IDS, INDEX, STATE
from hashmatch.store.diff import effects
from hashmatch.store.encryption import KEY
from hashmatch.store.manifest import ROLLED_BACK_TO, ImportedFile, Manifest, StoredFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from msgspec import UnsetType

    from hashmatch.errors import RejectedRow
    from hashmatch.lists.detect import Source
    from hashmatch.records.hashes import HashBatch
    from hashmatch.store.compaction import Built
    from hashmatch.store.contents import Content
    from hashmatch.store.encryption import ListKey
    from hashmatch.store.layout import Folder
    from hashmatch.store.manifest import FetchedFrom
    from hashmatch.store.signing import PrivateKey, Trust

BAD_ROWS, SIZE_CHANGE, DAMAGE = "bad-rows", "size-change", "damage"
SPREADSHEET, KIND, STATUS = "spreadsheet", "kind", "unknown-status"
ACCEPTABLE = BAD_ROWS, SIZE_CHANGE, DAMAGE, SPREADSHEET, KIND, STATUS
"""What a change is refused for unless it is accepted by name."""
MOST_BAD = 0.001
"""Of all rows; more of them are the sign of another format, or of a poisoned list."""
MOST_CHANGE = 0.2
"""Of all entries; more is the sign of a page that is missing, or of a poisoned list."""
FEW_BAD = 5
"""Rows; so few are not refused for being too many, as a small update has few rows."""
ROWS, EFFECTS = "rows", "effects"
"""In the place of an algorithm, in the counts of a manifest: how many rows of each sort its files
have, and what they did to the list."""
MOST_WORDS = 10
"""Unknown statuses that a message names."""
KEPT = timedelta(days=30)
"""How long versions are kept that are not used any more, at least the two last ones for ever."""


@dataclass(frozen=True, slots=True)
class Change:
    """How the next version of a list is to be made.

    Parameters
    ----------
    name : str, optional
        Of the list, in every match; by default what it was called before, or the folder's name.
    format : ListFormat
        How the files are to be read.
    signer : PrivateKey, optional
        Who signs it.
    accept : collection of str
        What it is not refused for: ``bad-rows`` above 0.1 %, a ``size-change`` above 20 %,
        ``damage`` of the version before, hashes that a ``spreadsheet`` has destroyed, or that are
        probably of another ``kind`` than they are taken for, see `hashmatch.lists.kinds`, or an
        ``unknown-status``, whose entries are listed then.
    expires_in : timedelta or "never", optional
        After which it is to have been followed by another; by default as long as the version before
        had, and of a first one never.
    keep : timedelta
        How long old versions are kept.
    pictures : mapping of str to HashBatch, optional
        By algorithm, hashes of default pictures, as
        `hashmatch.lists.degenerate.degenerate_pictures` makes them; entries near them are put into
        quarantine. By default those it had before.
    limits : mapping of str to int, optional
        By algorithm, the list's own limits in bits; by default those it had before.
    on_read, on_step : callable, optional
        Called with how many more bytes were read, and with what is done next.
    fetched : FetchedFrom, optional
        Which exchange the files come from, and up to where; by default an update leaves that as
        it is, and an import says nothing of it.
    skip_unchanged : bool
        Make no version where the files say nothing new: an update that has no effect, or an import
        of the very files that the version before was imported from.

    Raises
    ------
    UsageError
        If something is accepted that nothing is refused for, or a limit is out of its range.

    Examples
    --------
    >>> Change(accept=["size-change"], limits={"pdq": 20}).keep.days
    30
    """

    name: str | None = None
    format: ListFormat = field(default_factory=ListFormat)
    signer: PrivateKey | None = None
    accept: Sequence[str] = ()
    expires_in: timedelta | Literal["never"] | None = None
    keep: timedelta = KEPT
    pictures: Mapping[str, HashBatch] | None = None
    limits: Mapping[str, int] | None = None
    on_read: Callable[[int], object] | None = None
    on_step: Callable[[str], object] | None = None
    fetched: FetchedFrom | None = None
    skip_unchanged: bool = False

    def __post_init__(self) -> None:
        for name in self.accept:
            if name not in ACCEPTABLE:
                raise UsageError(f"cannot accept {name!r}. Give one of {', '.join(ACCEPTABLE)}")
        for algorithm, limit in (self.limits or {}).items():
            bits = registry.spec(algorithm).bits
            if not isinstance(limit, int) or not 0 <= limit <= bits:
                raise UsageError(
                    f"cannot use {limit!r} as a limit of {algorithm}. Give a whole number from "
                    f"0 to {bits}"
                )

    def options(self) -> dict[str, tuple[str, ...]]:
        """Return what was asked for, by the name of its option on the command line.

        What is as by default is left out, and text that may be a hash is hidden.
        """
        asked, default = self.format, ListFormat()
        kept = asked.keep_ids or ()
        told: dict[str, Iterable[object]] = {
            "name": [self.name] if self.name is not None else [],
            "algorithm": [asked.algorithm] if asked.algorithm != default.algorithm else [],
            "list-format": [asked.reader] if asked.reader is not None else [],
            "column": [f"{role}={name}" for role, name in (asked.columns or {}).items()],
            "status": [f"{word}={meaning}" for word, meaning in (asked.statuses or {}).items()],
            "delimiter": [asked.delimiter] if asked.delimiter is not None else [],
            "encoding": [asked.encoding] if asked.encoding is not None else [],
            "bits": asked.orders,
            "unique-ids": ["yes"] if asked.unique_ids else [],
            "keep-ids": (kept,) if isinstance(kept, str) else kept,
            "keep-disputed": ["yes"] if asked.keep_disputed else [],
            "keep-low-quality": ["yes"] if asked.keep_low_quality else [],
            "dates": [asked.dates] if asked.dates is not None else [],
            "charset": [asked.charset] if asked.charset is not None else [],
            "accept": self.accept,
            "expires": [_lasting(self.expires_in)] if self.expires_in is not None else [],
            "limit": [f"{algorithm}={limit}" for algorithm, limit in (self.limits or {}).items()],
            "default-pictures": sorted(self.pictures or {}),
        }
        return {
            name: tuple(masked(clean_name(str(each)))[:LONGEST] for each in values)
            for name, values in told.items()
            if values
        }


def _lasting(time: timedelta | Literal["never"]) -> str:
    return "never" if time == "never" else format_duration(time)


class Effects(NamedTuple):
    """What a change did to the list: how its entries differ from those of the version before.

    Parameters
    ----------
    added, changed, withdrawn, superseded, dropped : int
        Entries; see `hashmatch.store.diff.Difference`.
    older : tuple of (str or None)
        External ids, None where there is none, of rows that were ignored: they are older than what
        stands, or than its withdrawal.
    without_effect : tuple of (str or None)
        The same of withdrawals of what is not there, and, in an update, of rows that say no more
        than what stands.
    """

    added: int
    changed: int = 0
    withdrawn: int = 0
    superseded: int = 0
    dropped: int = 0
    older: tuple[str | None, ...] = ()
    without_effect: tuple[str | None, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each."""
        return {
            "added": self.added,
            "changed": self.changed,
            "withdrawn": self.withdrawn,
            "superseded": self.superseded,
            "dropped": self.dropped,
            "ignored as older": len(self.older),
            "without effect": len(self.without_effect),
        }


class Changed(NamedTuple):
    """What a change has made.

    Parameters
    ----------
    manifest : Manifest
        Of the new version.
    effects : Effects
        What it did to the list.
    rejected : list of (str, RejectedRow)
        Rows that could not be used, with the path of their file.
    problems : list of str
        What was found wrong with the version before, why the new one does not serve yet, and what
        of the rows people ought to look at.
    """

    manifest: Manifest
    effects: Effects
    rejected: list[tuple[str, RejectedRow]]
    problems: list[str]


LONGEST = 1000
"""Characters of a name in a manifest."""


class _Read(NamedTuple):
    format: ListFormat
    rows: Rows
    sources: tuple[ImportedFile, ...]
    rejected: list[tuple[str, RejectedRow]]
    warnings: list[str]


class _Made(NamedTuple):
    """The files of a version, and which rows had no effect: counts, and ids as in `Effects`."""

    built: Built
    counts: dict[str, int]
    older: list[str | None]
    repeated: list[str | None]


@dataclass(frozen=True, slots=True)
class Importer:
    """Makes the next versions of one list, at `now`, in UTC.

    `latest` returns the last version that can be used, expired or not, and the problems there were;
    `version` what any version holds.
    """

    folder: Folder
    key: ListKey | None
    trust: Trust
    now: datetime
    latest: Callable[[], tuple[Content, list[str]]]
    version: Callable[[int], Content]

    def import_files(self, files: Sequence[Source], change: Change) -> Changed:
        """Make a version of all that some files say; see `ListStore.import_files`."""
        self.folder.make()
        with self._alone():
            before, problems = self._before(change)
            reference_key.keep(self.folder, self.key)
            read = self._read(files, change, before)
            if before is not None and _is_same(before.manifest, read, change):
                return _unchanged(before, read, problems)
            builder, rows = self._builder(change, before), read.rows
            said = joined(rows.statements())
            fates = settle(said, rows.withdrawals)
            built = rewritten(builder, said, fates, rows.withdrawals, rows.until, self._next())
            made = _Made(built, counted(fates), [], [])
            return self._publish("import", change, before, read, builder, made, problems)

    def update_files(self, files: Sequence[Source], change: Change) -> Changed:
        """Make a version of the last one and what some files say; see `ListStore.update_files`."""
        self.folder.check()
        with self._alone():
            self._check_encryption()
            before, problems = self.latest()
            if before.manifest.version != self.folder.versions()[0] and DAMAGE not in change.accept:
                raise StoreError(
                    f"cannot update the list: {problems[0]}; it would be made from version "
                    f"{before.manifest.version}. Import the list again, or accept {DAMAGE}"
                )
            told, kept = change.format.keep_ids, before.manifest.keep_ids
            if told is not None and set(told) != set(kept):
                raise StoreError(
                    "cannot update the list: ids that may be hashes were kept otherwise "
                    f"({', '.join(kept) or 'none'}), and are not the same any more. Import all of "
                    "it again"
                )
            reference_key.keep(self.folder, self.key)
            read = self._read(files, change, before)
            builder, rows = self._builder(change, before), read.rows
            found = merged(before, rows)
            withdrawals = before.withdrawals.followed_by(rows.withdrawals)
            if (
                change.skip_unchanged
                and not any(map(len, found.new))
                and not any(map(len, found.gone.values()))
                and withdrawals.says_same(before.withdrawals)
                and _is_made_alike(builder, before)
            ):
                return _unchanged(before, read, problems)
            if (
                is_small(before, found.new, found.gone)
                and _is_made_alike(builder, before)
                and self._can_search(before)
            ):
                for named in before.manifest.files if problems else ():
                    self.folder.mend(named)
                built = appended(builder, before, found.new, found.gone, withdrawals, rows.until)
            else:
                said = [live(kind, found.gone.get(name)) for name, kind in before.kinds.items()]
                said = joined([*said, *found.new])
                built = rewritten(builder, said, None, withdrawals, rows.until, self._next())
            made = _Made(built, found.counts, found.older, found.repeated)
            return self._publish("update", change, before, read, builder, made, problems)

    def roll_back(self, version: int, change: Change) -> Changed:
        """Make a version that holds what an earlier one does; see `ListStore.roll_back`."""
        self.folder.check()
        with self._alone():
            self._check_encryption()
            before, problems = self.latest()
            serves, refusal = before.manifest, f"cannot roll back to version {version}:"
            if version == serves.version:
                raise StoreError(
                    f"{refusal} it is the one that serves. Give the number of an earlier one "
                    "(hashmatch list log shows them)"
                )
            wanted = self.version(version)
            old = wanted.manifest
            if serves.encrypted and not old.encrypted:
                raise StoreError(
                    f"{refusal} it is not encrypted, and version {serves.version} is. Import the "
                    "list again"
                )
            if SIZE_CHANGE not in change.accept:
                _check_size(serves, old.counts, refusal, "diff")
            created, signer = self.now.replace(microsecond=0), change.signer
            manifest = structs.replace(
                old,
                version=self._next(),
                created=created,
                expires=_expires(created, change, old),
                base=serves.version,
                key_ids=(signer.public.key_id,) if signer else (),
                made_by="rollback",
                options=change.options(),
                files=tuple(self._kept(file, version) for file in old.files if file.role != IDS),
            )
            after = contents.read(self.folder, manifest, self.key, [], before)
            done = Effects(**effects(before, after, Withdrawals()), older=(), without_effect=())
            manifest = structs.replace(manifest, counts={**old.counts, EFFECTS: done.counts})
            return Changed(manifest, done, [], [*problems, *self._put(manifest, change)])

    def _can_search(self, before: Content) -> bool:
        """Return whether no index of a version is of an earlier layout.

        One that is would be made anew by everybody who opens the list, until it is written anew.
        """
        for named in (kind.index for kind in before.kinds.values()):
            if named is not None:
                try:
                    HashIndex.open(self.folder.inside("files", named.sha256), check=False)
                except IndexFileError:
                    if not self.folder.wrong(named):  # or else it is mended
                        return False
        return True

    def _kept(self, file: StoredFile, version: int) -> StoredFile:
        """Return a file of an earlier version as it is of a later one too: kept twice."""
        if file.role == INDEX:  # which can be made anew
            return file
        more = {ROLLED_BACK_TO: version} if file.role == STATE else {}
        return self.folder.share(structs.replace(file, facts={**file.facts, **more}))

    def _read(self, files: Sequence[Source], change: Change, before: Content | None) -> _Read:
        """Return what some files say; StoreError if too much of it cannot be used.

        It is said after all that the version before has, whatever became of the clock since.
        """
        now = self.now.timestamp()
        written = before.manifest if before else None
        format = as_before(change.format, written, SPREADSHEET in change.accept)
        secret = reference_key.read(self.folder, self.key, [])
        rows = Rows(format, now if before is None else max(now, before.until + MOMENT), secret)
        sources, rejected, warnings = [], [], []
        for file in files:
            path = place_of(file)
            total, bad, named = rows.total, rows.refused, len(rows.rejected)
            read = read_rows(file, format, rows, change.on_read)
            own = [(path, row) for row in rows.rejected_since(named, bad)]
            if rows.missing is not None and BAD_ROWS not in change.accept:
                raise StoreError(
                    f"cannot import {path}: rows are missing: line {rows.missing.line}: "
                    f"{rows.missing.reason}. Get the file again, or accept {BAD_ROWS}"
                )
            if 0 < rows.total - total == rows.refused - bad:
                why = "".join(f" (line {row.line}: {row.reason})" for _, row in own[:1])
                raise StoreError(
                    f"{path}: cannot be a page of the list: none of its rows can be used{why}. "
                    "Get the page again, or say its format"
                )
            rejected += own
            sources.append(
                ImportedFile(
                    name=hidden(clean_name(os.path.basename(path)), secret)[:LONGEST] or "-",
                    sha256=read.sha256,
                    bytes=read.size,
                    rows=rows.total - total,
                    rejected=rows.refused - bad,
                    columns=read.columns,
                )
            )
            warnings += [f"{path}: {told}" for told in lost_columns(read.columns)]
        most = max(FEW_BAD, MOST_BAD * rows.total)
        if rows.refused > most and BAD_ROWS not in change.accept:
            some = "; ".join(f"{path}, line {row.line}: {row.reason}" for path, row in rejected[:3])
            raise StoreError(
                f"cannot import the list: {rows.refused:,} of {rows.total:,} rows cannot be "
                f"used, more than {MOST_BAD:.1%} ({some}). Repair them, or accept {BAD_ROWS}"
            )
        if STATUS not in change.accept:
            _check_statuses(rows, sources)
        if before is not None:
            warnings += _vanished(before.manifest.sources, sources)
        return _Read(format, rows, tuple(sources), rejected, warnings)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others from changing the store, and leave nothing behind that no version names."""
        with self.folder.locked():
            self.folder.sweep()
            try:
                yield
            finally:
                self.folder.sweep()

    def _before(self, change: Change) -> tuple[Content | None, list[str]]:
        """Return the last version that can be used, if there is one, and the problems."""
        if not self.folder.versions():
            return None, []
        self._check_encryption()
        try:
            return self.latest()
        except StoreError as error:
            if DAMAGE in change.accept:
                return None, [str(error)]
            raise type(error)(
                f"{error}. To make a new list without that version, with no name, limits, "
                f"expiry or size to go by, accept {DAMAGE}"
            ) from None

    def _check_encryption(self) -> None:
        """Refuse to write a list in the clear that was encrypted."""
        if self.key is not None:
            return
        for version in self.folder.versions():
            with suppress(StoreError):  # of one that is damaged nothing is known
                if self.folder.manifest(version)[1].encrypted:
                    break
        else:
            return
        raise StoreError(
            f"cannot change {self.folder.path}: it is encrypted. Give the key of the list in {KEY}"
        )

    def _builder(self, change: Change, before: Content | None) -> VersionBuilder:
        path, named = self.folder.path, self.folder.marks().name
        named = before.manifest.name if before else named
        name = change.name or named or os.path.basename(os.path.abspath(path))
        name = hidden(clean_name(name), reference_key.read(self.folder, self.key, []))
        if named is not None and name != named:
            raise StoreError(
                f"cannot rename the list in {path}: it is called {named!r}, and stays so. Make "
                f"a new store for one called {name!r}"
            )
        limits = change.limits if change.limits is not None else before.limits if before else {}
        pictures = before.pictures if before else {}
        if change.pictures is not None:
            pictures = {name: batch.words.tobytes() for name, batch in change.pictures.items()}
        return VersionBuilder(
            self.folder, name, self.key, pictures, limits, change.on_step,
            keep_low_quality=_keeps_low_quality(change, before),
        )  # fmt: skip

    def _next(self) -> int:
        """Return the number of the version to be made: above all there are, and all that were."""
        return 1 + max([0, *self.folder.versions()[:1], *self.folder.marks().versions.values()])

    def _publish(
        self,
        made_by: Literal["import", "update"],
        change: Change,
        before: Content | None,
        read: _Read,
        builder: VersionBuilder,
        made: _Made,
        problems: list[str],
    ) -> Changed:
        """Write the manifest of a version whose files are there, unless it changes too much."""
        files, counts = made.built
        if before is None and not any(each["entries"] for each in counts.values()):
            kinds = ", ".join(f"{n:,} {kind}" for kind, n in sorted(read.rows.unmatchable.items()))
            why = f" ({kinds}, not matched here)" if kinds else ""
            raise StoreError(
                f"cannot import the list: there is no usable hash in what was given{why}"
            )
        for found in read.rows.suspicions:
            if found.is_sure and KIND not in change.accept:
                raise StoreError(
                    f"cannot take the list: {found}. To take it as it is, give --accept {KIND}"
                )
        if before is not None and SIZE_CHANGE not in change.accept:
            _check_size(before.manifest, counts, "cannot import the list:", "inspect")
        signer, created = change.signer, self.now.replace(microsecond=0)
        manifest = Manifest(
            name=builder.name,
            version=self._next(),
            created=created,
            hashmatch=VERSION,
            expires=_expires(created, change, before.manifest if before else None),
            base=before.manifest.version if before else None,
            key_ids=(signer.public.key_id,) if signer else (),
            encrypted=self.key is not None,
            encoding=read.rows.encoding,
            bits=tuple(each for each in read.rows.told_orders if each != UNCHANGED),
            keep_ids=read.rows.kept,
            statuses=dict(read.format.statuses or {}),
            keep_low_quality=builder.keep_low_quality,
            made_by=made_by,
            options=change.options(),
            counts={**counts, ROWS: {**read.rows.summary(), **made.counts}},
            files=tuple(files),
            sources=read.sources,
            fetched=_fetched(made_by, change, before),
        )
        done = self._effects(before, manifest, read.rows.withdrawals, made)
        if done.older or done.without_effect:
            files.append(builder.ids(done.older, done.without_effect))
        counts = {**manifest.counts, EFFECTS: done.counts}
        manifest = structs.replace(manifest, counts=counts, files=tuple(files))
        problems = [*problems, *self._put(manifest, change), *read.warnings, *read.rows.warnings()]
        return Changed(manifest, done, read.rejected, problems)

    def _put(self, manifest: Manifest, change: Change) -> list[str]:
        """Publish a version whose files are there, and return why it does not serve yet, if so."""
        signer, version = change.signer, manifest.version
        self.folder.publish(
            manifest, lambda data: [signing.sign(data, signer)] if signer is not None else []
        )
        self._remove_old(change, manifest)
        data = self.folder.manifest(version)[0]
        try:
            self.trust.check(data, self.folder.signatures(version))
        except UntrustedList as error:
            return [f"version {version} does not serve yet: {error}"]
        return []

    def _effects(
        self, before: Content | None, manifest: Manifest, withdrawals: Withdrawals, made: _Made
    ) -> Effects:
        """Return what a version makes of the one before."""
        if before is None:
            counts = {"added": sum(each["entries"] for each in made.built[1].values())}
        else:
            after = contents.read(self.folder, manifest, self.key, [], before)
            counts = effects(before, after, withdrawals)
        idle = [shown_id(name) for name in withdrawals.without_effect] + made.repeated
        return Effects(**counts, older=tuple(made.older), without_effect=tuple(idle))

    def _remove_old(self, change: Change, latest: Manifest) -> None:
        """Remove versions that another took the place of long ago, but for the two last."""
        oldest = self.now - change.keep
        replaced = list(pairwise(self.folder.versions()[1:]))
        old = [version for later, version in replaced if self.folder.created(later) <= oldest]
        for version in old:
            if version != latest.base:
                self.folder.remove(version)


def as_before(format: ListFormat, written: Manifest | None, accept_spreadsheet: bool) -> ListFormat:
    """Return how files are read: hashes as in the version before, unless options say how."""
    format = replace(format, accept_spreadsheet=accept_spreadsheet)
    if written is None:
        return format
    bits = written.bits if format.bits is None else format.bits
    kept = written.keep_ids if format.keep_ids is None else format.keep_ids
    encoding = format.encoding or written.encoding
    statuses = {**written.statuses, **(format.statuses or {})}
    return replace(format, encoding=encoding, bits=bits, keep_ids=kept, statuses=statuses)


def _is_same(before: Manifest, read: _Read, change: Change) -> bool:
    """Return whether no version is due: the one before is of the very same files, read alike."""

    def digests(files: Sequence[ImportedFile]) -> list[str]:
        return [file.sha256 for file in files]

    is_import = before.made_by == "import" and before.options == change.options()
    is_same = is_import and digests(before.sources) == digests(read.sources)
    return is_same and change.skip_unchanged


def _unchanged(before: Content, read: _Read, problems: list[str]) -> Changed:
    """Return what a change comes to that makes no version."""
    warnings = [*problems, *read.warnings, *read.rows.warnings()]
    return Changed(before.manifest, Effects(0), read.rejected, warnings)


def _fetched(made_by: str, change: Change, before: Content | None) -> FetchedFrom | UnsetType:
    """Return up to where the exchange of a list was fetched, as its next version has it."""
    if change.fetched is not None:
        return change.fetched
    return before.manifest.fetched if before is not None and made_by == "update" else UNSET


def _check_statuses(rows: Rows, sources: Sequence[ImportedFile]) -> None:
    """Raise StoreError if entries have a status that may mean that they are withdrawn."""
    if not rows.statuses:
        return
    columns = [each for file in sources for each in file.columns]
    named = (each for each in columns if each.role in {"status", "state"})
    column = next(
        (f" of column {each.number} {each.name}".replace(" None", "") for each in named), ""
    )
    words = [f"'{word}' ({count:,} rows)" for word, count in rows.statuses.most_common(MOST_WORDS)]
    more = len(rows.statuses) - len(words)
    words += [f"{more:,} more"] if more else []
    raise StoreError(
        f"cannot import the list: it is not known which status{column} means "
        f"that an entry is withdrawn: {', '.join(words)}. Say what each means "
        f"(--status WORD={'|'.join(MEANINGS)}), or list them all (--accept {STATUS})"
    )


def _vanished(before: Sequence[ImportedFile], now: Sequence[ImportedFile]) -> list[str]:
    """Return a warning for each role that a column of the last delivery had, and none has now."""

    def of(files: Sequence[ImportedFile]) -> dict[str, str]:
        columns = [each for file in files for each in file.columns if each.number is not None]
        return {each.role: f"{each.number} {each.name}".rstrip() for each in columns if each.role}

    was, there = of(before), of(now)
    return [
        f"there is no {role} in what was given; the last delivery had it in column {named}"
        for role, named in was.items()
        if there and role not in there
    ]


def _expires(created: datetime, change: Change, before: Manifest | None) -> datetime | None:
    """Return when a version expires: as given, or after as long as the one before."""
    lasts = change.expires_in
    if lasts is None and before is not None and before.expires is not None:
        lasts = before.expires - before.created
    if lasts is None or lasts == "never":
        return None
    return (created + lasts).replace(microsecond=0)


def _keeps_low_quality(change: Change, before: Content | None) -> bool:
    """Return whether entries of too low a quality are matched: as asked, else as before."""
    asked = change.format.keep_low_quality
    if asked is None:
        return before is not None and before.manifest.keep_low_quality is True
    return asked


def _is_made_alike(builder: VersionBuilder, before: Content) -> bool:
    """Return whether files of the version before may be those of the next."""
    return (
        builder.limits == before.limits
        and builder.pictures == before.pictures
        and builder.keep_low_quality == before.manifest.keep_low_quality
        and (builder.key is not None) == before.manifest.encrypted
    )


def _check_size(
    before: Manifest, counts: Mapping[str, Mapping[str, int]], refusal: str, shows: str
) -> None:
    """Raise StoreError, which begins with `refusal`, if a list changes too much.

    `shows` is the command of ``hashmatch list`` that shows how.
    """
    for algorithm in sorted({*before.counts, *counts} - {ROWS, EFFECTS}):
        was = before.counts.get(algorithm, {}).get("entries", 0)
        now = counts.get(algorithm, {}).get("entries", 0)
        if was and abs(now - was) > MOST_CHANGE * was:
            raise StoreError(
                f"{refusal} it would go from {was:,} to {now:,} {algorithm} entries, by more "
                f"than {MOST_CHANGE:.0%}. Look at what changed (hashmatch list {shows}), then "
                f"give --accept {SIZE_CHANGE}; version {before.version} stays in use"
            )
