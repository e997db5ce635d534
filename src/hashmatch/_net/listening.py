"""Where a server listens, and with which certificate: the same rules for every one of ours."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from typing import TypeVar

from hashmatch.errors import UsageError

LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
S = TypeVar("S", bound=socket.socket)


def is_loopback(host: str) -> bool:
    """Return whether an address is of this machine alone; ValueError if it is no address."""
    return host == "localhost" or ipaddress.ip_address(host).is_loopback


def family(host: str) -> socket.AddressFamily:
    """Return the family of sockets that an address takes."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def in_url(host: str) -> str:
    """Return an address as URLs and the Host header have it."""
    return f"[{host}]" if ":" in host else host


def listening(unbound: S, host: str, port: int, backlog: int | None = None) -> S:
    """Bind a socket and listen, so that a client can connect as soon as it knows the address.

    UsageError if the address cannot be had; the socket is closed then.
    """
    unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        unbound.bind((host, port))
        unbound.listen(*(() if backlog is None else (backlog,)))
    except OSError as error:
        unbound.close()
        raise UsageError(
            f"cannot serve on {host}:{port}: {error.strerror}. Give another --port or --host."
        ) from None
    return unbound


def check_options(cert: str | None, key: str | None, client_ca: str | None) -> None:
    """Raise UsageError unless the files of TLS that are given go together."""
    if bool(cert) != bool(key):
        raise UsageError("cannot speak TLS: give both --tls-cert and --tls-key")
    if client_ca and not cert:
        raise UsageError("cannot check certificates without TLS. Give --tls-cert, --tls-key.")


def check_files(cert: str | None, key: str | None, client_ca: str | None) -> None:
    """Raise UsageError, which names the option, if a file for TLS cannot be used."""
    if cert is None or key is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = {"--tls-cert": cert, "--tls-key": key}
    if client_ca is not None:
        files["--client-ca"] = client_ca
    what = ""
    try:
        for option, path in files.items():
            what = f"{option} {path}"
            with open(path, "rb"):
                pass
        what = f"--tls-cert {cert}, --tls-key {key}"
        context.load_cert_chain(cert, key)
        if client_ca is not None:
            what = f"--client-ca {client_ca}"
            context.load_verify_locations(client_ca)
    except OSError as error:  # of ssl too
        reason = getattr(error, "reason", None) or error.strerror or error
        raise UsageError(f"cannot speak TLS with {what}: {reason}") from None
