"""Times in a review queue: whole microseconds since 1970, UTC, exact in both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000


def utc() -> datetime:
    """Return the time now."""
    return datetime.now(UTC)


def micros(time: datetime | timedelta) -> int:
    """Return microseconds since 1970, or of a span of time."""
    span = time - EPOCH if isinstance(time, datetime) else time
    return span // timedelta(microseconds=1)


def moment(number: int) -> datetime:
    """Return the time that is `number` microseconds after 1970."""
    return EPOCH + timedelta(microseconds=number)
