"""Distances of the short signatures of a cache line at once.

Like `benchmarks.frozen.lanes`: the function has a Python twin, and LLVM's vector code takes its
place in compiled kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from benchmarks.frozen.memory import address_of, is_flat

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
def _compiled_near(lines, first, signature, limit):  # type: ignore[no-untyped-def]
    if not is_flat(lines) or lines.dtype != types.uint16:
        return None

    def compiled(lines, first, signature, limit):  # type: ignore[no-untyped-def]
        return _near_signatures(lines, first, signature, limit)

    return compiled
