"""How a moment is written, ISO 8601 in UTC, and how a length of time is: 90s, 36h or 30d."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
"""Of the units of a length of time."""


def timestamp(moment: datetime, timespec: str = "seconds") -> str:
    """Return a moment as text.

    Parameters
    ----------
    moment : datetime
        In any zone.
    timespec : {"seconds", "milliseconds", "auto"}
        What it is cut off to; with ``"auto"`` nothing is lost.

    Returns
    -------
    str
        In UTC, with a ``Z`` at its end.

    Examples
    --------
    >>> from datetime import datetime
    >>> timestamp(datetime(2026, 1, 31, 12, 0, 0, 999_999, UTC))
    '2026-01-31T12:00:00Z'
    """
    return moment.astimezone(UTC).isoformat(timespec=timespec).removesuffix("+00:00") + "Z"


def format_duration(time: timedelta) -> str:
    """Return a length of time as options of commands take it.

    Parameters
    ----------
    time : timedelta
        Parts of a second are left out.

    Returns
    -------
    str
        A whole number and a unit, the largest but weeks.

    Examples
    --------
    >>> from datetime import timedelta
    >>> format_duration(timedelta(days=1, hours=12)), format_duration(timedelta(days=30))
    ('36h', '30d')
    """
    seconds = int(time.total_seconds())
    unit = next((u for u in "dhm" if seconds and seconds % SECONDS[u] == 0), "s")
    return f"{seconds // SECONDS[unit]}{unit}"
