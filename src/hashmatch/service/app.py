"""The service as one ASGI application: its routes, who may use each, and what becomes of errors."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from inspect import iscoroutinefunction
from time import perf_counter
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.routing import Route

from hashmatch._redact import forget
from hashmatch.errors import HashmatchError, StoreError, UsageError
from hashmatch.service import hma, v1
from hashmatch.service.http import MAX_JSON, Disconnected, HttpError, Prepared, Request, Response
from hashmatch.service.lookups import HashLookup
from hashmatch.service.openapi import describe
from hashmatch.service.operations import OPERATIONS, OWN, Operation
from hashmatch.service.service import too_many
from hashmatch.service.snapshots import LOG

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping

    from hashmatch.service.http import Receive, Send
    from hashmatch.service.operations import Answer
    from hashmatch.service.page import Page
    from hashmatch.service.service import Service

    Reply = Callable[[Response], None]
    Done = Callable[[Response | BaseException], None]
    TakeBody = Callable[[bytes | None], Coroutine[Any, Any, None] | None]
    """Is called with the body of a request, or None if its caller went away before all of it was
    there; what it returns answers the request, in a task."""

BODY = frozenset({b"content-length", b"transfer-encoding", b"expect"})
"""Headers of requests with a body."""
ERRORS = {404: "There is nothing at this path.", 405: "This path has other methods."}
CLOSED = 499
"""Counted where the caller went away; it is no status that is sent."""


LET_IN = "hashmatch.let-in"
"""In the scope of a picture that there is room for, until its task begins."""


def _whole(seconds: float) -> int:
    """Return what ``Retry-After`` says of so many seconds."""
    return max(1, round(seconds))


class Endpoint:
    """One operation as an ASGI application: who asks, what it comes to, how long it took."""

    def __init__(self, service: Service, operation: Operation) -> None:
        self._service = service
        self._handler = operation.handler
        self._scope = operation.scope
        self._name = f"{operation.method} {operation.path}"
        self._max_body = service.limits.max_body
        self.max_whole = (
            self._max_body if operation.is_of_picture else min(MAX_JSON, self._max_body)
        )
        """Bytes of a body that is gathered before the request is looked at."""
        self._shown = hma.error_response if operation.is_hma else v1.error_response
        self._noted = operation.noted
        self._refusals: dict[tuple[int, bool], Response] = {}
        self.waits_for_nothing = not iscoroutinefunction(operation.handler)
        self.is_of_picture = operation.is_of_picture

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer a request."""
        began = perf_counter()
        if scope.pop(LET_IN, False):
            self._service.arrived()
        request = Request(scope, receive, self._max_body)
        try:
            answer = self._begin(request)
            if isinstance(answer, HashLookup):
                answer = answer.answer()
            response = answer if isinstance(answer, Response) else await answer
        except Disconnected:
            self._service.note(request, self._name, CLOSED, perf_counter() - began)
            return
        except Exception as error:
            response = self._failed(error)
        more = []
        if request.is_unread:  # the answer comes first: what is refused is refused at once
            if request.header(b"expect"):  # what was announced may never come
                more = [(b"connection", b"close")]
            elif request.is_last:
                await request.discard()
        await response.send(send, *more)
        self._service.note(request, self._name, response.status, perf_counter() - began)

    def answer_soon(self, request: Request, reply: Reply) -> None:
        """Answer a request without a body, whose handler never waits, now or very soon."""
        self._answer(request, self._begin, self._done(request, reply))

    def let_in(self, request: Request, reply: Reply) -> TakeBody | None:
        """Let a request in by its head; return what takes its body, None if it is refused."""
        began, done = perf_counter(), self._done(request, reply)
        try:
            self._authorize(request)
        except Exception as error:
            done(error)
            return None
        if self.is_of_picture:
            self._service.announce()

        def take_body(body: bytes | None) -> Coroutine[Any, Any, None] | None:
            request.whole, request.receive = body, _gone
            answer = self._answer(request, partial(self._handler, self._service), done)
            return None if answer is None else finish(answer)

        async def finish(answer: Awaitable[Response]) -> None:
            if self.is_of_picture:
                self._service.arrived()
            try:
                response: Response | Exception = await answer
            except Disconnected:
                self._service.note(request, self._name, CLOSED, perf_counter() - began)
                return
            except Exception as error:
                response = error
            done(response)

        return take_body

    def _done(self, request: Request, reply: Reply) -> Done:
        """Return what a request is answered with; its time runs from now."""
        began = perf_counter()

        def done(answer: Response | BaseException) -> None:
            response = answer if isinstance(answer, Response) else self._failed(answer)
            reply(response)
            self._service.note(request, self._name, response.status, perf_counter() - began)

        return done

    def _answer(
        self, request: Request, begin: Callable[[Request], Answer], done: Done
    ) -> Awaitable[Response] | None:
        """Answer a request now or very soon; return what there is to wait for, if there is."""
        try:
            answer = begin(request)
        except Exception as error:
            done(error)
            return None
        if isinstance(answer, HashLookup):
            self._service.lookups.add(answer, done)
        elif isinstance(answer, Response):
            done(answer)
        else:
            return answer
        return None

    def refuse_soon(self, request: Request, reply: Reply) -> bool:
        """Refuse a picture before its body is there, if there is no room for it now.

        Where it has to be noted, it is answered as soon as it is.
        """
        service = self._service
        if not service.is_full:
            return False
        done = self._done(request, reply)
        try:
            self._authorize(request)
            picture = None
            if self._noted is not None and service.refusals is not None:
                picture = self._noted(request.query)
        except HttpError as error:
            done(error)
            return True
        if self._noted is not None:
            service.metrics.unchecked(retry=True)
        if picture is None or service.refusals is None:
            done(self._refusal(noted=False))
        else:
            service.refusals.add(
                picture,
                lambda error: done(self._refusal(noted=True) if error is None else error),
            )
        return True

    def _refusal(self, *, noted: bool) -> Response:
        """Return how a picture is refused that there is no room for."""
        seconds = _whole(self._service.expected_wait)
        response = self._refusals.get((seconds, noted))
        if response is None:
            error = too_many(seconds)
            error.noted = noted
            response = self._refusals[seconds, noted] = Prepared(self._failed(error))
        return response

    def _authorize(self, request: Request) -> None:
        if self._scope is not None:
            request.token = self._service.authorize(request, self._scope)

    def _begin(self, request: Request) -> Answer:
        self._authorize(request)
        return self._handler(self._service, request)

    def _failed(self, error: BaseException) -> Response:
        """Return how an error is answered, which is logged if it is ours."""
        if not isinstance(error, HttpError):
            forget(error)
            error = self._described(error)
        response = self._shown(error)
        headers = [*response.headers]
        if error.retry_after is not None:
            headers.append((b"retry-after", b"%d" % _whole(error.retry_after)))
        if error.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        response.headers = headers
        return response

    def _described(self, error: BaseException) -> HttpError:
        if isinstance(error, UsageError):
            return HttpError(422, str(error))
        if isinstance(error, StoreError):
            return HttpError(503, str(error), retry=True, retry_after=1)
        if isinstance(error, HashmatchError):
            LOG.error("%s: %s", self._name, error)
            text = "cannot answer: something the service needs is not there. See its log."
            return HttpError(503, text, retry=True, retry_after=1)
        LOG.error("%s: internal error, please report it: %s", self._name, type(error).__name__)
        return HttpError(500, "cannot answer: internal error. See the log.")


class Application:
    """Answers what has no parameter in its path by itself; the rest is Starlette's.

    ``//c/banks`` is taken for ``/c/banks``: a client whose address ends in a slash asks so.
    """

    def __init__(
        self,
        app: Starlette,
        endpoints: Mapping[tuple[str, str], Endpoint],
        service: Service,
        page: Page | None,
    ) -> None:
        self._app, self._endpoints = app, endpoints
        self._service, self._page = service, page
        self._soon = {
            path.encode(): endpoint
            for (method, path), endpoint in endpoints.items()
            if method == "GET" and endpoint.waits_for_nothing
        }
        self._posts = {
            path.encode(): endpoint
            for (method, path), endpoint in endpoints.items()
            if method == "POST"
        }
        self.flush = service.lookups.flush
        """Answers the look-ups that were put together."""
        self.announce = service.announce
        """Says that there is a task for a picture that was let in."""

    def answer_soon(self, path: bytes, scope: Any, reply: Reply) -> TakeBody | bool:
        """Answer a request by its head, or return what takes its body; False if neither can be.

        Then it is one for ASGI: one that waits for a picture to be fetched, or whose body is not to
        be read as a whole.
        """
        request = Request(scope, None, 0)
        if scope["method"] == "POST":
            endpoint = self._posts.get(path)
            if endpoint is None or b"expect" in request.headers:
                return False
            if endpoint.is_of_picture and endpoint.refuse_soon(request, reply):
                return True
            if _has_whole_body(request, endpoint.max_whole):
                request.max_body = endpoint.max_whole
                return endpoint.let_in(request, reply) or True
            if endpoint.is_of_picture:
                scope[LET_IN] = True
            return False
        endpoint = self._soon.get(path)
        query = scope["query_string"]
        if endpoint is None or b"url" in query or b"%" in query:
            return False
        if not BODY.isdisjoint(request.headers):
            return False
        endpoint.answer_soon(request, reply)
        return True

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            path = scope["path"]
            if self._page is not None and self._page.has(path):
                await self._page.answer(scope, receive, send, self._service.metrics)
                return
            if "//" in path:
                path = re.sub("/{2,}", "/", path)
                scope = {**scope, "path": path}
            endpoint = self._endpoints.get((scope["method"], path))
            if endpoint is not None:
                await endpoint(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _has_whole_body(request: Request, most: int) -> bool:
    """Whether a request has a body of a length that it says, and no long answer to be streamed."""
    length = request.header(b"content-length")
    return (
        length.isdigit()
        and 0 < int(length) <= most
        and b"transfer-encoding" not in request.headers
        and not request.header(b"content-type").lower().startswith(v1.NDJSON)
    )


async def _gone() -> dict[str, str]:
    """Say, as ASGI does, that the caller went away."""
    return {"type": "http.disconnect"}


def application(service: Service, page: Page | None = None) -> Application:
    """Return the application of one process.

    Parameters
    ----------
    service : Service
        What answers come from; it is running as long as the application is.
    page : Page, optional
        The review page, if it is a part of it.
    """
    service.description = describe(OPERATIONS)
    by_path: dict[str, list[Operation]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, []).append(operation)
    endpoints: dict[str, dict[str, Endpoint]] = {
        path: {each.method: Endpoint(service, each) for each in of_path}
        for path, of_path in by_path.items()
    }
    for of_path in endpoints.values():
        if "GET" in of_path:
            of_path["HEAD"] = of_path["GET"]
    routes = [
        Route(path, _Methods(of_path), methods=[*of_path]) for path, of_path in endpoints.items()
    ]

    async def problem(request: Any, error: Any) -> Any:
        from starlette import responses

        status = getattr(error, "status_code", 500)
        text = ERRORS.get(status, "cannot answer: internal error. See the log.")
        if request.url.path.startswith(OWN):
            shown = v1.error_response(HttpError(status, text))
        else:
            shown = hma.error_page(status, text)
        kind, headers = shown.media_type.decode(), getattr(error, "headers", None)
        return responses.Response(shown.body, status, headers, kind)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with service.running(), page.running() if page is not None else nullcontext():
            yield

    handlers: dict[Any, Any] = {404: problem, 405: problem, Exception: problem}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    app.router.redirect_slashes = False
    plain = {
        (method, path): endpoint
        for path, of_path in endpoints.items()
        if "{" not in path
        for method, endpoint in of_path.items()
    }
    return Application(app, plain, service, page)


class _Methods:
    """The operations at one path, by method."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self._endpoints = endpoints

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        await self._endpoints[scope["method"]](scope, receive, send)
