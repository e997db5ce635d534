"""A proxy that does to requests what networks and overloaded servers do, from a seed.

It stands before an HTTP server and answers each GET or HEAD: most by passing on what the server
says, some with a reset, a 503, silence, or a body that ends too early. `down` takes it away
altogether for a time. It counts what it was asked for.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator


@dataclass(frozen=True)
class Faults:
    """How much of what: parts of all requests, and how long silence lasts, in seconds."""

    resets: float = 0.0
    errors: float = 0.0
    stalls: float = 0.0
    short: float = 0.0
    silence: float = 5.0


class FaultProxy:
    """Runs in a thread of its own; `url` is where it listens."""

    def __init__(self, server: tuple[str, int], faults: Faults, seed: int = 0) -> None:
        self.requests: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self._server = server
        self._faults = faults
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._listening: asyncio.Server | None = None
        self._goes_down_at = 0
        self._is_down = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._call(self._listen())
        self.url = f"http://127.0.0.1:{self.port}"

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    async def _listen(self) -> None:
        self._listening = await asyncio.start_server(
            self._client, "127.0.0.1", self.port, reuse_address=True, backlog=256
        )
        self.port = self._listening.sockets[0].getsockname()[1]

    async def _silence(self) -> None:
        assert self._listening is not None
        self._listening.close()
        for writer in list(self._writers):
            _reset(writer)
        self._is_down.set()

    @contextmanager
    def down(self, after: int = 0) -> Iterator[None]:
        """Refuse connections and cut those there are, at once or with request number `after`."""
        self._is_down.clear()
        if after:
            self._goes_down_at = after
            assert self._is_down.wait(PATIENCE)
        else:
            self._call(self._silence())
        try:
            yield
        finally:
            self._call(self._listen())

    async def _finish(self) -> None:
        await self._silence()
        # Who is just being let in would keep his connection open, if that were cancelled.
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        coming = [task for task in tasks if "_accept_connection2" in repr(task.get_coro())]
        await asyncio.gather(*coming, return_exceptions=True)
        for writer in list(self._writers):
            _reset(writer)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def close(self) -> None:
        self._call(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._request(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _fault(self) -> str:
        faults, point = self._faults, self._random.random()
        for name in ("resets", "errors", "stalls", "short"):
            point -= getattr(faults, name)
            if point < 0:
                return name
        return ""

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether there may be another on this connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
        path = target.decode()
        self.requests["listing" if "list-type=" in path else path] += 1
        if self.requests.total() == self._goes_down_at:
            await self._silence()
            return False
        fault = self._fault()
        self.done[fault] += 1
        if fault == "resets":
            _reset(writer)
            return False
        if fault == "errors":
            writer.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return True
        if fault == "stalls":
            await asyncio.sleep(self._faults.silence)
            _reset(writer)
            return False
        status, headers, body = await self._pass_on(method, target, head)
        writer.write(b"HTTP/1.1 " + status + b"\r\n" + headers)
        if method != b"HEAD":
            writer.write(body[: len(body) // 2] if fault == "short" else body)
        await writer.drain()
        return fault != "short"

    async def _pass_on(self, method: bytes, target: bytes, head: bytes) -> tuple[bytes, ...]:
        """Ask the server, in the old way that ends each answer with its connection."""
        reader, writer = await asyncio.open_connection(*self._server)
        try:
            lines = [line for line in head.split(b"\r\n")[1:] if not line.startswith(b"connection")]
            writer.write(method + b" " + target + b" HTTP/1.0\r\n" + b"\r\n".join(lines))
            answer = await reader.read()
        finally:
            writer.close()
        top, _, body = answer.partition(b"\r\n\r\n")
        first, *others = top.split(b"\r\n")
        dropped = rb"(?i)connection|transfer-encoding" + rb"|content-length" * (method != b"HEAD")
        headers = b"".join(line + b"\r\n" for line in others if not re.match(dropped, line))
        if method != b"HEAD":
            headers += f"Content-Length: {len(body)}\r\n".encode()
        return first.split(b" ", 1)[1], headers + b"\r\n", body


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST: what was not read by then is lost."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()
