"""Every byte of a store looked at, and a signature added to what was found whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch.errors import StoreError
from hashmatch.store import content, marks, reference_key, signatures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.store.keys import PrivateKey
    from hashmatch.store.list_store import ListStore
    from hashmatch.store.manifest import Manifest


def verify(store: ListStore) -> Iterator[tuple[int, list[str]]]:
    """Yield each version and what is wrong with it; see `ListStore.verify`."""
    store.folder.check()
    problems: list[str] = []
    place = marks.place(store.path)
    known = marks.read(place, allow_readable=store.folder.allow_readable)
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
        content.read(store.folder, manifest, store.key, [])
        signed = store.folder.signatures(versions[0])
        others = [one for one in signed if one.key_id != key.public.key_id]
        store.folder.sign(versions[0], [*others, signatures.sign(data, key)])
        return manifest
