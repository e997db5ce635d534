"""PDQ's reduction of a picture to 64 x 64 samples, sixteen rows at a time.

The reference makes a float plane of the luma, runs a box filter over its rows and then its columns,
does both once more (two boxes are a tent), and takes the value at the centre of each of 64 x 64
cells::

    plane = luma(pixels)
    for _ in range(2):
        plane = box_along_rows(plane, across)
        plane = box_along_columns(plane, down)
    samples = plane[rows, columns]

Each box is a running sum: add the entering value, take off the leaving one, divide by how many are
in. Here the four filters are chained: sixteen rows of luma are turned into columns, where their
sums advance together, and back; the sums of the columns advance a row at a time; and the last two
filters are carried out for the sampled columns and rows only. No plane is ever in memory, only a
window of rows.

Every addition and division is the reference's, in its order and precision (float32), since the
hash depends on the last bit of a sum. Only nothing is added and taken off more often: the picture
lies in zeros, which fill the windows that hang over its edge, and no sum changes by a zero.
`tests/naive.py` has the filters one after the other.

In exact arithmetic one tent filter would do, in a third of the time, and where no coefficient comes
near the median the bits would be the same. But how near is near? The rounding of the reference
moves a coefficient by 0.001 in most photographs and by 0.02 in some; stripes whose period rounds
in step drift by 0.14 at 640 pixels and 0.4 at 4000. A gate of 0.15 sends every second photograph
back to this code, a narrower one rests on luck.

A running sum along a row waits for itself at every value. Sixteen rows laid out as columns, so
that the values at one place of all of them are neighbours in memory, advance together at the price
of one. Numba does not find such vectors by itself, so two steps are written for LLVM, which splits
a vector of sixteen into what the processor has. Their Python twins are the functions of the
same name; one row never meets another in a sum, so both round alike.

Most divisors are known beforehand, so that `quotient` divides by a multiplication and two fused
multiply-adds, which take a third of the time and round as a division does.

Nothing is checked here: an index outside of an array is memory of something else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from hashmatch._kernels.jit import kernel
from hashmatch._kernels.pdq_numpy import SAMPLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]
    Pixels: TypeAlias = NDArray[np.uint8] | Floats

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


def quotient(value: np.float32, divisor: np.float32, reciprocal: np.float32) -> np.float32:
    """Return ``value / divisor``, correctly rounded, where ``reciprocal`` is ``1 / divisor``.

    P. Markstein, "Computation of elementary functions on the IBM RISC System/6000 processor", IBM
    Journal of Research and Development 34 (1990), theorem 8.3: if the reciprocal is correctly
    rounded and ``q = value * reciprocal`` is one of the two floats beside the quotient, then
    ``q + (value - q * divisor) * reciprocal``, its remainder exact, is the quotient, rounded. That
    ``q`` is, and that no remainder is lost below the smallest float, is true of what is divided
    here: `tests/_kernels/test_strips.py` tries every divisor with every mantissa.

    Parameters
    ----------
    value : float32
        Zero, or at least 2^-100.
    divisor, reciprocal : float32
        A whole number that a box of a picture has, or 1000, and one divided by it.
    """
    return value / divisor


class _Place:
    """Vectors of sixteen in a two-dimensional array, while code is generated."""

    def __init__(self, context: Any, builder: Any, array_type: types.Array, array: Any) -> None:
        self.builder = builder
        self.array = context.make_array(array_type)(context, builder, array)
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


@intrinsic
def _fma(typing_context: Any, value: Any, factor: Any, addend: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float32(types.float32, types.float32, types.float32), generate


@intrinsic
def _has_fma(typing_context: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        features = str(context.codegen().magic_tuple()).split(",")
        return ir.Constant(ir.IntType(1), int("+fma" in features))

    return types.boolean(), generate


# Numba wants both signatures to be equal to the letter, annotations included.
@overload(slide)
def _compiled_slide(columns, at, window):  # type: ignore[no-untyped-def]
    if not _is_contiguous(columns):
        return None

    def compiled(columns, at, window):  # type: ignore[no-untyped-def]
        _slide(columns, at, window)

    return compiled


@overload(quotient)
def _compiled_quotient(value, divisor, reciprocal):  # type: ignore[no-untyped-def]
    def compiled(value, divisor, reciprocal):  # type: ignore[no-untyped-def]
        if not _has_fma():  # a constant
            return value / divisor
        near = value * reciprocal
        return _fma(_fma(-near, divisor, value), reciprocal, near)

    return compiled


@overload(transpose)
def _compiled_transpose(source, row, column, target, at, first):  # type: ignore[no-untyped-def]
    if not (_is_contiguous(source) and _is_contiguous(target)):
        return None

    def compiled(source, row, column, target, at, first):  # type: ignore[no-untyped-def]
        _transpose(source, row, column, target, at, first)

    return compiled


@kernel
def luma(pixels: Pixels, first: int, count: int, out: Floats) -> None:
    """Write the luma of `count` rows of (h, w, 3) `pixels` from row `first` on (ITU-R BT.601).

    Where they are float32 of shape (h, w), they are that luma already.

    The reference sums 0.299 R + 0.587 G + 0.114 B in float64 and rounds to float32. Summing
    thousandths, which are whole numbers below 2^24 and so exact in float32, and dividing once
    gives the same float32 for all 2^24 colours. `out` may be wider than the picture.
    """
    for k in range(count):
        if pixels.ndim == 2:  # known when it is compiled
            out[k, : pixels.shape[1]] = pixels[first + k]
            continue
        # Flat and unsigned, so that the compiler sees neither strides nor negative indices.
        row = pixels[first + k].reshape(-1)
        line = out[k]
        for x in range(pixels.shape[1]):
            red = np.uint64(3) * np.uint64(x)
            green, blue = red + np.uint64(1), red + np.uint64(2)
            thousandths = (
                np.float32(299.0) * np.float32(row[red])
                + np.float32(587.0) * np.float32(row[green])
                + np.float32(114.0) * np.float32(row[blue])
            )
            line[x] = quotient(thousandths, np.float32(1000.0), np.float32(0.001))


@kernel
def ahead_of(window: int) -> int:
    """Return how many values a running sum has taken in before its first output."""
    return (window + 2) // 2 - 1


@kernel
def in_window(newest: int, length: int, window: int) -> np.float32:
    """Return how many of `length` values are in the window that ends with number `newest`."""
    return np.float32(min(newest, length - 1) - max(newest - window + 1, 0) + 1)


@kernel
def sums_along_rows(rows: Floats, width: int, window: int, columns: Floats) -> int:
    """Write the running sums of sixteen `rows`, undivided, into `columns`; return where.

    Parameters
    ----------
    rows : ndarray of float32, shape (16, n)
        `width` values in each; n is a multiple of 16.
    window : int
        How many values a sum is of.
    columns : ndarray of float32, shape (1 + window + n + ahead_of(window), 16)
        Overwritten. The sums for column x of `rows` are in the row returned, plus x.
    """
    start = 1 + window
    for x in range(0, rows.shape[1], ROWS):
        transpose(rows, 0, x, columns, start + x, 0)
    columns[:start] = np.float32(0.0)
    columns[start + width :] = np.float32(0.0)
    ahead = ahead_of(window)
    for at in range(1, 1 + ahead + width):
        slide(columns, at, window)
    return 1 + ahead


@kernel
def means_down(
    first: int, height: int, rows: Floats, divisors: Floats, reciprocals: Floats, ring: Floats,
    sums: Floats, last: bool,
) -> None:  # fmt: skip
    """Take sixteen `rows` into the running sums of the columns; put the means in their place.

    Parameters
    ----------
    first : int
        Number of the first of the rows. Rows below 0 are passed over; from `height` on, while the
        window empties, they are not read.
    rows, divisors, reciprocals : ndarray of float32, shapes (16, n) and twice (n,)
        Sums along the rows, what to divide each by, and one divided by it. Row y is replaced by
        output number ``y - ahead_of(window)``, which is of no meaning before the first and after
        the last.
    ring : ndarray of float32, shape (window, n)
        The rows in the window, each in the place of the one that it pushes out; zeros at first.
    sums : ndarray of float32, shape (n,)
        The running sums; zeros at first.
    last : bool
        Whether means are of means of means, which may be too small for `quotient`.
    """
    window, width = ring.shape
    for k in range(ROWS):
        y = first + k
        if y < 0:
            continue
        if y >= height:
            rows[k] = np.float32(0.0)
        count = max(in_window(y, height, window), np.float32(1.0))
        place = y % window
        for x in range(width):
            value = quotient(rows[k, x], divisors[x], reciprocals[x])
            total = (sums[x] + value) - ring[place, x]
            ring[place, x] = value
            sums[x] = total
            rows[k, x] = total
        if last:
            for x in range(width):
                rows[k, x] /= count
        else:
            reciprocal = np.float32(1.0) / count
            for x in range(width):
                rows[k, x] = quotient(rows[k, x], count, reciprocal)


@kernel
def centres(length: int) -> NDArray[np.int64]:
    """Return the position of the centre of each of 64 cells along `length` pixels."""
    positions = np.empty(SAMPLES, np.int64)
    for i in range(SAMPLES):
        positions[i] = int(((i + 0.5) * length) / SAMPLES)
    return positions


@kernel
def reduce(pixels: Pixels, samples: Floats) -> None:
    """Write the 64 x 64 `samples` of `pixels`, as of `luma`; h and w are at least 1."""
    height, width = pixels.shape[0], pixels.shape[1]
    # Two windows of 1/128 of a side add up to one cell of 1/64.
    across, down = (width + 127) // 128, (height + 127) // 128
    rows, columns = centres(height), centres(width)
    padded = (width + ROWS - 1) // ROWS * ROWS

    divisors = np.ones(padded, np.float32)
    for x in range(width):
        divisors[x] = in_window(x + ahead_of(across), width, across)
    reciprocals = (np.float32(1.0) / divisors).astype(np.float32)
    # Sides of arrays, and loops, not constants and slices: of those numba compiles more.
    side = samples.shape[1]
    sampled_divisors = np.empty(side, np.float32)
    sampled_reciprocals = np.empty(side, np.float32)
    for j in range(side):
        sampled_divisors[j], sampled_reciprocals[j] = divisors[columns[j]], reciprocals[columns[j]]

    block = zeros(ROWS, padded)
    turned = zeros(1 + across + padded + ahead_of(across), block.shape[0])
    ring, sums = zeros(down, padded), np.zeros(padded, np.float32)
    last = zeros(ROWS, side)
    last_ring, last_sums = zeros(down, side), np.zeros(side, np.float32)

    ahead = ahead_of(down)
    taken = 0  # samples written
    for first in range(0, height + 2 * ahead, ROWS):
        if first < height:
            luma(pixels, first, min(ROWS, height - first), block)
            start = sums_along_rows(block, width, across, turned)
            for x in range(0, padded, ROWS):
                transpose(turned, start + x, 0, block, 0, x)
        means_down(first, height, block, divisors, reciprocals, ring, sums, False)
        start = sums_along_rows(block, width, across, turned)
        for j in range(SAMPLES):
            for k in range(ROWS):
                last[k, j] = turned[start + columns[j], k]
        # The second time down the columns, the rows are numbered as they left the first.
        means_down(
            first - ahead, height, last, sampled_divisors, sampled_reciprocals, last_ring,
            last_sums, True,
        )  # fmt: skip
        for k in range(ROWS):
            while taken < SAMPLES and rows[taken] == first + k - 2 * ahead:
                for j in range(side):
                    samples[taken, j] = last[k, j]
                taken += 1
