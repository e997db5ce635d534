"""The oracle: what every fast path computes, written to be read. Imports nothing of ours.

Search is pure Python over integers. PDQ follows the paper and the C++ reference a value at a time,
with numpy only for the float32 arithmetic that its bits depend on.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def search(
    queries: Sequence[int], entries: Sequence[int], limit: int
) -> list[tuple[int, int, int]]:
    """Every (query row, entry row, distance) within `limit` bits, by query, then by entry."""
    return [
        (q, e, (query ^ entry).bit_count())
        for q, query in enumerate(queries)
        for e, entry in enumerate(entries)
        if (query ^ entry).bit_count() <= limit
    ]


def nearest(
    queries: Sequence[int], entries: Sequence[int], k: int, limits: Sequence[int]
) -> list[list[tuple[int, int]]]:
    """Of each query its k nearest (entry row, distance) within its limit; equally near by row."""
    answers = []
    for query, limit in zip(queries, limits, strict=True):
        ranked = sorted(((query ^ entry).bit_count(), e) for e, entry in enumerate(entries))
        answers.append([(e, distance) for distance, e in ranked[:k] if distance <= limit])
    return answers


def join(left: Sequence[int], right: Sequence[int], limit: int) -> list[tuple[int, int, int]]:
    """Every (left row, right row, distance) within `limit` bits, by left row, then by right."""
    return search(left, right, limit)


def self_join(values: Sequence[int], limit: int) -> list[tuple[int, int, int]]:
    """Every (row, later row, distance) within `limit` bits, by row, then by the later one."""
    return [(i, j, distance) for i, j, distance in search(values, values, limit) if i < j]


def words(value: int, bits: int) -> list[int]:
    """The 64-bit words of a hash, most significant first, zeros after its last bit."""
    count = -(-bits // 64)
    value <<= 64 * count - bits
    return [value >> (64 * (count - 1 - i)) & (2**64 - 1) for i in range(count)]


def running_means(values: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    """The box filter of PDQ along the first axis, with one running sum as in the reference."""
    n = len(values)
    half = (window + 2) // 2
    total = np.zeros(values.shape[1:], np.float32)
    count, entering, leaving = 0, 0, 0
    out = []
    for _ in range(half - 1):  # before the first output
        total = total + values[entering]
        entering, count = entering + 1, count + 1
    for _ in range(window - half + 1):  # the window grows
        total = total + values[entering]
        entering, count = entering + 1, count + 1
        out.append(total / np.float32(count))
    for _ in range(n - window):  # it slides
        total = total + values[entering]
        total = total - values[leaving]
        entering, leaving = entering + 1, leaving + 1
        out.append(total / np.float32(count))
    for _ in range(half - 1):  # it shrinks
        total = total - values[leaving]
        leaving, count = leaving + 1, count - 1
        out.append(total / np.float32(count))
    return np.array(out, np.float32)


def pdq(pixels: NDArray[np.uint8]) -> tuple[str, int]:
    """The PDQ hash, in hexadecimal, and quality of RGB pixels (h, w, 3)."""
    height, width = pixels.shape[:2]
    if height < 5 or width < 5:
        return "0" * 64, 0
    red, green, blue = (pixels[..., channel].astype(np.float64) for channel in range(3))
    plane = (red * 0.299 + green * 0.587 + blue * 0.114).astype(np.float32)
    if (height, width) != (64, 64):
        for _ in range(2):
            plane = running_means(plane.T, (width + 127) // 128).T
            plane = running_means(plane, (height + 127) // 128)
        rows = [int((i + 0.5) * height / 64) for i in range(64)]
        columns = [int((j + 0.5) * width / 64) for j in range(64)]
        plane = plane[np.ix_(rows, columns)]

    steps = 0
    for difference in (plane[:-1] - plane[1:], plane[:, :-1] - plane[:, 1:]):
        cut = (difference * np.float32(100) / np.float32(255)).astype(np.int64)
        steps += int(np.abs(cut).sum())

    scale = float(np.float32(math.sqrt(2 / 64)))
    dct = [
        [np.float32(scale * math.cos(math.pi / 2 / 64 * (i + 1) * (2 * j + 1))) for j in range(64)]
        for i in range(16)
    ]
    half = np.zeros((16, 64), np.float32)
    for i in range(16):
        for k in range(64):  # k outside keeps each sum in the order of the reference
            half[i] = half[i] + dct[i][k] * plane[k]
    coefficients = np.zeros((16, 16), np.float32)
    for j in range(16):
        for k in range(64):
            coefficients[:, j] = coefficients[:, j] + half[:, k] * dct[j][k]

    flat = coefficients.ravel().tolist()
    median = sorted(flat)[127]
    bits = sum(1 << k for k, value in enumerate(flat) if value > median)
    return f"{bits:064x}", min(steps // 90, 100)


# Pillow's grey and Lanczos resize, and the four hashes of imagehash, in pure Python.


def grey(pixels: NDArray[np.uint8]) -> list[list[int]]:
    """The rows of RGB pixels (h, w, 3) as luma, 0 to 255."""
    return [
        [(19595 * r + 38470 * g + 7471 * b + 32768) >> 16 for r, g, b in row]
        for row in pixels.tolist()
    ]


def lanczos(size: int, reduced: int) -> list[tuple[int, list[int]]]:
    """What each of `reduced` pixels is made of: the first of `size`, and weights in 1/2^22."""

    def sinc(x: float) -> float:
        return math.sin(x * math.pi) / (x * math.pi) if x else 1.0

    scale = size / reduced
    wide = max(scale, 1.0)
    made = []
    for o in range(reduced):
        centre = (o + 0.5) * scale
        first = max(int(centre - 3 * wide + 0.5), 0)
        end = min(int(centre + 3 * wide + 0.5), size)
        at = [(t - centre + 0.5) * (1 / wide) for t in range(first, end)]
        values = [sinc(x) * sinc(x / 3) if -3 <= x < 3 else 0.0 for x in at]
        total = 0.0
        for value in values:  # not sum(): it keeps more digits than a C double
            total += value
        weights = [value / total * 2**22 for value in values]
        made.append((first, [int(w - 0.5) if w < 0 else int(w + 0.5) for w in weights]))
    return made


def resized_rows(rows: list[list[int]], width: int) -> list[list[int]]:
    """Every row resized to `width`."""
    if len(rows[0]) == width:
        return rows
    weights = lanczos(len(rows[0]), width)
    sums = [
        [sum(w * row[first + t] for t, w in enumerate(some)) for first, some in weights]
        for row in rows
    ]
    return [[min(max((value + 2**21) >> 22, 0), 255) for value in row] for row in sums]


def columns_as_rows(rows: list[list[int]]) -> list[list[int]]:
    """Columns as rows."""
    return [list(column) for column in zip(*rows, strict=True)]


def resize(rows: list[list[int]], width: int, height: int) -> list[list[int]]:
    """Rows first, or columns first where they lose over twice as many pixels as rows do."""
    fewer_rows, fewer_columns = len(rows) - height, len(rows[0]) - width
    if fewer_rows > 0 and fewer_rows > 2 * fewer_columns:
        return resized_rows(columns_as_rows(resized_rows(columns_as_rows(rows), height)), width)
    return columns_as_rows(resized_rows(columns_as_rows(resized_rows(rows, width)), height))


def as_hex(bits: Sequence[bool]) -> str:
    """64 bits, the first the most significant, in hexadecimal."""
    return f"{int(''.join(str(int(bit)) for bit in bits), 2):016x}"


def ahash(pixels: NDArray[np.uint8]) -> str:
    """Which of 8 x 8 pixels are lighter than their mean."""
    flat = [value for row in resize(grey(pixels), 8, 8) for value in row]
    return as_hex([value > sum(flat) / 64 for value in flat])


def dhash(pixels: NDArray[np.uint8]) -> str:
    """Which of 9 x 8 pixels are darker than their right neighbour."""
    rows = resize(grey(pixels), 9, 8)
    return as_hex([row[x] < row[x + 1] for row in rows for x in range(8)])


def above_median(values: Sequence[float], doubt: float) -> str | None:
    """Which of 64 values are above their median; None where it is a matter of the last bits."""
    lower, upper = sorted(values)[31:33]
    return None if upper - lower <= doubt else as_hex([value > lower for value in values])


def product(one: Sequence[float], other: Sequence[float]) -> float:
    """The sum of the products."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def phash(pixels: NDArray[np.uint8]) -> str | None:
    """Which of the 8 x 8 lowest DCT coefficients of 32 x 32 pixels are above their median."""
    rows = resize(grey(pixels), 32, 32)
    cosines = [[math.cos(math.pi * k * (2 * n + 1) / 64) for n in range(32)] for k in range(8)]
    half = [[product(wave, column) for column in columns_as_rows(rows)] for wave in cosines]
    return above_median([product(row, wave) for row in half for wave in cosines], 1e-6)


def whash(pixels: NDArray[np.uint8]) -> str | None:
    """Which of 8 x 8 blocks of the picture, at a power of two, are lighter than the median one."""
    side = 8
    while 2 * side <= min(pixels.shape[:2]):
        side *= 2
    rows, block = resize(grey(pixels), side, side), side // 8
    sums = [
        sum(sum(row[x : x + block]) for row in rows[y : y + block])
        for y in range(0, side, block)
        for x in range(0, side, block)
    ]
    return above_median(sums, 0)


def small_grey(pixels: NDArray[np.uint8], cells: int) -> list[list[float]]:
    """The mean luma of each of cells x cells equal parts of a picture whose pixels are squares."""
    height, width = pixels.shape[:2]

    def overlap(cell: int, pixel: int, length: int) -> float:
        first, last = cell * length / cells, (cell + 1) * length / cells
        return max(0.0, min(last, pixel + 1) - max(first, pixel))

    grey = [[0.299 * r + 0.587 * g + 0.114 * b for r, g, b in row] for row in pixels.tolist()]
    return [
        [
            sum(
                overlap(i, y, height) * overlap(j, x, width) * grey[y][x]
                for y in range(i * height // cells, min(height, (i + 1) * height // cells + 1))
                for x in range(j * width // cells, min(width, (j + 1) * width // cells + 1))
            )
            * (cells * cells / (height * width))
            for j in range(cells)
        ]
        for i in range(cells)
    ]


def enlarged(pixels: NDArray[np.uint8], aside: float, steps: int) -> list[list[float]]:
    """64 x 64 means of a picture that is linear between its pixels, each under a tent.

    The tent over a cell is cut into `steps` slices; cells lie `aside`, of a side, right and down.
    """

    def at(values: Sequence[float], place: float) -> float:
        place = min(max(place, 0.0), len(values) - 1.0)
        before = int(place)
        after = min(before + 1, len(values) - 1)
        return values[before] + (place - before) * (values[after] - values[before])

    def means(values: Sequence[float]) -> list[float]:
        found = []
        for cell in range(64):
            total = weights = 0.0
            for step in range(steps):
                across = (step + 0.5) / steps
                weight = min(across, 1 - across)
                total += weight * at(values, ((cell + across) / 64 + aside) * len(values) - 0.5)
                weights += weight
            found.append(total / weights)
        return found

    grey = [[0.299 * r + 0.587 * g + 0.114 * b for r, g, b in row] for row in pixels.tolist()]
    columns = zip(*(means(row) for row in grey), strict=True)
    return [list(row) for row in zip(*(means(column) for column in columns), strict=True)]


def continued(
    picture: list[list[float]], edges: list[list[float]], margin: int, fading: float
) -> list[list[float]]:
    """The picture with `margin` rows above and below, then columns beside, each its edge faded.

    `edges` are those above, below, left and right. An edge is a sum of waves, each of which falls
    by exp(-fading * frequency * distance).
    """

    def faded(edge: Sequence[float], distance: int) -> list[float]:
        n = len(edge)
        waves = [
            sum(v * math.cos(math.pi / n * k * (x + 0.5)) for x, v in enumerate(edge))
            for k in range(n)
        ]
        scale = [
            math.exp(-fading * math.pi / n * k * distance) * (2 if k else 1) / n for k in range(n)
        ]
        return [
            sum(
                w * s * math.cos(math.pi / n * k * (x + 0.5))
                for k, (w, s) in enumerate(zip(waves, scale, strict=True))
            )
            for x in range(n)
        ]

    def put_around(
        rows: list[list[float]], first: list[float], last: list[float]
    ) -> list[list[float]]:
        above = [faded(first, d) for d in range(margin, 0, -1)]
        return above + rows + [faded(last, d) for d in range(1, margin + 1)]

    tall = put_around(picture, edges[0], edges[1])
    columns = [list(column) for column in zip(*tall, strict=True)]
    left, right = (
        column[:margin] + edge + column[-margin:]
        for column, edge in ((columns[0], edges[2]), (columns[-1], edges[3]))
    )
    sideways = put_around(columns, left, right)
    return [list(row) for row in zip(*sideways, strict=True)]


def framed(picture: Sequence[Sequence[float]], margin: int, box: Sequence[float]) -> int:
    """PDQ's bits of what a frame shows, as its integrals against products of cosines.

    `box` is (left, top, right, bottom), the picture without its margins being 0 to 1; beyond the
    margins their last cell goes on.
    """
    left, top, right, bottom = box

    def integral(k: int, cell: int, first: float, last: float, count: int) -> float:
        side = count - 2 * margin
        begin = -math.inf if cell == 0 else (cell - margin) / side
        end = math.inf if cell == count - 1 else (cell + 1 - margin) / side
        u, v = (min(max((e - first) / (last - first), 0.0), 1.0) for e in (begin, end))
        return (math.sin(math.pi * k * v) - math.sin(math.pi * k * u)) / (math.pi * k)

    n = len(picture)
    rows = [[integral(k, y, top, bottom, n) for y in range(n)] for k in range(1, 17)]
    columns = [[integral(k, x, left, right, n) for x in range(n)] for k in range(1, 17)]
    half = [[sum(a * picture[y][x] for y, a in enumerate(row)) for x in range(n)] for row in rows]
    values = [
        sum(b * v for b, v in zip(column, row, strict=True)) for row in half for column in columns
    ]
    return upper_half(values)


def upper_half(values: Sequence[float]) -> int:
    """PDQ's bits of 256 coefficients."""
    median = sorted(values)[127]
    return sum(1 << i for i, value in enumerate(values) if value > median)


def guessed_around(values: Sequence[float], field: Sequence[Sequence[float]], spread: float) -> int:
    """PDQ's bits of 256 coefficients and a field (n, n) that has their own spectrum.

    `spread` is the strength of a field of ones and minus ones over the whole picture.
    """
    n = len(field)
    waves = [
        [
            n / math.pi / k * (math.sin(math.pi * k * (x + 1) / n) - math.sin(math.pi * k * x / n))
            for x in range(n)
        ]
        for k in range(1, 17)
    ]
    half = [[product(wave, column) for column in zip(*field, strict=True)] for wave in waves]
    added = [product(row, wave) * 2 * spread / n for row in half for wave in waves]
    rows = [math.fsum(v * v for v in values[16 * i : 16 * i + 16]) / 16 for i in range(16)]
    columns = [math.fsum(v * v for v in values[i::16]) / 16 for i in range(16)]
    return upper_half([
        value + math.sqrt(min(rows[i // 16], columns[i % 16])) * added[i]
        for i, value in enumerate(values)
    ])  # fmt: skip


def turned(
    picture: Sequence[Sequence[float]], corner: Sequence[Sequence[float]], cells: int, inset: float
) -> list[list[float]]:
    """Bilinear samples of a picture between an upper left corner (y, x) and its two neighbours.

    `corner` is that corner, then the ways to the upper right and to the lower left one.
    """
    last = len(picture) - 1

    def value(y: float, x: float) -> float:
        y, x = min(max(y, 0.0), last), min(max(x, 0.0), last)
        top, left = min(int(y), last - 1), min(int(x), last - 1)
        upper, lower = (
            picture[row][left] * (left + 1 - x) + picture[row][left + 1] * (x - left)
            for row in (top, top + 1)
        )
        return upper * (top + 1 - y) + lower * (y - top)

    steps = [min(max((j + 0.5) / cells, inset), 1 - inset) for j in range(cells)]
    (y0, x0), (yu, xu), (yv, xv) = corner
    return [
        [value(y0 + u * yu + v * yv - 0.5, x0 + u * xu + v * xv - 0.5) for u in steps]
        for v in steps
    ]


def bar(
    lines: Sequence[Sequence[Sequence[int]]], flat: float, plain: float, least: float, most: int
) -> tuple[int, float]:
    """How many lines have the first one's colour, up to a plain one, and the step after them."""
    width = len(lines[0])
    colour = [sum(pixel[c] for pixel in lines[0]) / width for c in range(3)]

    def share(y: int, levels: float) -> float:
        near = [all(abs(p[c] - colour[c]) <= levels for c in range(3)) for p in lines[y]]
        return sum(near) / width

    def step(y: int) -> int:
        """From line y - 1 to line y."""
        pairs = zip(lines[y], lines[y - 1], strict=True)
        return sum(abs(a[c] - b[c]) for a, b in pairs for c in range(3))

    run = 0
    while run < most and share(run, flat) >= (plain if run == 0 else least):
        run += 1
    end = max((y + 1 for y in range(run) if share(y, flat) >= plain), default=0)
    if not end:
        return 0, 0.0
    ends = [end]  # in the rest of a JPEG block the bar may go on, smeared
    while ends[-1] < min(end + 7, most) and share(ends[-1], 40) >= plain:
        ends.append(ends[-1] + 1)
    best = max(ends, key=lambda y: (step(y), -y))
    return best, step(best) / (3 * width)


def suspect(
    value: int, bits: int, references: Sequence[tuple[int, int, int]], low: int, is_long: bool
) -> int:
    """The code of the first (reference, radius, code) that is near, else `low`, else 0."""
    for reference, radius, code in references:
        if (value ^ reference).bit_count() <= radius:
            return code
    if is_long:
        pieces = [value >> 16 * i & 0xFFFF for i in range(bits // 16)]
        balanced = 7 / 16 <= value.bit_count() / bits <= 9 / 16
        if len(set(pieces)) <= len(pieces) * (0.5 if balanced else 0.75):
            return low
    return 0


def is_benign(listed: Sequence[int], benign: Sequence[int], most: int) -> bool:
    """Whether a picture at these distances from listed and from benign entries is harmless."""
    near = [distance for distance in benign if distance <= most]
    return bool(near) and min(listed) > 0 and min(near) < min(listed)


def let_through(records: Sequence[set[str]], limit: int) -> tuple[list[bool], set[str]]:
    """Which records have an entry that had less than `limit` records, and which reached it."""
    had: dict[str, int] = {}
    let = []
    for entries in records:
        open_ones = [entry for entry in entries if had.get(entry, 0) < limit]
        for entry in open_ones:
            had[entry] = had.get(entry, 0) + 1
        let.append(bool(open_ones))
    return let, {entry for entry, count in had.items() if count >= limit}


def near_in_order(step: int, seconds: float, gap: float, reach: int) -> bool:
    """Whether two frames of a video, so many frames and seconds apart, may follow each other."""
    return step >= 0 and (seconds <= gap or step <= reach)


def video_segments(
    pairs: Sequence[tuple[int, int]],
    query_times: Sequence[float],
    entry_times: Sequence[float],
    gap: float,
    reach: int,
) -> list[list[tuple[int, int]]]:
    """The runs of pairs of matching frames (query, entry), the longest first.

    A pair follows the longest run that it may; of each frame of the entry, the last time that it
    was seen counts. A frame of the query that is in one run is in no other.
    """
    pairs = sorted(pairs)
    length: dict[tuple[int, int], int] = {}
    before: dict[tuple[int, int], tuple[int, int] | None] = {}
    for i, j in pairs:
        seen = {k: max((a for a, b in pairs if b == k and a < i), default=-1) for _, k in pairs}
        may = [
            (length[a, k], a, k)
            for k, a in seen.items()
            if a >= 0
            and near_in_order(j - k, entry_times[j] - entry_times[k], gap, reach)
            and near_in_order(i - a, query_times[i] - query_times[a], gap, reach)
        ]
        best = max(may, default=None)
        length[i, j] = 1 if best is None else 1 + best[0]
        before[i, j] = None if best is None else best[1:]
    runs, taken = [], set()
    for pair in sorted(pairs, key=lambda pair: (-length[pair], pair)):
        run, at = [], pair
        while at is not None and at[0] not in taken:
            run.append(at)
            taken.add(at[0])
            at = before[at]  # type: ignore[assignment]
        if run:
            runs.append(run[::-1])
    return runs


def matching_frames(
    query: Sequence[tuple[int, int]],
    entry: Sequence[tuple[int, int]],
    limit: int,
    least: int,
) -> list[tuple[int, int, int]]:
    """Every (query frame, entry frame, distance) that match; frames are (hash, quality).

    Frames below the least quality on either side are no frames at all: numbers count the others.
    """
    usable = [[value for value, quality in video if quality >= least] for video in (query, entry)]
    return search(usable[0], usable[1], limit)


def video_shares(query: Sequence[int], entry: Sequence[int], limit: int) -> tuple[float, float]:
    """vPDQ's two numbers, of the different hashes of usable frames: of the query, of the entry."""
    found = search(sorted(set(query)), sorted(set(entry)), limit)
    return (
        len({q for q, _, _ in found}) / len(set(query)),
        len({e for _, e, _ in found}) / len(set(entry)),
    )


def flat_squares(
    pixels: list[list[list[int]]], side: int, tolerance: int, samples: int
) -> list[list[int]]:
    """Return the colour of each square of a picture, as one number, and -1 where it is not flat."""
    offsets = [i * (side - 1) // (samples - 1) for i in range(samples)]
    found = []
    for top in range(0, len(pixels) - side + 1, side):
        line = []
        for left in range(0, len(pixels[0]) - side + 1, side):
            middle = pixels[top + side // 2][left + side // 2]
            is_flat = all(
                abs(level - known) <= tolerance
                for y in offsets
                for x in offsets
                for level, known in zip(pixels[top + y][left + x], middle, strict=True)
            )
            line.append(middle[0] << 16 | middle[1] << 8 | middle[2] if is_flat else -1)
        found.append(line)
    return found


def cell_means(pixels: NDArray[np.uint8], factor: int) -> list[list[float]]:
    """The mean luma of each square of pixels, those at the right and at the bottom perhaps cut."""
    height, width = pixels.shape[:2]
    luma = [[sum(w * int(c) for w, c in zip((299, 587, 114), p, strict=True)) / 1000 for p in row]
            for row in pixels]  # fmt: skip
    means: list[list[float]] = []
    for top in range(0, height, factor):
        means.append([])
        for left in range(0, width, factor):
            cell = [v for row in luma[top : top + factor] for v in row[left : left + factor]]
            means[-1].append(sum(cell) / len(cell))
    return means


def part_means(
    grey: Sequence[Sequence[float]], box: Sequence[float], cells: int
) -> list[list[float]]:
    """The means over equal cells of a rectangle (top, left, bottom, right) of a picture."""
    top, left, bottom, right = box

    def shares(first: float, last: float, count: int, i: int) -> list[tuple[int, float]]:
        low = first + (last - first) * i / count
        high = first + (last - first) * (i + 1) / count
        return [
            (k, min(high, k + 1) - max(low, k)) for k in range(math.floor(low), math.ceil(high))
        ]

    means: list[list[float]] = []
    for i in range(cells):
        rows = shares(top, bottom, cells, i)
        means.append([])
        for j in range(cells):
            columns = shares(left, right, cells, j)
            total = sum(a * b * grey[y][x] for y, a in rows for x, b in columns)
            means[-1].append(total / sum(a * b for _, a in rows for _, b in columns))
    return means


def row_steps(
    grey: Sequence[Sequence[float]], most: float, price: float
) -> tuple[list[float], list[float]]:
    """How much each row steps on average, and in the best run of its columns."""
    height, width = len(grey), len(grey[0])

    def step(y: int, x: int) -> float:
        return min(abs(grey[y + 1][x] - grey[y - 1][x]), most) if 0 < y < height - 1 else 0.0

    whole = [sum(step(y, x) for x in range(width)) / width for y in range(height)]
    best = []
    for y in range(height):
        runs = [0.0]
        if 4 <= y < height - 4:
            worth = [
                step(y, x) - (step(y - 4, x) + step(y + 4, x)) / 2 - price for x in range(width)
            ]
            runs += [sum(worth[a:b]) for a in range(width) for b in range(a + 1, width + 1)]
        best.append(max(runs) / width)
    return whole, best


def regions(marked: Sequence[Sequence[bool]]) -> set[tuple[int, int, int, int, int]]:
    """The box around each region of marked squares that share sides, and how many it has."""
    left = {(y, x) for y, row in enumerate(marked) for x, value in enumerate(row) if value}
    found = set()
    while left:
        region, edge = set(), {left.pop()}
        while edge:
            y, x = edge.pop()
            region.add((y, x))
            beside = {(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)} & left
            left -= beside
            edge |= beside
        ys, xs = [y for y, _ in region], [x for _, x in region]
        found.add((min(ys), min(xs), max(ys) + 1, max(xs) + 1, len(region)))
    return found


def beside(corners: bool) -> list[tuple[int, int]]:
    """The ways to the neighbours of a square, with those that only share a corner or without."""
    ways = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    return [way for way in ways if corners or 0 in way]


def together(first: set[tuple[int, int]], among: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """The squares that hang together with the first ones by their sides, these included."""
    group, new = set(first), set(first)
    while new:
        new = {(y + i, x + j) for y, x in new for i, j in beside(False)} & among - group
        group |= new
    return group


def largest_group(
    marked: Sequence[Sequence[bool]], reach: int
) -> tuple[set[tuple[int, int]], tuple[int, int, int]]:
    """The largest group of squares, and how many of its squares are marked, all, and at the edge.

    Of groups of one size it is the first. None is at the edge unless a marked one is, or is next.
    """
    height, width = len(marked), len(marked[0])
    squares = {(y, x) for y in range(height) for x in range(width)}
    ways = range(-reach, reach + 1)
    grown = {
        (y + i, x + j) for y, x in squares if marked[y][x] for i in ways for j in ways
    } & squares  # fmt: skip
    groups: list[set[tuple[int, int]]] = []
    for first in sorted(grown):
        if not any(first in group for group in groups):
            groups.append(together({first}, grown))
    largest = max(groups, key=len, default=set())
    shown = {(y, x) for y, x in largest if marked[y][x]}
    near, edge = (
        {
            (y, x)
            for y, x in squares
            if y <= far or x <= far or y >= height - 1 - far or x >= width - 1 - far
        }
        for far in (1, 0)
    )
    at_edge = len(largest & edge) if shown & near else 0
    return largest, (len(shown), len(largest), at_edge)


def covered(
    pixels: NDArray[np.uint8], step: int, side: int, marked: set[tuple[int, int]],
    group: set[tuple[int, int]], tolerance: int, alike: float, reach: int, mixed: int, cells: int,
) -> set[tuple[int, int]]:  # fmt: skip
    """The cells covered by what has the colour of a group's marked squares, and by its outline."""
    if not group:
        return set()
    looked_at = pixels[::step, ::step].astype(int)
    height, width = looked_at.shape[:2]
    colour = [
        sum(int(pixels[y * side + side // 2, x * side + side // 2, channel])
            for y, x in group & marked) // max(len(group & marked), 1)
        for channel in range(3)
    ]  # fmt: skip
    ends = []
    for axis, whole in enumerate((height, width)):
        first = min(square[axis] * side // step for square in group)
        last = max((square[axis] + 1) * side // step for square in group)
        more = (last - first) // 4
        ends.append(range(max(first - more, 0), min(last + more, whole)))
    box = {(y, x) for y in ends[0] for x in ends[1]}
    seeds = {(y, x) for y, x in box if (y * step // side, x * step // side) in group & marked}
    like_it = {place for place in box if np.abs(looked_at[place] - colour).max() <= tolerance}
    thing = together(seeds, like_it | seeds)
    edge = {
        (y, x) for y, x in box if y in (ends[0][0], ends[0][-1]) or x in (ends[1][0], ends[1][-1])
    }
    outside = together(edge - thing, box - thing)
    rings, last = [box - outside], 0
    for number in range(1, reach + 1):
        ways = beside(number % 2 == 0)
        near = {(y + i, x + j) for y, x in rings[-1] for i, j in ways} & outside
        rings.append(near.difference(*rings))
        if rings[-1]:
            levels = np.array([looked_at[place] for place in rings[-1]], float)
            if np.abs(levels - levels.mean(axis=0)).mean() <= alike:
                last = number
    return {
        (y * step * cells // pixels.shape[0], x * step * cells // pixels.shape[1])
        for ring in rings[: last + mixed + 1]
        for y, x in ring
    }
