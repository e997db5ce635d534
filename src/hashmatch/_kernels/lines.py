"""Boxes in a picture along whose sides it steps: pictures in collages, bars, stories, viewers.

Where a picture ends within another, nearly all of the line between them steps, be it by a little;
an edge in a picture steps more, but seldom from one corner of a box to the next. So steps count up
to a limit, and a side is ranked by how much more it steps than the lines beside it.

The step at a line is taken over the line itself, ``abs(grey[y + 1] - grey[y - 1])``, since what
ends within it is mixed there. All functions look at rows; columns are the rows of the transposed
picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch._kernels.pdq_reduce import Floats

NEAR, FAR = 3, 6
"""Lines to what one is compared with, on either side: the nearer ones see what it sees, and beyond
a narrow gap in a collage there is another line."""
MOST = 60.0
"""Levels above which a step counts as that."""
PRICE = 8.0
"""Levels that a step has to be worth for a run of steps to grow by it."""
SAME = 2
"""Lines no further apart are one."""
WIDEST_GAP = 0.1
"""Of a side: a wider stripe of one colour is no gap in a collage."""
PLAIN = 1.5
"""Levels by which the cells of a line of one colour differ from their mean, as a square root."""
ALIKE = 0.7
"""Cells by which boxes differ less that are hashed alike."""
CROSSING = 6
"""Seams that are looked for across a strip of a collage: three gaps, or six pictures without."""
STRIPE = 0.25
"""What a box with a stripe of one colour along a side is worth: it may be a blank sky."""


@kernel
def profiles(across: Floats, whole: Floats, run: Floats) -> None:
    """Write how much each row of a picture steps, all of it on average and in its best run.

    ::

        whole[y] = mean(step(grey, y, x) for x in range(w))
        worth[x] = step(grey, y, x) - (step(grey, y - 4, x) + step(grey, y + 4, x)) / 2 - PRICE
        run[y] = max(sum(worth[a:b]) for a, b in combinations(range(w + 1), 2)) / w

    Parameters
    ----------
    across : ndarray of float32, shape (w, h)
        The picture transposed: the sums of all rows advance side by side.
    whole, run : ndarray of float32, shape (h,)
        `run` is 0 where no run is worth anything, and in the four outermost rows.
    """
    width, height = across.shape
    whole[:], run[:] = np.float32(0.0), np.float32(0.0)
    size, so_far = np.zeros(height, np.float32), np.zeros(height, np.float32)
    most, price = np.float32(MOST), np.float32(PRICE)
    half, nothing = np.float32(0.5), np.float32(0.0)
    inner, middle = max(height - 2, 0), max(height - 8, 0)
    for x in range(width):
        line = across[x]
        ahead, at = line[2:], size[1:]
        for y in range(inner):
            at[y] = min(abs(ahead[y] - line[y]), most)
        for y in range(height):
            whole[y] += size[y]
        here, after, sums, best = size[4:], size[8:], so_far[4:], run[4:]
        for y in range(middle):
            worth = here[y] - half * (size[y] + after[y]) - price
            value = max(sums[y] + worth, nothing)
            sums[y] = value
            best[y] = max(best[y], value)
    scale = np.float32(1.0 / width)
    for y in range(height):
        whole[y] *= scale
        run[y] *= scale


@kernel
def peaks(profile: Floats, least: float, out: NDArray[np.int64]) -> int:
    """Write the highest lines of a profile to `out`, highest first; return how many.

    Those of no more than `least` are left out, and those that are the `SAME` as a higher one.
    """
    rest = profile.copy()
    for count in range(out.shape[0]):
        best = int(np.argmax(rest))
        if not rest[best] > least:
            return count
        out[count] = best
        rest[max(best - SAME, 0) : best + SAME + 1] = np.float32(0.0)
    return int(out.shape[0])


@kernel
def excesses(profile: Floats) -> Floats:
    """Return by how much each line of a profile is above what is beside it, on either side."""
    length = profile.shape[0]
    out = np.zeros(length, np.float32)
    for y in range(2, length - 2):
        before, after = profile[y], profile[y]
        for k in range(NEAR, FAR + 1):
            before = min(before, profile[max(y - k, 0)])
            after = min(after, profile[min(y + k, length - 1)])
        out[y] = profile[y] - max(before, after)
    return out


@kernel
def candidates(across: Floats, most_whole: int, most_runs: int, least: float) -> NDArray[np.int64]:
    """Return the rows of a picture, given transposed, that may be a side of a box, sorted.

    At most `most_whole` are those that step by `least` more than what is beside them, in all; at
    most `most_runs` those with the best runs.
    """
    height = across.shape[1]
    whole, run = np.empty(height, np.float32), np.empty(height, np.float32)
    profiles(across, whole, run)
    found = np.empty(most_whole + most_runs, np.int64)
    count = peaks(excesses(whole), least, found[:most_whole])
    more = np.empty(most_runs, np.int64)
    for k in range(peaks(run, least / 8.0, more)):
        is_new = True
        for other in found[:count]:
            is_new = is_new and abs(other - more[k]) >= SAME
        if is_new:
            found[count] = more[k]
            count += 1
    return np.sort(found[:count])


@kernel
def sums_along(grey: Floats, lines: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sums of the steps of some rows, and of those beside them, up to each column.

    Its shape is (n, 1 + 2 * (FAR - NEAR + 1), w + 1): of each of the n `lines` the row itself, then
    those above, then those below.
    """
    beside = FAR - NEAR + 1
    out = np.zeros((lines.shape[0], 1 + 2 * beside, grey.shape[1] + 1))
    for i in range(lines.shape[0]):
        for k in range(1 + 2 * beside):
            y = lines[i]
            if k > beside:
                y += NEAR + k - beside - 1
            elif k > 0:
                y -= NEAR + k - 1
            y = min(max(y, 0), grey.shape[0] - 1)
            if 0 < y < grey.shape[0] - 1:
                above, below = grey[y - 1], grey[y + 1]
                total = 0.0
                for x in range(grey.shape[1]):
                    total += np.float64(min(abs(below[x] - above[x]), np.float32(MOST)))
                    out[i, k, x + 1] = total
    return out


@kernel
def excess_of(sums: NDArray[np.float64], first: int, last: int) -> float:
    """Return by how much a row steps more than what is beside it, between two columns, on average.

    `sums` is of one line, as in `sums_along`. Of the rows on a side the least counts, of the two
    sides the more.
    """
    beside = FAR - NEAR + 1
    here = sums[0, last] - sums[0, first]
    above, below = here, here
    for k in range(1, beside + 1):
        above = min(above, sums[k, last] - sums[k, first])
        below = min(below, sums[k + beside, last] - sums[k + beside, first])
    found: float = (here - max(above, below)) / (last - first)
    return found


@kernel
def sums_between(grey: Floats, ends: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sums of the row midway between neighbouring lines, and of its squares.

    Parameters
    ----------
    grey : ndarray of float32, shape (h, w)
    ends : ndarray of int64, shape (n,)
        Lines, sorted, from 0 to h.

    Returns
    -------
    ndarray of float64, shape (n - 1, 2, w + 1)
        Up to each column; squares are infinite where the lines are more than `WIDEST_GAP` apart.
    """
    height, width = grey.shape
    out = np.zeros((ends.shape[0] - 1, 2, width + 1))
    for i in range(ends.shape[0] - 1):
        if ends[i + 1] - ends[i] > WIDEST_GAP * height:
            out[i, 1, 1:] = np.inf
            continue
        row = grey[(ends[i] + ends[i + 1]) // 2]
        for x in range(width):
            value = np.float64(row[x])
            out[i, 0, x + 1] = out[i, 0, x] + value
            out[i, 1, x + 1] = out[i, 1, x] + value * value
    return out


@kernel
def is_plain(sums: NDArray[np.float64], first: int, last: int) -> bool:
    """Return whether a row is of one colour between two columns; `sums` as in `sums_between`."""
    if sums[1, -1] == np.inf:
        return False
    # What is at the ends is mixed with what is beside it.
    a, b = first + 1, last - 1
    if b - a < 2:
        return False
    mean = (sums[0, b] - sums[0, a]) / (b - a)
    spread = (sums[1, b] - sums[1, a]) / (b - a) - mean * mean
    return bool(spread < PLAIN * PLAIN)


@kernel
def place(grey: Floats, line: int, first: int, last: int) -> float:
    """Return where row `line` steps between two columns: `line` is its upper edge.

    What ends within a row is there a mixture of what is before it and after it. The share of the
    former, by least squares over the columns, is where it ends.
    """
    mixed, in_all = 0.0, 0.0
    for x in range(first, last):
        after = np.float64(grey[line + 1, x])
        size = np.float64(grey[line - 1, x]) - after
        mixed += (np.float64(grey[line, x]) - after) * size
        in_all += size * size
    return line + (min(max(mixed / in_all, 0.0), 1.0) if in_all > 0.0 else 0.5)


@kernel
def centred(
    grey: Floats,
    across: Floats,
    rows: NDArray[np.int64],
    sums: NDArray[np.float64],
    extent: NDArray[np.float64],
    least: float,
    smallest: float,
    out: NDArray[np.float64],
) -> int:
    """Write boxes between a row and that which is as far from the other end; return how many.

    A picture lies in the middle of a story or of a screen, and only one of its ends may show. The
    arguments are those of `boxes`, and `sums_along` of the `rows`.
    """
    height, width = grey.shape
    excess = np.zeros(rows.shape[0])
    for i in range(rows.shape[0]):
        excess[i] = excess_of(sums[i], 0, width)
    count = 0
    for i in np.argsort(-excess):
        if count == out.shape[0] or excess[i] <= least:
            break
        at = place(grey, rows[i], 0, width)
        at = min(at, extent[0] - at)
        if at < 0.5 * WIDEST_GAP * height or extent[0] - 2.0 * at < smallest * height:
            continue
        is_new = True
        for other in out[:count]:
            is_new = is_new and abs(other[0] - at) >= SAME
        if is_new:
            out[count, 0], out[count, 1] = at, 0.0
            out[count, 2], out[count, 3] = extent[0] - at, extent[1]
            count += 1
    return count


@kernel
def boxes(
    grey: Floats,
    across: Floats,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    extent: NDArray[np.float64],
    least: float,
    smallest: float,
    quotas: NDArray[np.int64],
    out: NDArray[np.float64],
) -> int:
    """Write the boxes whose sides step the most; return how many.

    A box is ranked by its weakest side. What has a stripe of one colour along a side, as a gap in a
    collage or a margin, is none: the one without it is.

    Parameters
    ----------
    grey, across : ndarray of float32, shape (h, w) and (w, h)
        A picture, and it transposed.
    rows, columns : ndarray of int64
        Lines that may be sides, sorted, none of them an outermost one; those of the picture are
        sides too.
    extent : ndarray of float64, shape (2,)
        Height and width of the picture, the last row and column being less than whole perhaps.
    least : float
        By how many levels each side has to step more than what is beside it.
    smallest : float
        Of the picture's height, and of its width: no side of a box is shorter.
    quotas : ndarray of int64, shape (16,)
        How many to take of the boxes with the same sides within the picture, 1 being the top, 2
        the bottom, 4 the left and 8 the right; these are added. 0 are boxes in the middle of the
        picture of which one line is enough, the other being as far from the other end.
    out : ndarray of float64, shape (sum(quotas), 4)
        Top, left, bottom and right, those with the same sides together.
    """
    height, width = grey.shape
    n, m = rows.shape[0], columns.shape[0]
    ys, xs = np.zeros(n + 2, np.int64), np.zeros(m + 2, np.int64)
    ys[1 : n + 1], xs[1 : m + 1] = rows, columns
    ys[n + 1], xs[m + 1] = height, width
    by_row, by_column = sums_along(grey, rows), sums_along(across, columns)
    gap_rows, gap_columns = sums_between(grey, ys), sums_between(across, xs)
    most = quotas.max()
    scores, chosen = np.zeros((16, most)), np.zeros((16, most, 4), np.int64)
    for i in range(n + 1):
        for k in range(i + 1, n + 2):
            top, bottom = ys[i], ys[k]
            if bottom - top < smallest * height:
                continue
            for j in range(m + 1):
                for e in range(j + 1, m + 2):
                    left, right = xs[j], xs[e]
                    sides = int(i > 0) + 2 * int(k <= n) + 4 * int(j > 0) + 8 * int(e <= m)
                    if right - left < smallest * width or sides == 0 or quotas[sides] == 0:
                        continue
                    weakest = MOST
                    if i > 0:
                        weakest = excess_of(by_row[i - 1], left, right)
                    if k <= n:
                        weakest = min(weakest, excess_of(by_row[k - 1], left, right))
                    if weakest > least and j > 0:
                        weakest = min(weakest, excess_of(by_column[j - 1], top, bottom))
                    if weakest > least and e <= m:
                        weakest = min(weakest, excess_of(by_column[e - 1], top, bottom))
                    at = int(np.argmin(scores[sides, : quotas[sides]]))
                    if weakest <= max(least, scores[sides, at]):
                        continue
                    if (
                        is_plain(gap_rows[i], left, right)
                        or is_plain(gap_rows[k - 1], left, right)
                        or is_plain(gap_columns[j], top, bottom)
                        or is_plain(gap_columns[e - 1], top, bottom)
                    ):
                        weakest *= STRIPE
                        if weakest <= scores[sides, at]:
                            continue
                    scores[sides, at] = weakest
                    chosen[sides, at, 0], chosen[sides, at, 1] = top, left
                    chosen[sides, at, 2], chosen[sides, at, 3] = bottom, right
    count = centred(grey, across, rows, by_row, extent, least, smallest, out[: quotas[0] // 2])
    turned = np.empty((quotas[0] // 2, 4))
    for box in turned[
        : centred(across, grey, columns, by_column, extent[::-1], least, smallest, turned)
    ]:
        out[count, 0], out[count, 1], out[count, 2], out[count, 3] = box[1], box[0], box[3], box[2]
        count += 1
    for sides in range(1, 16):
        for at in range(quotas[sides]):
            if scores[sides, at] > 0.0:
                top, left, bottom, right = chosen[sides, at]
                out[count, 0] = place(grey, top, left, right) if sides & 1 else 0.0
                out[count, 1] = place(across, left, top, bottom) if sides & 4 else 0.0
                out[count, 2] = place(grey, bottom, left, right) if sides & 2 else extent[0]
                out[count, 3] = place(across, right, top, bottom) if sides & 8 else extent[1]
                count += 1
    return count


@kernel
def step_sums(grey: Floats) -> NDArray[np.float64]:
    """Return the sums of the steps from left to right, of all rows above each row, (h + 1, w)."""
    height, width = grey.shape
    out = np.zeros((height + 1, width))
    for y in range(height):
        row = grey[y]
        out[y + 1, 0], out[y + 1, width - 1] = 0.0, 0.0
        for x in range(1, width - 1):
            size = min(abs(row[x + 1] - row[x - 1]), np.float32(MOST))
            out[y + 1, x] = out[y, x] + np.float64(size)
    return out


@kernel
def settled(grey: Floats, line: int, first: int, last: int, inwards: int) -> float:
    """Return where a picture ends that has row `line` as a side, behind a gap that begins there.

    `inwards` is 1 if the picture is below the line, and -1 if it is above. A gap is of one colour;
    what is wider than `WIDEST_GAP` is none.
    """
    height = grey.shape[0]
    y = line
    for k in range(int(WIDEST_GAP * height) + 2):
        y = line + inwards * k
        if y < 1 or y > height - 2:
            return place(grey, line, first, last)
        total, squares, count = 0.0, 0.0, 0
        for x in range(first + 2, last - 2):
            value = np.float64(grey[y, x])
            total, squares, count = total + value, squares + value * value, count + 1
        is_flat = count > 0 and squares / count - (total / count) ** 2 < PLAIN * PLAIN
        if not is_flat and k > 0:
            return place(grey, line if k == 1 else y, first, last)
    return place(grey, line, first, last)


@kernel
def settled_boxes(
    grey: Floats,
    across: Floats,
    scores: NDArray[np.float64],
    found: NDArray[np.int64],
    extent: NDArray[np.float64],
    smallest: float,
    out: NDArray[np.float64],
) -> int:
    """Write the boxes with the highest scores, without the gaps beside them; return how many.

    `found` is (n, 4), in lines; the other arguments are those of `cells`.
    """
    height, width = grey.shape
    kept = 0
    for at in np.argsort(-scores, kind="mergesort"):
        if kept == out.shape[0]:
            break
        top, left, bottom, right = found[at]
        box = out[kept]
        box[0] = settled(grey, top, left, right, 1) if top > 0 else 0.0
        box[1] = settled(across, left, top, bottom, 1) if left > 0 else 0.0
        box[2] = settled(grey, bottom, left, right, -1) if bottom < height else extent[0]
        box[3] = settled(across, right, top, bottom, -1) if right < width else extent[1]
        is_new = box[2] - box[0] >= smallest * height and box[3] - box[1] >= smallest * width
        for other in out[:kept]:
            is_new = is_new and np.abs(other - box).max() >= ALIKE
        if is_new:
            kept += 1
    return kept


@kernel
def cells(
    grey: Floats,
    across: Floats,
    rows: NDArray[np.int64],
    extent: NDArray[np.float64],
    least: float,
    smallest: float,
    out: NDArray[np.float64],
) -> int:
    """Write the pictures that lie beside each other in the rows of a collage; return how many.

    Where a row of pictures ends, the whole of the collage steps, and where a picture in it ends,
    the whole of that row: within it seams stand out that the other rows hide. The arguments are
    those of `boxes`; `out` is (n, 4), for top, left, bottom and right, the best first.
    """
    height, width = grey.shape
    sums = sums_along(grey, rows)
    seams = np.empty(rows.shape[0] + 2, np.int64)
    seams[0], ends = -1, 1
    for i in range(rows.shape[0]):
        if excess_of(sums[i], 0, width) > least:
            seams[ends] = i
            ends += 1
    if ends == 1:
        return 0
    steps = step_sums(grey)
    crossing, xs = np.empty(CROSSING, np.int64), np.empty(CROSSING + 2, np.int64)
    most = (ends + 1) * ends // 2 * (CROSSING + 2) * (CROSSING + 1) // 2
    scores, found, count = np.empty(most), np.empty((most, 4), np.int64), 0
    for i in range(ends):
        for k in range(i + 1, ends + 1):
            top = rows[seams[i]] if i > 0 else 0
            bottom = rows[seams[k]] if k < ends else height
            if bottom - top < smallest * height or (i == 0 and k == ends):
                continue
            profile = ((steps[bottom] - steps[top]) / (bottom - top)).astype(np.float32)
            excess = excesses(profile)
            m = peaks(excess, least, crossing)
            xs[0], xs[m + 1] = 0, width
            xs[1 : m + 1] = np.sort(crossing[:m])
            for j in range(m + 1):
                for e in range(j + 1, m + 2):
                    left, right = xs[j], xs[e]
                    if right - left < smallest * width or (j == 0 and e == m + 1):
                        continue
                    weakest = MOST
                    if j > 0:
                        weakest = np.float64(excess[left])
                    if e <= m:
                        weakest = min(weakest, np.float64(excess[right]))
                    if i > 0:
                        weakest = min(weakest, excess_of(sums[seams[i]], left, right))
                    if k < ends:
                        weakest = min(weakest, excess_of(sums[seams[k]], left, right))
                    if weakest > least:
                        scores[count] = weakest
                        found[count, 0], found[count, 1] = top, left
                        found[count, 2], found[count, 3] = bottom, right
                        count += 1
    return settled_boxes(grey, across, scores[:count], found[:count], extent, smallest, out)
