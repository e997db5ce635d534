"""HashIndex: every entry of a list within a distance of a query, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch.errors import SpecMismatch, UsageError
from hashmatch.records.hashes import HashBatch, HashSpec, Opaque
from hashmatch.records.lists import HashList
from hashmatch.records.matches import Matches

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Room for hits made before a search; a search that needs more is run again with enough.
FIRST_CAPACITY = 1024


class HashIndex(Opaque):
    """An exact Hamming index over the hashes of a list. Safe to search from several threads.

    Built with `build`; immutable, and never pickled.

    Examples
    --------
    >>> spec = HashSpec("phash", 64)
    >>> index = HashIndex.build(HashBatch.from_hex(spec, ["00" * 8, "ff" * 8]))
    >>> hits = index.search(HashBatch.from_hex(spec, ["00" * 7 + "07"]), max_distance=3)
    >>> hits.entry.tolist(), hits.distance.tolist()
    ([0], [3])
    """

    __slots__ = ("_columns", "_count", "spec")

    def __init__(self, spec: HashSpec, columns: NDArray[np.uint32], count: int) -> None:
        self.spec = spec
        self._columns = columns
        self._count = count

    @classmethod
    def build(cls, hashes: HashList | HashBatch) -> HashIndex:
        """Return an index over the hashes of a list or batch.

        Parameters
        ----------
        hashes : HashList or HashBatch
            Of any size, 0 included; entry numbers in matches are its rows.
        """
        from hashmatch._kernels.lanes import GROUP
        from hashmatch._kernels.linear import columns

        batch = hashes.hashes if isinstance(hashes, HashList) else hashes
        return cls(batch.spec, columns(batch.words, GROUP), len(batch))

    def search(self, batch: HashBatch, max_distance: int) -> Matches:
        """Return every pair of a query in `batch` and an entry within `max_distance` bits.

        Parameters
        ----------
        batch : HashBatch
            The queries, of the index's own spec.
        max_distance : int
            Inclusive, from 0 to ``spec.bits``.

        Returns
        -------
        Matches
            By query, then by entry.

        Raises
        ------
        SpecMismatch
            If the queries are hashes of another kind.
        UsageError
            If `max_distance` is out of its range.
        """
        if batch.spec != self.spec:
            raise SpecMismatch(f"this index holds {self.spec}, it cannot be asked for {batch.spec}")
        limit = int(max_distance)
        if not 0 <= limit <= self.spec.bits:
            raise UsageError(
                f"a maximum distance of {limit}; for {self.spec} it is 0 to {self.spec.bits}"
            )
        from hashmatch._kernels.linear import columns, head_length, within

        queries = columns(batch.words)
        head = head_length(len(queries), limit)
        heads = tuple(self._columns[:head]), tuple(queries[:head])
        capacity = FIRST_CAPACITY
        while True:
            query, entry, distance = (np.empty(capacity, np.int64) for _ in range(3))
            found = within(
                self._columns, heads[0], self._count, queries, heads[1], limit,
                query, entry, distance,
            )  # fmt: skip
            if found <= capacity:
                order = np.lexsort((entry[:found], query[:found]))
                return Matches(query[order], entry[order], distance[order])
            capacity = found

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"<HashIndex {self.spec}, n={len(self)}>"
