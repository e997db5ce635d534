"""The review page as one ASGI application."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from hashmatch.errors import HashmatchError
from hashmatch.review.web import cases, charts, login
from hashmatch.review.web.context import STATIC
from hashmatch.review.web.middleware import SecurityMiddleware
from hashmatch.review.web.request import route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from hashmatch.review.web.context import Context
    from hashmatch.review.web.middleware import AccessPolicy

SWEEP_INTERVAL = 1.0
"""Seconds between two looks at which pages were closed."""


def application(context: Context, policy: AccessPolicy) -> SecurityMiddleware:
    """Return the page, behind the middleware that lets only some requests through."""

    def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in context.static:
            return context.error_page("There is no such page.", None, 404)
        return Response(context.static[name], media_type=STATIC[name])

    async def not_found(request: Request, error: Exception) -> Response:
        return context.error_page("There is no such page.", None, 404)

    async def failed(request: Request, error: Exception) -> Response:
        text = "Something went wrong here. Look at what was done."
        return context.error_page(text, None, 500)

    routes = [
        Route("/static/{name}", file),
        route(context, "/login", login.login_page, anonymous=True),
        route(context, "/login", login.login, "POST", anonymous=True),
        route(context, "/logout", login.logout, "POST"),
        route(context, "/", cases.home),
        route(context, "/take", cases.take, "POST"),
        route(context, "/case/{case_id}", cases.show),
        route(context, "/case/{case_id}/picture", cases.picture, script=True),
        route(context, "/case/{case_id}/decide", cases.decide, "POST"),
        route(context, "/case/{case_id}/give-back", cases.give_back, "POST"),
        route(context, "/case/{case_id}/renew", cases.renew, "POST", script=True, touch=False),
        route(context, "/case/{case_id}/leave", cases.leave, "POST", script=True, touch=False),
        route(context, "/undo", cases.undo, "POST"),
        route(context, "/statistics", charts.statistics),
        route(context, "/plot/{name}.svg", charts.plot),
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_give_back_closed(context))
        try:
            yield
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping

    handlers = {404: not_found, 405: not_found, Exception: failed}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    app.state.context = context
    return SecurityMiddleware(app, policy)


async def _give_back_closed(context: Context) -> None:
    """Give back, every now and then, the cases whose page was closed."""
    while True:
        await asyncio.sleep(SWEEP_INTERVAL)
        for case_id, reviewer in context.open_pages.due():
            with suppress(HashmatchError):  # it comes back by itself when its time is over
                await run_in_threadpool(context.give_back, case_id, reviewer)
