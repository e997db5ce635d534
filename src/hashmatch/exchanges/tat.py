"""Tech Against Terrorism's hash list: a token for a name and a password, then pages.

A page has the place of its last record, a time and an id, and the next is asked for after it. The
addresses of pages that the server names count records from the beginning: where a record changes
during a fetch, and so moves to the end, one would be passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec

from hashmatch.exchanges.api import (
    Api,
    BadCredentials,
    Refused,
    Unreadable,
    address_field,
    decode,
)
from hashmatch.interfaces import ExchangeField, ListPage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

URL = "https://app.terrorismanalytics.org"


class _Page(msgspec.Struct):
    results: list[msgspec.Raw]
    next: str | None = None
    checkpoint: str | None = None


class _Token(msgspec.Struct):
    token: str


class TechAgainstTerrorism:
    """Fetches Tech Against Terrorism's list; see `hashmatch.interfaces.Exchange`."""

    options = (address_field(URL),)
    credentials = (
        ExchangeField("username", "The name that you log in with."),
        ExchangeField("password", "The password."),
    )
    list_format = "tat-json"
    is_whole = False
    remembers = None

    def __init__(
        self,
        options: Mapping[str, str | int],
        credentials: Mapping[str, str],
        allow_private: Collection[str] = (),
    ) -> None:
        self._api = Api(str(options["url"]), allow_private)
        self._login = {**credentials, "resend": "False"}
        self._headers: dict[str, str] = {}

    def pages(self, checkpoint: str | None, position: str | None) -> Iterator[ListPage]:
        """Yield the pages of what was changed since; see `hashmatch.interfaces.Exchange`."""
        after = position or checkpoint or ""
        while True:
            query = urlencode({"order": "asc", "after": after})
            page, body = self._page(f"{self._api.path}/api/hash-list/v2/all?{query}", after)
            after = page.checkpoint or after
            yield ListPage([body], after, None if page.next else after)
            if not page.next:
                return

    def _page(self, target: str, after: str) -> tuple[_Page, bytes]:
        """Return a page; a token that has expired since is replaced once."""
        for is_new in (not self._headers, True):
            if is_new:
                self._headers = {"Authorization": f"Bearer {self._new_token()}"}
            try:
                return self._api.get(target, self._headers, lambda data: _read(data, after))
            except BadCredentials:
                if is_new:
                    raise
        raise AssertionError

    def _new_token(self) -> str:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        data = urlencode(self._login).encode()
        target = f"{self._api.path}/token-auth/tcap/"
        try:
            return self._api.post(target, headers, data, _read_token)
        except Refused as error:
            if error.status != 400:
                raise
            raise self._api.bad_credentials(400) from None

    def close(self) -> None:
        """Close the connections."""
        self._api.close()


def _read(body: bytes, after: str) -> _Page:
    page = decode(body, _Page, "Tech Against Terrorism")
    if page.next and page.checkpoint in {None, "", after}:
        raise Unreadable("a page says that more follow, and not after which record")
    return page


def _read_token(body: bytes) -> str:
    token = decode(body, _Token, "Tech Against Terrorism with a token").token
    if not token.isascii() or not token.isprintable() or " " in token:
        raise Unreadable("the token that it answered cannot be sent back")
    return token
