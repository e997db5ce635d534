"""Fields and times of a record from elsewhere: of the type they ought to be, or it is rejected."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hashmatch import registry
from hashmatch.errors import RejectedRow
from hashmatch.interfaces import Span
from hashmatch.lists.readers._lines import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hashmatch.interfaces import ListRow

# A day, or a day and a time with a zone or without; Python's own parser takes more than this.
ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9})\d*)?\s*"
    r"(Z|z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
NUMBER = re.compile(r"\d{1,16}(\.\d{1,9})?", re.ASCII)

#: Seconds from 1970 to the year 10000: numbers beyond are milliseconds.
END = 253_402_300_800
DAY, MINUTE = 86400, 60


def seconds(value: object) -> Span | None:
    """Return when it was, to the day, minute or second as it is written; None if it is no time.

    It is ISO 8601 text, in UTC unless it names a zone (NCMEC's client of the threatexchange package
    wrote local times with a Z), or seconds or milliseconds since 1970, as a number or text.

    Examples
    --------
    >>> seconds("2024-01-01T00:00:00+0000") == seconds(1704067200)
    True
    >>> seconds("2024-01-01").end - seconds("2024-01-01").begin
    86400.0
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
    if value >= END:
        return Span.lasting(value / 1000, 0)
    return Span.lasting(float(value), 1 if value == int(value) else 0)


def _of_text(text: str) -> Span | None:
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
    if since < 0:
        return None  # no list is older than that: a slip
    if time is None:
        return Span.lasting(since, DAY)
    if time.count(":") == 1:
        return Span.lasting(since, MINUTE)
    return Span.lasting(since, 0 if fraction else 1)


def _exact(time: str | None, fraction: str | None) -> bool:
    """Return whether there is a fraction of a second to read: of a minute there is none."""
    return fraction is not None and time is not None and time.count(":") == 2


#: What exchanges call a kind of hash, letters and digits only, where nobody would guess it.
SYNONYMS = {
    "pdna": "photodna",
    "photodnav1": "photodna",
    "tmkpdqf": "tmk",
    "videotmk": "tmk",
    "pdqvideo": "vpdq",
    "videopdq": "vpdq",
    "ssvhpdna": "ssvh",
    "ssvhsaferhash": "ssvh",
    "sha1base32": "sha1",
}


class Unusable(Exception):
    """A field is not what it ought to be; the message names the field, never its value."""


def usable(
    line: int, make: Callable[[int, Any], Iterable[ListRow]], record: Any
) -> Iterator[ListRow | RejectedRow]:
    """Yield the rows that `make` finds in the record at `line`, or why there are none."""
    try:
        yield from list(make(line, record))
    except Unusable as error:
        yield RejectedRow(line, str(error))


def text(record: dict[str, Any], key: str) -> str:
    """Return the text at `key`, which may be a whole number; empty if there is none."""
    value = record.get(key)
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise Unusable(f"{key} is not text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # half of a surrogate pair
            raise Unusable(f"{key} is not text") from None
    return value.strip()


def texts(values: Iterable[str]) -> tuple[str, ...]:
    """Return `values` without the empty and the repeated, in order."""
    return tuple(dict.fromkeys(value for value in values if value))


def truth(record: dict[str, Any], key: str) -> bool:
    """Return the yes or no at `key`, which some write as text or a number."""
    value = record.get(key)
    known = {"": False, "true": True, "false": False, "1": True, "0": False, "none": False}
    answer = known.get(str(value).strip().lower() if isinstance(value, str | int) else "")
    if answer is None or not isinstance(value, str | int | None):
        raise Unusable(f"{key} is neither true nor false")
    return answer


def mapping(record: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the object at `key`; an empty one if there is none."""
    value = record.get(key)
    if value is not None and not isinstance(value, dict):
        raise Unusable(f"{key} is not an object")
    return value or {}


def objects(record: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the array of objects at `key`, itself or as ``{"data": [...]}``; empty if none."""
    value = record.get(key)
    if isinstance(value, dict):
        value = value.get("data")
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Unusable(f"{key} is not an array of objects")
    return value


def time(record: dict[str, Any], key: str) -> Span | None:
    """Return the time at `key`; None if there is none."""
    value = record.get(key)
    if value is None or value == "":
        return None
    moment = seconds(value)
    if moment is None:
        raise Unusable(f"{key} is not a time")
    return moment


def letters(name: str) -> str:
    """Return the letters and digits of a name, in lower case."""
    return re.sub(r"[\W_]+", "", name).lower()


def _plain(name: str) -> str:
    plain = letters(name)
    return SYNONYMS.get(plain, plain.removeprefix("image"))


@lru_cache(maxsize=1024)  # a list has few names, a million times
def installed(name: str) -> str | None:
    """Return the installed algorithm that is meant by `name`, whoever writes it how, or None."""
    names = registry.names(registry.HASHERS)
    if name in names:
        return name
    plain = _plain(name)
    return next((each for each in names if letters(each) == plain), None)


def digests_files(algorithm: str) -> bool:
    """Return whether its hashes are of files: those of videos are then another kind of hash.

    A hash of pixels is always of a picture, if only of a video's frame.
    """
    return registry.hasher(algorithm).reads == "bytes"


@lru_cache(maxsize=1024)
def algorithm(name: str, *, video: bool = False) -> str:
    """Return what we call a kind of hash that an exchange calls `name`.

    Kinds that nobody can match are named too, so that they can be counted; ``other`` is what
    could be anything.
    """
    known, plain = installed(name), _plain(name)
    if known is None and plain.startswith("video"):
        known, video = installed(plain.removeprefix("video")), True
        known = known if known and digests_files(known) else None
    if known is not None:
        return f"video_{known}" if video and digests_files(known) else known
    return plain if plain and plain.isascii() and shown(plain) == plain else "other"


def own_kind(name: str) -> str:
    """Return what we call a kind of hash that a platform's own file calls `name`."""
    known = installed(name) or name.lower()
    return "photodna" if _plain(known) == "photodna" else known


def value_of(kind: str, value: str) -> str:
    """Return the hash to pass on: none of a kind that nobody can match here, such as PhotoDNA."""
    return value if registry.hashes(kind) else ""


def strings(record: dict[str, Any], key: str) -> list[str]:
    """Return the array of texts at `key`; empty if there is none."""
    value = record.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unusable(f"{key} is not an array")
    return [text({key: item}, key) for item in value]


def check(record: Any) -> None:
    """Raise Unusable if the record is no object."""
    if not isinstance(record, dict):
        raise Unusable("the record is not an object")
