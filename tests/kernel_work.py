"""All that kernels are for, so that none is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import hashmatch as hm
from cli_tools import IMAGES, LISTS
from hashmatch import registry
from hashmatch.records.video_columns import VIDEO_SPEC
from hashmatch.testing import hash_list, picture, random_hashes

if TYPE_CHECKING:
    from pathlib import Path


def ask_everything(folder: Path) -> None:
    """Ask indexes of each kind, long and short, built, changed and opened, all there is to ask."""
    hashers = [registry.hasher(name) for name in registry.names(registry.HASHERS)]
    hashers = [one for one in hashers if one.spec != VIDEO_SPEC]  # whose frames are indexed as PDQ
    for one in {(one.spec.bits, one.max_distance): one for one in hashers}.values():
        for size in (0, 3, 200, 30_000):
            known = random_hashes(one.spec, size, seed=size)
            of_list = hm.HashIndex.build(hash_list(known), one.max_distance)
            of_list.save(folder / "index")
            opened = hm.HashIndex.open(folder / "index")
            changed = opened.with_changes(known[:100], removed=range(min(size, 2)))
            for index in (hm.HashIndex.build(known), of_list, opened, changed):
                ask(index, random_hashes(one.spec, 100, seed=1), one.max_distance)


def ask(index: hm.HashIndex, queries: hm.HashBatch, limit: int) -> None:
    for some in (queries[:1], queries[:64], queries):
        for within in (limit, index.spec.bits) if len(index) < 1000 else (limit,):
            index.search(some, within)
            index.search(some, within, most=2)
            assert sum(map(len, index.stream(some, within))) >= 0
        index.nearest(some, 3)
        index.join(some, limit)
        index.join(hm.HashIndex.build(some), limit)
    if len(index) < 1000:
        index.self_join(limit)


def do_everything(folder: Path) -> None:
    """Hash every kind of picture in every way, and ask indexes all there is to ask."""
    algorithms = registry.names(registry.HASHERS)
    pixels = [name for name in algorithms if registry.hasher(name).reads == "pixels"]
    for path in sorted(path for path in IMAGES.rglob("*") if path.is_file()):
        for algorithm in pixels:
            hm.hash_image(path, algorithm, orientations=True)
        hm.hash_all(path, algorithms, variants="thorough")
    places = np.arange(200) - 99.5
    is_disc = np.hypot(places[:, None], places)[..., None] < 100
    avatar = np.where(is_disc, picture(5, 200, 200), np.uint8(0))
    hm.hash_all(avatar, pixels, variants="thorough")
    known = hm.read_list(LISTS / "demo-pdq.csv")
    for limit in (0, 5, known.spec.bits):
        hm.Matcher(known, max_distance=limit).look_up(known.hashes[:2])
    ask_everything(folder)
