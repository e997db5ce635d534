"""When a list's owner said something, in the ways that lists write it."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

# A day, or a day and a time with a zone or without; Python's own parser takes more than this.
ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9})\d*)?\s*"
    r"(Z|z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
NUMBER = re.compile(r"\d{1,16}(\.\d{1,9})?", re.ASCII)

#: Seconds from 1970 to the year 10000: numbers beyond are milliseconds.
END = 253_402_300_800


def seconds(value: object) -> float | None:
    """Return seconds since 1970 UTC; None if `value` is no time.

    Parameters
    ----------
    value : object
        ISO 8601 text, in UTC unless it names a zone (NCMEC's client of the threatexchange package
        wrote local times with a Z), or seconds or milliseconds since 1970, as a number or text.

    Examples
    --------
    >>> seconds("2024-01-01T00:00:00+0000") == seconds("2024-01-01") == seconds(1704067200)
    True
    """
    if isinstance(value, str):
        text = value.strip()
        if not NUMBER.fullmatch(text):
            return _of_text(text)
        value = float(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or not 0 <= value < END * 1000:
        return None
    return float(value) if value < END else value / 1000


def _of_text(text: str) -> float | None:
    parts = ISO.fullmatch(text)
    if parts is None:
        return None
    day, time, fraction, zone = parts.groups()
    zone = "" if zone is None or zone.upper() in {"Z", "UTC", "GMT"} else zone
    try:
        # Six digits, as Python 3.11 counts in microseconds.
        moment = datetime.fromisoformat(
            f"{day}T{time or '00:00'}{f'.{fraction:0<6.6}' if _exact(time, fraction) else ''}{zone}"
        )
        since = (moment if zone else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return since if since >= 0 else None  # no list is older than that: a slip


def _exact(time: str | None, fraction: str | None) -> bool:
    """Return whether there is a fraction of a second to read: of a minute there is none."""
    return fraction is not None and time is not None and time.count(":") == 2
