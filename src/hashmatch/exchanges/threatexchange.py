"""Meta's ThreatExchange: the ``threat_updates`` of a privacy group, over the Graph API.

A page names the next one. Its times rise, so that a fetch continues from the latest that was seen,
which comes again: a second may have more updates than were there. The server says what was deleted
for 90 days.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

import msgspec

from hashmatch.exchanges.api import (
    CREDENTIALS,
    LATER,
    Api,
    address_field,
    decode,
    decode_position,
    encode_position,
)
from hashmatch.interfaces import ExchangeField, ListPage
from hashmatch.records.typed import from_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

URL = "https://graph.facebook.com/v26.0"
PAGE_SIZE = 500
FIELDS = (
    "id,indicator,type,last_updated,should_delete,"
    "descriptors{id,reactions,my_reactions,owner{id},tags,status,added_on}"
)
TOKEN = "access_token"  # noqa: S105  (the name of a parameter)
TOKEN_CODES = {102, 190, 463, 467}
RATE_CODES = {1, 2, 4, 17, 32, 341, 613}
"""Codes of errors of the Graph API: of an access token, and of what may succeed later."""


class _Update(msgspec.Struct):
    last_updated: int = 0


class _Paging(msgspec.Struct):
    next: str | None = None


class _Page(msgspec.Struct):
    data: list[_Update]
    paging: _Paging = msgspec.field(default_factory=_Paging)


class _Position(msgspec.Struct):
    target: str
    latest: int


class _Problem(msgspec.Struct):
    code: int = 0


class _Failure(msgspec.Struct):
    error: _Problem


class ThreatExchange:
    """Fetches ThreatExchange; see `hashmatch.interfaces.Exchange`."""

    options = (
        ExchangeField("privacy_group", "The id of the ThreatPrivacyGroup.", "number"),
        address_field(URL),
    )
    credentials = (ExchangeField("api_token", "The access token of the app, APP-ID|SECRET."),)
    list_format = "threatexchange-json"
    is_whole = False
    remembers = timedelta(days=85)

    def __init__(
        self,
        options: Mapping[str, str | int],
        credentials: Mapping[str, str],
        allow_private: Collection[str] = (),
    ) -> None:
        self._api = Api(str(options["url"]), allow_private, _explained)
        self._group = int(options["privacy_group"])
        self._token = credentials["api_token"]

    def pages(self, checkpoint: str | None, position: str | None) -> Iterator[ListPage]:
        """Yield the pages of what was updated since; see `hashmatch.interfaces.Exchange`."""
        since = int(checkpoint or 0)
        query = {"fields": FIELDS, "limit": PAGE_SIZE} | ({"start_time": since} if since else {})
        target: str | None = f"{self._api.path}/{self._group}/threat_updates/?{urlencode(query)}"
        saved = decode_position(position, _Position) if position else None
        latest = since
        if saved is not None:
            target, latest = saved.target, saved.latest
        while target is not None:
            page, body = self._api.get(self._with_token(target), {}, _read)
            latest = max([latest, *(each.last_updated for each in page.data)])
            target = self._without_token(page.paging.next) if page.paging.next else None
            kept = encode_position(_Position(target or "", latest))
            yield ListPage([body], kept, str(latest) if target is None else None)

    def _with_token(self, target: str) -> str:
        return f"{target}&{urlencode({TOKEN: self._token})}"

    def _without_token(self, url: str) -> str:
        """Return what to ask for next, without the token that the server puts in."""
        path, _, query = self._api.same_origin(url).partition("?")
        kept = [each for each in parse_qsl(query, keep_blank_values=True) if each[0] != TOKEN]
        return f"{path}?{urlencode(kept)}"

    def close(self) -> None:
        """Close the connections."""
        self._api.close()


def _read(body: bytes) -> _Page:
    return decode(body, _Page, "ThreatExchange")


def _explained(body: bytes) -> str:
    """Return what an error of the Graph API is about, which it answers as 400 mostly."""
    try:
        code = from_json(body, _Failure).error.code
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return ""
    return CREDENTIALS if code in TOKEN_CODES else LATER if code in RATE_CODES else ""
