"""The whole page as one ASGI application."""

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
from hashmatch.review.web.middleware import Guard
from hashmatch.review.web.request import route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from hashmatch.review.web.context import Place
    from hashmatch.review.web.middleware import Door

SWEEP = 1.0
"""Seconds between two looks at which pages were closed."""


def application(place: Place, door: Door) -> Guard:
    """Return the page.

    Parameters
    ----------
    place : Place
        What it shows.
    door : Door
        Whom it answers.
    """

    def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in place.static:
            return place.sorry("There is no such page.", None, 404)
        return Response(place.static[name], media_type=STATIC[name])

    async def nowhere(request: Request, error: Exception) -> Response:
        return place.sorry("There is no such page.", None, 404)

    async def broken(request: Request, error: Exception) -> Response:
        return place.sorry("Something went wrong here. Look at what was done.", None, 500)

    routes = [
        Route("/static/{name}", file),
        route(place, "/login", login.login_page, nameless=True),
        route(place, "/login", login.login, "POST", nameless=True),
        route(place, "/logout", login.logout, "POST"),
        route(place, "/", cases.home),
        route(place, "/take", cases.take, "POST"),
        route(place, "/case/{case_id}", cases.show),
        route(place, "/case/{case_id}/picture", cases.picture, script=True),
        route(place, "/case/{case_id}/decide", cases.decide, "POST"),
        route(place, "/case/{case_id}/give-back", cases.give_back, "POST"),
        route(place, "/case/{case_id}/renew", cases.renew, "POST", script=True, touch=False),
        route(place, "/case/{case_id}/leave", cases.leave, "POST", script=True, touch=False),
        route(place, "/undo", cases.undo, "POST"),
        route(place, "/statistics", charts.statistics),
        route(place, "/plot/{name}.svg", charts.plot),
    ]

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_give_back(place))
        try:
            yield
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping

    errors = {404: nowhere, 405: nowhere, Exception: broken}
    app = Starlette(routes=routes, lifespan=life, exception_handlers=errors)
    app.state.place = place
    return Guard(app, door)


async def _give_back(place: Place) -> None:
    """Give back, every now and then, the cases whose page was closed."""
    while True:
        await asyncio.sleep(SWEEP)
        for case_id, reviewer in place.leaving.due():
            with suppress(HashmatchError):  # it comes back by itself when its time is over
                await run_in_threadpool(place.give_back, case_id, reviewer)
