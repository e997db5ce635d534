"""Posts messages to one URL; nothing of a message, or of the body of an answer, is logged.

`hashmatch._net` says whom it may dial; it follows no redirect and keeps no cookies.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hashmatch._net.addresses import Allowed, Origin
from hashmatch._net.client import Client, Dialer, NoAnswer, NotAllowed, Timeouts
from hashmatch._redact import unseen
from hashmatch.errors import ReviewError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


PLAIN_HTTP = "plain http is for this machine only. Give https://HOST/PATH."


class Unreachable(ReviewError):
    """There was no answer, for a reason that may pass; the message says which."""


class Endpoint:
    """Where messages are posted to: an https URL, or an http one of this very machine.

    It has no user's name or password: messages are signed instead. One request may take `timeout`
    seconds, all in all, after the name was looked up. A `context` has to check names and
    certificates; without one, those are trusted that the system trusts. `allow_private` names hosts
    and networks that are not public; what is written as an address has named it. UsageError says
    what of it cannot be used.

    Examples
    --------
    >>> Endpoint("https://moderation.example/hook?token=x").name
    'moderation.example'
    >>> Endpoint("http://moderation.example/hook")
    Traceback (most recent call last):
    hashmatch.errors.UsageError: cannot use webhook URL: plain http is for this machine only. ...
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 10.0,
        context: ssl.SSLContext | None = None,
        allow_private: Collection[str] = (),
    ) -> None:
        try:
            origin = Origin.parse(url)
        except ValueError as error:
            raise _refused(str(error)) from None
        if not all(32 < ord(character) < 127 for character in url):
            raise _refused("it has characters to be %-escaped")
        if origin.scheme == "http" and not origin.is_loopback:
            raise _refused(PLAIN_HTTP)
        if not 0 < timeout <= 3600:
            raise UsageError(f"cannot use a timeout of {timeout} s: it is above 0, up to 3,600 s")
        checks = context is None or (
            context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
        )
        if not checks:
            raise UsageError("cannot use SSL context: it has to check certificates and names")
        parts = urlsplit(url)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        dialer = Dialer(Allowed.parse(allow_private))
        self._client = Client(origin, dialer, Timeouts(timeout, timeout, timeout), context)
        self.timeout = timeout

    @property
    def name(self) -> str:
        """Its host and port. What follows may be a secret, and is not shown."""
        return self._client.origin.authority

    def __repr__(self) -> str:
        return f"<Endpoint {self.name}>"

    @unseen
    def post(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Post a JSON `body`, with `headers` besides the usual ones; return the HTTP status.

        Unreachable says why there was no answer; UsageError if nobody may be asked.
        """
        usual = {"Content-Type": "application/json", "Connection": "close"}
        try:
            with self._client.send("POST", self._target, {**usual, **headers}, body) as answer:
                return answer.status
        except NotAllowed as error:
            raise _refused(str(error)) from None
        except NoAnswer as error:
            raise Unreachable(f"{self.name}: {error}") from None


def _refused(reason: str) -> UsageError:
    return UsageError(f"cannot use webhook URL: {reason}")
