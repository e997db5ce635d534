"""Vector code against its Python twins."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch._kernels import products, simd
from hashmatch._kernels.jit import kernel

JIT = not os.environ.get("NUMBA_DISABLE_JIT")


@kernel
def compiled_any_near(columns: Any, first: int, heads: Any, query: int, limit: int) -> Any:
    return simd.any_near(columns, first, heads, query, limit)


@kernel
def compiled_near(columns: Any, first: int, heads: Any, query: int, limit: int) -> Any:
    return simd.near_mask(columns, first, heads, query, limit)


@kernel
def compiled_trailing_zeros(mask: Any) -> Any:
    return simd.trailing_zeros(mask)


@kernel
def compiled_above(values: Any, first: int, threshold: Any) -> Any:
    return simd.above(values, first, threshold)


@kernel
def compiled_times(left: Any, right: Any, out: Any) -> None:
    products.times(left, right, out)


@kernel
def compiled_times_in_order(left: Any, right: Any, out: Any) -> None:
    products.times_in_order(left, right, out)


@given(seed=st.integers(0, 2**32), first=st.integers(0, 5), scale=st.sampled_from([1e-30, 1.0]))
def test_above_is_its_twin(seed: int, first: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.integers(-3, 4, 64 + first) * scale).astype(np.float32)
    values[rng.integers(64 + first)] = -0.0
    for threshold in (np.float32(0), values[-1], values[first]):
        mask = int(compiled_above(values, first, threshold))
        assert mask == int(simd.above(values, first, threshold))
        assert [mask >> i & 1 for i in range(64)] == (values[first:] > threshold).tolist()


@pytest.mark.parametrize("rows", [4, 16])
@pytest.mark.parametrize("terms", [4, 20, 80])
@pytest.mark.parametrize("columns", [4, 12, 16, 28, 64])
def test_products_are_their_twin_to_the_last_bit(rows: int, terms: int, columns: int) -> None:
    rng = np.random.default_rng(rows * terms + columns)
    left = rng.standard_normal((rows, terms), np.float32)
    right = rng.standard_normal((terms, columns), np.float32)
    out = np.full((2, rows, columns), np.nan, np.float32)
    compiled_times(left, right, out[0])
    products.times(left, right, out[1])
    assert out[0].tobytes() == out[1].tobytes()
    np.testing.assert_allclose(out[0], left.astype(float) @ right, atol=1e-4)
    left, right = left[:, 1:].copy(), right[1:]  # any number of terms
    compiled_times_in_order(left, right, out[0])
    products.times_in_order(left, right, out[1])
    assert out[0].tobytes() == out[1].tobytes()
    in_order = np.cumsum(left[:, :, None] * right, axis=1, dtype=np.float32)[:, -1]
    assert out[0].tobytes() == in_order.tobytes()


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("length", [1, 3, 4])
@given(seed=st.integers(0, 2**32), first=st.integers(0, 40), planted=st.integers(0, 127))
def test_near_is_its_twin(length: int, bits: int, seed: int, first: int, planted: int) -> None:
    rng = np.random.default_rng(seed)
    dtype = np.uint32 if bits == 32 else np.uint64
    words = rng.integers(0, 2**bits, (length, 168), dtype)
    asked = rng.integers(0, 2**bits, (length, 3), dtype)
    words[:, first + planted] = asked[:, 1]
    columns, heads = tuple(words), tuple(asked)
    distances = [simd.head_distance(columns, first + i, heads, 1) for i in range(simd.GROUP)]
    assert distances[planted] == 0
    for limit in (
        0,
        sorted(distances)[1] - 1,
        sorted(distances)[1],
        bits * length // 3,
        bits * length,
    ):
        args = columns, first, heads, 1, limit
        assert compiled_any_near(*args) == simd.any_near(*args) == (min(distances) <= limit)
        mask = int(compiled_near(*args))
        assert mask == int(simd.near_mask(*args))
        assert [mask >> i & 1 for i in range(64)] == [d <= limit for d in distances[:64]]


@given(st.integers(1, 2**64 - 1))
def test_trailing_zeros_is_its_twin(mask: int) -> None:
    expected = bin(mask)[::-1].index("1")
    assert (
        compiled_trailing_zeros(np.uint64(mask)) == simd.trailing_zeros(np.uint64(mask)) == expected
    )


@pytest.mark.skipif(not JIT, reason="types are checked when a kernel is compiled")
def test_other_arrays_are_refused() -> None:
    from numba.core.errors import TypingError

    good = (np.zeros(128, np.uint64),)
    wrong: list[Any] = [
        (np.zeros(128, np.uint32),), (np.zeros(128, np.int64),), (np.zeros(256, np.uint64)[::2],),
        good * 2, good[0],
    ]  # fmt: skip
    for columns in wrong:
        with pytest.raises(TypingError):
            compiled_any_near(columns, 0, good, 0, 1)
        with pytest.raises(TypingError):
            compiled_near(columns, 0, good, 0, 1)
    with pytest.raises(TypingError):
        compiled_trailing_zeros(np.int32(1))
    square = np.zeros((16, 16), np.float32)
    for refused in (square.astype(np.float64), square[:, ::2], square[0]):
        with pytest.raises(TypingError):
            compiled_times(refused, square, square)
    with pytest.raises(TypingError):
        compiled_above(square, 0, np.float32(0))
    with pytest.raises(TypingError):
        compiled_above(square[0], 0, 0.0)
