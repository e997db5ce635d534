"""Reading arrays without Numba's care for negative places, and asking memory ahead of time.

Numba lets a place count from the end of an array, and so looks at the sign of each: in the loops of
a search that takes as long as the comparisons. Like `benchmarks.frozen.lanes`: each function has a
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
