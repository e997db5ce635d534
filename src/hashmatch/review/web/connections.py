"""Connections to the page: how many there are, and for how long a client may keep one waiting.

uvicorn has a limit to idle time only, which any byte resets, and one to connections, beyond which
everybody gets a 503. Here every connection has a deadline by which its next request is complete,
from the moment it is accepted, TLS included; and where there are too many, the one idle
longest is closed, so that silent connections never keep out those that speak.
"""

from __future__ import annotations

import asyncio
import ipaddress
import resource
import socket
import struct
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_CONNECTIONS = 500
"""At a time; fewer where the process may have few files open."""
BACKLOG = 512
"""Connections that the kernel holds until they are accepted."""
HEAD_DEADLINE = 10.0
"""Seconds from accepting a connection until the head of its first request is complete."""
BODY_DEADLINE = 10.0
"""Seconds from the head of a request until its body is complete."""
KEEP_ALIVE = 30.0
"""Seconds after an answer until the next request begins; its head has `HEAD_DEADLINE` more."""
ANSWER_DEADLINE = 30.0
"""Seconds until a client has read so much of an answer that the next part can be written."""


class Connection(socket.socket):
    """An accepted connection, which is cut if its client keeps the server waiting for too long.

    `since` is when the server began to wait (monotonic clock); it is None while it is the client
    who waits, for an answer.
    """

    def __init__(self, listener: Listener, fileno: int, address: tuple[Any, ...]) -> None:
        super().__init__(fileno=fileno)
        self._listener = listener
        self._timer: asyncio.TimerHandle | None = None
        self.client: tuple[str, int] = address[:2]  # IPv6 has two more
        self.network = network_of(self.client[0])
        self.since: float | None = None

    def wait(self, seconds: float, since: float | None = None) -> None:
        """Wait for the client, from now on or `since`; `seconds` later, the connection is cut."""
        self.work()
        now = time.monotonic()
        self.since = now if since is None else since
        delay = self.since + seconds - now
        self._timer = asyncio.get_running_loop().call_later(delay, self.cut)

    def work(self) -> None:
        """Stop waiting: it is the server's turn."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.since = None

    @property
    def has_spoken(self) -> bool:
        """Whether something is there that was not read."""
        try:
            return self.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except OSError:
            return False

    def cut(self) -> None:
        """End the connection without a word; the event loop, which sees its end, closes it."""
        self._forget()
        with suppress(OSError):  # it has ended already
            # What it has not read is dropped: the kernel would try to deliver it for minutes.
            self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it, which the event loop does."""
        self._forget()
        super().close()

    def _forget(self) -> None:
        self.work()
        if self._listener.connections.get(self.client) is self:
            del self._listener.connections[self.client]


class Listener(socket.socket):
    """A listening socket that knows its open connections, by their clients, and bounds them.

    Parameters
    ----------
    family : socket.AddressFamily
        AF_INET or AF_INET6.

    Attributes
    ----------
    limit : int
        Connections at a time: `MAX_CONNECTIONS`, or a third of the files that the process may have
        open if that is less.
    accepted_at_once : int
        In one turn of the event loop. A tenth of `limit`: a connection lives for several turns
        before its request is read, and must not have to make room for what comes meanwhile.
    connections : dict
        Those that are open, by address and port of the client.
    """

    def __init__(self, family: socket.AddressFamily) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        unlimited = files == resource.RLIM_INFINITY
        self.limit = MAX_CONNECTIONS if unlimited else min(MAX_CONNECTIONS, files // 3)
        self.accepted_at_once = max(1, self.limit // 10)
        self.connections: dict[tuple[str, int], Connection] = {}

    def listen(self, backlog: int = BACKLOG, /) -> None:
        """Listen; asyncio, which has one number for how many wait and are accepted, has no say."""
        super().listen(BACKLOG)

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection, in the event loop; if that is one too many, cut another."""
        plain, address = super().accept()
        connection = Connection(self, plain.detach(), address)
        self.connections[connection.client] = connection
        connection.wait(HEAD_DEADLINE)
        if len(self.connections) > self.limit:
            self._to_cut().cut()
        return connection, address

    def _to_cut(self) -> Connection:
        """Return who makes room: of the network with most who are waited for, the longest so.

        A network alone would not do, since behind a proxy everybody has the same. Whose words are
        there to be read has spoken. The latest one is there in any case: if all others are being
        answered, it is refused.
        """
        waited_for = [(c, c.since) for c in self.connections.values() if c.since is not None]
        crowds = Counter(connection.network for connection, _ in waited_for)
        waited_for.sort(key=lambda pair: (-crowds[pair[0].network], pair[1]))
        silent = (connection for connection, _ in waited_for if not connection.has_spoken)
        return next(silent, waited_for[0][0])


class ConnectionMiddleware:
    """An ASGI application that tells connections whose turn it is."""

    def __init__(self, app: ASGIApp, listener: Listener) -> None:
        self.app = app
        self._connections = listener.connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whose head is complete."""
        client = scope.get("client")
        connection = self._connections.get(tuple(client)) if client else None
        if connection is None:  # the start and end of the server, or a client that is gone
            await self.app(scope, receive, send)
            return
        connection.work()
        began, whole, answered = time.monotonic(), False, False

        async def received() -> Message:
            nonlocal whole
            if whole:
                return await receive()
            connection.wait(BODY_DEADLINE, began)
            message = await receive()
            connection.work()
            whole = not message.get("more_body", False)
            return message

        async def sent(message: Message) -> None:
            nonlocal answered
            connection.wait(ANSWER_DEADLINE)
            await send(message)
            connection.work()
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                answered = True
                connection.wait(KEEP_ALIVE + HEAD_DEADLINE)

        try:
            await self.app(scope, received, sent)
        finally:
            if not answered:  # uvicorn ends it; the client must not keep it from that
                connection.wait(HEAD_DEADLINE)


def network_of(address: str) -> str:
    """Return what one customer of a provider has: an IPv4 address, or an IPv6 network of /64.

    Examples
    --------
    >>> network_of("2001:db8:1:2:3::4"), network_of("::ffff:192.0.2.7"), network_of("192.0.2.7")
    ('2001:db8:1:2::', '192.0.2.7', '192.0.2.7')
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64))
