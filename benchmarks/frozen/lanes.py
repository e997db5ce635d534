"""Distances of many entries at once, in vector registers, which Numba does not use by itself.

Numba's loops do not become vector code where they count bits. So two small functions are written
in LLVM's own terms here: each has a Python twin that says what it computes, and the vector code
takes its place in compiled kernels. LLVM brings it to whatever the processor has: one instruction
for sixteen counts with AVX-512 VPOPCNTDQ, table look-ups of half-bytes with AVX2 and elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Columns = tuple[NDArray[np.uint32], ...]

GROUP = 128
"""Entries that one call looks at; columns are padded to a multiple of it."""
LANES = 16
"""Entries in one register of 512 bits; narrower processors take two or four for it."""
MASK = 64
"""Entries that one mask tells apart."""


def head_distance(columns: Columns, entry: int, heads: Columns, query: int) -> int:
    """Return the differing bits of the heads of an entry and a query; for the twins."""
    return sum(
        (int(column[entry]) ^ int(head[query])).bit_count()
        for column, head in zip(columns, heads, strict=True)
    )


def any_near(columns: Columns, first: int, heads: Columns, query: int, limit: int) -> bool:
    """Say whether any of `GROUP` entries from `first` on has a head within `limit` of the query's.

    Parameters
    ----------
    columns : tuple of ndarray of uint32, each of shape (n,)
        Each 32 bits of every entry; together, its head. ``first + GROUP <= n``, unchecked.
    heads : tuple of ndarray of uint32, each of shape (m,)
        The same of the queries.
    """
    return any(head_distance(columns, first + i, heads, query) <= limit for i in range(GROUP))


def near(columns: Columns, first: int, heads: Columns, query: int, limit: int) -> np.uint64:
    """Return which of `MASK` entries from `first` on `any_near` means, one bit each."""
    return np.uint64(
        sum(1 << i for i in range(MASK) if head_distance(columns, first + i, heads, query) <= limit)
    )


def lowest(mask: np.uint64) -> int:
    """Return the number of the lowest bit set in `mask`, which is not zero."""
    value = int(mask)
    return (value & -value).bit_length() - 1


def _takes(columns: types.Type, heads: types.Type) -> bool:
    """Say whether both are tuples of as many contiguous uint32 columns: addresses follow."""
    return all(
        isinstance(kind, types.UniTuple)
        and isinstance(kind.dtype, types.Array)
        and (kind.dtype.dtype, kind.dtype.ndim, kind.dtype.layout) == (types.uint32, 1, "C")
        for kind in (columns, heads)
    ) and len(columns) == len(heads)


class _Vectors:
    """Writes the code for distances of heads, `LANES` entries at a time."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.builder = builder
        self.lane = ir.IntType(32)
        self.vector = ir.VectorType(self.lane, LANES)
        columns, self.first, heads, query, limit = args

        def data(kind: Any, arrays: Any, number: int) -> Any:
            array = context.make_array(kind.dtype)
            return array(context, builder, builder.extract_value(arrays, number)).data

        count = len(signature.args[0])
        self.columns = [data(signature.args[0], columns, k) for k in range(count)]
        self.heads = [
            self.spread(builder.load(builder.gep(data(signature.args[2], heads, k), [query])))
            for k in range(count)
        ]
        self.limit = self.spread(builder.trunc(limit, self.lane))
        self.count_bits = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(self.vector, [self.vector]),
            f"llvm.ctpop.v{LANES}i32",
        )

    def spread(self, value: Any) -> Any:
        """Return a vector with `value` in every lane."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        one = self.builder.insert_element(undefined, value, ir.Constant(self.lane, 0))
        zeros = ir.Constant(ir.VectorType(self.lane, LANES), [0] * LANES)
        return self.builder.shuffle_vector(one, undefined, zeros)

    def distances(self, part: int) -> Any:
        """Return the head distances of entries `part` * `LANES` and on after the first."""
        builder = self.builder
        at = builder.add(self.first, ir.Constant(ir.IntType(64), part * LANES))
        total = None
        for column, head in zip(self.columns, self.heads, strict=True):
            place = builder.bitcast(builder.gep(column, [at]), self.vector.as_pointer())
            words = builder.load(place)
            words.align = 4  # columns begin anywhere
            bits = builder.call(self.count_bits, [builder.xor(words, head)])
            total = bits if total is None else builder.add(total, bits)
        return total

    def lesser(self, one: Any, other: Any) -> Any:
        """Return the lesser of two vectors, lane by lane."""
        return self.builder.select(self.builder.icmp_unsigned("<", one, other), one, other)

    def within(self, distances: Any) -> Any:
        """Return a bit for each lane: whether its distance is within the limit."""
        is_near = self.builder.icmp_unsigned("<=", distances, self.limit)
        return self.builder.bitcast(is_near, ir.IntType(LANES))


def _signature(result: types.Type, columns: types.Type, heads: types.Type) -> Any:
    return result(columns, types.int64, heads, types.int64, types.int64)


@intrinsic
def _any_near(typing: Any, columns: Any, first: Any, heads: Any, query: Any, limit: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vectors = _Vectors(context, builder, signature, args)
        least = vectors.distances(0)
        for part in range(1, GROUP // LANES):
            least = vectors.lesser(least, vectors.distances(part))
        return builder.icmp_unsigned("!=", vectors.within(least), ir.Constant(ir.IntType(LANES), 0))

    return (_signature(types.boolean, columns, heads), generate) if _takes(columns, heads) else None


@intrinsic
def _near(typing: Any, columns: Any, first: Any, heads: Any, query: Any, limit: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vectors = _Vectors(context, builder, signature, args)
        wide = ir.IntType(64)
        mask = ir.Constant(wide, 0)
        for part in range(MASK // LANES):
            bits = builder.zext(vectors.within(vectors.distances(part)), wide)
            mask = builder.or_(mask, builder.shl(bits, ir.Constant(wide, part * LANES)))
        return mask

    return (_signature(types.uint64, columns, heads), generate) if _takes(columns, heads) else None


@intrinsic
def _lowest(typing: Any, mask: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return (types.int64(types.uint64), generate) if mask == types.uint64 else None


@overload(any_near)
def _compiled_any_near(columns, first, heads, query, limit):  # type: ignore[no-untyped-def]
    def compiled(columns, first, heads, query, limit):  # type: ignore[no-untyped-def]
        return _any_near(columns, first, heads, query, limit)

    return compiled if _takes(columns, heads) else None


@overload(near)
def _compiled_near(columns, first, heads, query, limit):  # type: ignore[no-untyped-def]
    def compiled(columns, first, heads, query, limit):  # type: ignore[no-untyped-def]
        return _near(columns, first, heads, query, limit)

    return compiled if _takes(columns, heads) else None


@overload(lowest)
def _compiled_lowest(mask):  # type: ignore[no-untyped-def]
    def compiled(mask):  # type: ignore[no-untyped-def]
        return _lowest(mask)

    return compiled if mask == types.uint64 else None
