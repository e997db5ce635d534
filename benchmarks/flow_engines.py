"""The whole way: one image, or one folder, against a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hashmatch as hm
from benchmarks.engines import OURS, Engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hashmatch import HashList

SURFACE = "public_post"


@dataclass(frozen=True, kw_only=True)
class FlowEngine(Engine):
    """`ready` takes a list and returns what is timed; `answer` turns its result into a set."""

    ready: Callable[[HashList], Callable[[Any], Any]]
    answer: Callable[[Any], set[Any]]


def _our_check(known: HashList) -> Callable[[bytes], Any]:
    matcher = hm.Matcher(known)
    return lambda data: matcher.check(data, surface=SURFACE, item_id="image")


def _our_scan(known: HashList) -> Callable[[Path], Any]:
    matcher = hm.Matcher(known)
    return lambda folder: list(hm.scan_source(str(folder), matcher, surface=SURFACE))


def _entries(result: Any) -> set[tuple[str, int]]:
    matches = result.matches if isinstance(result, hm.ReviewRecord) else ()
    return {(match.entry, match.distance) for match in matches}


def _peer_index(known: HashList) -> Any:
    import faiss
    from threatexchange.signal_type.pdq.pdq_index import PDQIndex

    faiss.omp_set_num_threads(1)
    names = (entry.external_id for entry in known.entries)
    return PDQIndex(zip(known.hashes.to_hex(), names, strict=True))


def _peer_check(known: HashList) -> Callable[[bytes], Any]:
    from threatexchange.signal_type.pdq.signal import PdqSignal

    index = _peer_index(known)

    def run(data: bytes) -> Any:
        text = PdqSignal.hash_from_bytes(data)
        return index.query(text) if text else []  # "" is its way to say that quality is below 50

    return run


def _peer_scan(known: HashList) -> Callable[[Path], Any]:
    check = _peer_check(known)
    return lambda folder: [
        (path.name, check(path.read_bytes())) for path in sorted(folder.iterdir())
    ]


IMAGE = (
    FlowEngine(name=OURS, ready=_our_check, answer=_entries),
    FlowEngine(
        name="threatexchange",
        needs=("threatexchange", "faiss", "pdqhash"),
        ready=_peer_check,
        answer=lambda raw: {(match.metadata, match.similarity_info.distance) for match in raw},
    ),
)

FOLDER = (
    FlowEngine(
        name=OURS,
        ready=_our_scan,
        answer=lambda raw: {
            (result.item.key, entry)
            for result in raw
            if isinstance(result, hm.ReviewRecord)
            for entry, _ in _entries(result)
        },
    ),
    FlowEngine(
        name="threatexchange",
        needs=("threatexchange", "faiss", "pdqhash"),
        ready=_peer_scan,
        answer=lambda raw: {(name, match.metadata) for name, found in raw for match in found},
    ),
)
