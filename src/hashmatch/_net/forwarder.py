"""A proxy inside of this process, for a client that dials by itself: it then dials by our rules.

Such a client follows redirects wherever they lead. What it asks this proxy for is refused unless it
is one of the origins that were named before, so that nothing of it reaches another.
"""

from __future__ import annotations

import re
import secrets
import select
import socket
import threading
from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING

from hashmatch._net.addresses import Origin
from hashmatch._net.client import CHUNK, NoAnswer, NotAllowed

if TYPE_CHECKING:
    from collections.abc import Collection

    from hashmatch._net.client import Dialer

MAX_HEAD = 2**16
IDLE_SECONDS = 120.0
CONNECT_SECONDS = 5.0

_END = b"\r\n\r\n"


class Forwarder:
    """Listens on loopback until it is closed; only who knows its `url` can use it.

    Parameters
    ----------
    dialer : Dialer
        Keeps the rules.
    origins : collection of Origin
        Whom it connects to.
    services : collection of Origin
        Whom it asks for credentials only: in plain HTTP, requests that say they are such.

    Attributes
    ----------
    problem : NotAllowed or NoAnswer, optional
        Why the last connection was not made, unless it was.
    """

    def __init__(
        self, dialer: Dialer, origins: Collection[Origin], services: Collection[Origin] = ()
    ) -> None:
        self.problem: NotAllowed | NoAnswer | None = None
        self._dialer = dialer
        self._origins = frozenset(origins)
        self._services = frozenset(services)
        password = secrets.token_urlsafe(16)
        self._authorization = b64encode(f"hashmatch:{password}".encode())
        self._door = socket.create_server(("127.0.0.1", 0))
        port = self._door.getsockname()[1]
        self.url = f"http://hashmatch:{password}@127.0.0.1:{port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __repr__(self) -> str:  # the URL is a secret
        return "<Forwarder>"

    def close(self) -> None:
        """Take no more connections; those there are end with the client's."""
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        connection = _Connection(self, near)
        with suppress(OSError):
            connection.run()
        connection.close()

    def connect(self, origin: Origin, head: bytes) -> socket.socket:
        """Return a connection for what begins with `head`; or NotAllowed, NoAnswer."""
        try:
            if not self._admits(origin, head):
                raise NotAllowed("its server redirects to another, and no redirect is followed.")
            proxy = self._dialer.proxy(origin)
            if proxy is not None:
                raise NotAllowed("this client cannot go through another proxy.")
            link = self._dialer.dial(origin, CONNECT_SECONDS)
        except (NotAllowed, NoAnswer) as problem:
            self.problem = problem
            raise
        self.problem = None
        return link

    def knows(self, head: bytes) -> bool:
        """Return whether a request has the credentials of the proxy's URL."""
        given = _field(head, b"proxy-authorization").rpartition(b" ")[2]
        return secrets.compare_digest(given, self._authorization)

    def _admits(self, origin: Origin, head: bytes) -> bool:
        if origin in self._origins:
            return True
        asks = _field(head, b"metadata-flavor") or _field(head, b"metadata")
        return origin in self._services and (origin.scheme == "https" or bool(asks))


class _Connection:
    """One of the client's: a tunnel, or requests in plain HTTP one after the other."""

    def __init__(self, forwarder: Forwarder, near: socket.socket) -> None:
        self._forwarder = forwarder
        self._near = near
        self._far: socket.socket | None = None
        self._origin: Origin | None = None
        self._is_tunnel = False
        self._held = b""
        self._body = 0
        near.settimeout(IDLE_SECONDS)
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        for link in (self._near, self._far):
            if link is not None:
                link.close()

    def run(self) -> None:
        """Pass on what comes until one of both sides has gone."""
        while True:
            sides = [side for side in (self._near, self._far) if side is not None]
            ready, _, _ = select.select(sides, [], [], IDLE_SECONDS)
            if not ready:
                return
            for side in ready:
                data = side.recv(CHUNK)
                if not data:
                    return
                if side is self._far:
                    self._near.sendall(data)
                elif self._is_tunnel and self._far is not None:
                    self._far.sendall(data)
                elif not self._asked(data):
                    return

    def _asked(self, data: bytes) -> bool:
        """Take requests in, and return whether there may be others."""
        self._held += data
        while self._held:
            if self._body and self._far is not None:
                part, self._held = self._held[: self._body], self._held[self._body :]
                self._body -= len(part)
                self._far.sendall(part)
                continue
            head, end, rest = self._held.partition(_END)
            if not end:
                return len(self._held) <= MAX_HEAD
            self._held = rest
            if not self._request(head):
                return False
        return True

    def _request(self, head: bytes) -> bool:
        line, _, fields = head.partition(b"\r\n")
        method, target, version = (*line.split(b" "), b"", b"")[:3]
        if not self._forwarder.knows(head):
            return self._refuse(b"407 Proxy Authentication Required")
        is_connect = method == b"CONNECT"
        text = target.decode("latin-1")
        try:
            origin = Origin.parse(f"https://{text}" if is_connect else text)
        except ValueError:
            return self._refuse(b"400 Bad Request")
        if origin.scheme == "https" and not is_connect:
            return self._refuse(b"400 Bad Request")
        try:
            if self._far is None or origin != self._origin:
                if self._far is not None:
                    self._far.close()
                self._far = self._forwarder.connect(origin, head)
                self._far.settimeout(IDLE_SECONDS)
                self._origin = origin
        except NotAllowed:
            return self._refuse(b"403 Forbidden")
        except NoAnswer:
            return self._refuse(b"502 Bad Gateway")
        if is_connect:
            self._is_tunnel = True
            self._near.sendall(b"HTTP/1.1 200 OK" + _END)
            return True
        path = "/" + text.partition("://")[2].partition("/")[2]
        kept = re.sub(rb"(?im)^proxy-[^\r\n]*\r?\n", b"", fields + b"\r\n")
        self._body = int(_field(head, b"content-length") or 0)
        self._far.sendall(b"%b %b %b\r\n%b\r\n" % (method, path.encode("latin-1"), version, kept))
        return True

    def _refuse(self, status: bytes) -> bool:
        self._near.sendall(b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close" % status + _END)
        return False


def _field(head: bytes, name: bytes) -> bytes:
    found = re.search(rb"(?im)^%b:[ \t]*([^\r\n]*)" % name, head)
    return found[1].strip() if found else b""
