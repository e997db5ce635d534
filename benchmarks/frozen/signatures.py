"""Distances of 32 short signatures at once, and asking memory ahead of time.

Like `benchmarks.frozen.lanes`: each function has a Python twin, and LLVM's vector code takes its
place in compiled kernels.
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

RUN = 32
"""Signatures that one call looks at; arrays of them have as many to spare at their end."""


def near_signatures(
    signatures: NDArray[np.uint16], first: int, signature: int, limit: int
) -> np.uint64:
    """Return which of `RUN` signatures from `first` on are within `limit` bits, one bit each.

    Parameters
    ----------
    signatures : ndarray of uint16, shape (n,)
        ``first + RUN <= n``, unchecked.
    """
    return np.uint64(
        sum(
            1 << i
            for i in range(RUN)
            if (int(signatures[first + i]) ^ signature).bit_count() <= limit
        )
    )


def prefetch(array: NDArray[Any], place: int) -> None:
    """Have ``array[place]`` brought near, without waiting for it; any place will do."""


def _is_flat(array: types.Type) -> bool:
    return isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C"


def _address(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [place])


@intrinsic
def _near_signatures(typing: Any, signatures: Any, first: Any, signature: Any, limit: Any) -> Any:
    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        lane, wide = ir.IntType(16), ir.IntType(64)
        vector = ir.VectorType(lane, RUN)

        def spread(value: Any) -> Any:
            undefined = ir.Constant(vector, ir.Undefined)
            zero = ir.Constant(ir.IntType(32), 0)
            one = builder.insert_element(undefined, builder.trunc(value, lane), zero)
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), RUN), [0] * RUN)
            return builder.shuffle_vector(one, undefined, zeros)

        start = _address(context, builder, given.args[0], args[0], args[1])
        words = builder.load(builder.bitcast(start, vector.as_pointer()))
        words.align = 2  # runs begin anywhere
        count_bits = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector]), f"llvm.ctpop.v{RUN}i16"
        )
        distances = builder.call(count_bits, [builder.xor(words, spread(args[2]))])
        is_near = builder.icmp_unsigned("<=", distances, spread(args[3]))
        return builder.zext(builder.bitcast(is_near, ir.IntType(RUN)), wide)

    if not _is_flat(signatures) or signatures.dtype != types.uint16:
        return None
    return types.uint64(signatures, types.int64, types.int64, types.int64), generate


@intrinsic
def _prefetch(typing: Any, array: Any, place: Any) -> Any:
    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        start = _address(context, builder, given.args[0], args[0], args[1])
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, number, number, number]),
            "llvm.prefetch.p0",
        )
        reading, keep, data = number(0), number(3), number(1)
        builder.call(function, [builder.bitcast(start, byte), reading, keep, data])
        return context.get_dummy_value()

    return (types.void(array, types.int64), generate) if _is_flat(array) else None


@overload(near_signatures)
def _compiled_near(signatures, first, signature, limit):  # type: ignore[no-untyped-def]
    if not _is_flat(signatures) or signatures.dtype != types.uint16:
        return None

    def compiled(signatures, first, signature, limit):  # type: ignore[no-untyped-def]
        return _near_signatures(signatures, first, signature, limit)

    return compiled


@overload(prefetch)
def _compiled_prefetch(array, place):  # type: ignore[no-untyped-def]
    if not _is_flat(array):
        return None

    def compiled(array, place):  # type: ignore[no-untyped-def]
        _prefetch(array, place)

    return compiled
