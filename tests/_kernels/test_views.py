"""The kernels that find and hash parts of a picture against the oracle, compiled and not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive
from hashmatch._kernels import lines, views
from hashmatch._kernels.pdq_numpy import SAMPLES
from hashmatch._kernels.regions import regions
from hashmatch.hashers.pdq import Pdq
from hashmatch.hashing.lines import LEAST, QUOTAS, SMALLEST
from hashmatch.hashing.quadrilaterals import quadrilaterals
from hashmatch.hashing.screens import is_screen, pictures_on_screen
from hashmatch.hashing.views import parts, small_copy
from hashmatch.testing import picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

JIT = not os.environ.get("NUMBA_DISABLE_JIT")
FEW = settings(max_examples=15 if JIT else 2, deadline=None)

seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 40)


def noise(seed: int, height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0, 255, (height, width)).astype(np.float32)


@FEW
@given(seed=seeds, height=sides, width=sides, factor=st.integers(1, 7))
def test_grey_of_equals_the_oracle(seed: int, height: int, width: int, factor: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = np.empty((-(-height // factor), -(-width // factor)), np.float32)
    views.grey_of(pixels, factor, out)
    np.testing.assert_allclose(out, naive.cell_means(pixels, factor), rtol=1e-5)


@FEW
@given(seed=seeds, height=sides, width=sides, ends=st.tuples(*[st.floats(0, 1)] * 4))
def test_rectangle_samples_equal_the_oracle(
    seed: int, height: int, width: int, ends: tuple[float, ...]
) -> None:
    grey = noise(seed, height, width)
    top, bottom = sorted(ends[:2])
    left, right = sorted(ends[2:])
    box = np.array([
        top * height, left * width, min(bottom + 0.05, 1) * height, min(right + 0.05, 1) * width
    ])  # fmt: skip
    if box[2] - box[0] < 0.01 or box[3] - box[1] < 0.01:
        return
    sums = np.empty((height + 1, width + 1))
    views.sums_of(grey, sums)
    out = np.empty((SAMPLES, SAMPLES), np.float32)
    views.rectangle_samples(sums, box, out)
    expected = naive.part_means(grey.astype(float).tolist(), box.tolist(), SAMPLES)
    np.testing.assert_allclose(out, expected, atol=0.02)


def test_a_quadrilateral_that_is_a_rectangle_is_sampled_as_one() -> None:
    grey = small_copy(picture(3, 200, 160)).grey
    out, other = np.empty((SAMPLES, SAMPLES), np.float32), np.empty((SAMPLES, SAMPLES), np.float32)
    sums = np.empty((grey.shape[0] + 1, grey.shape[1] + 1))
    views.sums_of(grey, sums)
    box = np.array([16.0, 20.0, 144.0, 148.0])  # two cells to a sample
    views.rectangle_samples(sums, box, out)
    corners = np.array([[16.0, 20.0], [16.0, 148.0], [144.0, 148.0], [144.0, 20.0]])
    views.quadrilateral_samples(grey, corners, other)
    np.testing.assert_allclose(other, out, atol=1e-3)


def test_a_quadrilateral_is_seen_as_its_corners_say() -> None:
    y, x = np.mgrid[:100, :100].astype(np.float32)
    corners = np.array([[10.0, 20.0], [15.0, 80.0], [90.0, 70.0], [80.0, 10.0]])
    for k, plane in enumerate((y, x)):
        out = np.empty((SAMPLES, SAMPLES), np.float32)
        views.quadrilateral_samples(np.ascontiguousarray(plane), corners, out)
        for (i, j), corner in zip(((0, 0), (0, -1), (-1, -1), (-1, 0)), corners, strict=True):
            assert abs(out[i, j] + 0.5 - corner[k]) < 1.5


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_hashes_of_parts_are_near_those_of_their_pixels(seed: int) -> None:
    pixels = picture(seed, 640, 480)
    copy = small_copy(pixels)
    boxes = np.array([(0, 0, 480, 640), (30, 50, 430, 400), (240, 0, 480, 320)]) / copy.factor
    corners = np.array([[(t, a), (t, b), (u, b), (u, a)] for t, a, u, b in boxes.tolist()])
    hashes, quality = Pdq().hash_parts(copy.grey, corners)
    assert len(hashes) == 8 * len(quality) == 24
    for k, (top, left, bottom, right) in enumerate((boxes * copy.factor).astype(int).tolist()):
        part = np.ascontiguousarray(pixels[top:bottom, left:right])
        expected, of_part = Pdq().hash_orientations(part)
        far = np.bitwise_count(hashes.words[8 * k : 8 * k + 8] ^ expected.words).sum(axis=1)
        assert far.max() <= 20
        assert abs(of_part - int(quality[k])) <= 20 or quality[k] == 0  # soft


@FEW
@given(seed=seeds, height=st.integers(1, 24), width=st.integers(1, 12))
def test_steps_of_rows_equal_the_oracle(seed: int, height: int, width: int) -> None:
    grey = noise(seed, height, width)
    whole, run = np.empty(height, np.float32), np.empty(height, np.float32)
    lines.profiles(np.ascontiguousarray(grey.T), whole, run)
    expected = naive.row_steps(grey.astype(float).tolist(), lines.MOST, lines.PRICE)
    np.testing.assert_allclose(whole, expected[0], atol=1e-3)
    np.testing.assert_allclose(run, expected[1], atol=1e-3)


@pytest.mark.parametrize("at", [0.0, 0.3, 0.9])
def test_where_within_a_row_a_picture_ends(at: float) -> None:
    above, below = noise(1, 1, 50)[0], noise(2, 1, 50)[0]
    grey = np.stack([above, above, at * above + (1 - at) * below, below, below])
    assert lines.place(grey, 2, 0, 50) == pytest.approx(2 + at, abs=1e-5)
    assert lines.place(np.zeros((3, 5), np.float32), 1, 0, 5) == 1.5


def found(grey: NDArray[np.float32]) -> list[list[float]]:
    across = np.ascontiguousarray(grey.T)
    rows, columns = (lines.candidates(each, 4, 5, LEAST) for each in (across, grey))
    out = np.empty((int(QUOTAS.sum()), 4))
    extent = np.array(grey.shape, np.float64)
    count = lines.boxes(grey, across, rows, columns, extent, LEAST, SMALLEST, QUOTAS, out)
    boxes: list[list[float]] = out[:count].tolist()
    return boxes


def is_near(boxes: list[list[float]], wanted: tuple[float, ...]) -> bool:
    return any(np.abs(np.subtract(box, wanted)).max() < 1 for box in boxes)


def test_a_picture_on_a_ground_is_found() -> None:
    grey = np.full((120, 160), 200, np.float32)
    grey[10:90, 40:130] = 40 + noise(3, 80, 90) / 5
    assert is_near(found(grey), (10, 40, 90, 130))


def test_a_picture_whose_sky_is_blank_is_found() -> None:
    """Its sky looks as a gap in a collage does, and ends at a line as one does."""
    grey = np.empty((120, 160), np.float32)
    grey[:60] = 30 + noise(1, 60, 160) / 6
    grey[60:67] = 240
    grey[67:] = 120 + noise(2, 53, 160) / 6
    boxes = found(grey)
    assert is_near(boxes, (60, 0, 120, 160))
    assert is_near(boxes, (67, 0, 120, 160))


@pytest.mark.parametrize("gap", [0, 3, 8])
def test_pictures_of_a_collage_end_at_its_gaps(gap: int) -> None:
    grey = np.full((140, 180), 255, np.float32)
    for (top, bottom), base in (((0, 60), 40), ((60 + gap, 140), 160)):
        for left, right in ((0, 100), (100 + gap, 180)):
            bright = base + (30 if left else 0)
            shape = (bottom - top, right - left)
            grey[top:bottom, left:right] = bright + noise(bright, *shape) / 6
    boxes = found(grey)
    for wanted in ((0, 0, 60, 100), (60 + gap, 100 + gap, 140, 180), (60 + gap, 0, 140, 100)):
        assert is_near(boxes, wanted)


def test_a_picture_in_the_middle_is_found_by_one_of_its_ends() -> None:
    grey = np.full((200, 100), 90, np.float32)
    grey[:50] = 20
    grey += noise(5, 200, 100) / 40
    assert is_near(found(grey), (50, 0, 150, 100))


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (13, 13), (30, 14)])
def test_small_and_flat_pictures_have_no_boxes(shape: tuple[int, int]) -> None:
    assert found(np.zeros(shape, np.float32)) == []


@FEW
@given(seed=seeds, height=st.integers(1, 12), width=st.integers(1, 12), full=st.floats(0, 1))
def test_regions_equal_the_oracle(seed: int, height: int, width: int, full: float) -> None:
    marked = np.random.default_rng(seed).random((height, width)) < full
    out = np.empty((height * width, 5), np.int64)
    count = regions(marked, out)
    assert {tuple(row) for row in out[:count].tolist()} == naive.regions(marked.tolist())
    assert regions(marked, out[:1]) == count


def chat(shown: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a screen with bubbles, lines in them, and a picture with an edge of 6 pixels."""
    screen = np.full((1600, 800, 3), (231, 222, 213), np.uint8)
    for top in (150, 1200, 1340):
        screen[top : top + 100, 40:500] = 255
        screen[top + 30 : top + 34, 60:460:3] = 20
        screen[top + 60 : top + 64, 60:400:3] = 20
    height, width = shown.shape[:2]
    screen[394 : 406 + height, 214 : 226 + width] = (220, 248, 198)
    screen[400 : 400 + height, 220 : 220 + width] = shown
    return screen


def test_a_picture_on_a_screen_is_looked_for_where_no_plain_colour_is() -> None:
    shown = picture(4, 540, 420)
    screen = chat(shown)
    assert is_screen(small_copy(screen).grey)
    assert not is_screen(small_copy(shown).grey)
    (cut,) = pictures_on_screen(screen)
    top, bottom, left, right = cut
    for side, wanted in ((top, 400), (1600 - bottom, 820), (left, 220), (800 - right, 760)):
        assert abs(side - wanted) <= 80
    cuts, hashes = parts(Pdq(), screen, 50)
    far = np.bitwise_count(hashes.words[::8] ^ Pdq().hash(shown)[0].words).sum(axis=1)
    assert [*cuts][int(far.argmin())].startswith(("screen_1", "box_"))
    assert far.min() <= 31


def test_a_screen_photographed_from_a_slant_is_turned_back() -> None:
    shown = picture(4, 400, 300)
    grey = small_copy(shown).grey
    rows, columns = np.mgrid[:240, :256] + 0.5
    corners = np.array([[40.0, 30.0], [52.0, 220.0], [205.0, 214.0], [196.0, 38.0]])
    # Where in the unit square each cell is: of a parallelogram nearly, by least squares.
    scene = np.full((240, 256), 150, np.float32)
    (y0, x0), (y1, x1), _, (y3, x3) = corners
    matrix = np.linalg.inv(np.array([[y1 - y0, y3 - y0], [x1 - x0, x3 - x0]]))
    u = matrix[0, 0] * (rows - y0) + matrix[0, 1] * (columns - x0)
    v = matrix[1, 0] * (rows - y0) + matrix[1, 1] * (columns - x0)
    on_screen = (u > -0.03) & (u < 1.03) & (v > -0.04) & (v < 1.04)
    scene[on_screen] = 15
    inside = (u > 0) & (u < 1) & (v > 0) & (v < 1)
    at = (v * grey.shape[0]).astype(int), (u * grey.shape[1]).astype(int)
    scene[inside] = np.maximum(grey[at[0][inside], at[1][inside]], 40)
    found = quadrilaterals(scene, np.ascontiguousarray(scene.T))
    wanted = np.array([[y0, x0], [y1, x1], [y1 + y3 - y0, x1 + x3 - x0], [y3, x3]])
    assert min(np.abs(each - wanted).max() for each in found.values()) < 1.5
    assert not quadrilaterals(np.zeros((8, 8), np.float32), np.zeros((8, 8), np.float32))


def test_soft_parts_are_not_asked_for() -> None:
    y, x = np.mgrid[:200, :300]
    noise_of_camera = np.random.default_rng(1).normal(0, 6, (200, 300))
    soft = np.clip(60 + y / 3 + x / 4 + noise_of_camera, 0, 255).astype(np.uint8)
    cuts, hashes = parts(Pdq(), np.ascontiguousarray(np.stack([soft] * 3, axis=2)), 0)
    assert len(hashes) == 8 * len(cuts)
    corners = np.array([[(0.0, 0.0), (0.0, 150.0), (100.0, 150.0), (100.0, 0.0)]])
    grey = small_copy(np.stack([soft] * 3, axis=2)).grey
    assert Pdq().hash_parts(grey, corners)[1].tolist() == [0]
