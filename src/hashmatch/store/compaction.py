"""Segments of a version: which are merged, rewritten or appended, and the files that hold them.

Hashes are checked for degenerate ones, and indexed, as the files are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from hashmatch import registry
from hashmatch._files import atomic
from hashmatch._files.block_writer import in_pieces, write
from hashmatch.index.hash_index import HashIndex
from hashmatch.lists.degenerate import by_reason, degenerate
from hashmatch.lists.merge import (
    Statements,
    Subject,
    hash_keys,
    joined,
    keys_of,
    rows_about,
    standing,
)
from hashmatch.records.entries import Entries
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch
from hashmatch.store import encryption
from hashmatch.store.contents import INDEX, STATE, STATEMENTS, VersionState, to_blocks
from hashmatch.store.layout import TWICE
from hashmatch.store.manifest import StoredFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from hashmatch._files.block_format import Description
    from hashmatch._files.block_writer import Blocks
    from hashmatch.lists.ingest import Rows
    from hashmatch.store.contents import AlgorithmContent, Content
    from hashmatch.store.encryption import ListKey
    from hashmatch.store.layout import Folder

    Numbers = NDArray[np.int64]
    Built = tuple[list[StoredFile], dict[str, dict[str, int]]]

SHARED_FROM = 1 << 16
"""Statements; shorter lists are written anew with each version, so that no two share a file."""
QUARANTINED = "quarantined: "
"""In the counts of a manifest, before each reason."""


class VersionBuilder:
    """Makes files in the folder of a list.

    They are encrypted with `key`, if there is one. Entries near the hashes of default `pictures`,
    by algorithm, are put into quarantine; `limits` are the list's own, by algorithm, in bits.
    `on_step` is told what is done next, for people.
    """

    def __init__(
        self,
        folder: Folder,
        name: str,
        key: ListKey | None,
        pictures: Mapping[str, bytes],
        limits: Mapping[str, int],
        on_step: Callable[[str], object] | None = None,
    ) -> None:
        self.folder, self.name, self.key = folder, name, key
        self.pictures, self.limits = pictures, limits
        self._on_step = on_step or (lambda step: None)

    def quarantine(self, said: Statements) -> NDArray[np.uint8]:
        """Return which statements are about hashes that match what they should not, and why."""
        data, spec = self.pictures.get(said.algorithm), said.hashes.spec
        if data is None:
            return degenerate(said.hashes)
        words = np.frombuffer(data, np.uint64).reshape(-1, spec.words)
        return degenerate(said.hashes, HashBatch(spec, words, owned=True))

    def statements(self, said: Statements, codes: NDArray[np.uint8], *, shared: bool) -> StoredFile:
        """Write some statements."""
        self._on_step(f"writing {len(said):,} {said.algorithm} entries")
        description, blocks = to_blocks(said, codes, self.name)
        return self._add(
            STATEMENTS,
            said.algorithm,
            {"rows": len(said)},
            lambda path: self._write(path, description, blocks),
            shared,
        )

    def index(self, said: Statements, version: int) -> StoredFile | None:
        """Write an index over the hashes of some statements; none if files are encrypted."""
        if self.key is not None:
            return None  # it would hold the hashes in the clear; it is made when it is opened
        algorithm = said.algorithm
        self._on_step(f"indexing {len(said):,} {algorithm} entries")
        limit = registry.hasher(algorithm).max_distance
        entries = Entries(said.entries.kind, said.entries.kinds)
        own = self.limits.get(algorithm)
        known = HashList(self.name, str(version), said.hashes.spec, said.hashes, entries, (), own)
        facts = {"rows": len(said), "max_distance": limit}
        return self._add(
            INDEX, algorithm, facts, lambda path: HashIndex.build_file(path, known, limit)
        )

    def state(
        self, gone: Mapping[str, NDArray[np.int64]], withdrawn: Mapping[Subject, float]
    ) -> StoredFile:
        """Write what a version says besides statements."""
        numbers = {
            algorithm: rows.astype(np.uint32).tobytes()
            for algorithm, rows in sorted(gone.items())
            if len(rows)
        }
        subjects = [(*subject, when) for subject, when in withdrawn.items()]
        subjects.sort(key=lambda fields: (fields[0] or "", *fields[1:]))
        state = VersionState(numbers, tuple(subjects), dict(self.limits), dict(self.pictures))
        data = msgspec.msgpack.encode(state)
        # Most updates change nothing of it: versions share it.
        return self._add(STATE, None, {}, lambda path: self._write_bytes(path, data), True)

    def _add(
        self,
        role: str,
        algorithm: str | None,
        facts: dict[str, int],
        write: Callable[[str], None],
        shared: bool = False,
    ) -> StoredFile:
        found, is_twice = self.folder.add(write, shared=shared)
        return StoredFile(
            role=role,
            algorithm=algorithm,
            sha256=found.sha256,
            bytes=found.bytes,
            facts={**facts, TWICE: 1} if is_twice else dict(facts),
        )

    def _write(self, path: str, description: Description, blocks: Blocks) -> None:
        if self.key is None:
            write(path, description, blocks)
        else:
            encryption.encrypt(path, in_pieces(description, blocks), self.key)

    def _write_bytes(self, path: str, data: bytes) -> None:
        if self.key is None:
            atomic.write(path, data)
        else:
            encryption.encrypt(path, [data], self.key)


def counted(codes: NDArray[np.uint8]) -> dict[str, int]:
    """Return how many statements are matched, and how many are in quarantine for which reason."""
    reasons = {f"{QUARANTINED}{reason}": count for reason, count in by_reason(codes).items()}
    return {"entries": int(np.count_nonzero(codes == 0)), **reasons}


MOST_SEGMENTS = 64
"""Of a list; an update that would make more writes the list anew."""
NONE = np.empty(0, np.int64)


def merged(
    before: Content, rows: Rows, withdrawn: dict[Subject, float]
) -> tuple[list[Statements], dict[str, Numbers]]:
    """Return the statements of `rows` that stand, and by algorithm which there are no longer do.

    Of the millions there are, only those that share a key with one of the rows are looked at.
    """
    said = joined(rows.statements())
    about = np.unique(np.concatenate([keys_of(rows.withdrawn), *(each.key for each in said)]))
    hashes = keys_of(subject for subject in rows.withdrawn if subject.named)
    old: dict[str, tuple[Statements, Numbers]] = {}
    for algorithm, kind in before.kinds.items():
        parts, numbers, first = [], [], 0
        for segment in kind.segments:
            found = rows_about(segment.key, about)
            if len(hashes):
                found = np.union1d(found, rows_about(hash_keys(segment.words[:]), hashes))
            found = found[~np.isin(first + found, kind.gone)]
            parts.append(segment.take(found))
            numbers.append(first + found)
            first += segment.rows
        (together,) = joined(parts)
        old[algorithm] = together, np.concatenate(numbers)
    new_of = {each.algorithm: each for each in said}
    both = joined([*(each for each, _ in old.values()), *said])
    gone: dict[str, Numbers] = {}
    new: list[Statements] = []
    for each, kept in zip(both, standing(both, withdrawn), strict=True):
        _, numbers_there = old.get(each.algorithm, (None, NONE))
        count = len(numbers_there)
        gone[each.algorithm] = numbers_there[~kept[:count]]
        if each.algorithm in new_of:
            new.append(new_of[each.algorithm].take(np.flatnonzero(kept[count:])))
    return [each for each in new if len(each)], gone


def is_small(before: Content, new: list[Statements], gone: Mapping[str, Numbers]) -> bool:
    """Return whether a change is so small that the list need not be written anew."""
    for each in new:
        if each.algorithm not in before.kinds:
            return False
    for algorithm, kind in before.kinds.items():
        first = kind.segments[0].rows
        count = sum(len(each) for each in new if each.algorithm == algorithm)
        changed = kind.rows - first + count + len(kind.gone) + len(gone.get(algorithm, ()))
        if not changed:
            continue
        if first < SHARED_FROM or changed > first / 4 or len(kind.segments) >= MOST_SEGMENTS:
            return False
    return True


def live(kind: AlgorithmContent, gone: Numbers | None) -> Statements:
    """Return the statements of one kind that count."""
    (said,) = joined([segment.load() for segment in kind.segments])
    kept = np.ones(len(said), np.bool_)
    kept[kind.gone] = False
    if gone is not None:
        kept[gone] = False
    return said if kept.all() else said.take(np.flatnonzero(kept))


def rewritten(
    builder: VersionBuilder, said: list[Statements], withdrawn: dict[Subject, float], version: int
) -> Built:
    """Write a version anew: one segment of each kind, and its index."""
    files: list[StoredFile] = []
    counts: dict[str, dict[str, int]] = {}
    kept = standing(said, withdrawn)
    for number, which in enumerate(kept):
        each = said[number] if which.all() else said[number].take(np.flatnonzero(which))
        said[number] = None  # type: ignore[call-overload]  # of ten million there is no room for two
        if not len(each):
            continue
        codes = builder.quarantine(each)
        files.append(builder.statements(each, codes, shared=len(each) >= SHARED_FROM))
        counts[each.algorithm] = counted(codes)
        each = each.anonymous()
        index = builder.index(each, version)
        if index is not None:
            files.append(index)
    files.append(builder.state({}, withdrawn))
    return files, counts


def appended(
    builder: VersionBuilder,
    before: Content,
    new: list[Statements],
    gone: Mapping[str, Numbers],
    withdrawn: dict[Subject, float],
) -> Built:
    """Write a version that has the files of the one before, and a segment of what was added."""
    files = [file for file in before.manifest.files if file.algorithm is not None]
    counts = {name: dict(before.manifest.counts[name]) for name in before.kinds}
    for each in new:
        codes = builder.quarantine(each)
        files.append(builder.statements(each, codes, shared=True))
        for name, count in counted(codes).items():
            of_kind = counts[each.algorithm]
            of_kind[name] = of_kind.get(name, 0) + count
    all_gone = {}
    for algorithm, kind in before.kinds.items():
        rows = gone.get(algorithm, NONE)
        all_gone[algorithm] = np.union1d(kind.gone, rows)
        for name, count in counted(kind.quarantine[rows]).items():
            counts[algorithm][name] -= count
    files.append(builder.state(all_gone, withdrawn))
    return files, counts
