"""How much of a picture is chrome: the plain colours, text and lines of screens and pages.

Two chats of one app are alike to a perceptual hash, whatever people wrote: its bits are of the bars
and bubbles that all chats of the app have. So a match of a picture that is nearly all chrome says
little.

The picture is laid out in squares, `ACROSS` on its longer side. Squares of one colour whose colour
many have are *plain*; those beside them are text, lines and the edges of what is plain. Chrome has
few plain colours, they are exact, they meet in straight lines that lie along the sides of the
picture, and text is on them. A thing on a white ground, a sky, fog, or most cartoons are not like
that, so that such a picture has none, however plain it is.

Measured on 1,000 photographs and on made-up screens of twelve apps, saved as JPEG of quality 50 to
95 and WebP, also at half the size: see ``benchmarks/screens.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hashmatch.hashing.borders import Cut

ACROSS = 128
"""Squares on the longer side: letters of a telephone's screen are one or two of them high."""
LEAST_SIDE = 4
"""Pixels of a square's side: half a block of JPEG."""
TOLERANCE = 5
"""Levels by which pixels of a plain square may differ from its middle, saved as JPEG of 50."""
STEP = 4
"""Levels within which colours are taken together, and with those of the next step."""
LEAST_SHARE = 0.01
"""Of all squares, with which a colour counts as one of the plain ones."""
MOST_COLOURS = 12
"""Plain colours that are distinguished."""
LEAST_PLAIN = 0.3
"""Of all squares that are plain in chrome: the least of made-up screens at a third of the size."""
MAIN, MAIN_SHARE = 3, 0.8
"""So many colours have that share of what is plain in chrome; drawings have more colours."""
RUN, STEP_RUN, STRAIGHT_SHARE = 6, 3, 0.22
"""Squares in a straight edge, those of another that continues beside it, and the share of all edges
of plain colours that are straight.

Of made-up chats and profiles all have as many, also at half the size; of 1,000 photographs, 17 of
which are as plain, 3.
"""
EXACT, EXACT_SHARE = 2, 0.75
"""Levels within which plain squares are of their colour exactly, and how many are, in chrome.

Of made-up screens saved as JPEG of 50 it is 0.8 or more. Skies, fog and snow have shades: 0.5 to
0.7.
"""
THIN, TEXT_SHARE, MOSTLY_STRAIGHT = 4, 0.025, 0.45
"""Squares across a line of text, the share of all edges that are on either side of one, and the
share of straight edges with which there need be none.

Text and rules have one colour on both sides, the outlines of cartoons two: half of the cartoons
have 0.02 of their edges there, made-up chats 0.03 (JPEG, half the size) to 0.4. Flags are straight.
"""
NEAR = 2
"""Squares within which text and lines are beside what is plain."""
LEAST_KEPT = 0.1
"""Of all squares: a picture with fewer flat ones has no chrome, nor has any view of it."""
MOSTLY = 0.7
"""The share of chrome from which a match is marked."""


class ChromeMeter:
    """Measures the chrome of one picture, and of views of it, when asked: when it matched.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width, 3)
        Upright RGB; not kept.

    Attributes
    ----------
    views : dict of str to Cut
        What else was hashed of the picture: what is cut off at each of its sides, by the name that
        begins that of its hashes, see `hashmatch.hashing.variants.ask`.

    Examples
    --------
    >>> page = np.full((400, 300, 3), 255, np.uint8)
    >>> page[40:60] = page[90:360:9, 20:280] = 30
    >>> meter = ChromeMeter(page)
    >>> meter.share(), meter.share("rotate_90")
    (1.0, 1.0)
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.views: dict[str, Cut] = {}
        self._side = max(LEAST_SIDE, -(-max(pixels.shape[:2]) // ACROSS))
        self._height, self._width = pixels.shape[:2]
        squares = flat_squares(pixels, self._side)
        flat = np.count_nonzero(squares >= 0)
        self._squares = squares if flat >= LEAST_KEPT * squares.size else None
        self._shares: dict[str, float] = {}

    @classmethod
    def of(cls, shares: Mapping[str, float]) -> ChromeMeter:
        """Return one that knows what `shares` of another returned.

        Parameters
        ----------
        shares : mapping of str to float
            The share of each view.
        """
        made = cls(np.zeros((0, 0, 3), np.uint8))
        made.views = dict.fromkeys(filter(None, shares), (0, 0, 0, 0))
        made._shares = dict(shares)
        return made

    def shares(self) -> dict[str, float]:
        """Return the share of each view by its name, that of all of the picture by an empty one."""
        return {name: self.share(name) for name in ("", *self.views)}

    def share(self, variant: str = "") -> float:
        """Return what part of the picture is chrome, 0 to 1, or of the view that a hash is of.

        Parameters
        ----------
        variant : str
            What the hash is of, as `HashedImage.variants` says it; empty for all of the picture.
        """
        view = self.view(variant)
        if view not in self._shares:
            self._shares[view] = round(self._measured(self.views.get(view, (0, 0, 0, 0))), 3)
        return self._shares[view]

    def view(self, variant: str) -> str:
        """Return the name of the view that a hash is of; empty if it is of all of the picture.

        Parameters
        ----------
        variant : str
            As for `share`.
        """
        return next((part for part in variant.split("/") if part in self.views), "")

    def _measured(self, cut: Cut) -> float:
        if self._squares is None:
            return 0.0
        top, bottom, left, right = cut
        rows = slice(-(-top // self._side), (self._height - bottom) // self._side)
        columns = slice(-(-left // self._side), (self._width - right) // self._side)
        return chrome_share(self._squares[rows, columns])


def flat_squares(pixels: NDArray[np.uint8], side: int) -> NDArray[np.int32]:
    """Return the colour of each flat square of a picture, and -1 for those that are not flat.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width, 3)
    side : int
        Of a square in pixels, at least 2.

    Returns
    -------
    ndarray of int32, shape (height // side, width // side)
        Red << 16 | green << 8 | blue.
    """
    from hashmatch._kernels import chrome

    pixels = pixels.view()
    pixels.flags.writeable = False  # compiled once, whether the caller's array is or is not
    out = np.empty((pixels.shape[0] // side, pixels.shape[1] // side), np.int32)
    chrome.flat_squares(pixels, side, TOLERANCE, out)
    return out


def chrome_share(squares: NDArray[np.int32]) -> float:
    """Return what part of a picture is chrome, 0 to 1; 0 if it is not laid out like any.

    Parameters
    ----------
    squares : ndarray of int32, shape (rows, columns)
        Colours, as `hashmatch._kernels.chrome.flat_squares` writes them.
    """
    if not squares.size or np.count_nonzero(squares >= 0) < LEAST_PLAIN * squares.size:
        return 0.0  # as nearly all photographs
    colours = _plain_colours(squares)
    if _exactness(squares, colours) < EXACT_SHARE:
        return 0.0  # shades, as of a sky
    colours = _within_borders(colours)
    if not colours.size:
        return 0.0  # one plain colour
    counts = np.bincount(colours.ravel(), minlength=MOST_COLOURS + 1)[1:]
    plain = int(counts.sum())
    if plain < LEAST_PLAIN * colours.size or np.sort(counts)[-MAIN:].sum() < MAIN_SHARE * plain:
        return 0.0
    straight = _straightness(colours)
    if straight < STRAIGHT_SHARE:
        return 0.0
    if straight < MOSTLY_STRAIGHT and _text(colours) < TEXT_SHARE:
        return 0.0  # as of cartoons
    return float(_grown(_grown(colours > 0, NEAR).T, NEAR).mean())


def _plain_colours(squares: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return for each square the number of its plain colour, most frequent first, 0 for none."""
    is_flat = squares >= 0
    steps = np.stack([squares[is_flat] >> shift & 0xFF for shift in (16, 8, 0)], axis=1) // STEP
    codes = steps @ np.array([1 << 12, 1 << 6, 1])
    values, inverse, left = np.unique(codes, return_inverse=True, return_counts=True)
    parts = np.stack([values >> 12, values >> 6 & 63, values & 63], axis=1)
    numbers = np.zeros(len(values), np.uint8)
    for number in range(1, MOST_COLOURS + 1):
        most = int(left.argmax())
        alike = (np.abs(parts - parts[most]).max(axis=1) <= 1) & (left > 0)
        if left[alike].sum() < max(1, LEAST_SHARE * squares.size):
            break
        numbers[alike] = number
        left[alike] = 0
    colours = np.zeros(squares.shape, np.uint8)
    colours[is_flat] = numbers[inverse]
    return colours


def _exactness(squares: NDArray[np.int32], colours: NDArray[np.uint8]) -> float:
    """Return what part of the plain squares have the middle colour of those of their number."""
    plain = colours > 0
    parts = np.stack([squares[plain] >> shift & 0xFF for shift in (16, 8, 0)], axis=1)
    numbers = colours[plain]
    exact = 0
    for number in range(1, int(numbers.max(initial=0)) + 1):
        mine = parts[numbers == number]
        apart = np.abs(mine - np.median(mine, axis=0)).max(axis=1)
        exact += int(np.count_nonzero(apart <= EXACT))
    return exact / max(1, len(parts))


def _within_borders(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what is left without the lines at the sides that are all of one plain colour.

    A letterbox, or the empty end of a page, says nothing of what is beside it.
    """
    for _ in range(2):
        if not colours.size:
            return colours
        is_border = (colours == colours[:, :1]).all(axis=1) & (colours[:, 0] > 0)
        inner = np.flatnonzero(~is_border)
        colours = colours[inner[0] : inner[-1] + 1] if len(inner) else colours[:0]
        colours = colours.T
    return colours


def _straightness(colours: NDArray[np.uint8]) -> float:
    """Return what part of the edges of plain colours are in straight ones along the sides.

    Where an edge continues in the next line for `STEP_RUN` squares or more, it slopes or bends.
    """
    edges = straight = 0
    for lines in (colours, colours.T):
        edge = _edges(lines)
        edges += int(np.count_nonzero(edge))
        onward = np.pad(_run_lengths(edge), 1)
        back = np.pad(_run_lengths(edge[:, ::-1])[:, ::-1], 1)
        # Rows and columns of `onward` and `back` are one more than those of `edge`.
        row, first = np.nonzero((onward[1:-1, 1:-1] >= RUN) & (back[1:-1, 1:-1] == 1))
        lengths = onward[row + 1, first + 1]
        after, before = first + lengths + 1, first
        steps = (
            onward[row, after],
            onward[row + 2, after],
            back[row, before],
            back[row + 2, before],
        )
        is_bent = np.max(steps, axis=0) >= STEP_RUN
        straight += int(lengths[~is_bent].sum())
    return straight / edges if edges else 0.0


def _edges(lines: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where a plain colour ends between one row and the next."""
    ends: NDArray[np.bool_] = (lines[1:] != lines[:-1]) & ((lines[1:] > 0) | (lines[:-1] > 0))
    return ends


def _text(colours: NDArray[np.uint8]) -> float:
    """Return what part of the edges of plain colours are at what is thin and lies on one colour."""
    edges = thin = 0
    for lines in (colours, colours.T):
        edges += int(np.count_nonzero(_edges(lines)))
        for squares in range(1, THIN + 1):
            before, behind = lines[: -squares - 1], lines[squares + 1 :]
            is_thin = (before == behind) & (before > 0)
            for k in range(1, squares + 1):
                is_thin &= lines[k : k + len(before)] == 0
            is_long = np.zeros_like(is_thin)  # a speck that JPEG left is one square wide
            is_long[:, 1:] = is_thin[:, 1:] & is_thin[:, :-1]
            is_long[:, :-1] |= is_long[:, 1:]
            thin += 2 * int(np.count_nonzero(is_long))
    return thin / edges if edges else 0.0


def _run_lengths(marked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many are marked in each row from each place on, without a gap."""
    lengths = np.zeros((marked.shape[0], marked.shape[1] + 1), np.int64)
    for column in range(marked.shape[1] - 1, -1, -1):
        lengths[:, column] = np.where(marked[:, column], lengths[:, column + 1] + 1, 0)
    return lengths[:, :-1]


def _grown(marked: NDArray[np.bool_], squares: int) -> NDArray[np.bool_]:
    """Return what is marked, and what is so many squares above and below it."""
    grown = marked.copy()
    for step in range(1, squares + 1):
        grown[step:] |= marked[:-step]
        grown[:-step] |= marked[step:]
    return grown
