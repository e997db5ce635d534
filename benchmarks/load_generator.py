"""Asks an HTTP server over loopback, as fast as it answers or at a rate: the second process.

Small on purpose: it shares the machine with what it measures. Requests are bytes made beforehand,
sockets are asked with epoll, and of an answer only status, length and what is compared is read.
"""

from __future__ import annotations

import multiprocessing
import select
import socket
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

LOST = 0
"""The status of a request that the server closed its connection on."""
HEAD_END = b"\r\n\r\n"


class Ask(NamedTuple):
    """A request, and the body that has to come back, None for any.

    Of two, the first is that of versions with an even number, by the name of the answer's snapshot.
    """

    data: bytes
    expected: bytes | tuple[bytes, bytes] | None = None


@dataclass(frozen=True)
class Load:
    """What one generator does.

    Parameters
    ----------
    port : int
        Of the server, on 127.0.0.1.
    asks : sequence of Ask
        Asked in turns.
    connections : int
        Kept open; each has one request under way at most.
    seconds : float
        How long it begins requests.
    rate : float, optional
        Requests a second that are begun, as long as a connection is free; by default the next one
        is begun when the last is answered.
    core : int, optional
        The processor it is held to.
    waits : bool
        Whether a connection that is refused is left alone for as long as ``Retry-After`` says.
    """

    port: int
    asks: Sequence[Ask]
    connections: int
    seconds: float
    rate: float | None = None
    core: int | None = None
    waits: bool = False


@dataclass
class Answers:
    """What came back.

    Parameters
    ----------
    asked : int
        Requests that were sent.
    seconds : float
        From the first request to the last answer.
    taken : mapping of int to array
        Seconds from the first byte sent to the last received, by status.
    wrong : int
        Answers of status 200 with another body than expected.
    snapshots : mapping of str to (float, float)
        The first and the last time (``time.time``) that an answer named each snapshot.
    late : int
        Requests that were due at a rate while no connection was free.
    """

    asked: int = 0
    seconds: float = 0.0
    taken: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    wrong: int = 0
    snapshots: dict[str, tuple[float, float]] = field(default_factory=dict)
    late: int = 0

    @property
    def good(self) -> int:
        """How many requests were answered as they should be."""
        return len(self.taken.get(200, ())) - self.wrong

    @property
    def bad(self) -> int:
        """How many were answered otherwise, or not at all."""
        return self.asked - self.good

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return self.good / self.seconds

    def milliseconds(self, percentile: float, status: int = 200) -> float:
        """Return how long answers of a status took."""
        taken = self.taken.get(status)
        return float("nan") if taken is None else float(np.percentile(taken, percentile)) * 1e3


def request(
    method: str,
    path: str,
    query: Mapping[str, object] | None = None,
    *,
    body: bytes = b"",
    token: str = "",
) -> bytes:
    """Return a request as it is sent."""
    target = path + (f"?{urlencode(query, safe='/')}" if query else "")
    lines = [f"{method} {target} HTTP/1.1", "host: 127.0.0.1"]
    if token:
        lines.append(f"authorization: Bearer {token}")
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def generators(count: int = 1) -> Iterator[ProcessPoolExecutor]:
    """Keep processes that `generate` can be submitted to, besides this one."""
    how = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=how) as pool:
        list(pool.map(abs, range(count)))  # they are there when it begins
        yield pool


def asked(pool: ProcessPoolExecutor, load: Load) -> Answers:
    """Return what came back of one load."""
    return begun(pool, load).result()


def begun(pool: ProcessPoolExecutor, load: Load) -> Future[Answers]:
    """Begin a load, and return what will be its answers."""
    return pool.submit(generate, load)


def generate(load: Load) -> Answers:
    """Put a load on a server."""
    if load.core is not None:
        import os

        os.sched_setaffinity(0, {load.core})
    return _Generator(load).run()


class _Connection:
    """One socket, with what is still to be sent and what has come."""

    __slots__ = (
        "ask",
        "began",
        "expected",
        "is_last",
        "left",
        "length",
        "received",
        "retry_after",
        "socket",
        "status",
    )

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.left = memoryview(b"")
        self.received = b""
        self.length = -1
        self.status = 0
        self.is_last = False
        self.began = 0.0
        self.retry_after = 0
        self.expected: bytes | tuple[bytes, bytes] | None = None


class _Generator:
    """Runs a load."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._answers = Answers()
        self._taken: dict[int, list[float]] = {}
        self._epoll = select.epoll()
        self._open: dict[int, _Connection] = {}
        self._idle: list[_Connection] = []
        self._resting: list[tuple[float, int, _Connection]] = []
        self._turn = 0

    def run(self) -> Answers:
        load, answers = self._load, self._answers
        for _ in range(load.connections):
            self._connect()
        began = time.perf_counter()
        ends = began + load.seconds
        due, pace = began, 0.0 if load.rate is None else 1 / load.rate
        while True:
            now = time.perf_counter()
            while self._resting and (now >= ends or self._resting[0][0] <= now):
                self._idle.append(heappop(self._resting)[2])
            if now < ends:
                if load.rate is None:
                    while self._idle:
                        self._begin(self._idle.pop())
                else:
                    while due <= now:
                        due += pace
                        if self._idle:
                            self._begin(self._idle.pop())
                        else:
                            answers.late += 1
            elif len(self._idle) == len(self._open):
                break
            wait = 0.1 if load.rate is None else max(0.0, min(0.1, due - now))
            for number, events in self._epoll.poll(wait):
                connection = self._open[number]
                if events & select.EPOLLIN or events & (select.EPOLLHUP | select.EPOLLERR):
                    self._receive(connection)
                elif events & select.EPOLLOUT:
                    self._send(connection)
        answers.seconds = time.perf_counter() - began
        answers.taken = {status: np.array(found) for status, found in self._taken.items()}
        for connection in self._open.values():
            connection.socket.close()
        self._epoll.close()
        return answers

    def _connect(self) -> None:
        connection = _Connection(self._load.port)
        self._open[connection.socket.fileno()] = connection
        self._epoll.register(connection.socket, select.EPOLLIN)
        self._idle.append(connection)

    def _begin(self, connection: _Connection) -> None:
        data, connection.expected = self._load.asks[self._turn % len(self._load.asks)]
        self._turn += 1
        self._answers.asked += 1
        connection.left, connection.received, connection.length = memoryview(data), b"", -1
        connection.began = time.perf_counter()
        self._send(connection)

    def _send(self, connection: _Connection) -> None:
        had = len(connection.left)
        try:
            connection.left = connection.left[connection.socket.send(connection.left) :]
        except BlockingIOError:
            pass
        except OSError:
            connection.left = memoryview(b"")  # what the server has said is read all the same
        is_small = had == len(self._load.asks[0].data) and not connection.left
        if not is_small:
            waits = select.EPOLLIN | (select.EPOLLOUT if connection.left else 0)
            self._epoll.modify(connection.socket, waits)

    def _receive(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost(connection)
            return
        received = connection.received = connection.received + data
        if connection.length < 0:
            end = received.find(HEAD_END)
            if end < 0:
                return
            connection.status = int(received[9:12])
            head = received[: end + 2].lower()
            at = head.index(b"content-length: ") + 16
            connection.length = end + 4 + int(head[at : head.index(b"\r\n", at)])
            connection.is_last = b"\r\nconnection: close" in head
            at = head.find(b"retry-after: ") + 13
            connection.retry_after = 0 if at < 13 else int(head[at : head.index(b"\r\n", at)])
        if len(received) < connection.length:
            return
        self._answered(connection)

    def _answered(self, connection: _Connection) -> None:
        self._taken.setdefault(connection.status, []).append(time.perf_counter() - connection.began)
        received = connection.received
        if connection.status == 200:
            expected = connection.expected
            at = received.find(b"x-snapshot: ")
            if at > 0:
                name = received[at + 12 : received.index(b"\r\n", at)].decode()
                now = time.time()
                first, _ = self._answers.snapshots.get(name, (now, now))
                self._answers.snapshots[name] = first, now
                if isinstance(expected, tuple):
                    expected = expected[int(name.rpartition("@")[2]) % 2]
            if isinstance(expected, bytes) and not received.endswith(HEAD_END + expected):
                self._answers.wrong += 1
        if connection.left or connection.is_last:
            self._replace(connection)  # an answer before the end of the request
        elif self._load.waits and connection.retry_after:
            due = time.perf_counter() + connection.retry_after
            heappush(self._resting, (due, connection.socket.fileno(), connection))
        else:
            self._idle.append(connection)

    def _lost(self, connection: _Connection) -> None:
        resting = [each for each in self._resting if each[2] is not connection]
        if len(resting) < len(self._resting):
            self._resting = resting
            heapify(self._resting)
        elif connection not in self._idle:
            self._taken.setdefault(LOST, []).append(time.perf_counter() - connection.began)
        else:
            self._idle.remove(connection)
        self._replace(connection)

    def _replace(self, connection: _Connection) -> None:
        number = connection.socket.fileno()
        self._epoll.unregister(connection.socket)
        del self._open[number]
        connection.socket.close()
        try:
            self._connect()
        except OSError:  # nobody listens now
            if not self._open:
                raise
