"""NCMEC's hash sharing, version 2: the entries of a span of time, in pages of XML.

Entries of a span come in no order of time, so that only a whole span moves the checkpoint. A page
names the next one, at an address that is good for half a day. A server takes long for spans of very
many entries: they are shortened until one has few enough. Spans overlap by some minutes, in which
an entry may come late or clocks differ; an entry that comes twice counts once.
"""

from __future__ import annotations

import re
import time
from base64 import b64encode
from datetime import UTC, datetime
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode
from xml.parsers import expat

import msgspec

from hashmatch.errors import UsageError
from hashmatch.exchanges.api import (
    Api,
    Unreadable,
    decode_position,
    encode_position,
    unlike,
)
from hashmatch.interfaces import ExchangeField, ListPage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

ENVIRONMENTS = (
    "https://report.cybertip.org/hashsharing",  # industry
    "https://report.cybertip.org/exploitative-hashsharing",
    "https://lesp.ncmec.org/csam-hashsharing",  # law enforcement
    "https://hashsharing.ncmec.org/npo",  # NGOs
    "https://hashsharing.ncmec.org/exploitative",
    "https://hashsharing.ncmec.org/generative-ai-csam",
    "https://hashsharing.ncmec.org/generative-ai-exploitative",
    "https://exttest.cybertip.org/hashsharing",  # the same for tests
    "https://exttest.cybertip.org/exploitative-hashsharing",
    "https://betalesp.ncmec.org/csam-hashsharing",
    "https://hashsharing-test.ncmec.org/npo",
    "https://hashsharing-test.ncmec.org/exploitative",
    "https://hashsharing-test.ncmec.org/generative-ai-csam",
    "https://hashsharing-test.ncmec.org/generative-ai-exploitative",
)
"""Databases of NCMEC, by who may use them."""
OVERLAP = 600
"""Seconds that a span begins before the end of the one before."""
LAG = 5
"""Seconds that entries have to appear."""
MAX_ENTRIES = 400_000
"""Of a span; of more, a part of it is asked for."""
SHORTEST_SPAN = 60
MAX_AGE = 12 * 3600
"""Seconds that the address of a page may be kept."""


class _Position(msgspec.Struct):
    """Of a span from `begin` to `end`, and a fetch until `until`: the next page, named at `at`."""

    begin: int
    end: int
    until: int
    next: str = ""
    at: int = 0


class Ncmec:
    """Fetches NCMEC's hash sharing; see `hashmatch.interfaces.Exchange`."""

    options = (
        ExchangeField("environment", "Which database.", "enum", choices=ENVIRONMENTS),
        ExchangeField(
            "url",
            "The address of the API, if it is another than that of the environment.",
            required=False,
            over_http=False,
        ),
    )
    credentials = (
        ExchangeField("user", "The name that you log in with."),
        ExchangeField("password", "The password."),
    )
    list_format = "ncmec-xml"
    is_whole = False
    remembers = None

    def __init__(
        self,
        options: Mapping[str, str | int],
        credentials: Mapping[str, str],
        allow_private: Collection[str] = (),
    ) -> None:
        self._api = Api(str(options.get("url") or options["environment"]), allow_private)
        if ":" in credentials["user"]:
            raise UsageError("cannot use the credentials: user has a colon. Leave it out.")
        pair = f"{credentials['user']}:{credentials['password']}".encode()
        self._headers = {"Authorization": f"Basic {b64encode(pair).decode()}"}

    def pages(self, checkpoint: str | None, position: str | None) -> Iterator[ListPage]:
        """Yield the pages of what was changed since; see `hashmatch.interfaces.Exchange`."""
        begin, until = max(0, int(checkpoint or 0) - OVERLAP), int(time.time()) - LAG
        span = _Position(begin, until, until)
        saved = decode_position(position, _Position) if position else None
        if saved is not None:
            span = saved
            if span.next and time.time() - span.at > MAX_AGE:
                span.next = ""
        while True:
            following, body, entries = self._page(span)
            is_first = not span.next
            length = span.end - span.begin
            if is_first and entries > MAX_ENTRIES and length > SHORTEST_SPAN:
                span.end = span.begin + max(SHORTEST_SPAN, length // 4)
                continue
            if following:
                span.next, span.at = following, int(time.time())
            elif span.end >= span.until:
                yield ListPage([body], "", str(span.until))
                return
            else:  # as long again, or twice as long if that was little
                length *= 2 if is_first else 1
                end = min(span.until, span.end + length)
                span = _Position(span.end, end, span.until)
            yield ListPage([body], encode_position(span))

    def _page(self, span: _Position) -> tuple[str, bytes, int]:
        """Return what to ask for next, if anything, a page, and how many entries remain."""
        query = urlencode({"from": _moment(span.begin), "to": _moment(span.end)})
        target = span.next or f"{self._api.path}/v2/entries?{query}"
        following, body = self._api.get(target, self._headers, _following)
        entries = _remaining(following)
        if "://" in following:
            following = self._api.same_origin(following)
        elif following and not following.startswith(f"{self._api.path}/"):
            following = f"{self._api.path}/{following.lstrip('/')}"
        return following, body, entries

    def close(self) -> None:
        """Close the connections."""
        self._api.close()


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _remaining(following: str) -> int:
    """Return how many entries follow, as far as the address of the next page says it."""
    fields = parse_qs(following.partition("?")[2])
    try:
        return int(fields["max"][0]) - int(fields["start"][0])
    except (KeyError, ValueError):
        return 0


def _following(body: bytes) -> str:
    """Return the address of the page after this one; empty of the last. Raises Unreadable."""
    path: list[str] = []
    text: list[str] = []
    parser = expat.ParserCreate("UTF-8", " ")
    what = unlike(body, "a page of NCMEC's hash sharing")

    def refuse(*_: object) -> None:
        raise Unreadable(what)  # it may hide entities

    def start(name: str, attributes: dict[str, str]) -> None:
        path.append(name.rpartition(" ")[2])
        if path[0] != "queryResult":
            raise Unreadable(what)

    def take(data: str) -> None:
        if path == ["queryResult", "paging", "next"]:
            text.append(data)

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: path.pop()
    parser.CharacterDataHandler = take
    try:
        parser.Parse(body, True)
    except expat.ExpatError:
        raise Unreadable(what) from None
    found = unescape("".join(text).strip())
    if not re.fullmatch(r"[!-~]*", found):
        raise Unreadable("the address of the next page has characters that none has")
    return found
