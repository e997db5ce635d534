"""Quadrilaterals in a picture whose sides are edges: screens and prints that were photographed.

The sides of such a picture are straight, nearly upright or level, and lighter on the inside all
along, or darker. So cells vote for the lines on which they may lie (Hough; with the direction that
their gradient has, as Ballard, "Generalizing the Hough transform to detect arbitrary shapes",
1981), edges that become lighter and darker apart, and of the lines with most votes those four are
taken that are edges all along.

A line is ``y = c + m * (x - w / 2)``, in the middles of cells. All functions look for lines that
are nearly level; the others are those of the transposed picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch._kernels.pdq_reduce import Floats

SLOPES = 33
"""Slopes that differ, from -`STEEPEST` on."""
STEEPEST = 0.25
"""A quarter: 14 degrees."""
LINES = 5
"""Of each direction, lighter and darker, that are looked at."""
OFF = 2
"""Steps of slope by which noise turns the gradient of a cell."""
STEP = 5.0
"""Levels, over two cells, from which a step is an edge."""
WIDEST_EDGE = 0.08
"""Of the shorter side of a screen: the edge around what it shows."""
ENOUGH = 40.0
"""Levels from which a step counts no more."""


@kernel
def votes(grey: Floats, out: NDArray[np.float32]) -> None:
    """Write what speaks for each line, those that become lighter downwards and darker apart.

    Parameters
    ----------
    grey : ndarray of float32, shape (h, w)
    out : ndarray of float32, shape (2, SLOPES, h)
        Lighter, darker; by slope; by c.
    """
    height, width = grey.shape
    out[:] = np.float32(0.0)
    per_slope = (SLOPES - 1) / (2.0 * STEEPEST)
    # Where lines through a cell begin, by its x and their slope, for y = 0; where x is even, and so
    # y odd, for y = 1: halves are rounded to even there too.
    begins = np.empty((width, SLOPES), np.int64)
    for x in range(width):
        is_odd = 1 - x % 2
        for k in range(SLOPES):
            begins[x, k] = round(is_odd - (k / per_slope - STEEPEST) * (x - 0.5 * width))
    steep = np.empty(width, np.int64)
    for y in range(1, height - 1):
        above, line, below = grey[y - 1], grey[y], grey[y + 1]
        count = 0
        for x in range(1 + y % 2, width - 1, 2):  # every second one will do, in time
            size = abs(below[x] - above[x])
            beside = abs(line[x + 1] - line[x - 1])
            steep[count] = x  # overwritten by the next, unless this one counts
            count += (size >= np.float32(STEP)) & (beside <= np.float32(2.0 * STEEPEST) * size)
        start = y - y % 2
        for x in steep[:count]:
            down = below[x] - above[x]
            slope = -np.float64(line[x + 1] - line[x - 1]) / np.float64(down)
            near = round((slope + STEEPEST) * per_slope)
            weight = min(abs(down), np.float32(ENOUGH))
            of_direction = out[1 if down < 0 else 0]
            for k in range(max(near - OFF, 0), min(near + OFF + 1, SLOPES)):
                c = start + begins[x, k]
                if 0 <= c < height:
                    of_direction[k, c] += weight


@kernel
def best_lines(counts: Floats, least: float, out: NDArray[np.float64]) -> int:
    """Write the lines with the most votes, as (c, m), those like another left out.

    Parameters
    ----------
    counts : ndarray of float32, shape (SLOPES, h)
        Of one direction, as `votes` writes them; overwritten.
    least : float
        Votes that a line has to have, more than none.
    out : ndarray of float64, shape (n, 2)
    """
    slopes = counts.shape[0]
    ordered = counts.view(np.int32)  # as floats are that are not negative; compared side by side
    most = np.empty(slopes, np.int32)
    first, last = 0, slopes
    for count in range(out.shape[0]):
        for k in range(first, last):
            highest = np.int32(0)
            for votes_for_it in ordered[k]:
                highest = max(highest, votes_for_it)
            most[k] = highest
        k = int(np.argmax(most))
        c = 0
        while ordered[k, c] != most[k]:
            c += 1
        if counts[k, c] < least:
            return count
        out[count, 0] = c
        out[count, 1] = k * (2.0 * STEEPEST) / (SLOPES - 1) - STEEPEST
        first, last = max(k - 4, 0), min(k + 5, slopes)
        counts[first:last, max(c - 2, 0) : c + 3] = np.float32(0.0)
    return int(out.shape[0])


@kernel
def edge_at(grey: Floats, y: float, x: int, darker: int) -> float:
    """Return where, within two cells of `y`, column `x` steps the most; -1 if nowhere enough."""
    sign = np.float32(-1.0 if darker else 1.0)
    middle = round(y)
    best, at = np.float32(STEP), -1
    for row in range(max(middle - 2, 1), min(middle + 3, grey.shape[0] - 1)):
        size = sign * (grey[row + 1, x] - grey[row - 1, x])
        if size >= best:
            best, at = size, row
    if at < 2 or at > grey.shape[0] - 3:
        return float(at)
    # The middle of the step: of a parabola through it and the steps beside it.
    before = sign * (grey[at, x] - grey[at - 2, x])
    after = sign * (grey[at + 2, x] - grey[at, x])
    bend = 2.0 * best - before - after
    return at + (min(max(0.5 * (after - before) / bend, -0.5), 0.5) if bend > 0 else 0.0)


@kernel
def edges_along(grey: Floats, line: NDArray[np.float64], darker: int) -> NDArray[np.float64]:
    """Return how many columns before each have an edge on `line`, (w + 1,).

    Every second column is looked at, and counts twice.
    """
    width = grey.shape[1]
    out = np.zeros(width + 1)
    sign = np.float32(-1.0 if darker else 1.0)
    for x in range(0, width, 2):
        middle = round(line[0] + line[1] * (x - 0.5 * width))
        steepest = np.float32(0.0)
        for row in range(max(middle - 2, 1), min(middle + 3, grey.shape[0] - 1)):  # as `edge_at`
            steepest = max(steepest, sign * (grey[row + 1, x] - grey[row - 1, x]))
        is_edge = steepest >= np.float32(STEP)
        out[x + 1] = out[x] + is_edge
        if x + 2 <= width:
            out[x + 2] = out[x + 1] + is_edge
    return out


@kernel
def fitted(
    grey: Floats, line: NDArray[np.float64], first: float, last: float, darker: int
) -> tuple[float, float]:
    """Return `line` moved and turned onto its edges between two columns, by least squares.

    A third of it at each end weighs as much as what is between; edges a cell off are left out the
    second time.
    """
    width = grey.shape[1]
    c, m = line[0], line[1]
    left, right = max(int(first) + 1, 0), min(int(last), width)
    for within in (2.6, 1.0):
        n, sx, sy, sxx, sxy = 0.0, 0.0, 0.0, 0.0, 0.0
        for x in range(left, right):
            u = x - 0.5 * width
            at = edge_at(grey, c + m * u, x, darker)
            if at >= 0 and abs(at - (c + m * u)) <= within:
                n, sx, sy, sxx, sxy = n + 1, sx + u, sy + at, sxx + u * u, sxy + u * at
        spread = n * sxx - sx * sx
        if n < 8 or spread <= 0:
            break
        m = (n * sxy - sx * sy) / spread
        c = (sy - m * sx) / n
    return c, m


@kernel
def crossing(
    c: float, m: float, d: float, n: float, height: int, width: int
) -> tuple[float, float]:
    """Return (y, x) where level line (c, m) and upright line (d, n) cross."""
    x = (d + n * (c - 0.5 * m * width - 0.5 * height)) / (1.0 - n * m)
    return c + m * (x - 0.5 * width), x


@kernel
def find_lines(
    grey: Floats,
    across: Floats,
    smallest: float,
    lines: NDArray[np.float64],
    counts: NDArray[np.int64],
) -> bool:
    """Write the lines with the most votes; return whether there are some of each kind.

    Parameters
    ----------
    grey, across, smallest
        As of `quadrilaterals`.
    lines : ndarray of float64, shape (2, 2, n, 2)
        Those of `grey` and of `across`; each, lighter ones and darker ones.
    counts : ndarray of int64, shape (2, 2)
        How many there are. Where there are none of a kind, no others are looked for.
    """
    for turned in range(2):
        picture = across if turned else grey
        counted = np.empty((2, SLOPES, picture.shape[0]), np.float32)
        votes(picture, counted)
        few = STEP * smallest * picture.shape[1]
        for darker in range(2):
            counts[turned, darker] = best_lines(counted[darker], few, lines[turned, darker])
            if counts[turned, darker] == 0:
                return False
    return True


@kernel
def is_in(corner: NDArray[np.float64], height: int, width: int) -> bool:
    """Return whether a corner (y, x) is in the picture."""
    return bool(0 <= corner[0] < height and 0 <= corner[1] < width)


@kernel
def best_sides(
    lines: NDArray[np.float64],
    counts: NDArray[np.int64],
    along: NDArray[np.float64],
    crossings: NDArray[np.float64],
    darker: int,
    size: tuple[int, int],
    smallest: float,
    least: float,
    chosen: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Write which lines make the quadrilaterals with the most edges to `chosen`, (n, 4).

    Returned are the parts of their weakest sides that are edges, 0 where there is none.

    Parameters
    ----------
    lines, counts
        As `find_lines` writes them.
    along : ndarray of float64, shape (2, 2, n, w + 1)
        `edges_along` them.
    crossings : ndarray of float64, shape (2, n, 2, n, 2)
        Where each level line and each upright one cross.
    darker : int
        Whether top and left become darker, inwards; bottom and right then become lighter.
    size : tuple of int
        Height and width of the picture.
    smallest, least
        As of `quadrilaterals`.
    """
    height, width = size
    lighter = 1 - darker
    scores = np.zeros(chosen.shape[0])
    for i in range(counts[0, darker]):
        for k in range(counts[0, lighter]):
            if lines[0, lighter, k, 0] - lines[0, darker, i, 0] < smallest * height:
                continue
            for j in range(counts[1, darker]):
                top_left = crossings[darker, i, darker, j]
                bottom_left = crossings[lighter, k, darker, j]
                if not (is_in(top_left, height, width) and is_in(bottom_left, height, width)):
                    continue
                on_left = part(along[1, darker, j], top_left[0], bottom_left[0])
                if on_left <= least:
                    continue
                for e in range(counts[1, lighter]):
                    if lines[1, lighter, e, 0] - lines[1, darker, j, 0] < smallest * width:
                        continue
                    top_right = crossings[darker, i, lighter, e]
                    bottom_right = crossings[lighter, k, lighter, e]
                    if not (is_in(top_right, height, width) and is_in(bottom_right, height, width)):
                        continue
                    weakest = min(
                        part(along[0, darker, i], top_left[1], top_right[1]),
                        part(along[0, lighter, k], bottom_left[1], bottom_right[1]),
                        on_left,
                        part(along[1, lighter, e], top_right[0], bottom_right[0]),
                    )
                    at = int(np.argmin(scores))
                    if weakest > max(least, scores[at]):
                        scores[at] = weakest
                        chosen[at, 0], chosen[at, 1], chosen[at, 2], chosen[at, 3] = i, k, j, e
    return scores


@kernel
def quadrilaterals(
    grey: Floats, across: Floats, smallest: float, least: float, out: NDArray[np.float64]
) -> int:
    """Write the corners of quadrilaterals whose sides are edges; return how many.

    Those that are lighter on the inside come first, then those that are darker, each followed by
    what is within its edge, if it has one: a screen's.

    Parameters
    ----------
    grey, across : ndarray of float32, shape (h, w) and (w, h)
        A picture, and it transposed.
    smallest : float
        Of the picture's height, and of its width, that it takes at least.
    least : float
        The part of its weakest side that is an edge.
    out : ndarray of float64, shape (3 * n, 4, 2)
        (y, x) of the upper left, upper right, lower right and lower left corners, in cells.
    """
    height, width = grey.shape
    lines, counts = np.empty((2, 2, LINES, 2)), np.empty((2, 2), np.int64)
    if not find_lines(grey, across, smallest, lines, counts):
        return 0
    along = np.zeros((2, 2, LINES, max(height, width) + 1))
    for darker in range(2):
        for k in range(counts[0, darker]):
            along[0, darker, k, : width + 1] = edges_along(grey, lines[0, darker, k], darker)
        for k in range(counts[1, darker]):
            along[1, darker, k, : height + 1] = edges_along(across, lines[1, darker, k], darker)
    crossings = np.empty((2, LINES, 2, LINES, 2))
    for one in range(2):
        for other in range(2):
            for i in range(counts[0, one]):
                for j in range(counts[1, other]):
                    (c, m), (d, n) = lines[0, one, i], lines[1, other, j]
                    crossings[one, i, other, j] = crossing(c, m, d, n, height, width)
    count = 0
    corners = np.empty((4, 2))
    chosen = np.zeros((out.shape[0] // 3, 4), np.int64)
    for darker in range(2):
        scores = best_sides(
            lines, counts, along, crossings, darker, (height, width), smallest, least, chosen
        )
        level, upright = lines[0], lines[1]
        lighter = 1 - darker
        for at in np.argsort(-scores):
            if scores[at] == 0.0:
                continue
            i, k, j, e = chosen[at]
            top, bottom = level[darker, i], level[lighter, k]
            left, right = upright[darker, j], upright[lighter, e]
            place(top, bottom, left, right, height, width, corners)
            sides = np.empty((4, 2))
            sides[0] = fitted(grey, top, corners[0, 1], corners[1, 1], darker)
            sides[1] = fitted(grey, bottom, corners[3, 1], corners[2, 1], lighter)
            sides[2] = fitted(across, left, corners[0, 0], corners[3, 0], darker)
            sides[3] = fitted(across, right, corners[1, 0], corners[2, 0], lighter)
            place(sides[0], sides[1], sides[2], sides[3], height, width, corners)
            out[count] = corners + 0.5  # from the middles of cells to their edges
            count += 1
            if darker == 1 and within_edge(grey, across, sides, corners):
                place(sides[0], sides[1], sides[2], sides[3], height, width, corners)
                out[count] = corners + 0.5
                count += 1
    return count


@kernel
def within_edge(
    grey: Floats, across: Floats, sides: NDArray[np.float64], corners: NDArray[np.float64]
) -> bool:
    """Move the sides of a screen to where its dark edge ends; return whether it has one.

    The edge is as wide on all sides, so that one at which the picture is seen to begin is enough;
    then each side that is an edge there is moved onto it.

    Parameters
    ----------
    grey, across : ndarray of float32, shape (h, w) and (w, h)
    sides : ndarray of float64, shape (4, 2)
        The top and the bottom of `grey`, the left and the right as those of `across`; overwritten.
    corners : ndarray of float64, shape (4, 2)
        Between them, as `place` writes them.
    """
    ends = np.empty((4, 2))
    ends[0, 0], ends[0, 1] = corners[0, 1], corners[1, 1]
    ends[1, 0], ends[1, 1] = corners[3, 1], corners[2, 1]
    ends[2, 0], ends[2, 1] = corners[0, 0], corners[3, 0]
    ends[3, 0], ends[3, 1] = corners[1, 0], corners[2, 0]
    shortest = min((ends[:, 1] - ends[:, 0]).min(), 1.0 * grey.shape[0])
    sums = np.zeros(int(WIDEST_EDGE * shortest) + 3)
    for side in range(4):
        picture = grey if side < 2 else across
        inwards = 1 if side % 2 == 0 else -1
        first, last = max(int(ends[side, 0]) + 2, 0), min(int(ends[side, 1]) - 1, picture.shape[1])
        for x in range(first, last):
            y = round(sides[side, 0] + sides[side, 1] * (x - 0.5 * picture.shape[1]))
            for t in range(1, sums.shape[0]):
                at = y + inwards * t
                if 1 <= at < picture.shape[0] - 1:
                    size = inwards * (picture[at + 1, x] - picture[at - 1, x])
                    sums[t] += min(max(size, np.float32(0.0)), np.float32(ENOUGH)) / (last - first)
    t = 1 + int(np.argmax(sums[1:-1]))
    if sums[t] < STEP:
        return False
    bend = 2.0 * sums[t] - sums[t - 1] - sums[t + 1]
    wide = t + (0.5 * (sums[t + 1] - sums[t - 1]) / bend if bend > 0 and t > 1 else 0.0)
    for side in range(4):
        picture = grey if side < 2 else across
        moved = sides[side].copy()
        moved[0] += wide if side % 2 == 0 else -wide
        darker = side % 2
        edges = edges_along(picture, moved, darker)
        if part(edges, ends[side, 0], ends[side, 1]) > 0.5:
            moved[0], moved[1] = fitted(picture, moved, ends[side, 0], ends[side, 1], darker)
        sides[side] = moved
    return True


@kernel
def part(along: NDArray[np.float64], first: float, last: float) -> float:
    """Return the part of the columns between two that have an edge, see `edges_along`."""
    a, b = round(first), round(last)
    share: float = (along[b] - along[a]) / max(b - a, 1)
    return share


@kernel
def place(
    top: NDArray[np.float64],
    bottom: NDArray[np.float64],
    left: NDArray[np.float64],
    right: NDArray[np.float64],
    height: int,
    width: int,
    out: NDArray[np.float64],
) -> None:
    """Write the corners (4, 2) between four lines, from the upper left one on, clockwise."""
    out[0] = crossing(top[0], top[1], left[0], left[1], height, width)
    out[1] = crossing(top[0], top[1], right[0], right[1], height, width)
    out[2] = crossing(bottom[0], bottom[1], right[0], right[1], height, width)
    out[3] = crossing(bottom[0], bottom[1], left[0], left[1], height, width)
