"""Every comparison of `ratios.py`, those of searches apart."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import command_engines, hash_engines
from benchmarks.comparison import Pair, Sides
from benchmarks.flow_engines import FOLDER, IMAGE
from benchmarks.search_pairs import search_pairs
from benchmarks.workloads import draw_folder, elsewhere, jpeg, list_with, photo, photograph
from hashmatch import hash_image
from hashmatch.records.enums import LEVELS
from hashmatch.testing import flipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.command_engines import CommandEngine
    from benchmarks.flow_engines import FlowEngine
    from benchmarks.hash_engines import HashEngine, OrientationsEngine


def all_pairs() -> Iterator[Pair]:
    """Yield every pair. Nothing is drawn, built or imported before one is prepared."""
    yield from command_pairs()
    yield from hash_pairs()
    yield from orientation_pairs()
    yield from variant_pairs()
    yield from search_pairs()
    yield from flow_pairs()


def command_pairs() -> Iterator[Pair]:
    """Yield imports, help texts and first hashes in fresh interpreters."""
    for work, engines in (
        ("import", command_engines.IMPORT),
        ("--help", command_engines.HELP),
        ("import and hash one JPEG", command_engines.FIRST_HASH),
    ):
        ours, *peers = engines
        for peer in peers:
            yield Pair(work=work, peer=peer, prepare=partial(_commands, ours, peer))


def _commands(ours: CommandEngine, peer: CommandEngine, _: Path) -> Sides:
    def check(mine: str, other: str) -> None:
        assert mine  # that an engine prints what it is to print, the benchmarks assert
        assert peer not in command_engines.FIRST_HASH or mine == other

    return Sides(
        ours=partial(command_engines.run, ours),
        theirs=partial(command_engines.run, peer),
        check=check,
    )


def hash_pairs() -> Iterator[Pair]:
    """Yield hashes of arrays and of JPEGs; and what PDQ of a JPEG takes over decoding it."""
    cases: list[tuple[str, list[HashEngine], Callable[[], Any]]] = []
    for algorithm in ("pdq", "phash", "dhash", "ahash", "whash"):
        engines = hash_engines.array_engines(algorithm)
        cases.append((f"{algorithm}, 640 array", engines, partial(photo, "640")))
    for algorithm in ("pdq", "phash"):
        engines = hash_engines.array_engines(algorithm)
        cases.append((f"{algorithm}, 12 MP array", engines, partial(photo, "12MP")))
    pdq, phash = hash_engines.file_engines("pdq"), hash_engines.file_engines("phash")
    small, large = partial(jpeg, 1), partial(jpeg, 1, "12MP")
    cases.append(("pdq, 640 JPEG", pdq, small))
    cases.append(("pdq, 12 MP JPEG", pdq, large))
    cases.append(("phash, 640 JPEG", phash, small))
    cases.append(("a, p, d, whash, 640 JPEG", hash_engines.four_engines(), small))
    for work, (ours, *peers), data in cases:
        for peer in peers:
            yield Pair(work=work, peer=peer, prepare=partial(_hashes, ours, peer, data))
    floor = hash_engines.floor_engine()
    for work, data in (("pdq, 640 JPEG", small), ("pdq, 12 MP JPEG", large)):
        prepare = partial(_hashes, pdq[0], floor, data)
        yield Pair(work=work, peer=floor, prepare=prepare, is_floor=True)


def _hashes(ours: HashEngine, peer: HashEngine, data: Callable[[], Any], _: Path) -> Sides:
    def check(mine: Any, other: Any) -> None:
        assert hash_engines.same_hash(ours.answer(mine), peer.answer(other), peer.furthest)

    given = elsewhere(data)
    return Sides(ours=partial(ours.run, given), theirs=partial(peer.run, given), check=check)


def variant_pairs() -> Iterator[Pair]:
    """Yield each level of variants of a JPEG, next to the picture as it is."""
    alone = hash_engines.level_engine("none")
    for level in LEVELS[1:]:
        asked = hash_engines.level_engine(level)
        prepare = partial(_hashes, asked, alone, photograph)
        yield Pair(work=f"pdq {level}, 640 photograph", peer=alone, prepare=prepare, is_floor=True)


def orientation_pairs() -> Iterator[Pair]:
    """Yield PDQ in all eight orientations, of an array and of a JPEG."""
    for kind, engines, data in (
        ("array", hash_engines.orientations_of_arrays(), partial(photo, "640")),
        ("JPEG", hash_engines.orientations_of_files(), partial(jpeg, 1)),
    ):
        ours, *peers = engines
        for peer in peers:
            prepare = partial(_orientations, ours, peer, data)
            yield Pair(work=f"pdq in 8 orientations, 640 {kind}", peer=peer, prepare=prepare)


def _orientations(
    ours: OrientationsEngine, peer: OrientationsEngine, data: Callable[[], Any], _: Path
) -> Sides:
    def check(mine: Any, other: Any) -> None:
        answers = ours.answer(mine), peer.answer(other)
        assert hash_engines.same_orientations(*answers, peer.furthest)

    given = elsewhere(data)
    return Sides(ours=partial(ours.run, given), theirs=partial(peer.run, given), check=check)


def flow_pairs() -> Iterator[Pair]:
    """Yield the whole way, with lists loaded beforehand."""
    for work, engines, prepare in (
        ("check a JPEG against 100,000", IMAGE, _image),
        ("scan a folder of 100", FOLDER, _folder),
    ):
        ours, *peers = engines
        for peer in peers:
            yield Pair(work=work, peer=peer, prepare=partial(prepare, ours, peer))


def _image(ours: FlowEngine, peer: FlowEngine, _: Path) -> Sides:
    known = list_with([flipped(hash_image(jpeg(1)).hashes, 12, seed=1)], 100_000)

    def check(mine: Any, other: Any) -> None:
        assert ours.answer(mine) == peer.answer(other) == {("made-up-0", 12)}

    return Sides(
        ours=partial(ours.ready(known), jpeg(1)),
        theirs=partial(peer.ready(known), jpeg(1)),
        check=check,
    )


def _folder(ours: FlowEngine, peer: FlowEngine, folder: Path) -> Sides:
    known, expected = draw_folder(folder)

    def check(mine: Any, other: Any) -> None:
        assert ours.answer(mine) == peer.answer(other) == expected

    return Sides(
        ours=partial(ours.ready(known), folder),
        theirs=partial(peer.ready(known), folder),
        check=check,
    )
