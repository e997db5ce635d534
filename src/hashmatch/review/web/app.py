"""The review page as one ASGI application: its routes, and logging in and out."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from hashmatch.errors import HashmatchError, QueueUnavailable
from hashmatch.review.access import record_login
from hashmatch.review.reviewers import digest_of
from hashmatch.review.web import cases, charts, drafts
from hashmatch.review.web.connections import network_of
from hashmatch.review.web.context import STATIC
from hashmatch.review.web.middleware import SecurityMiddleware
from hashmatch.review.web.request import route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from hashmatch.review.web.context import Context
    from hashmatch.review.web.middleware import AccessPolicy
    from hashmatch.review.web.request import PageRequest

SWEEP_INTERVAL = 1.0
"""Seconds between two looks at which pages were closed, and who could not log in."""


def login_page(context: Context, request: PageRequest) -> Response:
    """Show the form to log in."""
    if request.reviewer:
        return context.redirect("/")
    answer = context.page("login.html", request.session, wrong="", name="")
    context.set_cookie(answer, request.secret)
    return answer


def login(context: Context, request: PageRequest) -> Response:
    """Log in with a name and its token, in a new session; the one of before ends.

    The right token is looked for first: no failures before keep anybody out.
    """
    name = request.form.get("name", "").strip()
    token = request.form.get("token", "").strip()
    if not (name and token and context.queue.reviewers.check(name, token)):
        context.failed_logins.count(name)
        network = network_of(request.http.client.host) if request.http.client else ""
        wait = context.throttle.failed(name, network)
        wrong = "This name and token do not go together."
        if not wait:
            return context.page("login.html", request.session, 403, wrong=wrong, name=name)
        wrong += f" There were too many tries; wait {wait} seconds."
        answer = context.page("login.html", request.session, 429, wrong=wrong, name=name)
        answer.headers["retry-after"] = str(wait)
        return answer
    record_login(context.queue, name)
    context.sessions.end(request.secret)
    welcome = context.redirect("/")
    context.set_cookie(welcome, context.sessions.begin(name, digest_of(token)))
    return welcome


def logout(context: Context, request: PageRequest) -> Response:
    """End the session on the server, so that its cookie is worth nothing."""
    context.sessions.end(request.secret)
    if request.reviewer in context.held:
        try:
            context.give_back(context.held[request.reviewer], request.reviewer)
        except QueueUnavailable:
            context.open_pages.leave(context.held[request.reviewer], request.reviewer)
    answer = context.redirect("/login")
    context.delete_cookie(answer)
    answer.headers["clear-site-data"] = '"cache"'
    return answer


def application(context: Context, policy: AccessPolicy) -> SecurityMiddleware:
    """Return the page, behind the middleware that lets only some requests through."""
    return SecurityMiddleware(pages(context), policy)


def pages(context: Context) -> Starlette:
    """Return the page by itself: it is safe behind a `SecurityMiddleware` only."""

    async def file(request: Request) -> Response:
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
        route(context, "/login", login_page, anonymous=True),
        route(context, "/login", login, "POST", anonymous=True),
        route(context, "/logout", logout, "POST"),
        route(context, "/", cases.home),
        route(context, "/take", cases.take, "POST"),
        route(context, "/case/{case_id}", cases.show),
        route(context, "/case/{case_id}/picture", cases.picture, script=True),
        route(context, "/case/{case_id}/exif", cases.exif, script=True),
        route(context, "/case/{case_id}/decide", cases.decide, "POST"),
        route(context, "/case/{case_id}/give-back", cases.give_back, "POST"),
        route(context, "/case/{case_id}/renew", cases.renew, "POST", script=True, touch=False),
        route(context, "/case/{case_id}/leave", cases.leave, "POST", script=True, touch=False),
        route(context, "/undo", cases.undo, "POST"),
        route(context, "/drafts", drafts.overview),
        route(context, "/draft/{case_id}/{destination}", drafts.show),
        route(context, "/draft/{case_id}/{destination}/picture", drafts.picture, script=True),
        route(context, "/draft/{case_id}/{destination}/exif", drafts.exif, script=True),
        route(context, "/draft/{case_id}/{destination}/choose", drafts.answer, "POST"),
        route(context, "/draft/{case_id}/{destination}/sign", drafts.sign, "POST"),
        route(context, "/draft/{case_id}/{destination}/report", drafts.report, "POST"),
        route(context, "/requests", drafts.requests_page),
        route(context, "/requests/add", drafts.add, "POST"),
        route(context, "/statistics", charts.statistics),
        route(context, "/plot/{name}.svg", charts.plot),
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweep(context))
        try:
            yield
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping
            await run_in_threadpool(context.failed_logins.close)

    handlers = {404: not_found, 405: not_found, Exception: failed}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    app.state.context = context
    return app


async def _sweep(context: Context) -> None:
    """Give back, every now and then, the cases whose page was closed; record failed log-ins."""
    while True:
        await asyncio.sleep(SWEEP_INTERVAL)
        with suppress(HashmatchError, TimeoutError):  # they are counted until it can be done
            await context.threads.run(context.failed_logins.write)
        for case_id, reviewer in context.open_pages.due():
            try:
                await context.threads.run(partial(context.give_back, case_id, reviewer))
            except (TimeoutError, QueueUnavailable):
                context.open_pages.leave(case_id, reviewer)
