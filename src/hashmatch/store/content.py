"""What a version of a list holds: its statements, which of them count no more, and withdrawals."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from hashmatch import registry
from hashmatch.errors import IndexFileError, StoreError
from hashmatch.index import HashIndex
from hashmatch.records.entries import Entries, concatenated
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.records.lists import HashList
from hashmatch.statements import Subject
from hashmatch.store import sealed
from hashmatch.store.blocks import BlockFile, OpenFile
from hashmatch.store.columns import StoredStatements
from hashmatch.store.sealing_keys import KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hashmatch.store.folder import Folder
    from hashmatch.store.manifest import Manifest, StoredFile
    from hashmatch.store.sealing_keys import SealingKey

STATEMENTS, INDEX, STATE = "statements", "index", "state"
"""Roles of the files of a version."""


class State(msgspec.Struct, frozen=True):
    """What a version says besides statements.

    ``gone`` has, by algorithm, the numbers of statements that count no more, as bytes of uint32;
    ``withdrawn`` the fields of each `Subject`, and when; ``limits`` the list's own by algorithm;
    ``pictures`` by algorithm the hashes of default pictures, as bytes of uint64.
    """

    gone: dict[str, bytes]
    withdrawn: tuple[tuple[str | None, str, bytes, bool, float], ...]
    limits: dict[str, int] = {}
    pictures: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return "<State>"


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Kind(Opaque):
    """All about hashes of one algorithm. Rows are numbered through its segments."""

    segments: list[StoredStatements]
    gone: NDArray[np.int64]
    index: StoredFile | None

    @property
    def rows(self) -> int:
        """Statements, those that count no more included."""
        return sum(segment.rows for segment in self.segments)

    def unmatched(self) -> NDArray[np.int64]:
        """Return which rows are not matched: those gone, and those in quarantine."""
        codes = np.concatenate([segment.quarantine for segment in self.segments])
        return np.union1d(self.gone, np.flatnonzero(codes))


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Content(Opaque):
    """An open version."""

    manifest: Manifest
    kinds: dict[str, Kind]
    withdrawn: dict[Subject, float]
    limits: dict[str, int]
    pictures: dict[str, bytes]


def read(
    folder: Folder, manifest: Manifest, key: SealingKey | None, problems: list[str]
) -> Content:
    """Return what a version holds; everything of it is compared with its digest first.

    Raises
    ------
    StoreError
        If a file is missing or damaged, with its copy. A damaged index is only a problem: it can be
        made again.
    """
    state = State({}, ())
    segments: dict[str, list[StoredStatements]] = {}
    indexes: dict[str, StoredFile] = {}
    for named in manifest.files:
        if named.role == INDEX and named.algorithm is not None:
            indexes[named.algorithm] = named
            continue
        path, file = folder.find(named, problems)
        opened = OpenFile(path, file)
        if named.role == STATE:
            state = _state(path, _whole(opened, path, manifest, key))
        elif named.role == STATEMENTS and named.algorithm is not None:
            blocks = _blocks(opened, path, manifest, key)
            segments.setdefault(named.algorithm, []).append(StoredStatements(blocks))
    gone = {
        algorithm: np.frombuffer(numbers, np.uint32).astype(np.int64)
        for algorithm, numbers in state.gone.items()
    }
    nothing = np.empty(0, np.int64)
    kinds = {
        algorithm: Kind(of_kind, gone.get(algorithm, nothing), indexes.get(algorithm))
        for algorithm, of_kind in sorted(segments.items())
    }
    withdrawn = {Subject(*fields[:4]): fields[4] for fields in state.withdrawn}
    return Content(manifest, kinds, withdrawn, state.limits, state.pictures)


def _whole(opened: OpenFile, path: str, manifest: Manifest, key: SealingKey | None) -> memoryview:
    if not manifest.sealed:
        return memoryview(opened(opened.size, 0))
    if key is None:
        raise StoreError(f"{path} is encrypted; give the key of the list in {KEY}")
    plain = np.empty(sealed.unsealed_bytes(path, opened.file), np.uint8)
    sealed.unseal_into(path, opened.file, key, plain)
    return memoryview(plain)  # type: ignore[arg-type]


def _blocks(opened: OpenFile, path: str, manifest: Manifest, key: SealingKey | None) -> BlockFile:
    try:
        if not manifest.sealed:
            return BlockFile(path, opened.size, opened)
        data = _whole(opened, path, manifest, key)
        return BlockFile(path, len(data), lambda count, at: data[at : at + count])
    except IndexFileError as error:
        raise StoreError(str(error)) from None


def _state(path: str, data: memoryview) -> State:
    try:
        return msgspec.msgpack.decode(data, type=State)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise StoreError(f"{path} does not say the state of a list; restore it") from None


def open_index(folder: Folder, content: Content, algorithm: str, problems: list[str]) -> HashIndex:
    """Return an index of what is matched of one kind, numbered as its rows."""
    kind = content.kinds[algorithm]
    first, others = kind.segments[:1], kind.segments[1:]
    index = _stored_index(folder, kind, problems)
    if index is None:
        hasher = registry.hasher(algorithm)
        index = HashIndex.build(as_list(content, algorithm, first), hasher.max_distance)
    snapshot = f"{content.manifest.name} {content.manifest.version}"
    if others:
        index = index.with_changes(as_list(content, algorithm, others), (), snapshot)
    removed = kind.unmatched()
    return index.with_changes(None, removed, snapshot) if others or len(removed) else index


def _stored_index(folder: Folder, kind: Kind, problems: list[str]) -> HashIndex | None:
    if kind.index is None:
        return None
    try:
        path, file = folder.find(kind.index, problems)
        os.close(file)
        return HashIndex.open(path, check=False)  # all of it was just read, and is as it was
    except (StoreError, IndexFileError) as error:
        problems.append(f"{error}; its index was made anew")
        return None


def as_list(content: Content, algorithm: str, segments: Sequence[StoredStatements]) -> HashList:
    """Return some statements as a list to be indexed; it has their limits, and no ids."""
    words = np.concatenate([segment.words() for segment in segments])
    words.flags.writeable = False
    kinds = [Entries(np.asarray(each.entries.kind[:]), each.entries.kinds) for each in segments]
    return HashList(
        content.manifest.name,
        str(content.manifest.version),
        segments[0].spec,
        HashBatch(segments[0].spec, words),
        concatenated(kinds),
        (),
        content.limits.get(algorithm),
    )
