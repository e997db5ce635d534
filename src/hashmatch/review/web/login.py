"""Pages that log reviewers in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch.review.web.context import redirect

if TYPE_CHECKING:
    from starlette.responses import Response

    from hashmatch.review.web.context import Context
    from hashmatch.review.web.request import PageRequest


def login_page(context: Context, request: PageRequest) -> Response:
    """Show the form to log in."""
    if request.reviewer:
        return redirect("/")
    answer = context.page("login.html", request.session, wrong="", name="")
    context.set_cookie(answer, request.secret)
    return answer


def login(context: Context, request: PageRequest) -> Response:
    """Log in with a name and its token, in a new session; the one of before ends."""
    name = request.form.get("name", "").strip()
    token = request.form.get("token", "").strip()
    address = request.http.client.host if request.http.client else ""
    wait = context.throttle.wait(name, address)
    if wait:
        text = f"Too many tries. Try again in {wait} seconds."
        answer = context.page("login.html", request.session, 429, wrong=text, name=name)
        answer.headers["retry-after"] = str(wait)
        return answer
    if not (name and token and context.queue.reviewers.check(name, token)):
        context.throttle.failed(name, address)
        text = "This name and token do not go together."
        return context.page("login.html", request.session, 403, wrong=text, name=name)
    context.throttle.succeeded(name)
    context.sessions.end(request.secret)
    welcome = redirect("/")
    context.set_cookie(welcome, context.sessions.begin(name))
    return welcome


def logout(context: Context, request: PageRequest) -> Response:
    """End the session on the server, so that its cookie is worth nothing."""
    if request.reviewer in context.held:
        context.give_back(context.held[request.reviewer], request.reviewer)
    context.sessions.end(request.secret)
    answer = redirect("/login")
    answer.delete_cookie(context.cookie, secure=context.tls, httponly=True, samesite="strict")
    answer.headers["clear-site-data"] = '"cache"'
    return answer
