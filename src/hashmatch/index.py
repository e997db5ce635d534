"""HashIndex: every entry of a list within a distance of a query, and no other."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.banded import PAIR, SHARE, Banded, plan
from hashmatch.errors import SpecMismatch, UsageError
from hashmatch.records.hashes import HashBatch, HashSpec, Opaque
from hashmatch.records.lists import HashList
from hashmatch.records.matches import Matches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch.banded import Hits

#: Room for hits made before a search; a search that needs more is run again with enough.
FIRST_CAPACITY = 1024


class HashIndex(Opaque):
    """An exact Hamming index over the hashes of a list. Safe to search from several threads.

    Built with `build`; immutable, and never pickled. It looks at every entry or, in longer lists
    that were built for a limit, at those that nearly share some bits with the query; `explain` says
    which.

    Examples
    --------
    >>> spec = HashSpec("phash", 64)
    >>> index = HashIndex.build(HashBatch.from_hex(spec, ["00" * 8, "ff" * 8]))
    >>> hits = index.search(HashBatch.from_hex(spec, ["00" * 7 + "07"]), max_distance=3)
    >>> hits.entry.tolist(), hits.distance.tolist()
    ([0], [3])
    """

    __slots__ = ("_banded", "_columns", "_count", "spec")

    def __init__(
        self, spec: HashSpec, columns: NDArray[np.uint32], count: int, banded: Banded | None
    ) -> None:
        self.spec = spec
        self._columns = columns
        self._count = count
        self._banded = banded

    @classmethod
    def build(cls, hashes: HashList | HashBatch, max_distance: int | None = None) -> HashIndex:
        """Return an index over the hashes of a list or batch.

        Parameters
        ----------
        hashes : HashList or HashBatch
            Of any size, 0 included; entry numbers in matches are its rows.
        max_distance : int, optional
            The largest limit that will be asked for, in bits. Searches up to it are then the faster
            the longer the list is; others, and without it all, look at every entry.
        """
        from hashmatch._kernels.lanes import GROUP
        from hashmatch._kernels.linear import columns

        batch = hashes.hashes if isinstance(hashes, HashList) else hashes
        banded = None
        if max_distance is not None and batch.spec.bits % 64 == 0:
            limit = in_bits(batch.spec, max_distance)
            bands = plan(batch.spec.bits, limit, len(batch))
            if bands is not None and bands.cost < PAIR * len(batch):
                banded = Banded.build(batch.words, limit, bands.bands)
        return cls(batch.spec, columns(batch.words, GROUP), len(batch), banded)

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
        limit = in_bits(self.spec, max_distance)
        banded = self._banded
        search = self._linear if banded is None or limit > banded.limit else self._near
        capacity = FIRST_CAPACITY
        while True:
            query, entry, distance = (np.empty(capacity, np.int64) for _ in range(3))
            found = search(batch.words, limit, (query, entry, distance))
            if found <= capacity:
                order = np.lexsort((entry[:found], query[:found]))
                return Matches(query[order], entry[order], distance[order])
            capacity = found

    def explain(self) -> str:
        """Return in a sentence how this index searches, and why."""
        if self._banded is None:
            return f"looks at every one of {self._count:,} entries"
        bands, masks = len(self._banded.bands), len(self._banded.masks)
        return (
            f"up to {self._banded.limit} bits, looks at those of {self._count:,} entries that are "
            f"at one of {masks} addresses in {bands} bands; beyond, and among near-duplicates, at "
            "every entry"
        )

    def _near(self, queries: NDArray[np.uint64], limit: int, out: Hits) -> int:
        """Search by bands, or linearly where the queries lie among near-duplicates."""
        if self._banded is None:
            return self._linear(queries, limit, out)
        most = len(queries) * self._count // SHARE
        found = self._banded.within(queries, limit, out, most)
        return self._linear(queries, limit, out) if found < 0 else found

    def _linear(self, queries: NDArray[np.uint64], limit: int, out: Hits) -> int:
        from hashmatch._kernels.linear import columns, head_length, within

        laid = columns(queries)
        head = head_length(len(laid), limit)
        heads = tuple(self._columns[:head]), tuple(laid[:head])
        return within(self._columns, heads[0], self._count, laid, heads[1], limit, *out)

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"<HashIndex {self.spec}, n={len(self)}>"


def in_bits(spec: HashSpec, max_distance: int) -> int:
    """Return `max_distance` as an int; raise UsageError unless it is 0 to ``spec.bits``."""
    try:
        limit = index(max_distance)  # int would cut 31.9, and take text
    except TypeError:
        raise UsageError(f"a maximum distance is a whole number, not {max_distance!r}") from None
    if not 0 <= limit <= spec.bits:
        raise UsageError(f"a maximum distance of {limit}; for {spec} it is 0 to {spec.bits}")
    return limit
