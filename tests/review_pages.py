"""A review queue of drawn pictures, its page on a real server, and a client that sends anything."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from random import Random
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlencode

from starlette.applications import Starlette

import hashmatch as hm
from conftest import IMAGES, LISTS
from hashmatch import registry
from hashmatch.records.cases import Case, Origin
from hashmatch.records.enums import Surface
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from hashmatch.review.web.connections import ConnectionMiddleware
from hashmatch.review.web.middleware import SecurityMiddleware
from hashmatch.review.web.pictures import Pictures
from hashmatch.review.web.server import Serving
from processes import PATIENCE
from review_records import make_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import uvicorn

    from hashmatch.review.web.context import Context

FORM = "application/x-www-form-urlencoded"


def filled(
    folder: Path, settings: Settings | None = None, names: tuple[str, ...] = (), origin: bool = True
) -> str:
    """Make a queue in `folder` of the pictures of the fixtures that the demo list knows."""
    photos = folder / "photos"
    if not photos.exists():
        shutil.copytree(IMAGES / "plain", photos)
    source = registry.open_source(str(photos), Surface.PROFILE_PHOTO)
    matcher = hm.Matcher(hm.read_list(LISTS / "demo-pdq.csv"), include_hash=True)
    path = str(folder / "queue.db")
    listed: dict[str, hm.ImageItem] = {}
    found = hm.scan_source(source, matcher, on_listed=lambda item: listed.update({item.key: item}))
    with ReviewQueue.open(path, settings=settings, create=True) as queue:
        queue.add(
            (result, Origin(str(photos), listed[result.item.key].location) if origin else Origin())
            for result in found
            if isinstance(result, hm.ReviewRecord) and (not names or result.item.key in names)
        )
    return path


def lively(folder: Path, seed: int = 7) -> str:
    """Make a queue in which some weeks of work were done."""
    random, path = Random(seed), str(folder / "lively.db")
    day = timedelta(days=1)
    clock = [datetime.now(UTC) - 25 * day]
    settings = Settings(two_reviewers=True, pause=timedelta(0), in_a_row=10_000)
    with ReviewQueue.open(path, settings=settings, create=True, now=lambda: clock[0]) as queue:
        for number in range(260):
            if number % 10 == 0:
                clock[0] += day * random.uniform(0.2, 1.4) * 0.9
            distance, name = random.randrange(0, 32, 2), random.choice(("demo", "a-second-list"))
            queue.add([make_record(number, distance=distance, name=name, entry=f"{number}")])
            if number > 230:
                continue
            right = random.random() > distance / 60
            for reviewer in ("ana", "bo"):
                case = queue.take(reviewer)
                if not isinstance(case, Case):
                    break
                says = right if random.random() < 0.93 else not right
                unsure = random.choice(("unsure", "escalated", None, None, None, None))
                verdict = unsure or ("confirmed" if says else "not_a_match")
                queue.decide(case.case_id, reviewer, verdict, "made up", case.reviewed_digest)
    return path


class Server:
    """The page of a queue, served by a thread until it is closed."""

    def __init__(self, path: str, serving: Serving | None = None) -> None:
        serving = serving or Serving(port=0, pictures=(os.path.dirname(path),))
        self.queue = ReviewQueue.open(path)
        self.pictures = Pictures(serving.pictures, allow_private=serving.allow_private)
        self.listener = serving.bound()
        self.port: int = self.listener.getsockname()[1]
        self._server: uvicorn.Server = serving.server(self.queue, self.pictures, self.listener)
        self._thread = threading.Thread(target=self._server.run, args=([self.listener],))
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.01)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def middleware(self) -> SecurityMiddleware:
        """The middleware that checks every request."""
        outer = self._server.config.app
        assert isinstance(outer, ConnectionMiddleware)
        middleware = outer.app
        assert isinstance(middleware, SecurityMiddleware)
        return middleware

    @property
    def context(self) -> Context:
        """What the pages share."""
        app = self.middleware._app
        assert isinstance(app, Starlette)
        context: Context = app.state.context
        return context

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self.listener.close()
        self.pictures.close()
        self.queue.close()


@contextmanager
def served(path: str, serving: Serving | None = None) -> Iterator[Server]:
    server = Server(path, serving)
    try:
        yield server
    finally:
        server.close()


class Answer:
    """What a server said."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.cookies = [value for name, value in headers if name.lower() == "set-cookie"]
        self.body = body
        self.text = body.decode("utf-8", "replace")

    @property
    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([\w.-]+)"', self.text)
        assert found, self.text
        return found[1]

    def field(self, name: str) -> str:
        found = re.search(rf'name="{name}" value="([^"]+)"', self.text)
        assert found, self.text
        return found[1]


class Listening(Protocol):
    """Any server at a port of this machine."""

    port: int


class Browser:
    """Sends what a browser would, unless told otherwise; keeps one cookie and the latest token."""

    def __init__(self, server: Listening) -> None:
        self.server = server
        self.cookie = ""
        self.csrf = ""

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str | None] | None = None,
    ) -> Answer:
        """Send one request; a header of None is left out."""
        sent: dict[str, str | None] = {"Host": f"127.0.0.1:{self.server.port}"}
        if self.cookie:
            sent["Cookie"] = self.cookie
        if method == "POST":
            sent |= {"Content-Type": FORM, "Sec-Fetch-Site": "same-origin"}
            sent["Origin"] = f"http://127.0.0.1:{self.server.port}"
        sent |= headers or {}
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None and "Content-Length" not in sent:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            got = connection.getresponse()
            answer = Answer(got.status, got.getheaders(), got.read())
        finally:
            connection.close()
        for cookie in answer.cookies:
            self.cookie = cookie.partition(";")[0]
        if 'name="csrf"' in answer.text:
            self.csrf = answer.csrf
        return answer

    def get(self, path: str, **headers: str | None) -> Answer:
        return self.send("GET", path, None, _named(headers))

    def post(
        self, path: str, fields: dict[str, str] | None = None, **headers: str | None
    ) -> Answer:
        given = {"csrf": self.csrf} | (fields or {})
        return self.send("POST", path, urlencode(given).encode(), _named(headers))

    def log_in(self, name: str, token: str) -> Answer:
        self.get("/login")
        answer = self.post("/login", {"name": name, "token": token})
        if answer.status == 303:
            self.get("/")
        return answer

    def take(self) -> Answer:
        """Take the next case and return its page."""
        self.get("/")
        answer = self.post("/take")
        assert answer.status == 303, answer.text
        return self.get(answer.headers["location"])

    def picture(self, page: Answer, step: int, item: int = 0) -> Answer:
        path = re.search(r'data-picture="([^"]+)"', page.text)
        assert path
        return self.get(f"{path[1]}?item={item}&step={step}", x_hashmatch=self.csrf)


def _named(headers: dict[str, str | None]) -> dict[str, str | None]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class ReviewSite:
    """A served queue and two people who may review."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.tokens = {name: server.queue.reviewers.add(name) for name in ("ana", "bo")}

    def browser(self, name: str = "") -> Browser:
        """Return a browser, in which somebody is logged in if they are named."""
        browser = Browser(self.server)
        if name:
            assert browser.log_in(name, self.tokens[name]).status == 303
        return browser
