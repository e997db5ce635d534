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
