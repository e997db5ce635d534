"""Grey, resize and the four small hashes against the oracle, Pillow and imagehash, bit for bit."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import imagehash
import numpy as np
import pytest
from PIL import Image

import hashmatch as hm
import naive
from conftest import JIT, PHOTOGRAPHS, photograph
from hashmatch import registry
from hashmatch._kernels import resample
from hashmatch._kernels.resample import LARGEST_KEPT, ONE, grey_picture, lanczos
from hashmatch.hashers import _imagehash
from hashmatch.testing import picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

REFERENCE = {
    "ahash": imagehash.average_hash,
    "dhash": imagehash.dhash,
    "phash": imagehash.phash,
    "whash": imagehash.whash,
}
WANTED = [(8, 8), (9, 8), (32, 32), (16, 16), (64, 64)]
"""Widths and heights to resize to: those of the hashes."""


def pillow(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    grey = Image.fromarray(pixels).convert("L")
    return np.asarray(grey.resize((width, height), Image.Resampling.LANCZOS))


def arrays(count: int, largest: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Yield noise, black and white, and low contrast: tiny, square, wide and tall."""
    rng = np.random.default_rng(seed)
    limits = [(6, 6), (largest, largest), (40, largest), (largest, 40), (2, largest), (largest, 2)]
    for number in range(count):
        high, wide = limits[number % len(limits)]
        shape = (int(rng.integers(1, high + 1)), int(rng.integers(1, wide + 1)), 3)
        noise = rng.integers(0, 256, shape, dtype=np.uint8)
        yield [noise, (noise // 128) * np.uint8(255), 120 + noise // 64][number % 3]


def hashes(pixels: NDArray[np.uint8]) -> dict[str, str]:
    return {name: registry.hasher(name).hash(pixels)[0].to_hex()[0] for name in REFERENCE}


def references(pixels: NDArray[np.uint8]) -> dict[str, str]:
    return {name: str(function(Image.fromarray(pixels))) for name, function in REFERENCE.items()}


def crops_and_sizes(
    pixels: NDArray[np.uint8], count: int, seed: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield crops of a photograph; a third are resized to any shape, enlarged ones among them."""
    rng = np.random.default_rng(seed)
    height, width = pixels.shape[:2]
    for number in range(count):
        # Most are small: imagehash needs its time. The smallest are enlarged by every hash.
        high, wide = [(300, 300), (400, 90), (90, 400), (33, 33)][number % 4]
        h = int(rng.integers(1, min(high, height) + 1))
        w = int(rng.integers(1, min(wide, width) + 1))
        y, x = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
        crop = np.ascontiguousarray(pixels[y : y + h, x : x + w])
        if number % 3 == 0:
            size = tuple(rng.integers(1, 256, 2).tolist())
            crop = np.asarray(Image.fromarray(crop).resize(size))
        yield crop


@pytest.mark.parametrize("reduced", [1, 8, 9, 32, 128])
def test_weights_equal_the_oracle(reduced: int) -> None:
    sizes = [*range(1, 150), 640, 1000, 4000] if JIT else [1, 7, 8, 9, 50, 129]
    for size in sizes:
        spans, weights = lanczos(size, reduced)
        for o, (first, some) in enumerate(naive.lanczos(size, reduced)):
            assert spans[o].tolist() == [first, first + len(some)], (size, o)
            assert weights[o, : len(some)].tolist() == some, (size, o)
            assert not weights[o, len(some) :].any()


@pytest.mark.parametrize("size", [1, 2, 8, 9, 32, 64])
def test_weights_of_an_unchanged_size_change_nothing(size: int) -> None:
    spans, weights = lanczos(size, size)
    for o in range(size):
        whole = np.zeros(size, np.int64)
        whole[spans[o, 0] : spans[o, 1]] = weights[o, : spans[o, 1] - spans[o, 0]]
        assert whole.tolist() == [ONE * (x == o) for x in range(size)]


def test_weights_of_huge_sizes_are_not_kept() -> None:
    assert lanczos(640, 8)[1] is lanczos(640, 8)[1]
    assert lanczos(LARGEST_KEPT + 1, 1)[1] is not lanczos(LARGEST_KEPT + 1, 1)[1]


def test_no_sum_overflows() -> None:
    for size in [*range(1, 200), 1000, 65535] if JIT else [1, 5, 30]:
        for reduced in (8, 9, 32, 64):
            absolute = np.abs(lanczos(size, reduced)[1].astype(np.int64)).sum(axis=1)
            assert absolute.max() * 255 + ONE // 2 < 2**31


@pytest.mark.skipif(not JIT, reason="16 million colours")
def test_grey_equals_pillow_for_every_colour() -> None:
    reds = np.arange(0, 256, dtype=np.uint8)
    for blues in np.split(np.arange(256, dtype=np.uint8), 8):
        cube = np.stack(np.meshgrid(reds, reds, blues, indexing="ij"), axis=-1)
        pixels = np.ascontiguousarray(cube.reshape(512, -1, 3))
        ours = np.empty(pixels.shape[:2], np.uint8)
        resample.grey(pixels, 0, len(pixels), ours)
        assert np.array_equal(ours, np.asarray(Image.fromarray(pixels).convert("L")))


def test_resize_equals_the_oracle() -> None:
    for pixels in arrays(60 if JIT else 6, 60 if JIT else 24, seed=1):
        for width, height in WANTED[:3] if JIT else WANTED[:2]:
            expected = naive.resize(naive.grey(pixels), width, height)
            assert grey_picture(pixels, width, height).tolist() == expected, pixels.shape


def test_resize_equals_pillow() -> None:
    for number, pixels in enumerate(arrays(1500 if JIT else 12, 300 if JIT else 24, seed=2)):
        width, height = WANTED[number % len(WANTED)]
        if number % 7 == 0:
            height = pixels.shape[0]  # a pass that Pillow leaves out
        if number % 11 == 0:
            width = pixels.shape[1]
        expected = pillow(pixels, width, height)
        assert np.array_equal(grey_picture(pixels, width, height), expected), pixels.shape


def test_the_order_of_passes_turns_where_pillows_does() -> None:
    rng = np.random.default_rng(3)
    wanted = 8
    turning = 0
    for width in (1, 5, 7, 8, 9, 12, 20):
        for height in range(1, 8 + 2 * max(0, width - wanted) + 3):
            pixels = rng.integers(0, 2, (height, width, 3), dtype=np.uint8) * np.uint8(255)
            arguments = (pixels, *lanczos(width, wanted), *lanczos(height, wanted))
            one, other = (np.empty((wanted, wanted), np.uint8) for _ in range(2))
            resample.resize_rows_first(*arguments, one)
            resample.resize_columns_first(*arguments, other)
            turning += not np.array_equal(one, other)  # else this picture says nothing
            expected = pillow(pixels, wanted, wanted)
            assert np.array_equal(grey_picture(pixels, wanted, wanted), expected), (height, width)
    assert turning > 50


@pytest.mark.skipif(not JIT, reason="too large to run uncompiled")
def test_large_and_read_only_pictures() -> None:
    rng = np.random.default_rng(4)
    for shape in [(700, 4096, 3), (2100, 640, 3), (1, 70_000, 3), (70_000, 1, 3)]:
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        pixels.flags.writeable = False
        for width, height in [(32, 32), (9, 8)]:
            expected = pillow(pixels, width, height)
            assert np.array_equal(grey_picture(pixels, width, height), expected), shape


def test_hashes_equal_the_oracle_and_imagehash() -> None:
    for pixels in arrays(60 if JIT else 3, 80 if JIT else 20, seed=5):
        expected = references(pixels)
        assert hashes(pixels) == expected, pixels.shape
        for name in REFERENCE:
            assert getattr(naive, name)(pixels) in {expected[name], None}, pixels.shape


@pytest.mark.skipif(not JIT, reason="too large to run uncompiled")
@pytest.mark.parametrize("key", PHOTOGRAPHS)
def test_hashes_equal_imagehash_on_crops_and_sizes_of(key: str) -> None:
    pixels = hm.decode_image(photograph(key)).pixels
    for some in crops_and_sizes(pixels, 20, seed=PHOTOGRAPHS.index(key)):
        assert hashes(some) == references(some), some.shape


@pytest.mark.slow
@pytest.mark.parametrize("key", PHOTOGRAPHS)
def test_hashes_equal_imagehash_on_many_crops_and_sizes_of(key: str) -> None:
    pixels = hm.decode_image(photograph(key)).pixels
    for some in itertools.chain([pixels], crops_and_sizes(pixels, 1000, seed=6)):
        assert hashes(some) == references(some), some.shape


@pytest.mark.slow
def test_resize_equals_pillow_for_many_shapes() -> None:
    for number, pixels in enumerate(arrays(30_000, 700, seed=7)):
        width, height = WANTED[number % len(WANTED)]
        expected = pillow(pixels, width, height)
        assert np.array_equal(grey_picture(pixels, width, height), expected), pixels.shape


def symmetric() -> dict[str, NDArray[np.uint8]]:
    """Return pictures whose coefficients or blocks are equal in the middle."""
    side = 40
    y, x = np.mgrid[0:side, 0:side]
    planes = {
        "flat": np.full((side, side), 77),
        "chequers": (x // 5 + y // 5) % 2 * 255,
        "along": x * 6,
        "down": y * 6,
        "transposed": (x + y) * 3,
        "point": (x == 20) & (y == 20),
    }
    return {
        name: np.repeat(plane.astype(np.uint8)[..., None], 3, axis=2)
        for name, plane in planes.items()
    }


@pytest.mark.parametrize("name", symmetric())
def test_ties_are_decided_as_imagehash_decides_them(name: str) -> None:
    pixels = symmetric()[name]
    assert hashes(pixels) == references(pixels)


def test_imagehash_is_asked_about_ties_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    for module in ("phash", "whash"):

        def ask(name: str, small: NDArray[np.uint8]) -> NDArray[np.bool_]:
            asked.append(name)
            return _imagehash.imagehash_bits(name, small)

        monkeypatch.setattr(f"hashmatch.hashers.{module}.imagehash_bits", ask)
    hashes(picture(1, 64, 64))
    assert asked == []
    hashes(symmetric()["flat"])
    assert asked == ["phash", "whash"]


@pytest.mark.parametrize(("apart", "asked"), [(0.0, True), (0.5, True), (0.6, False)])
def test_the_median_is_in_doubt_where_the_middle_is(apart: float, asked: bool) -> None:
    values = np.arange(64.0).reshape(8, 8)
    values[4:] += apart - 1  # 31 and 32 are in the middle
    itself = np.zeros((8, 8), np.bool_)
    bits = _imagehash.above_median(values, 0.5, lambda: itself)
    assert bits is itself if asked else np.array_equal(bits, np.arange(64).reshape(8, 8) > 31)
