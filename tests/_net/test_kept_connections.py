"""Which connections are kept for another request."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from hashmatch._net.addresses import Allowed, Origin
from hashmatch._net.client import Client, Dialer

if TYPE_CHECKING:
    from collections.abc import Iterator


class Handler(BaseHTTPRequestHandler):
    """Answers, keeps the connection open whatever it was told, and notes which one it was."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.connections.append(self.client_address[1])
        self.send_response(307)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.close_connection = False

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.connections: list[int] = []


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def used(server: Server, headers: dict[str, str]) -> int:
    """Return over how many connections three requests come."""
    client = Client(
        Origin.parse(f"http://127.0.0.1:{server.server_port}"), Dialer(Allowed.parse(()))
    )
    for _ in range(3):
        with client.send("GET", "/", headers) as answer:
            assert answer.body(100) == b""
    client.close()
    return len(set(server.connections))


def test_a_connection_is_kept(server: Server) -> None:
    assert used(server, {}) == 1


def test_one_that_the_server_was_told_to_close_is_not_used_again(server: Server) -> None:
    """The server may close it just when the next request is sent, which would then be lost."""
    assert used(server, {"Connection": "close"}) == 3
