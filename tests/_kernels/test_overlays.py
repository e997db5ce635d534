"""What covers a part of a picture, against the oracle, compiled and not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive
from hashmatch._kernels import overlays

if TYPE_CHECKING:
    from numpy.typing import NDArray

JIT = not os.environ.get("NUMBA_DISABLE_JIT")


@settings(max_examples=30 if JIT else 5, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 14),
    width=st.integers(1, 14),
    share=st.sampled_from([0.0, 0.05, 0.2, 0.6]),
    reach=st.integers(0, 2),
)
def test_the_largest_group_equals_the_oracle(
    seed: int, height: int, width: int, share: float, reach: int
) -> None:
    marked = np.random.default_rng(seed).random((height, width)) < share
    group = np.ones_like(marked)
    counts = overlays.largest_group(marked, reach, group)
    squares, expected = naive.largest_group(marked.tolist(), reach)
    assert {(int(y), int(x)) for y, x in np.argwhere(group)} == squares
    assert counts == expected


@settings(max_examples=30 if JIT else 5, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(4, 34),
    width=st.integers(4, 34),
    share=st.sampled_from([0.1, 0.3, 0.7]),
    colours=st.integers(2, 4),
    step=st.integers(1, 3),
)
def test_covered_equals_the_oracle(
    seed: int, height: int, width: int, share: float, colours: int, step: int
) -> None:
    """Blots of a few colours, so that things have points, holes and outlines."""
    rng, side = np.random.default_rng(seed), 4
    palette = rng.integers(0, 256, (colours, 3))
    blots = rng.integers(0, colours, (-(-height // 3), -(-width // 3)))
    pixels = palette[blots.repeat(3, axis=0).repeat(3, axis=1)[:height, :width]]
    noisy: NDArray[np.uint8] = (
        (pixels + rng.integers(0, 9, pixels.shape)).clip(0, 255).astype(np.uint8)
    )
    noisy.flags.writeable = False
    marked = rng.random((height // side, width // side)) < share
    out, group = np.ones((9, 9), np.bool_), np.empty_like(marked)
    overlays.largest_group(marked, 1, group)
    overlays.covered(noisy, step, side, marked, group, 12, 25.5, 3, out)
    coloured, grouped = (
        {(int(y), int(x)) for y, x in np.argwhere(each)} for each in (marked, group)
    )
    mixed = overlays.MIXED
    expected = naive.covered(noisy, step, side, coloured, grouped, 12, 25.5, 3, mixed, 9)
    assert {(int(i), int(j)) for i, j in np.argwhere(out)} == expected


def test_points_holes_and_outlines_are_covered_and_bays_are_not() -> None:
    rng = np.random.default_rng(4)
    pixels = rng.integers(0, 256, (120, 120, 3)).astype(np.uint8)
    thing = np.zeros((120, 120), np.bool_)
    thing[24:88, 24:64] = thing[24:60, 24:88] = True  # but for a bay
    thing[54:56, 88:110] = True  # a point thinner than any square
    outlined = np.zeros_like(thing)
    for y, x in np.argwhere(thing):
        outlined[y - 4 : y + 5, x - 4 : x + 5] = True
    pixels[outlined] = 255
    pixels[thing] = 200, 30, 60
    pixels[40:60, 40:60] = rng.integers(0, 256, (20, 20, 3))  # a hole
    pixels.flags.writeable = False
    marked = np.zeros((30, 30), np.bool_)
    marked[6:22, 6:16] = marked[6:10, 6:22] = True
    marked[10:15, 10:15] = False
    group, out = np.empty_like(marked), np.empty((60, 60), np.bool_)
    overlays.largest_group(marked, 3, group)
    overlays.covered(pixels, 1, 4, marked, group, 32, 25.0, 6, out)
    assert out[10:46, 10:34].all()
    assert out[25:30, 45:57].all()
    assert not out[34:46, 36:].any()
    assert not out[:9].any()


def test_the_commonest_colour_is_that_of_most_squares() -> None:
    rng = np.random.default_rng(5)
    red, green, blue = 200, 90, 33
    squares = np.full((20, 30), -1, np.int32)
    squares[:8] = rng.integers(0, 1 << 24, (8, 30))
    levels = rng.integers(-3, 4, (3, 6, 30))
    squares[10:16] = (red + levels[0] << 16) | (green + levels[1] << 8) | (blue + levels[2])
    marked = np.empty(squares.shape, np.bool_)
    assert overlays.commonest_colour(squares, 3, 8, marked) == marked.sum() == 180
    assert marked[10:16].all()
    assert overlays.commonest_colour(np.full((2, 3), -1, np.int32), 3, 8, marked[:2, :3]) == 0
    assert not marked[:2, :3].any()


@pytest.mark.parametrize("seed", [1, 2])
def test_filled_is_a_membrane(seed: int) -> None:
    """In each cell it is the mean of the neighbours, and beside it the picture."""
    rng = np.random.default_rng(seed)
    picture = rng.uniform(0, 255, (64, 64)).astype(np.float32)
    unknown = np.zeros((64, 64), np.bool_)
    unknown[20:45, 10:30] = unknown[0:12, 50:64] = True
    out = np.empty_like(picture)
    overlays.filled(picture, unknown, out)
    np.testing.assert_array_equal(out[~unknown], picture[~unknown])
    around = np.pad(out, 1, mode="edge")
    beside = around[1:-1, :-2] + around[1:-1, 2:] + around[:-2, 1:-1] + around[2:, 1:-1]
    assert np.abs(out - beside / 4)[unknown].max() < 0.2
    everywhere = picture.copy()
    for first in (0.0, 255.0):  # it does not depend on what was there before
        everywhere[unknown] = first
        again = np.empty_like(picture)
        overlays.filled(everywhere, unknown, again)
        np.testing.assert_array_equal(again, out)
