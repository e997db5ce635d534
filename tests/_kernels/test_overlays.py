"""What covers a part of a picture, against the oracle, compiled and not."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive
from hashmatch._kernels import overlays

JIT = not os.environ.get("NUMBA_DISABLE_JIT")


@settings(max_examples=30 if JIT else 5, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 14),
    width=st.integers(1, 14),
    share=st.sampled_from([0.0, 0.05, 0.2, 0.6]),
    reach=st.integers(0, 2),
)
def test_covered_equals_the_oracle(
    seed: int, height: int, width: int, share: float, reach: int
) -> None:
    marked = np.random.default_rng(seed).random((height, width)) < share
    out, group = np.ones((9, 9), np.bool_), np.ones_like(marked)
    counts = overlays.largest_group(marked, reach, group)
    assert group.sum() == counts[1]
    overlays.covered(group, out)
    cells, expected = naive.covered(marked.tolist(), reach, 9)
    assert {(int(i), int(j)) for i, j in np.argwhere(out)} == cells
    assert counts == expected


def test_holes_are_covered_and_bays_are_not() -> None:
    marked = np.zeros((12, 12), np.bool_)
    marked[2:9, 2:9] = True
    marked[4:6, 4:6] = marked[7:9, 6] = False
    out = np.empty((12, 12), np.bool_)
    overlays.covered(marked, out)
    assert out[4, 4]
    assert not out[8, 6]


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
