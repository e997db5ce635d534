"""Connections to the service: how many there are, and for how long one may keep it waiting.

uvicorn has no limit to how slowly a request comes, and one to connections beyond which everybody
gets a 503. Here a request has a deadline by which all of it is there, and where there are too many
connections, those that have been silent for longest make room.

A request that is whole, and needs nothing to wait for, is answered where it is parsed: a task and
the messages of ASGI take longer than to look up a hash. One with a body is let in by its head, and
gets a task, if it needs one, once the body is there. What ASGI wants to know of a request is put
together only for the others. The body of a picture that is refused is skipped, not parsed.
"""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING, Any

from httptools import HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hashmatch.service.app import LET_IN, Application

if TYPE_CHECKING:
    import asyncio

    from hashmatch.service.app import TakeBody
    from hashmatch.service.http import Response

MAX_CONNECTIONS = 10_000
"""At a time and process; fewer where it may have few files open."""
REQUEST_SECONDS = 15.0
"""From the first byte of a request, or from the connection, until all of the request is there."""
ANSWER_SECONDS = 30.0
"""Until a client has read so much of an answer that the next part can be written."""
MAX_UNREAD = 64 * 2**20
"""Bytes of a request that are read, and dropped, after its answer: a client that still sends them
would see a reset connection otherwise."""
HEAD_END = b"\r\n\r\n"


def most_connections() -> int:
    """Return how many connections a process may have: two thirds of the files it may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        MAX_CONNECTIONS if files == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, files * 2 // 3)
    )


class _Unanswered:
    """Stands for a request that is answered without a task, and not yet."""

    response_complete = False


_UNANSWERED: Any = _Unanswered()


class Protocol(HttpToolsProtocol):
    """One connection, which is cut if its client keeps the service waiting for too long."""

    limit = most_connections()
    _timer: asyncio.TimerHandle | None = None
    _timer_due = 0.0
    _deadline: float | None = None
    _closes = False
    _is_partial = _is_answered = False
    _since = 0.0
    _unread = 0
    _skips = 0
    """Bytes of a refused picture that are still to come."""
    _take_body: TakeBody | None = None
    """Of a request that was let in, as long as its body is not there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._application = self.app if isinstance(self.app, Application) else None
        self._awaits_reply = self._stops = False
        self._parts: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request; if it is one connection too many, end another."""
        super().connection_made(transport)
        self._since = time.monotonic()
        self._wait(REQUEST_SECONDS)
        if len(self.connections) > self.limit:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Parse the bytes received; the clock runs from the first byte of a request to its last."""
        if self._skips or (not self._is_partial and data.startswith(b"POST ")):
            self._receive_posts(data)
        else:
            super().data_received(data)
        if self._is_partial and self._deadline is None:
            self._wait(REQUEST_SECONDS)

    def _receive_posts(self, data: bytes) -> None:
        """Parse requests, the heads of those with a body first; skip the body of a refused one."""
        view, begin = memoryview(data), self._skip(len(data))
        while begin < len(data) and not self.transport.is_closing():
            end = data.find(HEAD_END, begin) + len(HEAD_END)
            if self._is_partial or end < len(HEAD_END):
                end = len(data)
            super().data_received(view[begin:end])  # type: ignore[arg-type]  # of any buffer
            begin = end
            if self._is_partial and self._is_answered and not self._skips:
                self._skips = self._declared()
                begin += self._skip(len(data) - begin)

    def _declared(self) -> int:
        """Return how long the body is, for which its parser waits no longer; 0 if nobody said."""
        fields = dict(self.headers)
        length = int(fields.get(b"content-length", b"0"))
        if b"transfer-encoding" in fields or length > MAX_UNREAD:
            return 0  # it is parsed, and dropped as it comes
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn makes it
        return length

    def _skip(self, most: int) -> int:
        """Skip so many bytes at most of a body; return how many."""
        skipped = min(self._skips, most)
        if skipped:
            self._skips -= skipped
            if not self._skips:
                self.on_message_complete()
        return skipped

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        self._is_partial = True
        self._is_answered = False
        self._unread = 0
        self._deadline = None
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """Answer a request, at once or in a task; requests of one connection in their order."""
        self._flush()
        known: dict[str, Any] = {"headers": self.headers}
        soon = self._answer_soon(known)
        if soon is True:
            self._is_answered = True
            return
        if soon:
            self._take_body = soon
            return
        url, expects = self.url, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue, self.headers = url, expects, known["headers"]
        self.scope.update(known)  # type: ignore[typeddict-item]
        if self._awaits_reply:  # to the request before, which no task has: this one is to wait
            self.cycle = _UNANSWERED
        super().on_headers_complete()
        if LET_IN in known:
            self._application.announce()  # type: ignore[union-attr]

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; what follows an answer is dropped, as long as it is not much."""
        if self._take_body is not None:
            self._parts.append(body)
        elif self._is_idle:
            self._unread += len(body)
            if self._unread > MAX_UNREAD:
                self._cut()
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that a request is complete."""
        self._is_partial = False
        self._since = time.monotonic()
        self._wait(None)
        if self._take_body is not None:
            self._hand_over(self._take_body, b"".join(self._parts))
        elif not self._is_idle:
            super().on_message_complete()
        elif not self._awaits_reply:  # it was answered before its end
            self._wait(self.timeout_keep_alive, closes=True)

    def pause_writing(self) -> None:
        """Wait for a client who does not read the answer."""
        super().pause_writing()
        self._wait(ANSWER_SECONDS)

    def resume_writing(self) -> None:
        """Stop waiting: the client has read."""
        super().resume_writing()
        self._wait(None)

    def shutdown(self) -> None:
        """Close the connection once its requests are answered: the service stops."""
        self._flush()
        if self._awaits_reply:
            self._stops = True
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._take_body is not None:
            self._hand_over(self._take_body, None)
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    @property
    def _is_idle(self) -> bool:
        """Whether no answer is to be sent by a task."""
        return self.cycle is None or self.cycle.response_complete

    def _flush(self) -> None:
        """Have the answer sent that waits for those to other connections."""
        if self._awaits_reply and self._application is not None:
            self._application.flush()

    def _hand_over(self, take_body: TakeBody, body: bytes | None) -> None:
        """Have a request answered whose body is there, or will never be."""
        self._take_body = None
        self._parts.clear()
        answer = take_body(body)
        if answer is not None:
            task = self.loop.create_task(answer)
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)

    def _answer_soon(self, scope: dict[str, Any]) -> TakeBody | bool:
        """Answer a request by its head, or return what takes its body; False if neither can be.

        `scope` is what the application needs to know, and may note something in.
        """
        parser, url = self.parser, self.url
        method = parser.get_method()
        if (
            self._application is None
            or method not in {b"GET", b"POST"}
            or self._awaits_reply
            or not self._is_idle
            or not parser.should_keep_alive()
            or parser.get_http_version() != "1.1"
            or parser.should_upgrade()
            or self.flow.write_paused
            or b"#" in url
        ):
            return False
        path, _, scope["query_string"] = url.partition(b"?")
        scope["method"] = method.decode()
        self._awaits_reply = True
        soon = self._application.answer_soon(path, scope, self._reply)
        if soon is False:
            self._awaits_reply = False
        return soon

    def _reply(self, response: Response) -> None:
        self._awaits_reply = False
        if self.transport.is_closing():
            return
        self.transport.write(response.encoded())
        if self.pipeline:
            self.on_response_complete()
        else:
            self.server_state.total_requests += 1
            if not self._is_partial and not self.flow.write_paused:
                self._wait(self.timeout_keep_alive, closes=True)
        if self._stops:
            super().shutdown()

    def _wait(self, seconds: float | None, *, closes: bool = False) -> None:
        """Cut the connection after so many seconds, or close it; not, if that is None.

        The timer of before, if it is due earlier, is left: most are of requests that have been
        answered when it is, and to set one takes as long as to parse a request.
        """
        if seconds is None:
            self._deadline = None
            return
        self._deadline, self._closes = self.loop.time() + seconds, closes
        if self._timer is None or self._timer_due > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._set_timer(self._deadline)

    def _set_timer(self, due: float) -> None:
        self._timer_due = due
        self._timer = self.loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if self._deadline > self.loop.time():
            self._set_timer(self._deadline)
        elif self._closes:
            self.transport.close()
        else:
            self._cut()

    def _cut(self) -> None:
        """End the connection without a word."""
        self.transport.abort()

    def _make_room(self) -> None:
        """End the connection that has been silent for longest; this one if all are being answered.

        A request that is there is answered: it is never one that is cut.
        """
        others: set[Any] = self.connections
        idle = [
            each for each in others if each is not self and each._is_idle and not each._awaits_reply
        ]
        min(idle, key=lambda each: each._since, default=self)._cut()
