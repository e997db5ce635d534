"""Sources and decoders that hang: pages go on, other sources too, and each picture says so."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest

from hashmatch.records.cases import CaseState, Origin
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.web import pictures
from hashmatch.review.web.pictures import MAX_OF_A_SOURCE, View
from hashmatch.review.web.server import Serving
from processes import PATIENCE, wait_for
from review_pages import Answer, Browser, ReviewSite, Server, filled, served
from review_records import random_hash
from silent_server import Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import hashmatch as hm

KEY = "tiles.png"


@pytest.fixture
def silent() -> Iterator[Silent]:
    server = Silent()
    yield server
    server.close()


def with_cases(folder: Path, *origins: Origin) -> str:
    """Make a queue with a case for each origin, of one picture that lies in ``photos``."""
    import random

    made = filled(folder, names=(KEY,))
    with ReviewQueue.open(made) as queue:
        (case,) = queue.cases()
    record, path = case.items[0].record, str(folder / "cases.db")
    rng = random.Random(3)
    with ReviewQueue.open(path, create=True) as queue:
        for number, origin in enumerate(origins):
            alone = replace(
                record,
                record_id=f"record-{number}",
                hash=replace(record.hash, value=f"{random_hash(rng):064x}"),
            )
            queue.add([(alone, origin)])
        assert queue.counts()[CaseState.PENDING_REVIEW] == len(origins)
    return path


@contextmanager
def site_of(folder: Path, path: str, *places: str) -> Iterator[ReviewSite]:
    with served(path, Serving(port=0, pictures=(str(folder), *places))) as server:
        yield ReviewSite(server)


def people(site: ReviewSite, count: int) -> list[tuple[Browser, Answer]]:
    """Log so many people in and give each the next case."""
    found = []
    for number in range(count):
        name = f"person {number}"
        browser = Browser(site.server)
        token = site.server.queue.reviewers.add(name)
        assert browser.log_in(name, token).status == 303
        found.append((browser, browser.take()))
    return found


def late(answer: Answer) -> bool:
    assert answer.status == 503, (answer.status, answer.text)
    assert answer.headers["content-type"].startswith("text/plain")
    assert int(answer.headers["retry-after"]) > 0
    assert answer.text == pictures.LATE + "\n"
    return True


@pytest.mark.parametrize("folders", [1, 4])
def test_a_source_that_hangs_costs_its_own_pictures_alone(
    tmp_path: Path, silent: Silent, monkeypatch: pytest.MonkeyPatch, folders: int
) -> None:
    """More people wait for it than there are places, and the others have theirs meanwhile.

    However many folders of it were scanned, each as a source.
    """
    monkeypatch.setattr(pictures, "MAX_RUNNING", MAX_OF_A_SOURCE + 1)
    monkeypatch.setattr(pictures, "DEADLINE", 1.5)
    place = f"http://127.0.0.1:{silent.port}"
    (tmp_path / "list.txt").write_text(KEY)
    scanned = [f"manifest://{tmp_path}/list.txt?base={place}/{n}" for n in range(folders)]
    good = Origin(str(tmp_path / "photos"), "")
    count = MAX_OF_A_SOURCE + 3
    hanging = [Origin(scanned[number % folders], f"base {KEY}") for number in range(count)]
    path = with_cases(tmp_path, *hanging, good)
    with site_of(tmp_path, path, place) as site, ThreadPoolExecutor(count) as pool:
        *waiting, (browser, page) = people(site, count + 1)
        asked = [pool.submit(one.picture, shown, 0) for one, shown in waiting]
        wait_for(lambda: len(silent.links) >= MAX_OF_A_SOURCE)
        assert browser.picture(page, 0).status == 200
        for one, _ in waiting:
            assert one.get("/").status == 200
        assert all(late(one.result(PATIENCE)) for one in asked)
        assert len(silent.links) == MAX_OF_A_SOURCE
        silent.close()  # it ends, and all can be asked again
        again = waiting[0][0].picture(waiting[0][1], 0)
        assert again.status == 409
        assert "cannot be read now" in again.text


class Slow:
    """A source that is slow in one of its steps until it is told to go on."""

    def __init__(self, source: hm.interfaces.Source, step: str) -> None:
        self._source, self._step = source, step
        self.reached, self.may_go_on, self.ended = (threading.Event() for _ in range(3))
        self.listed = self.read_ = 0

    def _slow(self, step: str) -> None:
        if step == self._step:
            self.reached.set()
            assert self.may_go_on.wait(PATIENCE)

    def items(self, after: str | None = None) -> Iterator[hm.ImageItem]:
        while True:
            for item in self._source.items(after):
                self.listed += 1
                if self._step == "list":
                    time.sleep(0.001)
                    self.reached.set()
                    item = replace(item, key=f"{self.listed}")  # noqa: PLW2901 - it never comes
                yield item

    def read(self, item: hm.ImageItem) -> bytes:
        self.read_ += 1
        self._slow("read")
        return self._source.read(item)

    def close(self) -> None:
        pass


@pytest.fixture
def slow(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[ReviewSite, Slow]]:
    import tarfile

    archive = tmp_path / "photos.tar"
    path = with_cases(tmp_path, *[Origin(f"tar://{archive}", "")] * 2)
    with tarfile.open(archive, "w") as file:
        file.add(tmp_path / "photos" / KEY, KEY)
    with site_of(tmp_path, path) as site:
        made = site.server.pictures
        source = Slow(made._open(f"tar://{archive}", _surface(site)), request.param)
        made._sources[f"tar://{archive}", _surface(site)] = source  # type: ignore[assignment]
        yield site, source
        source.may_go_on.set()


def _surface(site: ReviewSite) -> hm.Surface:
    return next(site.server.queue.cases()).items[0].record.item.surface


@pytest.mark.parametrize("slow", ["list"], indirect=True)
def test_a_listing_that_never_ends_ends_with_the_deadline(
    slow: tuple[ReviewSite, Slow], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, source = slow
    monkeypatch.setattr(pictures, "DEADLINE", 0.3)
    browser = site.browser("ana")
    assert late(browser.picture(browser.take(), 0))
    wait_for(lambda: not _running(site.server))
    listed = source.listed
    assert listed
    time.sleep(0.1)
    assert source.listed == listed


def _running(server: Server) -> set[tuple[str, str]]:
    return server.pictures._threads._running


@pytest.mark.parametrize("slow", ["read"], indirect=True)
def test_who_goes_away_has_nothing_decoded(
    slow: tuple[ReviewSite, Slow], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, source = slow
    decoded: list[object] = []
    decode = site.server.pictures._decode

    def noted(*given: Any) -> View:
        decoded.append(given)
        return decode(*given)

    monkeypatch.setattr(site.server.pictures, "_decode", noted)
    browser = site.browser("ana")
    page = browser.take()
    leave = _ask(browser, page)
    assert source.reached.wait(PATIENCE)
    leave()
    source.may_go_on.set()
    wait_for(lambda: not _running(site.server))
    assert not decoded
    answer = browser.picture(page, 0)
    assert answer.status in {200, 409}  # of a tar, what was read is no longer of that version
    assert source.read_ == 2


@pytest.mark.parametrize("slow", ["read"], indirect=True)
def test_a_reviewer_has_one_picture_at_a_time_and_it_is_the_last(
    slow: tuple[ReviewSite, Slow], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, source = slow
    browser, other = site.browser("ana"), site.browser("bo")
    page, others = browser.take(), other.take()
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(browser.picture, page, 0)
        assert source.reached.wait(PATIENCE)
        asked = [first]
        for _ in range(3):
            asked.append(pool.submit(browser.picture, page, 0))
            assert "Another picture" in asked[-2].result(PATIENCE).text
        assert source.read_ == 1  # the last waits for the place of the first
        theirs = pool.submit(other.picture, others, 0)
        wait_for(lambda: source.read_ == 2)
        source.may_go_on.set()
        answers = [asked[-1].result(PATIENCE), theirs.result(PATIENCE)]
    assert not any("Another picture" in answer.text for answer in answers)


def _ask(browser: Browser, page: Answer) -> Callable[[], None]:
    """Ask for a picture, and return what goes away without the answer."""
    import re

    path = re.search(r'data-picture="([^"]+)"', page.text)
    assert path
    connection = HTTPConnection("127.0.0.1", browser.server.port, timeout=PATIENCE)
    connection.request(
        "GET", f"{path[1]}?item=0&step=0",
        headers={"Cookie": browser.cookie, "X-Hashmatch": browser.csrf},
    )  # fmt: skip
    return connection.close


def test_a_decoder_that_hangs_costs_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "DEADLINE", 0.3)
    may_end = threading.Event()
    path = with_cases(tmp_path, Origin(str(tmp_path / "photos"), ""))
    with site_of(tmp_path, path) as site:
        pool = site.server.pictures._pool
        decode = pool.pictures
        monkeypatch.setattr(
            pool, "pictures", lambda *given, **more: may_end.wait() and decode(*given, **more)
        )
        browser = site.browser("ana")
        page = browser.take()
        assert late(browser.picture(page, 0))
        assert browser.get("/").status == 200
        may_end.set()
        assert browser.picture(page, 0).status == 200
