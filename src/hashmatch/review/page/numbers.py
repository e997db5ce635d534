"""Statistics: how long cases wait, what was decided, and how often lists turned out to be right."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from starlette.responses import Response

from hashmatch.records.decisions import Verdict
from hashmatch.review.page.plots import THEMES, WIDTHS, bars, rows, whiskers

if TYPE_CHECKING:
    from hashmatch.review.page.place import Place
    from hashmatch.review.page.plots import Plot
    from hashmatch.review.page.visits import Visit
    from hashmatch.review.queue import ReviewQueue
    from hashmatch.review.statistics import Precision, Statistics

DAYS = 30
"""Days that are shown."""
KEPT = 20.0
"""Seconds for which figures are good: a page asks for them once for itself and for each plot."""


class Figures:
    """The figures of a queue, counted anew only every now and then: that goes through all of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: tuple[float, Statistics] | None = None

    def of(self, queue: ReviewQueue, *, fresh: bool) -> Statistics:
        """Return them; `fresh` is what a page asks for, its plots are of the same."""
        with self._lock:
            now = time.monotonic()
            if self._latest is None or (fresh and now - self._latest[0] > KEPT):
                self._latest = (now, queue.statistics())
            return self._latest[1]


def statistics(place: Place, visit: Visit) -> Response:
    """Show the figures: each plot with a table of the same beside it."""
    figures = place.figures.of(place.queue, fresh=True)
    return place.page(
        "statistics.html",
        visit.session,
        figures=figures,
        ages=_ages(figures),
        days=_days(figures)[::-1],
        verdicts=list(Verdict),
        lists=[one for one in figures.precision if one.distance is None],
        by_distance=_by_distance(figures),
    )


def plot(place: Place, visit: Visit) -> Response:
    """Draw one of them."""
    figures = place.figures.of(place.queue, fresh=False)
    width = WIDTHS.get(visit.request.query_params.get("size", ""), WIDTHS["wide"])
    theme = THEMES.get(visit.request.query_params.get("theme", ""), THEMES["light"])
    drawn = _drawn(figures, str(visit.request.path_params["name"]), width)
    if drawn is None:
        return place.sorry("There is no such plot.", visit.session, 404)
    text = place.templates.get_template("plot.svg").render(plot=drawn, theme=theme)
    return Response(text, media_type="image/svg+xml")


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
