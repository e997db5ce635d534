"""What squares of one flat colour cover of a picture, and the picture without it.

What lies over a picture, such as a sticker, a black bar or a logo, is mostly drawn in flat colours.
What it covers is filled by a membrane: the harmonic function that has the picture's values around
it, found by relaxation (Young, "Iterative methods for solving partial difference equations of
elliptic type", 1954)::

    while it changes:
        for cell in covered:
            cell = mean of its four neighbours
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROUNDS = 60
"""Of relaxation: enough for a region of a third of 64 cells."""
OVER = 1.8
"""Over-relaxation: how much farther than to the mean of its neighbours a cell goes, 1 to 2."""
MIXED = 1
"""Rings around a thing in which JPEG has mixed it with what it lies on."""


@kernel
def commonest_colour(
    squares: NDArray[np.int32], coarse: int, tolerance: int, marked: NDArray[np.bool_]
) -> int:
    """Mark the squares of the colour that most of them have, and return how many there are.

    Parameters
    ----------
    squares : ndarray of int32, shape (h, w)
        As `hashmatch._kernels.chrome.flat_squares` writes them; negative ones have no colour.
    coarse : int
        Bits of a channel that are left out when squares are counted. The colour is the mean of
        those that are equal but for them.
    tolerance : int
        Levels by which a channel of a square may differ from the colour.
    marked : ndarray of bool, shape (h, w)
    """
    bits = 8 - coarse
    counts = np.zeros(1 << (3 * bits), np.int32)
    best = 0
    for each in squares.flat:
        if each >= 0:
            key = coarse_key(int(each), coarse)
            counts[key] += 1
            if counts[key] > counts[best]:
                best = key
    red, green, blue = 0, 0, 0
    for each in squares.flat:
        square = int(each)
        if square >= 0 and coarse_key(square, coarse) == best:
            red += square >> 16
            green += (square >> 8) & 255
            blue += square & 255
    number = max(int(counts[best]), 1)
    red, green, blue = red // number, green // number, blue // number
    found = 0
    for y in range(squares.shape[0]):
        for x in range(squares.shape[1]):
            square = int(squares[y, x])
            marked[y, x] = (
                square >= 0
                and abs((square >> 16) - red) <= tolerance
                and abs(((square >> 8) & 255) - green) <= tolerance
                and abs((square & 255) - blue) <= tolerance
            )
            found += marked[y, x]
    return found


@kernel
def coarse_key(square: int, coarse: int) -> int:
    """Return a colour, red << 16 | green << 8 | blue, without the last bits of its channels."""
    bits = 8 - coarse
    red, green, blue = square >> 16, (square >> 8) & 255, square & 255
    return (((red >> coarse) << bits | green >> coarse) << bits) | blue >> coarse


@kernel
def largest_group(
    marked: NDArray[np.bool_], reach: int, group: NDArray[np.bool_]
) -> tuple[int, int, int]:
    """Mark the largest group of squares, and those around it.

    Parameters
    ----------
    marked : ndarray of bool, shape (h, w)
        Squares of a picture.
    reach : int
        Squares that lie so near to each other are of one group, and those around it are in it.
    group : ndarray of bool, shape (h, w)

    Returns
    -------
    tuple of int
        Of the group: how many squares are marked, how many there are, and how many of them lie at
        the picture's edge; none if all marked ones are farther from it than a square.
    """
    height, width = marked.shape
    grown = np.zeros((height, width), np.bool_)
    for y in range(height):
        for x in range(width):
            if marked[y, x]:
                for row in range(max(y - reach, 0), min(y + 1 + reach, height)):
                    grown[row, max(x - reach, 0) : min(x + 1 + reach, width)] = True
    groups = np.zeros((height, width), np.int32)
    stack = np.empty(height * width, np.int64)
    count, largest, most = 0, 0, 0
    for y in range(height):
        for x in range(width):
            if grown[y, x] and groups[y, x] == 0:
                count += 1
                size = spread(grown, True, groups, count, y * width + x, stack)
                if size > most:
                    largest, most = count, size
    drawn, at_edge, is_near = 0, 0, False
    for y in range(height):
        for x in range(width):
            group[y, x] = count > 0 and groups[y, x] == largest
            if group[y, x]:
                drawn += marked[y, x]
                from_edge = min(y, height - 1 - y, x, width - 1 - x)
                at_edge += from_edge == 0
                is_near |= marked[y, x] and from_edge <= 1
    return drawn, most, at_edge if is_near else 0


@kernel
def of_its_colour(
    pixels: NDArray[np.uint8],
    step: int,
    side: int,
    marked: NDArray[np.bool_],
    group: NDArray[np.bool_],
    tolerance: int,
) -> tuple[int, int, NDArray[np.bool_]]:
    """Return which pixels have the colour of a group's marked squares and hang together with them.

    Squares of one colour leave out what is thinner than they are, such as the points of a star.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (h, w, 3)
        Read-only. One in `step` is looked at, down and across.
    step, side : int
        `side` pixels are the side of a square.
    marked, group : ndarray of bool
        As `largest_group` takes and writes them.
    tolerance : int
        Levels by which a channel may differ from the mean colour of the marked squares.

    Returns
    -------
    tuple of int, int and ndarray of bool
        The first row and column that are looked at, in steps, and the pixels from there on: the
        box around the group with half as much again around it.
    """
    height, width = -(-pixels.shape[0] // step), -(-pixels.shape[1] // step)
    top, left, bottom, right = height, width, 0, 0
    colour, count = np.zeros(3, np.int64), 0
    for row in range(group.shape[0]):
        for column in range(group.shape[1]):
            if group[row, column]:
                y, x = row * side, column * side
                top, left = min(top, y // step), min(left, x // step)
                bottom, right = max(bottom, (y + side) // step), max(right, (x + side) // step)
                if marked[row, column]:
                    for channel in range(3):
                        colour[channel] += pixels[y + side // 2, x + side // 2, channel]
                    count += 1
    colour //= max(count, 1)
    high, wide = max(bottom - top, 0) // 4, max(right - left, 0) // 4
    top, left = max(top - high, 0), max(left - wide, 0)
    bottom, right = min(bottom + high, height), min(right + wide, width)
    inside = np.zeros((max(bottom - top, 0), max(right - left, 0)), np.bool_)
    stack = np.empty(inside.size, np.int64)
    depth = 0
    for y in range(inside.shape[0]):
        for x in range(inside.shape[1]):
            row, column = (top + y) * step // side, (left + x) * step // side
            if row < group.shape[0] and column < group.shape[1]:
                inside[y, x] = group[row, column] and marked[row, column]
                if inside[y, x]:
                    stack[depth] = y * inside.shape[1] + x
                    depth += 1
    while depth > 0:
        depth -= 1
        place = stack[depth]
        for k in range(4):
            y, x = neighbour(place, k, inside.shape[1])
            if 0 <= y < inside.shape[0] and 0 <= x < inside.shape[1] and not inside[y, x]:
                pixel = pixels[(top + y) * step, (left + x) * step]
                if (
                    abs(pixel[0] - colour[0]) <= tolerance
                    and abs(pixel[1] - colour[1]) <= tolerance
                    and abs(pixel[2] - colour[2]) <= tolerance
                ):
                    inside[y, x] = True
                    stack[depth] = y * inside.shape[1] + x
                    depth += 1
    return top, left, inside


@kernel
def neighbour(place: int, k: int, width: int) -> tuple[int, int]:
    """Return row and column of the k-th neighbour, 0 to 7, of a place counted along the rows.

    The first four share a side with it.
    """
    y, x = place // width, place % width
    y += (k in (0, 4, 5)) - (k in (1, 6, 7))
    x += (k in (2, 4, 6)) - (k in (3, 5, 7))
    return y, x


@kernel
def covered(
    pixels: NDArray[np.uint8],
    step: int,
    side: int,
    marked: NDArray[np.bool_],
    group: NDArray[np.bool_],
    tolerance: int,
    alike: float,
    reach: int,
    out: NDArray[np.bool_],
) -> None:
    """Mark the cells that a thing of one colour covers, with its holes and its outline.

    An outline is of one colour too: rings of pixels around the thing are within it up to the
    outermost of which the pixels are alike. On a plain ground that is too many, and does no harm.

    Parameters
    ----------
    pixels, step, side, marked, group, tolerance
        As for `of_its_colour`.
    alike : float
        Levels by which the pixels of a ring differ from their mean, on average, at most.
    reach : int
        Rings that are looked at.
    out : ndarray of bool, shape (n, n)
    """
    top, left, inside = of_its_colour(pixels, step, side, marked, group, tolerance)
    height, width = inside.shape
    # 0 is within, 1, 2, ... are the rings, and what is farther outside is beyond all of them.
    far = reach + 1
    rings = np.zeros((height, width), np.int32)
    stack = np.empty(height * width, np.int64)
    for y in range(height):
        for x in range(width):
            at_edge = y in (0, height - 1) or x in (0, width - 1)
            if at_edge and not inside[y, x] and rings[y, x] == 0:
                spread(inside, False, rings, far, y * width + x, stack)
    count = 0
    for place in range(height * width):
        if rings[place // width, place % width] == 0:
            stack[count] = place
            count += 1
    last, first = 0, 0
    for ring in range(1, far):
        begin, end = first, count
        colour = np.zeros(3)
        for index in range(begin, end):
            for k in range(4 if ring % 2 else 8):  # an octagon is nearly round
                y, x = neighbour(stack[index], k, width)
                if 0 <= y < height and 0 <= x < width and rings[y, x] == far:
                    rings[y, x] = ring
                    stack[count] = y * width + x
                    count += 1
                    for channel in range(3):
                        colour[channel] += pixels[(top + y) * step, (left + x) * step, channel]
        number, apart = count - end, 0.0
        colour /= max(number, 1)
        for index in range(end, count):
            y, x = stack[index] // width, stack[index] % width
            pixel = pixels[(top + y) * step, (left + x) * step]
            for channel in range(3):
                apart += abs(pixel[channel] - colour[channel])
        if number > 0 and apart <= 3 * alike * number:
            last = ring
        first = end
    out[:] = False
    cells = out.shape[0]
    for index in range(count):
        y, x = stack[index] // width, stack[index] % width
        if rings[y, x] <= last + MIXED:
            row = (top + y) * step * cells // pixels.shape[0]
            out[row, (left + x) * step * cells // pixels.shape[1]] = True


@kernel
def spread(
    marked: NDArray[np.bool_],
    value: bool,
    groups: NDArray[np.int32],
    number: int,
    first: int,
    stack: NDArray[np.int64],
) -> int:
    """Write `number` to the squares that hang together with the first one; return how many.

    Parameters
    ----------
    marked : ndarray of bool, shape (h, w)
    value : bool
        What the first square of `marked` is, and so those that hang together with it.
    groups : ndarray of int32, shape (h, w)
        0 where there is no number yet.
    number, first : int
        Squares are counted along the rows.
    stack : ndarray of int64, shape (h * w,)
        Room to work in.
    """
    height, width = marked.shape
    groups[first // width, first % width] = number
    stack[0], depth, size = first, 1, 0
    while depth > 0:
        depth -= 1
        size += 1
        y, x = stack[depth] // width, stack[depth] % width
        for k in range(4):
            row, column = y + (k == 0) - (k == 1), x + (k == 2) - (k == 3)
            if (
                0 <= row < height
                and 0 <= column < width
                and marked[row, column] == value
                and groups[row, column] == 0
            ):
                groups[row, column] = number
                stack[depth] = row * width + column
                depth += 1
    return size


@kernel
def filled(
    picture: NDArray[np.float32], unknown: NDArray[np.bool_], out: NDArray[np.float32]
) -> None:
    """Write (n, n) `picture` to `out` with a membrane in its `unknown` cells.

    Parameters
    ----------
    picture, out : ndarray of float32
    unknown : ndarray of bool
        Not all of the cells.
    """
    n = picture.shape[0]
    out[:] = picture
    places = np.empty(n * n, np.int64)
    count, known, total = 0, 0, np.float32(0.0)
    for i in range(n):
        for j in range(n):
            if unknown[i, j]:
                places[count] = i * n + j
                count += 1
            else:
                for k in range(4):
                    row, column = i + (k == 0) - (k == 1), j + (k == 2) - (k == 3)
                    if 0 <= row < n and 0 <= column < n and unknown[row, column]:
                        known += 1
                        total += picture[i, j]
    for k in range(count):
        out[places[k] // n, places[k] % n] = total / np.float32(max(known, 1))
    for _ in range(ROUNDS):
        for k in range(count):
            i, j = places[k] // n, places[k] % n
            above, below = out[max(i - 1, 0), j], out[min(i + 1, n - 1), j]
            left, right = out[i, max(j - 1, 0)], out[i, min(j + 1, n - 1)]
            mean = np.float32(0.25) * (above + below + left + right)
            out[i, j] += np.float32(OVER) * (mean - out[i, j])
