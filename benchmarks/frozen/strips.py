"""A strip of sixteen rows side by side: the two steps that no loop is compiled well for.

A running sum along a row waits for itself at every value. Sixteen rows laid out as columns, so
that the values at one place of all of them are neighbours in memory, advance together at the price
of one. Numba does not find such vectors by itself, so these two steps are written for LLVM, which
splits a vector of sixteen into what the processor has. Their Python twins are the functions of the
same name; one row never meets another in a sum, so both round alike.

Nothing is checked here: an index outside of an array is memory of something else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

from benchmarks.frozen.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]

ROWS = 16
"""Rows of a strip: the floats in the widest vector there is, and in a cache line."""
VECTOR = ir.VectorType(ir.FloatType(), ROWS)


@kernel
def zeros(count: int, width: int) -> Floats:
    """Return zeros of shape (count, width) that begin on a cache line, as a vector wants to."""
    values = np.zeros(count * width + ROWS, np.float32)
    skipped = (64 - values.ctypes.data % 64) % 64 // 4
    return values[skipped : skipped + count * width].reshape(count, width)


def slide(columns: Floats, at: int, window: int) -> None:
    """Put the next running sums in place of the values that they take off.

    Parameters
    ----------
    columns : ndarray of float32, shape (n, 16)
        Contiguous. Row ``at - 1`` holds the sums so far.
    at, window : int
        Row ``at + window`` enters the sums, row `at` leaves them.
    """
    columns[at] = (columns[at - 1] + columns[at + window]) - columns[at]


def transpose(source: Floats, row: int, column: int, target: Floats, at: int, first: int) -> None:
    """Copy 16 x 16 values of `source` to row `at`, column `first` of `target`, transposed.

    Both are contiguous, and neither is the other.
    """
    square = source[row : row + ROWS, column : column + ROWS]
    target[at : at + ROWS, first : first + ROWS] = square.T


class _Place:
    """Vectors of sixteen in a two-dimensional array, while code is generated."""

    def __init__(self, context: Any, builder: Any, array_type: types.Array, array: Any) -> None:
        self.builder = builder
        self.array = make_array(array_type)(context, builder, array)
        self.width = builder.extract_value(self.array.shape, 1)

    def at(self, row: Any, column: Any) -> Any:
        index = self.builder.add(self.builder.mul(row, self.width), column)
        return self.builder.bitcast(self.builder.gep(self.array.data, [index]), VECTOR.as_pointer())


def _is_contiguous(array: Any) -> bool:
    return bool(array == types.Array(types.float32, 2, "C"))


@intrinsic
def _slide(typing_context: Any, columns: Any, at: Any, window: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _Place(context, builder, signature.args[0], args[0])
        zero, one = ir.Constant(args[1].type, 0), ir.Constant(args[1].type, 1)
        here = place.at(args[1], zero)
        before = builder.load(place.at(builder.sub(args[1], one), zero), align=4)
        entering = builder.load(place.at(builder.add(args[1], args[2]), zero), align=4)
        leaving = builder.load(here, align=4)
        builder.store(builder.fsub(builder.fadd(before, entering), leaving), here, align=4)
        return context.get_dummy_value()

    return types.void(columns, types.int64, types.int64), generate


@intrinsic
def _transpose(
    typing_context: Any, source: Any, row: Any, column: Any, target: Any, at: Any, first: Any
) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        given = _Place(context, builder, signature.args[0], args[0])
        taken = _Place(context, builder, signature.args[3], args[3])
        numbers = [ir.Constant(args[1].type, k) for k in range(ROWS)]
        rows = [builder.load(given.at(builder.add(args[1], k), args[2]), align=4) for k in numbers]
        for k, values in zip(numbers, _transposed(builder, rows), strict=True):
            builder.store(values, taken.at(builder.add(args[4], k), args[5]), align=4)
        return context.get_dummy_value()

    index = types.int64
    return types.void(source, index, index, target, index, index), generate


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Return the columns of a square of `rows`.

    A square of four squares is transposed by exchanging the two off the diagonal and transposing
    each of the four. From the largest squares to the smallest, that is four rounds, in each of
    which two rows exchange halves, quarters, eighths or sixteenths: mostly one instruction.
    """
    step = ROWS // 2
    while step:
        kept = [i if not i & step else i - step + ROWS for i in range(ROWS)]
        moved = [i + step for i in kept]
        masks = [ir.Constant(ir.VectorType(ir.IntType(32), ROWS), mask) for mask in (kept, moved)]
        pairs = [(k & ~step, k | step) for k in range(ROWS)]
        rows = [
            builder.shuffle_vector(rows[upper], rows[lower], masks[k & step > 0])
            for k, (upper, lower) in enumerate(pairs)
        ]
        step //= 2
    return rows


# Numba wants both signatures to be equal to the letter, annotations included.
@overload(slide)
def _compiled_slide(columns, at, window):  # type: ignore[no-untyped-def]
    if not _is_contiguous(columns):
        return None

    def compiled(columns, at, window):  # type: ignore[no-untyped-def]
        _slide(columns, at, window)

    return compiled


@overload(transpose)
def _compiled_transpose(source, row, column, target, at, first):  # type: ignore[no-untyped-def]
    if not (_is_contiguous(source) and _is_contiguous(target)):
        return None

    def compiled(source, row, column, target, at, first):  # type: ignore[no-untyped-def]
        _transpose(source, row, column, target, at, first)

    return compiled
