"""Compiles every kernel that hashing and searching use, so that no later start has to."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch import registry
from hashmatch._drawing import hash_list, picture, random_hashes
from hashmatch.decode.video_formats import Layout
from hashmatch.hashing.hash_image import hash_all, hash_image
from hashmatch.index.clusters import MEMBERS
from hashmatch.index.hash_index import HashIndex
from hashmatch.index.segment import FEW
from hashmatch.lists.degenerate import degenerate
from hashmatch.matching.matcher import Matcher
from hashmatch.records.hashes import HashBatch
from hashmatch.video.hash_video import hash_frame

if TYPE_CHECKING:
    from hashmatch.records.hashes import HashSpec

ENTRIES = 100_000
"""Enough for a list to be searched by bands."""
SEED = 20260101


class Warmed(NamedTuple):
    """What `warm` did.

    Parameters
    ----------
    compiled : int
        Kernels that were compiled now.
    folders : tuple of Path
        Where the kernels that this process uses are kept.
    is_kept : bool
        Whether all of them are.
    seconds : float
        How long it took, on the wall's clock.
    """

    compiled: int
    folders: tuple[Path, ...]
    is_kept: bool
    seconds: float


def warm() -> Warmed:
    """Compile all that hashing and searching need, unless it is compiled, and keep it on disk.

    The first hash and the first search of an installation compile their kernels, which takes some
    seconds. Called when a container image is built, this spares every container those seconds. It
    hashes pictures that it draws, and searches lists that it makes up, with every hasher there is.

    Returns
    -------
    Warmed
        Kernels are kept for one version of hashmatch, Python and numba and one kind of processor;
        on another one they are compiled again. `hashmatch._kernels.jit` says where they may be.

    Raises
    ------
    UnknownPlugin
        If an installed hasher cannot be loaded.

    Examples
    --------
    >>> import hashmatch as hm
    >>> warmed = hm.warm()
    >>> hm.warm().compiled
    0
    """
    from numba import config

    from hashmatch._kernels.jit import kernels

    def compiled() -> int:
        return sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels)

    start, before = time.perf_counter(), compiled()
    if not config.DISABLE_JIT:  # without a compiler it would take minutes, and keep nothing
        names = registry.names(registry.HASHERS)
        _hash([name for name in names if registry.hasher(name).reads == "pixels"])
        _hash_frames()
        # One search for all hashers whose hashes and limits are alike: their kernels are the same.
        # Videos are searched by the PDQ of their frames.
        hashers = [one for one in map(registry.hasher, names) if one.reads != "video"]
        alike = {(one.spec.bits, one.max_distance): one for one in hashers}
        for (_, limit), one in sorted(alike.items()):
            _search(one.spec, limit)
    kept = {kernel.stats.cache_path for kernel in kernels if kernel.signatures}
    return Warmed(
        compiled=compiled() - before,
        folders=tuple(Path(folder) for folder in sorted(kept - {None})),
        is_kept=None not in kept,
        seconds=time.perf_counter() - start,
    )


def _hash(algorithms: list[str]) -> None:
    """Hash large, small, framed, round and covered pictures and a screen, in all variants."""
    from PIL import Image

    places = np.arange(240) - 119.5
    is_disc = np.hypot(places[:, None], places)[..., None] < 120
    avatar = np.where(is_disc, picture(SEED, 240, 240), np.uint8(255))
    screen = np.full((400, 300, 3), 240, np.uint8)
    screen[100:300, 50:250] = picture(SEED, 200, 200)
    covered = picture(SEED, 360, 360)
    covered[40:180, 60:200] = 255  # something of one colour lies over it
    for pixels in (avatar, screen, covered):
        hash_all(pixels, algorithms, variants="thorough")
    for width, height in ((1280, 960), (96, 72)):
        pixels = picture(SEED, width, height)
        pixels[: height // 8] = 255  # a bar, so that there is something to trim
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG")
        for image in (pixels, file.getvalue()):
            hash_all(image, algorithms, variants="thorough")
            for algorithm in algorithms:
                hash_image(image, algorithm)
                hash_image(image, algorithm, orientations=True)


def _hash_frames() -> None:
    """Hash frames of videos: at once, and where the hash is in doubt."""
    luma = np.ascontiguousarray(picture(SEED, 160, 96)[:, :, 0])
    chroma = np.full((48, 80), 128, np.uint8)
    for y in (luma, np.full_like(luma, 128)):
        hash_frame(Layout.HALVED, False, [y, chroma, chroma])
    hash_frame(Layout.RGB, False, [picture(SEED, 160, 96)])


def _search(spec: HashSpec, limit: int) -> None:
    """Ask short and long lists all that an index can be asked, within a limit and beyond it.

    No index file is made: its arrays are of the same kinds as those in memory, so that kernels are.
    """
    known, other = random_hashes(spec, ENTRIES, SEED), random_hashes(spec, 2 * FEW, SEED + 1)
    index = HashIndex.build(known, limit)
    for some in (index, index.with_changes(other, removed=[0])):
        for queries in (other[:1], other):  # each its own way, see `hashmatch.index.segment`
            some.search(queries)
            some.nearest(queries, 1)
    crowded = HashIndex.build(HashBatch.concatenate([known, *[known[:1]] * MEMBERS]), limit)
    crowded.search(known[:1])  # of which the index has a cluster
    short = HashIndex.build(known[:100])
    for within in range(0, spec.bits + 1, 8):  # the kernel is another one for some limits
        for some in (short, index):
            some.search(other[:1], within)
    Matcher(hash_list(known[:100])).look_up(other)
    degenerate(other)
