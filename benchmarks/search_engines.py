"""Searchers: every entry of a list within a limit of a query."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.engines import OURS, Engine
from hashmatch import HashBatch, HashIndex

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.search_workloads import Case

    Hits = NDArray[np.int64]

NEAREST = 10
"""How many an engine gives that knows no limit; what usearch does by default."""


def whole(ours: Hits, theirs: Hits) -> bool:
    """Tell whether an engine has found every pair that we have, and no other."""
    return np.array_equal(ours, theirs)


def nearest(ours: Hits, theirs: Hits) -> bool:
    """Tell whether an engine has found the nearest of each question's entries, `NEAREST` at most.

    Which ones of those at the same distance is up to the engine.
    """
    if not {*map(tuple, theirs.tolist())} <= {*map(tuple, ours.tolist())}:
        return False
    for query in np.unique(ours[:, 0]):
        ours_near, theirs_near = (
            np.sort(hits[hits[:, 0] == query, 2])[:NEAREST] for hits in (ours, theirs)
        )
        if not np.array_equal(ours_near, theirs_near):
            return False
    return True


@dataclass(frozen=True, kw_only=True)
class SearchEngine(Engine):
    """`build` and `search` are timed, apart; `form` and `hits` are not."""

    form: Callable[[HashBatch], Any]
    build: Callable[[Any, Case], Any]
    """Makes an index of entries in this form."""
    search: Callable[[Any, Any, int], Any]
    """Asks an index for questions in this form, within a limit."""
    hits: Callable[[Any, int], Hits]
    """Returns rows of (query, entry, distance), sorted, of what `search` has answered."""
    suits: Callable[[Case], bool] = lambda _: True
    """Tells whether the engine is exact for a list and its limit, and fits into memory."""
    agrees: Callable[[Hits, Hits], bool] = whole
    is_exact_faiss: bool = False
    """It is one of those that the goals are set against."""


def rows(query: Any, entry: Any, distance: Any) -> Hits:
    """Return parallel arrays as sorted rows of (query, entry, distance)."""
    table = np.stack([np.asarray(column, np.int64) for column in (query, entry, distance)], axis=1)
    return table[np.lexsort(table.T[::-1])]


def _bytes(batch: HashBatch) -> NDArray[np.uint8]:
    """Return hashes as faiss wants them; all sides of a comparison have the same byte order."""
    return batch.words.astype(">u8").view(np.uint8).reshape(len(batch), -1)


def _faiss() -> Any:
    import faiss

    faiss.omp_set_num_threads(1)  # one thread each: otherwise the number of cores is measured
    return faiss


def _flat(entries: Any, case: Case) -> Any:
    index = _faiss().IndexBinaryFlat(case.bits)
    index.add(entries)
    return index


def _range_search(index: Any, queries: Any, limit: int) -> Any:
    return index.range_search(queries, limit + 1)  # faiss leaves its radius out


def _faiss_hits(raw: Any, _: int) -> Hits:
    limits, distance, entry = raw
    query = np.repeat(np.arange(len(limits) - 1), np.diff(limits.astype(np.int64)))
    return rows(query, entry, distance)


def _multi_hash(parts: int, width: int, flips: int) -> SearchEngine:
    """Return faiss's multi-index: entries that have a part within so many flips of the query's.

    Of `parts` parts that do not overlap, one has at most limit // parts flips: with at least as
    many looked up it is exact, and with fewer it is not.
    """

    def build(entries: Any, case: Case) -> Any:
        index = _faiss().IndexBinaryMultiHash(case.bits, parts, width)
        index.nflip = flips
        index.add(entries)
        return index

    def suits(case: Case) -> bool:
        fits = parts * width <= case.bits < 2 * parts * width
        # At 10 M it takes 3 GB with 16 x 16, and with 11 x 23 about 9.
        return fits and flips == case.limit // parts and case.size <= 3_000_000

    return SearchEngine(
        name=f"faiss IndexBinaryMultiHash {parts}x{width}, {flips} flip{'s' * (flips > 1)}",
        needs=("faiss",),
        form=_bytes,
        build=build,
        search=_range_search,
        hits=_faiss_hits,
        suits=suits,
        is_exact_faiss=True,
    )


def _pdq_index(entries: list[str], _: Case) -> Any:
    from threatexchange.signal_type.pdq.pdq_index import PDQIndex

    _faiss()
    return PDQIndex((text, row) for row, text in enumerate(entries))


def _pdq_index_hits(raw: Any, _: int) -> Hits:
    found = [
        (query, match.metadata, match.similarity_info.distance)
        for query, matches in enumerate(raw)
        for match in matches
    ]
    return rows(*np.array(found, np.int64).reshape(-1, 3).T)


def _usearch(entries: Any, queries: Any, _: int) -> Any:
    from usearch.index import MetricKind, search

    return search(entries, queries, NEAREST, MetricKind.Hamming, exact=True, threads=1)


def _usearch_hits(raw: Any, limit: int) -> Hits:
    keys, distances = np.atleast_2d(raw.keys), np.atleast_2d(raw.distances)
    query, place = np.nonzero(distances <= limit)
    return rows(query, keys[query, place], distances[query, place])


def _numpy_search(entries: Any, queries: Any, limit: int) -> Any:
    found = []
    for query in queries:
        distance = np.bitwise_count(entries ^ query).sum(axis=1)
        near = np.nonzero(distance <= limit)[0]
        found.append((near, distance[near]))
    return found


def _numpy_hits(raw: Any, _: int) -> Hits:
    query = np.repeat(np.arange(len(raw)), [len(near) for near, _ in raw])
    return rows(query, *(np.concatenate(column) for column in zip(*raw, strict=True)))


def _ours(build: Callable[[HashBatch, Case], HashIndex], name: str) -> SearchEngine:
    return SearchEngine(
        name=name,
        form=lambda batch: batch,
        build=build,
        search=lambda index, queries, limit: index.search(queries, limit),
        hits=lambda raw, _: rows(raw.query, raw.entry, raw.distance),
    )


INDEXED = _ours(lambda batch, case: HashIndex.build(batch, case.limit), OURS)
LINEAR = _ours(lambda batch, _: HashIndex.build(batch), f"{OURS}, linear")
FLAT = SearchEngine(
    name="faiss IndexBinaryFlat",
    needs=("faiss",),
    form=_bytes,
    build=_flat,
    search=_range_search,
    hits=_faiss_hits,
    is_exact_faiss=True,
)
DEFAULT_MULTI_HASH = _multi_hash(16, 16, 1)
"""As threatexchange sets it."""
TUNED_MULTI_HASH = _multi_hash(11, 23, 2)
"""The fastest of those tried at a million uniform PDQ hashes."""
PEERS = (
    FLAT,
    DEFAULT_MULTI_HASH,
    TUNED_MULTI_HASH,
    *(
        _multi_hash(parts, width, flips)
        for parts, width, flips in ((3, 21, 2), (3, 21, 3), (4, 16, 2))
    ),
    # Its index answers one query a call, and takes and gives hashes as text.
    SearchEngine(
        name="threatexchange PDQIndex",
        needs=("threatexchange", "faiss"),
        form=HashBatch.to_hex,
        build=_pdq_index,
        search=lambda index, queries, _: [index.query(text) for text in queries],
        hits=_pdq_index_hits,
        suits=lambda case: (case.bits, case.limit) == (256, 31) and case.size <= 1_000_000,
    ),
    # It has no limit, only a number of neighbours: the nearest are what can be compared.
    SearchEngine(
        name=f"usearch exact, the nearest {NEAREST}",
        needs=("usearch",),
        form=_bytes,
        build=lambda entries, _: entries,
        search=_usearch,
        hits=_usearch_hits,
        suits=lambda case: case.size <= 1_000_000,
        agrees=nearest,
    ),
    SearchEngine(
        name="numpy bitwise_count",
        form=lambda batch: batch.words,
        build=lambda entries, _: entries,
        search=_numpy_search,
        hits=_numpy_hits,
        suits=lambda case: case.size <= 1_000_000,
    ),
)


def peers_for(case: Case) -> list[SearchEngine]:
    """Return the peers that are exact for a list and its limit."""
    return [peer for peer in PEERS if peer.suits(case)]


SINGLY, TOGETHER = WAYS = ("one at a time", "in one call")
"""How a list is asked: a service's way, and a batch job's."""


def asking(
    engine: SearchEngine, index: Any, batch: HashBatch, way: str, limit: int
) -> tuple[Callable[[], Any], Callable[[Any], Hits]]:
    """Return what to time, and what turns its result into hits; `way` is one of `WAYS`.

    Singly, every call asks for another hash. Asked for the same one over and over, a processor
    learns the way of the branches, and a short list looks several times as fast as it is.
    """
    if way == TOGETHER:
        return (
            partial(engine.search, index, engine.form(batch), limit),
            lambda raw: engine.hits(raw, limit),
        )
    singles = [engine.form(batch[row : row + 1]) for row in range(len(batch))]

    def together(raws: Any) -> Hits:
        found = [engine.hits(raw, limit) for raw in raws]
        for row, hits in enumerate(found):
            hits[:, 0] = row
        return np.concatenate(found)

    return lambda: [engine.search(index, query, limit) for query in singles], together
