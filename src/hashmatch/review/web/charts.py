"""The statistics page and its plots.

Plots are plain shapes, which a template writes as SVG: no script, no style, nothing fetched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import Response

from hashmatch.records.cases import Verdict
from hashmatch.review.web.threads import RETRY_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hashmatch.review.stats import Precision, Share, Statistics
    from hashmatch.review.web.context import Context
    from hashmatch.review.web.request import PageRequest

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
DAYS = 30
"""Days that are shown."""


def statistics(context: Context, request: PageRequest) -> Response:
    """Show the statistics: each plot with a table of the same beside it."""
    figures = context.statistics.get()
    if figures is None:
        return _not_yet(context, request)
    return context.page(
        "statistics.html",
        request.session,
        figures=figures,
        ages=_ages(figures),
        days=_days(figures)[::-1],
        verdicts=list(Verdict),
        lists=[one for one in figures.precision if one.distance is None],
        by_distance=_by_distance(figures),
    )


def plot(context: Context, request: PageRequest) -> Response:
    """Draw one of them."""
    figures = context.statistics.get(same=True)
    if figures is None:
        return _not_yet(context, request)
    width = WIDTHS.get(request.http.query_params.get("size", ""), WIDTHS["wide"])
    theme = THEMES.get(request.http.query_params.get("theme", ""), THEMES["light"])
    drawn = _drawn(figures, str(request.http.path_params["name"]), width)
    if drawn is None:
        return context.error_page("There is no such plot.", request.session, 404)
    text = context.templates.get_template("plot.svg").render(plot=drawn, theme=theme)
    return Response(text, media_type="image/svg+xml")


def _not_yet(context: Context, request: PageRequest) -> Response:
    """Let the browser ask again: a large queue takes longer to count than anybody may wait."""
    text = "The queue is being counted. This page comes by itself when that is done."
    answer = context.error_page(text, request.session, 503)
    answer.headers["retry-after"] = answer.headers["refresh"] = str(RETRY_AFTER)
    return answer


def _drawn(figures: Statistics, name: str, width: int) -> Plot | None:
    if name == "ages":
        labels, counts = zip(*_ages(figures), strict=True)
        return bars(labels, [("confirmed", counts)], width, "how long cases have waited")
    if name == "days":
        days = _days(figures)
        series = [(verdict.value, [day[verdict] for _, day in days]) for verdict in Verdict]
        labels = tuple(day[5:] for day, _ in days)
        return bars(labels, series, width, "month and day, UTC")
    if name == "lists":
        named = [
            (f"{one.list} ({one.algorithm})", one.share)
            for one in figures.precision
            if one.distance is None
        ]
        return rows(named, width, "confirmed") if named else None
    if name == "agreement":
        share = figures.agreement
        return rows([("cases", share)], width, "both said the same") if share.whole else None
    kind, _, number = name.partition("-")
    groups = _by_distance(figures)
    if kind != "distances" or not number.isdecimal() or int(number) >= len(groups):
        return None
    points = [(one.distance or 0, one.share) for one in groups[int(number)]]
    return whiskers(points, width, f"distance in bits of {groups[int(number)][0].algorithm}")


def _ages(figures: Statistics) -> list[tuple[str, int]]:
    """Return how many wait by how long, each up to a time."""
    names = {timedelta(hours=1): "1 h", timedelta(hours=4): "4 h", timedelta(hours=12): "12 h"}
    last = max(age for age, _ in figures.ages if age is not None)
    return [
        (names.get(age, f"{age.days} d") if age is not None else f"> {last.days} d", count)
        for age, count in figures.ages
    ]


def _days(figures: Statistics) -> list[tuple[str, dict[Verdict, int]]]:
    """Return what was decided on each of the last days, those without a decision too."""
    today = figures.at.date()
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    return [
        (day.isoformat(), dict.fromkeys(Verdict, 0) | dict(figures.decisions.get(day, {})))
        for day in days
    ]


def _by_distance(figures: Statistics) -> list[list[Precision]]:
    """Return the figures of each list and algorithm, by distance."""
    known = [one for one in figures.precision if one.distance is not None]
    return [list(group) for _, group in groupby(known, lambda one: (one.list, one.algorithm))]


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
