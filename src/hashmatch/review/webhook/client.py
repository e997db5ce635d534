"""Posts messages to one URL; nothing of a message, or of the body of an answer, is logged.

The standard library's client does all that is needed and nothing more: it logs nothing, follows no
redirect, takes no proxy from the environment and keeps no cookies.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hashmatch._redact import unseen
from hashmatch.errors import ReviewError, UsageError
from hashmatch.records import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping


PLAIN_HTTP = "plain http is for this machine only. Give https://HOST/PATH."


class Unreachable(ReviewError):
    """There was no answer, for a reason that may pass; the message says which."""


class Endpoint:
    """Where messages are posted to: an https URL, or an http one of this very machine.

    It has no user's name or password: messages are signed instead. One request may take `timeout`
    seconds, all in all, after the name was looked up. A `context` has to check names and
    certificates; without one, those are trusted that the system trusts. UsageError says what of it
    cannot be used.

    Examples
    --------
    >>> Endpoint("https://moderation.example/hook?token=x").name
    'moderation.example'
    >>> Endpoint("http://moderation.example/hook")
    Traceback (most recent call last):
    hashmatch.errors.UsageError: cannot use webhook URL: plain http is for this machine only. ...
    """

    def __init__(
        self, url: str, *, timeout: float = 10.0, context: ssl.SSLContext | None = None
    ) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise _refused("it is not a URL") from None
        if parts.scheme not in {"https", "http"} or not parts.hostname:
            raise _refused("it has no host, or another scheme. Give https://HOST/PATH.")
        if parts.username is not None or parts.password is not None:
            raise _refused("it has a user or password. Leave them out: messages are signed.")
        if not all(32 < ord(character) < 127 for character in url):
            raise _refused("it has characters to be %-escaped")
        self.is_secure = parts.scheme == "https"
        if not self.is_secure and not _is_local(parts.hostname):
            raise _refused(PLAIN_HTTP)
        if not 0 < timeout <= 3600:
            raise UsageError(f"cannot use a timeout of {timeout} s: it is above 0, up to 3,600 s")
        self._context = None
        if self.is_secure:
            self._context = ssl.create_default_context() if context is None else context
            if self._context.verify_mode != ssl.CERT_REQUIRED or not self._context.check_hostname:
                raise UsageError("cannot use SSL context: it has to check certificates and names")
        self._host = parts.hostname
        self._port = port or (443 if self.is_secure else 80)
        self._authority = parts.netloc
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.timeout = timeout

    @property
    def name(self) -> str:
        """Its host and port. What follows may be a secret, and is not shown."""
        return self._authority

    def __repr__(self) -> str:
        return f"<Endpoint {self.name}>"

    @unseen
    def post(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Post a JSON `body`, with `headers` besides the usual ones; return the HTTP status.

        Unreachable says why there was no answer.
        """
        ends = _Deadline(self.timeout)
        try:
            link = ends.watch(socket.create_connection((self._host, self._port), self.timeout))
            if self._context is None:
                if not ipaddress.ip_address(link.getpeername()[0]).is_loopback:
                    raise _refused(PLAIN_HTTP)
            else:
                tls = self._context.wrap_socket(
                    link, server_hostname=self._host, do_handshake_on_connect=False
                )
                link = ends.watch(tls)
                tls.do_handshake()
            return _exchange(link, self._authority, self._target, body, headers)
        except (OSError, HTTPException) as error:
            raise Unreachable(f"{self.name}: {_reason(error, ends.is_over)}") from None
        finally:
            ends.close()


class _Deadline:
    """Cuts a connection off in the end: timeouts of sockets are of one read, not of all of them."""

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._link: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, link: socket.socket) -> socket.socket:
        """Cut off `link`, in the place of an earlier one."""
        self._link = link
        if self.is_over:
            self._cut()
        return link

    def close(self) -> None:
        """Close the connection."""
        self._timer.cancel()
        if self._link is not None:
            self._link.close()

    def _cut(self) -> None:
        self.is_over = True
        if self._link is not None:
            with suppress(OSError):  # not of TLS, which would wait for the other side
                socket.socket.shutdown(self._link, socket.SHUT_RDWR)


def _exchange(
    link: socket.socket, host: str, target: str, body: bytes, headers: Mapping[str, str]
) -> int:
    connection = HTTPConnection(host)
    connection.sock = link
    connection.putrequest("POST", target, skip_host=True, skip_accept_encoding=True)
    usual = {
        "Host": host,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "User-Agent": f"hashmatch/{VERSION}",
        "Connection": "close",
    }
    for name, value in {**usual, **headers}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    with connection.getresponse() as response:
        return response.status


def _refused(reason: str) -> UsageError:
    return UsageError(f"cannot use webhook URL: {reason}")


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True  # what it stands for is looked at when it is connected to
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(error: Exception, is_over: bool) -> str:
    """Return what went wrong, without the words of the other side, which may quote the message."""
    if is_over or isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    if isinstance(error, socket.gaierror):
        return "there is no such host"
    if isinstance(error, OSError):  # of http.client too: it was closed before there was an answer
        return (error.strerror or "the connection was lost").lower()
    return "the answer was no HTTP"
