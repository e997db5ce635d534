"""The statistics page and its plots."""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from starlette.responses import Response

from hashmatch._plots.plots import THEMES, WIDTHS, Plot, bars, rows, svg, whiskers
from hashmatch.records.cases import Verdict
from hashmatch.review.web.threads import RETRY_AFTER

if TYPE_CHECKING:
    from hashmatch.records.shares import Precision
    from hashmatch.review.stats import Statistics
    from hashmatch.review.web.context import Context
    from hashmatch.review.web.request import PageRequest

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
    return Response(svg(drawn, theme), media_type="image/svg+xml")


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
