"""A version of a list, ready to be searched: what it holds stays on the disk until needed."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from hashmatch import registry
from hashmatch._redact import unseen
from hashmatch.errors import IndexFileError, StoreError
from hashmatch.index.hash_index import HashIndex
from hashmatch.records.entries import concatenated
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.store import manifest as manifests

if TYPE_CHECKING:
    from hashmatch.records.entries import Column
    from hashmatch.records.hashes import HashSpec
    from hashmatch.store.contents import AlgorithmContent, Content
    from hashmatch.store.layout import Folder


class StoredHashes(Opaque):
    """Hashes of a list in a store; see `hashmatch.records.hash_list.Storage`."""

    def __init__(
        self, spec: HashSpec, words: Column, secret: bytes, digest: bytes | None = None
    ) -> None:
        self._spec, self._words = spec, words
        self.secret, self.digest = secret, digest

    def __getitem__(self, rows: slice) -> HashBatch:
        words = self._words[rows]
        words.flags.writeable = False
        return HashBatch(self._spec, words)

    def __len__(self) -> int:
        return len(self._words)


@unseen
def stored_list(
    folder: Folder, content: Content, algorithm: str, secret: bytes, problems: list[str]
) -> HashList:
    """Return one kind of hash of an open version as a list, with an index.

    Parameters
    ----------
    folder : Folder
        Of the store.
    content : Content
        The version.
    algorithm : str
        Which hashes.
    secret : bytes
        The key of references, see `hashmatch.store.reference_key`.
    problems : list of str
        What is wrong with its index is added.
    """
    kind, manifest = content.kinds[algorithm], content.manifest
    entries = kind.entries
    digest = hashlib.blake2b(manifests.encode(manifest), key=secret).digest()
    hashes = StoredHashes(kind.spec, kind.words, secret, digest)
    name, version, limit = manifest.name, str(manifest.version), content.limits.get(algorithm)
    known = HashList(name, version, kind.spec, hashes, entries, (), limit)
    index = _stored_index(folder, kind, problems)
    if index is None:
        return replace(known, index=HashIndex.build(known, registry.hasher(algorithm).max_distance))
    added = None
    if len(kind.segments) > 1:  # of the first, the index is stored
        words = HashBatch(kind.spec, kind.words[kind.segments[0].rows :])
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
