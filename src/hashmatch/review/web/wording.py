"""Texts and number formats of the page: a match is a question, and nothing accuses anybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from hashmatch.records.cases import Verdict
from hashmatch.records.controls import escape_controls
from hashmatch.review.web.film_strip import moments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

VERDICTS = {
    Verdict.CONFIRMED: "Confirmed",
    Verdict.NOT_A_MATCH: "Not a match",
    Verdict.UNSURE: "Unsure",
    Verdict.ESCALATED: "Escalated",
}
MEANINGS = {
    Verdict.CONFIRMED: "it is what the list says it is",
    Verdict.NOT_A_MATCH: "it is something else",
    Verdict.UNSURE: "I cannot tell",
    Verdict.ESCALATED: "somebody else should decide",
}
STATES = {
    "pending_review": "waiting",
    "in_review": "being looked at",
    "confirmed": "confirmed",
    "not_a_match": "not a match",
    "unsure": "unsure",
    "escalated": "escalated",
}
SURFACES = {
    "profile_photo": "profile photo",
    "group_photo": "group photo",
    "user_report": "user report",
    "public_post": "public post",
}
SETTERS = {
    "entry": "set by the entry itself",
    "list": "set by the list",
    "caller": "set by whoever ran the scan",
    "algorithm": "the algorithm's own",
}
UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def span(duration: timedelta | float) -> str:
    """Return a length of time in its largest unit.

    Examples
    --------
    >>> span(7300), span(timedelta(seconds=1)), span(0.2)
    ('2 hours', '1 second', 'less than a second')
    """
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    for size, name in UNITS:
        if seconds >= size:
            count = int(seconds // size)
            return f"{count:,} {name}{'' if count == 1 else 's'}"
    return "less than a second"


def moment(at: datetime) -> str:
    """Return a time for people, in UTC, to the minute.

    Examples
    --------
    >>> moment(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02 03:04 UTC'
    """
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def stamp(at: datetime) -> str:
    """Return a time for the attribute ``datetime``."""
    return at.astimezone(UTC).isoformat(timespec="seconds")


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "record"), counted(1200, "entry", "entries")
    ('1 record', '1,200 entries')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def percent(share: float) -> str:
    """Return a share of 1 as a percentage.

    Examples
    --------
    >>> percent(0.987)
    '98.7 %'
    """
    return f"{100 * share:.1f} %"


def clock(seconds: float) -> str:
    """Return a time in a video.

    Examples
    --------
    >>> clock(7.25), clock(3725)
    ('0:07', '1:02:05')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _named(words: dict[Any, str]) -> Callable[[Any], str]:
    return lambda value: words.get(value, str(value).replace("_", " "))


def isolated(value: str | Iterable[str]) -> Markup:
    r"""Return text, or several, in elements that keep its direction from what is beside it.

    Examples
    --------
    >>> isolated(["a<b", "c\u2069"])
    Markup('<bdi>a&lt;b</bdi>, <bdi>c\\u2069</bdi>')
    """
    if not isinstance(value, str):
        return Markup(", ").join(map(isolated, value))
    return Markup("<bdi>{}</bdi>").format(visible(value))


def visible(value: Any) -> Any:
    """Return what a template writes: of text, characters that would steer it are written out."""
    return escape_controls(value, keep="\n\t") if type(value) is str else value


FILTERS: dict[str, Callable[..., Any]] = {
    "verdict": _named(VERDICTS),
    "meaning": _named(MEANINGS),
    "state": _named(STATES),
    "surface": _named(SURFACES),
    "setter": _named(SETTERS),
    "span": span,
    "moment": moment,
    "stamp": stamp,
    "counted": counted,
    "percent": percent,
    "clock": clock,
    "moments": moments,
    "bdi": isolated,
}
