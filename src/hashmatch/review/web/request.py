"""Requests of reviewers: their session, their form, and the check that the form is theirs."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hashmatch.errors import HashmatchError, QueueUnavailable
from hashmatch.review.web.auth import Session, new_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from hashmatch.review.web.context import Context

    Handler = Callable[["Context", "PageRequest"], Response]

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 20
CSRF_HEADER = "x-hashmatch"
"""Carries the session's token where there is no form; no other site can send it."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What a handler is given: `secret` is that of the session's cookie, `form` what was posted."""

    http: Request
    session: Session
    secret: str
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def reviewer(self) -> str:
        """Name of who is logged in."""
        return self.session.reviewer

    @property
    def case_id(self) -> str:
        """The case in the path."""
        return str(self.http.path_params["case_id"])


class BadForm(Exception):
    """A form that is not one of ours; the message says why."""


def route(
    context: Context,
    path: str,
    handler: Handler,
    method: str = "GET",
    *,
    anonymous: bool = False,
    script: bool = False,
    touch: bool = True,
) -> Route:
    """Return a route to a handler, which runs in a thread: the queue and sources block.

    A post is handled only if it carries the session's CSRF token. With `anonymous`, people who are
    not logged in are answered too; their token is signed for their cookie. With `script`, the
    page's script asks: it carries the token whatever the method, and gets errors as plain text.
    With `touch`, a request shows that somebody is there, so that the session stays open.
    """

    async def answer(http: Request) -> Response:
        try:
            secret = _cookie(http, context.cookie)
            posted = await _form(http) if method == "POST" else {}
        except BadForm as error:
            return context.error_page(str(error), None, 400)
        token = posted.pop("csrf", "") or http.headers.get(CSRF_HEADER, "")
        session = context.sessions.find(secret, touch=touch) if secret else None
        if session is not None:
            is_own = session.owns(token)
        elif anonymous:
            is_own = bool(secret) and context.forms.is_signed(secret, token)
            secret = secret or new_secret()
            session = Session("", csrf=context.forms.sign(secret))
        else:
            return _not_logged_in(context, method, script=script)
        if (method == "POST" or script) and not is_own:
            text = "This form is not one of yours, or too old. Nothing was done."
            return context.error_page(text, session, 403)
        request = PageRequest(http, session, secret, posted)
        try:
            return await context.threads.run(partial(_handle, context, handler, request, script))
        except TimeoutError as error:
            return context.unavailable(error, session, script=script)

    return Route(path, answer, methods=[method])


def _handle(context: Context, handler: Handler, request: PageRequest, script: bool) -> Response:
    """Answer in a thread; an error of the queue becomes a page."""
    try:
        if request.reviewer and not context.may_review(request.session):
            context.sessions.end(request.secret)
            return _not_logged_in(context, "GET", script=script)
        return handler(context, request)
    except QueueUnavailable as error:
        return context.unavailable(error, request.session, script=script)
    except HashmatchError as error:
        if script:
            return PlainTextResponse(f"{error}\n", 409)
        return context.error_page(str(error), request.session, 409)


def _not_logged_in(context: Context, method: str, *, script: bool) -> Response:
    if script:
        return PlainTextResponse("You are no longer logged in.\n", 403)
    if method == "GET":
        return context.redirect("/login")
    return context.error_page("You are no longer logged in. Nothing was done.", None, 403)


def _cookie(http: Request, name: str) -> str:
    """Return the value of a cookie; "" if there is none. Two of the name are refused."""
    pairs = [part.strip().partition("=") for part in http.headers.get("cookie", "").split(";")]
    values = [value for key, _, value in pairs if key == name]
    if len(values) > 1:
        raise BadForm("There is more than one cookie of this server.")
    return values[0] if values else ""


async def _form(http: Request) -> dict[str, str]:
    """Return the fields of a form, each of which is there once.

    Parsed here, since nothing but plain fields is ever sent.
    """
    kind = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise BadForm("This is no form.")
    try:
        body = await http.body()
    except ClientDisconnect:
        raise BadForm("This form is not complete.") from None
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise BadForm("This form cannot be read.") from None
    fields = dict(pairs)
    if len(fields) < len(pairs) or any("\0" in value for value in fields.values()):
        raise BadForm("This form cannot be read.")
    return fields
