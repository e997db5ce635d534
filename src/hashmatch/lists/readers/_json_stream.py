"""The records of JSON pages, one by one in bounded memory, each good or bad by itself.

A page is an object with an array of records among its other keys; a file may hold several pages,
one after the other. Parsers of whole documents hold all of it, and streaming ones end at the first
error. Here a regular expression finds where each record ends, at some nanoseconds a byte, and
Python's JSON parser reads it. A bad record costs itself alone: the search continues at the next
place where a record may begin. The naive way is::

    for page in pages:
        yield from json.loads(page)["data"]

Records are strict JSON: no NaN, no repeated keys, no endless numbers, which Python lets pass.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from hashmatch.errors import ListError, RejectedRow, RowsMissing
from hashmatch.lists.readers._fields import Unusable, number, usable
from hashmatch.lists.readers._lines import BOM, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hashmatch.interfaces import ListRow

CHUNK = 64 * 1024


class Window:
    """What is being looked at of `stream`, from ``place`` on; what lies before is forgotten.

    A byte-order mark is passed over.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.buffer = b""
        self.place = 0
        self.ended = False
        self._stream = stream
        self._line = 1
        self._counted = 0
        self.more()
        self.buffer = self.buffer.removeprefix(BOM)

    @property
    def line(self) -> int:
        """The line, from 1, of the place; to be asked for in order."""
        self._line += self.buffer.count(b"\n", self._counted, self.place)
        self._counted = max(self._counted, self.place)
        return self._line

    def more(self) -> None:
        """Read on, as much again as is held, so that growing to any size costs twice that."""
        _ = self.line
        self.buffer = self.buffer[self.place :]
        self._counted -= self.place
        self.place = 0
        data = self._stream.read(max(CHUNK, len(self.buffer)))
        self.ended = not data
        self.buffer += data

    def hold(self, size: int) -> None:
        """Read on until `size` bytes from the place on are held, or all there are."""
        while not self.ended and len(self.buffer) - self.place < size:
            self.more()

    def match(self, pattern: re.Pattern[bytes], limit: int, after: int = 0) -> bytes | None:
        """Return what `pattern` matches `after` bytes from the place; None if nothing.

        The place stays, and at most `limit` bytes from it are looked at. A match that reaches the
        end of what is held might continue: it is tried again with more.
        """
        while True:
            found = pattern.match(self.buffer, self.place + after, self.place + limit)
            if found and (found.end() < len(self.buffer) or self.ended):
                return found[0]
            if self.ended or len(self.buffer) - self.place > limit:
                return None
            self.more()

    def skip(self, pattern: re.Pattern[bytes]) -> None:
        """Pass over what `pattern`, which always matches, does, however long that is."""
        while True:
            found = pattern.match(self.buffer, self.place)
            self.place = found.end() if found else self.place
            if self.place < len(self.buffer) or self.ended:
                return
            self.more()

    def drain(self) -> None:
        """Give the rest up, but read it: the digest of a file is of all of it."""
        while not self.ended:
            self.place = len(self.buffer)
            self.more()
        self.place = len(self.buffer)


MAX_DIGITS = 20
"""Of a whole number; ids of 64 bits have as many. Python refuses more than 4,300 by itself."""

SURROGATE = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")


class Refused(ValueError):
    """JSON that Python reads and nobody should; the message holds no value."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = Counter(key for key, _ in pairs)
        raise Refused(f"the key {shown(keys.most_common(1)[0][0])} is there twice")
    return found


def _constant(_: str) -> None:
    raise Refused("NaN and Infinity are not JSON")


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise Refused("a number is too large")
    return number


def _int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise Refused(f"a number has more than {MAX_DIGITS} digits")
    return int(digits)


PARSER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
)


def parsed(element: bytes | str) -> tuple[Any, str | None]:
    """Return the value of JSON text and None, or None and why it has none."""
    try:
        text = element if isinstance(element, str) else element.decode()
        value = PARSER.decode(text)
        if SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # half of a pair is no text
    except UnicodeError:
        return None, "the record is not UTF-8 text"
    except Refused as error:
        return None, str(error)
    except (ValueError, RecursionError):  # whose messages may hold text
        return None, "not JSON"
    return value, None


MAX_RECORD = 1 << 20
"""Bytes. The longest honest record, a ThreatExchange one with all its descriptors, is some KB."""

DEPTH = 12
"""Brackets within each other in a record; ThreatExchange has seven. Pages have at most as many."""

MAX_ATTEMPTS = 100_000
"""How often the search for the next record may fail in one file: it must end some day."""

MAX_FIELDS = 100

STRING = rb'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"'


def _nested(depth: int) -> bytes:
    """Return a pattern of text whose brackets are closed, at most `depth` within each other."""
    pattern = rb'(?:[^"{}\[\]]++|' + STRING + rb")*+"
    for _ in range(depth):
        pattern = rb'(?:[^"{}\[\]]++|' + STRING + rb"|[{\[]" + pattern + rb"[}\]])*+"
    return pattern


#: A whole element of an array; that its brackets fit each other is left to the JSON parser.
ELEMENT = re.compile(rb"[{\[]" + _nested(DEPTH - 1) + rb"[}\]]|" + STRING + rb'|[^\s,\[\]{}"]++')
KEY = re.compile(STRING + rb"\s*+:\s*+")
NEXT = re.compile(rb'[,\[{}]\s*+(?=[{"])')
OPENING = re.compile(rb"\{(?=\s*+\")")
TOKEN = re.compile(rb'[{}\[\]:,"]|[^\s{}\[\]:,"]{1,200}+')
BLANK = re.compile(rb"\s*+")
BETWEEN = re.compile(rb"[\s,]*+")
IN_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
LINE = re.compile(rb"[^\n]*+")


class Record(NamedTuple):
    """One element of the records' array, as Python's JSON parser gives it.

    ``line`` is where it begins; ``key`` what it is called, if the records are in an object.
    """

    line: int
    value: Any
    key: str | None = None


class JsonPage(NamedTuple):
    """The end of a page: its line, the plain values beside the records, and how many those were.

    ``records`` is None where bad ones made that uncertain; ``is_page`` says whether there is a
    place for them, and no error message in their stead.
    """

    line: int
    fields: dict[str, Any]
    records: int | None
    is_page: bool


class Bracket(NamedTuple):
    """A bracket in a page: which, the key before it, and how many are open around it."""

    opener: bytes
    key: str | None
    depth: int


def array_at(key: str) -> Callable[[Bracket], bool]:
    """Return a function that tells whether a bracket opens the array that is called `key`."""
    wanted = key.lower()
    return lambda place: place.opener == b"[" and (place.key or "").lower() == wanted


ERRORS = {"error", "errors", "message", "detail", "fault"}
"""Keys of the answer of an API that something went wrong."""


class JsonRecords:
    """Finds the records of a stream of pages of JSON.

    `holds` says whether the elements in a bracket, given its `Bracket`, are the records. `needs` is
    a key that records have and nothing within them does; asked for after a bad record, to find the
    next. Records that are no objects are found by their commas. `within`, given such a place, the
    beginning of its first element and the page's fields, says whether its elements are no records
    but have them in them.
    """

    def __init__(
        self,
        stream: BinaryIO,
        holds: Callable[[Bracket], bool],
        needs: str,
        within: Callable[[Bracket, bytes, dict[str, Any]], bool] | None = None,
    ) -> None:
        self.window = Window(stream)
        self.holds = holds
        self.needs = needs
        self.within = within
        self.fields: dict[str, Any] = {}
        self.found: int | None = 0
        self.has_place = self.tells_error = False
        self.attempts = 0
        self.lost = False

    def __iter__(self) -> Iterator[Record | JsonPage | RejectedRow]:
        window = self.window
        stack: list[Bracket] = []
        key: str | None = None
        text: str | None = None
        while token := self._token():
            if not stack and token not in {b"{", b"["}:
                yield RejectedRow(window.line, "not JSON: there is no page here")
                window.skip(LINE)
            elif token == b'"':
                text = self._string()
                self._field(stack, key, text)
            elif token == b":":
                key = text
                self.tells_error |= len(stack) == 1 and (key or "").lower() in ERRORS
            elif token in {b"{", b"["}:
                place = Bracket(token, key, len(stack))
                stack.append(place)
                key = None
                if len(stack) > DEPTH:
                    yield RowsMissing(window.line, f"more than {DEPTH} brackets within each other")
                    window.drain()
                    return
                if self.holds(place):
                    self.has_place = True
                    yield from self._elements(place)
            elif token in {b"}", b"]"}:
                key = None
                if (stack[-1].opener == b"{") != (token == b"}"):
                    yield RejectedRow(window.line, "not JSON: a bracket is closed by another kind")
                stack.pop()
                if not stack:
                    is_page = self.has_place and not (self.tells_error and self.found == 0)
                    yield JsonPage(window.line, self.fields, self.found, is_page)
                    self.fields, self.found = {}, 0
                    self.has_place = self.tells_error = False
            elif token == b",":
                key = None
            else:
                self._field(stack, key, parsed(token)[0])
        if stack and not self.lost:
            yield RowsMissing(window.line, "the file ends in the middle of a page")

    def _token(self) -> bytes | None:
        """Return the next bracket, sign, opening quote or plain value; None at the end."""
        self.window.skip(BLANK)
        token = self.window.match(TOKEN, 256)
        if token is not None:
            self.window.place += len(token)
        return token

    def _string(self) -> str:
        """Pass over the rest of a string, however long, and return its first 200 bytes as text."""
        window = self.window
        window.hold(256)
        start = window.buffer[window.place : window.place + 256]
        window.skip(IN_STRING)
        while not window.ended and window.buffer.startswith(b"\\", window.place):
            window.more()  # what a backslash stands before is not held yet
            window.skip(IN_STRING)
        window.place = min(window.place + 1, len(window.buffer))
        whole = IN_STRING.match(start)
        return start[: whole.end() if whole else 0].decode(errors="replace")

    def _field(self, stack: list[Bracket], key: str | None, value: Any) -> None:
        if len(stack) == 1 and key is not None and len(self.fields) < MAX_FIELDS:
            self.fields[key] = value

    def _elements(self, place: Bracket) -> Iterator[Record | RejectedRow]:
        """Yield the records in a bracket that has just been opened, up to its closing one."""
        window = self.window
        end = b"]" if place.opener == b"[" else b"}"
        first = True
        while True:
            window.skip(BETWEEN)
            if window.place == len(window.buffer) or window.buffer.startswith(end, window.place):
                return
            if first and self.within is not None:
                window.hold(CHUNK)
                head = window.buffer[window.place : window.place + CHUNK]
                if self.within(place, head, self.fields):
                    return  # the caller goes on into it, and through all of its siblings
            first = False
            line = window.line
            value, reason, size, key = self._element(place, MAX_RECORD)
            if self.found is not None:
                self.found += 1
            if reason is None:
                window.place += size
                yield Record(line, value, key)
                continue
            if reason.startswith("not JSON"):
                window.place += 1
                self.found = None
                self.lost = not self._found_next(place)
                yield RowsMissing(line, reason) if self.lost else RejectedRow(line, reason)
                if self.lost:
                    if self.attempts >= MAX_ATTEMPTS:
                        yield RowsMissing(
                            window.line, "too much is not JSON; nothing after this line was read"
                        )
                    window.drain()
                    return
            else:
                yield RejectedRow(line, reason)
                window.place += size

    def _element(self, place: Bracket, limit: int) -> tuple[Any, str | None, int, str | None]:
        """Return the value here, or why there is none; its size in bytes; and its key."""
        window = self.window
        key = b""
        if place.opener == b"{":
            found = window.match(KEY, limit)
            if found is None:
                return None, "not JSON: there is no key here", 0, None
            key = found
        element = window.match(ELEMENT, limit, len(key))
        if element is None:
            if window.ended and len(window.buffer) - window.place <= limit:
                return None, "not JSON, or the file ends in the middle of it", 0, None
            return (
                None,
                f"not JSON, or longer than {limit:,} bytes, or with more than {DEPTH} brackets "
                "within each other",
                0,
                None,
            )
        value, reason = parsed(element)
        name = key.strip().rstrip(b":").strip()[1:-1].decode(errors="replace") if key else None
        return value, reason, len(key) + len(element), name

    def _found_next(self, place: Bracket) -> bool:
        """Move to the next place where a whole record begins; return whether there is one."""
        window = self.window
        while self.attempts < MAX_ATTEMPTS:
            found = NEXT.search(window.buffer, window.place)
            if found is None:
                if window.ended:
                    return False
                window.place = max(window.place, len(window.buffer) - 4096)
                window.more()
                continue
            window.place = found.end()
            window.hold(CHUNK)
            value, reason, size, _ = self._element(place, CHUNK)
            if reason is None and self._is_record(value):
                return True
            if reason is None:
                window.place += size - 1  # it may end with the bracket that a record follows
                continue
            self.attempts += 1
            # Another bad record is worth a report; an object within the last is not.
            key = KEY.match(window.buffer, window.place) if place.opener == b"{" else None
            begin = OPENING.match(window.buffer, key.end() if key else window.place)
            after = OPENING.search(window.buffer, begin.end()) if begin else None
            own = window.buffer[window.place : after.start() if after else window.place + CHUNK]
            if begin and f'"{self.needs}"'.encode() in own:
                return True
        return False

    def _is_record(self, value: Any) -> bool:
        if isinstance(value, str):
            return value.count(",") > 1  # hash,quality,timestamp
        return isinstance(value, dict) and self.needs in value


def page_rows(
    stream: BinaryIO,
    make: Callable[[int, Any], Iterable[ListRow]],
    holds: Callable[[Bracket], bool],
    needs: str,
    within: Callable[[Bracket, bytes, dict[str, Any]], bool] | None = None,
    *,
    counted: bool = False,
) -> Iterator[ListRow | RejectedRow]:
    """Yield the rows of every record of a stream of pages, or why there are none.

    `make` returns the rows of a record, given its line and it; `counted` says whether pages state
    how many records they have. For the others see `JsonRecords`. ListError if a page is no page of
    records at all, but the answer that there was an error.
    """
    for record in JsonRecords(stream, holds, needs, within):
        if isinstance(record, RejectedRow):
            yield record
        elif isinstance(record, Record):
            yield from usable(record.line, make, record.value)
        elif not record.is_page:
            raise ListError(
                f"line {record.line}: cannot be a page of the list: it has no records, as the "
                "answer to a request that failed. Get the page again"
            )
        elif counted:
            yield from _miscounted(record)


def _miscounted(page: JsonPage) -> Iterator[RejectedRow]:
    """Yield a rejection if the page states another ``count`` of records than it has.

    Some exchanges state how many there are on all pages: a page that names a next or a previous
    one may state more than it has.
    """
    try:
        stated = number(page.fields, "count")
    except Unusable as error:
        yield RejectedRow(page.line, str(error))
        return
    if page.records is None or stated is None:
        return
    others = ("next", "previous", "hasMoreRecords", "nextPageToken")
    if stated == page.records:
        return
    if stated > page.records and any(page.fields.get(key) for key in others):
        return
    told = f"the page says {stated:,} records and has {page.records:,}"
    yield (RowsMissing if stated > page.records else RejectedRow)(page.line, told)
