"""A segment of an index: hashes that are searched together, linearly or by their tables."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.knn import nearest
from hashmatch._kernels.linear import column_type, columns, head_length, lay, within, words_of
from hashmatch._kernels.multi_index import GIVEN_UP, one_by_one, together
from hashmatch._kernels.simd import GROUP
from hashmatch._kernels.verify import COLUMNS, SCRATCH
from hashmatch.index.clusters import Clusters, find
from hashmatch.index.tables import Tables, count_bands, plan
from hashmatch.records.hashes import Opaque
from hashmatch.records.matches import NOTHING, Pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch._files.block_writer import FileArena
    from hashmatch._kernels.simd import Column

FIRST_CAPACITY = 1024
"""Pairs that a search can write at first; one that finds more is run again with enough rows."""
USUAL_WIDEST = 1024
"""Lines that a query looks at in one band; a search that looks at more makes its own rows."""
AT_ONCE = 2**18
"""Entries laid in columns at a time where they are to lie in a file."""
FEW = 64
"""Queries; more are searched together."""


class _Buffers(threading.local):
    """What a thread's searches write to before they know how much they find."""

    def __init__(self) -> None:
        self.rows = np.empty((SCRATCH + USUAL_WIDEST + FIRST_CAPACITY, COLUMNS), np.int64)
        self.out = np.empty((3, FIRST_CAPACITY), np.int64)


_buffers = _Buffers()


class Segment(Opaque):
    """Hashes of one spec, and what speeds up searching them. Rows are counted from 0.

    `columns`, shape (k, n and more), are the hashes, `count` of them, laid for a linear search;
    `tables` say where to look for a multi-index search up to `limit` bits; -1 without. With tables
    a column has 64 bits, otherwise 32: see `column_bits`. Members of `clusters` are not in the
    tables.
    """

    # Not a dataclass: dataclasses.asdict would lay the hashes open.
    __slots__ = ("clusters", "columns", "count", "limit", "tables")

    def __init__(
        self,
        columns: Column,
        count: int,
        tables: Tables | None,
        limit: int,
        clusters: Clusters | None = None,
    ) -> None:
        self.columns, self.count, self.tables, self.limit = columns, count, tables, limit
        self.clusters = clusters

    @classmethod
    def build(
        cls,
        words: NDArray[np.uint64],
        bits: int,
        limit: int | None,
        arena: FileArena | None = None,
    ) -> Segment:
        """Return a segment that is searched the sooner up to `limit` bits, if that is given.

        Its arrays are in memory, or also in the `arena` of a file.
        """
        planned = None
        if limit is not None and bits % 64 == 0:
            planned = plan(bits, limit, len(words))
        each = column_bits(planned is not None)
        laid = columns(words, each, GROUP) if arena is None else _columns_in(arena, words, each)
        laid.flags.writeable = False  # as in a file: kernels are compiled for either kind
        if limit is None or planned is None:
            return cls(laid, len(words), None, -1)
        counted = count_bands(words, planned.bands)
        found = find(words, laid, planned.bands, [one.starts for one in counted], limit)
        if found is None:
            return cls(laid, len(words), Tables.build(words, planned.bands, arena, counted), limit)
        others = np.ones(len(words), np.bool_)
        for rows in found.rows:
            others[rows] = False
        entries = np.flatnonzero(others).astype(np.uint32)
        bands = (plan(bits, limit, len(entries)) or planned).bands
        tables = Tables.build(words[entries], bands, arena, None, entries, len(words))
        return cls(laid, len(words), tables, limit, Clusters.build(words, found, arena))

    def words(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.uint64]:
        """Return hashes, shape (n, w): all, or those of some rows."""
        words = words_of(self.columns, slice(self.count) if rows is None else rows)
        words.flags.writeable = False
        return words

    def search(
        self, queries: NDArray[np.uint64], limit: int, max_pairs: int | None = None
    ) -> Pairs | None:
        """Return every pair within `limit` bits, by query, then by entry.

        Or None, if those of several queries are more than `max_pairs`: ask for fewer at a time.
        """
        tables = self.tables
        if tables is None or limit > self.limit:
            pairs = self._linearly(queries, limit, max_pairs)
            return pairs if pairs is None or pairs is NOTHING else pairs.in_order()
        by_tables = one_by_one if len(queries) <= FEW else together
        rows = _buffers.rows
        if len(rows) < tables.scratch + FIRST_CAPACITY:
            rows = np.empty((tables.scratch + FIRST_CAPACITY, COLUMNS), np.int64)
        found = by_tables(tables.head, tables.tables, self.columns, queries, limit, rows)
        while abs(found) > len(rows) - tables.scratch:
            if max_pairs is not None and abs(found) > max_pairs and len(queries) > 1:
                return None
            rows = np.empty((tables.scratch + abs(found), COLUMNS), np.int64)
            found = by_tables(tables.head, tables.tables, self.columns, queries, limit, rows)
        pairs = NOTHING
        if found:
            pairs = Pairs(*rows[tables.scratch : tables.scratch + abs(found), :3].T.copy())
        if self.clusters is not None:
            others = self._in_clusters(self.clusters, queries, limit, max_pairs)
            if others is None:
                return None
            pairs = _both(pairs, others)
        if found < 0:
            given_up = pairs.query[pairs.entry == GIVEN_UP]
            others = self._linearly(queries[given_up], limit, max_pairs)
            if others is None:
                return None
            others = others._replace(query=given_up[others.query])
            pairs = _both(pairs.where(~np.isin(pairs.query, given_up)), others)
        return pairs if pairs is NOTHING else pairs.in_order()

    def _in_clusters(
        self, clusters: Clusters, queries: NDArray[np.uint64], limit: int, max_pairs: int | None
    ) -> Pairs | None:
        out = _buffers.out
        while True:
            found = clusters.search(queries, limit, self.count, out)
            if isinstance(found, Pairs):
                return found
            if max_pairs is not None and found > max_pairs and len(queries) > 1:
                return None
            out = np.empty((3, found), np.int64)

    def _linearly(
        self, queries: NDArray[np.uint64], limit: int, max_pairs: int | None
    ) -> Pairs | None:
        each = self.columns.itemsize * 8
        laid = columns(queries, each)
        head = head_length(len(laid), each, limit)
        heads = tuple(self.columns[:head]), tuple(laid[:head])
        out = _buffers.out
        while True:
            found = within(self.columns, heads[0], self.count, laid, heads[1], limit, *out)
            if not found:
                return NOTHING
            if found <= out.shape[1]:
                return Pairs(*out[:, :found].copy())
            if max_pairs is not None and found > max_pairs and len(queries) > 1:
                return None
            out = np.empty((3, found), np.int64)

    def nearest(
        self,
        queries: NDArray[np.uint64],
        count: int,
        limit: int,
        passed_over: NDArray[np.bool_],
    ) -> Pairs:
        """Return the `count` entries nearest to each query, if they are within `limit` bits.

        Those of which `passed_over`, shape (n,) or (0,), is true are not to be found.
        """
        laid = columns(queries, self.columns.itemsize * 8)
        heads = tuple(self.columns), tuple(laid)
        shape = len(queries), min(count, self.count)
        found = np.zeros(shape[0], np.int64)
        entry, distance = np.empty(shape, np.int64), np.empty(shape, np.int64)
        limits = np.full(shape[0], limit)
        nearest(
            self.columns, heads[0], self.count, laid, heads[1], limits, passed_over,
            found, entry, distance,
        )  # fmt: skip
        taken = np.arange(shape[1]) < found[:, None]
        return Pairs(np.repeat(np.arange(shape[0]), found), entry[taken], distance[taken])

    def explain(self) -> str:
        """Return how it is searched, and why."""
        count = self.count
        if self.tables is None:
            return f"looks at every one of {count:,} entries"
        bands, apart = len(self.tables.bands), ""
        if self.clusters is not None:
            known = len(self.clusters.centers)
            apart = f", and at those of {known:,} clusters that are near it"
        return (
            f"up to {self.limit} bits, looks at those of {count:,} entries that nearly share one "
            f"of {bands} bands with the query{apart}; beyond, and among near-duplicates, at every "
            "entry"
        )


def _both(one: Pairs, other: Pairs) -> Pairs:
    """Return the pairs of both, in no order."""
    if not len(one.query) or not len(other.query):
        return one if len(one.query) else other
    return Pairs(*(np.concatenate(columns) for columns in zip(one, other, strict=True)))


def column_bits(has_tables: bool) -> int:
    """Return the bits of a column of a segment."""
    return 64 if has_tables else 32


def _columns_in(arena: FileArena, words: NDArray[np.uint64], bits: int) -> Column:
    """Write hashes to a file as `columns` lays them."""
    count, width = words.shape
    shape = width * 64 // bits, -(-count // GROUP) * GROUP
    laid = arena.new(shape, column_type(bits))
    for begin in range(0, count, AT_ONCE):
        some = words[begin : begin + AT_ONCE]
        lay(some, laid[:, begin : begin + -(-len(some) // GROUP) * GROUP])
        arena.rest()
    return laid
