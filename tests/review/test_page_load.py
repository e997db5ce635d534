"""Many reviewers at once while a source hangs and a writer holds the queue: pages are there."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from hashmatch.records.cases import Origin
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from page_program import serving
from review_pages import Browser
from review_records import many
from silent_server import Silent
from sqlite_locks import locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from review_pages import Answer

THINKING = (0.2, 1.0)
"""Seconds between two clicks of a reviewer."""


class Click(NamedTuple):
    """One page that somebody asked for: what, when, the status, and for how long it took."""

    what: str
    at: float
    status: int
    seconds: float


class Reviewer:
    """Works on cases and asks for the picture of each, which never comes."""

    def __init__(self, port: int, name: str, token: str) -> None:
        self.port = port
        self._browser = Browser(self)
        assert self._browser.log_in(name, token).status == 303
        self._random = random.Random(name)
        self.clicks: list[Click] = []
        self._looking: threading.Thread | None = None
        self._page: Answer | None = self._browser.take()

    def work(self, began: float) -> None:
        """Look at one case, if there is one to be had, and decide about it."""
        time.sleep(self._random.uniform(*THINKING))
        if self._random.random() < 0.1:
            self._click(began, "GET", "/statistics")
        self._click(began, "GET", "/")
        taken = self._click(began, "POST", "/take", {})
        if taken.status == 303:
            self._page = self._click(began, "GET", taken.headers["location"])
        page = self._page
        if page is None:
            return
        self._look(page)
        time.sleep(self._random.uniform(*THINKING))
        found = re.search(r'data-picture="(/case/[^"]+)/picture"', page.text)
        assert found
        self._click(began, "GET", found[1])
        fields = {"verdict": "unsure", "reason": "seen", "digest": page.field("digest")}
        decided = self._click(began, "POST", f"{found[1]}/decide", fields)
        if decided.status == 303:
            self._click(began, "GET", decided.headers["location"])
            self._page = None

    def _click(
        self, began: float, method: str, path: str, fields: dict[str, str] | None = None
    ) -> Answer:
        start = time.monotonic()
        answer = self._browser.get(path) if fields is None else self._browser.post(path, fields)
        took = time.monotonic() - start
        what = re.sub(r"/case/[^/]+", "/case", path)
        self.clicks.append(Click(f"{method} {what}", start - began, answer.status, took))
        return answer

    def _look(self, page: Answer) -> None:
        if self._looking is None or not self._looking.is_alive():
            self._looking = threading.Thread(target=self._browser.picture, args=(page, 0))
            self._looking.start()

    def close(self) -> None:
        if self._looking is not None:
            self._looking.join()


@contextmanager
def at_work(folder: Path, count: int) -> Iterator[tuple[str, list[Reviewer]]]:
    """Give a queue and so many reviewers who are logged in and hold a case each."""
    path, silent = str(folder / "queue.db"), Silent()
    place = f"http://127.0.0.1:{silent.port}"
    (folder / "list.txt").write_text("a.png")
    origin = Origin(f"manifest://{folder}/list.txt?base={place}", "base a.png")
    with ReviewQueue.open(path, create=True, settings=Settings(in_a_row=10_000)) as queue:
        queue.add((record, origin) for record in many(40 * count))
        names = [f"person {number}" for number in range(count)]
        tokens = {name: queue.reviewers.add(name) for name in names}
    with serving(path, "--pictures", place) as program:
        with ThreadPoolExecutor(count) as pool:
            people = list(pool.map(lambda one: Reviewer(program.port, *one), tokens.items()))
        try:
            yield path, people
        finally:
            silent.close()
            for one in people:
                one.close()


def clicks_of(people: list[Reviewer]) -> list[Click]:
    """Return what they asked for, in the order of time."""
    return sorted((click for one in people for click in one.clicks), key=lambda click: click.at)


def summary(clicks: list[Click]) -> str:
    seconds = sorted(click.seconds for click in clicks)
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    figures = [f"{name} {seconds[int(at[name] * (len(seconds) - 1))]:.3f} s" for name in at]
    statuses = dict(Counter(click.status for click in clicks))
    return f"{len(clicks)} pages, {statuses}: {', '.join(figures)}"


def only_writes_are_refused(clicks: list[Click]) -> bool:
    refused = {click.what for click in clicks if click.status == 503}
    assert {click.status for click in clicks} <= {200, 303, 503}, summary(clicks)
    return refused == {"POST /take", "POST /case/decide"}


def test_nobody_waits_for_a_source_that_hangs_or_for_a_writer(tmp_path: Path) -> None:
    """Neither goes on before everybody has had all pages, and what writes was refused."""
    with at_work(tmp_path, 8) as (path, people):
        with locked(path), ThreadPoolExecutor(len(people)) as pool:
            began = time.monotonic()
            for _ in range(2):
                list(pool.map(lambda one: one.work(began), people))
        clicks = clicks_of(people)
        assert only_writes_are_refused(clicks)
        assert len(clicks) >= 8 * len(people)
        for one in people:
            one.clicks.clear()
            one.work(began)
            assert {click.status for click in one.clicks} <= {200, 303}


@pytest.mark.slow
def test_50_reviewers_wait_for_no_page_for_a_second(tmp_path: Path) -> None:
    """A source that hangs all the time, and a writer that holds the queue for 10 s."""
    ended = threading.Event()

    def work(one: Reviewer, began: float) -> None:
        while not ended.is_set():
            one.work(began)

    with at_work(tmp_path, 50) as (path, people), ThreadPoolExecutor(len(people)) as pool:
        with locked(path):
            began = time.monotonic()
            working = [pool.submit(work, one, began) for one in people]
            time.sleep(10)
        time.sleep(4)
        ended.set()
        for done in working:
            done.result()
        clicks = clicks_of(people)
    print(summary(clicks))  # noqa: T201 - pytest -s shows it
    assert only_writes_are_refused(clicks)
    assert {click.status for click in clicks[-20:]} <= {200, 303}
    assert max(click.seconds for click in clicks) <= 1.0, summary(clicks)
