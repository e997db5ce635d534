"""What all pages share: the queue, the pictures, who is logged in, and the templates."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, RedirectResponse, Response

from hashmatch.errors import ReviewError
from hashmatch.review.page import wording
from hashmatch.review.page.attempts import Attempts
from hashmatch.review.page.leaving import Leaving
from hashmatch.review.page.numbers import Figures
from hashmatch.review.page.recent import Recent
from hashmatch.review.page.sessions import Sessions

if TYPE_CHECKING:
    from hashmatch.records.decisions import Case
    from hashmatch.review.page.pictures import Pictures
    from hashmatch.review.page.sessions import Session
    from hashmatch.review.queue import ReviewQueue

STATIC = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}


def templates() -> Environment:
    """Return the templates; a name that is not given is an error, never an empty place."""
    made = Environment(
        loader=PackageLoader("hashmatch.review.page"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= wording.FILTERS
    return made


def static() -> dict[str, bytes]:
    """Return every file that is served as it is, by name; there are no others."""
    folder = files("hashmatch.review.page").joinpath("static")
    return {name: folder.joinpath(name).read_bytes() for name in STATIC}


@dataclass(slots=True)
class Place:
    """What one server has.

    Parameters
    ----------
    queue : ReviewQueue
        What waits for people.
    pictures : Pictures
        Where they are seen.
    tls : bool
        Whether cookies travel over TLS only.
    """

    queue: ReviewQueue
    pictures: Pictures
    tls: bool = False
    sessions: Sessions = field(default_factory=Sessions)
    attempts: Attempts = field(default_factory=Attempts)
    leaving: Leaving = field(default_factory=Leaving)
    recent: Recent = field(default_factory=Recent)
    held: dict[str, str] = field(default_factory=dict)
    figures: Figures = field(default_factory=Figures)
    templates: Environment = field(default_factory=templates)
    static: dict[str, bytes] = field(default_factory=static)

    @property
    def cookie(self) -> str:
        """The cookie's name; with the prefix, browsers keep other hosts and paths from setting it.

        Source: RFC 6265bis, 4.1.3.2.
        """
        return "__Host-hashmatch" if self.tls else "hashmatch"

    def knows(self, reviewer: str) -> bool:
        """Return whether somebody may still review: who was removed is logged out at once."""
        return reviewer in self.queue.reviewers.list()

    def case_of(self, reviewer: str, case_id: str | None = None) -> Case:
        """Return a case that a reviewer holds, without what others decided this time.

        Raises
        ------
        ReviewError
            If they do not hold it; the same line whether there is such a case or not.
        """
        wanted = self.held.get(reviewer, "") if case_id is None else case_id
        try:
            case = self.queue.case(wanted)
        except ReviewError:
            raise not_held() from None
        if case.lease is None or case.lease.reviewer != reviewer:
            raise not_held()
        self.held[reviewer] = case.case_id
        return replace(case, decisions=tuple(d for d in case.decisions if d.round != case.round))

    def give_back(self, case_id: str, reviewer: str) -> None:
        """Let somebody else have a case; it is fine if it is not held any more."""
        self.leaving.done(case_id, reviewer)
        if self.held.get(reviewer) == case_id:
            del self.held[reviewer]
        with suppress(ReviewError):
            self.queue.give_back(case_id, reviewer)

    def set_cookie(self, response: Response, secret: str) -> None:
        """Give a browser the secret of its session; it ends with the browser."""
        response.set_cookie(self.cookie, secret, secure=self.tls, httponly=True, samesite="strict")

    def page(
        self, template: str, session: Session | None, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """Return a page."""
        common = {
            "reviewer": session.reviewer if session else "",
            "csrf": session.csrf if session else "",
            "say": session.told() if session else "",
        }
        text = self.templates.get_template(template).render(**common, **values)
        return HTMLResponse(text, status)

    def sorry(self, text: str, session: Session | None, status: int) -> HTMLResponse:
        """Return a page that says why there is no other."""
        return self.page("sorry.html", session, status, text=text)


def not_held() -> ReviewError:
    """Return what is said of a case that somebody does not hold."""
    return ReviewError("You do not hold this case, or not any more. Take the next one.")


def to(path: str) -> RedirectResponse:
    """Send a browser on after a form."""
    return RedirectResponse(path, 303)
