"""Pictures that are fetched from addresses: only below the prefixes that the operator named."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from hashmatch._net.addresses import Allowed, Origin
from hashmatch._net.client import Client, Dialer, NoAnswer, NotAllowed, Timeouts
from hashmatch.errors import UsageError
from hashmatch.review.web.places import below
from hashmatch.service.http import HttpError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TIMEOUTS = Timeouts(connect=3.0, read=5.0, total=15.0)


class Fetcher:
    """Fetches pictures; used by many threads.

    Parameters
    ----------
    prefixes : sequence of str
        ``https://cdn.example/photos/``; nothing else is asked.
    allow_private : iterable of str
        Hosts and networks that may be asked though they are not public.
    max_bytes : int
        Of a picture.

    Raises
    ------
    UsageError
        If a prefix is no address.
    """

    def __init__(
        self, prefixes: Sequence[str], allow_private: Iterable[str] = (), max_bytes: int = 2**25
    ) -> None:
        self.prefixes = tuple(prefixes)
        self._max_bytes = max_bytes
        allowed = Allowed.parse(allow_private)
        self._clients: dict[Origin, Client] = {}
        for prefix in self.prefixes:
            try:
                origin = Origin.parse(prefix)
            except ValueError as error:
                raise UsageError(f"cannot fetch from {prefix}: {error}") from None
            if origin not in self._clients:
                self._clients[origin] = Client(origin, Dialer(allowed), TIMEOUTS)
        self._lock = threading.Lock()

    def read(self, url: str) -> bytes:
        """Return what an address leads to.

        Raises
        ------
        HttpError
            403 if it lies below none of the prefixes, or may not be asked; 400 if it is no
            address, or refused; 502 if there is no answer, 413 if it is too long.
        """
        check_url(url)
        if not below(url, self.prefixes):
            raise HttpError(403, "cannot fetch the picture: its address is below no --fetch-from.")
        origin = Origin.parse(url)
        path = "/" + url.partition("://")[2].partition("/")[2]
        try:
            with self._clients[origin].send("GET", path, {"Accept": "image/*"}) as answer:
                if answer.status != 200:
                    may_pass = answer.status in {408, 425, 429} or answer.status >= 500
                    raise HttpError(
                        502 if may_pass else 400,
                        f"cannot fetch the picture: the server answered {answer.status}.",
                        retry=may_pass,
                    )
                data = answer.body(self._max_bytes)
        except NotAllowed as error:
            raise HttpError(403, f"cannot fetch the picture: {error}") from None
        except NoAnswer as error:
            raise HttpError(502, f"cannot fetch the picture: {error}.", retry=True) from None
        if data is None:
            raise HttpError(413, f"Content too large: at most {self._max_bytes:,} bytes are read.")
        return data

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()


def check_url(url: str) -> None:
    """Raise HttpError 400 if it is no address of http or https."""
    try:
        Origin.parse(url)
    except ValueError:
        raise HttpError(
            400, "cannot fetch the picture: its address is invalid, or not of http or https."
        ) from None
