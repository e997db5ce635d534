"""The proxy inside of the process serves its own client, and connects to whom it was told."""

from __future__ import annotations

import socket
from base64 import b64encode
from contextlib import closing, suppress
from urllib.parse import urlsplit

import pytest

from hashmatch._net.addresses import Allowed, Origin
from hashmatch._net.client import Dialer
from hashmatch._net.forwarder import MAX_HEAD, Forwarder
from processes import PATIENCE
from webhook_server import receiving


def ask(forwarder: Forwarder, line: str, *fields: str, password: bool = True) -> bytes:
    """Return all that is answered to one request."""
    parts = urlsplit(forwarder.url)
    user = b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    given = [f"Proxy-Authorization: Basic {user}"] if password else []
    with socket.create_connection(("127.0.0.1", parts.port or 0), PATIENCE) as link:
        link.sendall("\r\n".join([line, *fields, *given, "", ""]).encode())
        answer = b""
        while data := link.recv(65536):
            answer += data
        return answer


@pytest.mark.parametrize(
    ("line", "fields", "status"),
    [
        ("GET http://127.0.0.1:1/ HTTP/1.1", [], b"403"),
        ("CONNECT 127.0.0.1:{port} HTTP/1.1", [], b"403"),  # of https, which it was not told
        ("CONNECT 169.254.169.254:80 HTTP/1.1", [], b"403"),
        ("GET http://127.0.0.2:{port}/ HTTP/1.1", ["Metadata: true"], b"403"),
        ("GET http://127.0.0.1:{service}/ HTTP/1.1", [], b"403"),
        ("GET http://127.0.0.1:{service}/ HTTP/1.1", ["Metadata-Flavor: Google"], b"202"),
        ("GET http://127.0.0.1:{port}/a?b HTTP/1.1", [], b"202"),
        ("GET https://127.0.0.1:{port}/ HTTP/1.1", [], b"400"),
        ("GET /a HTTP/1.1", [], b"400"),
        ("GET http://user@127.0.0.1:{port}/ HTTP/1.1", [], b"400"),
    ],
)
def test_whom_it_connects_to(line: str, fields: list[str], status: bytes) -> None:
    with receiving() as receiver, receiving() as service:
        base, asked = Origin.parse(receiver.url), Origin.parse(service.url)
        with closing(Forwarder(Dialer(Allowed()), [base], [asked])) as forwarder:
            text = line.format(port=base.port, service=asked.port)
            refused = ask(forwarder, text, *fields, password=False)
            assert refused.startswith(b"HTTP/1.1 407 ")
            assert receiver.requests == service.requests == []
            assert ask(forwarder, text, *fields).startswith(b"HTTP/1.1 " + status)
    came = receiver.requests + service.requests
    assert len(came) == (status == b"202")
    assert all("proxy-authorization" not in headers for _, headers, _ in came)
    assert all(first.split(" ")[1].startswith("/") for first, _, _ in came)


def test_a_head_without_end_is_not_kept() -> None:
    with closing(Forwarder(Dialer(Allowed()), [])) as forwarder:
        port = urlsplit(forwarder.url).port or 0
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as link:
            link.sendall(b"x" * (MAX_HEAD + 1))
            with suppress(ConnectionResetError):  # of what it did not read
                assert link.recv(10) == b""
