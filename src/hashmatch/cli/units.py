"""Durations, byte rates and moments: as options take them, and as commands say them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
BYTES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
LONGEST = timedelta(days=100_000)
"""What is added to a date has to stay one."""


def parse_duration(text: str) -> timedelta:
    """Return a length of time from a whole number and s, m, h, d or w: less than 100,000 days.

    ValueError says how one is given.

    Examples
    --------
    >>> parse_duration("36h"), format_duration(parse_duration("36h"))
    (datetime.timedelta(days=1, seconds=43200), '36h')
    """
    found = re.fullmatch(r"(\d{1,10})([smhdw])", text, re.ASCII)
    seconds = int(found[1]) * SECONDS[found[2]] if found is not None else None
    if seconds is None or seconds >= LONGEST.total_seconds():
        raise ValueError(f"{text!r} is no time; give it as 90s, 10m, 36h, 30d or 2w")
    return timedelta(seconds=seconds)


def format_duration(time: timedelta) -> str:
    """Return a length of time as `parse_duration` takes it, in the largest unit but weeks."""
    seconds = int(time.total_seconds())
    unit = next((u for u in "dhm" if seconds and seconds % SECONDS[u] == 0), "s")
    return f"{seconds // SECONDS[unit]}{unit}"


def parse_rate(text: str) -> float:
    """Return a rate in bytes a second, at least 1; k, M and G stand for powers of a thousand.

    ValueError says how one is given.

    Examples
    --------
    >>> parse_rate("500k"), parse_rate("1.5G")
    (500000.0, 1500000000.0)
    """
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([kMG]?)", text, re.ASCII)
    rate = float(found[1]) * BYTES[found[2]] if found is not None else 0.0
    if rate < 1:
        raise ValueError(f"{text!r} is no rate; give bytes a second as 500k, 10M or 1.5G")
    return rate


def parse_moment(text: str) -> datetime:
    """Return a moment from ISO 8601, in UTC if no zone is given; ValueError says how one is.

    Examples
    --------
    >>> parse_moment("2026-01-31")
    datetime.datetime(2026, 1, 31, 0, 0, tzinfo=datetime.timezone.utc)
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; give 2026-01-31, or with T12:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def format_moment(time: datetime) -> str:
    """Return a moment for people, in UTC, to the second.

    Examples
    --------
    >>> format_moment(parse_moment("2026-01-31T12:00+01:00"))
    '2026-01-31 11:00:00 UTC'
    """
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


class Unit(click.ParamType):  # type: ignore[type-arg]
    """An option that is read by one of the functions above; `name` stands after it in the help."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name, self._parse = name, parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return what `value` means; a default may be that already."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _some_time(text: str) -> timedelta:
    time = parse_duration(text)
    if not time:
        raise ValueError(f"{text!r} is no time at all; give at least 1s")
    return time


DURATION = Unit("time", parse_duration)
SOME_TIME = Unit("time", _some_time)
"""A duration longer than nothing."""
RATE = Unit("rate", parse_rate)
MOMENT = Unit("time", parse_moment)
