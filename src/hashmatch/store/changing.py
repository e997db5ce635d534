"""Makes the next version of a list, of files that were received: all of it, or what has changed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import hashmatch
from hashmatch.errors import StoreError, UsageError
from hashmatch.pages import Shape, read_page
from hashmatch.records.items import clean_name
from hashmatch.statements import joined, later
from hashmatch.store import marks, signatures
from hashmatch.store.making import Making
from hashmatch.store.manifest import ImportedFile, Manifest
from hashmatch.store.merging import is_small, live, merged, whole, with_segments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hashmatch.entries import Rows
    from hashmatch.records.hashes import HashBatch
    from hashmatch.records.lists import RejectedRow
    from hashmatch.store.content import Content
    from hashmatch.store.keys import PrivateKey
    from hashmatch.store.list_store import ListStore
    from hashmatch.store.merging import Made

BAD_ROWS, SIZE_CHANGE, DAMAGE = "bad-rows", "size-change", "damage"
ACCEPTABLE = BAD_ROWS, SIZE_CHANGE, DAMAGE
"""What a change is refused for unless it is accepted by name."""
MOST_BAD = 0.001
"""Of all rows; more of them are the sign of another format, or of a poisoned list."""
MOST_CHANGE = 0.2
"""Of all entries; more is the sign of a page that is missing, or of a poisoned list."""
ROWS = "rows"
"""In the place of an algorithm, in the counts of a manifest: what rows of the files came to."""
KEPT = timedelta(days=30)
"""How long versions are kept that are not used any more, at least the two last ones for ever."""


@dataclass(frozen=True, slots=True)
class Change:
    """How the next version of a list is to be made.

    Parameters
    ----------
    name : str, optional
        Of the list, in every match; by default what it was called before, or the folder's name.
    shape : Shape
        How the files are to be read.
    signer : PrivateKey, optional
        Who signs it.
    accept : collection of str
        What it is not refused for, of `ACCEPTABLE`.
    expires_in : timedelta, optional
        After which it is to have been followed by another; by default never.
    keep : timedelta
        How long old versions are kept.
    pictures : mapping of str to HashBatch, optional
        By algorithm, hashes of default pictures; entries near them are put into quarantine.
    limits : mapping of str to int, optional
        By algorithm, the list's own limits in bits; by default those it had before.
    on_read, on_step : callable, optional
        Told how many more bytes were read, and what is done next.
    """

    name: str | None = None
    shape: Shape = field(default_factory=Shape)
    signer: PrivateKey | None = None
    accept: Sequence[str] = ()
    expires_in: timedelta | None = None
    keep: timedelta = KEPT
    pictures: Mapping[str, HashBatch] = field(default_factory=dict)
    limits: Mapping[str, int] | None = None
    on_read: Callable[[int], object] | None = None
    on_step: Callable[[str], object] | None = None

    def __post_init__(self) -> None:
        for name in self.accept:
            if name not in ACCEPTABLE:
                raise UsageError(
                    f"nothing is accepted as {name!r}; it is one of {', '.join(ACCEPTABLE)}"
                )


class Changed(NamedTuple):
    """What a change has made.

    Parameters
    ----------
    manifest : Manifest
        Of the new version.
    rejected : list of (str, RejectedRow)
        Rows that could not be used, with the path of their file.
    problems : list of str
        What was found wrong with the version before.
    """

    manifest: Manifest
    rejected: list[tuple[str, RejectedRow]]
    problems: list[str]


class _Read(NamedTuple):
    rows: Rows
    sources: tuple[ImportedFile, ...]
    rejected: list[tuple[str, RejectedRow]]


def read_files(store: ListStore, paths: Sequence[str], change: Change) -> _Read:
    """Return what some files say; StoreError if too much of it cannot be used."""
    rows = change.shape.rows(store.now.timestamp())
    sources, rejected = [], []
    for path in paths:
        before, bad = rows.total, len(rows.rejected)
        page = read_page(path, change.shape, rows, change.on_read)
        rejected += [(path, row) for row in rows.rejected[bad:]]
        sources.append(
            ImportedFile(
                name=clean_name(os.path.basename(path)) or "-",
                sha256=page.sha256,
                bytes=page.size,
                rows=rows.total - before,
                rejected=len(rows.rejected) - bad,
            )
        )
    if len(rejected) > MOST_BAD * rows.total and BAD_ROWS not in change.accept:
        first = "; ".join(f"{path}, line {row.line}: {row.reason}" for path, row in rejected[:3])
        raise StoreError(
            f"{len(rejected):,} of {rows.total:,} rows cannot be used, more than {MOST_BAD:.1%} "
            f"({first}); mend them, or accept {BAD_ROWS}"
        )
    return _Read(rows, tuple(sources), rejected)


def import_files(store: ListStore, paths: Sequence[str], change: Change) -> Changed:
    """Make a version of all that some files say, and nothing else; see `ListStore.import_files`."""
    store.folder.make()
    with store.folder.locked():
        before, problems = _before(store)
        read = read_files(store, paths, change)
        making = _making(store, change, before)
        said = joined(read.rows.statements())
        made = whole(making, said, read.rows.withdrawn, _next(store))
        return _publish(store, change, before, read, making.name, made, problems)


def update_files(store: ListStore, paths: Sequence[str], change: Change) -> Changed:
    """Make a version of the last one and what some files say; see `ListStore.update_files`."""
    with store.folder.locked():
        before, problems = store.latest()
        if before.manifest.version != store.folder.versions()[0] and DAMAGE not in change.accept:
            raise StoreError(
                f"{problems[0]}; an update would go on from version {before.manifest.version}: "
                f"import the list again, or accept {DAMAGE}"
            )
        read = read_files(store, paths, change)
        making = _making(store, change, before)
        withdrawn = later(before.withdrawn, read.rows.withdrawn)
        new, gone = merged(before, read.rows, withdrawn)
        if is_small(before, new, gone) and making.limits == before.limits:
            made = with_segments(making, before, new, gone, withdrawn)
        else:
            said = [live(kind, gone.get(name)) for name, kind in before.kinds.items()]
            made = whole(making, joined([*said, *new]), withdrawn, _next(store))
        return _publish(store, change, before, read, making.name, made, problems)


def _before(store: ListStore) -> tuple[Content | None, list[str]]:
    """Return the last version that can be used, if there is one, and the problems there were."""
    try:
        return store.latest() if store.folder.versions() else (None, [])
    except StoreError as error:
        return None, [str(error)]


def _making(store: ListStore, change: Change, before: Content | None) -> Making:
    name = change.name or (before.manifest.name if before else None)
    name = clean_name(name or os.path.basename(os.path.abspath(store.path)))
    limits = change.limits if change.limits is not None else before.limits if before else {}
    return Making(store.folder, name, store.key, change.pictures, limits, change.on_step)


def _next(store: ListStore) -> int:
    """Return the number of the version to be made: above all there are, and all that were."""
    known = marks.read(marks.place(store.path), allow_readable=store.folder.allow_readable)
    return 1 + max([0, *store.folder.versions()[:1], *known.versions.values()])


def _publish(
    store: ListStore,
    change: Change,
    before: Content | None,
    read: _Read,
    name: str,
    made: Made,
    problems: list[str],
) -> Changed:
    """Write the manifest of a version whose files are there, unless it changes too much."""
    files, counts = made
    if not counts and before is None:
        raise StoreError("there is no usable hash in what was given, and so no list")
    if before is not None and SIZE_CHANGE not in change.accept:
        _check_size(before.manifest, counts)
    expires = None if change.expires_in is None else store.now + change.expires_in
    manifest = Manifest(
        name=name,
        version=_next(store),
        created=store.now,
        hashmatch=hashmatch.__version__,
        expires=expires,
        base=before.manifest.version if before else None,
        key_ids=(change.signer.public.key_id,) if change.signer else (),
        sealed=store.key is not None,
        counts={**counts, ROWS: read.rows.summary()},
        files=tuple(files),
        sources=read.sources,
    )
    signer = change.signer
    store.folder.publish(
        manifest, lambda data: [signatures.sign(data, signer)] if signer is not None else []
    )
    oldest = store.now - change.keep
    kept = store.folder.versions()
    store.folder.prune([v for v in kept[2:] if store.folder.manifest(v)[1].created < oldest])
    return Changed(manifest, read.rejected, problems)


def _check_size(before: Manifest, counts: Mapping[str, Mapping[str, int]]) -> None:
    for algorithm in sorted({*before.counts, *counts} - {ROWS}):
        was = before.counts.get(algorithm, {}).get("entries", 0)
        now = counts.get(algorithm, {}).get("entries", 0)
        if was and abs(now - was) > MOST_CHANGE * was:
            raise StoreError(
                f"the list would go from {was:,} to {now:,} {algorithm} entries, by more than "
                f"{MOST_CHANGE:.0%}: look at what changed (hashmatch list inspect), then accept "
                f"{SIZE_CHANGE}; version {before.version} goes on serving"
            )
