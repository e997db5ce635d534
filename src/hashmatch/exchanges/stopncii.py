"""StopNCII: its ``FetchHashes``, page by page; the last says from when to ask the next time."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec

from hashmatch.exchanges.api import (
    Api,
    Unreadable,
    address_field,
    decode,
    decode_position,
    encode_position,
)
from hashmatch.interfaces import ExchangeField, ListPage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

URL = "https://api.stopncii.org/v1"
PAGE_SIZE = 800
FIRST = 10
"""The time that all of the list is asked for with; the server takes none before it."""


class _Page(msgspec.Struct):
    hashRecords: list[msgspec.Raw]  # noqa: N815  (so it is called there)
    hasMoreRecords: bool  # noqa: N815
    nextSetTimestamp: int  # noqa: N815
    nextPageToken: str | None = None  # noqa: N815


class _Position(msgspec.Struct):
    token: str


class StopNcii:
    """Fetches StopNCII; see `hashmatch.interfaces.Exchange`."""

    options = (address_field(URL),)
    credentials = (
        ExchangeField("fetch_function_key", "The key of the function FetchHashes."),
        ExchangeField("subscription_key", "The key of the subscription."),
    )
    list_format = "stopncii-json"
    is_whole = False
    remembers = timedelta(days=30)

    def __init__(
        self,
        options: Mapping[str, str | int],
        credentials: Mapping[str, str],
        allow_private: Collection[str] = (),
    ) -> None:
        self._api = Api(str(options["url"]), allow_private)
        self._headers = {
            "x-functions-key": credentials["fetch_function_key"],
            "Ocp-Apim-Subscription-Key": credentials["subscription_key"],
        }

    def pages(self, checkpoint: str | None, position: str | None) -> Iterator[ListPage]:
        """Yield the pages of what was changed since; see `hashmatch.interfaces.Exchange`."""
        since = max(FIRST, int(checkpoint or 0))
        query: dict[str, str | int] = {
            "startTimestamp": since, "pageSize": PAGE_SIZE,
        }  # fmt: skip
        saved = decode_position(position, _Position) if position else None
        token = saved.token if saved else ""
        while True:
            asked = {**query, "nextPageToken": token} if token else query
            target = f"{self._api.path}/FetchHashes?{urlencode(asked)}"
            page, body = self._api.get(target, self._headers, partial(_read, token))
            if not page.hasMoreRecords:
                yield ListPage([body], "", str(max(since, page.nextSetTimestamp)))
                return
            token = page.nextPageToken or ""
            yield ListPage([body], encode_position(_Position(token)))

    def close(self) -> None:
        """Close the connections."""
        self._api.close()


def _read(token: str, body: bytes) -> _Page:
    page = decode(body, _Page, "StopNCII")
    if page.hasMoreRecords and page.nextPageToken in {None, "", token}:
        raise Unreadable("a page says that more follow, and not which")
    return page
