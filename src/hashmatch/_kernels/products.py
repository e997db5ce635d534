"""Products of small matrices of float32, as PDQ's coefficients are made of.

Numba's loops over a few columns spend more time on their beginning and end than within. So one tile
of a product is written for LLVM, see `hashmatch._kernels.simd`: its sums stay in registers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

if TYPE_CHECKING:
    from hashmatch._kernels.pdq_reduce import Floats

TERMS = 4
"""Terms that are added up among themselves, then to the sum."""
ROWS, LANES, FEWER = 4, 16, 4
"""Rows and columns of a tile; and columns of the tiles for what is left of a product beside them.
"""


def times(left: Floats, right: Floats, out: Floats) -> None:
    """Write ``left @ right`` to `out`, four terms at a time.

    Parameters
    ----------
    left, right, out : ndarray of float32, shape (m, k), (k, n) and (m, n)
        Contiguous; all of m, k and n are multiples of four.
    """
    out[:] = np.float32(0.0)
    for k in range(0, left.shape[1], TERMS):
        a, b, c, d = (left[:, k + term, None] * right[k + term] for term in range(TERMS))
        out += (a + b) + (c + d)


def times_in_order(left: Floats, right: Floats, out: Floats) -> None:
    """Write ``left @ right`` to `out` as `times` does, each sum from its first term to its last.

    `left` and `right` share any number of terms.
    """
    out[:] = np.float32(0.0)
    for k in range(left.shape[1]):
        out += left[:, k, None] * right[k]


def _is_matrix(array: types.Type) -> bool:
    return isinstance(array, types.Array) and array == types.Array(types.float32, 2, "C")


def _add_products(
    context: Any, builder: Any, signature: Any, args: Any, lanes: int, terms: int
) -> Any:
    """Write code for a tile of `out`, from a row and a column on, so many terms at a time."""
    matrices = [
        context.make_array(kind)(context, builder, array)
        for kind, array in zip(signature.args[:3], args[:3], strict=True)
    ]
    widths = [builder.extract_value(matrix.shape, 1) for matrix in matrices]
    vector, index = ir.VectorType(ir.FloatType(), lanes), args[3].type

    def place(which: int, row: Any, column: Any) -> Any:
        at = builder.add(builder.mul(row, widths[which]), column)
        return builder.gep(matrices[which].data, [at])

    def spread(value: Any) -> Any:
        undefined, number = ir.Constant(vector, ir.Undefined), ir.IntType(32)
        one = builder.insert_element(undefined, value, number(0))
        zeros = ir.Constant(ir.VectorType(number, lanes), [0] * lanes)
        return builder.shuffle_vector(one, undefined, zeros)

    rows = [builder.add(args[3], index(row)) for row in range(ROWS)]
    nothing = ir.Constant(vector, [0.0] * lanes)
    sums = [cgutils.alloca_once_value(builder, nothing) for _ in rows]
    step = index(terms)
    with cgutils.for_range_slice(builder, index(0), widths[0], step, index) as (term, _):
        numbers = [builder.add(term, index(k)) for k in range(terms)]
        pointers = [builder.bitcast(place(1, k, args[4]), vector.as_pointer()) for k in numbers]
        values = [builder.load(pointer, align=4) for pointer in pointers]
        for row, total in zip(rows, sums, strict=True):
            factors = [spread(builder.load(place(0, row, k))) for k in numbers]
            added = [builder.fmul(f, v) for f, v in zip(factors, values, strict=True)]
            while len(added) > 1:
                added = [builder.fadd(*pair) for pair in zip(added[::2], added[1::2], strict=True)]
            builder.store(builder.fadd(builder.load(total), added[0]), total)
    for row, total in zip(rows, sums, strict=True):
        target = builder.bitcast(place(2, row, args[4]), vector.as_pointer())
        builder.store(builder.load(total), target, align=4)
    return context.get_dummy_value()


def _tile(lanes: int, terms: int) -> Any:
    @intrinsic
    def tile(typing: Any, left: Any, right: Any, out: Any, row: Any, column: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _add_products(context, builder, signature, args, lanes, terms)

        return types.void(left, right, out, types.int64, types.int64), generate

    return tile


def _compiled(terms: int) -> Any:
    """Return what gives numba the code of a product whose sums take so many terms at a time."""
    wide, narrow = _tile(LANES, terms), _tile(FEWER, terms)

    def typed(left, right, out):  # type: ignore[no-untyped-def]
        if not (_is_matrix(left) and _is_matrix(right) and _is_matrix(out)):
            return None

        def compiled(left, right, out):  # type: ignore[no-untyped-def]
            whole = out.shape[1] // LANES * LANES
            for row in range(0, out.shape[0], ROWS):
                for column in range(0, whole, LANES):
                    wide(left, right, out, row, column)
                for column in range(whole, out.shape[1], FEWER):
                    narrow(left, right, out, row, column)

        return compiled

    return typed


overload(times)(_compiled(TERMS))
overload(times_in_order)(_compiled(1))
