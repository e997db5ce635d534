"""PDQ of planes of luma and chroma is PDQ of the picture that libswscale makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import naive
from hashmatch._kernels import pdq_yuv
from hashmatch._kernels.pdq import pdq
from hashmatch._kernels.pdq_numpy import DCT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

COEFFICIENTS = {False: (9539, 13075, 16525, 3209, 6660), True: (8192, 11485, 14516, 2819, 5850)}


def planes(seed: int, height: int, width: int, rows: int) -> list[Bytes]:
    """Return planes of waves and noise, read-only as those of a decoder are."""
    rng = np.random.default_rng(seed)
    made = []
    for shape in ((height, width), (rows, (width + 1) // 2), (rows, (width + 1) // 2)):
        y, x = np.mgrid[0 : shape[0], 0 : shape[1]] / max(shape)
        wave = sum(
            rng.uniform(10, 50) * np.sin(rng.uniform(-20, 20) * x + rng.uniform(-20, 20) * y)
            for _ in range(4)
        )
        plane = np.clip(128 + wave + rng.normal(0, 4, shape), 0, 255).astype(np.uint8)
        plane.flags.writeable = False
        made.append(plane)
    return made


def rgb(y: Bytes, u: Bytes, v: Bytes, is_full: bool) -> Bytes:
    """Return the picture in RGB, in whole numbers."""
    luma, red, blue, green_u, green_v = COEFFICIENTS[is_full]
    level = ((8 * y.astype(np.int64) - (0 if is_full else 128)) * luma) >> 16
    rows = len(y) // len(u)
    u, v = (np.repeat(np.repeat(p, rows, 0), 2, 1)[:, : y.shape[1]] for p in (u, v))
    to_u, to_v = 8 * u.astype(np.int64) - 1024, 8 * v.astype(np.int64) - 1024
    green = (-to_u * green_u >> 16) + (-to_v * green_v >> 16)
    parts = level + (to_v * red >> 16), level + green, level + (to_u * blue >> 16)
    return np.ascontiguousarray(np.clip(np.stack(parts, -1), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize(
    ("height", "width", "rows"), [(96, 160, 48), (90, 161, 45), (128, 128, 128), (64, 64, 32)]
)
def test_hashes_are_those_of_the_picture(height: int, width: int, rows: int, is_full: bool) -> None:
    for seed in range(4):
        y, u, v = planes(seed, height, width, rows)
        words, expected = np.zeros((1, 4), np.uint64), np.zeros((1, 4), np.uint64)
        quality = pdq_yuv.hash_yuv(y, u, v, is_full, words)
        assert abs(quality - pdq(rgb(y, u, v, is_full), DCT, expected)) <= 1
        assert np.bitwise_count(words ^ expected).sum() <= 2
        # And where it is in doubt, sum by sum.
        plane = np.empty((height, width), np.float32)
        pdq_yuv.luma_of_yuv(y, u, v, pdq_yuv.STEPS[is_full], plane)
        text, exact = naive.pdq(rgb(y, u, v, is_full))
        assert pdq(plane, DCT, words) == exact
        assert "".join(f"{word:016x}" for word in words[0].tolist()) == text


@pytest.mark.parametrize("is_full", [False, True])
def test_every_value_is_rounded_down_as_in_whole_numbers(is_full: bool) -> None:
    values = np.arange(256)
    signs = (1, 1, 1, -1, -1)
    for number, (factor, sign) in enumerate(zip(COEFFICIENTS[is_full], signs, strict=True)):
        offset = (0 if is_full else 128) if number == 0 else 1024
        expected = ((8 * values - offset) * sign * factor) >> 16
        scale, shift = pdq_yuv.STEPS[is_full][number]
        assert np.array_equal(np.floor(values.astype(np.float32) * scale + shift), expected)


@pytest.mark.parametrize("length", [5, 40, 64, 127, 128, 129, 480, 1080])
def test_tents_weigh_everything_once(length: int) -> None:
    starts, weights = pdq_yuv.tents(length)
    assert starts.min() >= 0
    assert (starts + weights.shape[1]).max() <= length
    assert np.allclose(weights.sum(1), 1, atol=1e-6)


def test_small_frames_have_no_hash() -> None:
    y, u, v = planes(1, 4, 64, 2)
    words = np.ones((1, 4), np.uint64)
    assert pdq_yuv.hash_yuv(y, u, v, False, words) == 0
    assert not words.any()
