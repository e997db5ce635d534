"""Fields of a record from elsewhere: of the type they ought to be, or the record is rejected."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hashmatch.lists import times
from hashmatch.lists.lines import shown
from hashmatch.records.lists import RejectedRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hashmatch.interfaces import ListRow
    from hashmatch.lists.json_records import Page

#: What exchanges call a kind of hash, letters and digits only, where we call it otherwise.
ALGORITHMS = {
    "pdna": "photodna",
    "photodnav1": "photodna",
    "tmkpdqf": "tmk",
    "videotmk": "tmk",
    "pdqvideo": "vpdq",
    "videopdq": "vpdq",
    "imagepdq": "pdq",
    "imagemd5": "md5",
    "videomd5": "video_md5",
    "videosha1": "video_sha1",
    "videosha256": "video_sha256",
    "ssvhpdna": "ssvh",
    "ssvhsaferhash": "ssvh",
    "sha1base32": "sha1",
}

#: Kinds that digest a file, so that of a video they are another kind: no picture has them. A PDQ
#: hash is always of a picture, if only of a video's frame.
OF_FILES = {"md5", "sha1", "sha256"}

#: Kinds whose values are passed on; those of all others are not even looked at.
MATCHABLE = {"pdq", "md5", "sha1", "sha256"}


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


def time(record: dict[str, Any], key: str) -> float | None:
    """Return the time at `key` in seconds since 1970 UTC; None if there is none."""
    value = record.get(key)
    if value is None or value == "":
        return None
    moment = times.seconds(value)
    if moment is None:
        raise Unusable(f"{key} is not a time")
    return moment


@lru_cache(maxsize=1024)  # a list has few names, a million times
def algorithm(name: str, *, video: bool = False) -> str:
    """Return what we call a kind of hash that an exchange calls `name`.

    Kinds that nobody can match are named too, so that they can be counted; ``other`` is what
    could be anything.
    """
    plain = re.sub(r"[\W_]+", "", name).lower()
    known = ALGORITHMS.get(plain, plain)
    if video and known in OF_FILES:
        known = f"video_{known}"
    return known if known and known.isascii() and shown(known) == known else "other"


def is_photodna(name: str | None) -> bool:
    """Return whether `name` is one of PhotoDNA's, whose values are never kept."""
    return name is not None and algorithm(name) == "photodna"


def value_of(kind: str, value: str) -> str:
    """Return the hash to pass on: none of a kind that cannot be matched, such as PhotoDNA."""
    return value if kind in MATCHABLE else ""


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


def miscounted(page: Page) -> Iterator[RejectedRow]:
    """Yield a rejection if the page states another ``count`` of records than it has.

    Some exchanges state how many there are on all pages: a page that names a next or a previous
    one may state more than it has.
    """
    stated = page.fields.get("count")
    if page.records is None or not isinstance(stated, int) or isinstance(stated, bool):
        return
    others = ("next", "previous", "hasMoreRecords", "nextPageToken")
    if stated == page.records:
        return
    if stated > page.records and any(page.fields.get(key) for key in others):
        return
    yield RejectedRow(page.line, f"the page says {stated:,} records and has {page.records:,}")
