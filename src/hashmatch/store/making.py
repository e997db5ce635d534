"""Makes the files of a version of a list: its statements checked for degenerate hashes, indexed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from hashmatch import registry
from hashmatch.index import HashIndex
from hashmatch.index_file.pieces import in_pieces
from hashmatch.index_file.writing import write
from hashmatch.quarantine import by_reason, degenerate
from hashmatch.records.entries import Entries
from hashmatch.records.hashes import HashBatch
from hashmatch.records.lists import HashList
from hashmatch.store import sealed, whole
from hashmatch.store.columns import laid
from hashmatch.store.content import INDEX, STATE, STATEMENTS, State
from hashmatch.store.folder import TWICE
from hashmatch.store.manifest import StoredFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from hashmatch.index_file.layout import Description
    from hashmatch.index_file.writing import Blocks
    from hashmatch.statements import Statements, Subject
    from hashmatch.store.folder import Folder
    from hashmatch.store.sealing_keys import SealingKey

SHARED_FROM = 1 << 16
"""Statements; shorter lists are written anew with each version, so that no two share a file."""
QUARANTINED = "quarantined: "
"""In the counts of a manifest, before each reason."""


class Making:
    """Makes files in the folder of a list.

    Parameters
    ----------
    folder : Folder
    name : str
        Of the list.
    key : SealingKey, optional
        What they are encrypted with.
    pictures : mapping of str to bytes
        By algorithm, hashes of default pictures; entries near them are put into quarantine.
    limits : mapping of str to int
        By algorithm, the list's own limits in bits.
    on_step : callable, optional
        Told what is done next, for people.
    """

    def __init__(
        self,
        folder: Folder,
        name: str,
        key: SealingKey | None,
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
        return degenerate(said.hashes, HashBatch(spec, words))

    def statements(self, said: Statements, codes: NDArray[np.uint8], *, shared: bool) -> StoredFile:
        """Write some statements."""
        self._on_step(f"writing {len(said):,} {said.algorithm} entries")
        description, blocks = laid(said, codes, self.name)
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
        state = State(numbers, tuple(subjects), dict(self.limits), dict(self.pictures))
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
            sealed.seal(path, in_pieces(description, blocks), self.key)

    def _write_bytes(self, path: str, data: bytes) -> None:
        if self.key is None:
            whole.write(path, data)
        else:
            sealed.seal(path, [data], self.key)


def counted(codes: NDArray[np.uint8]) -> dict[str, int]:
    """Return how many statements are matched, and how many are in quarantine for which reason."""
    reasons = {f"{QUARANTINED}{reason}": count for reason, count in by_reason(codes).items()}
    return {"entries": int(np.count_nonzero(codes == 0)), **reasons}
