"""Text as both databases keep it: PostgreSQL has no character 0, neither has half a character.

Times in a review queue: whole microseconds since 1970, UTC, exact in both databases.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from hashmatch.errors import ReviewError, UsageError

_UNKEEPABLE = re.compile("[\0\ud800-\udfff]")
LONGEST_NAME = 100
LONGEST = 10_000
"""Characters of a reason."""


def named(person: str) -> None:
    """Raise UsageError unless this is a name for somebody."""
    if not person.strip() or len(person) > LONGEST_NAME or not person.isprintable():
        raise UsageError(f"a reviewer has a name of 1 to {LONGEST_NAME} printable characters")


def check_text(what: str, text: str) -> None:
    """Raise ReviewError unless a text can be kept."""
    if len(text) > LONGEST:
        raise ReviewError(f"{what} has at most {LONGEST:,} characters")
    if not is_keepable(text):
        raise ReviewError(f"{what} has characters that cannot be kept")


def is_keepable(text: str) -> bool:
    """Return whether a text can be kept as it is."""
    return _UNKEEPABLE.search(text) is None


@lru_cache(maxsize=4096)
def keepable(text: str) -> str:
    """Return a text that only tells people something, as it can be kept."""
    if is_keepable(text):
        return text
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


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
