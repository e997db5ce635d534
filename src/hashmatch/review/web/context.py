"""What every page is made from: the queue, pictures, sessions, open pages and templates."""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from hashmatch.errors import QueueUnavailable, ReviewError
from hashmatch.records.safeguards import waivers
from hashmatch.review.access import FailedLogins
from hashmatch.review.web import wording
from hashmatch.review.web.auth import LoginForms, LoginThrottle, Sessions
from hashmatch.review.web.cache import Cached
from hashmatch.review.web.threads import RETRY_AFTER, Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from hashmatch.records.cases import Case, CaseState, Decision
    from hashmatch.review.queue import ReviewQueue
    from hashmatch.review.stats import Statistics
    from hashmatch.review.web.auth import Session
    from hashmatch.review.web.pictures import Pictures

logger = logging.getLogger("hashmatch.review.web")

GRACE = 10.0
"""Seconds for somebody who closed a page by mistake to open it again."""
MAX_RECENT = 10
"""Decisions of one reviewer that are remembered."""
COUNTS_MAX_AGE = 1.0
"""Seconds for which counts of cases are good; what is done here is in them at once."""
STATISTICS_MAX_AGE = 20.0
"""Seconds for which statistics are good: a page asks for them once for itself and each plot."""
MAX_STALE = 60.0
"""Seconds for which both are shown while newer ones are being counted."""
PATIENCE = 0.7
"""Seconds that a page waits for other writers of the queue."""
ANSWER_TIMEOUT = 20.0
"""Seconds until the connection to a server that says nothing is given up, and made anew."""
OUTAGE_INTERVAL = 10.0
"""Seconds between two lines in the log on a queue that does not answer."""
UNAVAILABLE = "The review queue does not answer just now. Try again in a moment."
STATIC = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}


class OpenPages:
    """Tracks which pages of cases are open, and which cases are about to be given back.

    A page that is loaded anew may say that it was closed only when it is there again. So each has
    an id, and only the latest one counts.

    Examples
    --------
    >>> pages = OpenPages(clock=lambda: 0.0)
    >>> before, now = pages.open("q-1", "ana"), pages.open("q-1", "ana")
    >>> pages.close("q-1", "ana", before)
    >>> pages.due(now=11.0)
    []
    >>> pages.close("q-1", "ana", now)
    >>> pages.due(now=9.0), pages.due(now=11.0)
    ([], [('q-1', 'ana')])
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pages: dict[tuple[str, str], str] = {}
        self._due: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def open(self, case_id: str, reviewer: str) -> str:
        """Note that a page is shown, and return its id."""
        page = secrets.token_urlsafe(12)
        with self._lock:
            self._pages[case_id, reviewer] = page
            self._due.pop((case_id, reviewer), None)
        return page

    def close(self, case_id: str, reviewer: str, page: str) -> None:
        """Note that a page was closed."""
        with self._lock:
            if self._pages.get((case_id, reviewer)) == page:
                self._due[case_id, reviewer] = self._clock() + GRACE

    def leave(self, case_id: str, reviewer: str) -> None:
        """Note that somebody is done with a case, which could not be given back yet."""
        with self._lock:
            self._due[case_id, reviewer] = self._clock() + GRACE

    def forget(self, case_id: str, reviewer: str) -> None:
        """Forget a case, which is no longer held."""
        with self._lock:
            self._pages.pop((case_id, reviewer), None)
            self._due.pop((case_id, reviewer), None)

    def due(self, now: float | None = None) -> list[tuple[str, str]]:
        """Return the cases and reviewers whose time is over, each once."""
        moment = self._clock() if now is None else now
        with self._lock:
            over = [pair for pair, at in self._due.items() if at <= moment]
            for pair in over:
                del self._due[pair]
        return over


class RecentDecisions:
    """The latest decisions of each reviewer on this server, to be undone from the home page."""

    def __init__(self) -> None:
        self._decisions: dict[str, deque[Decision]] = {}
        self._lock = threading.Lock()

    def add(self, decision: Decision) -> None:
        """Remember a decision."""
        with self._lock:
            kept = self._decisions.setdefault(decision.reviewer, deque(maxlen=MAX_RECENT))
            kept.appendleft(decision)

    def drop(self, decision_id: str, reviewer: str) -> None:
        """Forget one that was taken back."""
        with self._lock:
            kept = self._decisions.get(reviewer, deque())
            for decision in [one for one in kept if one.decision_id == decision_id]:
                kept.remove(decision)

    def undoable(self, reviewer: str, now: datetime) -> list[Decision]:
        """Return those that can still be taken back, latest first."""
        with self._lock:
            kept = list(self._decisions.get(reviewer, ()))
        return [one for one in kept if now < one.final_at]


def load_templates() -> Environment:
    """Return the templates; a name that is not given is an error, never an empty context.

    All text that they write passes `wording.visible`; what stands beside other text, filter `bdi`.
    """
    made = Environment(
        loader=PackageLoader("hashmatch.review.web"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        finalize=wording.visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= wording.FILTERS
    return made


def load_static() -> dict[str, bytes]:
    """Return every file that is served as it is, by name; there are no others."""
    folder = files("hashmatch.review.web").joinpath("static")
    return {name: folder.joinpath(name).read_bytes() for name in STATIC}


@dataclass(slots=True)
class Context:
    """The state of one server; with `tls`, cookies travel over TLS only.

    `root` is the path that the page is below, ``/review``, if it is not all of the server.
    `drafts` is the folder in which folders of drafts are, to be read and signed off.
    """

    queue: ReviewQueue
    pictures: Pictures
    tls: bool = False
    root: str = ""
    drafts: str | None = None
    sessions: Sessions = field(default_factory=Sessions)
    forms: LoginForms = field(default_factory=LoginForms)
    throttle: LoginThrottle = field(default_factory=LoginThrottle)
    open_pages: OpenPages = field(default_factory=OpenPages)
    recent: RecentDecisions = field(default_factory=RecentDecisions)
    held: dict[str, str] = field(default_factory=dict)
    threads: Threads = field(default_factory=Threads)
    counts: Cached[Mapping[CaseState, int]] = field(init=False)
    statistics: Cached[Statistics] = field(init=False)
    templates: Environment = field(default_factory=load_templates)
    static: dict[str, bytes] = field(default_factory=load_static)
    failed_logins: FailedLogins = field(init=False)
    _outage: float = field(default=-math.inf, init=False)

    def __post_init__(self) -> None:
        """Have the queue's calls end before somebody wonders what is wrong."""
        queue = self.queue
        queue.patience, queue.answer_timeout = PATIENCE, ANSWER_TIMEOUT
        self.counts = Cached(queue.counts, max_age=COUNTS_MAX_AGE, max_stale=MAX_STALE)
        self.statistics = Cached(queue.statistics, max_age=STATISTICS_MAX_AGE, max_stale=MAX_STALE)
        self.failed_logins = FailedLogins(queue)

    @property
    def cookie(self) -> str:
        """The cookie's name; with the prefix, browsers keep other hosts and paths from setting it.

        Source: RFC 6265bis, 4.1.3.2.
        """
        return "__Host-hashmatch" if self.tls else "hashmatch"

    def may_review(self, session: Session) -> bool:
        """Return whether who is logged in may still review.

        Who was removed, or was given another token, is logged out at once.
        """
        return self.queue.reviewers.check_digest(session.reviewer, session.token_digest)

    def case_of(self, reviewer: str, case_id: str | None = None) -> Case:
        """Return a case that a reviewer holds, without what others decided this time.

        If they do not hold it, the ReviewError is the same whether there is such a case or not.
        """
        wanted = self.held.get(reviewer, "") if case_id is None else case_id
        try:
            case = self.queue.case(wanted)
        except QueueUnavailable:
            raise
        except ReviewError:
            raise not_held() from None
        if case.lease is None or case.lease.reviewer != reviewer:
            raise not_held()
        self.held[reviewer] = case.case_id
        return replace(case, decisions=tuple(d for d in case.decisions if d.round != case.round))

    def give_back(self, case_id: str, reviewer: str) -> None:
        """Let somebody else have a case; it is fine if it is not held any more."""
        try:
            self.queue.give_back(case_id, reviewer)
        except QueueUnavailable:
            raise
        except ReviewError:
            pass
        self.open_pages.forget(case_id, reviewer)
        if self.held.get(reviewer) == case_id:
            del self.held[reviewer]
        self.counts.outdated()

    @property
    def cookie_path(self) -> str:
        """The path below which browsers send the cookie; its prefix ``__Host-`` asks for ``/``."""
        return "/" if self.tls else f"{self.root}/"

    def set_cookie(self, response: Response, secret: str) -> None:
        """Give a browser the secret of its session; it ends with the browser."""
        response.set_cookie(
            self.cookie, secret, path=self.cookie_path, secure=self.tls, httponly=True,
            samesite="strict",
        )  # fmt: skip

    def delete_cookie(self, response: Response) -> None:
        """Have a browser forget the secret of its session."""
        response.delete_cookie(
            self.cookie, path=self.cookie_path, secure=self.tls, httponly=True, samesite="strict"
        )

    def redirect(self, path: str) -> RedirectResponse:
        """Send a browser on after a form, to a path of the page."""
        return RedirectResponse(self.root + path, 303)

    def page(
        self, template: str, session: Session | None, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """Return a page."""
        common = {
            "reviewer": session.reviewer if session else "",
            "csrf": session.csrf if session else "",
            "flash": session.pop_flash() if session else "",
            "head": self.queue.head,
            "root": self.root,
            "waivers": waivers(),
        }
        text = self.templates.get_template(template).render(**common, **values)
        return HTMLResponse(text, status)

    def error_page(self, text: str, session: Session | None, status: int) -> HTMLResponse:
        """Return a page that says why there is no other."""
        return self.page("error.html", session, status, text=text)

    def unavailable(
        self, error: Exception, session: Session | None, *, script: bool = False
    ) -> Response:
        """Say that the queue does not answer."""
        if script:
            return self.retried_later(PlainTextResponse(f"{UNAVAILABLE}\n", 503), error)
        return self.retried_later(self.error_page(UNAVAILABLE, session, 503), error)

    def retried_later(self, answer: Response, error: Exception) -> Response:
        """Return an answer that is to be asked for again, and log why; it does not say so itself.

        Where the queue is, and what is wrong there, is no business of who looks at cases.
        """
        if time.monotonic() - self._outage > OUTAGE_INTERVAL:
            self._outage = time.monotonic()
            logger.warning("cannot answer reviewers: %s", str(error) or "the queue takes too long")
        answer.headers["retry-after"] = str(RETRY_AFTER)
        return answer


def not_held() -> ReviewError:
    """Return the error about a case that somebody does not hold."""
    return ReviewError("You do not hold this case, or not any more. Take the next one.")
