"""How a time is written: ISO 8601, in UTC."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


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
