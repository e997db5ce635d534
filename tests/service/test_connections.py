"""Connections that are silent, slow, or too many."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from hashmatch.service import connections
from hashmatch.service.connections import Protocol
from hashmatch.service.http import Response
from processes import PATIENCE, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

BIG = b"x" * 2**24


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, and answer."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await Response(BIG if scope["path"] == "/big" else b"ok").send(send)


@contextmanager
def serving() -> Iterator[int]:
    config = uvicorn.Config(
        answer, http=Protocol, ws="none", loop="uvloop", lifespan="off", log_level="critical"
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        wait_for(lambda: server.started)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = server.force_exit = True
            thread.join(PATIENCE)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def is_ended(connection: socket.socket) -> bool:
    """Wait until the server ends it; False if it says something instead."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def ask(connection: socket.socket, path: str = "/") -> bytes:
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    return connection.recv(65536)


@pytest.mark.parametrize(
    "said",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nab"],
)
def test_who_does_not_finish_a_request_is_cut(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.5)
    with serving() as port, connect(port) as slow:
        slow.sendall(said)
        assert is_ended(slow)


def test_a_byte_now_and_then_is_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte ends the timeout of idle connections, and not this one."""
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.5)
    with serving() as port, connect(port) as slow:
        assert ask(slow).startswith(b"HTTP/1.1 200")
        slow.sendall(b"GET / HTTP/1.1\r\n")

        def send() -> bool:
            try:
                slow.sendall(b"X: y\r\n")
            except OSError:
                return True
            return False

        wait_for(send)


def test_a_connection_that_asks_again_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.2)
    with serving() as port, connect(port) as kept:
        for _ in range(4):
            assert ask(kept).startswith(b"HTTP/1.1 200")
            time.sleep(0.1)  # twice the deadline in all: it counts from a request's first byte


def test_who_does_not_read_the_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.5)
    with serving() as port, connect(port) as slow:
        slow.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(1.5)  # the kernel holds a part of it
        read = 0
        try:
            while part := slow.recv(2**20):
                read += len(part)
        except ConnectionError:
            pass
        assert read < len(BIG)


def test_silent_connections_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Protocol, "limit", 5)
    with serving() as port:
        silent = [connect(port) for _ in range(5)]
        with connect(port) as sixth:
            assert ask(sixth).startswith(b"HTTP/1.1 200")
            assert is_ended(silent[0])
            silent[4].sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert silent[4].recv(65536).startswith(b"HTTP/1.1 200")
        for each in silent:
            each.close()
