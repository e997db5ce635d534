"""Searchers: every entry of a list within 31 bits of a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.engines import OURS, Engine
from benchmarks.workloads import LIMIT, PDQ, QUERIES
from hashmatch import HashBatch, HashIndex

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Hits = list[tuple[int, int, int]]

TOGETHER, SINGLY = WAYS = (f"{QUERIES} in one call", f"{QUERIES} calls of one")
"""How a list is asked: a batch job's way, and a service's."""


@dataclass(frozen=True, kw_only=True)
class SearchEngine(Engine):
    """`build` and `search` are timed, apart; `form` and `hits` are not."""

    form: Callable[[HashBatch], Any]
    build: Callable[[Any], Any]
    search: Callable[[Any, Any], Any]
    hits: Callable[[Any], Hits]
    largest: int = 1_000_000
    """The longest list that it is measured on."""


def _bytes(batch: HashBatch) -> NDArray[np.uint8]:
    """Return hashes as faiss wants them; all sides of a comparison have the same byte order."""
    return batch.words.astype(">u8").view(np.uint8).reshape(len(batch), -1)


def _faiss() -> Any:
    import faiss

    faiss.omp_set_num_threads(1)  # one thread each: otherwise the number of cores is measured
    return faiss


def _flat(entries: Any) -> Any:
    index = _faiss().IndexBinaryFlat(PDQ.bits)
    index.add(entries)
    return index


def _multi_hash(entries: Any) -> Any:
    index = _faiss().IndexBinaryMultiHash(PDQ.bits, 16, 16)
    # 31 = 16 * 1 + 15: of 16 parts one at least has at most one flipped bit, so this is exact.
    index.nflip = 1
    index.add(entries)
    return index


def _range_search(index: Any, queries: Any) -> Any:
    return index.range_search(queries, LIMIT + 1)  # faiss leaves its radius out


def _faiss_hits(raw: Any) -> Hits:
    limits, distance, entry = raw
    query = np.repeat(np.arange(len(limits) - 1), np.diff(limits.astype(np.int64)))
    return triples(query, entry, distance)


def _threatexchange(entries: list[str]) -> Any:
    from threatexchange.signal_type.pdq.pdq_index import PDQIndex

    _faiss()
    return PDQIndex((text, row) for row, text in enumerate(entries))


def _numpy_search(entries: Any, queries: Any) -> Any:
    found = []
    for query in queries:
        distance = np.bitwise_count(entries ^ query).sum(axis=1)
        rows = np.nonzero(distance <= LIMIT)[0]
        found.append((rows, distance[rows]))
    return found


def asking(
    engine: SearchEngine, index: Any, batch: HashBatch, way: str
) -> tuple[Callable[[], Any], Callable[[Any], Hits]]:
    """Return what to time, and what turns its result into hits; `way` is one of `WAYS`.

    Singly, every call asks for another hash. Asked for the same one over and over, a processor
    learns the way of the branches, and a short list looks several times as fast as it is.
    """
    if way == TOGETHER:
        queries = engine.form(batch)
        return lambda: engine.search(index, queries), engine.hits
    singles = [engine.form(batch[row : row + 1]) for row in range(len(batch))]
    return (
        lambda: [engine.search(index, query) for query in singles],
        lambda raws: [(q, e, d) for q, raw in enumerate(raws) for _, e, d in engine.hits(raw)],
    )


def triples(query: Any, entry: Any, distance: Any) -> Hits:
    """Return parallel arrays as sorted (query, entry, distance)."""
    columns = (np.asarray(column, np.int64).tolist() for column in (query, entry, distance))
    return sorted(zip(*columns, strict=True))


ENGINES = (
    SearchEngine(
        name=OURS,
        form=lambda batch: batch,
        build=lambda batch: HashIndex.build(batch, LIMIT),
        search=lambda index, queries: index.search(queries, LIMIT),
        hits=lambda raw: triples(raw.query, raw.entry, raw.distance),
    ),
    SearchEngine(
        name="faiss IndexBinaryFlat",
        needs=("faiss",),
        form=_bytes,
        build=_flat,
        search=_range_search,
        hits=_faiss_hits,
    ),
    SearchEngine(
        name="faiss IndexBinaryMultiHash 16x16",
        needs=("faiss",),
        form=_bytes,
        build=_multi_hash,
        search=_range_search,
        hits=_faiss_hits,
    ),
    # Its index answers one query a call, and takes and gives hashes as text.
    SearchEngine(
        name="threatexchange PDQIndex",
        needs=("threatexchange", "faiss"),
        form=HashBatch.to_hex,
        build=_threatexchange,
        search=lambda index, queries: [index.query(text) for text in queries],
        hits=lambda raw: sorted(
            (query, match.metadata, match.similarity_info.distance)
            for query, matches in enumerate(raw)
            for match in matches
        ),
        largest=100_000,
    ),
    SearchEngine(
        name="numpy bitwise_count",
        form=lambda batch: batch.words,
        build=lambda entries: entries,
        search=_numpy_search,
        hits=lambda raw: sorted(
            (query, int(row), int(distance))
            for query, found in enumerate(raw)
            for row, distance in zip(*found, strict=True)
        ),
    ),
)
