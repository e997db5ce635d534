"""Oracles of the finders of parts: what their kernels return, told in plain Python.

Pictures are lists of rows. Slow, and nothing is shared with `hashmatch._kernels`; constants are
handed over.
"""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    Rows = Sequence[Sequence[float]]
    Box = tuple[float, float, float, float]


class Steps(NamedTuple):
    """Constants of `hashmatch._kernels.lines`."""

    near: int
    far: int
    most: float
    same: int
    alike: float
    widest_gap: float
    plain: float
    stripe: float
    crossing: int


def transposed(grey: Rows) -> list[list[float]]:
    return [list(column) for column in zip(*grey, strict=True)]


def stepping(grey: Rows, y: int, first: int, last: int, said: Steps) -> float:
    """Return how much row `y` steps in all between two columns; outermost rows do not."""
    y = min(max(y, 0), len(grey) - 1)
    if y in {0, len(grey) - 1}:
        return 0.0
    return sum(min(abs(grey[y + 1][x] - grey[y - 1][x]), said.most) for x in range(first, last))


def excess(grey: Rows, line: int, first: int, last: int, said: Steps) -> float:
    """Return by how much a row steps more than the rows beside it, on average."""
    here = stepping(grey, line, first, last, said)
    beside = range(said.near, said.far + 1)
    above = min([here, *(stepping(grey, line - k, first, last, said) for k in beside)])
    below = min([here, *(stepping(grey, line + k, first, last, said) for k in beside)])
    return (here - max(above, below)) / (last - first)


def is_plain(values: Sequence[float], said: Steps) -> bool:
    return len(values) > 0 and float(np.std(values)) < said.plain


def place(grey: Rows, line: int, first: int, last: int) -> float:
    """Return where within a row what is above it ends, by least squares."""
    sizes = [grey[line - 1][x] - grey[line + 1][x] for x in range(first, last)]
    mixed = [grey[line][x] - grey[line + 1][x] for x in range(first, last)]
    total = sum(size * size for size in sizes)
    if not total:
        return line + 0.5
    return line + min(max(sum(a * b for a, b in zip(mixed, sizes, strict=True)) / total, 0), 1)


def best(scored: Sequence[tuple[float, Any]], most: int) -> list[Any]:
    """Return those with the highest scores; of equal ones, those that came first."""
    kept: list[tuple[float, Any]] = []
    for one in scored:
        if len(kept) < most:
            kept.append(one)
        else:
            worst = min(range(most), key=lambda n: kept[n][0])
            if one[0] > kept[worst][0]:
                kept[worst] = one
    return [what for _, what in kept]


def boxes(
    grey: Rows, rows: Sequence[int], columns: Sequence[int], extent: tuple[float, float],
    least: float, smallest: float, quotas: Sequence[int], said: Steps,
) -> list[Box]:  # fmt: skip
    """Return the boxes whose weakest side steps the most, of each choice of sides."""
    across = transposed(grey)
    height, width = len(grey), len(grey[0])
    ys, xs = [0, *rows, height], [0, *columns, width]

    def has_stripe(picture: Rows, lines: list[int], at: int, first: int, last: int) -> bool:
        before, after = lines[at], lines[at + 1]
        if after - before > said.widest_gap * len(picture) or last - first < 4:
            return False
        return is_plain(picture[(before + after) // 2][first + 1 : last - 1], said)

    by_sides: dict[int, list[tuple[float, tuple[int, ...]]]] = {}
    for (i, k), (j, e) in product(combinations(range(len(ys)), 2), combinations(range(len(xs)), 2)):
        top, bottom, left, right = ys[i], ys[k], xs[j], xs[e]
        sides = (i > 0) + 2 * (k < len(ys) - 1) + 4 * (j > 0) + 8 * (e < len(xs) - 1)
        if bottom - top < smallest * height or right - left < smallest * width:
            continue
        score = said.most
        if sides & 1:
            score = min(score, excess(grey, top, left, right, said))
        if sides & 2:
            score = min(score, excess(grey, bottom, left, right, said))
        if sides & 4:
            score = min(score, excess(across, left, top, bottom, said))
        if sides & 8:
            score = min(score, excess(across, right, top, bottom, said))
        if sides and score > least:
            striped = (
                has_stripe(grey, ys, i, left, right) or has_stripe(grey, ys, k - 1, left, right)
                or has_stripe(across, xs, j, top, bottom)
                or has_stripe(across, xs, e - 1, top, bottom)
            )  # fmt: skip
            score *= said.stripe if striped else 1
            by_sides.setdefault(sides, []).append((score, (top, left, bottom, right)))
    found = centred(grey, rows, extent[0], extent[1], least, smallest, quotas[0] // 2, said)
    turned = centred(across, columns, extent[1], extent[0], least, smallest, quotas[0] // 2, said)
    found += [(left, top, right, bottom) for top, left, bottom, right in turned]
    for sides, scored in by_sides.items():
        found += [
            (
                place(grey, top, left, right) if sides & 1 else 0.0,
                place(across, left, top, bottom) if sides & 4 else 0.0,
                place(grey, bottom, left, right) if sides & 2 else extent[0],
                place(across, right, top, bottom) if sides & 8 else extent[1],
            )
            for top, left, bottom, right in best(scored, quotas[sides])
        ]
    return found


def centred(
    grey: Rows, rows: Sequence[int], tall: float, wide: float, least: float, smallest: float,
    most: int, said: Steps,
) -> list[Box]:  # fmt: skip
    """Return the boxes between a row and that which is as far from the other end."""
    width = len(grey[0])
    scored = [(-excess(grey, row, 0, width, said), row) for row in rows]
    found: list[Box] = []
    for score, row in sorted(scored):
        at = place(grey, row, 0, width)
        at = min(at, tall - at)
        if len(found) == most or -score <= least:
            break
        if at < 0.5 * said.widest_gap * len(grey) or tall - 2 * at < smallest * len(grey):
            continue
        if all(abs(other[0] - at) >= said.same for other in found):
            found.append((at, 0.0, tall - at, wide))
    return found


def settled(grey: Rows, line: int, first: int, last: int, inwards: int, said: Steps) -> float:
    """Return where a picture ends behind the gap that begins at a line."""
    for k in range(1, int(said.widest_gap * len(grey)) + 2):
        y = line + inwards * k
        if not 1 <= y <= len(grey) - 2:
            break
        if not is_plain(grey[y][first + 2 : last - 2], said):
            return place(grey, line if k == 1 else y, first, last)
    return place(grey, line, first, last)


def cells(
    grey: Rows, rows: Sequence[int], extent: tuple[float, float], least: float, smallest: float,
    most: int, said: Steps,
) -> list[Box]:  # fmt: skip
    """Return the pictures in the rows of a collage, the best first."""
    across = transposed(grey)
    height, width = len(grey), len(grey[0])
    seams = [row for row in rows if excess(grey, row, 0, width, said) > least]
    scored: list[tuple[float, tuple[int, ...]]] = []
    for top, bottom in combinations([0, *seams, height], 2):
        if bottom - top < smallest * height or (top, bottom) == (0, height):
            continue
        strip = [column[top:bottom] for column in across]
        # Of columns, what steps is what those beside it differ by.
        profile = [stepping(strip, x, 0, bottom - top, said) / (bottom - top) for x in range(width)]
        above = _excesses(profile, said)
        lines: list[int] = []
        for x in sorted(range(width), key=lambda x: -above[x]):
            is_apart = all(abs(x - other) > said.same for other in lines)
            if above[x] > least and is_apart and len(lines) < said.crossing:
                lines.append(x)
        for left, right in combinations(sorted([0, *lines, width]), 2):
            if right - left < smallest * width or (left, right) == (0, width):
                continue
            score = min(
                above[left] if left > 0 else said.most,
                above[right] if right < width else said.most,
                excess(grey, top, left, right, said) if top > 0 else said.most,
                excess(grey, bottom, left, right, said) if bottom < height else said.most,
            )
            if score > least:
                scored.append((score, (top, left, bottom, right)))
    found: list[Box] = []
    for _, (top, left, bottom, right) in sorted(scored, key=lambda one: -one[0]):
        box = (
            settled(grey, top, left, right, 1, said) if top > 0 else 0.0,
            settled(across, left, top, bottom, 1, said) if left > 0 else 0.0,
            settled(grey, bottom, left, right, -1, said) if bottom < height else extent[0],
            settled(across, right, top, bottom, -1, said) if right < width else extent[1],
        )
        is_large = box[2] - box[0] >= smallest * height and box[3] - box[1] >= smallest * width
        is_new = all(np.abs(np.subtract(box, other)).max() >= said.alike for other in found)
        if len(found) < most and is_large and is_new:
            found.append(box)
    return found


def _excesses(profile: Sequence[float], said: Steps) -> list[float]:
    last = len(profile) - 1
    found = [0.0] * len(profile)
    for y in range(2, last - 1):
        beside = range(said.near, said.far + 1)
        before = min([profile[y], *(profile[max(y - k, 0)] for k in beside)])
        after = min([profile[y], *(profile[min(y + k, last)] for k in beside)])
        found[y] = profile[y] - max(before, after)
    return found


# Quadrilaterals ---------------------------------------------------------------------------------


class Edges(NamedTuple):
    """Constants of `hashmatch._kernels.quadrilaterals`."""

    slopes: int
    steepest: float
    lines: int
    off: int
    step: float
    enough: float
    widest_edge: float


def level_lines(grey: Rows, said: Edges, least: float, darker: bool) -> list[tuple[float, float]]:
    """Return the lines (c, m) that most cells vote for whose gradient is across them."""
    height, width = len(grey), len(grey[0])
    slopes = [2 * said.steepest * k / (said.slopes - 1) - said.steepest for k in range(said.slopes)]
    counts = [[0.0] * height for _ in slopes]
    for y in range(1, height - 1):
        for x in range(1 + y % 2, width - 1, 2):
            down = grey[y + 1][x] - grey[y - 1][x]
            if abs(down) < said.step or (down < 0) != darker:
                continue
            slope = -(grey[y][x + 1] - grey[y][x - 1]) / down
            if abs(slope) > 2 * said.steepest:
                continue
            near = round((slope + said.steepest) * (said.slopes - 1) / (2 * said.steepest))
            for k in range(max(near - said.off, 0), min(near + said.off + 1, said.slopes)):
                c = round(y - slopes[k] * (x - width / 2))
                if 0 <= c < height:
                    counts[k][c] += min(abs(down), said.enough)
    found: list[tuple[float, float]] = []
    for _ in range(said.lines):
        votes, k, c = max(
            ((counts[k][c], k, c) for k in range(said.slopes) for c in range(height)),
            key=lambda one: (one[0], -one[1], -one[2]),
        )
        if votes < least:
            break
        found.append((c, slopes[k]))
        for a in range(max(k - 4, 0), min(k + 5, said.slopes)):
            for b in range(max(c - 2, 0), min(c + 3, height)):
                counts[a][b] = 0.0
    return found


def edge(grey: Rows, y: float, x: int, darker: bool, said: Edges) -> float | None:
    """Return where within two cells of `y` a column steps the most, to a fraction of a cell."""
    sign = -1 if darker else 1
    steps = {
        row: sign * (grey[row + 1][x] - grey[row - 1][x])
        for row in range(max(round(y) - 2, 1), min(round(y) + 3, len(grey) - 1))
    }
    steps = {row: size for row, size in steps.items() if size >= said.step}
    if not steps:
        return None
    at = max(steps, key=lambda row: (steps[row], row))
    if at < 2 or at > len(grey) - 3:
        return at
    before = sign * (grey[at][x] - grey[at - 2][x])
    after = sign * (grey[at + 2][x] - grey[at][x])
    bend = 2 * steps[at] - before - after
    return at + (min(max((after - before) / 2 / bend, -0.5), 0.5) if bend > 0 else 0)


def part(
    grey: Rows, line: tuple[float, float], first: float, last: float, darker: bool, said: Edges
) -> float:
    """Return the part of the columns between two at which a line is an edge; even ones count."""
    a, b = round(first), round(last)
    width = len(grey[0])
    at = [
        edge(grey, line[0] + line[1] * (x - x % 2 - width / 2), x - x % 2, darker, said)
        for x in range(a, b)
    ]
    return sum(each is not None for each in at) / max(b - a, 1)


def fitted(
    grey: Rows, line: tuple[float, float], first: float, last: float, darker: bool, said: Edges
) -> tuple[float, float]:
    """Return a line moved onto its edges between two columns, by least squares, twice."""
    c, m = line
    width = len(grey[0])
    for within in (2.6, 1.0):
        points = []
        for x in range(max(int(first) + 1, 0), min(int(last), width)):
            u = x - width / 2
            at = edge(grey, c + m * u, x, darker, said)
            if at is not None and abs(at - (c + m * u)) <= within:
                points.append((u, at))
        if len(points) < 8:
            break
        us, ats = np.transpose(points)
        m, c = np.polyfit(us, ats, 1).tolist()
    return c, m


def corners(
    sides: Sequence[tuple[float, float]], height: int, width: int
) -> list[tuple[float, float]]:
    """Return where top, bottom, left and right cross, clockwise from the upper left."""

    def crossing(level: tuple[float, float], upright: tuple[float, float]) -> tuple[float, float]:
        (c, m), (d, n) = level, upright
        # y = c + m (x - w / 2) and x = d + n (y - h / 2).
        matrix = [[1.0, -m], [-n, 1.0]]
        y, x = np.linalg.solve(matrix, [c - m * width / 2, d - n * height / 2])
        return float(y), float(x)

    top, bottom, left, right = sides
    return [
        crossing(*pair) for pair in ((top, left), (top, right), (bottom, right), (bottom, left))
    ]


def within_edge(
    grey: Rows, sides: Sequence[tuple[float, float]], ends: list[tuple[float, float]], said: Edges
) -> list[tuple[float, float]] | None:
    """Return the corners of what is within the dark edge of a screen, if it has one."""
    across = transposed(grey)
    (y0, x0), (y1, x1), (y2, x2), (y3, x3) = ends
    between = ((x0, x1), (x3, x2), (y0, y3), (y1, y2))
    shortest = min([len(grey), *(last - first for first, last in between)])
    sums = [0.0] * (int(said.widest_edge * shortest) + 3)
    pictures = (grey, grey, across, across)
    inwards = (1, -1, 1, -1)
    for picture, (c, m), (a, b), inward in zip(pictures, sides, between, inwards, strict=True):
        first, last = max(int(a) + 2, 0), min(int(b) - 1, len(picture[0]))
        for x, t in product(range(first, last), range(1, len(sums))):
            at = round(c + m * (x - len(picture[0]) / 2)) + inward * t
            if 1 <= at < len(picture) - 1:
                size = inward * (picture[at + 1][x] - picture[at - 1][x])
                sums[t] += min(max(size, 0), said.enough) / (last - first)
    t = max(range(1, len(sums) - 1), key=lambda t: (sums[t], -t))
    if sums[t] < said.step:
        return None
    bend = 2 * sums[t] - sums[t - 1] - sums[t + 1]
    wide = t + ((sums[t + 1] - sums[t - 1]) / 2 / bend if bend > 0 and t > 1 else 0)
    moved = []
    for picture, (c, m), (a, b), inward in zip(pictures, sides, between, inwards, strict=True):
        line, darker = (c + inward * wide, m), inward < 0
        if part(picture, line, a, b, darker, said) > 0.5:
            line = fitted(picture, line, a, b, darker, said)
        moved.append(line)
    return corners(moved, len(grey), len(grey[0]))


def quadrilaterals(
    grey: Rows, smallest: float, least: float, most: int, said: Edges
) -> list[list[tuple[float, float]]]:
    """Return the quadrilaterals of four lines that are edges all along."""
    across = transposed(grey)
    height, width = len(grey), len(grey[0])
    few = said.step * smallest
    level = {d: level_lines(grey, said, few * width, d) for d in (False, True)}
    upright = {d: level_lines(across, said, few * height, d) for d in (False, True)}
    found = []
    for darker in (False, True):
        scored = []
        pairs = product(level[darker], level[not darker], upright[darker], upright[not darker])
        for top, bottom, left, right in pairs:
            if bottom[0] - top[0] < smallest * height or right[0] - left[0] < smallest * width:
                continue
            at = corners((top, bottom, left, right), height, width)
            if min(map(min, at)) < 0 or any(y >= height or x >= width for y, x in at):
                continue
            score = min(
                part(grey, top, at[0][1], at[1][1], darker, said),
                part(grey, bottom, at[3][1], at[2][1], not darker, said),
                part(across, left, at[0][0], at[3][0], darker, said),
                part(across, right, at[1][0], at[2][0], not darker, said),
            )
            if score > least:
                scored.append((score, (top, bottom, left, right, at)))
        for top, bottom, left, right, at in best(scored, most):
            sides = (
                fitted(grey, top, at[0][1], at[1][1], darker, said),
                fitted(grey, bottom, at[3][1], at[2][1], not darker, said),
                fitted(across, left, at[0][0], at[3][0], darker, said),
                fitted(across, right, at[1][0], at[2][0], not darker, said),
            )
            ends = corners(sides, height, width)
            found.append(ends)
            if darker and (inner := within_edge(grey, sides, ends, said)) is not None:
                found.append(inner)
    return [[(y + 0.5, x + 0.5) for y, x in ends] for ends in found]
