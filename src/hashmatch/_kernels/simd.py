"""What LLVM can say and Numba cannot: bit counts of whole vectors, unchecked loads, prefetching.

Numba's loops do not become vector code where they count bits, and it looks at the sign of every
index, since a negative one counts from the end: in the loops of a search that takes as long as the
comparisons. So a few small functions are written in LLVM's own terms. Each has a Python twin that
says what it computes; LLVM's code takes its place in compiled kernels, where types are checked
before an address is formed. LLVM brings it to whatever the processor has: one instruction for
sixteen counts with AVX-512 VPOPCNTDQ, table look-ups of half-bytes with AVX2 and elsewhere.
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

    Column = NDArray[np.unsignedinteger[Any]]
    Columns = tuple[Column, ...]

GROUP = 128
"""Entries that one call looks at; columns are padded to a multiple of it."""
REGISTER = 512
"""Bits of a vector register; narrower processors take two or four for it."""
MASK = 64
"""Entries that one mask tells apart."""
LINE = 32
"""Signatures of 16 bits in a cache line of 64 bytes."""


def popcount(word: np.uint64) -> int:
    """Return the number of bits set in a 64-bit `word`; other types are refused."""
    return int(word).bit_count()


def trailing_zeros(mask: np.uint64) -> int:
    """Return the number of the lowest bit set in `mask`, which is not zero."""
    value = int(mask)
    return (value & -value).bit_length() - 1


def load(array: NDArray[Any], place: int) -> Any:
    """Return ``array[place]``; `place` lies in the array, unchecked."""
    return array[place]


def signed(value: Any) -> int:
    """Return an element as a signed 64-bit number: unsigned ones and those do not mix in Numba."""
    return int(value)


def prefetch(array: NDArray[Any], place: int) -> None:
    """Have ``array[place]`` brought near, without waiting for it; any place will do."""


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
    columns : tuple of ndarray of uint32 or of uint64, each of shape (n,)
        Each 32 or 64 bits of every entry; together, its head. ``first + GROUP <= n``, unchecked.
    heads : tuple of ndarray of the same, each of shape (m,)
        The same of the queries.
    """
    return any(head_distance(columns, first + i, heads, query) <= limit for i in range(GROUP))


def near_mask(columns: Columns, first: int, heads: Columns, query: int, limit: int) -> np.uint64:
    """Return which of `MASK` entries from `first` on `any_near` means, one bit each."""
    return np.uint64(
        sum(1 << i for i in range(MASK) if head_distance(columns, first + i, heads, query) <= limit)
    )


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


def above(values: NDArray[np.float32], first: int, threshold: np.float32) -> np.uint64:
    """Return which of `MASK` values from `first` on are above a threshold, one bit each.

    Parameters
    ----------
    values : ndarray of float32, shape (n,)
        ``first + MASK <= n``, unchecked.
    """
    return np.uint64(sum(1 << i for i in range(MASK) if values[first + i] > threshold))


def _is_flat(array: types.Type) -> bool:
    """Say whether this is the type of contiguous arrays of one dimension."""
    return isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C"


def _are_columns(columns: types.Type, heads: types.Type) -> bool:
    """Say whether both are tuples of as many contiguous columns, all uint32 or all uint64."""
    if not all(
        isinstance(kind, types.UniTuple)
        and _is_flat(kind.dtype)
        and kind.dtype.dtype in (types.uint32, types.uint64)
        for kind in (columns, heads)
    ):
        return False
    return len(columns) == len(heads) and columns.dtype.dtype == heads.dtype.dtype


def _data(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    """Write code for where an array `_is_flat` of begins."""
    return context.make_array(kind)(context, builder, array).data


class _Vector:
    """Writes code for vectors of some number of lanes, each of some bits."""

    def __init__(self, builder: Any, bits: int, lanes: int) -> None:
        self.builder, self.lanes = builder, lanes
        self.lane, self.type = ir.IntType(bits), ir.VectorType(ir.IntType(bits), lanes)
        self._count_bits = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(self.type, [self.type]), f"llvm.ctpop.v{lanes}i{bits}"
        )

    def spread(self, value: Any) -> Any:
        """Return a vector with the last bits of `value` in every lane."""
        if value.type != self.lane:
            value = self.builder.trunc(value, self.lane)
        number, undefined = ir.IntType(32), ir.Constant(self.type, ir.Undefined)
        one = self.builder.insert_element(undefined, value, number(0))
        zeros = ir.Constant(ir.VectorType(number, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, undefined, zeros)

    def distances(self, address: Any, to: Any) -> Any:
        """Return how many bits of each lane, from an address on, differ from those of a vector."""
        place = self.builder.bitcast(address, self.type.as_pointer())
        words = self.builder.load(place, align=self.lane.width // 8)  # they begin anywhere
        return self.builder.call(self._count_bits, [self.builder.xor(words, to)])

    def lesser(self, one: Any, other: Any) -> Any:
        """Return the lesser of two vectors, lane by lane."""
        return self.builder.select(self.builder.icmp_unsigned("<", one, other), one, other)

    def within(self, distances: Any, limit: Any) -> Any:
        """Return a bit for each lane, whether its distance is within the limit, as 64 bits."""
        is_near = self.builder.icmp_unsigned("<=", distances, self.spread(limit))
        bits = self.builder.bitcast(is_near, ir.IntType(self.lanes))
        return self.builder.zext(bits, ir.IntType(64))


class _Heads:
    """Writes code for distances of heads, as many entries at a time as a register has lanes."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        columns, self.first, heads, query, self.limit = args
        kind = signature.args[0]
        bits = kind.dtype.dtype.bitwidth
        self.builder, self.vector = builder, _Vector(builder, bits, REGISTER // bits)

        def starts(arrays: Any) -> list[Any]:
            each = [builder.extract_value(arrays, k) for k in range(len(kind))]
            return [_data(context, builder, kind.dtype, array) for array in each]

        self.columns = starts(columns)
        words = [builder.load(builder.gep(head, [query])) for head in starts(heads)]
        self.heads = [self.vector.spread(word) for word in words]

    def distances(self, part: int) -> Any:
        """Return the head distances of the entries in register number `part`."""
        at = self.builder.add(self.first, ir.Constant(ir.IntType(64), part * self.vector.lanes))
        total = None
        for column, head in zip(self.columns, self.heads, strict=True):
            bits = self.vector.distances(self.builder.gep(column, [at]), head)
            total = bits if total is None else self.builder.add(total, bits)
        return total


def _signature(result: types.Type, columns: types.Type, heads: types.Type) -> Any:
    return result(columns, types.int64, heads, types.int64, types.int64)


@intrinsic
def _any_near(typing: Any, columns: Any, first: Any, heads: Any, query: Any, limit: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        of = _Heads(context, builder, signature, args)
        least = [of.distances(part) for part in range(GROUP // of.vector.lanes)]
        while len(least) > 1:  # pairs of pairs: none waits for all that came before
            least = [of.vector.lesser(*two) for two in zip(least[::2], least[1::2], strict=True)]
        mask = of.vector.within(least[0], of.limit)
        return builder.icmp_unsigned("!=", mask, ir.Constant(mask.type, 0))

    known = _are_columns(columns, heads)
    return (_signature(types.boolean, columns, heads), generate) if known else None


@intrinsic
def _near_mask(typing: Any, columns: Any, first: Any, heads: Any, query: Any, limit: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        of, wide = _Heads(context, builder, signature, args), ir.IntType(64)
        mask = ir.Constant(wide, 0)
        lanes = of.vector.lanes
        for part in range(MASK // lanes):
            bits = of.vector.within(of.distances(part), of.limit)
            mask = builder.or_(mask, builder.shl(bits, ir.Constant(wide, part * lanes)))
        return mask

    known = _are_columns(columns, heads)
    return (_signature(types.uint64, columns, heads), generate) if known else None


@intrinsic
def _near_signatures(typing: Any, lines: Any, first: Any, signature: Any, limit: Any) -> Any:
    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        vector = _Vector(builder, 16, LINE)
        all_but_first = ir.Constant(vector.type, [0] + [0xFFFF] * (LINE - 1))
        wanted = builder.and_(vector.spread(args[2]), all_but_first)
        start = _data(context, builder, given.args[0], args[0])
        distances = vector.distances(builder.gep(start, [args[1]]), wanted)
        return vector.within(distances, args[3])

    if not _is_flat(lines) or lines.dtype != types.uint16:
        return None
    return types.uint64(lines, types.int64, types.int64, types.int64), generate


@intrinsic
def _above(typing: Any, values: Any, first: Any, threshold: Any) -> Any:
    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        number, vector = ir.IntType(32), ir.VectorType(ir.FloatType(), MASK)
        start = builder.gep(_data(context, builder, given.args[0], args[0]), [args[1]])
        found = builder.load(builder.bitcast(start, vector.as_pointer()), align=4)
        undefined = ir.Constant(vector, ir.Undefined)
        one = builder.insert_element(undefined, args[2], number(0))
        zeros = ir.Constant(ir.VectorType(number, MASK), [0] * MASK)
        spread = builder.shuffle_vector(one, undefined, zeros)
        is_above = builder.fcmp_ordered(">", found, spread)
        return builder.bitcast(is_above, ir.IntType(MASK))

    if not _is_flat(values) or values.dtype != types.float32 or threshold != types.float32:
        return None
    return types.uint64(values, types.int64, threshold), generate


@intrinsic
def _popcount(typing: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    # Only a uint64 is taken: another width would count other bits.
    return (types.uint64(types.uint64), generate) if word == types.uint64 else None


@intrinsic
def _trailing_zeros(typing: Any, mask: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return (types.int64(types.uint64), generate) if mask == types.uint64 else None


@intrinsic
def _load(typing: Any, array: Any, place: Any) -> Any:
    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        start = _data(context, builder, given.args[0], args[0])
        return builder.load(builder.gep(start, [args[1]]))

    return (array.dtype(array, types.int64), generate) if _is_flat(array) else None


@intrinsic
def _prefetch(typing: Any, array: Any, place: Any) -> Any:
    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        start = builder.gep(_data(context, builder, given.args[0], args[0]), [args[1]])
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, number, number, number]),
            "llvm.prefetch.p0",
        )
        reading, keep, data = number(0), number(3), number(1)
        builder.call(function, [builder.bitcast(start, byte), reading, keep, data])
        return context.get_dummy_value()

    return (types.void(array, types.int64), generate) if _is_flat(array) else None


# From here on, what stands for each twin in compiled kernels. Numba wants both signatures to be
# equal to the letter, annotations included.
@overload(any_near)
def _(columns, first, heads, query, limit):  # type: ignore[no-untyped-def]
    return lambda columns, first, heads, query, limit: _any_near(
        columns, first, heads, query, limit
    )


@overload(near_mask)
def _(columns, first, heads, query, limit):  # type: ignore[no-untyped-def]
    return lambda columns, first, heads, query, limit: _near_mask(
        columns, first, heads, query, limit
    )


@overload(near_signatures)
def _(lines, first, signature, limit):  # type: ignore[no-untyped-def]
    return lambda lines, first, signature, limit: _near_signatures(lines, first, signature, limit)


@overload(above)
def _(values, first, threshold):  # type: ignore[no-untyped-def]
    return lambda values, first, threshold: _above(values, first, threshold)


@overload(popcount)
def _(word):  # type: ignore[no-untyped-def]
    return lambda word: types.int64(_popcount(word))


@overload(trailing_zeros)
def _(mask):  # type: ignore[no-untyped-def]
    return lambda mask: _trailing_zeros(mask)


@overload(load)
def _(array, place):  # type: ignore[no-untyped-def]
    return lambda array, place: _load(array, place)


@overload(prefetch)
def _(array, place):  # type: ignore[no-untyped-def]
    return lambda array, place: _prefetch(array, place)


@overload(signed)
def _(value):  # type: ignore[no-untyped-def]
    return lambda value: np.int64(value)
