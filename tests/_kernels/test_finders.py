"""The kernels that look for pictures in pictures, whole, against the oracle."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive_finders as naive
from hashmatch._kernels import lines, quadrilaterals
from hashmatch.hashing.lines import CELLS, LEAST, QUOTAS, SMALLEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

JIT = not os.environ.get("NUMBA_DISABLE_JIT")
FEW = settings(max_examples=8 if JIT else 2, deadline=None)
STEPS = naive.Steps(
    lines.NEAR, lines.FAR, lines.MOST, lines.SAME, lines.ALIKE, lines.WIDEST_GAP, lines.PLAIN,
    lines.STRIPE, lines.CROSSING,
)  # fmt: skip
EDGES = naive.Edges(
    quadrilaterals.SLOPES, quadrilaterals.STEEPEST, quadrilaterals.LINES, quadrilaterals.OFF,
    quadrilaterals.STEP, quadrilaterals.ENOUGH, quadrilaterals.WIDEST_EDGE,
)  # fmt: skip


def collage(seed: int, height: int, width: int, gap: int) -> NDArray[np.float32]:
    """Draw rows of noisy pictures; whole levels, so that sums are exact in every order."""
    rng = np.random.default_rng(seed)
    grey = np.full((height, width), rng.integers(256))
    down = [0, *(round(height * share) for share in rng.uniform(0.3, 0.7, 1)), height]
    for top, bottom in itertools.pairwise(down):
        along = [0, *(round(width * share) for share in sorted(rng.uniform(0.2, 0.8, 2))), width]
        for left, right in itertools.pairwise(along):
            shown = grey[top + gap * (top > 0) : bottom, left + gap * (left > 0) : right]
            shown[:] = rng.integers(256) + rng.integers(-30, 31, shown.shape)
    return grey.clip(0, 255).astype(np.float32)


def alike(found: list[list[float]], expected: list[tuple[float, ...]]) -> None:
    """Compare boxes; whatever their order, but for rounding."""
    key = np.round(np.array(sorted(found)), 4)
    np.testing.assert_allclose(key, np.round(np.array(sorted(expected)), 4), atol=1e-3)


@FEW
@given(st.integers(0, 2**32 - 1), st.integers(24, 36), st.integers(24, 36), st.integers(0, 5))
def test_boxes_equal_the_oracle(seed: int, height: int, width: int, gap: int) -> None:
    grey = collage(seed, height, width, gap)
    across = np.ascontiguousarray(grey.T)
    rows, columns = (lines.candidates(each, 3, 2, LEAST) for each in (across, grey))
    extent = np.array([height - 0.3, width - 0.6])
    out = np.empty((int(QUOTAS.sum()), 4))
    count = lines.boxes(grey, across, rows, columns, extent, LEAST, SMALLEST, QUOTAS, out)
    expected = naive.boxes(
        grey.tolist(), rows.tolist(), columns.tolist(), (height - 0.3, width - 0.6), LEAST,
        SMALLEST, QUOTAS.tolist(), STEPS,
    )  # fmt: skip
    assert count == len(expected)
    alike(out[:count].tolist(), [tuple(box) for box in expected])


@FEW
@given(st.integers(0, 2**32 - 1), st.integers(24, 36), st.integers(24, 36), st.integers(0, 5))
def test_cells_of_collages_equal_the_oracle(seed: int, height: int, width: int, gap: int) -> None:
    grey = collage(seed, height, width, gap)
    across = np.ascontiguousarray(grey.T)
    rows = lines.candidates(across, 3, 2, LEAST)
    extent = np.array([height - 0.3, width - 0.6])
    out = np.empty((CELLS, 4))
    count = lines.cells(grey, across, rows, extent, LEAST, SMALLEST, out)
    expected = naive.cells(
        grey.tolist(), rows.tolist(), (height - 0.3, width - 0.6), LEAST, SMALLEST, CELLS, STEPS
    )
    assert count == len(expected)
    alike(out[:count].tolist(), [tuple(box) for box in expected])


@pytest.mark.parametrize("gap", [0, 4])
def test_a_picture_between_seams_of_its_own_row_ends_behind_the_gaps(gap: int) -> None:
    """In a row of three above a row of two, where no seam crosses the whole collage."""
    rng = np.random.default_rng(5)
    grey = np.full((120, 160), 255, np.float32)
    rows = (((0, 50), (0, 40, 110, 160)), ((50, 120), (0, 70, 160)))
    for (top, bottom), ends in rows:
        for left, right in itertools.pairwise(ends):
            shown = grey[top + gap * (top > 0) : bottom, left + gap * (left > 0) : right]
            shown[:] = rng.integers(20, 200) + rng.integers(-18, 19, shown.shape)
    across = np.ascontiguousarray(grey.T)
    out = np.empty((CELLS, 4))
    found = lines.candidates(across, 4, 5, LEAST)
    extent = np.array([120.0, 160.0])
    count = lines.cells(grey, across, found, extent, LEAST, SMALLEST, out)
    for wanted in ((0, 40 + gap, 50, 110), (50 + gap, 70 + gap, 120, 160)):
        assert np.abs(out[:count] - wanted).max(axis=1).min() < 1


@FEW
@given(st.integers(0, 2**32 - 1), st.booleans(), st.integers(0, 3))
def test_quadrilaterals_equal_the_oracle(seed: int, is_lighter: bool, edge: int) -> None:
    """Of a screen on a desk, with a dark edge or none."""
    rng = np.random.default_rng(seed)
    height, width = 44, 56
    y, x = np.mgrid[:height, :width]
    a, b, c, d = rng.uniform(-0.12, 0.12, 4)
    desk, shown = (60, 170) if is_lighter else (170, 60)
    grey = desk + rng.integers(-2, 3, (height, width))
    for shrink, level in ((0, 10), (edge, shown)):
        if shrink == 0 and edge == 0:
            continue
        inside = (
            (y > 7 + shrink + a * (x - 28)) & (y < 36 - shrink + b * (x - 28))
            & (x > 9 + shrink + c * (y - 22)) & (x < 46 - shrink + d * (y - 22))
        )  # fmt: skip
        grey[inside] = (level + rng.integers(-2, 3, (height, width)))[inside]
    seen = grey.astype(np.float32)
    out = np.empty((9, 4, 2))
    across = np.ascontiguousarray(seen.T)
    count = quadrilaterals.quadrilaterals(seen, across, 0.3, 0.5, out)
    expected = naive.quadrilaterals(grey.tolist(), 0.3, 0.5, 3, EDGES)
    assert count == len(expected)
    found, wanted = (np.array(each).reshape(-1, 8) for each in (out[:count], expected))
    alike(found.tolist(), [tuple(each) for each in wanted.tolist()])
