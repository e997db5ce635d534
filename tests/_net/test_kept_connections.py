"""A connection that was kept, and that the server closed meanwhile, costs no request."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from hashmatch._net.addresses import Allowed, Origin
from hashmatch._net.client import Client, Dialer, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers some requests on each connection, and cuts off the next as soon as it has come."""

    def __init__(self, answered: list[int]) -> None:
        self.answered = answered
        self.requests: list[bytes] = []
        self.listening = socket.create_server(("127.0.0.1", 0))

    def run(self) -> None:
        for count in self.answered:
            try:
                link, _ = self.listening.accept()
            except OSError:
                return
            with link:
                for _ in range(count):
                    if not self._request(link):
                        break
                    link.sendall(ANSWER)
                else:
                    self._request(link)  # it has come, and is not answered

    def _request(self, link: socket.socket) -> bool:
        head = b""
        while b"\r\n\r\n" not in head:
            part = link.recv(1)
            if not part:
                return False
            head += part
        _, _, length = head.lower().partition(b"content-length: ")
        body = link.recv(int(length.split()[0]), socket.MSG_WAITALL) if length else b""
        self.requests.append(head.split()[1] + body)
        return True


@contextmanager
def serving(*answered: int) -> Iterator[tuple[Server, Client]]:
    server = Server(list(answered))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    port = server.listening.getsockname()[1]
    client = Client(Origin.parse(f"http://127.0.0.1:{port}"), Dialer(Allowed.parse(())))
    try:
        yield server, client
    finally:
        client.close()
        server.listening.close()


def ask(client: Client, target: str, body: bytes = b"") -> bytes | None:
    with client.send("POST" if body else "GET", target, {}, body) as answer:
        return answer.body(100)


def test_what_a_kept_connection_lost_is_asked_over_a_new_one() -> None:
    with serving(1, 1) as (server, client):
        assert ask(client, "/1") == b"ok"
        assert ask(client, "/2", b"body") == b"ok"
    assert server.requests == [b"/1", b"/2body", b"/2body"]


def test_a_new_connection_that_is_cut_off_is_no_answer() -> None:
    with serving(0, 1) as (server, client), pytest.raises(NoAnswer):
        ask(client, "/1")
    assert server.requests == [b"/1"]


def test_it_is_asked_once_more_and_not_again() -> None:
    with serving(1, 0, 1) as (server, client):
        assert ask(client, "/1") == b"ok"
        with pytest.raises(NoAnswer):
            ask(client, "/2")
    assert server.requests == [b"/1", b"/2", b"/2"]
