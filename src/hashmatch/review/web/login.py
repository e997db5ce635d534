"""Logging in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch.review.web.context import to

if TYPE_CHECKING:
    from starlette.responses import Response

    from hashmatch.review.web.context import Place
    from hashmatch.review.web.request import Visit


def login_page(place: Place, visit: Visit) -> Response:
    """Ask who is there."""
    if visit.reviewer:
        return to("/")
    answer = place.page("login.html", visit.session, wrong="", name="")
    place.set_cookie(answer, visit.secret)
    return answer


def login(place: Place, visit: Visit) -> Response:
    """Begin a session of its own for who has the token; what the browser had before ends."""
    name = visit.form.get("name", "").strip()
    token = visit.form.get("token", "").strip()
    address = visit.request.client.host if visit.request.client else ""
    wait = place.attempts.wait(name, address)
    if wait:
        text = f"Too many tries. Try again in {wait} seconds."
        answer = place.page("login.html", visit.session, 429, wrong=text, name=name)
        answer.headers["retry-after"] = str(wait)
        return answer
    if not (name and token and place.queue.reviewers.check(name, token)):
        place.attempts.failed(name, address)
        text = "This name and token do not go together."
        return place.page("login.html", visit.session, 403, wrong=text, name=name)
    place.attempts.succeeded(name)
    place.sessions.end(visit.secret)
    welcome = to("/")
    place.set_cookie(welcome, place.sessions.begin(name))
    return welcome


def logout(place: Place, visit: Visit) -> Response:
    """End the session here; its cookie is worth nothing from now on."""
    if visit.reviewer in place.held:
        place.give_back(place.held[visit.reviewer], visit.reviewer)
    place.sessions.end(visit.secret)
    answer = to("/login")
    answer.delete_cookie(place.cookie, secure=place.tls, httponly=True, samesite="strict")
    answer.headers["clear-site-data"] = '"cache"'
    return answer
