"""Many reviewers at once while a source hangs and a writer holds the queue: pages are there."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
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
        self._first = self._browser.take()

    def work(self, began: float, until: float) -> None:
        page: Answer | None = self._first
        while time.monotonic() < until:
            time.sleep(self._random.uniform(*THINKING))
            if self._random.random() < 0.1:
                self._click(began, "GET", "/statistics")
            self._click(began, "GET", "/")
            taken = self._click(began, "POST", "/take", {})
            if taken.status == 303:
                page = self._click(began, "GET", taken.headers["location"])
            if page is None:
                continue
            self._look(page)
            time.sleep(self._random.uniform(*THINKING))
            found = re.search(r'data-picture="(/case/[^"]+)/picture"', page.text)
            assert found
            self._click(began, "GET", found[1])
            fields = {"verdict": "unsure", "reason": "seen", "digest": page.field("digest")}
            decided = self._click(began, "POST", f"{found[1]}/decide", fields)
            if decided.status == 303:
                self._click(began, "GET", decided.headers["location"])
                page = None

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


def load(folder: Path, reviewers: int, seconds: float, lock: float) -> list[Click]:
    """Return what reviewers were answered; the queue was locked for the first seconds."""
    path, silent = str(folder / "queue.db"), Silent()
    place = f"http://127.0.0.1:{silent.port}"
    (folder / "list.txt").write_text("a.png")
    origin = Origin(f"manifest://{folder}/list.txt?base={place}", "base a.png")
    with ReviewQueue.open(path, create=True, settings=Settings(in_a_row=10_000)) as queue:
        queue.add((record, origin) for record in many(40 * reviewers))
        tokens = {f"person {number}": queue.reviewers.add(f"person {number}")
                  for number in range(reviewers)}  # fmt: skip
    with serving(path, "--pictures", place) as program:
        with ThreadPoolExecutor(reviewers) as pool:
            people = list(pool.map(lambda one: Reviewer(program.port, *one), tokens.items()))
            with locked(path):
                began = time.monotonic()
                working = [pool.submit(one.work, began, began + seconds) for one in people]
                time.sleep(lock)
            for work in working:
                work.result()
        silent.close()
        for one in people:
            one.close()
    return [click for one in people for click in one.clicks]


def summary(clicks: list[Click]) -> str:
    seconds = sorted(click.seconds for click in clicks)
    at = {name: seconds[int(share * (len(seconds) - 1))] for name, share in
          (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))}  # fmt: skip
    slowest = max(clicks, key=lambda click: click.seconds)
    figures = ", ".join(f"{name} {value:.3f} s" for name, value in at.items())
    return f"{len(clicks)} pages, {Counter(c.status for c in clicks)}: {figures}; {slowest}"


def check(clicks: list[Click], limit: float) -> None:
    print(summary(clicks))  # noqa: T201 - pytest -s shows it
    assert max(click.seconds for click in clicks) <= limit, summary(clicks)
    assert {click.status for click in clicks} <= {200, 303, 503}
    # Only what writes is refused, and only while it cannot; all that is read is there.
    refused = {click.what for click in clicks if click.status == 503}
    assert refused == {"POST /take", "POST /case/decide"}
    latest = sorted(clicks, key=lambda click: click.at)[-5:]
    assert {click.status for click in latest} <= {200, 303}


def test_nobody_waits_for_a_source_that_hangs_or_for_a_writer(tmp_path: Path) -> None:
    """In small; the limit is there for a machine that has other things to do."""
    check(load(tmp_path, reviewers=8, seconds=4.0, lock=2.5), limit=5.0)


@pytest.mark.slow
def test_50_reviewers_wait_for_no_page_for_a_second(tmp_path: Path) -> None:
    """A source that hangs all the time, and a writer that holds the queue for 10 s."""
    check(load(tmp_path, reviewers=50, seconds=14.0, lock=10.0), limit=1.0)
