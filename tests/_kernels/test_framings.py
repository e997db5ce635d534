"""The kernels of query variants against the oracle, compiled and not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive
from hashmatch._kernels import (
    alternatives,
    borders,
    enlarge,
    extrapolate,
    framings,
    membrane,
    pdq_bits,
)
from hashmatch._kernels.pdq import hash_samples
from hashmatch._kernels.pdq_numpy import DCT
from hashmatch.hashers import _pdq_framings
from hashmatch.hashers.pdq import Pdq
from hashmatch.interfaces import Framing
from hashmatch.testing import picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

JIT = not os.environ.get("NUMBA_DISABLE_JIT")
CELLS, MARGIN = extrapolate.CELLS, extrapolate.MARGIN
FEW = settings(max_examples=12 if JIT else 2)
"""The oracle takes its time."""

sides = st.integers(1, 150 if JIT else 20)
seeds = st.integers(0, 2**32 - 1)
parts = st.floats(0.0, 0.15)


def noise(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def small(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a picture as a small grey one, and its edges."""
    out, edges = np.empty((CELLS, CELLS), np.float32), np.empty((4, CELLS), np.float32)
    extrapolate.shrunk(pixels, out)
    extrapolate.edges(pixels, edges)
    return out, edges


def guessed(grey: NDArray[np.float32], edges: NDArray[np.float32]) -> NDArray[np.float32]:
    out = np.empty((CELLS + 2 * MARGIN, CELLS + 2 * MARGIN), np.float32)
    extrapolate.extrapolated(grey, edges, extrapolate.BLUR, extrapolate.BLUR_TALL, out)
    return out


def bits(words: NDArray[np.uint64]) -> int:
    return int("".join(f"{int(word):016x}" for word in words), 16)


@FEW
@given(seed=seeds, height=sides, width=sides, cells=st.sampled_from([1, 7, 16]))
def test_shrunk_equals_the_oracle(seed: int, height: int, width: int, cells: int) -> None:
    pixels = noise(seed, height, width)
    out = np.empty((cells, cells), np.float32)
    extrapolate.shrunk(pixels, out)
    np.testing.assert_allclose(out, naive.small_grey(pixels, cells), rtol=1e-4)


@pytest.mark.parametrize("seed", [1, 2])
def test_extrapolated_equals_the_oracle(seed: int) -> None:
    grey, edges = small(picture(seed, 96, 80))
    expected = naive.continued(grey.tolist(), edges.tolist(), MARGIN, extrapolate.FADING)
    np.testing.assert_allclose(guessed(grey, edges), expected, rtol=1e-4, atol=0.01)


@FEW
@given(seed=seeds, height=sides, width=sides, cells=st.sampled_from([1, 7, 16]))
def test_edges_equal_the_oracle(seed: int, height: int, width: int, cells: int) -> None:
    pixels = np.repeat(np.repeat(noise(seed, height, width), 3, 0), 4, 1)
    rows, columns = (max(1, int(extrapolate.EDGE * side + 0.5)) for side in pixels.shape[:2])
    out = np.empty((4, cells), np.float32)
    extrapolate.edges(pixels, out)
    across = pixels.swapaxes(0, 1)
    strips = pixels[:rows], pixels[-rows:], across[:columns], across[-columns:]
    for edge, strip in zip(out, strips, strict=True):
        # Of a strip only its length is cut into cells: its whole depth is one.
        line = strip.mean(axis=0, keepdims=True).repeat(cells, 0)
        np.testing.assert_allclose(edge, naive.small_grey(line, cells)[0], rtol=1e-4)


@FEW
@given(seed=st.integers(0, 50), left=parts, top=parts, right=parts, bottom=parts)
def test_framings_equal_the_oracle(
    seed: int, left: float, top: float, right: float, bottom: float
) -> None:
    pixels = picture(seed, 96, 80)
    fine = np.empty((2 * CELLS, 2 * CELLS), np.float32)
    extrapolate.shrunk(pixels, fine)
    grey = fine.reshape(CELLS, 2, CELLS, 2).mean((1, 3), dtype=np.float32)
    across, down = 1 / (1 - left - right), 1 / (1 - top - bottom)
    box = (-left * across, -top * down, 1 + right * across, 1 + bottom * down)
    wanted = (Framing(), Framing(left, top, right, bottom), Framing(top=top))
    hashes = Pdq().hash_framings(pixels, wanted)
    _, edges = small(pixels)
    expected = naive.framed(guessed(grey, edges).tolist(), MARGIN, box)
    # A coefficient next to the median may fall on either side of it by the order of a sum.
    assert (bits(hashes.words[1]) ^ expected).bit_count() <= 4
    assert Pdq().hash_framings(pixels, wanted[1:2]) == hashes[1:2]


@FEW
@given(seed=seeds, height=sides, width=sides)
def test_enlarged_samples_equal_the_oracle(seed: int, height: int, width: int) -> None:
    pixels = noise(seed, height, width)
    samples = np.empty((64, 64), np.float32)
    enlarge.reduce_enlarged(pixels, *enlarge.tents(height), *enlarge.tents(width), samples)
    expected = naive.enlarged(pixels, enlarge.ASIDE, 40)
    np.testing.assert_allclose(samples, expected, atol=0.5)


@pytest.mark.parametrize("pixels", [1, 2, 3, 48, 64, 127, 128, 999])
def test_a_tent_is_made_of_the_pixels_below_it(pixels: int) -> None:
    firsts, weights = enlarge.tents(pixels)
    assert weights.min() > -1e-9
    np.testing.assert_allclose(weights.sum(1), 1.0, rtol=1e-6)
    assert (np.diff(firsts) >= 0).all()
    assert firsts[0] == 0
    assert firsts[-1] + weights.shape[1] == pixels
    middles = ((firsts[:, None] + np.arange(weights.shape[1])) * weights).sum(1)
    inner = slice(64 // pixels + 1, 63 - 64 // pixels)  # the others have the edges below them
    places = ((np.arange(64) + 0.5) / 64 + enlarge.ASIDE) * pixels - 0.5
    np.testing.assert_allclose(middles[inner], places[inner], atol=1e-3)


@pytest.mark.parametrize("seed", [1, 2])
def test_enlarged_hashes_are_those_of_the_samples_in_eight_orientations(seed: int) -> None:
    pixels = picture(seed, 80, 60)
    samples, eight = np.empty((64, 64), np.float32), np.empty((8, 4), np.uint64)
    enlarge.reduce_enlarged(pixels, *enlarge.tents(60), *enlarge.tents(80), samples)
    hash_samples(samples, DCT, eight)
    enlarged = Pdq().hash_enlarged(pixels)
    assert enlarged.words.tolist() == eight.tolist()
    mirrored = Pdq().hash_enlarged(np.ascontiguousarray(pixels[:, ::-1]))
    apart = np.bitwise_count(mirrored.words[0] ^ enlarged.words[5]).sum()
    assert apart <= 8  # but for what lies aside, they are the same


@FEW
@given(seed=seeds, values=st.lists(st.floats(-50, 50), min_size=5, max_size=5))
def test_turned_samples_equal_the_oracle(seed: int, values: list[float]) -> None:
    grey = np.random.default_rng(seed).uniform(0, 255, (12, 12)).astype(np.float32)
    corner = np.array([[values[0] / 10, values[1] / 10], [values[2], 12], [12, values[3]]])
    out = np.empty((16, 16), np.float32)
    framings.turned_samples(grey, corner, out)
    expected = naive.turned(grey.tolist(), corner.tolist(), 16, 1.5 / 12)
    np.testing.assert_allclose(out, expected, atol=0.5)


@pytest.mark.parametrize("angle", [-5.0, 2.0])
def test_turning_back_finds_the_corners_of_the_picture_that_was_turned(angle: float) -> None:
    corners = _pdq_framings._corners(np.array([[0, 0, 0, 0, angle]], np.float64), 300, 200)[0]
    corner, right, lower = (corners * [200, 300]).tolist()  # pixels
    assert np.hypot(*right) == pytest.approx(300)
    assert np.hypot(*lower) == pytest.approx(200)
    assert np.dot(right, lower) == pytest.approx(0)
    assert np.degrees(np.arctan2(-right[0], right[1])) == pytest.approx(angle)
    middle = np.add(corner, np.add(right, lower) / 2)
    np.testing.assert_allclose(middle, [100, 150])


def test_the_upper_half_equals_sorting() -> None:
    rng = np.random.default_rng(3)
    for scale in (1e-3, 1.0, 1e4):
        for _ in range(20 if JIT else 1):
            values = (rng.standard_normal(256) ** 3 * scale).astype(np.float32)
            out = np.empty(4, np.uint64)
            pdq_bits.above_median(values, out)
            above = values > np.sort(values)[127]
            assert bits(out) == sum(1 << i for i in range(256) if above[i])
    pdq_bits.above_median(np.zeros(256, np.float32), out)
    assert not out.any()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_the_eight_orientations_equal_those_of_turned_coefficients(scale: float) -> None:
    values = np.random.default_rng(4).standard_normal((16, 16)).astype(np.float32) * scale
    signs = np.where(np.arange(16) % 2, 1, -1)  # coefficient 0 is frequency 1
    down, across = values * signs[:, None], values * signs
    both = down * signs
    expected = [values, across.T, both, down.T, down, across, values.T, both.T]
    out = np.empty((8, 4), np.uint64)
    pdq_bits.in_all_orientations(np.float32(values).reshape(-1), out)
    one = np.empty(4, np.uint64)
    for row, turned in zip(out, expected, strict=True):
        pdq_bits.above_median(np.ascontiguousarray(turned, np.float32).reshape(-1), one)
        assert row.tolist() == one.tolist()


@pytest.mark.parametrize("ratio", [0.6, 1.0, 1.7])
def test_a_disc_is_filled_as_by_relaxing_a_membrane(ratio: float) -> None:
    """The oracle takes the mean of each cell's neighbours until nothing changes."""
    grey, _ = small(picture(3, 96, 80))
    down, across = 9 * ratio**0.5, 9 / ratio**0.5
    y, x = np.mgrid[:CELLS, :CELLS] + 0.5
    within = np.hypot((y - 30) / down, (x - 25) / across) < 1
    filled = np.where(within, grey.mean(), grey).astype(np.float64)
    weights = 1 / ratio, ratio  # cells are `ratio` times as wide as high
    for _ in range(1500):
        beside = filled[1:-1, :-2] + filled[1:-1, 2:]
        above = filled[:-2, 1:-1] + filled[2:, 1:-1]
        mean = (weights[0] * beside + weights[1] * above) / (2 * sum(weights))
        filled[1:-1, 1:-1] = np.where(within[1:-1, 1:-1], mean, filled[1:-1, 1:-1])
    expected = bits(_hashed(filled))
    hashes = np.empty((1, 4), np.uint64)
    centre, whole = np.array([[30, 25]]), _pdq_framings.WHOLE
    membrane.without_discs(grey, whole, centre, *membrane.membrane(down, across), hashes)
    before = (bits(_hashed(grey)) ^ expected).bit_count()
    assert (bits(hashes[0]) ^ expected).bit_count() <= min(16, before // 2)


@pytest.mark.parametrize("seed", [1, 2])
def test_guesses_around_a_hash_equal_the_oracle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.standard_normal((16, 16)) * np.linspace(9, 1, 16)).astype(np.float32)
    unknown = np.zeros((alternatives.SIDE, alternatives.SIDE), np.bool_)
    unknown[:, :6] = unknown[-3:] = True
    added, out = alternatives.fields(unknown, 4), np.empty((4, 4), np.uint64)
    alternatives.around(values.reshape(-1), added, False, out)
    signs = alternatives._signs(4)
    assert (signs[1] == -signs[0]).all()
    assert set(np.unique(signs)) == {-1, 1}
    assert abs(signs[0].mean()) < 0.1
    for field, words in zip(signs * unknown, out, strict=True):
        coefficients = values.reshape(-1).tolist()
        expected = naive.guessed_around(coefficients, field.tolist(), alternatives.SPREAD)
        assert (bits(words) ^ expected).bit_count() <= 2
    eight = np.empty((32, 4), np.uint64)
    alternatives.around(values.reshape(-1), added, True, eight)
    np.testing.assert_array_equal(eight[::8], out)


def _hashed(grey: NDArray[np.float64] | NDArray[np.float32]) -> NDArray[np.uint64]:
    whole, out = _pdq_framings.WHOLE, np.empty(4, np.uint64)
    pdq_bits.above_median(np.float32(whole @ np.float32(grey) @ whole.T).reshape(-1), out)
    return out


@FEW
@given(
    seed=seeds,
    height=st.integers(12, 40),
    width=st.integers(4, 30),
    thick=st.integers(0, 8),
    strays=st.integers(0, 20),
    least=st.sampled_from([0.3, 0.95]),
)
def test_bars_equal_the_oracle(
    seed: int, height: int, width: int, thick: int, strays: int, least: float
) -> None:
    rng = np.random.default_rng(seed)
    lines = noise(seed, height, width)
    lines[:thick] = 200
    noisy = rng.integers(-strays, strays + 1, lines[:thick].shape)
    lines[:thick] += noisy.astype(np.uint8)
    lines[1 : max(1, thick - 2), : width // 2] //= 2
    found = borders.bar(lines, 16, 0.95, least, height - 2)
    assert found == pytest.approx(naive.bar(lines.tolist(), 16, 0.95, least, height - 2))
    assert found == borders.bar(
        np.ascontiguousarray(lines[::-1])[::-1], 16, 0.95, least, height - 2
    )
