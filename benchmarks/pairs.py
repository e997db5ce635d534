"""Every comparison of `ratios.py`: a piece of work, ours and a peer's way to do it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import command_engines, hash_engines
from benchmarks.flow_engines import FOLDER, IMAGE
from benchmarks.search_engines import ENGINES, WAYS, asking
from benchmarks.workloads import draw_folder, jpeg, list_with, photo, planted
from hashmatch import hash_image
from hashmatch.testing import flipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.engines import Engine
    from benchmarks.flow_engines import FlowEngine
    from hashmatch import HashList


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two ways to do one work; `check` raises AssertionError if their answers differ."""

    work: str
    peer: Engine
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    check: Callable[[Any, Any], None]


def all_pairs() -> Iterator[Pair | Engine]:
    """Yield the pairs, made as they are asked for; an engine alone is one not installed."""
    # New interpreters first, while this one is small: it is copied to start them.
    yield from command_pairs()
    yield from hash_pairs()
    yield from search_pairs()
    in_list = [flipped(hash_image(jpeg(1)).hashes, 12, seed=1)]
    image = "check a JPEG against 100,000"
    yield from flow_pairs(image, IMAGE, list_with(in_list, 100_000), jpeg(1), {("made-up-0", 12)})
    with tempfile.TemporaryDirectory() as folder:
        known, expected = draw_folder(Path(folder))
        yield from flow_pairs("scan a folder of 100", FOLDER, known, Path(folder), expected)


def command_pairs() -> Iterator[Pair | Engine]:
    """Yield imports, help texts and first hashes in fresh interpreters."""
    for work, engines in (
        ("import", command_engines.IMPORT),
        ("--help", command_engines.HELP),
        ("import and hash one JPEG", command_engines.FIRST_HASH),
    ):
        ours, *peers = engines
        first_hash = engines is command_engines.FIRST_HASH

        def check(mine: str, other: str, first_hash: bool = first_hash) -> None:
            assert mine  # that an engine prints what it is to print, the benchmarks assert
            assert not first_hash or mine == other

        for peer in peers:
            yield (
                peer
                if peer.missing
                else Pair(
                    work=work,
                    peer=peer,
                    ours=partial(command_engines.run, ours),
                    theirs=partial(command_engines.run, peer),
                    check=check,
                )
            )


def hash_pairs() -> Iterator[Pair | Engine]:
    """Yield hashes of arrays and of JPEGs."""
    cases: list[tuple[str, list[hash_engines.HashEngine], Any]] = []
    for algorithm in ("pdq", "phash", "dhash", "ahash", "whash"):
        cases.append((f"{algorithm}, 640 array", hash_engines.array_engines(algorithm), "640"))
    cases.append(("pdq, 12 MP array", hash_engines.array_engines("pdq"), "12MP"))
    cases.append(("phash, 12 MP array", hash_engines.array_engines("phash"), "12MP"))
    for algorithm in ("pdq", "phash"):
        cases.append((f"{algorithm}, 640 JPEG", hash_engines.file_engines(algorithm), None))
    cases.append(("a, p, d, whash, 640 JPEG", hash_engines.four_engines(), None))
    for work, engines, size in cases:
        data = jpeg(1) if size is None else photo(size)
        ours, *peers = engines
        for peer in peers:

            def check(
                mine: Any,
                other: Any,
                ours: hash_engines.HashEngine = ours,
                peer: hash_engines.HashEngine = peer,
            ) -> None:
                answers = ours.answer(mine), peer.answer(other)
                assert hash_engines.same_hash(*answers, peer.furthest)

            yield (
                peer
                if peer.missing
                else Pair(
                    work=work,
                    peer=peer,
                    ours=partial(ours.run, data),
                    theirs=partial(peer.run, data),
                    check=check,
                )
            )


def search_pairs() -> Iterator[Pair | Engine]:
    """Yield searches for 100 hashes, both ways, with the index built beforehand."""
    ours = ENGINES[0]
    for size in (10_000, 100_000, 1_000_000):
        work = planted(size)
        for peer in ENGINES[1:]:
            if size > peer.largest:
                continue
            if peer.missing:
                yield peer
                continue
            indexes = [engine.build(engine.form(work.known)) for engine in (ours, peer)]
            for way in WAYS:
                our_run, our_hits = asking(ours, indexes[0], work.queries, way)
                peer_run, peer_hits = asking(peer, indexes[1], work.queries, way)

                def check(
                    mine: Any,
                    other: Any,
                    our_hits: Callable[[Any], Any] = our_hits,
                    peer_hits: Callable[[Any], Any] = peer_hits,
                    expected: Any = work.hits,
                ) -> None:
                    assert our_hits(mine) == peer_hits(other) == expected

                yield Pair(
                    work=f"search {size:,}, {way}",
                    peer=peer,
                    ours=our_run,
                    theirs=peer_run,
                    check=check,
                )


def flow_pairs(
    work: str, engines: tuple[FlowEngine, ...], known: HashList, data: Any, expected: set[Any]
) -> Iterator[Pair | Engine]:
    """Yield the whole way, with lists loaded beforehand."""
    ours, *peers = engines
    for peer in peers:

        def check(mine: Any, other: Any, peer: FlowEngine = peer) -> None:
            assert ours.answer(mine) == peer.answer(other) == expected

        yield (
            peer
            if peer.missing
            else Pair(
                work=work,
                peer=peer,
                ours=partial(ours.ready(known), data),
                theirs=partial(peer.ready(known), data),
                check=check,
            )
        )
