"""Fields and times of a record from elsewhere: of the type they ought to be, or it is rejected."""

from __future__ import annotations

import csv
import math
import re
import shlex
from collections import deque
from datetime import UTC, datetime
from functools import lru_cache
from time import time as clock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from hashmatch import registry
from hashmatch.errors import ListError, RejectedRow
from hashmatch.interfaces import ROLES, ListRow, PlainRows, Span
from hashmatch.lists.readers._lines import shown
from hashmatch.records.hashes import INVISIBLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
    >>> said = seconds("2024-01-01")
    >>> round(said.end - said.begin)
    86400
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
    "blockhash8": "blockhash",
    "blockhash16": "blockhash",
    "tmkpdqf": "tmk",
    "videotmk": "tmk",
    "pdqvideo": "vpdq",
    "videopdq": "vpdq",
    "ssvhpdna": "ssvh",
    "ssvhsaferhash": "ssvh",
    "sha1base32": "sha1",
    "pdqocr": "pdq_ocr",
    "rawtext": "raw_text",
    "textstring": "raw_text",
    "texttlsh": "text_tlsh",
    "trendquery": "trend_query",
    "rawuri": "uri",
    "unclickableurl": "uri",
    "urlmd5": "url_md5",
    "debugstring": "text",
}
LONGEST_KIND = 10
"""Characters of the name of a kind that is not known; so few hold no hash."""
KINDS = {"photodna", *SYNONYMS.values()}
"""What they are called here."""


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


NOTHING = {"null", "none", "nan", "nat", "<na>", "n/a", "#n/a", "(null)", "\\n"}
"""What programs write for no value; as an id it would be that of many entries."""
EXCEL = re.compile(r'="(.*)"', re.DOTALL)
"""Text that a spreadsheet is not to take for a number."""
MOST_EXACT = 1 << 53
"""Whole numbers beyond are rounded where they are kept as floating point."""


def cell(value: str) -> str:
    """Return text of a field without signs of an empty value or around the text."""
    plain = value.strip() if value.isascii() else value.strip(INVISIBLE)
    if plain[:1] == "=" and (quoted := EXCEL.fullmatch(plain)):
        plain = quoted[1].strip(INVISIBLE)
    return "" if len(plain) < 7 and plain.lower() in NOTHING else plain


@lru_cache(maxsize=4096)  # records of a list have the same keys, a million times
def _key(keys: tuple[str, ...], key: str) -> str:
    """Return which of some keys is `key`, but for capitals and signs; itself if none is."""
    plain = letters(key)
    return next((other for other in keys if letters(other) == plain), key)


def field(record: dict[str, Any], key: str) -> Any:
    """Return the value at `key`, whatever its capitals; None if there is none."""
    if key not in record and len(record) < MOST_KEYS:
        key = _key(tuple(record), key)
    return record.get(key)


MOST_KEYS = 100
"""Of a record whose keys are looked at one by one."""


def text(record: dict[str, Any], key: str) -> str:
    """Return the text at `key`, which may be a number; empty if there is none."""
    return cell(text_of(key, field(record, key)))


def digits(record: dict[str, Any], key: str) -> str:
    """Return the hash at `key`, which is text: digits of numbers may be lost. Empty if none."""
    value = field(record, key)
    if isinstance(value, int) and not isinstance(value, bool):
        raise Unusable(
            f"{key} is a number, of which digits may be lost; write it as text, or say what it is "
            "(--encoding decimal or signed)"
        )
    return text(record, key)


def text_of(key: str, value: Any) -> str:
    """Return `value`, which is text or a number, as text; None is empty."""
    if type(value) is str and value.isascii():
        return value
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) < MOST_EXACT
        return str(int(value)) if whole else str(value)
    if not isinstance(value, str):
        raise Unusable(f"{key} is not text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # half of a surrogate pair
            raise Unusable(f"{key} is not text") from None
    return value


WHOLE = re.compile(r"([0-9]{1,9})(?:\.0{1,9}|,0{1,2})?")


def number(record: dict[str, Any], key: str) -> int | None:
    """Return the whole number at `key`, also written as 100.0; None if there is none."""
    return number_of(key, text(record, key))


def number_of(key: str, value: str) -> int | None:
    """Return the whole number that `value` is; None if it is empty."""
    value = value.strip()
    found = WHOLE.fullmatch(value)
    if value and not found:
        raise Unusable(f"{key} is not a number")
    return int(found[1]) if found else None


NAMED_BY_FLOAT = re.compile(r"(\d{1,15})(?:\.0+|,0{1,2})")
ROUNDED = re.compile(r"\d(?:[.,]\d+)?E\+\d{1,3}", re.IGNORECASE)


def id_of(key: str, value: str) -> str | None:
    """Return the id that `value` is, which may be a number written as 42.0; None if empty."""
    if ROUNDED.fullmatch(value):
        raise Unusable(f"{key} is a number that a spreadsheet has rounded; export it as text")
    found = NAMED_BY_FLOAT.fullmatch(value)
    return (found[1] if found else value) or None


DIVIDERS = re.compile("[;,|]")


def divided(key: str, value: Any) -> tuple[str, ...]:
    """Return the texts that `value` is: an array, of JSON or as a database prints it, or text.

    Only ``;``, ``,`` and ``|`` divide: what has blanks in it is one text of several words.
    """
    if isinstance(value, list):
        return tuple(text_of(key, item) for item in value if item is not None)
    whole = text_of(key, value)
    if whole[:1] + whole[-1:] not in {"[]", "{}"}:
        return texts(cell(part) for part in DIVIDERS.split(whole))
    quote = "'" if "'" in whole and '"' not in whole else '"'
    try:
        parts = next(csv.reader([whole[1:-1]], quotechar=quote, strict=True, skipinitialspace=True))
    except csv.Error:
        raise Unusable(f"{key} is not an array") from None
    except StopIteration:
        parts = []
    return texts(map(cell, parts))


def texts(values: Iterable[str]) -> tuple[str, ...]:
    """Return `values` without the empty and the repeated, in order."""
    return tuple(dict.fromkeys(value for value in values if value))


TRUTHS = {
    **dict.fromkeys(
        (
            "true",
            "t",
            "yes",
            "y",
            "1",
            "1.0",
            "oui",
            "ja",
            "sí",
            "sì",
            "si",
            "sim",
            "tak",
            "да",
            "是",
        ),
        True,
    ),
    **dict.fromkeys(
        ("", "false", "f", "no", "n", "0", "0.0", "non", "nein", "nee", "não", "nie", "нет", "否"),
        False,
    ),
}


def truth(record: dict[str, Any], key: str) -> bool:
    """Return the yes or no at `key`, which some write as text or a number."""
    value = field(record, key)
    answer = value if isinstance(value, bool) else None
    if isinstance(value, str | int | float | None):
        answer = TRUTHS.get((cell(str(value)) if value is not None else "").lower())
    if answer is None:
        raise Unusable(f"{key} is neither true nor false")
    return answer


def mapping(record: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the object at `key`; an empty one if there is none."""
    value = field(record, key)
    if value is not None and not isinstance(value, dict):
        raise Unusable(f"{key} is not an object")
    return value or {}


def objects(record: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the array of objects at `key`, itself or as ``{"data": [...]}``; empty if none."""
    value = field(record, key)
    if isinstance(value, dict):
        value = field(value, "data")
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Unusable(f"{key} is not an array of objects")
    return value


def time(record: dict[str, Any], key: str) -> Span | None:
    """Return the time at `key`; None if there is none."""
    return time_of(key, field(record, key), Dates())


def time_of(key: str, value: Any, dates: Dates) -> Span | None:
    """Return the time that `value` is, None if it is nothing."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = text_of(key, value)  # 20241231 is no number of seconds
    if isinstance(value, str):
        value = cell(value)
        found = OF_NET.fullmatch(value)
        value = found[1] if found else dates.iso(key, value)
    if value is None or NO_TIME.fullmatch(str(value)):
        return None
    if len(str(value)) < 20 and SERIAL.fullmatch(str(value)):
        raise Unusable(f"{key} is the number of a day, as spreadsheets count them; write its date")
    moment = seconds(value)
    if moment is None:
        raise Unusable(f"{key} is not a time")
    return moment


OF_NET = re.compile(r"/Date\((\d{12,13})(?:[+-]\d{4})?\)/", re.ASCII)
"""What .NET made of a time in JSON: milliseconds; the zone is where it was written."""
NO_TIME = re.compile(r"|0000-00-00([T ]00:00(:00(\.0+)?)?)?|-?infinity|never", re.IGNORECASE)
"""What databases and people have for no time."""
SERIAL = re.compile(r"[345]\d{4}(?:[.,]\d+)?", re.ASCII)
"""A day from 1982 to 2064, counted from 1900; in seconds since 1970 it were one in January then."""
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
ORDERS = {"dmy": "day, month, year", "mdy": "month, day, year"}
"""In which order dates may be that begin with neither a year nor the name of a month."""
WORD = r"(?:[a-z]{3,9},? )?"
CLOCK = (
    r"(?:[T ,]+(?P<hour>\d{1,2}):(?P<minute>\d\d)(?P<seconds>(?::\d\d(?:[.,]\d+)?)?)"
    r"\s*(?P<half>(?:[AP]\.?M\.?)?)\s*(?P<zone>.*))?"
)
DATES = [
    re.compile(date + CLOCK, re.IGNORECASE | re.ASCII)
    for date in (
        r"(?P<year>\d{4})([-/.])(?P<month>\d{1,2})\2(?P<day>\d{1,2})",
        r"(?P<year>(?:19|20)\d\d)(?P<month>\d\d)(?P<day>\d\d)(?:\.0+)?",
        r"(?P<first>\d{1,2})([-/.])(?P<second>\d{1,2})\2(?P<year>\d{4})",
        WORD
        + r"(?P<day>\d{1,2})[-/. ]{1,2}(?P<name>[a-z]{3})[a-z]{0,6}[-/., ]{1,2}(?P<year>\d{4})",
        WORD + r"(?P<name>[a-z]{3})[a-z]{0,6}\.? +(?P<day>\d{1,2}),? +(?P<year>\d{4})",
    )
]


COMPACT = re.compile(
    r"((?:19|20)\d\d)(\d\d)(\d\d)T?(\d\d)(\d\d)(\d\d(?:[.,]\d+)?)?(?:\.0)?\s*(Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
"""A day and a time in a row, which are no number of seconds before the year 5000."""


class Ambiguous(Unusable):
    """A date could be of two orders, and no other date shows which."""


class Dates:
    """Dates of one list as ISO 8601: their order is given, or the first unambiguous one shows it.

    Examples
    --------
    >>> dates = Dates()
    >>> dates.iso("updated", "31/12/2024 2:05 PM"), dates.iso("updated", "01/02/2024")
    ('2024-12-31T14:05', '2024-02-01')
    """

    def __init__(self, order: str | None = None) -> None:
        self.order = order
        self._is_told = order is not None

    def iso(self, key: str, text: str) -> str:
        """Return `text` in ISO 8601 if it is a date in one of the usual orders, else as it is.

        Raises
        ------
        Ambiguous
            If its order is not known yet.
        Unusable
            If it is in another order than the one that was given.
        ListError
            If it is in another than a date before it.
        """
        if ISO.fullmatch(text):
            return text
        if compact := COMPACT.fullmatch(text):
            year, month, day, hour, minute, rest, zone = compact.groups("")
            rest = f":{rest}" if rest else ""
            return f"{year}-{month}-{day}T{hour}:{minute}{rest}{zone}"
        found = next(filter(None, (pattern.fullmatch(text) for pattern in DATES)), None)
        if found is None:
            return text
        said = found.groupdict("")
        month, day = said.get("month", ""), said.get("day", "")
        if "first" in said:
            day, month = said["first"], said["second"]
            if self._order(key, int(day), int(month)) == "mdy":
                day, month = month, day
        elif "name" in said:
            if said["name"].lower() not in MONTHS:
                return text
            month = str(MONTHS.index(said["name"].lower()) + 1)
        return f"{said['year']}-{month:0>2}-{day:0>2}{_clock(said)}"

    def _order(self, key: str, first: int, second: int) -> str:
        """Return the order of a date that begins with these two numbers."""
        if first == second:
            return "dmy"
        clear = "dmy" if first > 12 else "mdy" if second > 12 else None
        if clear is None and self.order is None:
            raise Ambiguous(f"{key} may be day/month or month/day; write 2024-12-31")
        if clear is not None and self.order is None:
            self.order = clear
        elif clear not in {None, self.order}:
            told = f"{key} is not a date in the order {ORDERS[self.order or clear]}"
            if self._is_told:
                raise Unusable(told)
            raise ListError(
                f"cannot tell the order of dates: {told}, as others of this list are. Correct "
                "them, or say what their order is (--dates dmy or mdy)"
            )
        return self.order or clear or "dmy"


def _clock(said: dict[str, str]) -> str:
    """Return a time of the day, of 12 hours with AM and PM or of 24, in ISO 8601."""
    if not said["hour"]:
        return ""
    hour = int(said["hour"])
    if said["half"] and 1 <= hour <= 12:
        hour = hour % 12 + (12 if said["half"][0] in "pP" else 0)
    elif said["half"]:
        hour = 99  # which is no time
    return f"T{hour:02}:{said['minute']}{said['seconds']}{said['zone']}"


def letters(name: str) -> str:
    """Return the letters and digits of a name, in lower case."""
    return re.sub(r"[\W_]+", "", name).lower()


def _plain(name: str) -> str:
    plain = letters(name)
    return SYNONYMS.get(plain, plain.removeprefix("image"))


@lru_cache(maxsize=1024)  # a list has few names, a million times
def installed(name: str) -> str | None:
    """Return the installed algorithm that is meant by `name`, in any spelling, or None."""
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
        is_kept_apart = video and digests_files(known) and not known.startswith("video_")
        return f"video_{known}" if is_kept_apart else known
    is_name = plain in KINDS or 0 < len(plain) <= LONGEST_KIND
    return plain if is_name and plain.isascii() and shown(plain) == plain else "other"


def own_kind(name: str) -> str:
    """Return what we call a kind of hash that a platform's own file calls `name`."""
    plain = _plain(name)
    return installed(name) or (plain if plain in KINDS else name.lower())


def value_of(kind: str, value: str) -> str:
    """Return the hash to pass on: none of a kind that nobody can match here, such as PhotoDNA."""
    return value if registry.hashes(kind) else ""


def strings(record: dict[str, Any], key: str) -> list[str]:
    """Return the array of texts at `key`; empty if there is none."""
    value = field(record, key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unusable(f"{key} is not an array")
    return [text_of(key, item) for item in value]


def check(record: Any) -> None:
    """Raise Unusable if the record is no object."""
    if not isinstance(record, dict):
        raise Unusable("the record is not an object")


#: A column's or key's name, lower case, letters and digits only, and its role; the name of an
#: installed algorithm is one too.
KNOWN = {
    name: role
    for role, names in {
        "pdq": "pdqhash",
        "hash": "hash hashvalue signalstr",
        "algorithm": "algorithm hashtype signaltype type",
        "id": "id entry externalid imageid item",
        "filename": "filename filepath",
        "label": "label category classification",
        "labels": "labels tags",
        "sources": "source sources",
        "source": "collab",
        "status": "status entrystatus hashstatus itemstatus recordstatus",
        "state": "state action operation op changetype verdict "
        "statut état etat estado estatus situação situacao stato zustand stan durum статус "
        "состояние 状态 狀態 状態 상태",
        "deleted": "deleted isdeleted shoulddelete withdrawn iswithdrawn revoked isrevoked "
        "retracted isretracted expired isexpired disabled isdisabled inactive isinactive tombstone",
        "active": "active isactive enabled isenabled isvalid",
        "benign": "falsepositive isfalsepositive isbenign",
        "deleted_at": "deletedat deletedon datedeleted deletiondate withdrawnat withdrawnon "
        "datewithdrawn withdrawaldate revokedat revokedon daterevoked retractedat retractedon "
        "removedat removedon dateremoved disabledat",
        "expires": "expires expiresat expireson expiry expirydate expirationdate "
        "validuntil validto",
        "quality": "quality",
        "max_distance": "maxdistance maxhammingdistance distancethreshold",
        "updated": "updated updatedat updatedon lastupdated dateupdated lastmodified modifiedat "
        "modifiedon datemodified",
        "photodna": "photodna",
        "blockhash": "blockhash blockhash8 blockhash16",
    }.items()
    for name in names.split()
}

#: What python-threatexchange says of a hash as a whole; negative and disputed ones are kept out.
CATEGORIES = {"POSITIVE_CLASS", "NEGATIVE_CLASS", "DISPUTED", "INVESTIGATION_SEED"}
FLAGS = {"deleted": (True, "withdrawn"), "active": (False, "withdrawn"), "benign": (True, "benign")}
"""Roles of a yes or no, and which of them comes to which status."""
TIMES = "updated", "deleted_at", "expires"
STANDING = {"status", "state", "deleted_at", "expires", *FLAGS}
"""Roles that say whether an entry is still one, which are recognised whatever columns are named."""
UNTOLD = {"source", "tags", "filename", "state", "deleted_at", "expires", *FLAGS}
"""Roles of columns that cannot be given, as they are recognised by their name."""
FACTS = {*ROLES, *UNTOLD} - {"hash", "label", "labels", "source", "sources", "tags"}


@lru_cache(maxsize=1024)
def role(name: str) -> str | None:
    """Return the role of a column or key that no option names."""
    return KNOWN.get(letters(name)) or installed(name)


def is_of_hashes(role: str | None) -> bool:
    """Return whether a column or key of that role holds hashes."""
    return role is not None and (role == "hash" or role not in {*ROLES, *UNTOLD})


TOLD_AS = {"source": "sources", "tags": "labels", "filename": "id"}
"""Roles that are recognised, and the option to give in their place."""


def options(role: str, name: str, known: Iterable[tuple[str | None, str]]) -> str:
    """Return the options that name a role's column, and all others that may be given."""
    told = {role: name}
    for other, its_name in known:
        if other is not None and other not in STANDING:
            told.setdefault(TOLD_AS.get(other, other), its_name)
    return " ".join(f"--column {each}={shlex.quote(what)}" for each, what in told.items())


class Fields(NamedTuple):
    """What a record says: its line, and the role and value of each field.

    Text that is ``exact``, as of JSON, which has types, has no other meaning. Of hashes that are
    ``numbers`` no digit is lost.
    """

    line: int
    said: list[tuple[str, Any]]
    exact: bool = False
    numbers: bool = False


def rows(fields: Fields, dates: Dates) -> list[ListRow]:
    """Return a row for each hash in some fields.

    Of two of one role the first counts, but for labels, sources and hashes.
    """
    hashes: list[tuple[str | None, str]] = []
    told: dict[str, Any] = {}
    labels: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    flags: set[str] = set()
    for role, value in fields.said:
        if role == "labels":
            labels += divided(role, value)
        elif role == "sources":
            sources += divided(role, value)
        elif role == "tags":  # of python-threatexchange
            labels += tuple(text_of(role, value).split())
        elif role in FLAGS:
            if value is not None and value != "" and truth({role: value}, role) is FLAGS[role][0]:
                flags.add(FLAGS[role][1])
        elif role not in FACTS and role not in {"label", "source"}:
            read = text if fields.numbers else digits
            if written := read({role: value}, role):
                hashes.append((None if role == "hash" else role, written))
        elif role in {"id", "filename"}:
            name: str | None = text_of(role, value)
            if name and not (fields.exact and isinstance(value, str)):
                name = id_of(role, name)
            if name:
                told.setdefault(role, name)
        elif value := value if role in TIMES else text_of(role, value):
            if role == "label":
                labels += (value,)
            elif role == "source":
                sources += (value,)
            else:
                told.setdefault(role, value)
    quality = number_of("quality", told["quality"]) if "quality" in told else None
    distance = number_of("max_distance", told["max_distance"]) if "max_distance" in told else None
    times = {role: time_of(role, told[role], dates) for role in TIMES if role in told}
    said_at = {role: time for role, time in times.items() if time is not None}
    if "expires" in said_at and said_at["expires"].end > clock():
        del said_at["expires"]
    if any(time.begin > 0 for role, time in said_at.items() if role != "updated"):
        flags.add("withdrawn")
    updated = max(said_at.values(), default=None)
    external_id = told.get("id") or told.get("filename")
    said = max(flags, default=None) or told.get("status") or told.get("state")
    if not hashes and said is None:  # withdrawn entries often come without their hash
        raise Unusable("the hash is empty")
    status = said or next((one for one in labels if one in CATEGORIES), "active")
    found = []
    for column, value in hashes or [(None, "")]:
        named = column or told.get("algorithm")
        kind = own_kind(named) if named else None
        found.append(
            ListRow(
                fields.line,
                value if kind is None else value_of(kind, value),
                kind,
                external_id,
                labels,
                sources,
                status,
                quality,
                distance,
                updated,
            )
        )
    return found


MOST_WAITING = 64 << 20
"""Bytes, nearly, of records that wait for a date to tell in which order dates are."""


P = TypeVar("P", bound=PlainRows)


def dated(
    records: Iterable[Fields | P | RejectedRow], order: str | None
) -> Iterator[ListRow | P | RejectedRow]:
    """Yield the rows of records, those after a date of an unclear order when that is known.

    Plain rows are as they are: they are of a list without dates.

    Raises
    ------
    ListError
        If no date tells in which order they are, or two tell different ones.
    """
    dates = Dates(order)
    waiting: deque[Fields | RejectedRow] = deque()
    size = 0
    for record in records:
        if isinstance(record, PlainRows):
            yield record
            continue
        try:
            found = _rows_or_not(record, dates)
        except Ambiguous:
            found = None
        if not waiting and found is not None:
            yield from found
            continue
        waiting.append(record)
        size += 500 + (0 if isinstance(record, RejectedRow) else _size(record))
        if dates.order is not None:
            while waiting:
                yield from _rows_or_not(waiting.popleft(), dates)
            size = 0
        elif size > MOST_WAITING:
            break
    if waiting:
        raise ListError(
            f"line {waiting[0].line}: the dates of this list may be day/month or month/day, and "
            "none tells which. Say it (--dates dmy or mdy)"
        )


def _rows_or_not(record: Fields | RejectedRow, dates: Dates) -> list[ListRow] | list[RejectedRow]:
    if isinstance(record, RejectedRow):
        return [record]
    try:
        return rows(record, dates)
    except Ambiguous:
        raise
    except Unusable as error:
        return [RejectedRow(record.line, str(error))]
    except ListError as error:
        raise ListError(f"line {record.line}: {error}") from None


def _size(record: Fields) -> int:
    return sum(len(value) for _, value in record.said if isinstance(value, str))
