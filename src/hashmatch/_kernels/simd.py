"""Distances of many entries at once, in vector registers, which Numba does not use by itself.

Numba's loops do not become vector code where they count bits. So two small functions are written
in LLVM's own terms here: each has a Python twin that says what it computes, and the vector code
takes its place in compiled kernels. LLVM brings it to whatever the processor has: one instruction
for sixteen counts with AVX-512 VPOPCNTDQ, table look-ups of half-bytes with AVX2 and elsewhere.

Distances of the short signatures of a cache line at once.

Like `hashmatch._kernels.simd`: the function has a Python twin, and LLVM's vector code takes its
place in compiled kernels.

Reading arrays without Numba's care for negative places, and asking memory ahead of time.

Numba lets a place count from the end of an array, and so looks at the sign of each: in the loops of
a search that takes as long as the comparisons. Like `hashmatch._kernels.simd`: each function has a
Python twin, and LLVM's code takes its place in compiled kernels, where types are checked before an
address is formed.
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


def item(array: NDArray[Any], place: int) -> Any:
    """Return ``array[place]``; `place` lies in the array, unchecked."""
    return array[place]


def number(value: Any) -> int:
    """Return an element as a signed 64-bit number: unsigned ones and those do not mix in Numba."""
    return int(value)


def prefetch(array: NDArray[Any], place: int) -> None:
    """Have ``array[place]`` brought near, without waiting for it; any place will do."""


def is_flat(array: types.Type) -> bool:
    """Say whether this is the type of contiguous arrays of one dimension."""
    return isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C"


def address_of(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    """Write code for the address of an element of an array `is_flat` of."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [place])


@intrinsic
def _item(typing: Any, array: Any, place: Any) -> Any:
    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        return builder.load(address_of(context, builder, given.args[0], *args))

    return (array.dtype(array, types.int64), generate) if is_flat(array) else None


@intrinsic
def _prefetch(typing: Any, array: Any, place: Any) -> Any:
    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        start = address_of(context, builder, given.args[0], *args)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, number, number, number]),
            "llvm.prefetch.p0",
        )
        reading, keep, data = number(0), number(3), number(1)
        builder.call(function, [builder.bitcast(start, byte), reading, keep, data])
        return context.get_dummy_value()

    return (types.void(array, types.int64), generate) if is_flat(array) else None


@overload(item)
def _compiled_item(array, place):  # type: ignore[no-untyped-def]
    if not is_flat(array):
        return None

    def compiled(array, place):  # type: ignore[no-untyped-def]
        return _item(array, place)

    return compiled


@overload(prefetch)
def _compiled_prefetch(array, place):  # type: ignore[no-untyped-def]
    if not is_flat(array):
        return None

    def compiled(array, place):  # type: ignore[no-untyped-def]
        _prefetch(array, place)

    return compiled


@overload(number)
def _compiled_number(value):  # type: ignore[no-untyped-def]
    def compiled(value):  # type: ignore[no-untyped-def]
        return np.int64(value)

    return compiled


LINE = 32
"""Of 16 bits each, as many as a cache line of 64 bytes holds."""


def near_signatures(lines: NDArray[np.uint16], first: int, signature: int, limit: int) -> np.uint64:
    """Return which of a line are within `limit` bits of a signature, one bit each.

    The first of a line is no signature, and compared with 0.

    Parameters
    ----------
    lines : ndarray of uint16, shape (n,)
        ``first + LINE <= n``, unchecked.
    """
    return np.uint64(
        sum(
            1 << i
            for i in range(LINE)
            if (int(lines[first + i]) ^ (signature if i else 0)).bit_count() <= limit
        )
    )


@intrinsic
def _near_signatures(typing: Any, lines: Any, first: Any, signature: Any, limit: Any) -> Any:
    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        lane, number = ir.IntType(16), ir.IntType(32)
        vector = ir.VectorType(lane, LINE)

        def spread(value: Any) -> Any:
            undefined = ir.Constant(vector, ir.Undefined)
            one = builder.insert_element(undefined, builder.trunc(value, lane), number(0))
            zeros = ir.Constant(ir.VectorType(number, LINE), [0] * LINE)
            return builder.shuffle_vector(one, undefined, zeros)

        start = address_of(context, builder, given.args[0], args[0], args[1])
        words = builder.load(builder.bitcast(start, vector.as_pointer()))
        words.align = 2  # in a file that was laid out elsewhere, lines begin anywhere
        count_bits = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector]), f"llvm.ctpop.v{LINE}i16"
        )
        all_but_first = ir.Constant(vector, [0] + [0xFFFF] * (LINE - 1))
        wanted = builder.and_(spread(args[2]), all_but_first)
        distances = builder.call(count_bits, [builder.xor(words, wanted)])
        is_near = builder.icmp_unsigned("<=", distances, spread(args[3]))
        return builder.zext(builder.bitcast(is_near, ir.IntType(LINE)), ir.IntType(64))

    if not is_flat(lines) or lines.dtype != types.uint16:
        return None
    return types.uint64(lines, types.int64, types.int64, types.int64), generate


@overload(near_signatures)
def _compiled_near_signatures(lines, first, signature, limit):  # type: ignore[no-untyped-def]
    if not is_flat(lines) or lines.dtype != types.uint16:
        return None

    def compiled(lines, first, signature, limit):  # type: ignore[no-untyped-def]
        return _near_signatures(lines, first, signature, limit)

    return compiled
