"""Rescan: hashes that were kept, against what an update added to a list. No image is read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch.errors import StoreError
from hashmatch.records.review import ReviewRecord
from hashmatch.scan import hash_archive
from hashmatch.store import reference_key
from hashmatch.store.diff import added

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.hash_list import HashList
    from hashmatch.store.list_store import ListStore


def rescan_kept(
    folder: str | os.PathLike[str],
    store: ListStore,
    make_matcher: Callable[[HashList], Matcher],
    *,
    algorithm: str = "pdq",
    since: int | None = None,
    now: datetime | None = None,
    on_pictures: Callable[[int], object] | None = None,
) -> Iterator[ReviewRecord]:
    """Yield a record for each kept picture that matches something new; of the others, nothing.

    They are those that a scan with the list makes: with the same id, except that they name only
    what is new.

    Parameters
    ----------
    folder : str or path
        Where the hashes of scans were kept, see `hashmatch.scan.hash_archive.Keeper`.
        What may not be kept any longer is not read.
    store : ListStore
        The list.
    make_matcher : callable
        Makes a matcher of a list, with the limits and protections of scans.
    algorithm : str
        Which hashes.
    since : int, optional
        Match what the list has that this version had not. By default, for each scan, the version it
        was made with; all of the list if it was made with another list, or that version is gone.
    now : datetime, optional
        For tests.
    on_pictures : callable, optional
        Told how many more pictures were looked up.

    Raises
    ------
    StoreError
        If the list cannot be used, or `since` is no version of it.
    IndexFileError
        If a file of kept hashes is damaged.
    """
    after, _ = store.latest()
    if since is not None and since not in store.folder.versions():
        raise StoreError(
            f"{store.path} has no version {since}; it has "
            f"{', '.join(map(str, reversed(store.folder.versions())))}"
        )
    secret = reference_key.read(store.folder, store.key, [])
    matchers: dict[int | None, Matcher | None] = {}

    def matcher_since(version: int | None) -> Matcher | None:
        if version not in matchers:
            before = None if version is None else store.version(version)
            new = added(before, after, algorithm, secret)
            matchers[version] = None if new is None else make_matcher(new)
        return matchers[version]

    spec = None if algorithm not in after.kinds else after.kinds[algorithm].segments[0].spec
    if spec is None:
        raise StoreError(f"{store.path}: no {algorithm} hashes in it")
    for each in hash_archive.each(folder, spec, now):
        version = since if since is not None else _version(each, after.manifest.name, store)
        matcher = matcher_since(version)
        if matcher is not None:
            yield from _matches(each, matcher)
        if on_pictures is not None:
            on_pictures(each.pictures)


def _version(each: hash_archive.Kept, name: str, store: ListStore) -> int | None:
    """Return the version of the list that a scan was made with, if it is still there."""
    told = each.lists.get(name, "")
    version = int(told) if told.isdigit() else None
    return version if version in store.folder.versions() else None


def _matches(each: hash_archive.Kept, matcher: Matcher) -> Iterator[ReviewRecord]:
    """Yield a record for each picture of which some hash matches."""
    number = None
    for row in matcher.rows_that_match(each.hashes).tolist():
        if each.items.number(row) == number:
            continue  # rows of one picture follow each other
        number = each.items.number(row)
        item, images = each.items[row]
        of_kind = [one for one in images if one.spec == each.hashes.spec]
        result = matcher.decide(item, of_kind)
        if isinstance(result, ReviewRecord):  # or it is a hash that is too poor to be searched
            yield result
