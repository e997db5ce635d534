"""Binds and serves the page: on this machine only, unless callers have to show who they are."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hashmatch import registry
from hashmatch._files.private import check_private, read
from hashmatch._net.listening import (
    LOCAL_NAMES,
    check_files,
    check_options,
    family,
    in_url,
    is_loopback,
    listening,
)
from hashmatch.errors import HashmatchError, StoreError, UsageError
from hashmatch.records.enums import Surface
from hashmatch.records.safeguards import Safeguard, waive
from hashmatch.review.web.app import application
from hashmatch.review.web.connections import KEEP_ALIVE, ConnectionMiddleware, Listener
from hashmatch.review.web.context import Context
from hashmatch.review.web.middleware import MAX_HEADERS, AccessPolicy
from hashmatch.review.web.pictures import Pictures

if TYPE_CHECKING:
    from collections.abc import Callable

    import uvicorn

    from hashmatch.review.queue import ReviewQueue

MIN_TOKEN = 32
"""Characters of a token; 32 hexadecimal ones are 128 bits."""
DEFAULT_PORTS = {"http": 80, "https": 443}
NAME = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?\Z",
    re.IGNORECASE,
)


class Name(NamedTuple):
    """What people call the server: `scheme` is "" and `port` None where that was not said."""

    scheme: str
    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Name:
        """Read ``[https://]HOST[:PORT]``; UsageError if it is not that."""
        match = NAME.match(text)
        if match is None or int(match["port"] or 0) > 65535:
            raise UsageError(
                f"cannot serve as {text!r}: it is no host name. Give --name review.example.org, "
                "or --name https://review.example.org behind a proxy that speaks TLS."
            )
        port = int(match["port"]) if match["port"] else None
        return cls((match["scheme"] or "").lower(), match["host"].lower(), port)

    @property
    def is_local(self) -> bool:
        """Whether it is one by which a machine calls itself."""
        with suppress(ValueError):
            return is_loopback(self.host.strip("[]"))
        return False


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
        they are not its address. ``https://review.example.org`` is one behind a proxy that speaks
        TLS: it is then reached by such names only.
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
    drafts : str, optional
        A folder with folders of drafts, private to its owner: reviewers read and sign them.

    Raises
    ------
    UsageError
        If others could reach it without showing who they are, or without TLS where that was not
        allowed, or the options do not go together.

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
    drafts: str | None = None

    def __post_init__(self) -> None:
        check_options(self.tls_cert, self.tls_key, self.client_ca)
        if not self.is_local and not (self.token_file or self.client_ca):
            raise UsageError(
                f"cannot serve on {self.host}: others can reach it. Give --token-file or "
                "--client-ca."
            )
        if not self.is_local and ipaddress.ip_address(self.host).is_unspecified and not self.names:
            raise UsageError(f"cannot serve on {self.host}: it is every address. Give --name HOST.")
        self._check_encrypted()

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return is_loopback(self.host)
        except ValueError:
            raise UsageError(
                f"cannot serve on {self.host!r}: it is no address. Give host names as --name HOST."
            ) from None

    @property
    def tls(self) -> bool:
        """Whether browsers speak TLS, with this server or with a proxy before it."""
        return self.speaks_tls or any(name.scheme == "https" for name in self._names)

    @property
    def speaks_tls(self) -> bool:
        """Whether this server speaks TLS itself."""
        return self.tls_cert is not None

    def origins(self, port: int) -> frozenset[str]:
        """Return the origins by which browsers reach it at a port, as they write them.

        A port that is usual for the scheme is left out. A proxy may have another port than this
        server, so that a name without one has both.
        """
        scheme = "https" if self.tls else "http"
        usual = DEFAULT_PORTS[scheme]
        places = {(name.host, name.port or usual) for name in self._names}
        if self.speaks_tls or not self.tls:
            places |= {(name.host, port) for name in self._names if name.port is None}
            own = in_url(self.host)
            places |= {(host, port) for host in (own, *(LOCAL_NAMES if self.is_local else ()))}
        return frozenset(
            f"{scheme}://{host}" + ("" if at == usual else f":{at}") for host, at in places
        )

    def access_policy(self, port: int) -> AccessPolicy:
        """Return which requests are accepted at a port; StoreError if others can read the token."""
        return AccessPolicy(self.origins(port), self._token(), self.tls)

    @property
    def _names(self) -> tuple[Name, ...]:
        return tuple(Name.parse(name) for name in self.names)

    def _check_encrypted(self) -> None:
        """Refuse what others would reach by plain http, unless that is allowed by name."""
        named = list(zip(self.names, self._names, strict=True))
        if self.tls:
            schemes = {"", "https"} if self.speaks_tls else {"https"}
            for text, name in named:
                if name.scheme not in schemes:
                    raise UsageError(
                        f"cannot serve as {text}: the page is served with TLS. "
                        f"Give --name https://{text.removeprefix('http://')}."
                    )
            return
        ways = [] if self.is_local else [f"serve on {self.host}"]
        ways += [f"serve as {text}" for text, name in named if not name.is_local]
        if ways:
            waive(
                Safeguard.TLS,
                ways[0],
                "the page is plain http, and others can read log-ins and pictures on the way",
                error=UsageError,
                advice="Give --tls-cert and --tls-key, or --name https://HOST with a TLS proxy",
            )

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

    def bound(self) -> Listener:
        """Return a socket that listens at the address; UsageError if it cannot."""
        return listening(Listener(family(self.host)), self.host, self.port)

    def server(self, queue: ReviewQueue, pictures: Pictures, listener: Listener) -> uvicorn.Server:
        """Return a server of a queue, to be run with ``run([listener])``.

        No request is logged: paths have cases in them, and who looked at what is in the queue.
        UsageError if the TLS certificate or key cannot be used.
        """
        import uvicorn

        context = Context(queue, pictures, self.tls, drafts=self.drafts)
        policy = self.access_policy(listener.getsockname()[1])
        config = uvicorn.Config(
            ConnectionMiddleware(application(context, policy), listener),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_level="error",  # warnings are of what strangers send
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=listener.accepted_at_once,
            timeout_keep_alive=int(KEEP_ALIVE),
            timeout_graceful_shutdown=3,
            h11_max_incomplete_event_size=2 * MAX_HEADERS,
            ssl_certfile=self.tls_cert,
            ssl_keyfile=self.tls_key,
            ssl_ca_certs=self.client_ca,
            ssl_cert_reqs=ssl.CERT_REQUIRED if self.client_ca else ssl.CERT_NONE,
        )
        check_files(self.tls_cert, self.tls_key, self.client_ca)
        config.load()
        return uvicorn.Server(config)

    def check_drafts(self) -> None:
        """Raise StoreError if the folder of drafts is not there, or others may enter it."""
        if self.drafts is not None:
            check_private(self.drafts)

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


def serve(
    serving: Serving, queue: ReviewQueue, started: Callable[[int], None] = lambda port: None
) -> None:
    """Serve a queue until the process is stopped.

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
    serving.check_drafts()
    with serving.bound() as bound:
        pictures = Pictures(serving.pictures, allow_private=serving.allow_private)
        try:
            server = serving.server(queue, pictures, bound)
            started(bound.getsockname()[1])
            server.run([bound])
        finally:
            pictures.close()
