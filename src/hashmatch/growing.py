"""Rows of one kind of hash, gathered into columns as they are read."""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.records.entries import Entries, Entry, Texts
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.statements import Statements, hash_keys, id_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.records.hashes import HashSpec


class Growing(Opaque):
    """Statements about hashes of `spec` that are still being read; ten million fit into 1 GB."""

    def __init__(self, spec: HashSpec) -> None:
        self.spec = spec
        self._values = bytearray()
        self._kinds: dict[Entry, int] = {}
        self._kind = array("I")
        self._ids = bytearray()
        self._ends = array("q", [0])
        self._key = array("Q")
        self._updated = array("d")

    def kind_of(self, entry: Entry) -> int:
        """Return the number of what is said of an entry apart from its id."""
        return self._kinds.setdefault(entry, len(self._kinds))

    def add(self, value: bytes, kind: int, external_id: str | None, updated: float) -> None:
        """Take one statement."""
        self._values += value
        self._kind.append(kind)
        named = (external_id or "").encode(errors="surrogatepass")
        self._ids += named
        self._ends.append(len(self._ids))
        self._key.append(id_key(named))
        self._updated.append(updated)

    def add_all(
        self, values: bytes, kinds: Sequence[int], ids: Sequence[bytes], updated: float
    ) -> None:
        """Take many; an empty id stands for none."""
        self._values += values
        self._kind.extend(kinds)
        self._ends.extend(accumulate(map(len, ids[1:]), initial=len(self._ids) + len(ids[0])))
        self._ids += b"".join(ids)
        self._key.extend(map(id_key, ids))
        self._updated.extend([updated] * len(ids))

    def __len__(self) -> int:
        return len(self._kind)

    def finish(self) -> Statements:
        """Return what was taken. Nothing more is taken then: the columns are not copied."""
        hashes = HashBatch.from_bytes(self.spec, self._values)
        self._values = bytearray()
        ends = np.frombuffer(self._ends, np.int64)
        key = np.frombuffer(self._key, np.uint64)
        nameless = ends[1:] == ends[:-1]
        key[nameless] = hash_keys(hashes.words)[nameless]
        updated = np.frombuffer(self._updated, np.float64)
        if len(updated) and (updated == updated[0]).all():
            self._updated = array("d")
            updated = np.broadcast_to(updated[0].copy(), len(updated))  # takes no room
        ids = Texts(np.frombuffer(self._ids, np.uint8), ends) if self._ids else None
        entries = Entries(np.frombuffer(self._kind, np.uint32), tuple(self._kinds), ids)
        return Statements(hashes, entries, key, updated)
