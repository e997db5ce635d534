"""Query variants: what is asked about a picture beside itself, and that it finds what was done."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

import naive
from hashmatch import registry
from hashmatch._kernels import continued, framings
from hashmatch.errors import UsageError
from hashmatch.hashers.pdq import Pdq
from hashmatch.interfaces import FramedHasher, Framing
from hashmatch.testing import picture
from hashmatch.variants import LEVELS, ask
from hashmatch.variants.frames import crops_and_turns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch.records.hashes import HashBatch

PDQ = Pdq()


def distances(hashes: HashBatch, other: HashBatch) -> NDArray[np.int64]:
    found: NDArray[np.int64] = (
        np.bitwise_count(hashes.words ^ other.words).sum(axis=1).astype(np.int64)
    )
    return found


def nearest(pixels: NDArray[np.uint8], original: NDArray[np.uint8], level: str) -> tuple[int, str]:
    asked = ask(PDQ, np.ascontiguousarray(pixels), level)
    found = distances(asked.hashes, PDQ.hash(original)[0])
    return int(found.min()), asked.names[int(found.argmin())]


def test_levels_contain_each_other_and_begin_with_the_known_hashes() -> None:
    pixels = picture(3)
    framed = np.pad(pixels, ((20, 20), (20, 20), (0, 0)))
    asked = [ask(PDQ, framed, level) for level in LEVELS]
    for less, more in itertools.pairwise(asked):
        rows = dict(zip(more.names, more.hashes.words.tolist(), strict=True))
        assert len(rows) == len(more.names) == len(more.hashes)
        for name, words in zip(less.names, less.hashes.words.tolist(), strict=True):
            assert rows[name] == words
        assert len(less.names) < len(more.names)
    upright, quality = PDQ.hash(framed)
    assert (asked[0].names, asked[0].hashes) == (("upright",), upright)
    assert asked[3].hashes[:1] == upright
    assert asked[3].hashes[:8] == PDQ.hash_orientations(framed)[0]
    assert {a.quality for a in asked} == {quality}


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(UsageError, match="'all' is not one of none, orientations"):
        ask(PDQ, picture(1), "all")


def test_the_same_picture_asks_the_same() -> None:
    first, second = (ask(PDQ, picture(4), "thorough") for _ in range(2))
    assert first.names == second.names
    assert first.hashes == second.hashes


def test_small_pictures_continued_and_framed_equal_the_oracle() -> None:
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (70, 41, 3), dtype=np.uint8)
    small = np.empty((16, 16), np.float32)
    continued.shrunk(pixels, small)
    grey = naive.small_grey(pixels, 16)
    np.testing.assert_allclose(small, grey, rtol=1e-5)


if os.environ.get("NUMBA_DISABLE_JIT"):
    pytest.skip("too slow uncompiled", allow_module_level=True)


@pytest.mark.parametrize("algorithm", ["pdq", "phash", "md5"])
@pytest.mark.parametrize("level", LEVELS)
def test_every_hasher_has_every_level(algorithm: str, level: str) -> None:
    hasher = registry.hasher(algorithm)
    data = picture(2) if hasher.reads == "pixels" else np.zeros(9, np.uint8)
    asked = ask(hasher, data, level)
    assert asked.hashes.spec == hasher.spec
    assert (len(asked.names) == 1) is (level == "none" or algorithm == "md5")
    assert asked.hashes[:1] == hasher.hash(data)[0]


def test_pdq_is_framed() -> None:
    assert isinstance(PDQ, FramedHasher)
    assert not isinstance(registry.hasher("phash"), FramedHasher)


def test_the_whole_picture_as_a_frame_is_near_its_hash() -> None:
    for seed in range(8):
        pixels = picture(seed)
        framed = PDQ.hash_framings(pixels, (Framing(), Framing(turn=1e-9)))
        assert distances(framed, PDQ.hash(pixels)[0]).max() <= 24


@pytest.mark.parametrize("cut", [(0.02, 0.02), (0.0, 0.05), (0.05, 0.0), (0.0, 0.1)])
def test_crops_are_put_back(cut: tuple[float, float]) -> None:
    before, after = cut
    for seed in range(6):
        pixels = picture(seed)
        h, w = pixels.shape[:2]
        crop = pixels[round(h * before) : h - round(h * after), round(w * before) :]
        assert nearest(crop, pixels, "thorough")[0] <= nearest(crop, pixels, "none")[0]


def test_borders_are_trimmed() -> None:
    pixels = picture(6)
    bordered = np.pad(pixels, ((17, 17), (11, 11), (0, 0)), constant_values=255)
    assert nearest(bordered, pixels, "standard") == (0, "trim")


@pytest.mark.parametrize("shape", [(64, 64), (64, 300), (65, 66)])
@pytest.mark.parametrize("value", [0, 255])
def test_degenerate_pictures_are_asked_about(shape: tuple[int, int], value: int) -> None:
    flat = np.full((*shape, 3), value, np.uint8)
    dot, frame, lines = flat.copy(), flat.copy(), flat.copy()
    dot[-1, -1] = 128
    frame[1:-1, 1:-1] = 100
    lines[::2] = 90
    for pixels in (flat, dot, frame, lines):
        for hasher in (PDQ, registry.hasher("dhash")):
            asked = ask(hasher, pixels, "thorough")
            assert len(set(asked.names)) == len(asked.names) == len(asked.hashes)


def test_frames_lie_around_the_picture() -> None:
    wanted = crops_and_turns(1.5)
    assert len(set(wanted.values())) == len(wanted)
    for framing in wanted.values():
        assert min(framing[:4]) >= 0.0
        assert framings.axis(0.0, 1.0, 8, 1).shape == (16, 10)
