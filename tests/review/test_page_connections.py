"""Connections that say nothing, or too slowly, or never read: others are answered all the same."""

from __future__ import annotations

import logging
import resource
import socket
import ssl
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from certificates import certificates
from hashmatch.errors import ReviewError
from hashmatch.review.web import connections
from hashmatch.review.web.connections import Listener
from hashmatch.review.web.server import Serving
from processes import PATIENCE, wait_for
from review_pages import ReviewSite, Server, filled, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MANY = 500
KEY = "landscape-dusk.jpg"


@pytest.fixture(scope="module", autouse=True)
def _many_files() -> None:
    """Both ends of all connections are in this process."""
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = max(few, min(4 * MANY, most))
    resource.setrlimit(resource.RLIMIT_NOFILE, (enough, most))


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> str:
    return filled(tmp_path_factory.mktemp("page"), names=(KEY,))


@pytest.fixture
def site(queue: str) -> Iterator[ReviewSite]:
    with served(queue) as server:
        server.context.threads.deadline = PATIENCE  # that of pages is another matter
        yield ReviewSite(server)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("certificates")
    certificates(made)
    return made


@contextmanager
def connected(
    server: Server, number: int = MANY, sent: bytes = b""
) -> Iterator[list[socket.socket]]:
    """Open connections that send no more than this."""
    with ExitStack() as stack:
        opened = []
        for _ in range(number):
            opened.append(stack.enter_context(socket.create_connection(("127.0.0.1", server.port))))
            with suppress(OSError):  # it was cut already
                opened[-1].sendall(sent)
        yield opened


@contextmanager
def trickling(opened: list[socket.socket]) -> Iterator[None]:
    """Send a byte a second on each connection."""
    done = threading.Event()

    def send() -> None:
        while not done.is_set():
            time.sleep(1)
            for connection in opened:
                with suppress(OSError):
                    connection.send(b"x")

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(PATIENCE)


def head(server: Server, *lines: str, path: str = "/login") -> bytes:
    first = f"GET {path} HTTP/1.1" if not lines else f"POST {path} HTTP/1.1"
    host = f"127.0.0.1:{server.port}"
    return "\r\n".join([first, f"Host: {host}", f"Origin: http://{host}", *lines]).encode()


def quickest(ask: Callable[[], int]) -> float:
    """Return the seconds of the quickest answer, of which every one is a page.

    On a busy machine some are late for other reasons: then it asks more often.
    """
    taken = [float("inf")]
    while len(taken) <= 4 or (min(taken) >= 1 and len(taken) < 20):
        began = time.monotonic()
        assert ask() == 200
        taken.append(time.monotonic() - began)
    return min(taken)


WAYS: dict[str, Callable[[Server], bytes]] = {
    "silent": lambda server: b"",
    "half a head": lambda server: head(server) + b"\r\nX-Slow: ",
    "half a body": lambda server: (
        head(
            server,
            "Content-Type: application/x-www-form-urlencoded",
            "Content-Length: 30000",
        )
        + b"\r\n\r\ncsrf="
    ),
    "never read": lambda server: (head(server, path="/static/page.css") + b"\r\n\r\n") * 8,
    "answered and idle": lambda server: head(server, path="/static/icon.svg") + b"\r\n\r\n",
}


@pytest.mark.parametrize("way", WAYS)
def test_500_who_keep_it_waiting_keep_nobody_else_waiting(site: ReviewSite, way: str) -> None:
    browser = site.browser("ana")
    with connected(site.server, MANY, WAYS[way](site.server)) as opened, trickling(opened):
        assert quickest(lambda: site.browser().get("/login").status) < 1
        time.sleep(1.5)  # until something has trickled
        assert quickest(lambda: browser.get("/").status) < 1
        assert site.server.queue.reviewers.list()
        listener = site.server.listener
        assert len(listener.connections) <= listener.limit


def test_500_who_never_begin_tls_keep_nobody_else_waiting(
    queue: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    serving = Serving(
        port=0, tls_cert=str(folder / "server.pem"), tls_key=str(folder / "server.key")
    )
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))

    with served(queue, serving) as server:

        def ask() -> int:
            with (
                socket.create_connection(("127.0.0.1", server.port), PATIENCE) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as link,
            ):
                request = f"GET /login HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n"
                link.sendall(request.encode())
                return int(link.recv(4096).split()[1])

        with connected(server) as opened:
            assert quickest(ask) < 1
        with connected(server, MANY, b"\x16\x03\x01") as opened, trickling(opened):
            assert quickest(ask) < 1
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def ends(connection: socket.socket) -> bytes:
    """Return what comes until the other side ends the connection."""
    connection.settimeout(PATIENCE)
    got = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            got += part
    return got


@pytest.mark.parametrize("way", ["silent", "half a head", "half a body", "answered and idle"])
def test_who_sends_too_slowly_is_cut(
    site: ReviewSite, way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("HEAD_DEADLINE", "BODY_DEADLINE", "KEEP_ALIVE"):
        monkeypatch.setattr(connections, name, 1.1)  # longer than between two bytes
    with connected(site.server, 1, WAYS[way](site.server)) as opened, trickling(opened):
        answer = ends(opened[0])
    assert (b"200 OK" in answer) == (way == "answered and idle")
    wait_for(lambda: not site.server.listener.connections)
    assert caplog.text == ""


def test_who_never_reads_is_cut(
    site: ReviewSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "ANSWER_DEADLINE", 0.5)
    request = head(site.server, path="/static/page.css") + b"\r\n\r\n"
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", site.server.port))
        deaf.settimeout(PATIENCE)
        with suppress(BrokenPipeError, ConnectionResetError):
            while True:
                deaf.sendall(request)
        wait_for(lambda: not site.server.listener.connections)
    assert caplog.text == ""


def test_who_is_being_answered_is_never_cut(
    site: ReviewSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HEAD_DEADLINE", "BODY_DEADLINE", "KEEP_ALIVE", "ANSWER_DEADLINE"):
        monkeypatch.setattr(connections, name, 0.4)
    browser = site.browser("ana")
    begun, go_on = threading.Event(), threading.Event()

    def slowly(case_id: str) -> None:
        begun.set()
        go_on.wait(PATIENCE)
        raise ReviewError("there is no such case")

    monkeypatch.setattr(site.server.queue, "case", slowly)
    site.server.listener.limit = 5
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(browser.get("/case/x-1").status))
    thread.start()
    assert begun.wait(PATIENCE)
    with connected(site.server, 50):
        time.sleep(1)
    go_on.set()
    thread.join(PATIENCE)
    assert statuses == [409]


def test_the_largest_crowd_makes_room_for_the_others(site: ReviewSite) -> None:
    """Each loopback address is one network, as each customer of a provider is."""
    site.server.listener.limit = 10
    port = site.server.port
    with ExitStack() as stack:

        def connect(address: str) -> socket.socket:
            made = socket.create_connection(("127.0.0.1", port), PATIENCE, (address, 0))
            return stack.enter_context(made)

        alone = [connect("127.0.0.2"), connect("127.0.0.3")]
        crowd = [connect("127.0.0.9") for _ in range(30)]
        expected = {one.getsockname() for one in [*alone, *crowd[-8:]]}
        wait_for(lambda: set(site.server.listener.connections) == expected)
        for one in crowd[:22]:
            assert ends(one) == b""


def test_connections_are_forgotten_when_they_end(site: ReviewSite) -> None:
    for _ in range(5):
        with connected(site.server, 20):
            pass
    with connected(site.server, 20, b"\x00\r\n\r\n") as opened:
        for connection in opened:
            assert ends(connection).startswith(b"HTTP/1.1 400")
    wait_for(lambda: not site.server.listener.connections)


def test_there_are_fewer_where_few_files_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, limit in ((1024, 341), (256, 85), (20_000, 500), (resource.RLIM_INFINITY, 500)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        with Listener(socket.AF_INET) as listener:
            assert listener.limit == limit
            assert listener.accepted_at_once == limit // 10


def test_requests_as_other_clients_send_them(site: ReviewSite) -> None:
    """HTTP/1.0, several at once on one connection, a body that waits to be asked for."""
    host = f"Host: 127.0.0.1:{site.server.port}\r\n"
    with connected(site.server, 1, f"GET /login HTTP/1.0\r\n{host}\r\n".encode()) as (old,):
        assert b" 200 " in ends(old).splitlines()[0]
    one = f"GET /static/icon.svg HTTP/1.1\r\n{host}".encode()
    pipelined = (one + b"\r\n") * 30 + one + b"Connection: close\r\n\r\n"
    with connected(site.server, 1, pipelined) as (many,):
        assert ends(many).count(b"HTTP/1.1 200") == 31
    form = ["Content-Type: application/x-www-form-urlencoded", "Connection: close"]
    waits = head(site.server, *form, "Content-Length: 6", "Expect: 100-continue") + b"\r\n\r\n"
    with connected(site.server, 1, waits) as (polite,):
        polite.settimeout(PATIENCE)
        assert polite.recv(100).startswith(b"HTTP/1.1 100")
        polite.sendall(b"csrf=x")
        assert ends(polite).startswith(b"HTTP/1.1 403")
    chunked = head(site.server, *form, "Transfer-Encoding: chunked") + b"\r\n\r\n"
    pieces = b"3\r\ncsr\r\n3\r\nf=x\r\n0\r\n\r\n"
    with connected(site.server, 1, chunked + pieces) as (chunky,):
        assert ends(chunky).startswith(b"HTTP/1.1 403")
