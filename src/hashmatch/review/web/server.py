"""Binds and serves the page: on this machine only, unless callers have to show who they are."""

from __future__ import annotations

import ipaddress
import os
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashmatch import registry
from hashmatch._files.private import read
from hashmatch.errors import HashmatchError, StoreError, UsageError
from hashmatch.records.enums import Surface
from hashmatch.review.web.app import application
from hashmatch.review.web.context import Context
from hashmatch.review.web.middleware import MAX_HEADERS, AccessPolicy
from hashmatch.review.web.pictures import Pictures

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    import uvicorn

    from hashmatch.review.queue import ReviewQueue

MIN_TOKEN = 32
"""Characters of a token; 32 hexadecimal ones are 128 bits."""
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
MAX_CONNECTIONS = 200
"""At a time, beyond which there is a 503."""


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the page is served, and who can reach it.

    Parameters
    ----------
    host : str
        An address of this machine.
    port : int
        0 for one that is free.
    names : tuple of str
        Host names of this server, ``review.example.org`` or ``review.example.org:8443``, where
        they are not its address: behind a proxy, or with TLS.
    token_file : str, optional
        A file, private to its owner, with a token that every request has to carry besides a log in.
    tls_cert, tls_key : str, optional
        PEM files to speak TLS with.
    client_ca : str, optional
        A PEM file: only browsers with a certificate by this authority are answered.
    pictures : tuple of str
        Locations below which pictures are fetched, whatever a record says; the first is the source
        of records that do not say theirs.
    allow_private : tuple of str
        Hosts and networks that may be asked for pictures though they are not public.

    Raises
    ------
    UsageError
        If others could reach it without showing who they are, or the options do not go together.

    Examples
    --------
    >>> Serving(host="0.0.0.0")
    Traceback (most recent call last):
    hashmatch.errors.UsageError: cannot serve on 0.0.0.0: others can reach it. Give --token-file ...
    """

    host: str = "127.0.0.1"
    port: int = 8470
    names: tuple[str, ...] = ()
    token_file: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    client_ca: str | None = None
    pictures: tuple[str, ...] = ()
    allow_private: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise UsageError("cannot speak TLS: give both --tls-cert and --tls-key")
        if self.client_ca and not self.tls_cert:
            raise UsageError("cannot check certificates without TLS. Give --tls-cert, --tls-key.")
        if not self.is_local and not (self.token_file or self.client_ca):
            raise UsageError(
                f"cannot serve on {self.host}: others can reach it. Give --token-file or "
                "--client-ca."
            )
        if not self.is_local and ipaddress.ip_address(self.host).is_unspecified and not self.names:
            raise UsageError(f"cannot serve on {self.host}: it is every address. Give --name HOST.")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            raise UsageError(
                f"cannot serve on {self.host!r}: it is no address. Give host names as --name HOST."
            ) from None

    @property
    def tls(self) -> bool:
        """Whether it speaks TLS."""
        return self.tls_cert is not None

    def access_policy(self, port: int) -> AccessPolicy:
        """Return which requests are accepted at a port; StoreError if others can read the token."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        names = {f"{name}:{port}" for name in (shown, *(LOCAL_NAMES if self.is_local else ()))}
        # A proxy may have another port, and browsers leave out the usual one.
        names |= {name.lower() for name in self.names}
        names |= {f"{name.lower()}:{port}" for name in self.names if ":" not in name}
        return AccessPolicy(frozenset(names), self._token(), self.tls)

    def _token(self) -> str:
        if self.token_file is None:
            return ""
        try:
            token = read(self.token_file, 4096, follow=True).decode().strip()
        except UnicodeDecodeError:
            token = ""
        except StoreError as error:
            raise StoreError(f"cannot read --token-file: {error}") from None
        if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable():
            raise StoreError(
                f"cannot use --token-file {self.token_file}: it has no token of at least "
                f"{MIN_TOKEN} letters and digits. Make one with openssl rand -hex 32."
            )
        return token

    def bound(self) -> socket.socket:
        """Return a socket that listens at the address; UsageError if it cannot."""
        import socket

        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((self.host, self.port))
            bound.listen()  # so that whoever is told the address can connect at once
        except OSError as error:
            bound.close()
            address = f"{self.host}:{self.port}"
            raise UsageError(f"cannot serve on {address}: {error.strerror}") from None
        return bound

    def server(self, queue: ReviewQueue, pictures: Pictures, port: int) -> uvicorn.Server:
        """Return a server of a queue, to be run with ``run([socket])``.

        No request is logged: paths have cases in them, and who looked at what is in the queue.
        UsageError if the TLS certificate or key cannot be used.
        """
        import uvicorn

        context = Context(queue, pictures, self.tls)
        config = uvicorn.Config(
            application(context, self.access_policy(port)),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=3,
            h11_max_incomplete_event_size=2 * MAX_HEADERS,
            ssl_certfile=self.tls_cert,
            ssl_keyfile=self.tls_key,
            ssl_ca_certs=self.client_ca,
            ssl_cert_reqs=ssl.CERT_REQUIRED if self.client_ca else ssl.CERT_NONE,
        )
        self._check_tls()
        config.load()
        return uvicorn.Server(config)

    def check_pictures(self) -> None:
        """Raise UsageError if there is no such source as one of `pictures` names."""
        try:
            for place in self.pictures:
                if "://" not in place and not os.path.exists(place):
                    raise UsageError(f"cannot find {place}")
                registry.open_source(
                    place, Surface.PUBLIC_POST, allow_private=self.allow_private
                ).close()
        except HashmatchError as error:
            raise UsageError(f"cannot use --pictures: {error}") from None

    def _check_tls(self) -> None:
        """Raise UsageError, which names the option, if a file for TLS cannot be used."""
        if self.tls_cert is None or self.tls_key is None:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        files = {"--tls-cert": self.tls_cert, "--tls-key": self.tls_key}
        if self.client_ca is not None:
            files["--client-ca"] = self.client_ca
        what = ""
        try:
            for option, path in files.items():
                what = f"{option} {path}"
                with open(path, "rb"):
                    pass
            what = f"--tls-cert {self.tls_cert}, --tls-key {self.tls_key}"
            context.load_cert_chain(self.tls_cert, self.tls_key)
            if self.client_ca is not None:
                what = f"--client-ca {self.client_ca}"
                context.load_verify_locations(self.client_ca)
        except OSError as error:  # of ssl too
            reason = getattr(error, "reason", None) or error.strerror or error
            raise UsageError(f"cannot speak TLS with {what}: {reason}") from None


def serve(
    serving: Serving, queue: ReviewQueue, started: Callable[[int], None] = lambda port: None
) -> None:
    """Serve a queue until the process is told to stop.

    Parameters
    ----------
    serving : Serving
        Address, and who can reach it.
    queue : ReviewQueue
        With the cases that are shown.
    started : callable
        Called with the port before the first request is answered.

    Raises
    ------
    UsageError
        If the address is taken, or `pictures` or a file for TLS cannot be used.
    StoreError
        If others can read the file with the token.
    """
    serving.check_pictures()
    with serving.bound() as listening:
        port = listening.getsockname()[1]
        pictures = Pictures(serving.pictures, allow_private=serving.allow_private)
        try:
            server = serving.server(queue, pictures, port)
            started(port)
            server.run([listening])
        finally:
            pictures.close()
