"""A list file at an address: fetched whole, if it has changed."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import msgspec

from hashmatch.errors import UsageError
from hashmatch.exchanges.api import Api, decode_position, encode_position
from hashmatch.interfaces import ExchangeField, ListPage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

MAX_VALIDATOR = 200
"""Characters of what a server names a state of the file by."""


class _Seen(msgspec.Struct, omit_defaults=True):
    """What the server said of the file: sent back, so that it answers only if it has changed."""

    etag: str = ""
    modified: str = ""


class StaticUrl:
    """Fetches a list file; see `hashmatch.interfaces.Exchange`."""

    options = (ExchangeField("url", "The address of the list file.", over_http=False),)
    credentials = (
        ExchangeField("username", "The name, for a password.", required=False),
        ExchangeField("password", "The password.", required=False),
        ExchangeField("token", "A bearer token, instead of name and password.", required=False),
        ExchangeField(
            "query", "What is added to the address, such as a signature.", required=False
        ),
    )
    list_format = None
    is_whole = True
    remembers = None

    def __init__(
        self,
        options: Mapping[str, str | int],
        credentials: Mapping[str, str],
        allow_private: Collection[str] = (),
    ) -> None:
        self._api = Api(str(options["url"]), allow_private)
        query = "&".join(filter(None, [self._api.query, credentials.get("query")]))
        if not all(32 < ord(character) < 127 for character in query):
            raise UsageError(
                "cannot use the credentials: query has characters to be %-escaped. Escape them."
            )
        self._target = (self._api.path or "/") + (f"?{query}" if query else "")
        self._headers: dict[str, str] = {}
        if "token" in credentials:
            self._headers["Authorization"] = f"Bearer {credentials['token']}"
        elif "username" in credentials:
            pair = f"{credentials['username']}:{credentials.get('password', '')}"
            self._headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"

    def pages(self, checkpoint: str | None, position: str | None) -> Iterator[ListPage]:
        """Yield the file, if it has changed; see `hashmatch.interfaces.Exchange`."""
        seen = (decode_position(checkpoint, _Seen) if checkpoint else None) or _Seen()
        given = {"If-None-Match": seen.etag, "If-Modified-Since": seen.modified}
        conditions = {name: value for name, value in given.items() if value}
        found = self._api.download(self._target, {**self._headers, **conditions})
        if found is None:
            return
        headers, pieces = found
        said = {name.lower(): value for name, value in headers.items()}
        seen = _Seen(_validator(said.get("etag")), _validator(said.get("last-modified")))
        yield ListPage(pieces, "", encode_position(seen))

    def close(self) -> None:
        """Close the connections."""
        self._api.close()


def _validator(text: str | None) -> str:
    is_usable = text is not None and len(text) <= MAX_VALIDATOR and text.isascii()
    return text if text is not None and is_usable and text.isprintable() else ""
