"""Sixteen rows side by side: the vector code against its Python twins."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from hashmatch._kernels import pdq_reduce
from hashmatch._kernels.jit import kernel

JIT = not os.environ.get("NUMBA_DISABLE_JIT")


def test_slide_and_its_twin() -> None:
    @kernel
    def compiled(columns: Any, at: Any, window: Any) -> None:
        pdq_reduce.slide(columns, at, window)

    values = np.random.default_rng(3).normal(500, 400, (9, pdq_reduce.ROWS)).astype(np.float32)
    expected, ours = values.copy(), values.copy()
    for at in (1, 2, 3, 4):
        pdq_reduce.slide(expected, at, 4)
        compiled(ours, at, 4)
    np.testing.assert_array_equal(ours, expected)
    np.testing.assert_array_equal(expected[1], (values[0] + values[5]) - values[1])
    np.testing.assert_array_equal(expected[5:], values[5:])


@pytest.mark.parametrize(("row", "column", "at", "first"), [(0, 0, 0, 0), (2, 5, 3, 7)])
def test_transpose_and_its_twin(row: int, column: int, at: int, first: int) -> None:
    @kernel
    def compiled(*args: Any) -> None:
        pdq_reduce.transpose(*args)

    source = np.arange(20 * 33, dtype=np.float32).reshape(20, 33)
    ours, expected = np.zeros((21, 29), np.float32), np.zeros((21, 29), np.float32)
    compiled(source, row, column, ours, at, first)
    pdq_reduce.transpose(source, row, column, expected, at, first)
    np.testing.assert_array_equal(ours, expected)
    assert expected.sum() == source[row : row + 16, column : column + 16].sum()
    assert expected[at + 1, first] == source[row, column + 1]


@pytest.mark.skipif(not JIT, reason="types are checked when a kernel is compiled")
def test_vectors_are_taken_from_contiguous_float32_only() -> None:
    from numba.core.errors import TypingError

    @kernel
    def compiled(columns: Any) -> None:
        pdq_reduce.slide(columns, 1, 1)

    for refused in (np.zeros((9, 16)), np.zeros((9, 32), np.float32)[:, ::2]):
        with pytest.raises(TypingError):
            compiled(refused)


def test_zeros_begin_on_a_cache_line() -> None:
    for count, width in ((1, 16), (3, 48), (5, 7)):
        values = pdq_reduce.zeros(count, width)
        assert values.shape == (count, width)
        assert values.ctypes.data % 64 == 0
        assert not values.any()


@kernel
def wrongly_divided(divisor: np.float32) -> int:
    """Return how many of all mantissas `quotient` divides otherwise than the processor does."""
    reciprocal = np.float32(1.0) / divisor
    values = np.empty(4096, np.uint32)
    wrong = 0
    for first in range(0, 1 << 23, 4096):
        for k in range(4096):
            values[k] = np.uint32(0x3F800000 + first + k)
        floats = values.view(np.float32)
        for k in range(4096):
            wrong += pdq_reduce.quotient(floats[k], divisor, reciprocal) != floats[k] / divisor
    return wrong


@pytest.mark.skipif(not JIT, reason="without a compiler it is a division")
def test_quotients_are_rounded_as_divisions_are() -> None:
    largest = 256  # of a picture whose side is 2^15
    for divisor in (1000, *range(1, largest + 1)):
        assert wrongly_divided(np.float32(divisor)) == 0, divisor


def test_small_and_no_numerators_are_divided_too() -> None:
    @kernel
    def divide(value: np.float32, by: np.float32) -> np.float32:
        return pdq_reduce.quotient(value, by, np.float32(1.0) / by)

    rng = np.random.default_rng(3)
    values = (rng.random(2000) * 2.0 ** rng.uniform(-99, 24, 2000)).astype(np.float32)
    for value in [np.float32(0), np.float32(2.0**-100), *values, *-values]:
        for by in (np.float32(3), np.float32(5), np.float32(157), np.float32(1000)):
            assert divide(value, by) == value / by
