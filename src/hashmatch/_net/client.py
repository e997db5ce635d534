"""Asks one server, by HTTP/1.1, over connections to addresses that were looked at first.

A name is looked up once for a connection; each address that it leads to is public, or allowed by
name, or none is dialled; and those that were looked at are dialled, without asking DNS again. No
redirect is followed, and no cookie kept, so that nothing is ever sent to another origin. The
standard library's client does all that is needed of HTTP; it logs nothing.
"""

from __future__ import annotations

import io
import ipaddress
import select
import socket
import ssl
import threading
import time
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from hashmatch._net.addresses import Allowed, Origin
from hashmatch.errors import UsageError
from hashmatch.records import VERSION
from hashmatch.records.safeguards import Safeguard, waive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from _typeshed import WriteableBuffer

USER_AGENT = f"hashmatch/{VERSION}"
MAX_IDLE = 16
"""Connections that are kept open between two requests."""
IDLE_SECONDS = 60.0
CHUNK = 2**16


class NotAllowed(Exception):
    """Nothing was dialled: whom it would be is not allowed. The message has a reason and advice."""


class NoAnswer(Exception):
    """There was no answer, or no whole one; the message says why, without the server's words."""

    def __init__(self, words: str, stage: Literal["name", "connect", "tls", "answer"]) -> None:
        super().__init__(words)
        self.stage = stage

    @property
    def is_timeout(self) -> bool:
        """Whether it took too long."""
        return str(self) == _LATE


_LATE = "no answer in time"
_SHORT = "the answer ended too early"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds until a connection is there, without a byte, and for one request altogether."""

    connect: float = 5.0
    read: float = 10.0
    total: float = 120.0


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that an operator named, and what it asks for."""

    origin: Origin
    authorization: str = ""

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Return the proxy at ``http://[USER:PASSWORD@]HOST:PORT``; ValueError if it is none."""
        scheme, separator, rest = url.partition("://")
        scheme, rest = (scheme, rest) if separator else ("http", url)
        user, at, host = rest.rpartition("@")
        origin = Origin.parse(f"{scheme}://{host}")
        if origin.scheme != "http":
            raise ValueError("it speaks TLS itself. Give http://HOST:PORT.")
        given = b64encode(unquote(user).encode()).decode()
        return cls(origin, f"Basic {given}" if at else "")

    @property
    def headers(self) -> dict[str, str]:
        """What it is sent besides."""
        return {"Proxy-Authorization": self.authorization} if self.authorization else {}


def environment_proxy(origin: Origin, allowed: Allowed) -> Proxy | None:
    """Return the proxy that the environment names for an origin, if the operator allows it by name.

    What a proxy dials cannot be looked at from here, so one that is not allowed is NotAllowed, and
    not gone around either: an operator's rules may be in it. This machine needs none.
    """
    if origin.is_loopback:
        return None
    from urllib.request import getproxies, proxy_bypass

    known = getproxies()
    url = known.get(origin.scheme) or known.get("all")
    if not url or proxy_bypass(f"{origin.host}:{origin.port}"):
        return None
    try:
        proxy = Proxy.parse(url)
    except ValueError:
        proxy = None
    if proxy is None or not allowed.names(proxy.origin):
        raise NotAllowed(
            f"the environment names a proxy ({origin.scheme}_proxy), and whom that dials cannot be "
            f"checked. Put {origin.host} into no_proxy, or give --allow-private with the proxy's "
            "host."
        )
    return proxy


class Dialer:
    """Connects to origins, by the rules. `proxy` is one that the operator named besides."""

    def __init__(self, allowed: Allowed, proxy: Proxy | None = None) -> None:
        named = frozenset({proxy.origin.host}) if proxy else frozenset[str]()
        self._allowed = Allowed(allowed.hosts | named, allowed.networks)
        self._proxy = proxy

    def proxy(self, origin: Origin) -> Proxy | None:
        """Return the proxy that is to be asked; NotAllowed if it may not be."""
        return self._proxy or environment_proxy(origin, self._allowed)

    def dial(self, origin: Origin, seconds: float) -> socket.socket:
        """Return a connection; NotAllowed before any is made, NoAnswer if there is none."""
        ends = time.monotonic() + seconds
        error: OSError = TimeoutError()
        for family, place in self._places(origin):
            link = socket.socket(family, socket.SOCK_STREAM)
            try:
                link.settimeout(max(0.001, ends - time.monotonic()))
                link.connect(place)
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as failed:
                link.close()
                error = failed
            else:
                return link
        raise NoAnswer(_reason(error), "connect") from None

    def _places(self, origin: Origin) -> Sequence[tuple[int, tuple[object, ...]]]:
        """Return families and socket addresses of an origin, each of which may be dialled."""
        literal = origin.address
        if literal is not None:
            family = socket.AF_INET if literal.version == 4 else socket.AF_INET6
            return [(family, (origin.host, origin.port))]
        try:
            found = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise NoAnswer("there is no such host", "name") from None
        places = []
        for family, _, _, _, place in found:
            kind = self._allowed.refuses(origin, ipaddress.ip_address(place[0]))
            if kind:
                raise NotAllowed(
                    f"its name leads to {kind} address. Give --allow-private {origin.host} if that "
                    "is meant."
                )
            places.append((family, place))
        if not places:
            raise NoAnswer("there is no such host", "name")
        return places


class _Link:
    """A connection with a deadline over all of a request; what `http.client` needs of a socket."""

    def __init__(self, link: socket.socket, is_direct: bool) -> None:
        self.socket = link
        self.is_direct = is_direct
        self.idle_since = 0.0
        self.is_last = False
        """Whether its last request said so: the server may close it at any time."""
        self._ends, self._read = 0.0, 0.0

    def limit(self, ends: float, read: float) -> None:
        self._ends, self._read = ends, read

    def _wait(self, most: float) -> None:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.socket.settimeout(min(left, most))

    def sendall(self, data: bytes) -> None:
        self._wait(self._read)
        self.socket.sendall(data)

    def recv_into(self, buffer: WriteableBuffer) -> int:
        self._wait(self._read)
        return self.socket.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self), CHUNK)

    def close(self) -> None:
        """Do nothing: `http.client` closes it as soon as the answer begins."""

    @property
    def is_usable(self) -> bool:
        """Whether the other side has neither closed it nor said anything unasked."""
        if time.monotonic() - self.idle_since > IDLE_SECONDS:
            return False
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return not poll.poll(0)


class _Reader(io.RawIOBase):
    def __init__(self, link: _Link) -> None:
        self._link = link

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._link.recv_into(buffer)


def check_encrypted(origin: Origin) -> None:
    """Refuse plain http with another machine with a UsageError, unless it is allowed by name."""
    if origin.scheme == "http" and not origin.is_loopback:
        reason = f"{origin} is plain http, which others can read and change on its way"
        waive(Safeguard.TLS, "use it", reason, error=UsageError)


class Client:
    """Asks one origin; used by many threads.

    Parameters
    ----------
    origin : Origin
        Whom it talks to, and nobody else.
    dialer : Dialer
        Keeps the rules.
    timeouts : Timeouts
        After the name was looked up.
    context : ssl.SSLContext, optional
        Whom it trusts; by default those whom the system trusts.

    Raises
    ------
    UsageError
        If it is plain http with another machine, and that is not allowed by name.
    """

    def __init__(
        self,
        origin: Origin,
        dialer: Dialer,
        timeouts: Timeouts | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.origin = origin
        self._dialer = dialer
        self._timeouts = timeouts or Timeouts()
        self._context = context
        self._lock = threading.Lock()
        self._idle: list[_Link] = []
        check_encrypted(origin)

    def __repr__(self) -> str:
        return f"<Client of {self.origin}>"

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        """Send a request, and return the answer when it begins, whatever its status.

        `headers` are besides the usual ones, which may be among them. NotAllowed if nobody was
        asked, NoAnswer if there is none.
        """
        ends = time.monotonic() + self._timeouts.total
        link = self._link(ends)
        proxy = None if link.is_direct else self._dialer.proxy(self.origin)
        connection = HTTPConnection(self.origin.host)
        connection.auto_open = 0  # never by its own ways
        connection.sock = link
        link.limit(ends, self._timeouts.read)
        usual = {"Host": self.origin.authority, "User-Agent": USER_AGENT}
        named = {name.lower() for name in headers}
        sent = {name: value for name, value in usual.items() if name.lower() not in named}
        sent |= dict(headers) | (proxy.headers if proxy else {})
        link.is_last = sent.get("Connection", "").lower() == "close"
        if body and "content-length" not in named:
            sent["Content-Length"] = str(len(body))
        try:
            place = f"{self.origin}{target}" if proxy else target
            connection.putrequest(method, place, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            return Answer(connection.getresponse(), link, self)
        except (OSError, HTTPException) as error:
            link.socket.close()
            raise NoAnswer(_reason(error), "answer") from None
        except BaseException:
            link.socket.close()
            raise

    def _link(self, ends: float) -> _Link:
        """Return a connection that was kept open, or a new one."""
        with self._lock:
            while self._idle:
                link = self._idle.pop()
                if link.is_usable:
                    return link
                link.socket.close()
        proxy = self._dialer.proxy(self.origin)
        seconds = max(0.001, min(self._timeouts.connect, ends - time.monotonic()))
        link = _Link(self._dialer.dial(proxy.origin if proxy else self.origin, seconds), True)
        try:
            if proxy is not None:
                link.is_direct = self.origin.scheme == "https"
                if link.is_direct:
                    self._tunnel(link, proxy, ends)
            if self.origin.scheme == "https":
                link.socket = self._secured(link.socket, ends)
        except BaseException:
            link.socket.close()
            raise
        return link

    def _tunnel(self, link: _Link, proxy: Proxy, ends: float) -> None:
        """Ask a proxy for a connection of our own to the origin."""
        place = f"{self.origin.authority.removesuffix(':443')}:{self.origin.port}"
        connection = HTTPConnection(proxy.origin.host)
        connection.auto_open = 0
        connection.sock = link
        link.limit(ends, self._timeouts.read)
        try:
            connection.putrequest("CONNECT", place, skip_host=True, skip_accept_encoding=True)
            for name, value in {"Host": place, **proxy.headers}.items():
                connection.putheader(name, value)
            connection.endheaders()
            status = connection.getresponse().status
        except (OSError, HTTPException) as error:
            raise NoAnswer(_reason(error), "connect") from None
        if status != 200:
            raise NoAnswer(f"the proxy answered {status}", "connect")

    def _secured(self, link: socket.socket, ends: float) -> socket.socket:
        """Return a connection with TLS, whose certificate is of the origin's name."""
        if self._context is None:
            self._context = ssl.create_default_context()
        link.settimeout(max(0.001, min(self._timeouts.read, ends - time.monotonic())))
        try:
            return self._context.wrap_socket(link, server_hostname=self.origin.host)
        except OSError as error:
            raise NoAnswer(_reason(error), "tls") from None

    def keep(self, link: _Link) -> None:
        """Keep a connection open for another request."""
        link.idle_since = time.monotonic()
        with self._lock:
            if len(self._idle) < MAX_IDLE and not link.is_last:
                self._idle.append(link)
                return
        link.socket.close()

    def close(self) -> None:
        """Close the connections that wait for another request."""
        with self._lock:
            idle, self._idle = self._idle, []
        for link in idle:
            link.socket.close()

    def __del__(self) -> None:
        for link in self._idle:
            link.socket.close()


class Answer:
    """An answer, whose body is still to be read: a context, at whose end the connection is free."""

    def __init__(self, response: HTTPResponse, link: _Link, client: Client) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._link: _Link | None = link
        self._client = client

    @property
    def size(self) -> int | None:
        """How long it says the body is."""
        return self._response.length

    def read(self, amount: int | None = None) -> bytes:
        """Return so many bytes of the body, or all; none at its end. NoAnswer if it breaks off."""
        try:
            data = self._response.read(amount)
        except (OSError, HTTPException) as error:
            self._drop()
            raise NoAnswer(_reason(error), "answer") from None
        if amount is not None and len(data) < amount and self._response.length:
            self._drop()
            raise NoAnswer(_SHORT, "answer")
        return data

    def stream(self) -> Iterator[bytes]:
        """Yield the rest of the body in pieces."""
        while data := self.read(CHUNK):
            yield data
        self.close()

    def body(self, limit: int) -> bytes | None:
        """Return all of the body; None if it is longer than `limit`, in bytes."""
        if self.size is not None:
            return self.read(self.size) if self.size <= limit else None
        parts, length = [], 0
        for part in self.stream():
            parts.append(part)
            length += len(part)
            if length > limit:
                return None
        return b"".join(parts)

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection; one whose answer was read to its end is used again."""
        link, response = self._link, self._response
        if link is None:
            return
        is_read = response.isclosed() or response.length == 0
        if is_read and not response.will_close:
            self._link = None
            self._client.keep(link)
        else:
            self._drop()

    def _drop(self) -> None:
        if self._link is not None:
            self._link.socket.close()
            self._link = None
        with suppress(OSError):
            self._response.close()


def secure_context(authorities: bytes | str | None = None, *, check: bool = True) -> ssl.SSLContext:
    """Return whom to trust: those whom the system trusts, and `authorities` in PEM besides.

    UsageError if those are none. Without `check`, anybody is trusted.
    """
    context = ssl.create_default_context()
    if authorities:
        text = authorities if isinstance(authorities, str) else authorities.decode("latin-1")
        try:
            context.load_verify_locations(cadata=text)
        except (ssl.SSLError, ValueError):
            raise UsageError("cannot use root_certificate: it is no certificate in PEM") from None
    if not check:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: Exception) -> str:
    """Return what went wrong, without the words of the other side, which may quote a request."""
    if isinstance(error, TimeoutError):
        return _LATE
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    if isinstance(error, OSError):  # of http.client too: it was closed before there was an answer
        return (error.strerror or "the connection was lost").lower()
    return _SHORT if isinstance(error, IncompleteRead) else "the answer was no HTTP"
