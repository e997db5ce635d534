"""One request of a reviewer: their session, their form, and that the form is theirs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hashmatch.errors import HashmatchError
from hashmatch.review.web.context import to

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from hashmatch.review.web.auth import Session
    from hashmatch.review.web.context import Place

    Handler = Callable[["Place", "Visit"], Response]
    Answer = Callable[[Request], Awaitable[Response]]

FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 20
CSRF_HEADER = "x-hashmatch"
"""Carries the session's token where there is no form; no other site can send it."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What a handler is given.

    Parameters
    ----------
    request : Request
        For its path and query.
    session : Session
        Whose it is.
    secret : str
        What is in its cookie.
    form : mapping of str to str
        What was posted; each field once.
    """

    request: Request
    session: Session
    secret: str
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def reviewer(self) -> str:
        """Who is logged in."""
        return self.session.reviewer

    @property
    def case_id(self) -> str:
        """The case in the path."""
        return str(self.request.path_params["case_id"])


class BadForm(Exception):
    """A form is none of ours; the message says why."""


def route(
    place: Place,
    path: str,
    handler: Handler,
    method: str = "GET",
    *,
    nameless: bool = False,
    script: bool = False,
    touch: bool = True,
) -> Route:
    """Return a route to a handler, which runs in a thread: the queue and sources block.

    Parameters
    ----------
    place : Place
        What the handler is given first.
    path : str
        As starlette takes it.
    handler : callable
        Answers a `Visit`.
    method : str
        ``GET`` or ``POST``; a post is looked at only if it carries the session's token.
    nameless : bool
        Whether it answers who is not logged in.
    script : bool
        It is the page's script that asks: it carries the token whatever the method, and is told
        in plain text what is wrong.
    touch : bool
        Whether it shows that somebody is there, so that the session goes on.
    """

    async def answer(request: Request) -> Response:
        try:
            secret = _cookie(request, place.cookie)
            session = place.sessions.find(secret, touch=touch) if secret else None
            posted = await _form(request) if method == "POST" else {}
        except BadForm as error:
            return place.sorry(str(error), None, 400)
        if session is None or not (session.reviewer or nameless):
            if nameless and method == "GET":
                secret = place.sessions.begin()
                session = place.sessions.find(secret)
            if session is None or not (session.reviewer or nameless):
                return _stranger(place, method, script=script)
        token = posted.pop("csrf", "") or request.headers.get(CSRF_HEADER, "")
        if (method == "POST" or script) and not session.owns(token):
            return place.sorry("This form is not one of yours. Nothing was done.", session, 403)
        visit = Visit(request, session, secret, posted)
        return await run_in_threadpool(_handled, place, handler, visit, script)

    return Route(path, answer, methods=[method])


def _handled(place: Place, handler: Handler, visit: Visit, script: bool) -> Response:
    """Answer in a thread; what the queue refuses is said to the person."""
    try:
        if visit.reviewer and not place.knows(visit.reviewer):
            place.sessions.end(visit.secret)
            return _stranger(place, "GET", script=script)
        return handler(place, visit)
    except HashmatchError as error:
        if script:
            return PlainTextResponse(f"{error}\n", 409)
        return place.sorry(str(error), visit.session, 409)


def _stranger(place: Place, method: str, *, script: bool) -> Response:
    if script:
        return PlainTextResponse("You are no longer logged in.\n", 403)
    if method == "GET":
        return to("/login")
    return place.sorry("You are no longer logged in. Nothing was done.", None, 403)


def _cookie(request: Request, name: str) -> str:
    """Return the value of a cookie; "" if there is none. Two of the name are refused."""
    pairs = [part.strip().partition("=") for part in request.headers.get("cookie", "").split(";")]
    values = [value for key, _, value in pairs if key == name]
    if len(values) > 1:
        raise BadForm("There is more than one cookie of this server.")
    return values[0] if values else ""


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a form, each of which is there once.

    Parsed here, since nothing but plain fields is ever sent.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise BadForm("This is no form.")
    body = await request.body()
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise BadForm("This form cannot be read.") from None
    fields = dict(pairs)
    if len(fields) < len(pairs) or any("\0" in value for value in fields.values()):
        raise BadForm("This form cannot be read.")
    return fields
