"""Text and times in the form that both databases keep.

PostgreSQL has no character 0, and neither database half a character. Times are whole microseconds
since 1970, UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from hashmatch.errors import ReviewError, UsageError

LONGEST_NAME = 100
"""Characters of a reviewer's name."""
LONGEST_TEXT = 10_000
"""Characters of a reason."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
"""Microseconds."""
_NOT_STORABLE = re.compile("[\0\ud800-\udfff]")


def check_person(name: str) -> None:
    """Raise UsageError unless this is a name for somebody."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(
            f"cannot use this as a reviewer's name: it needs 1 to {LONGEST_NAME} printable "
            "characters"
        )


def is_same_person(one: str, other: str) -> bool:
    """Return whether two names are of one person, as far as names tell."""
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()


def check_text(what: str, text: str) -> None:
    """Raise ReviewError unless a text can be kept."""
    if len(text) > LONGEST_TEXT:
        raise ReviewError(f"cannot keep {what}: it has more than {LONGEST_TEXT:,} characters")
    if not is_storable(text):
        raise ReviewError(f"cannot keep {what}: it has characters that databases do not keep")


def is_storable(text: str) -> bool:
    """Return whether a text can be kept as it is."""
    return _NOT_STORABLE.search(text) is None


@lru_cache(maxsize=4096)
def storable(text: str) -> str:
    """Return a text that only tells people something, as it can be kept."""
    if is_storable(text):
        return text
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def utc_now() -> datetime:
    """Return the time now."""
    return datetime.now(UTC)


def micros(time: datetime | timedelta) -> int:
    """Return microseconds since 1970, or of a span of time."""
    span = time - EPOCH if isinstance(time, datetime) else time
    return span // timedelta(microseconds=1)


def moment(number: int) -> datetime:
    """Return the time that is `number` microseconds after 1970."""
    return EPOCH + timedelta(microseconds=number)
