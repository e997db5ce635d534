"""Binds the page to an address, this machine's own unless callers have to show who they are."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashmatch._files.private import read
from hashmatch.errors import StoreError, UsageError
from hashmatch.review.web.app import application
from hashmatch.review.web.context import Place
from hashmatch.review.web.middleware import MOST_HEADERS, Door
from hashmatch.review.web.pictures import Pictures

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    import uvicorn

    from hashmatch.review.queue import ReviewQueue

SHORTEST_TOKEN = 32
"""Characters of a token; 32 hexadecimal ones are 128 bits."""
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
BUSY = 200
"""Connections at a time, beyond which there is a 503."""


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the page is served, and to whom.

    Parameters
    ----------
    host : str
        An address of this machine.
    port : int
        0 for one that is free.
    names : tuple of str
        What people call this server, ``review.example.org`` or ``review.example.org:8443``, where
        that is not its address: behind a proxy, or with TLS.
    token_file : str, optional
        A file, private to its owner, with what every request has to bring besides a log in.
    tls_cert, tls_key : str, optional
        PEM files to speak TLS with.
    client_ca : str, optional
        A PEM file: only browsers with a certificate by this authority are answered.
    pictures : str
        The source of records that do not say theirs.

    Raises
    ------
    UsageError
        If others could reach it without showing who they are, or the options do not go together.

    Examples
    --------
    >>> Serving(host="0.0.0.0")
    Traceback (most recent call last):
    hashmatch.errors.UsageError: 0.0.0.0 can be reached by others: give --token-file or --client-ca
    """

    host: str = "127.0.0.1"
    port: int = 8470
    names: tuple[str, ...] = ()
    token_file: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    client_ca: str | None = None
    pictures: str = ""

    def __post_init__(self) -> None:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise UsageError("a TLS certificate and its key are given together")
        if self.client_ca and not self.tls_cert:
            raise UsageError("certificates of browsers need TLS: give --tls-cert and --tls-key too")
        if not self.is_local and not (self.token_file or self.client_ca):
            raise UsageError(
                f"{self.host} can be reached by others: give --token-file or --client-ca"
            )
        if not self.is_local and ipaddress.ip_address(self.host).is_unspecified and not self.names:
            raise UsageError(f"{self.host} is every address: give --name, what people call it")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            raise UsageError(
                f"{self.host!r} is no address; what people call it is --name"
            ) from None

    @property
    def tls(self) -> bool:
        """Whether it speaks TLS."""
        return self.tls_cert is not None

    def door(self, port: int) -> Door:
        """Return who is let in at a port.

        Raises
        ------
        StoreError
            If others can read the file with the token.
        """
        shown = f"[{self.host}]" if ":" in self.host else self.host
        names = {f"{name}:{port}" for name in (shown, *(LOCAL_NAMES if self.is_local else ()))}
        # A proxy may have another port, and browsers leave out the usual one.
        names |= {name.lower() for name in self.names}
        names |= {f"{name.lower()}:{port}" for name in self.names if ":" not in name}
        return Door(frozenset(names), self._token(), self.tls)

    def _token(self) -> str:
        if self.token_file is None:
            return ""
        try:
            token = read(self.token_file, 4096, follow=True).decode().strip()
        except UnicodeDecodeError:
            token = ""
        if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
            raise StoreError(
                f"{self.token_file} has no token: at least {SHORTEST_TOKEN} letters and digits, "
                "as openssl rand -hex 32 makes them"
            )
        return token

    def bound(self) -> socket.socket:
        """Return a socket that listens at the address.

        Raises
        ------
        UsageError
            If it is taken, or not this machine's.
        """
        import socket

        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((self.host, self.port))
            made.listen()  # so that whoever is told the address can connect at once
        except OSError as error:
            made.close()
            raise UsageError(f"{self.host}:{self.port} cannot be bound: {error.strerror}") from None
        return made

    def server(self, queue: ReviewQueue, pictures: Pictures, port: int) -> uvicorn.Server:
        """Return what serves a queue; run it with ``run([socket])``.

        No request is logged: paths have cases in them, and who looked at what is in the queue.
        """
        import uvicorn

        place = Place(queue, pictures, self.tls)
        config = uvicorn.Config(
            application(place, self.door(port)),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=BUSY,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=3,
            h11_max_incomplete_event_size=2 * MOST_HEADERS,
            ssl_certfile=self.tls_cert,
            ssl_keyfile=self.tls_key,
            ssl_ca_certs=self.client_ca,
            ssl_cert_reqs=ssl.CERT_REQUIRED if self.client_ca else ssl.CERT_NONE,
        )
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"the TLS certificate or key cannot be used: {reason}") from None
        return uvicorn.Server(config)


def serve(
    serving: Serving, queue: ReviewQueue, started: Callable[[int], None] = lambda port: None
) -> None:
    """Serve a queue until the process is told to stop.

    Parameters
    ----------
    serving : Serving
        Where, and to whom.
    queue : ReviewQueue
        What.
    started : callable
        Told the port before the first request is answered.
    """
    with serving.bound() as listening:
        port = listening.getsockname()[1]
        pictures = Pictures(serving.pictures)
        try:
            server = serving.server(queue, pictures, port)
            started(port)
            server.run([listening])
        finally:
            pictures.close()
