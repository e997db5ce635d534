"""Plots as plain shapes, and those as SVG: no script, no style, nothing fetched."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hashmatch.records.shares import Share

THEMES = {
    "light": {
        "ink": "#1c2329",
        "soft": "#55616c",
        "line": "#c6cdd4",
        "confirmed": "#1f5a96",
        "not_a_match": "#b35c00",
        "unsure": "#6b7680",
        "escalated": "#8a4a9c",
    },
    "dark": {
        "ink": "#e4e8ec",
        "soft": "#a5b0ba",
        "line": "#39434c",
        "confirmed": "#8fbdea",
        "not_a_match": "#f0ab72",
        "unsure": "#87929d",
        "escalated": "#d3a4e0",
    },
}
"""Colours by what they stand for; each has a contrast of 3 to 1 at least with the page's cards."""
WIDTHS = {"narrow": 300, "wide": 620}
"""Pixels of a plot on a phone, and elsewhere; text is as large on both."""
HEIGHT = 220
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 10, 40
ROW = 46
LETTER = 6.5
"""About as wide as a letter is, to know which labels have room."""


class Shape(NamedTuple):
    """A box, a line or a dot; of a dot, the radius is ``width``."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    colour: str


class Text(NamedTuple):
    """A label; ``anchor`` is start, middle or end."""

    x: float
    y: float
    text: str
    anchor: str = "middle"
    colour: str = "soft"


@dataclass(slots=True)
class Plot:
    """What a plot is made of, in pixels."""

    width: int
    height: int = HEIGHT
    shapes: list[Shape] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str) -> None:
        """Add a line."""
        self.shapes.append(Shape("line", x1, y1, x2 - x1, y2 - y1, colour))


def svg(plot: Plot, theme: Mapping[str, str], title: str = "") -> str:
    """Return a plot as SVG; with a `title`, one that is read out where it cannot be seen.

    Parameters
    ----------
    plot : Plot
        What to draw.
    theme : mapping of str to str
        One of `THEMES`, or colours that a page's style sheet names: ``var(--ink)``.
    title : str
        What the plot shows.
    """
    said = f' role="img" aria-label="{escape(title)}"' if title else ""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {plot.width} {plot.height}" '
        f'width="{plot.width}" height="{plot.height}" font-size="12" font-family="system-ui, '
        f"'Liberation Sans', 'DejaVu Sans', sans-serif\"{said}>"
    ]
    for one in plot.shapes:
        x, y, colour = round(one.x, 1), round(one.y, 1), theme[one.colour]
        if one.kind == "box":
            size = f'width="{round(one.width, 1)}" height="{round(one.height, 1)}"'
            lines.append(f'<rect x="{x}" y="{y}" {size} fill="{colour}"/>')
        elif one.kind == "dot":
            lines.append(f'<circle cx="{x}" cy="{y}" r="{one.width}" fill="{colour}"/>')
        else:
            end = f'x2="{round(one.x + one.width, 1)}" y2="{round(one.y + one.height, 1)}"'
            width = 1 if one.colour == "line" else 2
            lines.append(
                f'<line x1="{x}" y1="{y}" {end} stroke="{colour}" stroke-width="{width}"/>'
            )
    lines += [
        f'<text x="{round(text.x, 1)}" y="{round(text.y, 1)}" text-anchor="{text.anchor}" '
        f'fill="{theme[text.colour]}">{escape(text.text)}</text>'
        for text in plot.texts
    ]
    return "\n".join([*lines, "</svg>\n"])


def steps_to(most: float) -> list[int]:
    """Return about four round numbers from 0 to at least `most`.

    Examples
    --------
    >>> steps_to(37), steps_to(0), steps_to(3)
    ([0, 10, 20, 30, 40], [0, 1], [0, 1, 2, 3])
    """
    step = 1
    while most / step > 4:
        # 1, 2, 5, 10, 20, 50, ...
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return list(range(0, max(1, math.ceil(most / step)) * step + 1, step))


def bars(
    labels: Sequence[str], series: Sequence[tuple[str, Sequence[int]]], width: int, below: str
) -> Plot:
    """Return stacked bars over labels, of which as many are written as there is room for.

    Each of the series is a colour, and a count for each label; the first is at the bottom.
    """
    plot = Plot(width)
    totals = [sum(counts) for counts in zip(*(counts for _, counts in series), strict=True)]
    ticks = steps_to(max(totals, default=0))
    scale = _y_axis(plot, ticks, [f"{tick:,}" for tick in ticks])
    places = _x_axis(plot, labels, below)
    size = (width - LEFT - RIGHT) / max(1, len(labels)) * 0.75
    for place, x in enumerate(places):
        under = 0
        for colour, counts in series:
            if counts[place]:
                top, bottom = scale(under + counts[place]), scale(under)
                plot.shapes.append(Shape("box", x - size / 2, top, size, bottom - top, colour))
                under += counts[place]
    return plot


def whiskers(points: Sequence[tuple[int, Share]], width: int, below: str) -> Plot:
    """Return shares with their intervals over whole numbers, which ascend."""
    plot = Plot(width)
    scale = _y_axis(plot, [0, 25, 50, 75, 100], [f"{tick} %" for tick in (0, 25, 50, 75, 100)])
    first, last = points[0][0], points[-1][0]
    numbers = range(first, last + 1)
    places = _x_axis(plot, [str(number) for number in numbers], below)
    for number, share in points:
        x = places[number - first]
        plot.line(x, scale(100 * share.high), x, scale(100 * share.low), "confirmed")
        y = scale(100 * (share.value or 0.0))
        plot.shapes.append(Shape("dot", x, y, 4, 0, "confirmed"))
    return plot


def rows(named: Sequence[tuple[str, Share]], width: int, below: str) -> Plot:
    """Return shares with their intervals, one below the other under its name."""
    plot = Plot(width, ROW * len(named) + BOTTOM)
    left, right = 12.0, width - 20.0

    def x_of(share: float) -> float:
        return left + share * (right - left)

    for tick in (0, 25, 50, 75, 100):
        plot.line(x_of(tick / 100), 0, x_of(tick / 100), ROW * len(named), "line")
        plot.texts.append(Text(x_of(tick / 100), plot.height - 22, f"{tick} %"))
    plot.texts.append(Text((left + right) / 2, plot.height - 4, below))
    for number, (name, share) in enumerate(named):
        y = ROW * number + 30
        most = int((right - left) / LETTER)
        shown = name if len(name) <= most else name[: most - 1] + "…"
        plot.texts.append(Text(left, y - 12, shown, "start", "ink"))
        plot.line(x_of(share.low), y, x_of(share.high), y, "confirmed")
        plot.shapes.append(Shape("dot", x_of(share.value or 0.0), y, 5, 0, "confirmed"))
    return plot


def _y_axis(plot: Plot, ticks: Sequence[int], names: Sequence[str]) -> Callable[[float], float]:
    """Draw the lines; return what makes of a number its height."""
    bottom = plot.height - BOTTOM

    def scale(number: float) -> float:
        return bottom - number / ticks[-1] * (bottom - TOP)

    for tick, name in zip(ticks, names, strict=True):
        plot.line(LEFT, scale(tick), plot.width - RIGHT, scale(tick), "line")
        plot.texts.append(Text(LEFT - 6, scale(tick) + 4, name, "end"))
    return scale


def _x_axis(plot: Plot, labels: Sequence[str], below: str) -> list[float]:
    """Write the labels that have room; return the middle of the place of each."""
    size = (plot.width - LEFT - RIGHT) / max(1, len(labels))
    places = [LEFT + size * (number + 0.5) for number in range(len(labels))]
    longest = max(map(len, labels), default=0) * LETTER + 8
    every = max(1, math.ceil(longest / size))
    for number, (x, label) in enumerate(zip(places, labels, strict=True)):
        if (len(labels) - 1 - number) % every == 0:  # the last one always
            half = len(label) * LETTER / 2
            x = min(x, plot.width - half)  # noqa: PLW2901  (inside of the plot)
            plot.texts.append(Text(x, plot.height - BOTTOM + 16, label))
    plot.texts.append(Text((LEFT + plot.width - RIGHT) / 2, plot.height - 6, below))
    return places


class Estimate(NamedTuple):
    """A number above a place, and its interval; a `value` of 0 has an upper end only."""

    x: float
    value: float
    low: float
    high: float


def log_curve(
    points: Sequence[Estimate],
    fit: Sequence[tuple[float, float]],
    width: int,
    below: str,
    mark: float | None = None,
) -> Plot:
    """Return numbers with their intervals on a logarithmic axis, and a curve fitted to them.

    `fit` is places and values, which are above 0; `mark` a place that is pointed out.
    """
    plot = Plot(width)
    bottom, right = plot.height - BOTTOM, plot.width - RIGHT
    places = [one.x for one in points] + [x for x, _ in fit]
    first, last = min(places, default=0.0), max(places, default=1.0)
    values = [one.value for one in points] + [one.high for one in points] + [y for _, y in fit]
    logs = [math.log10(value) for value in values if value > 0] or [0.0]
    least, most = math.floor(min(logs)), max(math.floor(min(logs)) + 1, math.ceil(max(logs)))

    def at(x: float) -> float:
        return LEFT + (x - first) / max(1e-9, last - first) * (right - LEFT - 8) + 4

    def height(value: float) -> float:
        share = (math.log10(value) - least) / (most - least) if value > 0 else 0.0
        return bottom - max(0.0, share) * (bottom - TOP)

    every = max(1, -(-(most - least) // 6))
    for power in range(least, most + 1, every):
        y = height(10.0**power)
        plot.line(LEFT, y, right, y, "line")
        name = f"{10**power:,}" if 0 <= power < 4 else f"1e{power}"
        plot.texts.append(Text(LEFT - 6, y + 4, name, "end"))
    for tick in steps_to(last - first):
        if first + tick <= last:
            plot.texts.append(Text(at(first + tick), bottom + 16, f"{first + tick:g}"))
    plot.texts.append(Text((LEFT + right) / 2, plot.height - 6, below))
    if mark is not None and first <= mark <= last:
        plot.line(at(mark), TOP, at(mark), bottom, "soft")
    for (x, y), (after, then) in pairwise(fit):
        plot.line(at(x), height(y), at(after), height(then), "not_a_match")
    for one in points:
        x = at(one.x)
        plot.line(x, height(one.high), x, height(one.low), "confirmed" if one.value else "unsure")
        if one.value:
            plot.shapes.append(Shape("dot", x, height(one.value), 3, 0, "confirmed"))
    return plot
