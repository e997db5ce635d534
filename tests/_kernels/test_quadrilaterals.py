"""What speaks for the lines of quadrilaterals, to the last bit, compiled and not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmatch._kernels import quadrilaterals as kernels
from hashmatch.hashing.quadrilaterals import LEAST, MOST, SMALLEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

JIT = not os.environ.get("NUMBA_DISABLE_JIT")
FEW = settings(max_examples=20 if JIT else 2, deadline=None)

seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int, height: int, width: int) -> NDArray[np.float32]:
    """Return noise, of which a good part steps by exactly what counts, or in halves of slopes."""
    values = np.random.default_rng(seed).integers(0, 4, (height, width))
    return (values * 5).astype(np.float32)


def naive_votes(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = grey.shape
    out = np.zeros((2, kernels.SLOPES, height), np.float32)
    steps = np.linspace(-kernels.STEEPEST, kernels.STEEPEST, kernels.SLOPES)
    for y in range(1, height - 1):
        for x in range(1 + y % 2, width - 1, 2):
            down, beside = grey[y + 1, x] - grey[y - 1, x], grey[y, x + 1] - grey[y, x - 1]
            if abs(down) < kernels.STEP or abs(beside) > 2 * kernels.STEEPEST * abs(down):
                continue
            near = round((kernels.STEEPEST - float(beside) / float(down)) / (steps[1] - steps[0]))
            for k in range(max(near - kernels.OFF, 0), min(near + kernels.OFF, 32) + 1):
                c = round(y - steps[k] * (x - width / 2))
                if 0 <= c < height:
                    out[int(down < 0), k, c] += min(abs(down), np.float32(kernels.ENOUGH))
    return out


@FEW
@given(seed=seeds, height=st.integers(1, 40), width=st.integers(1, 40))
def test_votes_equal_the_oracle(seed: int, height: int, width: int) -> None:
    grey = drawn(seed, height, width)
    out = np.empty((2, kernels.SLOPES, height), np.float32)
    kernels.votes(grey, out)
    assert out.tolist() == naive_votes(grey).tolist()


@FEW
@given(seed=seeds, height=st.integers(1, 40), least=st.sampled_from([1.0, 12.0, 100.0]))
def test_the_best_lines_equal_the_oracle(seed: int, height: int, least: float) -> None:
    drawn = np.random.default_rng(seed).integers(0, 20, (kernels.SLOPES, height))
    counts = drawn.astype(np.float32)
    expected: list[list[float]] = []
    rest = counts.copy()
    while len(expected) < 5 and rest.max() >= least:
        k, c = (int(at) for at in np.unravel_index(rest.argmax(), rest.shape))
        expected.append([c, k / 64 - kernels.STEEPEST])
        rest[max(k - 4, 0) : k + 5, max(c - 2, 0) : c + 3] = 0
    out = np.empty((5, 2))
    found = kernels.best_lines(counts, least, out)
    assert out[:found].tolist() == expected


@pytest.mark.parametrize("inside", [200.0, 40.0])
def test_a_screen_that_leans_is_found_and_its_missing_side_is_not(inside: float) -> None:
    y, x = np.mgrid[:120, :160].astype(np.float32)
    within = (y > 20 + 0.1 * x) & (y < 100 - 0.05 * x) & (x > 20 - 0.1 * y) & (x < 130 + 0.1 * y)
    rng = np.random.default_rng(1)
    grey = np.where(within, inside, 120).astype(np.float32) + rng.uniform(0, 3, y.shape)
    grey = grey.astype(np.float32)
    out = np.empty((3 * MOST, 4, 2))

    def found(picture: NDArray[np.float32]) -> int:
        across = np.ascontiguousarray(picture.T)
        return int(kernels.quadrilaterals(picture, across, SMALLEST, LEAST, out))

    assert found(grey) >= 1
    corners = [(22, 18), (33.5, 133.5), (93.5, 139.5), (99.5, 10)]
    np.testing.assert_allclose(out[0], corners, atol=2.5)
    grey[60:] = grey[60]  # there is no bottom
    assert found(grey) == 0
